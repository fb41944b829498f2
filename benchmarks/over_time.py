"""What networks over time cost in PyTorch: `python -m benchmarks time`.

Each work is measured in a process of its own, in which its versions take turns on one thread; what counts is
the processor time of the process, so that others on the machine disturb ratios little. A ratio is the median
of those of the rounds. Memory is the growth of resident memory at its peak in calls of a process of its own,
beyond what they return. Versions are checked against the first one, values and gradients, where they compute
the same.

    python -m benchmarks time            the evidence: some ten minutes on one core
    python -m benchmarks time --quick    smaller networks: under a minute, and no evidence
    python -m benchmarks time --docs     writes the table into docs/performance.md too
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from rich.console import Console
from rich.table import Table

from . import machine
from .harness import ROOT, NotInstalled, high_water, limit_memory, reason
from .report import filled_in, markdown, number, spread

PAGE = ROOT / "docs" / "performance.md"
HEADINGS = ("work", "version", "s", "min to max", "ratio", "at most", "extra MB")
# The C library gives memory of this many bytes back at once, so that what is resident is what is held.
GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}

ECHO = """model echo
input u[3] over time
layer h[{units}] : tanh
connect u -> h : all
connect h -> h : random(fan_in = 10, seed = 1) with delay = 1
output h
"""
SINGLE = """model single
input x[{units}]
layer h[{units}] : tanh
connect x -> h : random(fan_in = 10, seed = 1)
output h
"""
GATES = "".join(
    f"layer {gate}[{{cells}}] : {function}\n"
    f"connect x -> {gate} : all\nconnect h -> {gate} : all with delay = 1\n"
    for gate, function in {"i": "sigmoid", "f": "sigmoid", "g": "tanh", "o": "sigmoid"}.items()
)
LSTM = f"""model memory
input x[{{features}}] over time
{GATES}layer c[{{cells}}] = f * before(c) + i * g
layer h[{{cells}}] = o * tanh(c)
output h over time
"""
PARTIAL = """model partial
input x[{units}] over time
layer a[{units}] : tanh
layer b[{units}] : tanh
layer s[100] : tanh
layer y[10]
connect x -> a : random(fan_in = 5, seed = 1)
connect a -> b : random(fan_in = 5, seed = 2)
connect b -> s : random(fan_in = 20, seed = 3)
connect s -> s : random(fan_in = 10, seed = 4) with delay = 1
connect b -> y : random(fan_in = 50, seed = 5)
connect s -> y : all
output y over time
"""
STILL = (
    "\n".join(line for line in PARTIAL.replace(" over time", "").splitlines() if "delay" not in line) + "\n"
)
SPIKING = """model spiking
function spike(v, sharpness = 10) = where(v > 0, 1, 0) with derivative = 1 / (1 + sharpness * abs(v))**2
input x[20] over time
layer arriving[{units}] : bias(off)
layer v[{units}] = 0.9 * before(v) + arriving - stop(before(s))
layer s[{units}] = spike(v - 1)
connect x -> arriving : all with weight ~ normal(0, 0.5)
connect s -> arriving : random(fan_in = 10, seed = 1) with delay = 1
output v
"""

Run: TypeAlias = Callable[[], Any]


@dataclass(frozen=True)
class Sizes:
    """How large the networks are. The defaults are those of the evidence."""

    units: int = 100_000
    dense_units: int = 2000
    features: int = 128
    cells: int = 256
    batch: int = 16
    steps: int = 50
    gathered: int = 10
    remat: int = 7
    rounds: int = 5


QUICK = Sizes(units=4000, dense_units=400, features=32, cells=64, gathered=5, rounds=2)
TOY = Sizes(units=60, dense_units=30, features=3, cells=4, batch=2, steps=4, gathered=2, rounds=1)


@dataclass(frozen=True)
class Version:
    """A way of computing something: what makes a function that runs it.

    A run gives what is compared with the first version's, or None. Its time is multiplied by `scale`.
    """

    name: str
    make: Callable[[Sizes], Run]
    scale: Callable[[Sizes], float] = lambda sizes: 1.0


@dataclass(frozen=True)
class Work:
    """Versions to compare, and the most that the first may take in times of each other, by its name."""

    name: str
    versions: tuple[Version, ...]
    most: Mapping[str, float]


def compiled(text: str, sizes: Sizes, units: int | None = None, remat: int = 0) -> Any:
    """A module made of a spec."""
    from nnspec.compiler import load

    return load(text=filled(text, sizes, units), batch=sizes.batch, remat=remat)


def filled(text: str, sizes: Sizes, units: int | None = None) -> str:
    """A spec with its sizes."""
    return text.format(units=units or sizes.units, features=sizes.features, cells=sizes.cells)


def edges_of(text: str, sizes: Sizes, connection: str, units: int | None = None) -> tuple[Any, Any]:
    """Source and target of every edge of a connection, in the order of its weights."""
    from nnspec.compiler.pipeline import understand

    graph = understand(Path("over_time.nnspec"), text=filled(text, sizes, units)).graph
    return next(op.edges.edges() for op in graph.projections if op.connection == connection)


def drawn(*shape: int, seed: int = 0) -> Any:
    """Numbers for an input or a gradient, the same in every version."""
    import torch

    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


# ----------------------------------------------------------------------------- a sparse recurrent network


def echo(sizes: Sizes, remat: int = 0) -> Run:
    """The spec: the last step, and the gradients of all weights."""
    model = compiled(ECHO, sizes, remat=remat).Echo()
    u, factor = drawn(sizes.batch, sizes.steps, 3), drawn(sizes.batch, sizes.units, seed=1)

    def run() -> Any:
        model.zero_grad()
        h = model(u)
        h.backward(factor)
        return h, model.h_h.weight.grad

    return run


def kept(sizes: Sizes) -> Run:
    """The spec, with the states between those that are kept computed again."""
    return echo(sizes, sizes.remat)


def singles(sizes: Sizes) -> Run:
    """As many layers of the same edges, each by itself, with its bias, tanh and gradients."""
    model = compiled(SINGLE, sizes).Single()
    x, factor = (drawn(sizes.units, sizes.batch, seed=seed).t() for seed in (0, 1))

    def run() -> None:
        model.zero_grad()
        for _ in range(sizes.steps):
            model(x.detach().requires_grad_()).backward(factor)

    return run


def gathered(sizes: Sizes) -> Run:
    """The loop as it is written by hand, over fewer steps than the memory of all would take."""
    import torch

    model = compiled(ECHO, sizes).Echo()
    index = torch.as_tensor(edges_of(ECHO, sizes, "h_h")[0]).reshape(sizes.units, 10)
    weight = model.h_h.weight.detach().reshape(sizes.units, 10).clone().requires_grad_()
    into = model.u_h.weight.detach().clone().requires_grad_()
    bias = model.h.bias.detach().clone().requires_grad_()
    u = drawn(sizes.batch, sizes.steps, 3)[:, : sizes.gathered]
    factor = drawn(sizes.batch, sizes.units, seed=1)

    def run() -> Any:
        weight.grad = into.grad = bias.grad = None
        h = torch.zeros(sizes.batch, sizes.units)
        for x in u.unbind(1):
            h = torch.tanh(x @ into.t() + bias + (h[:, index] * weight).sum(-1))
        h.backward(factor)
        return h, weight.grad.reshape(-1)

    return run


# --------------------------------------------------------------------------------- dense gates, and parts


def memory(sizes: Sizes) -> Run:
    """A long short-term memory as a spec: all steps, and the gradients of all weights."""
    model = compiled(LSTM, sizes).Memory()
    x = drawn(sizes.batch, sizes.steps, sizes.features)

    def run() -> Any:
        model.zero_grad()
        h = model(x)
        h.sum().backward()
        return h, model.h_g.weight.grad

    return run


def cells(sizes: Sizes) -> Run:
    """`nn.LSTMCell` in a loop, with the same weights."""
    import torch

    model = compiled(LSTM, sizes).Memory()
    cell = torch.nn.LSTMCell(sizes.features, sizes.cells)
    x = drawn(sizes.batch, sizes.steps, sizes.features)
    with torch.no_grad():
        for name, end in (("weight_ih", "x"), ("weight_hh", "h")):
            getattr(cell, name).copy_(torch.cat([getattr(model, f"{end}_{gate}").weight for gate in "ifgo"]))
        cell.bias_ih.copy_(torch.cat([getattr(model, gate).bias for gate in "ifgo"]))
        cell.bias_hh.zero_()

    def run() -> Any:
        cell.zero_grad()
        h = c = torch.zeros(sizes.batch, sizes.cells)
        steps: list[Any] = []
        for t in range(sizes.steps):
            h, c = cell(x[:, t], (h, c))
            steps.append(h)
        y = torch.stack(steps, 1)
        y.sum().backward()
        return y, cell.weight_hh.grad[2 * sizes.cells : 3 * sizes.cells]

    return run


def partial(sizes: Sizes) -> Run:
    """Two large layers that do not recur, and a small one behind them that does."""
    return _network(compiled(PARTIAL, sizes).Partial(), drawn(sizes.batch, sizes.steps, sizes.units))


def still(sizes: Sizes) -> Run:
    """The same without time, and the steps as samples."""
    return _network(compiled(STILL, sizes).Partial(), drawn(sizes.batch * sizes.steps, sizes.units))


def _network(model: Any, x: Any) -> Run:
    def run() -> None:
        model.zero_grad()
        model(x).sum().backward()

    return run


# --------------------------------------------------------------------------------------------- the peers


def spikes(sizes: Sizes, units: int | None = None) -> Run:
    """Leaky neurons that spike: their last potentials, and the gradient of the recurrent weights."""
    model = compiled(SPIKING, sizes, units).Spiking()
    x = drawn(sizes.batch, sizes.steps, 20)

    def run() -> Any:
        model.zero_grad()
        v = model(x)
        v.square().sum().backward()
        return v, model.s_arriving.weight.grad

    return run


def snntorch_cells(sizes: Sizes, units: int | None = None) -> Run:
    """snnTorch's `RLeaky`, whose recurrence is a dense matrix; it has zeros where there is no edge."""
    import torch

    try:
        import snntorch
    except ImportError as error:
        raise NotInstalled("not installed") from error
    units = units or sizes.units
    cell = snntorch.RLeaky(0.9, linear_features=units, spike_grad=snntorch.surrogate.fast_sigmoid(slope=10))
    model = compiled(SPIKING, sizes, units).Spiking()
    into = model.x_arriving.weight.detach().clone().requires_grad_()
    source, target = map(torch.as_tensor, edges_of(SPIKING, sizes, "s_arriving", units))
    with torch.no_grad():
        cell.recurrent.bias.zero_()
        cell.recurrent.weight.zero_()[target, source] = model.s_arriving.weight
    x = drawn(sizes.batch, sizes.steps, 20)

    def run() -> Any:
        cell.zero_grad()
        spikes, v = cell.init_rleaky()
        for each in x.unbind(1):
            spikes, v = cell(each @ into.t(), spikes, v)
        v.square().sum().backward()
        return v, cell.recurrent.weight.grad[target, source]

    return run


