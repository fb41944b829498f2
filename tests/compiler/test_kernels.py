"""Which kernels could compute a connection, what they cost, and that the cheapest is chosen."""

from __future__ import annotations

import csv
import re
from itertools import pairwise
from pathlib import Path

import pytest

from nnspec.compiler.pipeline import understand
from nnspec.compiler.plan.choice import Choice
from nnspec.compiler.plan.costs import COSTS


def choice(
    folder: Path, connection: str, batch: int = 64, sides: tuple[str, str] = ("1000", "1000")
) -> Choice:
    spec = folder / "m.nnspec"
    spec.write_text(f"model m\ninput x[{sides[0]}]\nlayer y[{sides[1]}]\nconnect x -> y : {connection}\n")
    return understand(spec, batch=batch).plan.choices[0]


@pytest.mark.parametrize(
    ("connection", "sides", "kernels"),
    [
        ("all", ("30", "20"), {"dense"}),
        ("one_to_one", ("30", "30"), {"diagonal"}),
        ("random(fan_in = 3)", ("1000", "1000"), {"edges"}),
        ("random(fan_in = 3)", ("100", "100"), {"edges", "masked"}),
        ("{ i -> j : abs(i - j) <= 2 }", ("1000", "1000"), {"edges", "band"}),
        ("{ i -> i + d : d in -1..1 ; outside = wrap }", ("40", "40"), {"edges", "band", "masked"}),
        ("{ (b, i) -> (b, j) }", ("100, 4", "100, 3"), {"edges", "blocks"}),
        (
            "{ (b, i) -> (b + d, j) : d in -1..1 ; outside = skip }",
            ("9, 4", "9, 3"),
            {"edges", "blocks", "masked"},
        ),
        (
            "{ (b, i) -> (b, i) : b >= 0 } | { (b, i) -> (c, i) : b == c + 1 }",
            ("100, 4", "100, 4"),
            {"edges"},
        ),
        ("window(3, 3)", ("40, 40", "38, 38"), {"edges"}),
    ],
)
def test_candidates_are_what_can_compute_the_set(
    connection: str, sides: tuple[str, str], kernels: set[str], tmp_path: Path
) -> None:
    made = choice(tmp_path, connection, sides=sides)
    assert {candidate.kernel for candidate in made.candidates} == kernels
    assert made.kernel == made.candidates[0].kernel
    assert [candidate.cost for candidate in made.candidates] == sorted(c.cost for c in made.candidates)
    for candidate in made.candidates[1:2]:
        assert f"`{candidate.kernel}` would take about" in made.reason


def test_a_list_of_too_many_offsets_is_no_band(tmp_path: Path) -> None:
    """What is too long to state again is stored, and computed edge by edge."""
    scattered = " | ".join(f"{{ i -> i + {d * d} ; outside = skip }}" for d in range(70))
    made = choice(tmp_path, scattered, sides=("9000", "9000"))
    assert {candidate.kernel for candidate in made.candidates} == {"edges"}


@pytest.mark.parametrize("kernel", sorted(COSTS))
def test_costs_are_by_batch_and_never_negative(kernel: str) -> None:
    batches = [cost.batch for cost in COSTS[kernel]]
    assert batches == sorted(batches)
    assert batches[0] == 1
    for cost in COSTS[kernel]:
        assert cost.call >= 0
        assert cost.unit >= 0
        assert cost.weight >= 0
        assert cost.call + cost.unit + cost.weight > 0


