"""Where trees are numbers: what values their parts can have, and which of these a word has no value for.

Values are bounded by intervals, part by part, so that what is found may be more than there is: nothing is
known of how parts depend on each other, but for what the condition of a `where` says. Single points are left
out, such as 0 for `1 / x`: no number that is computed comes to lie there, unless it does on a whole part of
the line, as `max(x, 0)` is 0 wherever x is not above 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from ...dsl.records import record
from .evaluate import evaluate
from .text import said
from .tree import COMPARISONS, Apply, Argument, Number, Tree, apply, arguments_in

# The least number above 0, and the greatest below 1: bounds that are never reached.
LEAST = math.ulp(0.0)
_BELOW_ONE = math.nextafter(1.0, 0.0)


@record(slots=True)
class Range:
    """The values from `low` to `high`; `held` are those that something has on a whole part of the line."""

    low: float = -math.inf
    high: float = math.inf
    held: frozenset[float] = frozenset()

    def within(self, low: float, high: float) -> Range:
        """What is left between two bounds."""
        low, high = max(self.low, low), min(self.high, high)
        return Range(low, high, frozenset(value for value in self.held if low <= value <= high))

    def or_else(self, other: Range) -> Range:
        """The values of either."""
        return Range(min(self.low, other.low), max(self.high, other.high), self.held | other.held)


ANYTHING = Range()
Ranges = Mapping[Tree, Range]


@record(slots=True)
class Outside:
    """A part of a tree that is not finite, or has a derivative that is not, for some values of an operand.

    `where` says for which, and `inside` is the part with an operand that it is finite for.
    """

    part: Tree
    operand: Tree
    where: str
    inside: Tree
    derivative: bool = False

    @property
    def said(self) -> str:
        """What is wrong, as text."""
        what = f"{'the derivative of ' if self.derivative else ''}`{said(self.part)}`"
        return f"{what} is not finite where `{said(self.operand)}` is {self.where}"


def range_of(tree: Tree, known: Ranges) -> Range:
    """The values that a tree can have, where some parts of it are known to have some only."""
    if tree not in known:
        return _range(tree, known)
    computed = _range(tree, known)
    return known[tree].within(computed.low, computed.high)


def undefined(tree: Tree, known: Ranges) -> Iterator[Outside]:
    """The parts that are no number for some of the values that their operands can have, innermost first."""
    if not isinstance(tree, Apply):
        return
    if tree.word == "where":
        condition, then, otherwise = tree.operands
        yield from undefined(condition, known)
        yield from undefined(then, assuming(condition, True, known))
        yield from undefined(otherwise, assuming(condition, False, known))
        return
    for operand in tree.operands:
        yield from undefined(operand, known)
    found = _outside(tree, known)
    if found is not None:
        yield found


def _outside(tree: Apply, known: Ranges) -> Outside | None:
    match tree:
        case Apply("log", (a,)):
            fault = _below(range_of(a, known), 0, "not above 0")
            return Outside(tree, a, fault, apply("log", _above_0(a))) if fault else None
        case Apply("sqrt", (a,)):
            fault = _below(range_of(a, known), 0, "below 0")
            return Outside(tree, a, fault, apply("sqrt", _above_0(a)), fault == "0") if fault else None
        case Apply("log1p", (a,)):
            fault = _below(range_of(a, known), -1, "not above -1")
            return Outside(tree, a, fault, apply("log1p", apply("max", a, -0.999999))) if fault else None
        case Apply("atanh", (a,)):
            values = range_of(a, known)
            if values.low >= -1 and values.high <= 1 and not {-1.0, 1.0} & values.held:
                return None
            inner = apply("max", apply("min", a, 0.999999), -0.999999)
            return Outside(tree, a, "not between -1 and 1", apply("atanh", inner))
        case Apply("/", (a, b)):
            if 0 not in range_of(b, known).held:
                return None
            return Outside(tree, b, "0", apply("/", a, _above_0(b)))
        case Apply("**", (a, b)):
            return _outside_of_power(tree, a, b, known)
        case _:
            return None


def _above_0(tree: Tree) -> Tree:
    """A tree held above 0; one that is `max(..., 0)` is by another bound."""
    match tree:
        case Apply("max", (inner, Number(0))) | Apply("max", (Number(0), inner)):
            return apply("max", inner, 1e-6)
        case _:
            return apply("max", tree, 1e-6)


def _below(values: Range, bound: int, beyond: str) -> str:
    """For which values what needs some above a bound is not finite; empty where it has no others."""
    return beyond if values.low < bound else f"{bound}" if bound in values.held else ""


def _outside_of_power(tree: Apply, a: Tree, b: Tree, known: Ranges) -> Outside | None:
    """Powers that are no whole ones are of what is above 0; at 0 itself some lack a derivative alone."""
    exponent = b.value if isinstance(b, Number) else math.nan
    if float(exponent).is_integer() and exponent >= 0:
        return None
    fault = _below(range_of(a, known), 0, "below 0" if exponent > 0 else "not above 0")
    if fault != "0" and float(exponent).is_integer():
        return None
    if fault == "0" and exponent >= 1:
        return None
    lacks_derivative = fault == "0" and exponent > 0
    return Outside(tree, a, fault, apply("**", _above_0(a), b), lacks_derivative) if fault else None


# ------------------------------------------------------------------------------------------------- ranges

_INCREASING = frozenset(
    [
        *("exp", "expm1", "log", "log1p", "sqrt", "sinh", "tanh", "atan", "atanh", "erf"),
        *("sigmoid", "softplus", "log_sigmoid", "stop"),
    ]
)
# What words never leave, whatever they are given.
_IMAGES = {
    "exp": (LEAST, math.inf),
    "softplus": (LEAST, math.inf),
    "sigmoid": (LEAST, _BELOW_ONE),
    "log_sigmoid": (-math.inf, -LEAST),
    "sin": (-1.0, 1.0),
    "cos": (-1.0, 1.0),
    "cosh": (1.0, math.inf),
    "sqrt": (0.0, math.inf),
}


def _range(tree: Tree, known: Ranges) -> Range:
    match tree:
        case Number(value):
            return Range(value, value, frozenset([float(value)]))
        case Argument():
            return ANYTHING
        case Apply("where", (condition, then, otherwise)):
            one = range_of(then, assuming(condition, True, known))
            return one.or_else(range_of(otherwise, assuming(condition, False, known)))
        case Apply("declared", (_, value, _)):
            return range_of(value, known)
        case Apply("min" | "max" as word, (a, b)):
            return _extreme(word, range_of(a, known), range_of(b, known))
        case Apply("**", (a, Number(exponent))):
            return _power(range_of(a, known), exponent)
        case Apply("**", (a, _)) if range_of(a, known).low >= 0:
            return Range(0.0, math.inf)
        case Apply("*", (a, b)) if a == b:
            return _power(range_of(a, known), 2)
        case Apply("+" | "-" | "*" | "/" as word, (a, b)):
            apart = not {*arguments_in(a)} & {*arguments_in(b)}
            return _arithmetic(word, range_of(a, known), range_of(b, known), apart)
        case Apply(word, (a,)):
            return _unary(word, range_of(a, known))
        case _:
            return ANYTHING


def _extreme(word: str, a: Range, b: Range) -> Range:
    if word == "min":
        return _mirrored(_extreme("max", _mirrored(a), _mirrored(b)))
    held = {value for value in a.held if value >= b.low} | {value for value in b.held if value >= a.low}
    return Range(max(a.low, b.low), max(a.high, b.high), frozenset(held))


def _mirrored(values: Range) -> Range:
    return Range(-values.high, -values.low, frozenset(-value for value in values.held))


def _arithmetic(word: str, a: Range, b: Range, apart: bool) -> Range:
    """What comes of two ranges; of values `apart`, which have no argument in common, any two can meet."""
    if word == "-":
        return _arithmetic("+", a, _mirrored(b), apart)
    if word == "/":
        if b.low <= 0 <= b.high:
            return Range(held=a.held & {0.0})
        inverse = Range(1 / b.high, 1 / b.low, frozenset(1 / value for value in b.held))
        return _arithmetic("*", a, inverse, apart)
    pairs = [(one, other) for one in a.held for other in b.held] if apart else []
    if word == "+":
        held = frozenset(one + other for one, other in pairs)
        return Range(a.low + b.low, a.high + b.high, held)
    ends = [_times(one, other) for one in (a.low, a.high) for other in (b.low, b.high)]
    held = frozenset(one * other for one, other in pairs) | (a.held | b.held) & {0.0}
    return Range(min(ends), max(ends), held)


def _times(a: float, b: float) -> float:
    """A product of bounds, of which 0 is one that is reached and infinity none; what underflows is not 0."""
    product = 0.0 if 0 in (a, b) else a * b
    return product if product or 0 in (a, b) else math.copysign(LEAST, a) * math.copysign(1, b)


def _power(a: Range, exponent: float) -> Range:
    if exponent == 0:
        return Range(1.0, 1.0, frozenset([1.0]))
    even = float(exponent).is_integer() and exponent % 2 == 0
    base = _unary("abs", a) if even else a if float(exponent).is_integer() else a.within(0.0, math.inf)
    if exponent < 0 and base.low < 0:
        return ANYTHING
    low, high = sorted(_raised(end, exponent) for end in (base.low, base.high))
    held = frozenset(_raised(value, exponent) for value in base.held)
    return Range(low, high, held)


def _raised(base: float, exponent: float) -> float:
    with np.errstate(all="ignore"):
        return float(np.float64(base) ** exponent)


def _unary(word: str, a: Range) -> Range:
    if word == "negative":
        return _mirrored(a)
    if word == "abs":
        low = max(a.low, -a.high, 0.0)
        return Range(low, max(-a.low, a.high), frozenset(map(abs, a.held)))
    if word in ("sign", "floor", "round"):
        # A bound that is never reached is by what is rounded: the sigmoid of 40 is 1.
        low = _at(word, math.nextafter(a.low, -math.inf))
        high = _at(word, math.nextafter(a.high, math.inf))
        steps = [step for step in (-1.0, 0.0, 1.0) if low <= step <= high]
        held = {step for step in steps if word != "sign" or step or low == high or 0 in a.held}
        return Range(low, high, frozenset(held))
    low, high = _IMAGES.get(word, (-math.inf, math.inf))
    if word not in _INCREASING:
        return Range(low, high)

    def value(at: float) -> float:
        found = _at(word, at)
        return min(max(found, low), high) if not math.isnan(found) else math.nan

    ends = [value(a.low), value(a.high)]
    held = frozenset(each for each in map(value, a.held) if math.isfinite(each))
    low, high = (bound if math.isnan(end) else end for end, bound in zip(ends, (low, high), strict=True))
    return Range(low, high, held)


def _at(word: str, value: float) -> float:
    """The value of a word at a number."""
    return float(evaluate(apply(word, Argument("x")), {"x": np.float64(value)}))


# --------------------------------------------------------------------------------------------- conditions

_INVERSE = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}
_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}


def assuming(condition: Tree, holds: bool, known: Ranges) -> Ranges:
    """What is known of parts where a condition holds, or does not."""
    match condition:
        case Apply("not", (operand,)):
            return assuming(operand, not holds, known)
        case Apply("and" | "or" as word, (a, b)) if (word == "and") == holds:
            return assuming(b, holds, assuming(a, holds, known))
        case Apply(sign, (a, b)) if sign in COMPARISONS:
            sign = sign if holds else _INVERSE[sign]
            ranges = range_of(a, known), range_of(b, known)
            found = {**known}
            _bound(a, sign, ranges[1], found)
            _bound(b, _MIRROR[sign], ranges[0], found)
            _bound(apply("-", a, b), sign, Range(0.0, 0.0), found)
            _bound(apply("-", b, a), _MIRROR[sign], Range(0.0, 0.0), found)
            return found
        case _:
            return known


def _bound(tree: Tree, sign: str, by: Range, known: dict[Tree, Range]) -> None:
    """Enter what a comparison with another range says of a part."""
    if isinstance(tree, Number):
        return
    own = range_of(tree, known)
    match sign:
        case ">":
            own = own.within(math.nextafter(by.low, math.inf), math.inf)
        case ">=":
            own = own.within(by.low, math.inf)
        case "<":
            own = own.within(-math.inf, math.nextafter(by.high, -math.inf))
        case "<=":
            own = own.within(-math.inf, by.high)
        case "==":
            own = own.within(by.low, by.high)
        case _:
            kept = own.held - {by.low} if by.low == by.high else own.held
            own = Range(own.low, own.high, kept)
    known[tree] = own
    match tree:
        case Apply("abs", (inner,)) if own.high < math.inf:
            known[inner] = range_of(inner, known).within(-own.high, own.high)
        case _:
            pass
