"""The rule `window`: what slides over the last dimensions and keeps the leading ones one to one."""

from __future__ import annotations

from dataclasses import dataclass

from ....dsl import syntax
from ....dsl.diagnostics import fail
from ....dsl.walk import call_parts
from ... import codes
from ...edges.edge_set import Diagonal, EdgeSet, product, shifted
from ...names.arguments import bind
from ...names.evaluate import Evaluator
from ...names.sides import Side


@dataclass(frozen=True)
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


def window(node: syntax.Expression, source: Side, target: Side, evaluator: Evaluator) -> EdgeSet:
    """The edges of `window(extents, stride = 1, pad = valid, dilation = 1)`.

    Raises `Failed` after recording a diagnostic, also if the target has another number of places.
    """
    report = evaluator.report
    parts = call_parts(node)
    rank = sum(argument.name is None for argument in parts[1]) if parts else 0
    extents = [f"extent {at + 1}" for at in range(max(rank, 1))]
    bound = bind(report, node, (*extents, "stride", "pad", "dilation"), rank)
    if not rank:
        raise fail(report, codes.MISSING_ARGUMENT, node.span, name="window", argument="extent")
    leading = len(source.shape) - rank
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

    def numbers(name: str, default: int, least: int) -> list[int]:
        """One number for all dimensions, or one each."""
        if name not in bound:
            return [default] * rank
        value = bound[name].value
        items = value.items if isinstance(value, syntax.Tuple) else (value,) * rank
        if len(items) != rank:
            takes = f"one number, or {rank}"
            raise fail(report, codes.ARGUMENT_COUNT, value.span, name=name, count=takes)
        return [evaluator.integer(item, f"`{name}`", least=least) for item in items]

    pads: list[int | str] = ["valid"] * rank
    if "pad" in bound:
        word = call_parts(bound["pad"].value)
        named = word is not None and word[0] in ("valid", "same") and not word[1]
        pads = [word[0]] * rank if named and word else [*numbers("pad", 0, 0)]
    widths = [evaluator.integer(bound[name].value, "an extent", least=1) for name in extents]
    strides, dilations = numbers("stride", 1, 1), numbers("dilation", 1, 1)
    made = [
        Along.of(*given)
        for given in zip(source.shape[leading:], widths, strides, dilations, pads, strict=True)
    ]
    places = (*source.shape[:leading], *(along.out for along in made))
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
    factors: list[EdgeSet] = [Diagonal((size,), (size,)) for size in source.shape[:leading]]
    for size, along in zip(source.shape[leading:], made, strict=True):
        factors.append(shifted((size,), (along.out,), (along.stride,), along.offsets()))
    return product(source.shape, target.shape, factors)
