"""The rule `random`: some edges for every target, for every source or in all, or each pair by chance."""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np

from ....dsl import syntax
from ....dsl.diagnostics import Report, fail
from ... import codes
from ...edges.algebra import Complement, Partial, settled
from ...edges.draw import Stream, choose, keep_each, pair_uniforms, seed_of
from ...edges.edge_set import (
    EdgeSet,
    Full,
    Indices,
    Shape,
    TooManyEdges,
    from_keys,
    nothing,
    pair_keys,
    refuse_many,
)
from ...graph import statement as stated
from ...names.arguments import Bound, bind
from ...names.evaluate import Evaluator
from ...names.policies import size_text
from ...names.sides import Side, unit_text
from .rule import NoStatement, Rule, Setting, Stating

Counted = Literal["fan_in", "fan_out", "edges"]
Form = Literal["p"] | Counted
FORMS: tuple[Form, ...] = ("fan_in", "fan_out", "p", "edges")
PARAMETERS = (*FORMS, "among", "seed")


class TooFew(Exception):
    """A unit has fewer candidates than are to be drawn for it."""

    def __init__(self, unit: int, candidates: int) -> None:
        self.unit = unit
        self.candidates = candidates
        super().__init__(f"unit {unit} has {candidates}")


def _edges(node: syntax.Expression, setting: Setting) -> EdgeSet:
    report, (source, target) = setting.names.report, setting.sides.both
    bound = bind(report, node, PARAMETERS, 0)
    evaluator = setting.names.evaluator(setting.variables)
    among: Partial = Full(source.shape, target.shape)
    if "among" in bound:
        among = setting.within(bound["among"].value, setting.place + "0")
    seed = _seed(bound, setting, evaluator)
    form = _form(node, bound, report)
    argument = bound[form]
    if form == "p":
        p = float(evaluator.number(argument.value))
        if not 0 <= p <= 1:
            fields = {"what": "`p`", "wanted": "between 0 and 1", "value": p}
            raise fail(report, codes.OUT_OF_RANGE, argument.span, **fields)
        return with_probability(p, seed, among)
    count = evaluator.integer(argument.value, f"`{form}`", least=0)
    try:
        return with_count(form, count, seed, among)
    except TooFew as few:
        raise fail(
            report,
            codes.TOO_FEW_CANDIDATES,
            argument.span,
            count=count,
            what={"fan_in": "sources", "fan_out": "targets"}.get(form, "edges"),
            where=_where(form, few, among, source, target),
        ) from None


def _seed(bound: Bound, setting: Setting, evaluator: Evaluator) -> int:
    """The seed that is given, or the one that the place in the spec makes."""
    if "seed" not in bound:
        return seed_of(setting.sides.owner, setting.place)
    given = bound["seed"]
    return evaluator.integer(given.value, "`seed`", least=0)


def _form(node: syntax.Expression, bound: Bound, report: Report) -> Form:
    """Which of the forms this is. Raises `Failed` if it is none of them, or several."""
    forms: list[Form] = [form for form in FORMS if form in bound]
    if not forms:
        wanted = "`, `".join(FORMS[:-1]) + f"` or `{FORMS[-1]}"
        raise fail(report, codes.MISSING_ARGUMENT, node.span, name="random", argument=wanted)
    if len(forms) > 1:
        first, second = sorted(forms, key=list(bound).index)[:2]
        raise fail(report, codes.NOT_TOGETHER, bound[second].span, first=first, second=second)
    return forms[0]


def _state(node: syntax.Expression, stating: Stating) -> stated.Set:
    bound = bind(stating.report, node, PARAMETERS, 0)
    form = next(form for form in FORMS if form in bound)
    sides, value = stating.sides, stating.expression(bound[form].value)
    seed = stated.Seed(None, (sides.owner, stating.place))
    if "seed" in bound:
        seed = stated.Seed(stating.expression(bound["seed"].value))
    among, complement = None, False
    if "among" in bound:
        among = stating.within(bound["among"].value, stating.place + "0")
        complement = isinstance(among, stated.Combined)
        certain = stated.Number(0), stated.Number(1)
        single = sides.source.units == sides.target.units == 1 and not isinstance(among, stated.All)
        if form == "p" and value not in certain and (single or _unclear(among)):
            raise NoStatement(
                "by `p` among sets that are combined, or of one pair, pairs are drawn in one of two ways"
            )
    return stated.Random(form, value, seed, among, complement)


def _unclear(among: stated.Set) -> bool:
    """Whether the compiler may or may not hold a set as everything but some edges."""
    if not isinstance(among, stated.Combined):
        return False
    if among.operator == "-" and isinstance(among.left, stated.All):
        return _has_all(among.right) and isinstance(among.right, stated.Combined)
    return True


