"""Networks that run over time, drawn, against a loop over neurons, edges and steps."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnspec.compiler import load
from nnspec.compiler.graph.stages import stages
from nnspec.compiler.pipeline import understand

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softsign": lambda x: x / (1 + (x if np.real(x) > 0 else -x)),
}


@dataclass
class Drawn:
    """A spec, what each of its layers is, and how many steps it is given.

    `delays` are those by edge: of `1 + (a * i + b * j) % c` the numbers, by connection.
    """

    text: str
    layers: dict[str, tuple[int, str, tuple[str, int, int] | None]]
    sizes: dict[str, int]
    starts: dict[str, float | None]
    steps: int
    given: bool
    delays: dict[str, tuple[int, int, int]]

    def said(self, connection: str) -> str:
        """The line of a connection."""
        return next(line for line in self.text.splitlines() if f" as {connection} " in line)


def draw(seed: int) -> Drawn:
    """A recurrent network of a few layers, some of which are products with an earlier step."""
    rng = random.Random(seed)
    given = rng.random() < 0.8
    steps = rng.randint(1, 8)
    sizes = {"u": rng.randint(1, 3), "x": rng.randint(1, 3)}
    lines = ["model drawn", f"input u[{sizes['u']}]{' over time' * given}", f"input x[{sizes['x']}]"]
    layers: dict[str, tuple[int, str, tuple[str, int, int] | None]] = {}
    starts: dict[str, float | None] = {}
    delays: dict[str, tuple[int, int, int]] = {}
    names = [f"l{number}" for number in range(rng.randint(2, 4))]
    sizes |= {name: rng.randint(1, 4) for name in names}
    for at, name in enumerate(names):
        start = rng.choice([0.0, 0.0, 0.5, None])
        said = "" if start == 0 else f"start = {'trained' if start is None else start}"
        starts[name] = start
        same = [other for other in names[:at] if sizes[other] == sizes[name]]
        if same and rng.random() < 0.4:
            other, late, back = rng.choice(same), rng.choice(names), rng.randint(1, 5)
            late = late if sizes[late] in (1, sizes[name]) else name
            layers[name] = sizes[name], "", (other, names.index(late), back)
            made = f" = {other} * before({late}, {back})"
            lines.append(f"layer {name}[{sizes[name]}]{made}{' : ' * bool(said)}{said}")
            continue
        activation = rng.choice([*ACTIVATIONS])
        layers[name] = sizes[name], activation, None
        lines.append(f"layer {name}[{sizes[name]}] : {', '.join(filter(None, [activation, said]))}")
    for at, name in enumerate(names):
        if layers[name][2] is not None:
            continue
        sources = rng.sample(["u", "x", *names], rng.randint(1, 3))
        if at == 0 or rng.random() < 0.5:
            sources = ["u", *(each for each in sources if each != "u"), name]
        for source in dict.fromkeys(sources):
            delay = rng.randint(1, 5) if source in names[at:] or rng.random() < 0.3 else 0
            kind = f"random(p = 0.6, seed = {rng.randint(0, 99)})" if rng.random() < 0.6 else "all"
            late = f" with delay = {delay}" if delay else ""
            if delay and rng.random() < 0.5:
                a, b, c = delays[f"{source}_to_{name}"] = rng.randint(0, 3), rng.randint(0, 3), delay
                kind = rng.choice(["{ i -> j }", "{ i -> j : (i + j) % 2 == 0 }", "{ i -> j : i <= j }"])
                late = f" with delay = 1 + ({a} * i + {b} * j) % {c}"
                late += rng.choice(["", "", ", share = (i % 2, j % 2)", ", sign = 1 - 2 * (i % 2)"])
            lines.append(f"connect {source} -> {name} as {source}_to_{name} : {kind}{late}")
    # What nothing reads reaches an output, and there is a delay wherever nothing else says how many steps.
    lines.append(
        f"connect {names[-1]} -> {names[0]} as round : all with delay = 1"
        if layers[names[0]][2] is None
        else ""
    )
    lines += [f"output {name}" for name in names]
    lines += [] if given else [f"steps {steps}"]
    return Drawn("\n".join(lines) + "\n", layers, sizes, starts, steps, given, delays)


def by_hand(drawn: Drawn, model: Any, p: dict[str, Any], data: dict[str, Any]) -> dict[str, list[Any]]:
    """All layers at all steps, of one sample: neuron by neuron, edge by edge."""
    past: dict[str, list[Any]] = {name: [] for name in drawn.sizes}
    order = [layer.name for layer in model.layers]

    def at(name: str, step: int, unit: int) -> Any:
        if step >= 0:
            return past[name][step][unit]
        start = drawn.starts.get(name, 0.0)
        return p[f"{name}.start"][unit] if start is None else start

    for step in range(drawn.steps):
        past["u"].append(data["u"][step] if drawn.given else data["u"])
        past["x"].append(data["x"])
        for name in order:
            size, activation, product = drawn.layers[name]
            values: list[Any] = []
            for unit in range(size):
                if product is not None:
                    other, late, back = product[0], list(drawn.layers)[product[1]], product[2]
                    where = unit if drawn.sizes[late] > 1 else 0
                    values.append(at(other, step, unit) * at(late, step - back, where))
                    continue
                total = p[f"{name}.bias"][unit] + 0
                for connection in model.into(name):
                    weights = p[f"{connection.name}.weight"].reshape(-1)
                    sources, targets = connection.edges.edges()
                    keys = sorted({(i % 2, j % 2) for i, j in zip(sources, targets, strict=True)})
                    for edge, (source, target) in enumerate(zip(sources, targets, strict=True)):
                        if target == unit:
                            delay = connection.delay
                            if connection.name in drawn.delays:
                                a, b, c = drawn.delays[connection.name]
                                delay = 1 + (a * source + b * target) % c
                            said = drawn.said(connection.name)
                            shared = keys.index((source % 2, target % 2)) if "share" in said else edge
                            weight = weights[shared]
                            if "sign" in said:
                                weight = weight * (1 if np.real(weight) > 0 else -1) * (1 - 2 * (source % 2))
                            total = total + weight * at(connection.source, step - delay, source)
                values.append(ACTIVATIONS[activation](total))
            past[name].append(values)
    return {name: past[name] for name in drawn.layers}


def with_numpy(
    drawn: Drawn, p: dict[str, Any], data: dict[str, Any], cotangents: dict[str, Any], along: dict[str, Any]
) -> tuple[float, dict[str, Any]]:
    """The derivative along a direction, and the layers' values."""
    module = load(text=drawn.text, target="numpy")
    values = module.layers(p, data["u"], data["x"])
    gradients = module.backward(p, values, data["u"], data["x"], *cotangents.values())
    return sum(np.vdot(gradients[name], d) for name, d in along.items()), values


