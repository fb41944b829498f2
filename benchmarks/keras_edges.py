"""Time of one `EdgeProjection` on TensorFlow against what people write: `python -m benchmarks.keras_edges`.

100,000 -> 100,000 units, 4 random inputs each, batch 64, float32: the output and both gradients, inside
`tf.function`, without and with XLA. The versions alternate, so that a slow minute of the machine hits all of
them; only ratios within one run count. R is the time to copy three (batch, units) arrays, about the fewest
bytes that any version can move.
"""

import os
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from nnspec.backends.keras.kernels.edges import EdgeProjection

UNITS, FAN_IN, BATCH, ROUNDS, THREADS = 100_000, 4, 64, 15, 2


def random_sources(rng):
    """Distinct sources of each target, sorted, shape (units, fan-in)."""
    sources = np.sort(rng.integers(0, UNITS, (UNITS, FAN_IN)), axis=1)
    while (again := np.flatnonzero((np.diff(sources, axis=1) == 0).any(axis=1))).size:
        sources[again] = np.sort(rng.integers(0, UNITS, (again.size, FAN_IN)), axis=1)
    return sources


def versions(rng):
    """Functions without arguments by name; each returns the output and the two gradients, as tensors."""
    sources = random_sources(rng)
    x, upstream = (tf.constant(rng.standard_normal((BATCH, UNITS), dtype=np.float32)) for _ in range(2))
    values = rng.standard_normal(sources.size, dtype=np.float32)
    weight = tf.Variable(values.reshape(sources.shape))
    index = tf.constant(sources, tf.int32)
    layer = EdgeProjection((UNITS, UNITS), sources.ravel(), np.repeat(np.arange(UNITS), FAN_IN))
    layer.weight.assign(values)

    def both(forward, variable, of_x):
        def step(x, upstream):
            with tf.GradientTape() as tape:
                if of_x:
                    tape.watch(x)
                y = forward(x)
            if not of_x:
                return y, tape.gradient(y, variable, upstream)
            dx, dw = tape.gradient(y, [x, variable], upstream)
            return y, tf.convert_to_tensor(dx), dw

        return step

    def obvious(x):
        return tf.reduce_sum(tf.gather(x, index, axis=1) * weight, -1)

    table = {}
    for xla in (False, True):
        for name, forward, variable, of_x in (
            ("gather, autodiff", obvious, weight, True),
            ("EdgeProjection", layer, layer.weight.value, True),
            ("EdgeProjection, no gradient of x", layer, layer.weight.value, False),
        ):
            function = tf.function(both(forward, variable, of_x), jit_compile=xla)
            table[name + (", XLA" if xla else "")] = lambda function=function: function(x, upstream)
    return table, (x.numpy(), x.numpy(), x.numpy())


def main():
    """Prints the table."""
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    table, arrays = versions(np.random.default_rng(0))
    results = {name: [tensor.numpy().ravel() for tensor in function()] for name, function in table.items()}
    first = results["gather, autodiff"]
    for name, result in results.items():
        for a, b in zip(result if len(result) == 3 else (result[0], None, result[1]), first, strict=True):
            assert a is None or np.allclose(a, b, rtol=1e-4, atol=1e-4), name
    copies = [np.empty_like(array) for array in arrays]
    milliseconds = {"R": [], **{name: [] for name in table}}
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for copy, array in zip(copies, arrays, strict=True):
            np.copyto(copy, array)
        milliseconds["R"].append(1e3 * (time.perf_counter() - start))
        for name, function in table.items():
            start = time.perf_counter()
            for tensor in function():
                _ = tensor.numpy().ravel()[0]  # wait until it is there; no copy on CPUs
            milliseconds[name].append(1e3 * (time.perf_counter() - start))
    median = {name: float(np.median(times)) for name, times in milliseconds.items()}
    out = Table("version", "median ms", "10% to 90%", "in R", "of gather, autodiff")
    for name, times in milliseconds.items():
        low, high = np.percentile(times, (10, 90))
        ratio = median[name] / median["gather, autodiff"]
        out.add_row(
            name,
            f"{median[name]:.1f}",
            f"{low:.1f} to {high:.1f}",
            f"{median[name] / median['R']:.1f}",
            f"{ratio:.2f}",
        )
    Console(width=110).print(out)


if __name__ == "__main__":
    main()
