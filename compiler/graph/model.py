"""The resolved model: names bound, numbers folded, loops unrolled, shapes and edges known.

Everything here is frozen and free of frameworks. Spans stay on what later stages may have to point at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...dsl.records import record
from ...dsl.source import Span
from ..catalogue.activations import Activation
from ..catalogue.losses import Loss, Penalty
from ..catalogue.norms import Norm
from ..catalogue.reductions import Reduction
from ..data.axis import Axis
from ..edges.edge_set import EdgeSet, Indices, Shape
from ..functions.function import Function, Numbers
from ..functions.losses import Pool
from ..functions.tree import Tree
from ..names.sides import Side
from .statement import Statements


@record
class Data:
    """An input or a target: real values of `shape`, or, with `classes`, integer codes below it.

    A code of an input can be -1, which is none. There is one such array for every step `over_time`.
    """

    name: str
    shape: Shape
    classes: int | None
    span: Span
    over_time: bool = False

    @property
    def units(self) -> Shape:
        """The shape of what edges start from: of class codes, one unit for every class of each."""
        return self.shape if self.classes is None else (*self.shape, self.classes)


# --------------------------------------------------------------------------------- operations of layers


@record(eq=False)
class Bias:
    """Adds `bias[index[unit]]`; an index of -1 adds nothing.

    With `per` in place of an index, units with equal indices along these dimensions share an entry; without
    either, every unit has one of its own. `start` is the number that all entries start as, or one for each.
    The biases of layers with one `share` are one parameter, of that name.
    """

    size: int
    start: Given | float
    index: Indices | None
    per: tuple[int, ...] | None
    share: str | None = None


@record
class Activate:
    """An activation with the values of its parameters, and the dimensions that it mixes units `over`."""

    activation: Activation
    arguments: tuple[tuple[str, float], ...]
    over: tuple[int, ...] = ()


@record
class Compute:
    """A function of each unit's value, with the numbers of its other arguments."""

    function: Function
    numbers: Numbers


@record
class Normalise:
    """A norm with its numbers. Units with different indices along the dimensions `per` are not pooled.

    Without `per`, a norm with running statistics has one of each a unit, and others pool over all units.
    """

    norm: Norm
    arguments: tuple[tuple[str, float], ...]
    per: tuple[int, ...] | None = None


@record
class Dropout:
    """Zeroes a unit with probability `p` in training and scales the rest by 1 / (1 - p).

    Units with equal indices along the dimensions `per` are zeroed together, without it each by itself.
    """

    p: float
    per: tuple[int, ...] | None = None


@record(eq=False)
class Prelu:
    """x where x > 0, else a trained slope times x: `size` slopes, `per` and `start` as those of `Bias`."""

    size: int
    start: Given | float
    per: tuple[int, ...] | None


@record
class Scale:
    """Multiplies by a constant."""

    factor: float


Operation: TypeAlias = Bias | Activate | Compute | Prelu | Normalise | Dropout | Scale


@record
class Read:
    """A layer or an input that an expression reads, so many steps late, and the place where it does."""

    name: str
    span: Span
    delay: int = 0

    @property
    def key(self) -> str:
        """What stands for it in the tree."""
        late = f", {self.delay}" if self.delay > 1 else ""
        return f"before({self.name}{late})" if self.delay else self.name


@record
class Layer:
    """Units and what happens to their summed input, in order.

    With a `value`, no connection enters the layer, and the operations are of that: a tree of other layers and
    inputs, element by element. Each has the layer's shape or one unit, and stands in the tree by its key.

    `start` is the layer's value before the first step: a number, or None for a parameter, one number a unit.
    """

    name: str
    shape: Shape
    operations: tuple[Operation, ...]
    span: Span
    value: Tree | None = None
    reads: tuple[Read, ...] = ()
    start: float | None = 0.0

    @property
    def units(self) -> int:
        """Number of units."""
        return prod(self.shape)


# -------------------------------------------------------------------------------------------- connections


@record(eq=False)
class Drawn:
    """Start values drawn from a distribution, whose arguments are numbers or one value per edge."""

    distribution: str
    arguments: tuple[float | NDArray[np.float64], ...]


@record
class DrawnByFanIn:
    """The default start: uniform(-b, b), b = 1/sqrt(fan-in of the target unit in this connection)."""


@record(eq=False)
class Given:
    """Start values that are stated: one number, or one per edge in canonical order, float32."""

    value: float | NDArray[np.float32]


Start: TypeAlias = Drawn | DrawnByFanIn | Given


