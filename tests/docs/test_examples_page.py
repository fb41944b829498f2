"""The page of examples shows the examples, and code by hand that computes the same as what is generated."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from .test_docs import blocks

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "examples.md"
SHOWN = {block.rest: block.text for block in blocks(PAGE) if block.rest}
BY_HAND = {
    "lenet5": ("lenet5_by_hand", "LeNet5"),
    "tied_autoencoder": ("tied_by_hand", "TiedAutoencoder"),
    "gene_terms": ("terms_by_hand", "GeneTerms"),
    "decoder": ("decoder_by_hand", "Decoder"),
    "min_sum_decoder": ("min_sum_by_hand", "MinSumDecoder"),
    "lstm": ("lstm_by_hand", "Lstm"),
    "gru": ("gru_by_hand", "Gru"),
    "echo_state": ("echo_by_hand", "EchoState"),
    "spiking": ("spiking_by_hand", "Spiking"),
    "worm": ("worm_by_hand", "Worm"),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_specs_are_the_examples(name: str) -> None:
    assert SHOWN[f"{name}.nnspec"] == (EXAMPLES / f"{name}.nnspec").read_text()


def lines_of(*files: str) -> int:
    lines = [line.strip() for file in files for line in SHOWN[file].splitlines()]
    return sum(bool(line) and not line.startswith("#") for line in lines)


def test_the_lines_are_counted() -> None:
    told = re.findall(r"^\| \[(\w+)\]\(#.*?\) \| (\d+) \| (\d+) \|$", PAGE.read_text(), re.MULTILINE)
    counted = []
    for name, (module, _) in BY_HAND.items():
        inherited = ["decoder_by_hand.py"] * (name == "min_sum_decoder")
        lines = lines_of(f"{name}.nnspec"), lines_of(f"{module}.py", *inherited)
        counted.append((name, *map(str, lines)))
    assert told == counted


def test_the_derivatives_are_those_that_are_generated() -> None:
    [shown] = [block.text for block in blocks(PAGE) if block.language == "text"]
    golden = ROOT / "tests" / "golden" / "modules" / "tied_autoencoder_numpy.py"
    assert "".join(f"    {line}\n" for line in shown.splitlines()) in golden.read_text()


def of_lenet5(p: dict[str, Tensor]) -> dict[str, Tensor]:
    maps = [len(m) for m in importlib.import_module("lenet5_by_hand").TABLE]
    parts = p["s2_c3.weight"].reshape(-1, 1, 5, 5).split(maps)
    c3 = {f"c3.{k}.weight": part.reshape(1, -1, 5, 5) for k, part in enumerate(parts)}
    c3 |= {f"c3.{k}.bias": p["c3.bias"][k : k + 1] for k in range(16)}
    pools = {"s2": "c1_s2.weight", "s4": "c3_s4.weight"}
    pooled = {f"{s}.weight": p[name].reshape(-1, 1, 1) for s, name in pools.items()}
    pooled |= {f"{s}.bias": p[f"{s}.bias"].reshape(-1, 1, 1) for s in pools}
    pairs = ("s4", "c5"), ("c5", "f6"), ("f6", "score")
    dense = {f"{to}.weight": p[f"{of}_{to}.weight"] for of, to in pairs}
    biases = {f"{to}.bias": p[f"{to}.bias"] for to in ("c1", "c5", "f6", "score")}
    return {"c1.weight": p["image_c1.weight"].reshape(6, 1, 5, 5)} | c3 | pooled | dense | biases


def of_gene_terms(p: dict[str, Tensor]) -> dict[str, Tensor]:
    wiring = importlib.import_module("gene_terms_numpy").wiring()

    def masked(connection: str, like: str) -> dict[str, Tensor]:
        weight = torch.zeros_like(model_by_hand("gene_terms").state_dict()[f"{like}.mask"]).double()
        target, source = (np.array(wiring[f"{connection}.{end}"]) for end in ("target", "source"))
        weight[target, source] = p[f"{connection}.weight"]
        return {f"{like}.weight": weight}

    arrays = {}
    for d in (1, 2, 3):
        arrays |= masked(f"lost_h{d}", f"from_genes.{d - 1}")
    for d in (2, 3):
        arrays |= masked(f"h{d}_h{d - 1}", f"from_terms.{d - 1}")
    arrays["from_terms.0.weight"] = p["h1_h0.weight"]
    for d in range(4):
        arrays |= {
            f"biases.{d}": p[f"h{d}.bias"],
            f"heads.{d}.weight": p[f"h{d}_growth{d}.weight"],
            f"heads.{d}.bias": p[f"growth{d}.bias"],
        }
    return arrays


def of_decoder(p: dict[str, Tensor]) -> dict[str, Tensor]:
    by_bit = model_by_hand("decoder").bit.argsort(stable=True)
    last = torch.empty_like(p["to_bit_odds.weight"])
    last[by_bit] = p["to_bit_odds.weight"]
    return {
        "heard_weight": p["heard_to_check.weight"],
        "weight_of_bit": p["to_bit_to_check.weight"],
        "last_heard_weight": p["heard_odds.weight"],
        "last_weight": last,
    }


def gated(p: dict[str, Tensor], into: str, back: str) -> dict[str, Tensor]:
    """The parameters of PyTorch's own: the matrices of all gates, one above the other, and two biases."""
    shared = {gate: torch.zeros_like(p[f"{gate}.bias"]) for gate in back if gate in into}
    named = {"a": "arriving", "b": "back"}
    at = [[named.get(gate, gate) for gate in gates] for gates in (into, back)]
    of = {
        "weight_ih": [p[f"row_{gate}.weight"] for gate in at[0]],
        "weight_hh": [p[f"h_{gate}.weight"] for gate in at[1]],
        "bias_ih": [p[f"{gate}.bias"] for gate in at[0]],
        "bias_hh": [shared.get(gate, p[f"{gate}.bias"]) for gate in at[1]],
    }
    own = {f"gates.{name}_l0": torch.cat(parts) for name, parts in of.items()}
    return own | {"score.weight": p["h_score.weight"], "score.bias": p["score.bias"]}


