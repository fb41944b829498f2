"""Points where targets are held against the reference, what it says there, and how exactly that is known."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from .expected import Expected, general, moved_inside, some_data, some_parameters
from .rounding import rounding


@dataclass(frozen=True)
class Outcome:
    """One evaluation of the reference.

    `values` are the layers' (batch, units), `slopes` their derivatives along a direction that was asked for
    and `along` that of `loss`, `kinks` are distances from kinks, `running` the moved statistics.
    """

    values: dict[str, np.ndarray]
    slopes: dict[str, np.ndarray]
    loss: float
    along: float
    kinks: list[np.ndarray]
    running: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Point:
    """What the reference says at some parameters and data, with the largest errors of right code.

    Those of layers' values are one per unit. `unsettled` counts what lies so near to a kink that rounding
    decides on its side.
    """

    parameters: dict[str, np.ndarray]
    data: dict[str, np.ndarray]
    training: bool
    dtype: str
    wanted: Outcome
    value_errors: dict[str, np.ndarray]
    loss_error: float
    running_errors: dict[str, np.ndarray]
    along_error: float
    unsettled: int


@dataclass(frozen=True)
class Derivative:
    """The reference's derivatives by one array: of all entries along a direction, and of some by themselves.

    `error` is the largest of right code along the direction, or along one through all arrays, where that is
    small enough. A direction's entries are between a half and one and a half, so that no entry by itself errs
    by more than twice as much.
    """

    direction: np.ndarray
    along: float
    entries: dict[tuple[int, ...], float]
    error: float

    @property
    def size(self) -> float:
        """The largest of them."""
        return max(abs(value) for value in (self.along, *self.entries.values()))


def coarse(dtype: str) -> float:
    """How coarsely the reference rounds when it is asked for errors: 256 times as coarsely as `dtype`.

    Right code then stays below the largest error of a few draws, unless all of these come out 100 times
    smaller than they usually are; it may round several times where the reference does once.
    """
    return 256 * float(np.finfo(dtype).eps) / 2


def complex_step() -> float:
    """So small that its square underflows, and with it a slope of less than 1e-124."""
    return 1e-200


def allowed(error: Any, size: Any, dtype: str) -> Any:
    """An error with what is granted in any case: a rounding of the largest entry, and what underflows.

    A slope underflows sooner in the reference, where the complex step is a factor of it.
    """
    limits, reference = np.finfo(dtype), np.finfo("float64")
    underflow = max(float(limits.tiny / limits.eps), float(reference.tiny / reference.eps) / complex_step())
    return error + coarse(dtype) * size + underflow


def assert_within(got: Any, wanted: Any, error: Any, what: str) -> None:
    """Fail unless each entry is as near to the one that is wanted as `error` says."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, expected {wanted.shape}"
    assert np.isfinite(got).all(), f"{what} is not finite"
    excess = np.abs(got - wanted) / np.broadcast_to(error, wanted.shape)
    at = np.unravel_index(np.argmax(excess), excess.shape) if excess.size else ()
    place = str([int(index) for index in at]) if at else ""
    message = f"{what}{place} is {got[at]:.10g}, not {wanted[at]:.10g}" if excess.size else what
    assert excess.max(initial=0.0) <= 1, f"{message}: {excess.max():.1e} times the error that rounding makes"


def evaluated(
    expected: Expected,
    parameters: dict[str, np.ndarray],
    data: dict[str, np.ndarray],
    training: bool,
    direction: dict[str, np.ndarray] | None = None,
    dtype: str = "float64",
) -> Point:
    """The reference at some parameters and data: exactly, and four times with coarse rounding.

    Sixteen times where a few kinks are unsettled, so that each is seen from both sides. Where there are more,
    as in a large network, four times see many from the other side.
    """
    at, unit = (expected, parameters, data, training, direction or {}), coarse(dtype)
    exact = stepped(*at)
    draws = [stepped(*at, unit, seed) for seed in range(4)]
    finer = [stepped(*at, unit / 64, seed) for seed in range(2)]
    unsettled = near_kinks(exact, draws)
    if 0 < unsettled <= 10:
        draws += [stepped(*at, unit, seed) for seed in range(4, 16)]

    def error(read: Callable[[Outcome], Any]) -> Any:
        """The largest for each unit."""
        wanted = read(exact)
        apart = grown(wanted, [read(draw) for draw in draws], [read(draw) for draw in finer])
        each = apart.max(axis=0) if apart.ndim == 2 else apart
        return allowed(each, np.abs(wanted).max(initial=0.0), dtype)

    return Point(
        parameters,
        data,
        training,
        dtype,
        exact,
        {name: error(lambda outcome, name=name: outcome.values[name]) for name in exact.values},
        error(lambda outcome: outcome.loss),
        {name: error(lambda outcome, name=name: outcome.running[name]) for name in exact.running},
        error(lambda outcome: outcome.along),
        unsettled,
    )


