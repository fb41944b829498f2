"""Versions in PyTorch: this project's kernels, and what people write or install today."""

from __future__ import annotations

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # workers would run into the memory limit

import importlib.util
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nnspec.backends.torch.kernels.blocks import BlockProjection
from nnspec.backends.torch.kernels.edges import EdgeProjection
from nnspec.backends.torch.kernels.masked import MaskedProjection
from nnspec.backends.torch.kernels.units_first import to_batch_first
from nnspec.compiler import compile_spec

from .harness import (
    TOY,
    Case,
    Framework,
    Made,
    NotInstalled,
    Sizes,
    Version,
    asked_sizes,
    serve,
)
from .problems import (
    BLOCK_SIZE,
    EDGES,
    GENERATED,
    Chain,
    Edges,
    Layer,
    Training,
    block_edges,
    dense_edges,
    drawn_edges,
    padded_table,
)

warnings.filterwarnings("ignore", message=".*beta")

# A layer's module, and how the gradients of its parameters become one number an edge.
Built = tuple[nn.Module, Callable[..., Tensor]]
Builder = Callable[[Edges, Tensor], Built]

CHAIN = 3  # layers


# ------------------------------------------------------------------------- what people write, as modules


class PaddedTable(nn.Module):
    """`(x[:, index] * weight).sum(-1)`: a table of sources as wide as the largest fan-in."""

    def __init__(self, edges: Edges, weight: Tensor) -> None:
        super().__init__()
        self.index, self.held = map(torch.from_numpy, padded_table(edges))
        self.counts = self.held.float()
        self.weight = nn.Parameter(torch.zeros(self.held.shape).masked_scatter(self.held, weight))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, sources) to (batch, targets)."""
        return (x[:, self.index] * (self.weight * self.counts)).sum(-1)


class TableByFanIn(nn.Module):
    """A table without padding for the targets of each fan-in."""

    def __init__(self, edges: Edges, weight: Tensor) -> None:
        super().__init__()
        fan_in = np.diff(edges.target_offsets)
        self.edges_of = [np.flatnonzero(fan_in[edges.target] == inputs) for inputs in np.unique(fan_in)]
        shapes = [(-1, max(1, int(inputs))) for inputs in np.unique(fan_in)]
        self.tables = [
            torch.from_numpy(edges.source[these]).view(shape)
            for these, shape in zip(self.edges_of, shapes, strict=True)
        ]
        self.weights = nn.ParameterList(
            weight[torch.from_numpy(these)].view(shape)
            for these, shape in zip(self.edges_of, shapes, strict=True)
        )
        self.place = torch.from_numpy(np.argsort(np.argsort(fan_in, kind="stable")))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, sources) to (batch, targets)."""
        sums = [(x[:, table] * own).sum(-1) for table, own in zip(self.tables, self.weights, strict=True)]
        return torch.cat(sums, dim=1)[:, self.place]

    def by_edge(self, *gradients: Tensor) -> Tensor:
        """The gradients of all tables as one number an edge."""
        order = torch.from_numpy(np.concatenate(self.edges_of))
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        return torch.zeros_like(flat).index_copy(0, order, flat)


class SlotBySlot(nn.Module):
    """One `index_select` for every column of a padded table, added up in place of a sum over a new axis."""

    def __init__(self, edges: Edges, weight: Tensor) -> None:
        super().__init__()
        padded = PaddedTable(edges, weight)
        self.held, self.index = padded.held, padded.index.t().contiguous()
        self.counts = padded.counts
        self.weight = padded.weight

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, sources) to (batch, targets)."""
        columns = (self.weight * self.counts).t()
        y = x.index_select(1, self.index[0]) * columns[0]
        for index, column in zip(self.index[1:], columns[1:], strict=True):
            y = torch.addcmul(y, x.index_select(1, index), column)
        return y


class IndexAdd(nn.Module):
    """Every edge by itself, gathered and then added up at its target with `index_add`."""

    def __init__(self, edges: Edges, weight: Tensor) -> None:
        super().__init__()
        self.source, self.target = torch.from_numpy(edges.source), torch.from_numpy(edges.target)
        self.weight, self.n_target = nn.Parameter(weight.clone()), edges.n_target

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, sources) to (batch, targets)."""
        y = x.new_zeros(len(x), self.n_target)
        return y.index_add(1, self.target, x[:, self.source] * self.weight)


