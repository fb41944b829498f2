"""The decoder is belief propagation, and what it decodes is a code that corrects three errors."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parent.parent.parent
TURNS, LARGEST = 3, 1 - 1e-4


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Generators and checks of a code, by its bits."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    return importlib.import_module("decoder_data").code


@pytest.mark.parametrize(("bits", "free"), [(31, 16), (63, 45)])
def test_any_three_errors_fail_other_checks(
    codes: Callable[[int], tuple[np.ndarray, np.ndarray]], bits: int, free: int
) -> None:
    """What checks fail tells up to three errors apart, so that they can be put right."""
    generators, checks = codes(bits)
    assert np.linalg.matrix_rank(generators) == free == bits - len(checks)
    assert not (generators @ checks.T % 2).any()
    fails = [int("".join(map(str, column)), 2) for column in checks.T]
    seen = set()
    for errors in range(4):
        for places in itertools.combinations(fails, errors):
            seen.add(0 if not places else places[0] ^ (places[1:] or (0,))[0] ^ (places[2:] or (0,))[0])
    assert len(seen) == sum(math.comb(bits, errors) for errors in range(4))


def sum_product(messages: list[float]) -> float:
    product = math.prod(math.tanh(message / 2) for message in messages)
    return 2 * math.atanh(min(max(product, -LARGEST), LARGEST))


def min_sum(messages: list[float]) -> float:
    return math.prod(math.copysign(1, message) for message in messages) * min(map(abs, messages))


RULES = {"decoder": sum_product, "min_sum_decoder": min_sum}


def belief_propagation(
    heard: np.ndarray, checks: np.ndarray, p: dict[str, np.ndarray], rule: Callable[[list[float]], float]
) -> list[float]:
    """A word's logarithmic odds that each bit is 1, a check and a bit at a time."""
    graph = [(bit, check) for check, bit in np.argwhere(checks).tolist()]
    graph = sorted(graph, key=lambda edge: (edge[1], edge[0]))
    number = {edge: at for at, edge in enumerate(graph)}
    checks_of = {bit: [c for b, c in graph if b == bit] for bit in range(checks.shape[1])}
    bits_of = {check: [b for b, c in graph if c == check] for check in range(checks.shape[0])}
    # The weight of the message from (bit, other) that (bit, check) listens to, in the order of the edges.
    pairs = [((b, c), (b, other)) for b, c in graph for other in sorted(checks_of[b]) if other != c]
    weight = dict(zip(pairs, p["weight_of_bit"].tolist(), strict=True))
    last = dict(zip(sorted(graph), p["last_weight"].tolist(), strict=True))

    from_check = dict.fromkeys(graph, 0.0)
    for _ in range(TURNS):
        from_bit = {}
        for bit, own in checks_of.items():
            for check in own:
                total = heard[bit] * p["heard_weight"][number[bit, check]]
                for other in own:
                    if other != check:
                        total += weight[(bit, check), (bit, other)] * from_check[bit, other]
                from_bit[bit, check] = total
        for check, own in bits_of.items():
            for bit in own:
                from_check[bit, check] = rule([from_bit[other, check] for other in own if other != bit])
    return [
        -(
            heard[bit] * p["last_heard_weight"][bit]
            + sum(last[bit, check] * from_check[bit, check] for check in own)
        )
        for bit, own in checks_of.items()
    ]


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_messages_are_those_of_belief_propagation(
    compiled: Callable[[Path], Path],
    monkeypatch: pytest.MonkeyPatch,
    codes: Callable[[int], tuple[np.ndarray, np.ndarray]],
    name: str,
    trained: bool,
) -> None:
    monkeypatch.syspath_prepend(str(compiled(ROOT / "examples" / f"{name}.nnspec")))
    in_numpy, in_torch = (importlib.import_module(f"{name}_{target}") for target in ("numpy", "torch"))
    rng = np.random.default_rng(1)
    arrays = in_numpy.to_arrays({name: array.astype(np.float64) for name, array in in_numpy.init().items()})
    if trained:
        arrays |= {name: rng.uniform(0.2, 1.5, arrays[name].shape) for name in in_numpy.init()}
    else:
        assert all((arrays[name] == 1).all() for name in in_numpy.init())
    generators, checks = codes(31)
    heard = rng.normal(2, 2, size=(20, 31)) * (1 - 2 * (rng.integers(2, size=(20, 16)) @ generators % 2))

    p = {name: arrays[name] for name in in_numpy.init()}
    wanted = np.array([belief_propagation(word, checks, p, RULES[name]) for word in heard])
    np.testing.assert_allclose(in_numpy.forward(p, heard), wanted, rtol=1e-10, atol=1e-10)
    make = in_torch.Decoder if name == "decoder" else in_torch.MinSumDecoder
    model = make().double()
    model.load_arrays(arrays)
    with torch.no_grad():
        np.testing.assert_allclose(model(torch.tensor(heard)).numpy(), wanted, rtol=1e-10, atol=1e-10)