def norse_cells(sizes: Sizes, units: int | None = None) -> Run:
    """Norse's `LIFRecurrentCell`: neurons with a synaptic current besides, and a dense matrix."""
    try:
        import norse.torch
    except ImportError as error:
        raise NotInstalled("not installed") from error
    cell = norse.torch.LIFRecurrentCell(20, units or sizes.units)
    x = drawn(sizes.batch, sizes.steps, 20)

    def run() -> None:
        cell.zero_grad()
        state = None
        for each in x.unbind(1):
            _, state = cell(each, state)
        state.v.square().sum().backward()

    return run


def reservoir(sizes: Sizes) -> Run:
    """The spec of the reservoir, forward alone."""
    import torch

    model, u = compiled(ECHO, sizes).Echo(), drawn(sizes.batch, sizes.steps, 3)

    def run() -> Any:
        with torch.no_grad():
            return (model(u),)

    return run


def reservoirpy_node(sizes: Sizes) -> Run:
    """reservoirpy's `Reservoir` with the same sparse matrix; it has no gradients."""
    try:
        import scipy.sparse
        from reservoirpy.nodes import Reservoir
    except ImportError as error:
        raise NotInstalled("not installed") from error
    import torch

    model = compiled(ECHO, sizes).Echo()
    source, target = edges_of(ECHO, sizes, "h_h")
    weights, shape = model.h_h.weight.detach().numpy(), (sizes.units, sizes.units)
    matrix = scipy.sparse.csr_matrix((weights, (target, source)), shape)
    into, bias = model.u_h.weight.detach().numpy(), model.h.bias.detach().numpy()
    node = Reservoir(W=matrix, Win=into, bias=bias, input_dim=3, dtype=np.float32)
    series = [*drawn(sizes.batch, sizes.steps, 3).numpy()]
    node.run(series[0])  # from then on there is a state to set back

    def run() -> Any:
        found = list[Any]()
        for each in series:
            node.reset()
            found.append(node.run(each)[-1])
        return (torch.from_numpy(np.stack(found)),)

    return run


