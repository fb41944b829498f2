"""NumPy: the forward pass step by step, and the derivatives written out in the opposite order."""

from __future__ import annotations

from ...compiler.plan.plan import Plan
from ..parts import (
    digest_pairs,
    loading,
    start_function,
    stored_edges,
    unit_name_functions,
    windows,
    wiring,
)
from ..source import Binary, Pair, Statement, needs_of, node, printed
from ..target import Rendering, Target, is_sparse, summary
from .functions import backward, forward, gradients, layers, loss, run
from .module import OUTER, module_of


def render(plan: Plan) -> Rendering:
    """What the NumPy template places."""
    module = module_of(plan)
    blocks: list[tuple[Statement, ...]] = [
        start_function(OUTER, plan, "init", cached=True, fresh=True),
        wiring(OUTER, plan, cached=True),
        _windows(plan),
        *unit_name_functions(OUTER, plan, cached=True),
        run(module),
        (layers(module),),
        (forward(module),),
        loss(module),
        (gradients(module) if plan.graph.losses else backward(module),),
        *_exchange(plan),
    ]
    blocks += [(function,) for function in module.functions.statements]
    context = {
        "name": plan.graph.name,
        "summary": summary(plan),
        "functions": tuple(printed(block) for block in blocks if block),
        "aliases": printed(module.scope.aliases(*blocks)),
    }
    return Rendering(context, needs_of(*blocks))


_WINDOWS = '''
@cache
def windows() -> dict[str, Windows]:
    """How windows slide, by connection."""
    return {**entries,}
'''


def _windows(plan: Plan) -> tuple[Statement, ...]:
    """The function that gives the windows of a model that has any."""
    entries = [
        Pair(node(op.connection), windows(OUTER, window))
        for op in plan.graph.projections
        if (window := plan.choice(op.connection).window)
    ]
    return OUTER.statements(_WINDOWS, entries=entries) if entries else ()


def _exchange(plan: Plan) -> list[tuple[Statement, ...]]:
    """The functions that give and take parameters as arrays."""
    digests = _digests(plan)
    copies = OUTER.expression("{name: np.array(array) for name, array in parameters.items()}")
    call = OUTER.expression("digests()")
    given = OUTER.statements(_TO_ARRAYS, copies=Binary(copies, "|", call) if digests else copies)
    taken = OUTER.statements(_LOAD_ARRAYS, digests=call if digests else OUTER.expression("{}"))
    return [given, taken, digests]


_TO_ARRAYS = '''
def to_arrays(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Copies of all parameters, with digests of edges and units, as every target gives and takes them."""
    return copies
'''

_LOAD_ARRAYS = '''
def load_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parameters from what `to_arrays` of any target gave. Raises ValueError where they do not fit."""
    return checked(arrays, init(), digests)
'''

_DIGESTS = '''
def digests() -> dict[str, np.ndarray]:
    """Fingerprints of the edges of sparse connections, and of the units of inputs and layers."""
    head
    return {**entries,}
'''


def _digests(plan: Plan) -> tuple[Statement, ...]:
    """The function that gives the digests of a model that has any."""
    entries = [
        Pair(
            node(f"{op.connection}.digest"),
            OUTER.name("edge_digest")(stored_edges(OUTER, op.connection), (op.output.units, op.input.units)),
        )
        for op in plan.graph.projections
        if is_sparse(op) and op.connection not in plan.graph.parts
    ]
    entries += digest_pairs(OUTER, plan)
    if not entries:
        return ()
    head = loading(OUTER, plan, entries, cached=True)
    return OUTER.statements(_DIGESTS, head=head, entries=entries)


TARGET = Target("numpy", "NumPy", render)