def of_lstm(p: dict[str, Tensor]) -> dict[str, Tensor]:
    return gated(p, "ifgo", "ifgo")


def of_gru(p: dict[str, Tensor]) -> dict[str, Tensor]:
    return gated(p, "rza", "rzb")


def stored_sources(name: str, connection: str) -> Tensor:
    """The sources of a connection's edges, one behind the other, as the generated module has stored them."""
    module = importlib.import_module(f"{name}_numpy")
    edges = np.load(Path(str(module.__file__)).with_name(f"{name}.npz"))
    return torch.tensor(edges[f"{connection}.source"]).long()


def of_echo_state(p: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        "source": stored_sources("echo_state", "h_h").reshape(100, 5),
        "into": p["u_h.weight"],
        "weight": p["h_h.weight"].reshape(100, 5),
        "told.weight": torch.cat([p["h_told.weight"], p["squared_told.weight"]], 1),
        "told.bias": p["told.bias"],
    }


def of_spiking(p: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        "pixel": stored_sources("spiking", "pixel_arriving").reshape(64, 16),
        "pixel_weight": p["pixel_arriving.weight"].reshape(64, 16),
        "weight": p["synapses.weight"].reshape(64, 6),
        "bias": p["arriving.bias"],
        "votes.weight": p["s_votes.weight"],
        "votes.bias": p["votes.bias"],
    }


def of_worm(p: dict[str, Tensor]) -> dict[str, Tensor]:
    """By hand synapses and junctions are in the order of their tables, and all synapses in one vector."""
    hand = model_by_hand("worm")
    chemical, gaps = hand.chemical.numpy(), hand.gaps.numpy()
    synapse, conductance = (torch.empty(ends.shape[1]).double() for ends in (chemical, gaps))
    conductance[np.lexsort(gaps)] = p["conductance"]
    for name, signed in (("signed", True), ("unsigned", False)):
        among = np.flatnonzero((hand.sign.numpy() != 0) == signed)
        synapse[among[np.lexsort(chemical[:, among])]] = p[f"{name}.weight"]
    return {
        "synapse": synapse,
        "conductance": conductance,
        "feeling": p["touch_arriving.weight"],
        "bias": p["arriving.bias"],
        "away_bias": p["away.bias"],
    }


