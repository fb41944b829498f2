"""The decoder is belief propagation, and what it decodes is a code that corrects three errors."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from nnspec.backends.emit import write
from nnspec.compiler import compile_spec

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
CLASSES = {"decoder": "Decoder", "min_sum_decoder": "MinSumDecoder"}


def belief_propagation(
    heard: np.ndarray, checks: np.ndarray, p: dict[str, np.ndarray], rule: Callable[[list[float]], float]
) -> list[list[float]]:
    """After each turn, a word's logarithmic odds that each bit is 1, a check and a bit at a time."""
    graph = [(bit, check) for check, bit in np.argwhere(checks).tolist()]
    graph = sorted(graph, key=lambda edge: (edge[1], edge[0]))
    number = {edge: at for at, edge in enumerate(graph)}
    checks_of = {bit: [c for b, c in graph if b == bit] for bit in range(checks.shape[1])}
    bits_of = {check: [b for b, c in graph if c == check] for check in range(checks.shape[0])}
    # The weight of the message from (bit, other) that (bit, check) listens to, in the order of the edges.
    pairs = [((b, c), (b, other)) for b, c in graph for other in sorted(checks_of[b]) if other != c]
    weight = dict(zip(pairs, p["to_bit_to_check.weight"].tolist(), strict=True))
    last = dict(zip(sorted(graph), p["to_bit_odds.weight"].tolist(), strict=True))

    from_check, odds = dict.fromkeys(graph, 0.0), []
    for _ in range(TURNS):
        from_bit = {}
        for bit, own in checks_of.items():
            for check in own:
                total = heard[bit] * p["heard_to_check.weight"][number[bit, check]]
                for other in own:
                    if other != check:
                        total += weight[(bit, check), (bit, other)] * from_check[bit, other]
                from_bit[bit, check] = total
        for check, own in bits_of.items():
            for bit in own:
                from_check[bit, check] = rule([from_bit[other, check] for other in own if other != bit])
        odds.append(
            [
                -(
                    heard[bit] * p["heard_odds.weight"][bit]
                    + sum(last[bit, check] * from_check[bit, check] for check in own)
                )
                for bit, own in checks_of.items()
            ]
        )
    return odds


def some_words(generators: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Words of a code, (20, bits), and what is heard of them."""
    rng = np.random.default_rng(1)
    sent = rng.integers(2, size=(20, len(generators))) @ generators % 2
    return sent, rng.normal(2, 2, size=sent.shape) * (1 - 2 * sent)


def some_weights(net: ModuleType) -> dict[str, np.ndarray]:
    """As if trained, in float64."""
    rng = np.random.default_rng(2)
    return {name: rng.uniform(0.2, 1.5, array.shape) for name, array in net.init().items()}


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
    p = {name: array.astype(np.float64) for name, array in in_numpy.init().items()}
    if trained:
        p = some_weights(in_numpy)
    else:
        assert all((array == 1).all() for array in p.values())
    generators, checks = codes(31)
    _, heard = some_words(generators)

    wanted = np.array([belief_propagation(word, checks, p, RULES[name]) for word in heard])
    np.testing.assert_allclose(in_numpy.forward(p, heard), wanted, rtol=1e-10, atol=1e-10)
    model = getattr(in_torch, CLASSES[name])().double()
    model.load_arrays(in_numpy.to_arrays(p))
    with torch.no_grad():
        np.testing.assert_allclose(model(torch.tensor(heard)).numpy(), wanted, rtol=1e-10, atol=1e-10)


UNROLLED = """
input heard[bits]
target sent[bits]
for t in 1..turns {
  layer to_check{t}[edge] : bias(off), half_tanh
  layer to_bit{t}[edge] : twice_atanh
  layer odds{t}[bits] : bias(off), scale(-1)
  connect heard -> to_check{t} : at_bit with share = heard_weight
  connect to_check{t} -> to_bit{t} : others_of_check with reduce = product
  connect heard -> odds{t} : one_to_one with share = last_heard_weight
  connect to_bit{t} -> odds{t} : { e -> tanner.source(e) } with share = last_weight
  loss binary_cross_entropy(odds{t}, sent) / turns
}
for t in 2..turns {
  connect to_bit{t-1} -> to_check{t} : others_of_bit with share = weight_of_bit
}
output odds{turns}
"""
UNROLLED_NAMES = {
    "heard_to_check.weight": "heard_weight",
    "to_bit_to_check.weight": "weight_of_bit",
    "heard_odds.weight": "last_heard_weight",
    "to_bit_odds.weight": "last_weight",
}


def test_turns_in_time_are_those_that_a_for_unrolls(
    compiled: Callable[[Path], Path],
    monkeypatch: pytest.MonkeyPatch,
    codes: Callable[[int], tuple[np.ndarray, np.ndarray]],
    tmp_path: Path,
) -> None:
    """Odds after every turn, the loss and the gradients by all weights, which a `for` ties by name."""
    spec = ROOT / "examples" / "decoder.nnspec"
    set_up, *_ = spec.read_text().partition("steps turns")
    write(compile_spec(spec, ["numpy"], text=set_up + UNROLLED, name="unrolled").files, tmp_path)
    for folder in (compiled(spec), tmp_path):
        monkeypatch.syspath_prepend(str(folder))
    net, in_torch = importlib.import_module("decoder_numpy"), importlib.import_module("decoder_torch")
    unrolled = importlib.import_module("unrolled_numpy")
    sent, heard = some_words(codes(31)[0])
    p = some_weights(net)
    tied = {UNROLLED_NAMES[name]: array for name, array in p.items()}
    layers = unrolled.layers(tied, heard)
    wanted = np.stack([layers[f"odds{turn}"] for turn in range(1, TURNS + 1)], axis=1)
    wanted_loss, wanted_gradients = unrolled.gradients(tied, heard, sent)

    at_every_turn = np.repeat(sent[:, None].astype(np.float64), TURNS, axis=1)
    model = in_torch.Decoder().double()
    model.load_arrays(net.to_arrays(p))
    odds = model(torch.tensor(heard))
    loss = model.loss(odds, torch.tensor(at_every_turn))
    loss.backward()
    by_torch = {name: weight.grad.numpy() for name, weight in model.named_parameters()}
    in_numpy = (net.forward(p, heard), *net.gradients(p, heard, at_every_turn))
    for values, total, gradients in (in_numpy, (odds.detach().numpy(), loss.item(), by_torch)):
        np.testing.assert_allclose(values, wanted, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(total, wanted_loss, rtol=1e-10)
        assert gradients.keys() >= UNROLLED_NAMES.keys()
        for name, unrolled_name in UNROLLED_NAMES.items():
            expected = wanted_gradients[unrolled_name]
            largest = np.abs(expected).max()
            assert largest > 0
            np.testing.assert_allclose(gradients[name] / largest, expected / largest, rtol=1e-10, atol=1e-10)
