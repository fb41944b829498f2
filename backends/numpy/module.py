"""One NumPy module: the plan that it is made of, and the names that its code has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from ...compiler.graph.graph import (
    Add,
    AddBias,
    Apply,
    ApplyNorm,
    Drop,
    Graph,
    Made,
    Operation,
    Parameter,
    Project,
    Rectify,
    Value,
    identifier,
)
from ...compiler.plan.plan import Plan
from ...dsl.records import record
from ..definitions import Definitions
from ..functions import NUMPY
from ..parts import index_along, vocabulary
from ..source import Expression, Given, Name, Scope, Statement, node
from ..target import grid_of, training_options

VOCABULARY = vocabulary(
    "numpy",
    imports={"SimpleNamespace": "from types import SimpleNamespace"},
    defined=[
        *("init", "layers", "forward", "loss", "gradients", "backward", "run"),
        *("to_arrays", "load_arrays", "digests", "windows"),
    ],
    local=[
        *("parameters", "values", "training", "rng", "arrays", "name", "array"),
        *("batch", "total", "p", "g", "v", "state", "steps", "before", "_"),
    ],
)

# Annotations, defaults and functions without a name of the spec are read where none of these hides ours.
OUTER = Scope(VOCABULARY, frozenset())

# What the forward pass keeps of an operation besides its value, for the derivative.
EXTRAS: Mapping[type[Operation], tuple[str, ...]] = {Drop: ("keep",), ApplyNorm: ("hat", "std")}


@record
class Module:
    """A plan, and its names in code.

    Inputs, targets, layers and steps keep theirs, which `local` has; ours give way to them, but for
    `training` and `rng`, which callers write out. `gradients` are `d_` and the name of a value, and `extras`
    what the forward pass keeps besides values, by a value's name and what of it. `weights` are those that are
    made of parameters, by name. Within a loop over time, the names are those that values have `at_step`.
    """

    plan: Plan
    scope: Scope
    local: Mapping[str, Name]
    gradients: Mapping[str, Name]
    extras: Mapping[tuple[str, str], Name]
    weights: Mapping[str, Name]
    functions: Definitions
    helpers: dict[tuple[str, str], Name]
    at_step: bool = False

    @property
    def graph(self) -> Graph:
        """The network."""
        return self.plan.graph

    @property
    def has_running(self) -> bool:
        """Whether training moves running statistics."""
        return any(parameter.running for parameter in self.graph.parameters)

    def p(self, parameter: str) -> Expression:
        """A parameter, within `layers`, `gradients` and `backward`."""
        return self.scope.name("p").at(parameter)

    def variable(self, of: Value | Parameter | Made) -> Expression:
        """What holds the gradient of a value, a parameter or a weight that is made of one."""
        return self.scope.name("g").at(of.name) if isinstance(of, Parameter) else self.gradients[key_of(of)]

    def helper(self, name: str, ending: str) -> Name:
        """The name of what stands beside something called `name`, the same wherever it is asked for."""
        if (name, ending) not in self.helpers:
            self.helpers[name, ending] = self.scope.new(f"{name}_{ending}")
        return self.helpers[name, ending]

    def read(self, value: Value) -> Expression:
        """A value in the backward pass: inputs and earlier steps are at hand, steps are in `v`."""
        at_hand = value.name in self.inputs or value.name in self.graph.delayed
        at_hand = at_hand or (self.at_step and not self.is_once(value))
        return self.local[value.name] if at_hand else self.step(value)

    def step(self, value: Value) -> Expression:
        """The value of a layer or a step in the backward pass."""
        if self.at_step and not self.is_once(value):
            return self.local[value.name]
        return self.scope.name("v").get(value.name)

    def extra(self, value: Value, what: str) -> Expression:
        """What the forward pass has kept besides a value, in the backward pass."""
        if self.at_step:
            return self.extras[value.name, what]
        return self.scope.name("v").get(self.extras[value.name, what].text)

    def target(self, name: str) -> Expression:
        """What a loss compares with, in its declared shape: an input has been flattened."""
        local, value = self.local[name], self.inputs.get(name)
        return local if value is None else shaped(local, value)

    def windows(self, op: Project) -> Expression | None:
        """How the windows of a connection slide, if it is a convolution or pools windows."""
        if self.plan.choice(op.connection).window is None:
            return None
        return self.scope.name("windows")().at(op.connection)

    def flattened(self) -> tuple[Statement, ...]:
        """Statements that flatten inputs of several dimensions to (samples, units)."""
        inputs = [value for value in self.inputs.values() if len(value.shape) > 1]
        return tuple(flattened(self.local[value.name], value) for value in inputs)

    @cached_property
    def inputs(self) -> Mapping[str, Value]:
        """The values of inputs, by name."""
        return {data.name: Value(data.name, data.shape) for data in self.graph.inputs}

    @cached_property
    def steps(self) -> tuple[tuple[Operation, ...], ...]:
        """The operations, with the sum of a layer and its bias taken together as one step."""
        return steps_among(self.graph.operations)

    def is_last_step(self, value: Value) -> bool:
        """Whether an output that differs from step to step is given as it is at the last step."""
        return value.name in self.graph.timed and not self.graph.is_given_over_time(value.name)

    def compared(self, value: Value) -> Expression:
        """What a loss reads of a layer, in the backward pass."""
        y = self.step(value)
        return self.scope.expression("last_step(y, steps)", y=y) if self.is_last_step(value) else y

    def at_its_steps(self, value: Value, d: Expression) -> Expression:
        """The gradient of a layer at all steps, from that of what a loss reads of it."""
        return self.scope.expression("at_last_step(d, steps)", d=d) if self.is_last_step(value) else d

    def is_once(self, value: Value) -> bool:
        """Whether a value is the same at every step of a network that runs over time."""
        return self.graph.has_time and value.name not in self.graph.timed


def steps_among(operations: Iterable[Operation]) -> tuple[tuple[Operation, ...], ...]:
    """Operations, with the sum of a layer and its bias taken together as one step."""
    steps: list[tuple[Operation, ...]] = []
    for op in operations:
        if steps and _joins(op, steps[-1][-1]):
            steps[-1] = (*steps[-1], op)
        else:
            steps.append((op,))
    return tuple(steps)


def _joins(op: Operation, before: Operation) -> bool:
    """Whether an operation belongs to the sum that the one before it is of."""
    if isinstance(op, Project):
        return isinstance(before, Project) and before.layer == op.layer
    return isinstance(op, Add | AddBias) and isinstance(before, Project | Add)


def module_of(plan: Plan) -> Module:
    """The module of a plan, with all names given out."""
    graph = plan.graph
    steps = [op.output.name for op in (*graph.delays, *graph.operations)]
    inputs = [data.name for data in graph.inputs]
    named = dict.fromkeys([*inputs, *(data.name for data in graph.targets), *steps])
    scope = Scope(VOCABULARY, frozenset(named.keys() - set(training_options(graph))))
    local = {name: scope.user(name) if name in scope.given else scope.new(name) for name in named}
    extras = {
        (op.output.name, what): scope.new(f"{op.output.name}_{what}")
        for op in graph.operations
        for what in EXTRAS.get(type(op), ())
    }
    gradients = {name: scope.new(f"d_{name}") for name in (*inputs, *steps)}
    weights = {name: scope.new(identifier(name)) for name in plan.made}
    gradients |= {key_of(made): scope.new(f"d_{weights[name].text}") for name, made in plan.made.items()}
    functions = Definitions(scope, Scope(VOCABULARY, frozenset()), NUMPY, "np.ndarray")
    return Module(plan, scope, local, gradients, extras, weights, functions, {})


def key_of(of: Value | Parameter | Made) -> str:
    """What tells a gradient from others: a weight may be called as the parameter that it is made of."""
    return of.name if isinstance(of, Value | Parameter) else f"made {of.name}"


def shaped(tree: Expression, value: Value) -> Expression:
    """A value (samples, units) in its declared shape."""
    return tree if len(value.shape) == 1 else tree.get("reshape")(-1, *value.shape)


def together(op: ApplyNorm | Drop, shape: str = "shape") -> dict[str, Given]:
    """What the kernel of a norm or of dropout is told of units taken together; `shape` is its own name."""
    grid = grid_of(op)
    return {} if grid is None else {shape: grid.shape, "over": grid.over}


def mixed(scope: Scope, op: Apply, text: str, **values: Expression) -> Expression:
    """What `text` makes of values (samples, units) of an activation that mixes units, in the same shape."""
    grid, numbers = grid_of(op), dict(op.arguments)
    if grid is None:
        return scope.expression(text, along={}, **values, **numbers)
    shaped = {name: value.get("reshape")(-1, *grid.shape) for name, value in values.items()}
    last = grid.over == (len(grid.shape),)
    axis: Given = grid.over[0] if len(grid.over) == 1 else grid.over
    made = scope.expression(text, along={} if last else {"axis": axis}, **shaped, **numbers)
    return made.get("reshape")(next(iter(values.values())).get("shape"))


def slopes(module: Module, op: Rectify) -> Expression:
    """The slope of every unit."""
    slope = module.p(op.slope.name)
    return slope if op.per is None else slope.at(index_along(module.scope, op.output.shape, op.per))


def flattened(variable: Expression, value: Value) -> Statement:
    """A statement that makes an array of the declared shape (samples, units)."""
    (statement,) = OUTER.statements("x = x.reshape(-1, units)", x=variable, units=value.units)
    return statement


def weight(op: Project, module: Module) -> Expression:
    """The weights of a projection, or None."""
    match module.plan.weight(op):
        case None:
            return node(None)
        case Parameter(name=name):
            return module.p(name)
        case made:
            return module.weights[made.name]