def with_torch(
    drawn: Drawn, p: dict[str, Any], data: dict[str, Any], cotangents: dict[str, Any], along: dict[str, Any]
) -> tuple[float, dict[str, Any]]:
    """The derivative along a direction, and the layers' values."""
    model = load(text=drawn.text, target="torch").Drawn().double()
    model.load_arrays(p)
    given = {name: torch.tensor(array, requires_grad=True) for name, array in data.items()}
    outputs = model(given["u"], given["x"])
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    loss = sum((y * torch.tensor(d)).sum() for y, d in zip(outputs, cotangents.values(), strict=True))
    loss.backward()
    names = model._array_names if hasattr(model, "_array_names") else {}
    leaves = {names.get(name, name): x for name, x in model.named_parameters()} | given
    slope = sum(
        float((x.grad * torch.tensor(along[n])).sum()) for n, x in leaves.items() if x.grad is not None
    )
    with torch.no_grad():
        values = {name: value.numpy() for name, value in model.layers(given["u"], given["x"]).items()}
    return slope, values


Way = Callable[[Drawn, dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]], Any]


def check(seed: int, **ways: Way) -> None:
    """Values of every step, and derivatives by everything along a direction, to 1e-10, in some targets."""
    drawn = draw(seed)
    passage = understand(Path("drawn.nnspec"), text=drawn.text)
    rng, batch, step = np.random.default_rng(seed), 2, 1e-200
    p = {each.name: rng.normal(size=each.shape) for each in passage.graph.parameters}
    data = {"u": rng.normal(size=(batch, *[drawn.steps] * drawn.given, drawn.sizes["u"]))}
    data["x"] = rng.normal(size=(batch, drawn.sizes["x"]))
    cotangents = {name: rng.normal(size=(batch, size)) for name, (size, _, _) in drawn.layers.items()}
    along = {name: rng.normal(size=array.shape) for name, array in (p | data).items()}
    moved = {name: array + 1j * step * along[name] for name, array in (p | data).items()}
    each = [
        by_hand(drawn, passage.model, moved, {name: moved[name][at] for name in data}) for at in range(batch)
    ]
    wanted = {name: np.array([one[name] for one in each]) for name in drawn.layers}  # (batch, steps, units)
    slope = sum(np.vdot(y[:, -1].imag / step, cotangents[name]) for name, y in wanted.items())
    for who, run in ways.items():
        found, values = run(drawn, p, data, cotangents, along)
        for name, y in wanted.items():
            held = y if name in passage.graph.timed else y[:, -1]
            what = f"{who}: {name}\n{drawn.text}"
            np.testing.assert_allclose(values[name], held.real, rtol=1e-10, atol=1e-10, err_msg=what)
        assert abs(found - slope) < 1e-10 * (1 + abs(slope)), f"{who}: {found}, not {slope}\n{drawn.text}"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNSPEC_CACHE", str(tmp_path))