def at_dense_size(make: Callable[[Sizes, int | None], Run]) -> Callable[[Sizes], Run]:
    """A version with as few units as a dense matrix has room for."""
    return lambda sizes: make(sizes, sizes.dense_units)


def works(sizes: Sizes) -> tuple[Work, ...]:
    """All that is measured."""
    loop = f"(h[:, idx] * w).sum(-1), {sizes.gathered} steps scaled"
    wiring = f"{sizes.units:,} units, fan-in 10"
    dense = f"spikes, {sizes.dense_units:,} units"
    scaled = Version(loop, gathered, lambda given: given.steps / given.gathered)
    each = f"{sizes.steps} single layers"
    again = Version(f"nnspec --remat {sizes.remat}", kept)
    peers = (Version("snnTorch RLeaky", snntorch_cells), Version("Norse LIFRecurrentCell", norse_cells))
    held = tuple(Version(peer.name, at_dense_size(peer.make)) for peer in peers)
    return (
        Work(
            wiring,
            (Version("nnspec", echo), again, Version(each, singles), scaled),
            {each: 1.15, loop: 1 / 6},
        ),
        Work(
            f"LSTM, {sizes.cells} cells",
            (Version("nnspec", memory), Version("nn.LSTMCell in a loop", cells)),
            {"nn.LSTMCell in a loop": 1.3},
        ),
        Work(
            "a small part recurs",
            (Version("nnspec", partial), Version("without time", still)),
            {"without time": 1.1},
        ),
        Work(f"spikes, {wiring}", (Version("nnspec", spikes), *peers), {}),
        Work(dense, (Version("nnspec", at_dense_size(spikes)), *held), {}),
        Work(
            f"forward alone, {wiring}",
            (Version("nnspec", reservoir), Version("reservoirpy Reservoir", reservoirpy_node)),
            {},
        ),
    )