class Doubt:
    """How far right code may be off at some parameters and data; worked out when it is asked for."""

    def __init__(
        self,
        expected: Expected,
        parameters: dict[str, np.ndarray],
        data: dict[str, np.ndarray],
        training: bool,
    ) -> None:
        self.at = expected, parameters, data, training

    @cached_property
    def point(self) -> Point:
        """The reference there."""
        return evaluated(*self.at)

    def value(self, layer: str) -> np.ndarray:
        """The largest error of each unit of a layer."""
        return self.point.value_errors[layer]

    def output(self, name: str) -> np.ndarray:
        """The largest error of each unit of an output."""
        return self.at[0].of_output(name, self.value(name)[None])[0]

    def loss(self) -> float:
        """The largest error of the loss."""
        return self.point.loss_error

    def gradient(self, name: str) -> float:
        """The largest error of an entry of the gradient by an array (see `Derivative`)."""
        expected, _, data, _ = self.at
        return 2 * evaluated(*self.at, {name: direction_through(expected, data, 0)[name]}).along_error


def grown(wanted: Any, others: list[Any], finer: list[Any]) -> np.ndarray:
    """How far the farthest of `others` is from `wanted`, entry by entry; infinite where that says nothing.

    `finer` round 64 times as finely. Errors that shrink by less than 8 do not follow from the rounding: they
    are as large as they can be, as at a norm of equal values, of which rounding alone makes what it divides.
    Nor do those that are nan.
    """
    apart, less = largest_difference(wanted, others), largest_difference(wanted, finer)
    return np.where(less <= apart / 8, apart, np.inf)


def largest_difference(wanted: Any, others: list[Any]) -> np.ndarray:
    """How far the farthest of some arrays is from one, entry by entry."""
    apart = np.zeros(np.shape(wanted))
    for other in others:
        np.maximum(apart, np.abs(other - wanted), out=apart)
    return apart


def near_kinks(exact: Outcome, draws: list[Outcome]) -> int:
    """How many values are no farther from a kink than rounding moves them; on it and not moved is settled."""
    count = 0
    for place, kink in enumerate(exact.kinks):
        apart = largest_difference(kink, [draw.kinks[place] for draw in draws])
        count += int(((apart > 0) & (np.abs(kink) <= apart)).sum())
    return count


def stepped(
    expected: Expected,
    parameters: dict[str, np.ndarray],
    data: dict[str, np.ndarray],
    training: bool,
    direction: dict[str, np.ndarray],
    unit: float | None = None,
    seed: int = 0,
) -> Outcome:
    """What the reference returns, and the derivative of its loss along a direction; `unit` rounds coarsely.

    The derivative is Im(loss(x + ih)) / h (Squire and Trapp 1998): nothing is subtracted, so it is as exact
    as the loss, and no kink is crossed. Since h^2 underflows, what lies exactly at a kink stays there.
    """
    if unit is not None:
        parameters, data = rounding(parameters, seed, unit), rounding(data, seed + 100, unit)
    h = complex_step()
    moved_parameters, moved_inputs = {**parameters}, dict[str, np.ndarray]()
    for name, along in direction.items():
        if name in parameters:
            moved_parameters[name] = parameters[name] + 1j * h * along
        else:
            moved_inputs[name] = data[name] + 1j * h * along
    values, loss, kinks, running = expected.reference(moved_parameters, data, training, moved_inputs)
    return Outcome(
        {name: np.real(np.asarray(value)) for name, value in values.items()},
        {name: np.imag(np.asarray(value)) / h for name, value in values.items()},
        float(np.real(loss)),
        float(np.imag(loss)) / h,
        [np.asarray(kink) for kink in kinks],
        {name: np.real(np.asarray(value)) for name, value in running.items()},
    )


