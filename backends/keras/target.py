"""The Keras target: what its template places."""

from __future__ import annotations

import textwrap

from ...compiler.plan.plan import Plan
from ..parts import start_function, unit_name_functions, wiring
from ..source import WIDTH, Pair, Statement, needs_of, node, printed
from ..target import Rendering, Target, shapes_text, summary
from .loss import OwnLoss, is_own_loss, loss_functions, own_loss
from .network import Network
from .spelling import MODULE, REGISTERED
from .stages import NetworkOverTime


def render(plan: Plan) -> Rendering:
    """What the Keras template places."""
    graph, scope = plan.graph, MODULE
    network = NetworkOverTime(plan) if graph.has_time else Network(plan)
    build = network.body()
    own = own_loss(graph) if is_own_loss(graph) else None
    losses = [] if own else loss_functions(graph)
    several = len(losses) > 1
    pairs = [Pair(node(each.output), each.name) for each in losses]
    functions = [
        start_function(scope, plan, "start_values"),
        wiring(scope, plan),
        *unit_name_functions(scope, plan),
        *((function,) for function in network.functions.statements),
    ]
    variables = scope.statements(
        "layer = model.get_layer\nreturn {**pairs,}" if graph.parameters else "return {}",
        pairs=network.variable_pairs(),
    )
    frame = scope.expression("keras, np, Mapping, array_of, assign_arrays")
    state = network.state_pairs() if isinstance(network, NetworkOverTime) else []
    holding = scope.statements("return {**pairs}", pairs=state)
    trees = [frame, build, functions, *(each.body for each in losses)]
    if own:
        trees += [own.function, scope.expression("ModelWithLoss")]
    if state:
        trees.append(scope.expression("[Any, before_first, continued]"))
    aliases = dict.fromkeys([*network.scope.aliases(*trees), *(own.aliases if own else ())])
    context = {
        "name": graph.name,
        "summary": summary(plan),
        "said": textwrap.fill(
            f'"""The network above: {shapes_text(graph)}.', WIDTH - 4, subsequent_indent="    "
        ),
        "build": printed(build, 4),
        "losses": tuple((each.name.text, each.output, each.target, printed(each.body, 4)) for each in losses),
        "own_loss": printed([own.function]) if own else "",
        "state": printed(holding, 4) if state else "",
        "own_names": printed(_own_names(own), 4) if own else "",
        "own_fit": textwrap.fill(_fit_text(own.targets), WIDTH - 4, subsequent_indent="    ") if own else "",
        "loss_table": printed(scope.statements("losses = {**pairs}", pairs=pairs)) if several else "",
        "variables": printed(variables, 4),
        "digests": printed(scope.statements("return {**pairs,}", pairs=network.digests), 4)
        if network.digests
        else "",
        "digests_of_model": "digests(model)" if network.digests else "{}",
        "functions": tuple(printed(function) for function in functions if function),
        "aliases": printed([*aliases]),
    }
    return Rendering(context, needs_of(trees))


def _own_names(own: OwnLoss) -> tuple[Statement, ...]:
    """What the model's class says of its loss."""
    return MODULE.statements("reads = names\ntargets = wanted", names=own.reads, wanted=own.targets)


def _fit_text(targets: tuple[str, ...]) -> str:
    """How to train it, for people to read."""
    match targets:
        case ():
            return "It is trained by `fit(x)`, since the loss reads no targets."
        case (only,):
            return f"It is trained by `fit(x, y)`, where y is {only}."
        case _:
            names = ", ".join(f'"{name}"' for name in targets)
            return f"It is trained by `fit(x, y)`, where y is a dict of the targets {names}."


TARGET = Target("keras", "Keras", render, registered=REGISTERED)
