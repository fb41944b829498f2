"""The functions of a network in a target's code: where they are used, or defined in the module."""

from __future__ import annotations

import builtins
import keyword
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import count

from ..compiler.functions import catalogue
from ..compiler.functions.derive import reusing
from ..compiler.functions.function import Function as Stated
from ..compiler.functions.function import Numbers
from ..compiler.functions.guard import guarded
from ..compiler.functions.simplify import simplified
from ..compiler.functions.tree import (
    ONE,
    ZERO,
    Apply,
    Argument,
    Tree,
    apply,
    arguments_in,
    is_condition,
    replaced,
    size,
    substituted,
    walk,
)
from ..dsl.records import record
from .functions import Spellings, Writer, spoken
from .source import (
    WIDTH,
    Assign,
    Call,
    Expression,
    Function,
    Keyword,
    Name,
    Parameter,
    Return,
    Scope,
    Statement,
    flat,
    node,
)

# A part of an expression that is longer than this, as source, stands before it under a name.
LONGEST_PART = 70

# A tree with more nodes than this is a function of its own in code, and so is one with parts that repeat.
MOST_INLINE = 12


@record(frozen=False)
class Definitions:
    """The functions that a module defines because its network computes them, each when it is first asked for.

    `scope` is that of code in which names of the spec are locals, `outer` that of the definitions themselves.
    `array` is the type of arrays, as text, and `decorators` stand before each function. `around`, if given,
    is applied to what a function returns and to its first argument. All is `inline` where nothing is defined.
    """

    scope: Scope
    outer: Scope
    words: Spellings
    array: str
    decorators: tuple[Expression, ...] = ()
    around: Callable[[Tree, Expression, Expression], Expression] | None = None
    inline: bool = False
    made: dict[tuple[str, Tree], tuple[Name, tuple[Name, ...]]] = field(
        default_factory=dict[tuple[str, Tree], "tuple[Name, tuple[Name, ...]]"]
    )
    statements: list[Function] = field(default_factory=list[Function])

    def value(self, function: Stated, numbers: Numbers, x: Expression) -> Expression:
        """The value of a function, written out or as a call."""
        tree = guarded(simplified(substituted(value_of(function), dict(numbers))))
        if self.inline or is_short(tree):
            written = self.written(tree, {function.first: x})
            return written if self.around is None else self.around(tree, written, x)
        name, parameters = self.defined(function, numbers)
        return _call(name, parameters[1:], [x], numbers)

    def slope(self, function: Stated, numbers: Numbers, x: Expression, y: Expression) -> Expression:
        """The derivative by the first argument: a number, an array, or a condition, 1 where that holds.

        It reads the function's value `y` where that is in it.
        """
        known, y_name = dict(numbers), _other_name("y", function)
        value = simplified(substituted(function.value, known))
        tree = guarded(reusing(simplified(substituted(function.slope, known)), value, y_name))
        if self.inline or is_short(tree):
            return self.factor(tree, {function.first: x, y_name: y})
        tree = guarded(reusing(function.slope, function.value, y_name), known)
        arrays = [function.first, *([y_name] if y_name in arguments_in(tree) else [])]
        said = f"The derivative of `{function.name}` by `{function.first}`"
        said += f", `{y_name}` being its value." if len(arrays) > 1 else "."
        name, parameters = self._defined(f"{function.name}_derivative", tree, arrays, said, function)
        return _call(name, parameters[len(arrays) :], [x, y][: len(arrays)], numbers)

    def factor(self, tree: Tree, names: Mapping[str, Expression]) -> Expression:
        """A derivative where it is used, as a factor: a number stays one, and so does a condition."""
        writer = Writer(self.scope, self.words, names, tuple(names))
        match tree:
            case Apply("where", (condition, then, otherwise)) if (then, otherwise) == (ONE, ZERO):
                return writer.tree(condition)
            case _:
                return writer.tree(tree)

    def defined(self, function: Stated, numbers: Numbers) -> tuple[Name, tuple[Name, ...]]:
        """The name of a function that is defined, and those of its parameters."""
        tree = guarded(value_of(function), dict(numbers))
        said = f"{flat(spoken(function.value))}."
        if len(said) > WIDTH - 10:
            said = f"The function `{function.name}` of `{function.first}`."
        return self._defined(function.name, tree, [function.first], said, function)

    def combined(self, wish: str, tree: Tree) -> Name:
        """The name of a function of all that an expression reads, in that order.

        Expressions that are the same but for the names of what they read have one function.
        """
        read = arguments_in(tree)
        alike = substituted(tree, {name: Argument(f" {at}") for at, name in enumerate(read)})
        if ("", alike) not in self.made:
            said = f"{flat(spoken(tree))}."
            if len(said) > WIDTH - 10:
                said = f"An expression of `{'`, `'.join(read)}`."
            self.made["", alike] = self._defined(wish, guarded(tree), read, said)
        return self.made["", alike][0]

    def written(self, tree: Tree, names: Mapping[str, Expression]) -> Expression:
        """A tree of arrays."""
        return Writer(self.scope, self.words, names, tuple(names)).value(tree)

    def _defined(
        self, wish: str, tree: Tree, arrays: Sequence[str], said: str, function: Stated | None = None
    ) -> tuple[Name, tuple[Name, ...]]:
        if (wish, tree) in self.made:
            return self.made[wish, tree]
        numbers = function.arguments[1:] if function else ()
        taken = {*self.outer.vocabulary.imports, *self.outer.vocabulary.kernels}
        names: dict[str, Name] = {}
        for each in (*arrays, *numbers):
            names[each] = _free(each, {*taken, *(name.text for name in names.values())})
        name = self.scope.new(wish)
        writer = Writer(self.outer, self.words, names, tuple(arrays))
        array, defaults = self.outer.expression(self.array), dict(function.defaults if function else ())
        parameters = [Parameter(names[each], array) for each in arrays]
        for each in numbers:
            default = node(defaults[each]) if each in defaults else None
            parameters.append(Parameter(names[each], Name("float"), default))
        body = tuple(_body(writer, tree, taken, self.around, names[arrays[0]]))
        self.statements.append(Function(name.text, tuple(parameters), body, array, said, self.decorators))
        self.made[wish, tree] = name, tuple(names.values())
        return self.made[wish, tree]