def of_tied(p: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"w": p["w"], "code_bias": p["code.bias"], "xhat_bias": p["xhat.bias"]}


ARRANGED = {
    "lenet5": (of_lenet5, (32, 32), "score"),
    "tied_autoencoder": (of_tied, (64,), "xhat"),
    "gene_terms": (of_gene_terms, (203,), "growth"),
    "decoder": (of_decoder, (31,), "odds"),
    "min_sum_decoder": (of_decoder, (31,), "odds"),
    "lstm": (of_lstm, (8, 8), "score"),
    "gru": (of_gru, (8, 8), "score"),
    "echo_state": (of_echo_state, (12, 2), "told"),
    "spiking": (of_spiking, (12, 64), "score"),
    "worm": (of_worm, (6, 5), "away"),
}


# What nothing trains has no derivative; what stays as it is given is a number by hand.
GIVEN = ("one_side.weight", "other_side.weight", "b.weight")
FROZEN = ("u_h.weight", "h_h.weight", *GIVEN)


def model_by_hand(name: str) -> torch.nn.Module:
    module, model = BY_HAND[name]
    return getattr(importlib.import_module(module), model)()


@pytest.fixture
def by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of the page, importable, where they find their tables."""
    for file in (f"{module}.py" for module, _ in BY_HAND.values()):
        (tmp_path / file).write_text(SHOWN[file])
        sys.modules.pop(file.removesuffix(".py"), None)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(EXAMPLES)


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand_is_the_same(
    compiled: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Outputs, loss and the gradient of every parameter, in float64."""
    monkeypatch.syspath_prepend(str(compiled(EXAMPLES / f"{name}.nnspec")))
    net = importlib.import_module(f"{name}_numpy")
    arrange, shape, outputs = ARRANGED[name]
    rng = np.random.default_rng(0)
    moved = {key: rng.normal(0, 0.1, array.shape) for key, array in net.init().items() if key not in GIVEN}
    p = {key: array + moved.get(key, 0.0) for key, array in net.init().items()}
    x = rng.normal(size=(7, *shape))
    target = {
        **dict.fromkeys(("lenet5", "lstm", "gru", "spiking"), rng.integers(10, size=7)),
        "tied_autoencoder": x,
        "gene_terms": rng.normal(size=(7, 1)),
        "echo_state": rng.normal(size=(7, 12, 1)),
        "worm": rng.integers(2, size=(7, 1)).astype(float),
    }.get(name, rng.integers(2, size=(7, 3, 31)).astype(float))

    model = model_by_hand(name).double()
    tensors = {key: torch.tensor(array, requires_grad=True) for key, array in p.items()}
    state = dict(model.named_buffers()) | arrange(tensors)
    assert state.keys() == model.state_dict().keys()
    got = torch.func.functional_call(model, state, (torch.tensor(x),))
    loss = model.loss(got, torch.tensor(target))
    loss.backward()

    if hasattr(net, "run"):
        layers = net.forward(p, x)
    else:
        layers = [value for key, value in net.layers(p, x).items() if re.fullmatch(rf"{outputs}\d?", key)]
    several = (each if isinstance(each, list | tuple) else [each] for each in (got, layers))
    for one, other in zip(*several, strict=True):
        np.testing.assert_allclose(one.detach(), other, rtol=1e-9, atol=1e-12)
    wanted, g = net.gradients(p, x) if name == "tied_autoencoder" else net.gradients(p, x, target)
    assert abs(loss.item() - wanted) <= 1e-12 * abs(wanted)
    assert g.keys() >= {key for key in p if key not in FROZEN}
    for key in tensors.keys() & g.keys():
        np.testing.assert_allclose(tensors[key].grad, g[key], rtol=1e-8, atol=1e-12, err_msg=key)
