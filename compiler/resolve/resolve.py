"""From the syntax tree to the model: every semantic error is raised here, with its span.

A statement with an error is given up on and the next one is read, so that one run shows all errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...dsl import syntax
from ...dsl.diagnostics import Failed, Report
from ..data.axis import Axis
from ..data.files import Files
from ..graph.model import DataFile, Model, UnitNames
from ..names.axes import Axes
from ..names.names import Names, Placed, unroll
from ..sets.resolver import SetResolver
from ..sets.rules import RULES
from .asked import declare_set, reaching, surroundings
from .connections import read_connection, read_edges, resolve_edges
from .declarations import declare, read_param
from .definedness import warn_of_undefined
from .functions import read_function_statement, warn_of_unused
from .known import Known
from .layers import read_layer, read_output
from .loss import read_loss
from .network import check_network, order, refuse_cycle
from .sizes import read_axis, read_data, read_layer_shape
from .stating.statements import statements
from .timing import check_time, read_steps
from .untrained import warn_of_untrained

# The passes over all statements, each over one kind of them or two: what comes later needs what came before.
PASSES: tuple[Mapping[type, Callable[[Any, Placed, Known], None]], ...] = (
    {object: declare},
    {syntax.ParamStatement: read_param},
    {syntax.AxisStatement: read_axis},
    {syntax.LayerStatement: read_layer_shape, syntax.DataStatement: read_data},
    {syntax.EdgesStatement: read_edges},
    {syntax.EdgesStatement: resolve_edges},
    {syntax.FunctionStatement: read_function_statement},
    {syntax.LayerStatement: read_layer},
    {syntax.ConnectStatement: read_connection},
    {syntax.OutputStatement: read_output, syntax.StepsStatement: read_steps},
    {syntax.LossStatement: read_loss},
)


class UnknownParam(Exception):
    """`-D` names a param that the spec does not declare."""

    def __init__(self, name: str, known: list[str]) -> None:
        self.name = name
        self.known = known
        super().__init__(name)


def resolve(
    spec: syntax.Spec,
    report: Report,
    directory: Path,
    overrides: Mapping[str, int | float],
    name: str | None = None,
) -> Model:
    """The model of a spec. Raises `SpecError` with all errors found.

    `directory` is where the spec stands, `overrides` the params given on the command line, and `name` what
    the model is called if not as the spec says.
    """
    known = _nothing_known(report, directory, overrides)
    known.network.name = name or ""
    unrolled = unroll(spec, known.names)
    _refuse_unknown(overrides, known.names)
    failed = [
        placed
        for readers in PASSES
        for placed in unrolled
        for kind, read in readers.items()
        if isinstance(placed.statement, kind) and not _reads(read, placed, known)
    ]
    known.names.refuse_shadowing()
    if failed or known.names.given_up:
        # What is wrong besides may be for want of a statement that was given up.
        refuse_cycle(known.network, report)
    else:
        check_network(known.network, known.side_axes, report)
        if not report.failed:
            check_time(known)
        if not report.failed:
            warn_of_undefined(known)
            warn_of_untrained(known)
        warn_of_unused(known)
    report.check()
    return _model(known)


def _nothing_known(report: Report, directory: Path, overrides: Mapping[str, int | float]) -> Known:
    """The state before the first pass, in which names, axes and sets can ask for each other."""
    files = Files(directory, report)
    names = Names(report, overrides, lambda variables: surroundings(variables, known), frozenset(RULES))
    axes = Axes(names, files, lambda node, variables: reaching(node, variables, known))
    sets = SetResolver(names, files, lambda declared: declare_set(declared, known))
    known = Known(report, names, files, axes, sets)
    return known


def _refuse_unknown(overrides: Mapping[str, int | float], names: Names) -> None:
    params = [declared.name for declared in names.declared.values() if declared.kind == "param"]
    for name in overrides:
        if name not in params:
            raise UnknownParam(name, params)


def _reads(read: Callable[[Any, Placed, Known], None], placed: Placed, known: Known) -> bool:
    """Read a statement, and say whether it had no error."""
    try:
        read(placed.statement, placed, known)
    except Failed:
        return False
    return True


def _model(known: Known) -> Model:
    """The model, layers in an order in which they can be computed."""
    network, sides = known.network, known.side_axes
    return Model(
        name=network.name,
        params=tuple(sorted(known.names.params.items())),
        inputs=tuple(network.inputs.values()),
        targets=tuple(network.targets.values()),
        layers=tuple(network.layers[name] for name in order(network)),
        connections=tuple(network.connections.values()),
        outputs=tuple(network.outputs),
        losses=tuple(network.losses),
        penalties=tuple(network.penalties),
        unit_names=_unit_names({side: sides[side] for side in (*network.inputs, *network.layers)}),
        files=tuple(DataFile(name, sha) for name, sha in sorted(known.files.digests.items())),
        axes={name: axes for name, axes in sides.items() if any(axes)},
        over_time=frozenset(name for name, over in network.outputs.items() if over),
        steps=network.steps[0] if network.steps else None,
        statements=statements(known.names, known.axes.known, known.sets.named, known.connecting),
    )


def _unit_names(sides: Mapping[str, tuple[Axis | None, ...]]) -> tuple[UnitNames, ...]:
    """The named axes that inputs and layers have as dimensions, in the order of the spec."""
    bearers: dict[str, list[tuple[str, int]]] = {}
    axes: dict[str, Axis] = {}
    for side, dimensions in sides.items():
        for dimension, axis in enumerate(dimensions):
            if axis is not None and axis.names is not None:
                axes[axis.name] = axis
                bearers.setdefault(axis.name, []).append((side, dimension))
    return tuple(UnitNames(n, axis.names or (), tuple(bearers[n])) for n, axis in axes.items())