# --------------------------------------------------------------------------------------------- measuring


def measured(work: Work, sizes: Sizes) -> list[dict[str, Any]]:
    """The rows of a work: seconds of every round, or why there are none."""
    running, rows = dict[str, Run](), dict[str, dict[str, Any]]()
    first: Any = None
    for version in work.versions:
        rows[version.name] = {"version": version.name, "seconds": [], "failure": None}
        try:
            run = version.make(sizes)
            found = run()
            if version.scale(sizes) == 1 and found is not None:
                first = first or found
                _compare(found, first)
            running[version.name] = run
        except Exception as error:  # whatever a version does wrong is its row, not the end of the run
            rows[version.name]["failure"] = reason(error)
    gc.collect()
    gc.disable()  # a collection would hit one version, not all
    for _ in range(sizes.rounds):
        for version in work.versions:
            if version.name in running:
                begin = time.process_time()
                running[version.name]()
                spent = (time.process_time() - begin) * version.scale(sizes)
                rows[version.name]["seconds"].append(spent)
    gc.enable()
    return [*rows.values()]


def _compare(found: Sequence[Any], first: Sequence[Any]) -> None:
    """Raise AssertionError where what two versions give differs by more than sums in another order do."""
    for x, wanted in zip(found, first, strict=False):
        worst = float(((x - wanted).abs().max() / wanted.abs().max()).detach())
        assert worst < 1e-3, f"a result is {worst:.2g} off"