class MaskedDense(nn.Module):
    """A dense matrix times a mask, in every call."""

    def __init__(self, edges: Edges, weight: Tensor) -> None:
        super().__init__()
        place = torch.from_numpy(edges.target), torch.from_numpy(edges.source)
        self.mask = torch.zeros(edges.n_target, edges.n_source)
        self.mask[place] = 1.0
        self.weight = nn.Parameter(torch.zeros(edges.n_target, edges.n_source))
        with torch.no_grad():
            self.weight[place] = weight

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, sources) to (batch, targets)."""
        return F.linear(x, self.weight * self.mask)


class SparseTensor(nn.Module):
    """A matrix of `torch.sparse`, made of the weights in every call, times the transposed input."""

    def __init__(self, layout: torch.layout, edges: Edges, weight: Tensor) -> None:
        super().__init__()
        self.layout, self.shape = layout, (edges.n_target, edges.n_source)
        self.weight = nn.Parameter(weight.clone())
        self.offsets = torch.from_numpy(edges.target_offsets)
        self.source = torch.from_numpy(edges.source)
        self.places = torch.stack([torch.from_numpy(edges.target), self.source])

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, sources) to (batch, targets)."""
        if self.layout == torch.sparse_csr:
            matrix = torch.sparse_csr_tensor(self.offsets, self.source, self.weight, self.shape)
        else:
            matrix = torch.sparse_coo_tensor(self.places, self.weight, self.shape, is_coalesced=True)
        return (matrix @ x.t()).t().contiguous()


class CsrProduct(torch.autograd.Function):
    """CSR forward, CSR of the transpose for the input, `sampled_addmm` for the weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: CustomCsr) -> Tensor:
        """Map (batch, sources) to (batch, targets)."""
        ctx.save_for_backward(x, weight)
        ctx.layer = layer
        matrix = torch.sparse_csr_tensor(layer.offsets, layer.source, weight, layer.shape)
        return (matrix @ x.t()).t().contiguous()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """Gradients of the input and the weights."""
        (x, weight), layer = ctx.saved_tensors, ctx.layer
        back = torch.sparse_csr_tensor(
            layer.reverse_offsets, layer.reverse_target, weight[layer.reverse], layer.shape[::-1]
        )
        pattern = torch.sparse_csr_tensor(layer.offsets, layer.source, torch.zeros_like(weight), layer.shape)
        products = torch.sparse.sampled_addmm(pattern, grad.t(), x, beta=0.0)
        return (back @ grad.t()).t().contiguous(), products.values(), None


class CustomCsr(nn.Module):
    """A custom autograd function around CSR products, as a careful user would write it."""

    def __init__(self, edges: Edges, weight: Tensor) -> None:
        super().__init__()
        self.shape = (edges.n_target, edges.n_source)
        self.weight = nn.Parameter(weight.clone())
        self.offsets, self.source = int32(edges.target_offsets), int32(edges.source)
        self.reverse = torch.from_numpy(edges.reverse)
        self.reverse_offsets = int32(edges.source_offsets)
        self.reverse_target = int32(edges.target[edges.reverse])

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, sources) to (batch, targets)."""
        return CsrProduct.apply(x, self.weight, self)


def int32(array: np.ndarray) -> Tensor:
    """Indices as MKL takes them without a conversion."""
    return torch.from_numpy(array.astype(np.int32))


# ------------------------------------------------------------------------------------- building a version


class Contiguous(nn.Module):
    """A layer whose output is contiguous (batch, units), whatever it computes in."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, sources) to a contiguous (batch, targets)."""
        return to_batch_first(self.layer(x))


def edge_projection(edges: Edges, weight: Tensor) -> Built:
    """This project's kernel for listed edges."""
    layer = EdgeProjection(edges.source, edges.target, (edges.n_target, edges.n_source))
    layer.weight.data.copy_(weight)
    return layer, torch.Tensor.flatten


def contiguous_edges(edges: Edges, weight: Tensor) -> Built:
    """The same, from and to contiguous (batch, units)."""
    layer, by_edge = edge_projection(edges, weight)
    return Contiguous(layer), by_edge


