"""The rule `window`: what slides over the last dimensions and keeps the leading ones one to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ....dsl import syntax
from ....dsl.diagnostics import Report, fail
from ....dsl.records import record
from ....dsl.walk import call_parts
from ....dsl.words import article, counted, suggest
from ... import codes
from ...edges.edge_set import Diagonal, EdgeSet, Indices, Shape, product, shifted
from ...graph import statement as stated
from ...names.arguments import Bound, bind, no_choice
from ...names.sides import Side
from .rule import Rule, Setting, Stating

ATTRIBUTES = ("stride", "pad", "dilation")
# What `pad` can be besides a number.
PAD_WORDS = ("valid", "same")


@record
class Along:
    """A window along a dimension: `extent` units, `dilation` apart, moved by `stride`, `before` units early.

    `out` is how many places it has.
    """

    extent: int
    stride: int
    dilation: int
    before: int
    out: int

    @staticmethod
    def of(size: int, extent: int, stride: int, dilation: int, pad: int | str) -> Along:
        """The window over `size` units. With `same` there is a place for every stride-th of them.

        What has to be added for that is shared between both ends; where it is odd, the end has one more.
        """
        reach = dilation * (extent - 1) + 1
        if pad == "same":
            out = -(-size // stride)
            before = max(0, (out - 1) * stride + reach - size) // 2
        else:
            before = 0 if isinstance(pad, str) else pad
            out = (size + 2 * before - reach) // stride + 1
        return Along(extent, stride, dilation, before, max(out, 0))

    def offsets(self) -> list[tuple[int]]:
        """Where the window's units are, seen from the place times the stride."""
        return [(at * self.dilation - self.before,) for at in range(self.extent)]


@record
class _Given:
    """What stands in a call: the names of the dimensions before, the extents and their names, and the rest.

    There are no names where extents have none.
    """

    before: tuple[syntax.Reference, ...]
    extents: tuple[syntax.Expression, ...]
    named: tuple[syntax.Argument, ...]
    bound: Bound


def _edges(node: syntax.Expression, setting: Setting) -> EdgeSet:
    """The edges of `window(extents, stride = 1, pad = valid, dilation = 1)`."""
    return _slid(node, setting)[0]


def _slid(node: syntax.Expression, setting: Setting) -> tuple[EdgeSet, list[Along]]:
    """The edges, and the window along each of the last dimensions."""
    report, (source, target) = setting.names.report, setting.sides.both
    _refuse_pad(node, setting)
    given = _given(node, report)
    leading = len(source.shape) - len(given.extents)
    _refuse_shapes(node, source, target, leading, report)
    _refuse_names(given, leading, setting)
    made = _windows(given.extents, given.bound, source.shape[leading:], setting)
    _refuse_places(node, source, target, (*source.shape[:leading], *(along.out for along in made)), report)
    factors: list[EdgeSet] = [Diagonal((size,), (size,)) for size in source.shape[:leading]]
    for size, along in zip(source.shape[leading:], made, strict=True):
        factors.append(shifted((size,), (along.out,), (along.stride,), along.offsets()))
    return product(source.shape, target.shape, factors), made


def _names(node: syntax.Expression) -> tuple[str, ...]:
    """The names of the dimensions that stay one to one, and of the places in the window."""
    parts = call_parts(node)
    given = parts[1] if parts else ()
    named = tuple(argument.name for argument in given if _is_extent(argument) and argument.name)
    before = (_plain_name(argument.value) for argument in given if argument.name is None)
    return (*before, *named) if named else ()


def _plain_name(node: syntax.Expression) -> str:
    """A name that stands alone, without holes."""
    parts = call_parts(node)
    return parts[0] if parts and isinstance(node, syntax.Reference) else ""