@record(eq=False)
class Share:
    """The parameter that weights are entries of, and the entry of each edge, in canonical order.

    Without an `index` the entries are the edges in their order; a matrix that is `turned` is (sources,
    targets). `keys` (entries, numbers) are what edges with one weight have in common, ascending; there are
    none where a name stands for one weight an edge. `parameter` is the name in the spec, if it is `named`.
    Numbers that count texts have these in `texts`, by their place in a key.
    """

    parameter: str
    named: bool
    shape: Shape
    index: Indices | None
    turned: bool
    keys: NDArray[np.float64] | None
    texts: tuple[tuple[int, tuple[str, ...]], ...] = ()


@record(eq=False)
class Weight:
    """A weight on every edge: how its parameter starts, and whether training moves it.

    The weight is `factor`, if there is one, a number or one an edge, times the parameter, or what the
    function `through` makes of that.
    """

    start: Start
    trainable: bool
    share: Share | None = None
    through: Compute | None = None
    factor: float | NDArray[np.float32] | None = None


@record
class Pooling:
    """How a unit pools what arrives, where that is no sum; `empty` is the value of a unit without an edge."""

    reduction: Reduction
    empty: float


@record(eq=False)
class Connection:
    """One projection from a source onto a layer; `weight` None is a plain sum, `pooling` None any sum.

    It reads its source as it was `delay` steps before. Where that differs from edge to edge, it is the least
    of the `delays`, (edges,) in canonical order.
    """

    name: str
    source: str
    target: str
    edges: EdgeSet
    weight: Weight | None
    span: Span
    pooling: Pooling | None = None
    delay: int = 0
    delays: Indices | None = None


# --------------------------------------------------------------------------------------------------- loss


@record
class LossTerm:
    """`coefficient * loss(prediction, target)`, perhaps with numbers, the `arguments`."""

    coefficient: float
    loss: Loss
    prediction: str
    target: str
    span: Span
    arguments: tuple[tuple[str, float | tuple[float, ...] | None], ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that are read."""
        return (self.prediction,)

    @property
    def data(self) -> tuple[str, ...]:
        """The targets and inputs that are read."""
        return (self.target,)


@record
class ExpressionTerm:
    """`coefficient` times the mean over the batch of a `pool` over the units, of what a tree makes of each.

    The arguments of the tree are `layers`, and inputs and targets, the `data`, all of one `shape`. A term
    that is a named loss of its own has a `name`, and the `numbers` it was given, for people to read.
    """

    coefficient: float
    pool: Pool
    value: Tree
    layers: tuple[str, ...]
    data: tuple[str, ...]
    shape: Shape
    name: str
    numbers: Numbers
    span: Span


@record
class PenaltyTerm:
    """`coefficient * penalty(weight)` of one connection's weight."""

    coefficient: float
    penalty: Penalty
    connection: str
    span: Span


@record
class UnitNames:
    """The names of an axis's units, and which inputs and layers have it as which dimension."""

    axis: str
    names: tuple[str, ...]
    bearers: tuple[tuple[str, int], ...]


@record
class DataFile:
    """A file that the spec reads: its name as written and the sha256 of its bytes."""

    name: str
    sha256: str


@record
class Model:
    """A whole network. Layers stand in an order in which they can be computed."""

    name: str
    params: tuple[tuple[str, int | float], ...]
    inputs: tuple[Data, ...]
    targets: tuple[Data, ...]
    layers: tuple[Layer, ...]
    connections: tuple[Connection, ...]
    outputs: tuple[str, ...]
    losses: tuple[LossTerm | ExpressionTerm, ...]
    penalties: tuple[PenaltyTerm, ...]
    unit_names: tuple[UnitNames, ...]
    files: tuple[DataFile, ...]
    # The axes of layers and inputs that have any.
    axes: Mapping[str, tuple[Axis | None, ...]] = field(default_factory=dict[str, "tuple[Axis | None, ...]"])
    # What the spec states of the edges, for the generated tests to hold them against.
    statements: Statements = field(default_factory=Statements)
    # The outputs that are returned for every step, and how many steps there are where no input says so.
    over_time: frozenset[str] = frozenset()
    steps: int | None = None

    def side(self, name: str) -> Side:
        """A layer or an input as an end of edges."""
        return Side(name, self.shape(name), self.axes.get(name, ()))

    def shape(self, name: str) -> Shape:
        """The shape of a layer or an input."""
        return self._shapes[name]

    def into(self, name: str) -> tuple[Connection, ...]:
        """The connections that enter a layer, in the order of the spec."""
        return tuple(self._into.get(name, ()))

    @cached_property
    def _shapes(self) -> Mapping[str, Shape]:
        shapes = {layer.name: layer.shape for layer in self.layers}
        return shapes | {data.name: data.units for data in self.inputs}

    @cached_property
    def _into(self) -> Mapping[str, list[Connection]]:
        into: dict[str, list[Connection]] = {}
        for connection in self.connections:
            into.setdefault(connection.target, []).append(connection)
        return into
