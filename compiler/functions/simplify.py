"""Trees made shorter, as a person would write them; nothing that changes what is rounded away."""

from __future__ import annotations

import math
from collections.abc import Callable

from .evaluate import evaluate
from .tree import ONE, ZERO, Apply, Argument, Number, Tree, apply, arguments_in, replaced, substituted

_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def simplified(tree: Tree) -> Tree:
    """A tree of the same values wherever both are finite, and finite wherever `tree` is."""
    if not isinstance(tree, Apply):
        return tree
    if tree.word == "declared" and arguments_in(tree.operands[0]):
        return _declared(*tree.operands)
    return _simpler(Apply(tree.word, tuple(simplified(each) for each in tree.operands)))


def _declared(at: Tree, value: Tree, slope: Tree) -> Tree:
    """What a function with a declared derivative makes of a tree, which stays whole in its value and slope.

    Targets hold constant what it is taken at, and nothing else, while they differentiate: so -(2 * x) must
    not become of 2 * (-x), where -x is that.
    """
    held, simple = Argument(" at"), simplified(at)
    parts = (simplified(replaced(each, {at: held})) for each in (value, slope))
    return Apply("declared", (simple, *(substituted(each, {held.name: simple}) for each in parts)))


def _simpler(tree: Apply) -> Tree:
    """A tree made simpler at its root; its operands are simple."""
    if (known := _folded(tree)) is not None:
        return known
    rule = _RULES.get(tree.word)
    return rule(*tree.operands) if rule is not None else tree


def _again(word: str, *operands: Tree) -> Tree:
    """A word applied to simple operands, made simple."""
    return _simpler(Apply(word, operands))


def _folded(tree: Apply) -> Number | None:
    """The number that a word makes of numbers, where it has few bits: `1 / 3` is left as it is written."""
    if tree.word not in _FOLDED or not all(isinstance(each, Number) for each in tree.operands):
        return None
    value = float(evaluate(tree, {}))
    return _number(value) if (value * 1024).is_integer() and abs(value) < 2**43 else None


_FOLDED = ("+", "-", "*", "/", "**", "negative", "abs", "sign", "min", "max", "sqrt")


# --------------------------------------------------------------------------------------------- arithmetic


def _add(a: Tree, b: Tree) -> Tree:
    match a, b:
        case (Number(0), _):
            return b
        case (_, Number(0)):
            return a
        case (_, Number(value)) if value < 0:
            return _again("-", a, Number(-value))
        case (Number(), Apply("negative", (operand,))) | (_, Apply("negative", (operand,))):
            return _again("-", a, operand)
        case (Apply("negative", (operand,)), _):
            return _again("-", b, operand)
        case (Apply("+", (first, Number(m))), Number(n)):
            return _again("+", first, _number(m + n))
        case (Number(m), Apply("-", (Number(n), operand))):
            return _again("-", _number(m + n), operand)
        case _ if a == b:
            return _again("*", Number(2), a)
        case _:
            return apply("+", a, b)


def _subtract(a: Tree, b: Tree) -> Tree:
    match a, b:
        case (_, Number(0)):
            return a
        case (Number(0), _):
            return _again("negative", b)
        case (_, Number(value)) if value < 0:
            return _again("+", a, Number(-value))
        case (_, Apply("negative", (operand,))):
            return _again("+", a, operand)
        case (Number(m), Apply("-", (Number(n), operand))):
            return _again("+", _number(m - n), operand)
        case (_, Apply("-", (left, right))) if left == a:
            return right
        case (Apply("+", (left, right)), _) if b in (left, right):
            return right if b == left else left
        case _ if a == b:
            return ZERO
        case _:
            return apply("-", a, b)


def _negative(a: Tree) -> Tree:
    match a:
        case Apply("negative", (operand,)):
            return operand
        case Apply("-", (left, right)):
            return _again("-", right, left)
        case Apply("where", (condition, then, otherwise)) if _has_number(then, otherwise):
            return _again("where", condition, _again("negative", then), _again("negative", otherwise))
        case _:
            return apply("negative", a)


def _multiply(a: Tree, b: Tree) -> Tree:
    """A product in one order: numbers first, then the other factors from left to right."""
    match a, b:
        case (Apply("where", (c, then, otherwise)), Apply("where", (d, *others))) if c == d:
            return _again("where", c, _again("*", then, others[0]), _again("*", otherwise, others[1]))
        case (Apply("where", (condition, then, otherwise)), _) if _is_unit(then, otherwise):
            return _again("where", condition, _again("*", then, b), _again("*", otherwise, b))
        case (_, Apply("where", (condition, then, otherwise))) if _is_unit(then, otherwise):
            return _again("where", condition, _again("*", a, then), _again("*", a, otherwise))
        case (Number(), Apply("where", (condition, then, otherwise))) if _has_number(then, otherwise):
            return _again("where", condition, _again("*", a, then), _again("*", a, otherwise))
        case _:
            return _product([*_factors(a), *_factors(b)])