def native(table: Mapping[str, str], function: Stated, numbers: Numbers) -> str | None:
    """A target's own spelling of a function of the catalogue, if it has one for these numbers."""
    if function.name not in table or catalogue.function(function.name) != function:
        return None
    able = NATIVE_FOR.get(function.name)
    return table[function.name] if able is None or able(**dict(numbers)) else None


def _is_range(low: float, high: float) -> bool:
    return low < high


def _is_width(bound: float) -> bool:
    return bound >= 0


# The numbers for which targets have a function of their own at all.
NATIVE_FOR: Mapping[str, Callable[..., bool]] = {"hard_tanh": _is_range, "soft_shrink": _is_width}


def value_of(function: Stated) -> Tree:
    """A function's value as targets compute it, with the derivative that is declared."""
    if function.declared is None:
        return function.value
    return apply("declared", Argument(function.first), function.value, function.declared)


def is_short(tree: Tree) -> bool:
    """Whether a tree stands where it is used, and is no function of its own."""
    return size(tree) <= MOST_INLINE and not shared(tree)


def _parts(tree: Tree) -> Iterator[Tree]:
    """Every node but those that a declared derivative is of: they are computed where no gradient follows."""
    yield tree
    if isinstance(tree, Apply):
        for operand in tree.operands[: 1 if tree.word == "declared" else None]:
            yield from _parts(operand)


def _named(tree: Tree, part: Tree, name: Tree) -> Tree:
    """A tree with a name in place of a part.

    What has a declared derivative keeps what it is of, which reads its argument alone: it has the name only
    where that is within the argument.
    """
    if tree == part:
        return name
    if not isinstance(tree, Apply):
        return tree
    if tree.word == "declared":
        return replaced(tree, {part: name}) if part in walk(tree.operands[0]) else tree
    return Apply(tree.word, tuple(_named(each, part, name) for each in tree.operands))