def structured(kernel: str, edges: Edges, weight: Tensor) -> Built:
    """This project's kernel for edges of a structure, from and to contiguous (batch, units)."""
    shape = (edges.n_target, edges.n_source)
    if kernel == "blocks":
        layer = BlockProjection(shape, (BLOCK_SIZE, BLOCK_SIZE))
    else:
        layer = MaskedProjection(edges.source, edges.target, shape)
    layer.weight.data.copy_(weight)
    return Contiguous(layer), torch.Tensor.flatten


STRUCTURED: dict[str, Builder] = {kernel: partial(structured, kernel) for kernel in ("blocks", "masked")}


def packed_linear(edges: Edges, weight: Tensor) -> Built:
    """The layer of kpnn2."""
    try:
        from kpnn2 import PackedLinear
    except ImportError as error:
        raise NotInstalled("not installed") from error
    layer = PackedLinear(edges.source, edges.target, edges.n_target, edges.n_source, bias=False)
    layer.weight.data.copy_(weight)
    return layer, torch.Tensor.flatten


def written(module: Callable[[Edges, Tensor], nn.Module]) -> Builder:
    """A builder of a module with one weight an edge, or a table or matrix of which some are edges."""

    def build(edges: Edges, weight: Tensor) -> Built:
        layer = module(edges, weight)
        if isinstance(layer, TableByFanIn):
            return layer, layer.by_edge
        if isinstance(layer, MaskedDense):
            return layer, lambda gradient: gradient[edges.target, edges.source]
        if isinstance(layer, PaddedTable | SlotBySlot):
            return layer, lambda gradient: gradient[layer.held]
        return layer, torch.Tensor.flatten

    return build


def layer_version(name: str, build: Builder, compiled: bool = False) -> Version:
    """A layer between contiguous arrays: its output and the gradients of its input and weights."""

    def make(problem: Layer) -> Made:
        layer, by_edge = build(problem.edges, torch.from_numpy(problem.weight))
        parameters = list(layer.parameters())
        x = torch.from_numpy(problem.x).requires_grad_()
        upstream = torch.from_numpy(problem.upstream)
        run = compiled_whole(layer) if compiled else layer

        def both() -> tuple[Tensor, ...]:
            y = run(x)
            return y, *torch.autograd.grad(y, (x, *parameters), upstream)

        def in_order(results: tuple[Tensor, ...]) -> Sequence[Tensor]:
            y, of_x, *gradients = results
            return [y.detach(), of_x, by_edge(*gradients).flatten()]

        return Made(both, in_order, lambda: run(x))

    return Version(name, make, compiled)