def _factors(tree: Tree) -> list[Tree]:
    match tree:
        case Apply("*", (a, b)):
            return [*_factors(a), *_factors(b)]
        case Apply("negative", (a,)):
            return [Number(-1), *_factors(a)]
        case Apply("/", (Number(value), a)) if value != 1:
            return [Number(value), apply("/", 1, a)]
        case _:
            return [tree]


def _product(factors: list[Tree]) -> Tree:
    """The product of factors that are no products."""
    numbers, others = list[float](), list[Tree]()
    for factor in factors:
        if isinstance(factor, Number):
            numbers = _with_factor(numbers, factor.value)
        elif not _cancelled(factor, others):
            others.append(factor)
    if 0 in numbers:
        return ZERO
    constants: list[Tree] = [Number(abs(value)) for value in numbers if abs(value) != 1]
    below = [
        each for each in others if isinstance(each, Apply) and each.word == "/" and each.operands[0] == ONE
    ]
    result = _chain([*constants, *(each for each in others if each not in below), *below])
    if sum(value < 0 for value in numbers) % 2 == 0:
        return result
    return Number(-result.value) if isinstance(result, Number) else apply("negative", result)


def _chain(factors: list[Tree]) -> Tree:
    """A product from left to right; what is 1 / u divides what stands before it."""
    result: Tree = ONE
    for factor in factors:
        match factor:
            case Apply("/", (Number(1), below)):
                result = apply("/", result, below)
            case _:
                result = factor if result == ONE else apply("*", result, factor)
    return result


def _with_factor(numbers: list[float], value: float) -> list[float]:
    """Numbers with one more: multiplied with one of them, unless that makes one that is harder to read."""
    for at, number in enumerate(numbers):
        product = _number(number * value).value
        if len(repr(product)) <= max(4, len(repr(number)), len(repr(value))) + 1:
            return [*numbers[:at], product, *numbers[at + 1 :]]
    return [*numbers, value]


def _cancelled(factor: Tree, others: list[Tree]) -> bool:
    """Whether a factor has made a quotient of the others that is by it, or is a quotient by one of them."""
    for at, other in enumerate(others):
        match other, factor:
            case (x, Apply("sign", (y,))) | (Apply("sign", (y,)), x) if x == y:
                others[at] = apply("abs", x)
                return True
            case (Apply("/", (above, below)), _) if below == factor:
                others[at] = above
                return True
            case (_, Apply("/", (above, below))) if below == other:
                others[at] = above
                return True
            case _:
                pass
    return False


def _divide(a: Tree, b: Tree) -> Tree:
    match a, b:
        case (_, Number(1)):
            return a
        case (_, Number(-1)):
            return _again("negative", a)
        case (Number(0), _):
            return ZERO
        case (Apply("negative", (operand,)), _):
            return _again("negative", _again("/", operand, b))
        case (Apply("/", (left, Number(m))), Number(n)):
            return _again("/", left, _number(m * n))
        case (Apply("*", (Number(m), operand)), Number(n)) if _is_whole(m / n if n else math.nan):
            return _again("*", _number(m / n), operand)
        case (Apply("where", (condition, then, otherwise)), _) if ZERO in (then, otherwise):
            return _again("where", condition, _again("/", then, b), _again("/", otherwise, b))
        case _:
            return apply("/", a, b)


def _power(a: Tree, b: Tree) -> Tree:
    match a, b:
        case (_, Number(1)):
            return a
        case (_, Number(0)):
            return ONE
        case (Apply("sqrt", (operand,)), Number(2)):
            return operand
        case (Apply("/", (above, Apply("sqrt") as below)), Number(2)):
            return _again("/", _again("**", above, b), _again("**", below, b))
        case (Apply("negative" | "abs", (operand,)), Number(2)):
            return _again("**", operand, b)
        case _:
            return apply("**", a, b)


def _number(value: float) -> Number:
    return Number(int(value)) if _is_whole(value) else Number(value)


def _is_few(*values: float) -> bool:
    """Whether numbers have few bits, so that sums of them are not rounded."""
    return all((1024 * value).is_integer() and abs(value) < 1024 for value in map(float, values))