def shared(tree: Tree) -> list[Tree]:
    """The largest parts of a tree that stand in it more than once, and read an argument."""
    counts = Counter(each for each in _parts(tree) if isinstance(each, Apply) and arguments_in(each))
    often = [
        each for each, count in counts.items() if count > 1 and not is_condition(each) and size(each) > 2
    ]
    within = {inner for each in often for inner in walk(each) if inner != each}
    return [each for each in often if each not in within]


def _repeated(tree: Tree) -> list[Tree]:
    """The parts that repeat in a tree, and those that repeat within these."""
    parts = shared(tree)
    return [*parts, *(inner for part in parts for inner in _repeated(part))]


def _body(
    writer: Writer,
    tree: Tree,
    taken: Collection[str],
    around: Callable[[Tree, Expression, Expression], Expression] | None,
    x: Expression,
) -> Iterator[Statement]:
    """The statements that return a tree, with a name for each part that is in it more than once."""
    used = {*taken, *(flat(name) for name in writer.names.values())}

    def local() -> Name:
        name = _free("u", used)
        used.add(name.text)
        return name

    lines = list[Statement]()
    value = parted(writer, tree, local, lines)
    yield from lines
    yield Return(value if around is None else around(tree, value, x))


def parted(writer: Writer, tree: Tree, local: Callable[[], Name], lines: list[Statement]) -> Expression:
    """A tree of arrays, behind `lines` that give names, which `local` makes, to parts of it.

    These are the parts that repeat, and of what is long still the longest that are not.
    """
    while part := _next_part(writer, tree):
        name = local()
        lines.append(Assign(name, writer.tree(part)))
        # No argument is called so, since names of the language do not begin with a blank.
        inner = f" {name.text}"
        tree = _named(tree, part, Argument(inner))
        is_array = any(name in writer.arrays for name in arguments_in(part))
        arrays = (*writer.arrays, inner) if is_array else writer.arrays
        writer = replace(writer, names={**writer.names, inner: name}, arrays=arrays)
    return writer.value(tree)


def part_names(scope: Scope, stem: str) -> Callable[[], Name]:
    """What makes names of parts: `<stem>_part`, `<stem>_part2` and so on."""
    numbers = count(1)

    def name() -> Name:
        number = next(numbers)
        return scope.new(f"{stem}_part{number if number > 1 else ''}")

    return name


def _next_part(writer: Writer, tree: Tree) -> Tree | None:
    """The part of a tree that is to have a name next, if there is one."""
    if repeated := _repeated(tree):
        return min(repeated, key=size)
    if len(flat(writer.value(tree))) <= LONGEST_PART:
        return None
    lengths = {
        each: len(flat(writer.tree(each)))
        for each in _parts(tree)
        if isinstance(each, Apply) and each != tree and arguments_in(each) and not is_condition(each)
    }
    # What has a declared derivative stays in one piece, however long.
    short = [each for each, length in lengths.items() if length <= LONGEST_PART or each.word == "declared"]
    return max(short, key=lambda each: lengths[each], default=None)


def _call(
    name: Name, parameters: Sequence[Name], arrays: Sequence[Expression], numbers: Numbers
) -> Expression:
    given = [Keyword(p.text, node(value)) for p, (_, value) in zip(parameters, numbers, strict=True)]
    return Call(name, (*arrays, *given))


def _free(wish: str, taken: Collection[str]) -> Name:
    """A name for a local: the one wished for, the letter behind it, or one with underscores."""
    if wish == "u":
        wish = next((letter for letter in "uvwabcdefg" if letter not in taken), wish)
    while wish in taken or hasattr(builtins, wish) or keyword.iskeyword(wish):
        wish += "_"
    return Name(wish)


def _other_name(wish: str, function: Stated) -> str:
    while wish in function.arguments:
        wish += "_"
    return wish