def _has_all(node: stated.Set) -> bool:
    if isinstance(node, stated.Combined):
        return _has_all(node.left) or _has_all(node.right)
    return isinstance(node, stated.All)


RANDOM = Rule("random", _edges, _state)


def _where(form: Counted, few: TooFew, among: Partial, source: Side, target: Side) -> str:
    """What has too few candidates."""
    candidates = f"{few.candidates:,} candidate{'' if few.candidates == 1 else 's'}"
    if form == "edges":
        return f"from {candidates}"
    drawn_from, drawn_for = (source, target) if form == "fan_in" else (target, source)
    if isinstance(among, Full):
        return f"from `{drawn_from.name}`, which has {size_text(drawn_from.units)}"
    return f"for unit {unit_text(few.unit, drawn_for)} of `{drawn_for.name}`, which has {candidates}"


def with_count(form: Counted, count: int, seed: int, among: Partial) -> EdgeSet:
    """`count` edges into every target, out of every source or in all, by `form`, each choice equally likely.

    Takes time and memory in proportion to what is drawn and to the edges that `among` lists, or that it
    leaves out. Raises `TooFew`, or `TooManyEdges`.
    """
    shapes = _shapes(among)
    n_source, n_target = prod(shapes[0]), prod(shapes[1])
    units = {"fan_in": n_target, "fan_out": n_source}.get(form, 1)
    # A pair has the number unit * each + its place among the pairs of the unit.
    each = n_source * n_target // units
    if count == 0:
        return nothing(*shapes)
    if isinstance(among, Full) and count >= each:
        if count > each:
            raise TooFew(0, each)
        return among
    _refuse_pairs(n_source * n_target)
    if isinstance(among, Full | Complement):
        refuse_many(count * units)
    listed = _listed_pairs(among, by_source=form == "fan_out")
    if isinstance(among, Full | Complement):
        sizes = each - np.bincount(listed // each, minlength=units)
    else:
        # Of one unit more than the candidates suffice for, one has too few.
        some = min(units, len(listed) // count + 1)
        sizes = np.bincount(listed[: np.searchsorted(listed, some * each)] // each, minlength=some)
    short = sizes < count
    if short.any():
        raise TooFew(int(np.argmax(short)), int(sizes[np.argmax(short)]))
    chosen = choose(Stream(seed, form), sizes, np.full(units, count, np.int64), wide=form == "edges")
    if isinstance(among, Full | Complement):
        chosen += np.searchsorted(listed - np.arange(len(listed)), chosen, side="right")
    else:
        chosen = listed[chosen]
    if form == "fan_out":
        source, target = np.divmod(chosen, n_target)
        chosen = np.sort(target * n_source + source)
    return from_keys(chosen, *shapes)


def with_probability(p: float, seed: int, among: Partial) -> EdgeSet:
    """Each candidate with probability `p`, 0 <= p <= 1. Raises `TooManyEdges`."""
    shapes = _shapes(among)
    n_source, n_target = prod(shapes[0]), prod(shapes[1])
    if p == 0:
        return nothing(*shapes)
    if p == 1:
        return settled(among)
    if not isinstance(among, Full | Complement):
        source, target = among.edges()
        kept = pair_uniforms(seed, source, target) < p
        return from_keys(pair_keys(source[kept], target[kept], *shapes), *shapes)
    _refuse_pairs(n_source * n_target)
    refuse_many(round(p * (n_source * n_target)))
    keys = keep_each(seed, n_source, n_target, p)
    if isinstance(among, Complement):
        keys = np.setdiff1d(keys, _listed_pairs(among, by_source=False), assume_unique=True)
    return from_keys(keys, *shapes)


def _shapes(among: Partial) -> tuple[Shape, Shape]:
    edges = among.missing if isinstance(among, Complement) else among
    return edges.source_shape, edges.target_shape


def _refuse_pairs(pairs: int) -> None:
    """Raise `TooManyEdges` if int64 cannot number all pairs."""
    if pairs > 2**63 - 1:
        raise TooManyEdges(pairs)


def _listed_pairs(among: Partial, by_source: bool) -> Indices:
    """The numbers of the edges that a set lists, or leaves out if it is a complement, ascending."""
    if isinstance(among, Full):
        return np.empty(0, np.int64)
    edges = among.missing if isinstance(among, Complement) else among
    source, target = edges.edges()
    if by_source:
        return np.sort(pair_keys(target, source, edges.target_shape, edges.source_shape))
    return pair_keys(source, target, edges.source_shape, edges.target_shape)