@cache
def point_of(expected: Expected, training: bool, dtype: str) -> Point:
    """A drawn point where as much as possible can be compared.

    Nothing is near a kink there, nothing overflows, and at least half of the derivatives have two digits
    that rounding leaves. Where a spec bears no such point, a warning says so, and its derivatives are still
    held to what rounding leaves of them. Outside training it is the same point.
    """
    if not training:
        point = point_of(expected, True, dtype)
        return evaluated(expected, point.parameters, point.data, False, dtype=dtype)
    found: list[tuple[int, Point]] = []
    for point in candidates(expected, dtype):
        if not fits(point):
            continue
        derivatives = derivatives_at(expected, point).values()
        largest = max((derivative.size for derivative in derivatives), default=0.0)
        clear = sum(d.error <= 1e-2 * max(d.size, 1e-3 * largest) for d in derivatives)
        found.append((clear, point))
        if 2 * clear >= len(derivatives):
            return point
    if not found:
        raise OverflowError(f"{expected.name} overflows in {dtype} wherever it is looked at")
    warnings.warn(f"rounding to {dtype} leaves little of most derivatives of {expected.name}", stacklevel=2)
    return max(found, key=lambda pair: pair[0])[1]


def candidates(expected: Expected, dtype: str) -> Iterator[Point]:
    """Drawn points, the best settled of a few for each of several scales of parameters and inputs."""
    for power in range(5):
        points: list[Point] = []
        for seed in range(4):
            parameters = {
                name: array if name in expected.running else array * 10.0 ** (-2 * power)
                for name, array in some_parameters(expected, seed).items()
            }
            data = {
                name: array * 10.0 ** (-2 * power) if name in expected.moved else array
                for name, array in some_data(expected, seed + 10, 6).items()
            }
            parameters, data = moved_inside(expected, parameters), moved_inside(expected, data)
            direction = direction_through(expected, data, 0)
            points.append(evaluated(expected, parameters, data, True, direction, dtype))
            if points[-1].unsettled == 0 or points[-1].unsettled > 10:  # too many to be settled by luck
                break
        yield min(points, key=lambda point: point.unsettled)


def fits(point: Point) -> bool:
    """Whether everything and its square is far below what overflows."""
    largest = max(float(np.abs(value).max()) for value in point.wanted.values.values())
    limit = float(np.finfo(point.dtype).max)
    return largest**2 <= 1e-6 * limit and abs(point.wanted.loss) <= 1e-6 * limit


@cache
def derivatives_at(expected: Expected, point: Point) -> dict[str, Derivative]:
    """The reference's derivatives by every trained array and every input, and their errors.

    Single entries in float64 alone: in another type, targets are held against each other.
    """
    most = 0 if point.dtype != "float64" else 64 if expected.size < 10**5 else 8
    tight = float(np.cbrt(np.finfo(point.dtype).eps))
    at = expected, point.parameters, point.data, point.training
    results: dict[str, Derivative] = {}
    for name, direction in direction_through(expected, point.data, 0).items():
        along, error = stepped(*at, {name: direction}).along, point.along_error
        if error > tight * abs(along):  # what other arrays make may be too much to hold this one against
            error = evaluated(*at, {name: direction}, point.dtype).along_error
        entries: dict[tuple[int, ...], float] = {}
        for place in some_entries(name, direction.shape, most):
            one = np.zeros(direction.shape)
            one[place] = 1.0
            entries[place] = stepped(*at, {name: one}).along
        results[name] = Derivative(direction, along, entries, error)
    return results


def direction_through(expected: Expected, data: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """A direction in general position through everything that has a gradient.

    It has draws of its own: along the parameters themselves, nothing moves behind a norm.
    """
    rng = np.random.default_rng([seed, *b"direction"])
    shapes = {name: expected.parameters[name] for name in expected.trained}
    shapes |= {name: data[name].shape for name in expected.moved}
    return {name: general(rng, shape) for name, shape in shapes.items()}


def some_entries(name: str, shape: tuple[int, ...], most: int) -> Iterator[tuple[int, ...]]:
    """All indices of a small array, a seeded sample of a large one."""
    size = int(np.prod(shape))
    rng = np.random.default_rng(list(name.encode()))
    chosen: Sequence[int] = range(size) if size <= most else sorted(rng.choice(size, most, replace=False))
    for place in chosen:
        yield tuple(int(index) for index in np.unravel_index(place, shape))