@pytest.mark.parametrize("density", [0.03, 0.1, 0.3])
def test_between_measured_batches_times_lie_between(density: float, tmp_path: Path) -> None:
    def times(batch: int) -> dict[str, float]:
        made = choice(tmp_path, f"random(p = {density})", batch)
        return {candidate.kernel: candidate.cost for candidate in made.candidates}

    measured = [cost.batch for cost in COSTS["edges"]]
    for low, high in pairwise(measured):
        before, between, after = times(low), times((low + high) // 2), times(high)
        for kernel, time in between.items():
            assert min(before[kernel], after[kernel]) <= time <= max(before[kernel], after[kernel])
    last, twice = times(measured[-1]), times(2 * measured[-1])
    assert twice == pytest.approx({kernel: 2 * time for kernel, time in last.items()}, rel=1e-3)


def test_a_huge_band_is_planned_without_its_edges(tmp_path: Path) -> None:
    made = choice(tmp_path, "{ i -> j : abs(i - j) <= 2 }", sides=("1000000000", "1000000000"))
    assert {candidate.kernel for candidate in made.candidates} == {"edges", "band"}
    assert made.candidates[0].operations > 10**11


TIMES = Path(__file__).parent.parent.parent / "benchmarks" / "crossover.csv"


def test_between_measured_batches_costs_rise_evenly_and_beyond_them_with_the_batch(tmp_path: Path) -> None:
    """On a line between logarithms: halfway in the batch's logarithm the cost is the geometric mean."""
    batches = [cost.batch for cost in COSTS["edges"]]

    def cost(batch: int) -> float:
        made = choice(tmp_path, "random(fan_in = 3)", batch, ("20000", "20000"))
        return next(candidate.cost for candidate in made.candidates if candidate.kernel == "edges")

    for low, high in pairwise(batches):
        middle = round((low * high) ** 0.5)
        if middle**2 == low * high:
            assert cost(middle) == pytest.approx((cost(low) * cost(high)) ** 0.5, rel=1e-3)
    assert cost(3 * batches[-1]) == pytest.approx(3 * cost(batches[-1]), rel=1e-3)


def measured_sets() -> dict[tuple[str, int], dict[str, float]]:
    """Times in microseconds by kernel, of every set and batch that was measured."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    with TIMES.open(newline="") as file:
        for row in csv.DictReader(file):
            times = found.setdefault((row["set"], int(row["batch"])), {})
            times[row["kernel"]] = float(row["microseconds"])
    return found


def test_what_is_planned_was_hardly_slower_than_the_best_when_it_was_measured(tmp_path: Path) -> None:
    """The table that `benchmarks/crossover.py` wrote, and the costs that it fitted to it."""
    ratios: dict[str, list[float]] = {"masked": [], "blocks": []}
    plans: dict[tuple[str, int], str] = {}
    for (name, batch), times in measured_sets().items():
        random = re.fullmatch(r"([\d.]+)% of (\d+) x \2", name)
        blocks = re.fullmatch(r"blocks of (\d+) on (\d+)", name)
        if random:
            count = round(float(random[1]) / 100 * int(random[2]) ** 2)
            made = choice(tmp_path, f"random(edges = {count})", batch, (random[2], random[2]))
        elif blocks:
            sides = f"{int(blocks[2]) // int(blocks[1])}, {blocks[1]}"
            made = choice(tmp_path, "{ (b, i) -> (b, j) }", batch, (sides, sides))
        else:
            continue
        other = "masked" if random else "blocks"
        if other in times and made.kernel in times:
            ratios[other].append(times[made.kernel] / min(times["edges"], times[other]))
            plans[name, batch] = made.kernel
    assert len(ratios["masked"]) > 50
    assert len(ratios["blocks"]) > 50
    assert max(ratios["masked"]) < 1.3
    assert max(ratios["blocks"]) < 1.5
    assert {"masked", "edges", "blocks"} <= {*plans.values()}


@pytest.mark.parametrize(
    ("pool", "offsets", "kernel"),
    [
        ("max", "-1..1", "window"),
        ("min", "-1..1", "window"),
        ("mean", "-1..1", "window"),
        ("max", "[-2, 0, 2]", "window"),
        ("mean", "[-2, 0, 2]", "pool"),  # no framework has means of units that are apart
        ("product", "-1..1", "pool"),
    ],
)
def test_a_pool_that_frameworks_have_may_slide(pool: str, offsets: str, kernel: str, tmp_path: Path) -> None:
    spec = tmp_path / "m.nnspec"
    edges = f"{{ (c, i) -> (c, i + d) : d in {offsets} ; outside = skip }}"
    spec.write_text(
        f"model m\ninput x[4, 200]\nlayer y[4, 200]\nconnect x -> y : {edges} with reduce = {pool}\n"
    )
    kernels = {candidate.kernel for candidate in understand(spec).plan.choices[0].candidates}
    assert ("window" in kernels) == (kernel == "window")


def test_shared_weights_are_found_to_be_a_convolution(tmp_path: Path) -> None:
    edges = "{ i -> i + d : d in -1..1 ; outside = skip } with share = k(d)"
    assert choice(tmp_path, edges).window is not None
    assert choice(tmp_path, edges.partition(" with")[0]).window is None


def test_what_is_passed_on_as_it_is_costs_nothing_but_time(tmp_path: Path) -> None:
    made = choice(tmp_path, "one_to_one with weight = none", sides=("30", "30"))
    assert made.kernel == "diagonal"
    assert [(each.bytes, each.operations) for each in made.candidates if each.kernel == "diagonal"] == [
        (0, 0)
    ]
    edges = choice(tmp_path, "random(fan_in = 3) with weight = none", sides=("300", "300"))
    assert all(each.bytes > 0 and each.operations > 0 for each in edges.candidates)
