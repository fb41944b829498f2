"""Trees of functions as source, in the words of a target: a table of spellings for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from ..compiler.functions.simplify import simplified
from ..compiler.functions.tree import (
    ARITHMETIC,
    COMPARISONS,
    ZERO,
    Apply,
    Argument,
    Number,
    Tree,
    arguments_in,
    replaced,
)
from ..dsl.records import record
from .source import (
    Assign,
    Binary,
    Expression,
    Lambda,
    Name,
    Parameter,
    Scope,
    Statement,
    Unary,
    flat,
    node,
)

# How a target spells words as Python, with the holes `a`, `b` and `c` for their operands. Those that choose
# between numbers alone need an array `like` the one to make; `truth` is 1 where `a` holds and 0 elsewhere,
# and `square` is `a**2` where the power would be less exact.
Spellings = Mapping[str, str]

# Numbers alone, in any target: what they are is known before any array is.
NUMBERS: Spellings = {
    "abs": "abs(a)",
    "sign": "(a > 0) - (a < 0)",
    "floor": "math.floor(a)",
    "round": "round(a)",
    "min": "min(a, b)",
    "max": "max(a, b)",
    "where": "b if a else c",
    "and": "a and b",
    "or": "a or b",
    "not": "not a",
    "stop": "a",
    "sigmoid": "1 / (1 + math.exp(-a))",
    "softplus": "math.log1p(math.exp(a))",
    "log_sigmoid": "-math.log1p(math.exp(-a))",
    **{
        word: f"math.{word}(a)"
        for word in (
            *("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "atan"),
            *("atanh", "erf"),
        )
    },
}

NUMPY: Spellings = {
    "abs": "np.abs(a)",
    "sign": "np.sign(a)",
    "floor": "np.floor(a)",
    "round": "np.round(a)",
    "min": "np.minimum(a, b)",
    "max": "np.maximum(a, b)",
    "where": "np.where(a, b, c)",
    "choice": "np.where(a, b, c).astype(like.dtype)",
    "truth": "a.astype(like.dtype)",
    "constant": "np.full_like(like, a)",
    "and": "a & b",
    "or": "a | b",
    "not": "~a",
    "stop": "a",
    "exp": "np.exp(a)",
    "expm1": "np.expm1(a)",
    "log": "np.log(a)",
    "log1p": "np.log1p(a)",
    "sqrt": "np.sqrt(a)",
    "sin": "np.sin(a)",
    "cos": "np.cos(a)",
    "tan": "np.tan(a)",
    "sinh": "np.sinh(a)",
    "cosh": "np.cosh(a)",
    "tanh": "np.tanh(a)",
    "atan": "np.arctan(a)",
    "atanh": "np.arctanh(a)",
    "erf": "erf(a)",
    "sigmoid": "sigmoid(a)",
    "softplus": "np.logaddexp(a, 0)",
    "log_sigmoid": "-np.logaddexp(-a, 0)",
}

TORCH: Spellings = {
    "abs": "a.abs()",
    "sign": "a.sign()",
    "floor": "a.floor()",
    "round": "a.round()",
    "min": "smaller(a, b)",
    "max": "larger(a, b)",
    "least": "b.clamp(max=a)",
    "most": "b.clamp(min=a)",
    "where": "torch.where(a, b, c)",
    "choice": "torch.where(a, torch.full_like(like, b), c)",
    "truth": "a.to(like.dtype)",
    "constant": "torch.full_like(like, a)",
    "and": "a & b",
    "or": "a | b",
    "not": "~a",
    "stop": "a.detach()",
    "declared": "sloped(a, b, c)",
    "exp": "a.exp()",
    "expm1": "a.expm1()",
    "log": "a.log()",
    "log1p": "a.log1p()",
    "sqrt": "a.sqrt()",
    "sin": "a.sin()",
    "cos": "a.cos()",
    "tan": "a.tan()",
    "sinh": "a.sinh()",
    "cosh": "a.cosh()",
    "tanh": "a.tanh()",
    "atan": "a.atan()",
    "atanh": "a.atanh()",
    "erf": "a.erf()",
    "sigmoid": "a.sigmoid()",
    # It turns linear above 20 unless told otherwise, which float64 would notice.
    "softplus": "F.softplus(a, threshold=50)",
    "log_sigmoid": "F.logsigmoid(a)",
}

KERAS: Spellings = {
    "square": "squared(a)",
    "abs": "abs(a)",
    "sign": "keras.ops.sign(a)",
    "floor": "keras.ops.floor(a)",
    "round": "keras.ops.round(a)",
    "min": "smaller(a, b)",
    "max": "larger(a, b)",
    "where": "keras.ops.where(a, b, c)",
    "choice": "keras.ops.where(a, keras.ops.full_like(like, b), c)",
    "truth": "keras.ops.cast(a, like.dtype)",
    "constant": "keras.ops.full_like(like, a)",
    "and": "keras.ops.logical_and(a, b)",
    "or": "keras.ops.logical_or(a, b)",
    "not": "keras.ops.logical_not(a)",
    "stop": "keras.ops.stop_gradient(a)",
    "declared": "sloped(a, b, c)",
    "exp": "keras.ops.exp(a)",
    "expm1": "keras.ops.expm1(a)",
    "log": "keras.ops.log(a)",
    "log1p": "keras.ops.log1p(a)",
    "sqrt": "keras.ops.sqrt(a)",
    "sin": "keras.ops.sin(a)",
    "cos": "keras.ops.cos(a)",
    "tan": "keras.ops.tan(a)",
    "sinh": "keras.ops.sinh(a)",
    "cosh": "keras.ops.cosh(a)",
    "tanh": "keras.ops.tanh(a)",
    "atan": "keras.ops.arctan(a)",
    "atanh": "keras.ops.arctanh(a)",
    "erf": "keras.ops.erf(a)",
    "sigmoid": "keras.ops.sigmoid(a)",
    "softplus": "keras.ops.softplus(a)",
    "log_sigmoid": "keras.ops.log_sigmoid(a)",
}

# The reference of the generated tests, of numbers that may be complex; its kernels are in `plain.py`.
REFERENCE: Spellings = {
    **{
        word: f"{word}(a)"
        for word in (
            *("expm1", "log", "log1p", "sqrt", "atanh", "erf", "sigmoid", "softplus", "log_sigmoid"),
            "tanh",
        )
    },
    "power": "real_power(a, b)",
    **{word: NUMPY[word] for word in ("exp", "sin", "cos", "sinh", "cosh", "tan")},
    **{word: NUMPY[word] for word in ("atan", "where", "choice", "truth", "constant")},
    **{word: NUMPY[word] for word in ("and", "or", "not")},
    "abs": "magnitude(a)",
    "sign": "np.sign(np.real(a))",
    "floor": "np.floor(np.real(a))",
    "round": "np.round(np.real(a))",
    "min": "smaller(a, b)",
    "max": "larger(a, b)",
    "stop": "np.real(a)",
    "declared": "sloped(a, b, c)",
    "compared": "np.real(a)",
}


def _is_whole(tree: Tree) -> bool:
    """Whether a tree is a whole number."""
    return isinstance(tree, Number) and float(tree.value).is_integer()


# What is longer than this is a statement of its own before the sum that it is a term of.
LONGEST_TERM = 60


def apart(lines: list[Statement], name: Callable[[], Name], value: Expression) -> Expression:
    """A value that is a part of a sum: where it is long, a name that is made and bound to it in `lines`."""
    if len(flat(value)) <= LONGEST_TERM:
        return value
    local = name()
    lines.append(Assign(local, value))
    return local


@record
class Writer:
    """Writes trees in a target's words.

    `names` has the expressions of arguments, and `arrays` says which of them are arrays: others are numbers.
    """

    scope: Scope
    words: Spellings
    names: Mapping[str, Expression]
    arrays: Collection[str]

    def value(self, tree: Tree) -> Expression:
        """A tree as an array that is like the arrays it is made of, in shape and precision."""
        if self._is_number(tree) and self.arrays:
            return self._quoted("constant", self.tree(tree), like=tree)
        return self.tree(tree)

    def tree(self, tree: Tree) -> Expression:
        """A tree; of numbers alone, it is a number."""
        match tree:
            case Number(value):
                return self.scope.expression("math.pi") if value == math.pi else node(value)
            case Argument(name):
                return self.names[name]
            case Apply(word, operands):
                return self._applied(tree, word, operands)

    def _is_number(self, tree: Tree) -> bool:
        return not any(name in self.arrays for name in arguments_in(tree))

    def _applied(self, tree: Apply, word: str, operands: tuple[Tree, ...]) -> Expression:
        if word == "negative":
            return Unary("-", self.tree(operands[0]))
        if word in COMPARISONS:
            return Binary(self._compared(operands[0]), word, self._compared(operands[1]))
        is_array = word == "**" and not self._is_number(tree)
        if is_array and operands[1] == Number(2) and "square" in self.words:
            return self._quoted("square", self.tree(operands[0]), like=tree)
        if is_array and not _is_whole(operands[1]) and "power" in self.words:
            return self._quoted("power", *map(self.tree, operands), like=tree)
        if word in ARITHMETIC:
            return Binary(self.tree(operands[0]), word, self.tree(operands[1]))
        if self._is_number(tree):
            return self._quoted(word, *map(self.tree, operands), words=NUMBERS, like=tree)
        if word == "where":
            return self._where(*operands)
        if word == "declared":
            return self._declared(*operands)
        if word in ("min", "max"):
            return self._extreme(word, *operands)
        return self._quoted(word, *map(self.tree, operands), like=tree)

    def _compared(self, tree: Tree) -> Expression:
        """What is compared: of complex numbers the real part."""
        if "compared" not in self.words or self._is_number(tree):
            return self.tree(tree)
        return self._quoted("compared", self.tree(tree), like=tree)

    def _where(self, condition: Tree, then: Tree, otherwise: Tree) -> Expression:
        branches = (self.tree(then), self.tree(otherwise))
        if self._is_number(condition):
            return self._quoted("where", self.tree(condition), *branches, words=NUMBERS, like=condition)
        if not (self._is_number(then) and self._is_number(otherwise)):
            return self._quoted("where", self.tree(condition), *branches, like=condition)
        if then == Number(1) and otherwise == ZERO:
            return self._quoted("truth", self.tree(condition), like=condition)
        return self._quoted("choice", self.tree(condition), *branches, like=condition)

    def _declared(self, at: Tree, value: Tree, slope: Tree) -> Expression:
        """What has a declared derivative; where derivatives are written out, it is the value alone."""
        if "declared" not in self.words:
            return self.tree(simplified(value))
        name = Argument(at.name if isinstance(at, Argument) else "x")
        local = self.names[at.name] if isinstance(at, Argument) else self.scope.new("x")
        names = {**self.names, name.name: local}
        within = replace(self, names=names, arrays={*self.arrays, name.name})
        functions = [
            Lambda((Parameter(local),), within.value(replaced(tree, {at: name}))) for tree in (value, slope)
        ]
        return self._quoted("declared", self.tree(at), *functions, like=at)

    def _extreme(self, word: str, a: Tree, b: Tree) -> Expression:
        """A `min` or `max`, of which at a tie the second operand counts: so a number is a bound if first."""
        bound = {"min": "least", "max": "most"}[word]
        if self._is_number(a) and bound in self.words:
            return self._quoted(bound, self.tree(a), self.tree(b), like=b)
        if self._is_number(a) and "declared" not in self.words:
            a, b = b, a
        return self._quoted(word, self.tree(a), self.tree(b), like=a)

    def _quoted(
        self, word: str, *operands: Expression, like: Tree, words: Spellings | None = None
    ) -> Expression:
        holes = dict(zip("abc", operands, strict=False))
        text = (words or self.words)[word]
        if "like" not in text:
            return self.scope.expression(text, **holes)
        first = next((name for name in arguments_in(like) if name in self.arrays), None)
        array = self.names[first] if first is not None else self.names[min(self.arrays)]
        return self.scope.expression(text, like=array, **holes)