@pytest.mark.parametrize("seed", range(25))
def test_drawn_networks_are_those_of_a_loop_over_neurons(seed: int) -> None:
    check(seed, numpy=with_numpy, torch=with_torch)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25, 225))
def test_more_drawn_networks_are_those_of_a_loop_over_neurons(seed: int) -> None:
    check(seed, numpy=with_numpy, torch=with_torch)


def test_drawn_networks_have_stages_of_every_kind() -> None:
    drawn = [draw(seed) for seed in range(25)]
    graphs = [understand(Path("drawn.nnspec"), text=each.text).graph for each in drawn]
    kinds = [stage.kind for graph in graphs for stage in stages(graph)]
    assert {*kinds} == {"once", "all steps", "loop"}
    assert {delay.steps for graph in graphs for delay in graph.delays} == {1, 2, 3, 4, 5}
    divided = [each for graph in graphs for each in graph.divided]
    assert len(divided) > 5
    assert max(len(each.parts) for each in divided) > 2


EXAMPLES = Path(__file__).parent.parent.parent / "examples"
LSTM, GRU = ((EXAMPLES / f"{name}.nnspec").read_text() for name in ("lstm", "gru"))


@pytest.mark.parametrize(("text", "native", "gates"), [(LSTM, "LSTM", "ifgo"), (GRU, "GRU", "rzn")])
def test_gated_networks_are_those_of_pytorch(text: str, native: str, gates: str) -> None:
    """Outputs, and the gradients of the input and of all weights, in double precision."""
    module = load(text=text, target="torch")
    (own,) = (each for each in vars(module).values() if hasattr(each, "initial_state"))
    model, theirs = own().double(), getattr(torch.nn, native)(8, 32, batch_first=True).double()
    arrays = model.to_arrays()
    places = {gate: (gate, gate) for gate in gates} | ({"n": ("arriving", "back")} if native == "GRU" else {})
    at = {gate: slice(32 * number, 32 * number + 32) for number, gate in enumerate(gates)}
    rng = np.random.default_rng(0)
    state = {name: torch.tensor(rng.normal(size=tuple(w.shape))) for name, w in theirs.state_dict().items()}
    theirs.load_state_dict(state)
    for gate, (into, back) in places.items():
        arrays[f"row_{into}.weight"] = state["weight_ih_l0"][at[gate]].numpy()
        arrays[f"h_{back}.weight"] = state["weight_hh_l0"][at[gate]].numpy()
        own_bias, other = state["bias_ih_l0"][at[gate]].numpy(), state["bias_hh_l0"][at[gate]].numpy()
        arrays[f"{into}.bias"] = own_bias + (other if into == back else 0)
        if into != back:
            arrays[f"{back}.bias"] = other
    model.load_arrays(arrays)
    x = torch.tensor(rng.normal(size=(3, 11, 8)), requires_grad=True)
    again = x.detach().clone().requires_grad_()
    y, (wanted, _) = model.layers(x)["h"], theirs(again)
    torch.testing.assert_close(y, wanted, rtol=1e-10, atol=1e-10)
    factor = torch.tensor(rng.normal(size=tuple(y.shape)))
    (y * factor).sum().backward()
    (wanted * factor).sum().backward()
    torch.testing.assert_close(x.grad, again.grad, rtol=1e-10, atol=1e-10)
    for gate, (into, back) in places.items():
        for mine, its in ((f"row_{into}", theirs.weight_ih_l0), (f"h_{back}", theirs.weight_hh_l0)):
            found = getattr(model, mine).weight.grad
            torch.testing.assert_close(found, its.grad[at[gate]], rtol=1e-10, atol=1e-10)


