"""The NumPy target behind the interface of the checks."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from ...common.kernels.stored import edges_of
from .expected import Expected, draw_data
from .pieces import in_pieces


class NumpyModel:
    """Adapter of the generated NumPy module."""

    name = "numpy"
    needs = ()

    def __init__(self, module: ModuleType, expected: Expected, seed: int = 0, dtype: str = "float64") -> None:
        self.module, self.expected, self.dtype = module, expected, dtype
        self.load(module.init(seed))

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over parameters, in this adapter's precision."""
        self.parameters = self.module.load_arrays(self._cast(arrays))

    def arrays(self) -> dict[str, np.ndarray]:
        """All parameters."""
        return self.module.to_arrays(self.parameters)

    def trained(self) -> set[str]:
        """Names of the trained parameters: those that have a gradient."""
        with np.errstate(all="ignore"):  # where a spec starts, its functions may not be finite
            return set(self.differentiate(draw_data(self.expected, 0))[1]) & set(self.expected.parameters)

    def _cast(self, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {n: a.astype(self.dtype) if a.dtype.kind == "f" else a for n, a in data.items()}

    def _inputs(self, data: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [self._cast(data)[name] for name in self.expected.inputs]

    def _mode(self, training: bool, rng: np.random.Generator | None = None) -> dict[str, Any]:
        options = {"training": training, "rng": rng}
        return {name: options[name] for name in self.expected.modes}

    def layers(self, data: dict[str, np.ndarray], training: bool) -> dict[str, np.ndarray]:
        """Every layer's value; dropout is off without a generator."""
        return self.module.layers(self.parameters, *self._inputs(data), **self._mode(training))

    def outputs(self, data: dict[str, np.ndarray]) -> list[np.ndarray]:
        """What `forward` returns."""
        result = self.module.forward(self.parameters, *self._inputs(data))
        return list(result) if isinstance(result, tuple) else [result]

    def differentiate(
        self, data: dict[str, np.ndarray], training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """The loss, or that of the tests, and all gradients. Dropout is off without a generator."""
        cast, inputs = self._cast(data), self._inputs(data)
        if not self.expected.cotangents:
            targets = [cast[name] for name in self.expected.targets if name not in self.expected.inputs]
            return self.module.gradients(self.parameters, *inputs, *targets, **self._mode(training, rng))
        values = self.module.layers(self.parameters, *inputs, **self._mode(training, rng))
        cotangents = {y: cast[d] for y, d in self.expected.cotangents.items()}
        loss = sum(np.vdot(self.expected.given(y, values[y], flat=True), d) for y, d in cotangents.items())
        if hasattr(self.module, "loss"):
            loss = loss + self.module.loss(self.parameters)
        mode = {"training": training} if self.expected.running else {}
        return loss, self.module.backward(self.parameters, values, *inputs, *cotangents.values(), **mode)

    def pieces(
        self, data: dict[str, np.ndarray], lengths: list[int]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """All layers' values, and the state behind the last step, of calls that go on from each other."""
        return in_pieces(self.expected, self._cast(data), lengths, self._run)

    def _run(self, inputs: list[np.ndarray], state: Any) -> tuple[dict[str, np.ndarray], Any]:
        given = {"state": state} if self.expected.memory else {}
        return self.module.run(self.parameters, *inputs, **given, **self._mode(False))

    def project(self, connection: str, x: np.ndarray) -> np.ndarray:
        """One sparse connection by itself."""
        weight = self.expected.given_weight(self.parameters, connection)
        weight = None if weight is None else weight.astype(self.dtype)
        if connection in self.expected.windows:
            return self.module.convolve(x.astype(self.dtype), weight, self._windows(connection))
        if connection in self.expected.pooled_windows:
            return self._pool_windows(connection, x.astype(self.dtype), None)[0]
        targets = self.expected.edges[connection][0]
        given = x.astype(self.dtype), weight, *edges_of(self.expected.stored, connection), targets
        if connection not in self.expected.pooled:
            return self.module.project(*given)
        reduction, empty = self.expected.pooled[connection]
        return self.module.pool(*given, getattr(self.module, f"{reduction}_of"), empty)

    def differentiate_dropped(
        self, data: dict[str, np.ndarray], seed: int
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Any, dict[str, np.ndarray]]:
        """Masks by the step that drops, layers, loss and gradients, all of the same generator's draws."""
        before = self.parameters.copy()
        values = self.module.layers(
            self.parameters, *self._inputs(data), **self._mode(True, np.random.default_rng(seed))
        )
        self.parameters = before
        loss, gradients = self.differentiate(data, True, np.random.default_rng(seed))
        return self._masks(values), values, loss, gradients

    def _masks(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What each dropout multiplies its input by, by its step."""
        steps = [step for step, _ in self.expected.dropout.values()]
        return {s: value for s in steps for name, value in values.items() if name.rstrip("_") == f"{s}_keep"}

    def dropped(self, layer: str, seed: int) -> np.ndarray:
        """What a layer's dropout makes of ones."""
        rng, inputs = np.random.default_rng(seed), self._inputs(draw_data(self.expected, 0, batch=500))
        values = self.module.layers(self.parameters, *inputs, training=True, rng=rng)
        return self._masks(values)[self.expected.dropout[layer][0]]

    def differentiate_projection(
        self, connection: str, x: np.ndarray, g: np.ndarray, given: np.ndarray | None
    ) -> tuple[Any, Any, Any] | None:
        """One connection by itself: its sums, the gradients of input and weights; None for frozen weights.

        Weights that are made of parameters are `given`.
        None alone for what has no function of its own: `all` and `one_to_one` are written into `layers`.
        Gradients are None where the module has no functions for them, because no loss reads what needs these.
        """
        if connection not in self.expected.edges:
            return None
        name, edges = f"{connection}.weight", edges_of(self.expected.stored, connection)
        if connection in self.expected.pooled:
            if connection in self.expected.pooled_windows:
                return self._pool_windows(connection, x.astype(self.dtype), g.astype(self.dtype))
            return self._differentiate_pool(connection, x.astype(self.dtype), g.astype(self.dtype), given)
        x, g, weight = x.astype(self.dtype), g.astype(self.dtype), self.parameters.get(name)
        if given is not None and connection in self.expected.windows:
            return self._differentiate_windows(connection, x, g, given.astype(self.dtype))
        functions = self.module.project.__globals__  # this module's, or of the one beside that has them
        trained = name in self.expected.trained
        if given is not None:
            weight, trained = given.astype(self.dtype), "project_weight" in functions
        y = functions["project"](x, weight, *edges, g.shape[1])
        needed = ["project_back"] + ["project_weight"] * trained
        if not functions.keys() >= {*needed}:
            return y, None, None
        of_x = functions["project_back"](g, weight, *edges, x.shape[1])
        return y, of_x, functions["project_weight"](x, g, *edges) if trained else None

    def _windows(self, connection: str) -> Any:
        """The convolution that a connection is."""
        return self.module.convolve.__globals__["Windows"](**self.expected.windows[connection][1])

    def _differentiate_windows(
        self, connection: str, x: np.ndarray, g: np.ndarray, weight: np.ndarray
    ) -> tuple[Any, Any, Any]:
        """What `differentiate_projection` gives, of a convolution."""
        functions, windows = self.module.convolve.__globals__, self._windows(connection)
        y = functions["convolve"](x, weight, windows)
        of_x = functions["convolve_back"](g, weight, windows) if "convolve_back" in functions else None
        if "convolve_weight" not in functions:
            return y, of_x, None
        return y, of_x, functions["convolve_weight"](x, g, windows)

    def _pool_windows(self, connection: str, x: np.ndarray, g: np.ndarray | None) -> tuple[Any, Any, Any]:
        """What `differentiate_projection` gives, of windows that are pooled."""
        pools = getattr(self.module, f"{self.expected.pooled[connection][0]}_of_windows")
        functions = pools.__globals__
        windows = functions["Windows"](**self.expected.pooled_windows[connection])
        back = functions.get(f"{pools.__name__}_back")
        return pools(x, windows), None if g is None or back is None else back(x, g, windows), None

    def _differentiate_pool(
        self, connection: str, x: np.ndarray, g: np.ndarray, given: np.ndarray | None
    ) -> tuple[Any, Any, Any]:
        """What `differentiate_projection` gives, of a connection that pools otherwise than by a sum."""
        weight = self.parameters.get(f"{connection}.weight")
        edges = edges_of(self.expected.stored, connection)
        functions = self.module.pool.__globals__
        reduction, empty = self.expected.pooled[connection]
        trained = f"{connection}.weight" in self.expected.trained
        if given is not None:
            weight, trained = given.astype(self.dtype), "pool_weight" in functions
        y = functions["pool"](x, weight, *edges, g.shape[1], functions[f"{reduction}_of"], empty)
        if "pool_back" not in functions or f"{reduction}_slopes" not in functions:
            return y, None, None  # the module has no use for its gradient
        read = x, g, weight, *edges, functions[f"{reduction}_slopes"]
        of_weight = functions["pool_weight"](*read) if trained else None
        return y, functions["pool_back"](*read), of_weight
