"""The rule `window`: what slides over the last dimensions and keeps the leading ones one to one."""

from __future__ import annotations

from ....dsl import syntax
from ....dsl.diagnostics import Report, fail
from ....dsl.records import record
from ....dsl.walk import call_parts
from ... import codes
from ...edges.edge_set import Diagonal, EdgeSet, Shape, product, shifted
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


def _edges(node: syntax.Expression, setting: Setting) -> EdgeSet:
    """The edges of `window(extents, stride = 1, pad = valid, dilation = 1)`."""
    report, (source, target) = setting.names.report, setting.sides.both
    _refuse_pad(node, setting)
    extents, bound = _arguments(node, report)
    leading = len(source.shape) - len(extents)
    _refuse_shapes(node, source, target, leading, report)
    made = _windows(extents, bound, source.shape[leading:], setting)
    _refuse_places(node, source, target, (*source.shape[:leading], *(along.out for along in made)), report)
    factors: list[EdgeSet] = [Diagonal((size,), (size,)) for size in source.shape[:leading]]
    for size, along in zip(source.shape[leading:], made, strict=True):
        factors.append(shifted((size,), (along.out,), (along.stride,), along.offsets()))
    return product(source.shape, target.shape, factors)


def _arguments(node: syntax.Expression, report: Report) -> tuple[list[syntax.Expression], Bound]:
    """The extents, one a dimension, and the other arguments by their names."""
    parts = call_parts(node)
    rank = sum(argument.name is None for argument in parts[1]) if parts else 0
    extents = [f"extent {at + 1}" for at in range(max(rank, 1))]
    bound = bind(report, node, (*extents, *ATTRIBUTES), rank)
    if not rank:
        raise fail(report, codes.MISSING_ARGUMENT, node.span, name="window", argument="extent")
    return [bound[name].value for name in extents], bound


def _windows(extents: list[syntax.Expression], bound: Bound, sizes: Shape, setting: Setting) -> list[Along]:
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
    extents, bound = _arguments(node, stating.report)

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


WINDOW = Rule("window", _edges, _state)