def _is_whole(value: float) -> bool:
    return math.isfinite(value) and float(value).is_integer() and abs(value) < 2**53


def _has_number(*trees: Tree) -> bool:
    return any(isinstance(each, Number) for each in trees)


def _is_unit(then: Tree, otherwise: Tree) -> bool:
    """Whether a choice is between factors of which one is 0 or 1, so that products are within it."""
    return any(each in (ZERO, ONE) for each in (then, otherwise))


# ---------------------------------------------------------------------------------------------- conditions


def _where(condition: Tree, then: Tree, otherwise: Tree) -> Tree:
    if then == otherwise:
        return then
    then, otherwise = _given(then, condition, True), _given(otherwise, condition, False)
    match condition, then, otherwise:
        case (Apply("and" | "or", ()), _, _):
            return then if condition == TRUE else otherwise
        case (_, Apply("where", (inner, first, second)), _) if second == otherwise:
            return _again("where", _again("and", condition, inner), first, otherwise)
        case (Apply("not", (operand,)), _, _):
            return _again("where", operand, otherwise, then)
        case _:
            return then if then == otherwise else apply("where", condition, then, otherwise)


def _given(tree: Tree, condition: Tree, holds: bool) -> Tree:
    """A branch, where a choice at its root is decided by the condition that leads to it."""
    match tree:
        case Apply("where", (inner, then, otherwise)) if inner == condition:
            return then if holds else otherwise
        case _:
            return tree


# Conditions that are known: of nothing, all hold and none does.
TRUE, FALSE = Apply("and", ()), Apply("or", ())


def _and(a: Tree, b: Tree) -> Tree:
    if FALSE in (a, b):
        return FALSE
    return b if a in (TRUE, b) else a if b == TRUE else apply("and", a, b)


def _or(a: Tree, b: Tree) -> Tree:
    if TRUE in (a, b):
        return TRUE
    return b if a in (FALSE, b) else a if b == FALSE else apply("or", a, b)


def _not(a: Tree) -> Tree:
    match a:
        case Apply("not", (operand,)):
            return operand
        case Apply("and", ()):
            return FALSE
        case Apply("or", ()):
            return TRUE
        case _:
            return apply("not", a)


def _compare(sign: str) -> Callable[[Tree, Tree], Tree]:
    def rule(a: Tree, b: Tree) -> Tree:
        match a, b:
            case (Number(m), Number(n)):
                return TRUE if _HOLDS[sign](m, n) else FALSE
            case (Number(), _):
                return _again(_MIRRORED[sign], b, a)
            case (Apply("+", (operand, Number(m))), Number(n)) if _is_few(m, n):
                return _again(sign, operand, _number(n - m))
            case (Apply("-", (operand, Number(m))), Number(n)) if _is_few(m, n):
                return _again(sign, operand, _number(n + m))
            # A bound that is beyond the number decides nothing: min(x, 1) > -1 where x > -1.
            case (Apply("min" | "max" as word, (x, Number(m))), Number(n)) if _decides(sign, word, m, n):
                return _again(sign, x, b)
            case (Apply("min" | "max" as word, (Number(m), x)), Number(n)) if _decides(sign, word, m, n):
                return _again(sign, x, b)
            case _:
                return apply(sign, a, b)

    return rule


def _decides(sign: str, word: str, bound: float, number: float) -> bool:
    """Whether `word(x, bound) sign number` is what `x sign number` is, whatever x is."""
    if sign not in ("<", "<=", ">", ">="):
        return False
    return _HOLDS[sign](bound, number) == ((word == "min") == (sign in (">", ">=")))


# ----------------------------------------------------------------------------------------------- functions


def _unary(word: str) -> Callable[[Tree], Tree]:
    """Functions that are even, or nothing new of what they have given."""

    def rule(a: Tree) -> Tree:
        match a:
            case Apply("negative", (operand,)) if word in ("abs", "cos", "cosh"):
                return _again(word, operand)
            case Apply("stop" | "abs", _) if a.word == word:
                return a
            case Number() if word == "stop":
                return a
            case _:
                return apply(word, a)

    return rule


def _extreme(word: str) -> Callable[[Tree, Tree], Tree]:
    return lambda a, b: a if a == b else apply(word, a, b)


_RULES: dict[str, Callable[..., Tree]] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "**": _power,
    "negative": _negative,
    "where": _where,
    "and": _and,
    "or": _or,
    "not": _not,
    **{sign: _compare(sign) for sign in _HOLDS},
    **{word: _unary(word) for word in ("abs", "cos", "cosh", "stop")},
    **{word: _extreme(word) for word in ("min", "max")},
}