def compiled_whole(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """`torch.compile` without graph breaks, afresh: earlier versions count towards its limit on variants."""
    torch._dynamo.reset()
    return torch.compile(module, fullgraph=True, dynamic=False)


def generated(spec: str, edges: Edges, arrays: Mapping[str, np.ndarray]) -> nn.Module:
    """The model of a spec that loads `edges.npz`, as `spec-compile` writes it, with given parameters."""
    name = spec.split()[1]
    with tempfile.TemporaryDirectory() as written:
        folder = Path(written)
        np.savez(folder / "edges.npz", source=edges.source, target=edges.target)
        (folder / f"{name}.nnspec").write_text(spec)
        files = compile_spec(folder / f"{name}.nnspec", ["torch"]).files
        for file, content in files.items():
            (folder / file).write_bytes(content)
        loading = importlib.util.spec_from_file_location(name, folder / f"{name}_torch.py")
        assert loading is not None
        assert loading.loader is not None
        module = importlib.util.module_from_spec(loading)
        loading.loader.exec_module(module)
        model = getattr(module, name.capitalize())()
    model.load_arrays(arrays)
    return model


class ChainOfLayers(nn.Module):
    """Sparse layers, each with a bias and tanh, and a contiguous output at the end."""

    def __init__(self, layers: Sequence[nn.Module], biases: Sequence[Tensor]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.biases = nn.ParameterList(biases)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, units) to a contiguous (batch, units)."""
        for layer, bias in zip(self.layers, self.biases, strict=True):
            x = torch.tanh(layer(x) + bias)
        return to_batch_first(x)


def generated_chain(problem: Chain) -> nn.Module:
    """The chain as a spec, compiled."""
    units, depth = problem.edges.n_source, problem.depth
    names = ["x", *(f"h{number + 1}" for number in range(depth))]
    lines = ["model chain", f"input x[{units}]", *(f"layer {name}[{units}] : tanh" for name in names[1:])]
    lines += [f'connect {a} -> {b} : load("edges.npz")' for a, b in pairwise(names)]
    arrays: dict[str, np.ndarray] = {}
    for (a, b), (weight, bias) in zip(pairwise(names), problem.parameters, strict=True):
        arrays |= {f"{a}_{b}.weight": weight, f"{b}.bias": bias}
    return generated("\n".join([*lines, f"output {names[-1]}"]) + "\n", problem.edges, arrays)


def generated_chain_version(name: str, compiled: bool = False) -> Version:
    """The chain as generated code: the output, and the gradients of the input and all weights and biases."""

    def make(problem: Chain) -> Made:
        chain = generated_chain(problem)
        held = dict(chain.named_parameters())
        names = ["x", *(f"h{number + 1}" for number in range(problem.depth))]
        ordered = [held[key] for a, b in pairwise(names) for key in (f"{a}_{b}.weight", f"{b}.bias")]
        x = torch.from_numpy(problem.first.x).requires_grad_()
        upstream = torch.from_numpy(problem.first.upstream)
        run = compiled_whole(chain) if compiled else chain

        def both() -> tuple[Tensor, ...]:
            y = run(x)
            return y, *torch.autograd.grad(y, (x, *ordered), upstream)

        return Made(both, lambda results: [results[0].detach(), *results[1:]], lambda: run(x))

    return Version(name, make, compiled)


def chain_version(name: str, build: Builder) -> Version:
    """Layers one after the other: the output, and the gradients of the input and all weights and biases."""

    def make(problem: Chain) -> Made:
        built = [build(problem.edges, torch.from_numpy(weight)) for weight, _ in problem.parameters]
        biases = [torch.from_numpy(bias.copy()) for _, bias in problem.parameters]
        chain = ChainOfLayers([layer for layer, _ in built], biases)
        weights = [list(layer.parameters()) for layer, _ in built]
        parameters = [*(w for own in weights for w in own), *chain.biases]
        x = torch.from_numpy(problem.first.x).requires_grad_()
        upstream = torch.from_numpy(problem.first.upstream)

        def both() -> tuple[Tensor, ...]:
            y = chain(x)
            return y, *torch.autograd.grad(y, (x, *parameters), upstream)

        def in_order(results: tuple[Tensor, ...]) -> Sequence[Tensor]:
            y, of_x, *gradients = results
            ordered = [y.detach(), of_x]
            of_biases = gradients[-len(built) :]
            for (_, by_edge), own, of_bias in zip(built, weights, of_biases, strict=True):
                ordered += [by_edge(*gradients[: len(own)]).flatten(), of_bias]
                gradients = gradients[len(own) :]
            return ordered

        return Made(both, in_order, lambda: chain(x))

    return Version(name, make)


def training_version(name: str, build: Builder) -> Version:
    """A step with Adam of a classifier around the layer; what is checked is the loss of the first step."""

    def make(problem: Training) -> Made:
        arrays = {key: torch.from_numpy(array.copy()) for key, array in problem.arrays.items()}
        layer, _ = build(problem.edges, arrays["weight"])
        before, after = nn.Parameter(arrays["before"]), nn.Parameter(arrays["after"])
        optimiser = torch.optim.Adam([before, *layer.parameters(), after], lr=1e-5)

        def step() -> float:
            hidden = torch.tanh(layer(F.linear(arrays["x"], before)))
            loss = F.cross_entropy(F.linear(hidden, after), arrays["labels"])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            return loss.item()

        return Made(step, lambda loss: [np.float32(loss)])

    return Version(name, make)


def generated_training(name: str) -> Version:
    """The same as generated code."""

    def make(problem: Training) -> Made:
        units, arrays = problem.edges.n_target, problem.arrays
        model = generated(
            f"model training\ninput x[{problem.features}]\ntarget labels: class[{problem.classes}]\n"
            f"layer a[{units}] : bias(off)\nlayer b[{units}] : bias(off), tanh\n"
            f"layer y[{problem.classes}] : bias(off)\nconnect x -> a : all\n"
            f'connect a -> b : load("edges.npz")\nconnect b -> y : all\nloss cross_entropy(y, labels)\n',
            problem.edges,
            {f"{c}.weight": arrays[k] for c, k in (("x_a", "before"), ("a_b", "weight"), ("b_y", "after"))},
        )
        x, labels = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["labels"])
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-5)

        def step() -> float:
            loss = model.loss(model(x), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            return loss.item()

        return Made(step, lambda loss: [np.float32(loss)])

    return Version(name, make)


# ------------------------------------------------------------------------------------------------- cases

PEERS: dict[str, Builder] = {
    "(x[:, index] * w).sum(-1), padded": written(PaddedTable),
    "(x[:, index] * w).sum(-1), by fan-in": written(TableByFanIn),
    "index_select slot by slot": written(SlotBySlot),
    "gather and index_add": written(IndexAdd),
    "kpnn2 PackedLinear": packed_linear,
    "custom CSR, sampled_addmm": written(CustomCsr),
    "torch.sparse CSR": written(partial(SparseTensor, torch.sparse_csr)),
    "torch.sparse COO": written(partial(SparseTensor, torch.sparse_coo)),
    "masked dense": written(MaskedDense),
}


def cases(sizes: Sizes) -> list[Case]:
    """All cases of PyTorch at some sizes."""

    def layer_case(name: str, edges: Callable[[Sizes], Edges], batch: int, *versions: Version) -> Case:
        return Case(
            name,
            lambda: Layer(edges(sizes), batch),
            lambda: Layer(edges(TOY), TOY.batch),
            tuple(version for version in versions if sizes.compile or not version.compiled),
        )

    def drawn(s: Sizes) -> Edges:
        return drawn_edges(s.units, 2, 6)

    batch = sizes.batch
    found = [
        layer_case(
            "layer",
            drawn,
            batch,
            layer_version(EDGES, contiguous_edges),
            layer_version(f"{EDGES}, compiled", contiguous_edges, compiled=True),
            *(layer_version(name, build) for name, build in PEERS.items()),
        ),
        Case(
            "chain",
            lambda: Chain(drawn(sizes), batch, CHAIN),
            lambda: Chain(drawn(TOY), TOY.batch, CHAIN),
            (
                generated_chain_version(GENERATED),
                *[generated_chain_version(f"{GENERATED}, compiled", compiled=True)] * sizes.compile,
                *(chain_version(name, PEERS[name]) for name in ("custom CSR, sampled_addmm",)),
            ),
        ),
        Case(
            "training",
            lambda: Training(drawn(sizes), batch),
            lambda: Training(drawn(TOY), TOY.batch),
            (
                generated_training(GENERATED),
                *(
                    training_version(name, build)
                    for name, build in PEERS.items()
                    if name in ("kpnn2 PackedLinear", "custom CSR, sampled_addmm") or ".sum" in name
                ),
            ),
        ),
    ]
    found.append(
        layer_case(
            "blocks",
            lambda s: block_edges(s.units, BLOCK_SIZE),
            batch,
            layer_version("nnspec blocks", STRUCTURED["blocks"]),
            layer_version(EDGES, contiguous_edges),
        )
    )
    for density in sizes.densities:
        for dense_batch in sizes.dense_batches:
            found.append(
                layer_case(
                    f"{density:.0%} at batch {dense_batch}",
                    lambda s, density=density: dense_edges(s.dense_units, density),
                    dense_batch,
                    layer_version("nnspec masked", STRUCTURED["masked"]),
                    layer_version(EDGES, contiguous_edges),
                    layer_version("masked dense", PEERS["masked dense"]),
                )
            )
    for name, units in (("few units", sizes.units), ("many units", sizes.many_units)):
        found.append(
            layer_case(
                name,
                lambda s, units=units: drawn_edges(units if s is sizes else s.units, 4, 4),
                sizes.many_batch,
                layer_version(EDGES, contiguous_edges),
            )
        )
    return found


# -------------------------------------------------------------------------------------------- framework


def copies(size: int) -> Callable[[], object]:
    """Copy three arrays of some bytes."""
    source = torch.ones(size // 4)
    arrays = [torch.empty_like(source) for _ in range(3)]
    return lambda: [array.copy_(source) for array in arrays]


def peak_bytes(run: Callable[[], Any], returned: int) -> int:
    """The most bytes of tensors made in a call, beyond those that it returns."""
    with torch.profiler.profile(profile_memory=True) as profile:
        run()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())])
    return max(0, int(held.max(initial=0)) - returned)


FRAMEWORK = Framework("PyTorch", "bytes of tensors at the peak, by torch.profiler", copies, peak_bytes)


if __name__ == "__main__":
    sizes = asked_sizes()
    serve(FRAMEWORK, cases(sizes), sizes)
