"""The Keras target: what its template places."""

from __future__ import annotations

from ...compiler.plan.plan import Plan
from ..parts import start_function, unit_name_functions, wiring
from ..source import Pair, imports_in, kernels_in, node, printed
from ..target import Rendering, Target, shapes_text, summary
from .loss import loss_functions
from .network import Network
from .spelling import MODULE, REGISTERED


def render(plan: Plan) -> Rendering:
    """What the Keras template places."""
    graph, network, scope = plan.graph, Network(plan), MODULE
    build = network.body()
    losses = loss_functions(graph, set(graph.outputs))
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
    trees = [frame, build, functions, *(each.body for each in losses)]
    context = {
        "name": graph.name,
        "summary": summary(plan),
        "shapes": shapes_text(graph),
        "build": printed(build, 4),
        "losses": tuple((each.name.text, each.output, each.target, printed(each.body, 4)) for each in losses),
        "loss_table": printed(scope.statements("losses = {**pairs}", pairs=pairs)) if several else "",
        "variables": printed(variables, 4),
        "digests": printed(scope.statements("return {**pairs,}", pairs=network.digests), 4)
        if network.digests
        else "",
        "digests_of_model": "digests(model)" if network.digests else "{}",
        "functions": tuple(printed(function) for function in functions if function),
        "aliases": printed(network.scope.aliases()),
    }
    return Rendering(context, frozenset(kernels_in(trees)), frozenset(imports_in(trees)))


TARGET = Target("keras", render, registered=REGISTERED)
