"""Versions in TensorFlow: this project's kernels for Keras, and what people write today, in `tf.function`."""

from __future__ import annotations

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nnspec.backends.keras.kernels.band import BandProjection
from nnspec.backends.keras.kernels.blocks import BlockProjection
from nnspec.backends.keras.kernels.edges import EdgeProjection

from .harness import OWN_PROCESS, TOY, Case, Framework, Made, Sizes, Version, asked_sizes, serve
from .problems import (
    BAND_REACH,
    BLOCK_SIZE,
    EDGES,
    Edges,
    Layer,
    band_edges,
    block_edges,
    copies,
    drawn_edges,
    padded_table,
)

# A function of the input, its variable, and how the variable's gradient becomes one number an edge.
Built = tuple[Callable[[Any], Any], Any, Callable[[Any], Any]]
Builder = Callable[[Edges, np.ndarray], Built]


def edge_projection(edges: Edges, weight: np.ndarray) -> Built:
    """This project's kernel for listed edges."""
    layer = EdgeProjection((edges.n_target, edges.n_source), edges.source, edges.target)
    layer.weight.assign(weight)
    return layer, layer.weight.value, np.asarray


def gather(edges: Edges, weight: np.ndarray) -> Built:
    """`tf.gather` on a padded table, times weights, summed, with the gradients that TensorFlow derives."""
    index, held = padded_table(edges)
    table = np.zeros(held.shape, np.float32)
    table[held] = weight
    variable, counts = tf.Variable(table), tf.constant(held.astype(np.float32))
    index = tf.constant(index, tf.int32)

    def forward(x: Any) -> Any:
        return tf.reduce_sum(tf.gather(x, index, axis=1) * (variable * counts), -1)

    return forward, variable, lambda gradient: np.asarray(gradient)[held]


def gather_and_segment_sum(edges: Edges, weight: np.ndarray) -> Built:
    """Every edge by itself: a gather on the transposed input, then `tf.math.segment_sum`."""
    variable = tf.Variable(weight)
    source, target = tf.constant(edges.source, tf.int32), tf.constant(edges.target, tf.int32)

    def forward(x: Any) -> Any:
        rows = tf.gather(tf.transpose(x), source) * variable[:, None]
        return tf.transpose(tf.math.unsorted_segment_sum(rows, target, edges.n_target))

    return forward, variable, np.asarray


def sparse_matmul(edges: Edges, weight: np.ndarray) -> Built:
    """`tf.sparse.sparse_dense_matmul` of a tensor made of the weights."""
    variable = tf.Variable(weight)
    places = tf.constant(np.stack([edges.target, edges.source], axis=1))

    def forward(x: Any) -> Any:
        matrix = tf.SparseTensor(places, variable, (edges.n_target, edges.n_source))
        return tf.transpose(tf.sparse.sparse_dense_matmul(matrix, tf.transpose(x)))

    return forward, variable, np.asarray


def masked_dense(edges: Edges, weight: np.ndarray) -> Built:
    """A dense matrix times a mask, in every call."""
    places = np.stack([edges.source, edges.target], axis=1)
    shape = (edges.n_source, edges.n_target)
    mask = tf.scatter_nd(places, tf.ones(len(places)), shape)
    variable = tf.Variable(tf.scatter_nd(places, weight, shape))

    def forward(x: Any) -> Any:
        return x @ (variable * mask)

    return forward, variable, lambda gradient: np.asarray(gradient)[edges.source, edges.target]


def structured(kernel: str, edges: Edges, weight: np.ndarray) -> Built:
    """This project's kernel for edges of a structure."""
    shape = (edges.n_target, edges.n_source)
    if kernel == "band":
        layer = BandProjection(shape, range(-BAND_REACH, BAND_REACH + 1))
    else:
        layer = BlockProjection(shape, (BLOCK_SIZE, BLOCK_SIZE))
    layer.weight.assign(weight)
    return layer, layer.weight.value, np.asarray


STRUCTURED: dict[str, Builder] = {kernel: partial(structured, kernel) for kernel in ("band", "blocks")}


def layer_version(name: str, build: Builder, xla: bool = False) -> Version:
    """A layer in `tf.function`: its output and the gradients of its input and weights."""

    def make(problem: Layer) -> Made:
        forward, variable, by_edge = build(problem.edges, problem.weight)
        x, upstream = tf.constant(problem.x), tf.constant(problem.upstream)

        @partial(tf.function, jit_compile=xla)
        def differentiated(x: Any, upstream: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = forward(x)
            of_x, of_weight = tape.gradient(y, [x, variable], upstream)
            return y, tf.convert_to_tensor(of_x), tf.convert_to_tensor(of_weight)

        output = tf.function(forward, jit_compile=xla)

        def in_order(results: Sequence[Any]) -> Sequence[np.ndarray]:
            y, of_x, of_weight = results
            return [y.numpy(), of_x.numpy(), by_edge(of_weight.numpy()).ravel()]

        return Made(
            lambda: waited_for(differentiated(x, upstream)),
            in_order,
            lambda: waited_for([output(x)]),
        )

    return Version(name + ", XLA" * xla, make, compiled=xla)


def waited_for(tensors: Sequence[Any]) -> Sequence[Any]:
    """The tensors, once they are there; on CPUs this copies nothing."""
    for tensor in tensors:
        tensor.numpy()
    return tensors


PEERS: dict[str, Builder] = {
    "tf.gather, autodiff": gather,
    "tf.gather and segment_sum": gather_and_segment_sum,
    "tf.sparse.sparse_dense_matmul": sparse_matmul,
    "masked dense": masked_dense,
}


def cases(sizes: Sizes) -> list[Case]:
    """All cases of TensorFlow at some sizes."""

    def layer_case(name: str, edges: Callable[[Sizes], Edges], *versions: Version) -> Case:
        return Case(
            name,
            lambda: Layer(edges(sizes), sizes.batch),
            lambda: Layer(edges(TOY), TOY.batch),
            tuple(version for version in versions if sizes.compile or not version.compiled),
        )

    found = [
        layer_case(
            "keras layer",
            lambda s: drawn_edges(s.units, 2, 6),
            layer_version(EDGES, edge_projection),
            layer_version(EDGES, edge_projection, xla=True),
            *(layer_version(name, build) for name, build in PEERS.items()),
            layer_version("tf.gather, autodiff", gather, xla=True),
        )
    ]
    for kernel, edges in (
        ("band", lambda s: band_edges(s.units, BAND_REACH)),
        ("blocks", lambda s: block_edges(s.units, BLOCK_SIZE)),
    ):
        found.append(
            layer_case(
                f"keras {kernel}",
                edges,
                layer_version(f"nnspec {kernel}", STRUCTURED[kernel]),
                layer_version(EDGES, edge_projection),
            )
        )
    return found


FRAMEWORK = Framework("TensorFlow", OWN_PROCESS, copies, peak_bytes=None)


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    sizes = asked_sizes()
    serve(FRAMEWORK, cases(sizes), sizes)