def test_a_detached_state_ends_where_gradients_go() -> None:
    module = load(text=LSTM, target="torch")
    model, x = module.Lstm(), torch.randn(2, 6, 8)
    _, state = model.run(x[:, :3])
    assert all(each.requires_grad for each in state.values())
    first = x[:, :3].clone().requires_grad_()
    _, state = model.run(first)
    values, _ = model.run(x[:, 3:], {name: each.detach() for name, each in state.items()})
    values["h"].sum().backward()
    assert first.grad is None
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert {name for name, _ in model.named_parameters()} - reached == {"h_score.weight", "h_score.bias"}
    state = model.initial_state(2)
    for step in range(6):
        values, state = model.step(x[:, step], state)
    torch.testing.assert_close(values["h"], model.layers(x)["h"][:, -1])


def test_the_step_is_transposed_nowhere_in_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sparse layers compute units first: many steps make as many copies as a few, backwards too."""
    text = """model sparse
input u[2000] over time
layer h[3000] : tanh
layer g[3000] : tanh
connect u -> h : random(fan_in = 10, seed = 1)
connect h -> g : random(fan_in = 10, seed = 2)
connect g -> h : random(fan_in = 10, seed = 3) with delay = 1
connect g -> g : random(fan_in = 10, seed = 4) with delay = 2
output g
"""
    module = load(text=text, target="torch")
    model, counts = module.Sparse(), []
    copy = module.TransposedCopy.forward
    for steps in (3, 9):
        made: list[tuple[int, ...]] = []

        def counting(matrix: torch.Tensor) -> torch.Tensor:
            made.append(tuple(matrix.shape))  # noqa: B023 - called within this turn
            return copy(matrix)

        monkeypatch.setattr(module.TransposedCopy, "forward", staticmethod(counting))
        model(torch.randn(4, steps, 2000, requires_grad=True)).sum().backward()
        counts.append(len(made))
    assert counts[0] == counts[1]


def test_what_a_few_units_bring_is_computed_in_the_loop() -> None:
    """NumPy computes it before the loop: values, and all gradients, are the same."""
    text = """model echo