def alone(asked: Mapping[str, Any]) -> None:
    """In a process of its own: measure a work, or the peak memory of one of its versions; print JSON."""
    import torch

    torch.set_num_threads(1)
    limit_memory()
    sizes = Sizes(**asked["sizes"])
    work = works(sizes)[asked["work"]]
    if asked["version"] is None:
        print(json.dumps(measured(work, sizes)))
        return
    make = work.versions[asked["version"]].make
    make(TOY)()  # what the framework sets up for itself
    run = make(sizes)
    returned = sum(x.numel() * x.element_size() for x in run() or ())
    gc.collect()
    print(json.dumps(high_water(run, returned)))


def in_process(sizes: Sizes, work: int, version: int | None = None) -> Any:
    """What a process of its own prints; raises RuntimeError with its last line where it fails."""
    asked = json.dumps({"sizes": vars(sizes), "work": work, "version": version})
    command = [sys.executable, "-m", "benchmarks.over_time", "--alone", asked]
    given = GIVEN_BACK if version is not None else {}
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **given}
    )
    if ended.returncode:
        raise RuntimeError((ended.stderr.strip().splitlines() or [f"ended with {ended.returncode}"])[-1])
    return json.loads(ended.stdout.splitlines()[-1])


def cells_of(
    work: Work, rows: Sequence[Mapping[str, Any]], peaks: Mapping[str, int | None]
) -> list[list[str]]:
    """The lines of the table for a work; a ratio is what nnspec takes in times of the version."""
    lines = list[list[str]]()
    for row in rows:
        own, name = row["seconds"], row["version"]
        if row["failure"]:
            lines.append([work.name, f"{name}: {row['failure']}", *[""] * 5])
            continue
        ratio = statistics.median(a / b for a, b in zip(rows[0]["seconds"], own, strict=True))
        most, peak = work.most.get(name), peaks.get(name)
        lines.append(
            [
                work.name,
                name,
                number(statistics.median(own)),
                spread(own),
                "" if row is rows[0] else number(ratio),
                "" if most is None else number(most),
                "" if peak is None else number(peak / 1e6),
            ]
        )
    return lines


def table_of(sizes: Sizes, tell: Callable[[str], None]) -> list[list[str]]:
    """Measure everything."""
    lines = list[list[str]]()
    for at, work in enumerate(works(sizes)):
        tell(work.name)
        try:
            rows = in_process(sizes, at)
        except RuntimeError as error:
            lines.append([work.name, f"fails: {error}", *[""] * 5])
            continue
        peaks = dict[str, int | None]()
        for number_, (version, row) in enumerate(zip(work.versions, rows, strict=True)):
            if not row["failure"]:
                tell(f"{work.name}: {version.name}, memory")
                peaks[version.name] = in_process(sizes, at, number_)
        lines += cells_of(work, rows, peaks)
    return lines


def setting(sizes: Sizes, load: float) -> str:
    """What is measured, and where, in a sentence or two."""
    import torch

    return (
        f"Batch {sizes.batch}, {sizes.steps} steps, float32, {sizes.rounds} rounds on one thread, seconds of "
        f"the process, load before {load:.1f};\n{machine.described()}; torch {torch.__version__}."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write into the page if that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks time", description="Networks over time.")
    parser.add_argument("--quick", action="store_true", help="smaller networks")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/performance.md")
    parser.add_argument("--alone", type=json.loads, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.alone:
        alone(chosen.alone)
        return
    if chosen.quick and chosen.docs:
        parser.error("the page holds evidence, which --quick does not give")
    sizes, load = QUICK if chosen.quick else Sizes(), os.getloadavg()[0]
    console = Console(width=None if os.isatty(1) else 140)
    with tempfile.TemporaryDirectory() as folder, console.status("starting") as status:
        os.environ.setdefault("NNSPEC_CACHE", folder)
        lines = table_of(sizes, status.update)
    table = Table(title=setting(sizes, load), caption="ratio: what nnspec takes in times of the version")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in HEADINGS[:2] else "right", overflow="fold")
    for line in lines:
        table.add_row(*line)
    console.print(table)
    if chosen.docs:
        text = f"{setting(sizes, load)}\n\n{markdown(HEADINGS, lines)}\n"
        tables = {f"time, {machine.maker()}": text.rstrip()}
        PAGE.write_text(filled_in(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")
        console.print(f"page: {Path(PAGE)}")


if __name__ == "__main__":
    main()
