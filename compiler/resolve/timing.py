"""What a spec says of time: delays, earlier steps in expressions, what layers were before, how many steps."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from ...dsl import syntax
from ...dsl.diagnostics import fail
from ...dsl.findings import Label
from ...dsl.source import Span
from ...dsl.walk import call_parts
from ...dsl.words import counted
from .. import codes
from ..graph.model import ExpressionTerm, LossTerm, Normalise
from ..names.arguments import bind
from ..names.arithmetic import FLOAT32_MAX
from ..names.names import Placed
from ..names.reserved import OVER_TIME
from .known import Known
from .network import Link, Network, links, reached_by_time
from .sharing import SHARED


def read_before(
    node: syntax.Call, known: Known, variables: Mapping[str, int]
) -> tuple[syntax.Reference, int]:
    """What `before(h)` or `before(h, 3)` reads, and how late. Raises `Failed` after a diagnostic."""
    bound = bind(known.report, node, ("value", "steps"))
    if "value" not in bound:
        fields = {"name": "before", "argument": "value"}
        raise fail(known.report, codes.MISSING_ARGUMENT, node.span, **fields)
    reference = bound["value"].value
    if not isinstance(reference, syntax.Reference):
        help = "a layer of its own can hold the expression, and `before` reads that"
        raise fail(known.report, codes.NOT_A_NAME, reference.span, what="a layer or an input", help=help)
    steps = 1
    if "steps" in bound:
        evaluator = known.names.evaluator(variables)
        steps = evaluator.integer(bound["steps"].value, "a delay", least=1)
    return reference, steps


def start_of(statement: syntax.LayerStatement, known: Known, placed: Placed) -> float | None:
    """What a layer was before the first step, None where that is trained."""
    start, found = 0.0, dict[str, syntax.Attribution]()
    for attribution in statement.attributes:
        if attribution.name != "start":
            help = "`start = 0.5`, or `start = trained`, says what a layer was before the first step"
            name = attribution.name
            raise fail(known.report, codes.UNKNOWN_OPERATION, attribution.name_span, name=name, help=help)
        if "start" in found:
            raise fail(known.report, codes.ARGUMENT_TWICE, attribution.span, name="start")
        found["start"] = attribution
        known.starts[known.names.text(statement.name, placed.variables)] = attribution.span
        if call_parts(attribution.value) == ("trained", ()):
            start = None
            continue
        start = float(known.names.evaluator(placed.variables).number(attribution.value))
        if abs(start) > FLOAT32_MAX:
            raise fail(known.report, codes.BEYOND_FLOAT32, attribution.value.span, what="`start`")
    return start


def read_steps(statement: syntax.StepsStatement, placed: Placed, known: Known) -> None:
    """A `steps` statement."""
    network = known.network
    if network.steps is not None:
        others = (Label(network.steps[1], "this one"),)
        raise fail(known.report, codes.STEPS_TWICE, statement.span, what="another statement", others=others)
    count = known.names.evaluator(placed.variables).integer(statement.value, "the number of steps", least=1)
    network.steps = count, statement.span


def check_time(known: Known) -> None:
    """Record what is wrong with a network's time as a whole."""
    network, report = known.network, known.report
    timed = reached_by_time(network)
    given = [data for data in network.inputs.values() if data.over_time]
    late = [link for link in links(network) if link.delay]
    if network.steps is not None and given:
        others = (Label(given[0].span, "an input over time"),)
        report.add(codes.STEPS_TWICE, network.steps[1], what=f"`{given[0].name}`", others=others)
    elif network.steps is not None and not late:
        help = "`with delay = 1` lets a connection read the step before"
        report.add(codes.SAME_AT_ALL_STEPS, network.steps[1], name=next(iter(network.layers)), help=help)
    elif network.steps is not None:
        _warn_of_few_steps(known, *network.steps)
    elif late and not given:
        help = "an input can be `over time`; `steps 10` says it where none is"
        report.add(codes.NO_TIME, late[0].span, help=help)
    for name, over in network.outputs.items():
        if over and name not in timed and name in known.over:
            report.add(codes.SAME_AT_ALL_STEPS, known.over[name], name=name, help="leave `over time` out")
    for link in late:
        data = network.inputs.get(link.source)
        if data is not None and data.classes is not None:
            others = (Label(data.span, "declared here"),)
            help = "connect them to a layer, and read that late"
            report.add(codes.CODES_LATE, link.span, name=data.name, others=others, help=help)
    for term in network.losses:
        _check_term(term, timed, known)
    _refuse_norms(timed, known)
    if timed:
        _refuse_methods(known)
    _warn_of_starts(known)