input u[3] over time
layer h[2000] : tanh
connect u -> h : all
connect h -> h : random(fan_in = 10, seed = 1) with delay = 1
output h
"""
    torch_module, numpy_module = load(text=text, target="torch"), load(text=text, target="numpy")
    model, rng = torch_module.Echo().double(), np.random.default_rng(0)
    arrays = {name: x for name, x in model.to_arrays().items() if x.dtype.kind == "f"}
    u, factor = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 2000))
    read = list[tuple[int, ...]]()
    model.u_h.register_forward_pre_hook(lambda module, given: read.append(tuple(given[0].shape)))
    given = torch.tensor(u, requires_grad=True)
    (model(given) * torch.tensor(factor)).sum().backward()
    assert read == [(2, 3)] * 5
    values = numpy_module.layers(arrays, u)
    wanted = numpy_module.backward(arrays, values, u, factor)
    assert given.grad is not None
    found = {name: x.grad.numpy() for name, x in model.named_parameters()} | {"u": given.grad.numpy()}
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, wanted[name], rtol=1e-9, atol=1e-11, err_msg=name)


SPECS = Path(__file__).parent.parent / "specs"


@pytest.mark.parametrize("name", ["over_time", "iterated", "delays"])
def test_what_is_computed_again_is_the_same(name: str) -> None:
    """Values, and the gradients of inputs, weights and of a given state, with every third step kept."""
    graph = understand(SPECS / f"{name}.nnspec").graph
    torch.manual_seed(0)
    steps = 8
    given = [
        torch.randint(-1, data.classes, (2, *[steps] * data.over_time, *data.shape))
        if data.classes
        else torch.randn(2, *[steps] * data.over_time, *data.shape, dtype=torch.float64)
        for data in graph.inputs
    ]
    found = list[list[torch.Tensor]]()
    for remat in (0, 3):
        module = load(SPECS / f"{name}.nnspec", "torch", remat=remat)
        (own,) = (each for each in vars(module).values() if hasattr(each, "initial_state"))
        model = own().double().eval()
        inputs = [x.clone().requires_grad_(x.is_floating_point()) for x in given]
        state = {name: (x + 0.1).detach().requires_grad_() for name, x in model.initial_state(2).items()}
        outputs = model(*inputs, state, *([steps] if graph.steps else []))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        sum((y * torch.arange(y.numel()).reshape(y.shape).sin()).sum() for y in outputs).backward()
        leaves = [*inputs, *state.values(), *model.parameters()]
        found.append([*outputs, *(torch.zeros_like(x) if x.grad is None else x.grad for x in leaves)])
    for mine, wanted in zip(*found, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-12, atol=1e-12)


def test_masks_are_the_same_when_they_are_drawn_again() -> None:
    """In the loop they are drawn as they are without it: values and gradients are equal to the bit."""
    text = """model dropping
input u[3] over time
layer h[40] : tanh, dropout(0.5)
connect u -> h : all
connect h -> h : all with delay = 1
output h
"""
    found = list[list[torch.Tensor]]()
    for remat in (0, 4):
        model = load(text=text, target="torch", remat=remat).Dropping().double().train()
        torch.manual_seed(1)
        u = torch.linspace(-1, 1, 2 * 9 * 3, dtype=torch.float64).reshape(2, 9, 3).requires_grad_()
        y = model(u)
        y.square().sum().backward()
        assert u.grad is not None
        found.append([y, u.grad, *(x.grad for x in model.parameters())])
    for mine, wanted in zip(*found, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-12, atol=0)


def test_inputs_of_other_lengths_are_not_cut_off() -> None:
    model = load(SPECS / "over_time.nnspec", "torch", remat=3).OverTime()
    with pytest.raises(ValueError, match="`code` must have the shape"):
        model(torch.randn(2, 5, 3), torch.randn(2, 4), torch.zeros(2, 6, dtype=torch.long))
