"""The figures that this project is held to, worked out from one run."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .harness import Sizes
from .problems import EDGES, GENERATED, dense_edges

# Case by name: its framework, R, and rows, as `harness.measured` gives them.
Cases = Mapping[str, Mapping[str, Any]]

GATHERS = ("(x[:, index] * w).sum(-1), padded", "(x[:, index] * w).sum(-1), by fan-in")


@dataclass(frozen=True)
class Figure:
    """What was reached: the ratio of medians, and the least and most that a single round gave."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Finding:
    """A figure beside what it has to be and what it is to be; a reason where there is no figure."""

    work: str
    unit: str
    floor: float
    aim: float | None
    figure: Figure | None
    missing: str = ""

    @property
    def verdict(self) -> str:
        """Whether floor and aim are met."""
        if self.figure is None:
            return self.missing
        if self.aim is not None and self.figure.value <= self.aim:
            return "aim met"
        return "floor met" if self.figure.value <= self.floor else "not met"


class Missing(Exception):
    """A time that a figure needs was not measured."""


def times(cases: Cases, case: str, version: str) -> list[float]:
    """The milliseconds of a version, round by round. Raises `Missing`."""
    for row in cases.get(case, {"rows": []})["rows"]:
        if row["version"] == version and row["both"]:
            return row["both"]
        if row["version"] == version:
            raise Missing(f"{version}: {row['failure']}")
    raise Missing("not measured")


def ratio(top: Sequence[float], bottom: Sequence[float], divisor: float = 1) -> Figure:
    """One version's times over another's, both of one run."""
    single = [a / b / divisor for a, b in zip(top, bottom, strict=True)]
    return Figure(statistics.median(top) / statistics.median(bottom) / divisor, min(single), max(single))


def quickest(cases: Cases, case: str, versions: Sequence[str]) -> list[float]:
    """The times of the version with the least median, of those that ran. Raises `Missing`."""
    ran, missing = list[list[float]](), Missing("not measured")
    for version in versions:
        try:
            ran.append(times(cases, case, version))
        except Missing as error:
            missing = error
    if not ran:
        raise missing
    return min(ran, key=statistics.median)


def planned_kernels(sizes: Sizes) -> dict[str, str]:
    """The kernel that the compiler plans for each of the dense cases, by the case's name."""
    from nnspec.compiler.pipeline import understand

    planned = dict[str, str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for density in sizes.densities:
            edges = dense_edges(sizes.dense_units, density)
            matrix = np.zeros((edges.n_target, edges.n_source), np.uint8)
            matrix[edges.target, edges.source] = 1
            np.save(folder / "held.npy", matrix)
            spec = folder / "m.nnspec"
            spec.write_text(
                f"model m\ninput x[{edges.n_source}]\nlayer y[{edges.n_target}]\n"
                'connect x -> y : load("held.npy", rows = target)\n'
            )
            for batch in sizes.dense_batches:
                plan = understand(spec, {}, batch).plan
                planned[f"{density:.0%} at batch {batch}"] = plan.choices[0].kernel
    return planned


def worst_plan(cases: Cases, planned: Mapping[str, str]) -> Figure:
    """The planned kernel over the better of masked and edges, where that is worst. Raises `Missing`."""
    if not planned:
        raise Missing("not planned")
    worst = list[Figure]()
    for case, kernel in planned.items():
        names = {"masked": "nnspec masked", "edges": EDGES}
        if kernel not in names:
            raise Missing(f"{case} is planned as {kernel}")
        for version in names.values():
            times(cases, case, version)
        worst.append(ratio(times(cases, case, names[kernel]), quickest(cases, case, list(names.values()))))
    return max(worst, key=lambda figure: figure.value)


def arrays_beyond(cases: Cases, case: str, version: str) -> Figure:
    """The peak memory of a version in arrays of (batch, units). Raises `Missing`."""
    times(cases, case, version)
    row = next(row for row in cases[case]["rows"] if row["version"] == version)
    if row["peak_bytes"] is None:
        raise Missing("cannot be measured here")
    arrays = row["peak_bytes"] / cases[case]["array_bytes"]
    return Figure(arrays, arrays, arrays)


def findings(cases: Cases, planned: Mapping[str, str], sizes: Sizes) -> list[Finding]:
    """All figures of a run."""

    def in_copies(case: str, version: str, layers: int = 1) -> Figure:
        return ratio(times(cases, case, version), cases[case]["R"], layers)

    def against(case: str, version: str, *others: str) -> Figure:
        return ratio(times(cases, case, version), quickest(cases, case, others))

    def per_edge() -> Figure:
        return ratio(
            times(cases, "many units", EDGES),
            times(cases, "few units", EDGES),
            sizes.many_units / sizes.units,
        )

    compiled = f"{EDGES}, compiled"
    rows: list[tuple[str, str, float, float | None, Callable[[], Figure]]] = [
        ("one layer", "R", 6.5, 4, lambda: in_copies("layer", EDGES)),
        ("one layer", "of gather", 1 / 5, 1 / 10, lambda: against("layer", EDGES, *GATHERS)),
        ("one layer", "of kpnn2", 1 / 5, 1 / 10, lambda: against("layer", EDGES, "kpnn2 PackedLinear")),
        (
            "one layer",
            "of custom CSR",
            1 / 2,
            None,
            lambda: against("layer", EDGES, "custom CSR, sampled_addmm"),
        ),
        ("three layers, bias, tanh, per layer", "R", 6.5, 4, lambda: in_copies("chain", GENERATED, 3)),
        (
            "the same, torch.compile, per layer",
            "R",
            4.5,
            3,
            lambda: in_copies("chain", f"{GENERATED}, compiled", 3),
        ),
        ("one layer, torch.compile", "of eager", 1, None, lambda: against("layer", compiled, EDGES)),
        (
            "three layers, torch.compile",
            "of eager",
            1,
            None,
            lambda: against("chain", f"{GENERATED}, compiled", GENERATED),
        ),
        ("peak memory, one layer", "arrays", 3, 2, lambda: arrays_beyond(cases, "layer", EDGES)),
        ("blocks of 16", "of edges", 0.35, 0.2, lambda: against("blocks", "nnspec blocks", EDGES)),
        ("planned, by density and batch", "of the better", 1.3, 1.1, lambda: worst_plan(cases, planned)),
        ("many units, time per edge", "of few units", 3, 1.5, per_edge),
        ("training step with Adam", "of gather", 0.35, 0.2, lambda: against("training", GENERATED, *GATHERS)),
        (
            "Keras on TensorFlow, one layer",
            "of tf.gather",
            0.45,
            0.3,
            lambda: against("keras layer", EDGES, "tf.gather, autodiff"),
        ),
    ]
    found = list[Finding]()
    for work, unit, floor, aim, figure in rows:
        try:
            found.append(Finding(work, unit, floor, aim, figure()))
        except Missing as error:
            found.append(Finding(work, unit, floor, aim, None, str(error)))
    return found
