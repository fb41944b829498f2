"""Versions in JAX: this project's kernel for Keras on JAX, and what people write today, in `jax.jit`."""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["KERAS_BACKEND"] = "jax"

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .harness import OWN_PROCESS, TOY, Case, Framework, Made, NotInstalled, Sizes, Version, asked_sizes, serve
from .problems import EDGES, Edges, Layer, copies, drawn_edges, padded_table

# A function of input and weights, the weights, and how their gradient becomes one number an edge.
Built = tuple[Callable[[Any, Any], Any], Any, Callable[[np.ndarray], np.ndarray]]
Builder = Callable[[Edges, np.ndarray], Built]


def edge_projection(edges: Edges, weight: np.ndarray) -> Built:
    """This project's kernel for listed edges, in Keras on JAX."""
    from nnspec.backends.keras.kernels.edges import EdgeProjection

    layer = EdgeProjection((edges.n_target, edges.n_source), edges.source, edges.target)
    layer.weight.assign(weight)

    def forward(x: Any, weight: Any) -> Any:
        return layer.stateless_call([weight], [], x)[0]

    return forward, layer.weight.value, np.asarray


def gather(edges: Edges, weight: np.ndarray) -> Built:
    """`jnp.take` on a padded table, times weights, summed, with the gradients that JAX derives."""
    import jax.numpy as jnp

    index, held = padded_table(edges)
    table = np.zeros(held.shape, np.float32)
    table[held] = weight
    index, counts = jnp.asarray(index, "int32"), jnp.asarray(held, "float32")

    def forward(x: Any, weight: Any) -> Any:
        return (jnp.take(x, index, axis=1) * (weight * counts)).sum(-1)

    return forward, jnp.asarray(table), lambda gradient: gradient[held]


def bcoo(edges: Edges, weight: np.ndarray) -> Built:
    """`jax.experimental.sparse.BCOO` made of the weights, times the transposed input."""
    import jax.numpy as jnp
    from jax.experimental import sparse

    places = jnp.asarray(np.stack([edges.target, edges.source], axis=1), "int32")
    shape = (edges.n_target, edges.n_source)

    def forward(x: Any, weight: Any) -> Any:
        matrix = sparse.BCOO((weight, places), shape=shape, indices_sorted=True, unique_indices=True)
        return (matrix @ x.T).T

    return forward, jnp.asarray(weight), np.asarray


def bcsr(edges: Edges, weight: np.ndarray) -> Built:
    """`jax.experimental.sparse.BCSR` made of the weights, times the transposed input."""
    import jax.numpy as jnp
    from jax.experimental import sparse

    sources, offsets = jnp.asarray(edges.source, "int32"), jnp.asarray(edges.target_offsets, "int32")
    shape = (edges.n_target, edges.n_source)

    def forward(x: Any, weight: Any) -> Any:
        matrix = sparse.BCSR(
            (weight, sources, offsets), shape=shape, indices_sorted=True, unique_indices=True
        )
        return (matrix @ x.T).T

    return forward, jnp.asarray(weight), np.asarray


def layer_version(name: str, build: Builder) -> Version:
    """A layer in `jax.jit`: its output and the gradients of its input and weights."""

    def make(problem: Layer) -> Made:
        if importlib.util.find_spec("jax") is None:
            raise NotInstalled("not installed")
        import jax

        forward, weight, by_edge = build(problem.edges, problem.weight)
        x, upstream = jax.numpy.asarray(problem.x), jax.numpy.asarray(problem.upstream)

        @jax.jit
        def differentiated(x: Any, weight: Any, upstream: Any) -> Any:
            y, back = jax.vjp(forward, x, weight)
            return y, *back(upstream)

        output = jax.jit(forward)

        def in_order(results: Sequence[Any]) -> Sequence[np.ndarray]:
            y, of_x, of_weight = map(np.asarray, results)
            return [y, of_x, by_edge(of_weight).ravel()]

        return Made(
            lambda: jax.block_until_ready(differentiated(x, weight, upstream)),
            in_order,
            lambda: jax.block_until_ready(output(x, weight)),
        )

    return Version(name, make)


def cases(sizes: Sizes) -> list[Case]:
    """All cases of JAX at some sizes."""
    builders: dict[str, Builder] = {
        EDGES: edge_projection,
        "jnp.take, autodiff": gather,
        "jax.experimental.sparse BCOO": bcoo,
        "jax.experimental.sparse BCSR": bcsr,
    }
    return [
        Case(
            "jax layer",
            lambda: Layer(drawn_edges(sizes.units, 2, 6), sizes.batch),
            lambda: Layer(drawn_edges(TOY.units, 2, 6), TOY.batch),
            tuple(layer_version(name, build) for name, build in builders.items()),
        )
    ]


FRAMEWORK = Framework("JAX", OWN_PROCESS, copies, peak_bytes=None)


if __name__ == "__main__":
    sizes = asked_sizes()
    serve(FRAMEWORK, cases(sizes), sizes)