def _indices(node: syntax.Expression, setting: Setting) -> dict[str, Indices]:
    """What the names are on every edge: the index of a dimension, or the place in the window, from 0."""
    if not (names := _names(node)):
        return {}
    edges, windows = _slid(node, setting)
    ends = edges.edges()
    read, fed = (
        np.unravel_index(end, side.shape) for end, side in zip(ends, setting.sides.both, strict=True)
    )
    leading = len(fed) - len(windows)
    columns: list[Indices] = list(fed[:leading]) if len(names) > len(windows) else []
    for along, of, to in zip(windows, read[leading:], fed[leading:], strict=True):
        columns.append((of - along.stride * to + along.before) // along.dilation)
    return dict(zip(names, columns, strict=True))


def _is_extent(argument: syntax.Argument) -> bool:
    """Whether an argument is an extent with a name; what is nearly another argument is none."""
    name = argument.name
    return name is not None and name not in ATTRIBUTES and not suggest(name, ATTRIBUTES)


def _given(node: syntax.Expression, report: Report) -> _Given:
    """The extents, one a dimension, and the other arguments by their names."""
    parts = call_parts(node)
    given = parts[1] if parts else ()
    named = tuple(argument for argument in given if _is_extent(argument))
    if named and isinstance(node, syntax.Call):
        before = tuple(argument.value for argument in given if argument.name is None)
        references = tuple(each for each in before if isinstance(each, syntax.Reference))
        if len(references) < len(before):
            help = "either all extents have a name, or none has"
            raise fail(report, codes.SURPLUS_ARGUMENT, before[0].span, name="window", help=help)
        others = tuple(each for each in given if each.name is not None and each not in named)
        bound = bind(report, replace(node, arguments=others), ATTRIBUTES, 0)
        for at, argument in enumerate(named):
            if argument.name in {each.name for each in named[:at]}:
                raise fail(report, codes.ARGUMENT_TWICE, argument.span, name=argument.name)
        return _Given(references, tuple(argument.value for argument in named), named, bound)
    rank = sum(argument.name is None for argument in given)
    extents = [f"extent {at + 1}" for at in range(max(rank, 1))]
    bound = bind(report, node, (*extents, *ATTRIBUTES), rank)
    if not rank:
        raise fail(report, codes.MISSING_ARGUMENT, node.span, name="window", argument="extent")
    return _Given((), tuple(bound[name].value for name in extents), (), bound)


def _refuse_names(given: _Given, leading: int, setting: Setting) -> None:
    """Refuse names of something else, and others than one for each dimension that stays one to one."""
    report = setting.names.report
    for span, name in [
        *((each.span, setting.names.text(each.name, setting.variables)) for each in given.before),
        *((argument.span, str(argument.name)) for argument in given.named),
    ]:
        found = setting.names.declared.get(name)
        if name in setting.variables or (found is not None and found.kind != "shared weight"):
            kind = article(found.kind) if found else "the variable of a loop"
            help = "choose another name for the index"
            raise fail(report, codes.INDEX_IS_DECLARED, span, name=name, kind=kind, help=help)
    if given.before and len(given.before) != leading:
        count = f"{counted(leading, 'name')} for the dimensions that stay one to one, or none"
        span = given.before[0].span.to(given.before[-1].span)
        raise fail(report, codes.ARGUMENT_COUNT, span, name="window", count=count)


def _windows(
    extents: Sequence[syntax.Expression], bound: Bound, sizes: Shape, setting: Setting
) -> list[Along]:
    """The window along each of the dimensions that it slides over."""
    evaluator = setting.names.evaluator(setting.variables)

    def numbers(name: str, default: int, least: int) -> list[int]:
        """One number for all dimensions, or one each."""
        if name not in bound:
            return [default] * len(sizes)
        value = bound[name].value
        items = value.items if isinstance(value, syntax.Tuple) else (value,) * len(sizes)
        if len(items) != len(sizes):
            takes = f"one number, or {len(sizes)}"
            raise fail(evaluator.report, codes.ARGUMENT_COUNT, value.span, name=name, count=takes)
        return [evaluator.integer(item, f"`{name}`", least=least) for item in items]

    word = _pad_word(bound["pad"].value) if "pad" in bound else "valid"
    pads: list[int] | list[str] = [word] * len(sizes) if word else numbers("pad", 0, 0)
    widths = [evaluator.integer(extent, "an extent", least=1) for extent in extents]
    strides, dilations = numbers("stride", 1, 1), numbers("dilation", 1, 1)
    given = zip(sizes, widths, strides, dilations, pads, strict=True)
    return [Along.of(*one) for one in given]


def _pad_word(node: syntax.Expression) -> str:
    """`valid` or `same`, if that stands there alone; else the padding is in numbers."""
    parts = call_parts(node)
    return parts[0] if parts and parts[0] in PAD_WORDS and not parts[1] else ""


def _refuse_pad(node: syntax.Expression, setting: Setting) -> None:
    """Refuse a word after `pad` that is neither one of its own nor a number of the spec."""
    for argument in node.arguments if isinstance(node, syntax.Call) else ():
        word = argument.value
        if argument.name == "pad" and isinstance(word, syntax.Reference):
            text = setting.names.text(word.name, setting.variables)
            if text not in PAD_WORDS and not setting.names.is_number(text, setting.variables):
                raise no_choice(setting.names.report, word, "pad", (*PAD_WORDS, "a number"))


def _refuse_shapes(node: syntax.Expression, source: Side, target: Side, leading: int, report: Report) -> None:
    """Refuse sides between which nothing slides along so many dimensions."""
    rank = len(source.shape) - leading
    same_rank = leading >= 0 and len(target.shape) == len(source.shape)
    if not same_rank or target.shape[:leading] != source.shape[:leading]:
        raise fail(
            report,
            codes.WINDOW_SHAPES,
            node.span,
            rank=f"{rank} dimensions" if rank > 1 else "1 dimension",
            source=source.name,
            source_shape=list(source.shape),
            target=target.name,
            target_shape=list(target.shape),
            help="it keeps the dimensions before those it slides over"
            if same_rank
            else "it slides over the last dimensions, and both sides have equally many",
        )


def _refuse_places(
    node: syntax.Expression, source: Side, target: Side, places: Shape, report: Report
) -> None:
    """Refuse a target that has another number of places than the window."""
    if places != target.shape:
        raise fail(
            report,
            codes.WINDOW_PLACES,
            node.span,
            source=source.name,
            places=list(places),
            target=target.name,
            shape=list(target.shape),
            help=f"declare `{target.name}{list(places)}`"
            if all(places)
            else "it is larger than what it slides over",
        )


def _state(node: syntax.Expression, stating: Stating) -> stated.Set:
    given = _given(node, stating.report)
    extents, bound = given.extents, given.bound

    def each(name: str, default: stated.Expression) -> tuple[stated.Expression, ...]:
        if name not in bound:
            return (default,) * len(extents)
        value = bound[name].value
        if name == "pad" and (word := _pad_word(value)):
            return (stated.Text(word),) * len(extents)
        items = value.items if isinstance(value, syntax.Tuple) else (value,) * len(extents)
        return tuple(map(stating.expression, items))

    one, valid = stated.Number(1), stated.Text("valid")
    return stated.Window(
        tuple(map(stating.expression, extents)),
        each("stride", one),
        each("dilation", one),
        each("pad", valid),
    )


WINDOW = Rule("window", _edges, _state, _names, _indices)