def _check_term(term: LossTerm | ExpressionTerm, timed: set[str], known: Known) -> None:
    """What a term compares is all over time, or none of it is."""
    network = known.network

    def is_over_time(name: str) -> bool:
        data = network.targets.get(name) or network.inputs.get(name)
        return data.over_time if data is not None else network.outputs.get(name, name in timed)

    first, *others = (*term.layers, *term.data)
    for other in others:
        if is_over_time(first) != is_over_time(other):
            how = {True: "over time", False: "of one step"}
            known.report.add(
                codes.TIMES_DIFFER,
                term.span,
                help=_over_time_too(other if is_over_time(first) else first, known),
                one=first,
                how=how[is_over_time(first)],
                other=other,
                its_own=how[is_over_time(other)],
            )
            return


def _over_time_too(name: str, known: Known) -> tuple[str, ...]:
    """What to write where something of one step is compared with what is over time."""
    network = known.network
    if data := network.targets.get(name) or network.inputs.get(name):
        shape = ", ".join(["batch", "steps", *map(str, data.shape)])
        kind = "target" if name in network.targets else "input"
        return (
            f"`over time` behind the declaration of the {kind} `{name}` lets it be given for every step",
            f"what is the same at every step is repeated by the caller, ({shape}): in NumPy "
            f"`np.repeat({name}[:, None], steps, axis=1)`",
        )
    return (
        "an `output` without `over time` is the last step",
        "what is no output is compared as it is at all steps",
    )


def _refuse_norms(timed: set[str], known: Known) -> None:
    """Statistics of a batch would be those of one step in a loop, and of all steps together elsewhere."""
    for name in known.network.layers:
        for operation, span in known.operations[name]:
            if isinstance(operation, Normalise) and operation.norm.running and name in timed:
                help = "`layer_norm` and `rms_norm` are of each sample and step by itself"
                known.report.add(codes.NORM_OVER_TIME, span, name=name, help=help)


def _refuse_methods(known: Known) -> None:
    """What is an attribute of a model cannot be called as a method that such models have."""
    for name in sorted(OVER_TIME & known.names.declared.keys()):
        declared = known.names.declared[name]
        if declared.kind in ("layer", "connection", SHARED):
            why = "models that run over time have a method of that name"
            help = f"`{name}_` would do"
            known.report.add(codes.RESERVED_NAME, declared.span, help=help, name=name, why=why)


def _warn_of_starts(known: Known) -> None:
    """Warn of what layers were before the first step where nothing reads that."""
    late = {link.source for link in links(known.network) if link.delay}
    for name, span in known.starts.items():
        if name not in late and name in known.network.layers:
            known.report.add(codes.UNUSED, span, what="start of the layer", name=name)


def _warn_of_few_steps(known: Known, steps: int, span: Span) -> None:
    """Warn of outputs that inputs reach by their shortest delays, but only behind the last step."""
    late = _least_delays(known.network)
    for name in known.network.outputs:
        # What no input reaches at all is made of start values, which more steps do not change.
        if late.get(name, 0) >= steps:
            way = f"the delays on the shortest way from an input add up to {late[name]}"
            help = f"{way}: it takes `steps {late[name] + 1}`"
            given = counted(steps, "step")
            known.report.add(codes.TOO_FEW_STEPS, span, help=help, name=name, steps=given)


def _least_delays(network: Network) -> dict[str, int]:
    """How many steps later than the inputs each layer differs with them, of those that they reach at all."""
    readers: dict[str, list[Link]] = {}
    for link in links(network):
        readers.setdefault(link.source, []).append(link)
    found = dict[str, int]()
    waiting = [(0, name) for name in network.inputs]
    while waiting:
        late, name = heapq.heappop(waiting)
        if name not in found:
            found[name] = late
            for link in readers.get(name, ()):
                heapq.heappush(waiting, (late + link.delay, link.target))
    return found
