"""What rounding does to a computation, found by rounding coarsely: Monte Carlo arithmetic (Parker 1997)."""

from __future__ import annotations

from typing import Any

import numpy as np


class Rounding(np.ndarray):
    """An array whose operations round coarsely: every result is moved by up to `unit` of itself, at random.

    Real and imaginary parts move by themselves, and so do the terms of sums, and the sum once more, by the
    root of the number of its terms, which is how roundings of one after the other add up. What is exactly 0
    stays 0. A derivative by the complex step then errs as one by the chain rule backwards does: on each edge
    of the computation, both round the product of what comes before, the edge's factor and what comes after.
    """

    draws: np.random.Generator
    unit: float

    def __array_finalize__(self, obj: Any) -> None:
        if isinstance(obj, Rounding):
            self.draws, self.unit = obj.draws, obj.unit

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        adds = ufunc is np.matmul or (ufunc is np.add and method == "reduce")
        arrays = [np.asarray(array) for array in inputs]
        if adds:
            arrays = [self._rounded(array) for array in arrays]
        result = np.asarray(getattr(ufunc, method)(*arrays, **options))
        terms = arrays[0].shape[-1] if ufunc is np.matmul else arrays[0].size / max(result.size, 1)
        rounded = self._rounded(result, np.sqrt(max(terms, 1)) if adds else 1.0)
        if out is not None:
            out[0][...] = rounded
            return out[0]
        return self._like(rounded)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        result = super().__array_function__(func, types, args, kwargs)
        return self._like(result) if isinstance(result, np.ndarray) else result

    def _like(self, array: np.ndarray) -> Any:
        if array.dtype.kind in "biu":
            return array
        result = np.asarray(array).view(Rounding)
        result.draws, result.unit = self.draws, self.unit
        return result

    def _rounded(self, array: np.ndarray, factor: float = 1.0) -> np.ndarray:
        return moved_by(array, array, self.draws, factor * self.unit) if array.dtype.kind in "fc" else array


def moved_by(array: np.ndarray, size: np.ndarray, draws: np.random.Generator, unit: float) -> np.ndarray:
    """An array, each part of each entry moved by up to `unit` of that of `size`."""
    result = np.array(array)
    for part, of in ((np.real(result), np.real(size)), (np.imag(result), np.imag(size))):
        if part.flags.writeable:  # the imaginary part of real numbers is not
            noise = draws.random(array.shape, np.float32) - np.float32(0.5)
            part += 2 * unit * noise * of
    return result


def around(array: np.ndarray, size: np.ndarray) -> np.ndarray:
    """An array, to which roundings of `size` are granted, real and imaginary."""
    if not isinstance(array, Rounding):
        return array
    result = moved_by(np.asarray(array), np.asarray(size), array.draws, array.unit)
    return array._like(result)


def rounding(arrays: dict[str, np.ndarray], seed: int, unit: float) -> dict[str, np.ndarray]:
    """Arrays whose operations round by `unit`; integers stay what they are."""
    draws = np.random.default_rng(seed)
    results: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        results[name] = array
        if array.dtype.kind in "fc":
            coarse = array.view(Rounding)
            coarse.draws, coarse.unit = draws, unit
            results[name] = coarse
    return results
