"""The printer: one way to lay out a tree, which is ruff's and black's."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .tree import (
    Assign,
    Attribute,
    Binary,
    Call,
    Choice,
    Comment,
    Comparison,
    Comprehension,
    Constant,
    Display,
    Evaluate,
    Expression,
    For,
    Function,
    If,
    Keyword,
    Lambda,
    Loop,
    Name,
    Pair,
    Parameter,
    Return,
    Slice,
    Starred,
    Statement,
    Subscript,
    Unary,
    With,
    Word,
)

WIDTH = 110

_COMPARISONS = ("in", "not in", "is", "is not", "<", "<=", ">", ">=", "!=", "==")
_LEVELS = (
    *(("or",), ("and",), _COMPARISONS, ("|",), ("^",), ("&",), ("<<", ">>")),
    *(("+", "-"), ("*", "@", "/", "//", "%")),
)
# How tightly operators bind. Between the last of these and atoms stand `-x` and powers.
_TIGHT = {operator: 2 * at + 2 for at, level in enumerate(_LEVELS) for operator in level}
_CHOICE, _NOT, _MINUS, _POWER, _ATOM = 1, 5, 20, 21, 22
_ATOMS = frozenset([Name, Constant, Attribute, Call, Subscript])


def _tightness(tree: Expression) -> int:
    if type(tree) in _ATOMS:  # as most are
        return _ATOM
    match tree:
        case Binary(operator="**"):
            return _POWER
        case Binary(operator=operator):
            return _TIGHT[operator]
        case Comparison():
            return _TIGHT["=="]
        case Unary(operator="not "):
            return _NOT
        case Unary():
            return _MINUS
        case Choice() | Lambda():
            return _CHOICE
        case Display(bare=True):
            return 0
        case _:
            return _ATOM


def flat(tree: Expression) -> str:
    """An expression on one line."""
    match tree:
        case Name(text=text):
            return text
        case Constant(value=value, shown=shown):
            return _string(value) if isinstance(value, str) else shown or repr(value)
        case Attribute(of=of, name=name):
            number = isinstance(of, Constant) and isinstance(of.value, int)
            return f"({flat(of)}).{name}" if number else f"{_within(of, _ATOM)}.{name}"
        case Call(function=function, arguments=(Comprehension(brackets="()") as only,)):
            return f"{_within(function, _ATOM)}{flat(only)}"
        case Call(function=function, arguments=arguments):
            return f"{_within(function, _ATOM)}({_list(arguments)})"
        case Keyword(name=name, value=value):
            return f"{name}={_within(value, 1)}" if name else f"**{_within(value, _ATOM)}"
        case Starred(value=value):
            return f"*{_within(value, _TIGHT['|'])}"
        case Subscript(of=of, index=index):
            return f"{_within(of, _ATOM)}[{_index(index)}]"
        case Slice():
            return _slice(tree)
        case Unary(operator=operator, operand=operand):
            return f"{operator}{_operand(tree, operand)}"
        case Binary(left=left, operator="**", right=right):
            space = "" if _is_simple(left) and not isinstance(left, Unary) and _is_simple(right) else " "
            return f"{_within(left, _ATOM)}{space}**{space}{_within(right, _MINUS)}"
        case Binary(left=left, operator=operator, right=right):
            return f"{_operand(tree, left)} {operator} {_operand(tree, right, last=True)}"
        case Comparison(first=first, operators=operators, others=others):
            pairs = zip(operators, others, strict=True)
            return _operand(tree, first) + "".join(f" {sign} {_operand(tree, each)}" for sign, each in pairs)
        case Choice(then=then, test=test, otherwise=otherwise):
            return f"{_within(then, 2)} if {_within(test, 2)} else {_within(otherwise, 1)}"
        case Display(bare=True, items=items):
            return _list(items)
        case Display(brackets="()", items=(only,)):
            return f"({_within(only, 1)},)"
        case Display(brackets=brackets, items=items):
            return f"{brackets[0]}{_list(items)}{brackets[1]}"
        case Pair(key=key, value=value):
            return f"**{_within(value, _ATOM)}" if key is None else f"{flat(key)}: {_within(value, 1)}"
        case Comprehension(brackets=brackets, element=element, loops=loops):
            return f"{brackets[0]}{flat(element)} {' '.join(map(flat, loops))}{brackets[1]}"
        case Loop(target=target, iterable=iterable, conditions=conditions):
            tests = "".join(f" if {_within(condition, 2)}" for condition in conditions)
            return f"for {flat(target)} in {_within(iterable, 2)}{tests}"
        case Lambda(parameters=parameters, body=body):
            given = _list(parameters)
            return f"lambda {given}: {_within(body, 1)}" if given else f"lambda: {_within(body, 1)}"
        case Parameter(name=name, annotation=annotation, default=default):
            typed = flat(name) if annotation is None else f"{flat(name)}: {flat(annotation)}"
            equals = "=" if annotation is None else " = "
            return typed if default is None else f"{typed}{equals}{_within(default, 1)}"
        case _:
            raise AssertionError(tree)


def _within(tree: Expression, tight: int) -> str:
    """An expression in parentheses if it binds more loosely than what is around it."""
    return f"({flat(tree)})" if _tightness(tree) < tight else flat(tree)


_BITWISE = frozenset(["|", "^", "&", "<<", ">>"])


def _operand(tree: Expression, operand: Expression, *, last: bool = False) -> str:
    """An operand, in parentheses where it needs them, or where readers would have to know why it does not."""
    tight = _tightness(tree)
    match tree, operand:
        case Unary(operator="not "), _:
            return _within(operand, _NOT)
        case Unary(), Binary(operator="**"):
            return f"({flat(operand)})"
        case Unary(), _:
            return _within(operand, _MINUS)
        case Comparison(), _:
            return _within(operand, tight + 1)
        case Binary(operator=operator), Binary(operator=inner):
            if operator in _COMPARISONS:
                return _within(operand, tight + 1)
            unclear = (operator in _BITWISE and inner != operator) or (operator, inner) == ("or", "and")
            return f"({flat(operand)})" if unclear else _within(operand, tight + last)
        case Binary(operator=operator), _:
            return _within(operand, tight + (last or operator in _COMPARISONS))
        case _:
            raise AssertionError(tree)


def _list(items: Iterable[Expression]) -> str:
    return ", ".join(_within(item, 1) for item in items)


def _index(index: Expression) -> str:
    """What stands between the brackets of an index: a tuple has no parentheses there."""
    if isinstance(index, Display) and index.brackets == "()" and len(index.items) > 1:
        return _list(index.items)
    return flat(index)


def _slice(tree: Slice) -> str:
    """`a:b:c`, with blanks around the colons where a bound is more than a name or a number."""
    bounds = [tree.lower, tree.upper, *([] if tree.step is None else [tree.step])]
    if all(bound is None or (_is_simple(bound) and not isinstance(bound, Attribute)) for bound in bounds):
        return ":".join("" if bound is None else flat(bound) for bound in bounds)
    text = "" if tree.lower is None else f"{_within(tree.lower, 1)} "
    for bound in bounds[1:]:
        text += ":" if bound is None else f": {_within(bound, 1)} "
    return text.strip()


def _is_simple(tree: Expression) -> bool:
    """Whether ruff leaves out blanks around the operator `**` beside it."""
    match tree:
        case Unary(operator="-", operand=operand):
            return _is_simple(operand)
        case Attribute(of=of):
            return _is_simple(of)
        case Name():
            return True
        case Constant(value=value):
            return not isinstance(value, str)
        case _:
            return False


def _string(text: str) -> str:
    """A string of ASCII letters in double quotes, unless single ones spare escapes."""
    shown = ascii(text)
    if shown[0] == '"' or text.count('"') > text.count("'"):
        return shown
    return '"' + shown[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'


def printed(statements: Iterable[Statement], indent: int = 0) -> str:
    """Statements as text. Each line is indented, but for the first, whose place is the template's."""
    return "\n".join(_lines(statements, indent)).removeprefix(" " * indent)


def _lines(statements: Iterable[Statement], indent: int) -> list[str]:
    """Statements as lines; what a statement breaks into is one entry with line ends in it."""
    blank, lines = " " * indent, list[str]()
    for statement in statements:
        match statement:
            case Assign(target=target, value=value, operator=operator, annotation=annotation):
                typed = flat(target) if annotation is None else f"{flat(target)}: {flat(annotation)}"
                lines.append(blank + broken(value, f"{typed} {operator} ", "", indent))
            case Evaluate(value=value, keyword=keyword):
                lines.append(blank + broken(value, f"{keyword} " if keyword else "", "", indent))
            case Return(value=value):
                text = "return" if value is None else broken(value, "return ", "", indent)
                lines.append(blank + text)
            case Word(text=text):
                lines.append(blank + text if text else "")
            case Comment(text=text):
                lines.append(f"{blank}# {text}")
            case If():
                lines += _branches(statement, indent)
            case For(target=target, iterable=iterable, body=body):
                lines.append(blank + broken(iterable, f"for {flat(target)} in ", ":", indent))
                lines += _lines(body, indent + 4)
            case With(context=context, name=name, body=body):
                bound = "" if name is None else f" as {flat(name)}"
                lines.append(blank + broken(context, "with ", f"{bound}:", indent))
                lines += _lines(body, indent + 4)
            case Function():
                lines += _function(statement, indent)
            case _:
                raise AssertionError(statement)
    return lines


def _branches(statement: If, indent: int) -> list[str]:
    blank, word, lines = " " * indent, "if ", list[str]()
    while True:
        lines.append(blank + broken(statement.test, word, ":", indent))
        lines += _lines(statement.body, indent + 4)
        match statement.otherwise:
            case ():
                return lines
            case (If() as statement,):
                word = "elif "
            case otherwise:
                return [*lines, f"{blank}else:", *_lines(otherwise, indent + 4)]


def _function(function: Function, indent: int) -> list[str]:
    blank = " " * indent
    lines = [f"{blank}@{flat(decorator)}" for decorator in function.decorators]
    returns = "" if function.returns is None else f" -> {flat(function.returns)}"
    head, tail = f"def {function.name}(", f"){returns}:"
    lines.append(blank + _arguments(head, function.parameters, tail, indent))
    if function.docstring:
        first, *rest = _paragraphs(function.docstring, WIDTH - indent - 4)
        end = '"""' if not rest else ""
        lines.append(f'{blank}    """{first}{end}')
        lines += [f"{blank}    {line}" if line else "" for line in rest]
        lines += [f'{blank}    """'] * bool(rest)
    return lines + _lines(function.body, indent + 4)


def _paragraphs(docstring: str, width: int) -> list[str]:
    """A docstring's lines, of which those that do not fit are broken between words."""
    given, lines = docstring.splitlines(), list[str]()
    for at, line in enumerate(given):
        room = width - 3 * (at == 0) - 3 * (len(given) == 1)  # beside the quotes
        lines += [line] if len(line) <= room else textwrap.wrap(line, room, break_long_words=False)
    return lines


def broken(tree: Expression, head: str, tail: str, indent: int) -> str:
    """`head` + expression + `tail`, on one line if it fits, else broken where ruff and black would break it.

    The last brackets are broken first: the arguments of a call onto one line if they fit, else one on each,
    items one on each. Operators stand at the beginnings of lines, in parentheses.
    """
    flat_text = head + flat(tree) + tail
    spread = isinstance(tree, Display) and tree.spread and tree.items
    if not spread and indent + len(flat_text) <= WIDTH:
        return flat_text
    match tree:
        case Call(arguments=(Comprehension(brackets="()") as only,)):
            return _loops(only, f"{head}{_within(tree.function, _ATOM)}(", f"){tail}", indent)
        case Call(function=function, arguments=arguments):
            start = f"{head}{_within(function, _ATOM)}("
            if isinstance(function, Call) and indent + len(start) > WIDTH:
                first = broken(function, head, "(", indent)[:-1]
                fits = _ends_at(first, indent) + len(f"({_list(arguments)}){tail}") <= WIDTH
                if fits or not arguments:
                    return f"{first}({_list(arguments)}){tail}"
                return _arguments(f"{first}(", arguments, f"){tail}", indent)
            inner = _called_on(tree)
            if inner is not None and indent + len(start) > WIDTH:
                return broken(inner, head, f"{flat(tree).removeprefix(flat(inner))}{tail}", indent)
            return _arguments(start, arguments, f"){tail}", indent) if arguments else flat_text
        case Subscript(of=of, index=index):
            start = f"{head}{_within(of, _ATOM)}["
            if isinstance(of, Call) and indent + len(start) > WIDTH:
                return broken(of, head, f"[{_index(index)}]{tail}", indent)
            return f"{start}\n{' ' * (indent + 4)}{_index(index)}\n{' ' * indent}]{tail}"
        case Attribute(of=Call() as of, name=name):
            return broken(of, head, f".{name}{tail}", indent)
        case Display(brackets=brackets, items=items) if items:
            return _items(head + brackets[0], items, brackets[1] + tail, indent, tree.spread)
        case Comprehension(brackets=brackets):
            return _loops(tree, head + brackets[0], brackets[1] + tail, indent)
        case Keyword(name=name, value=value) if name:
            return broken(value, f"{head}{name}=", tail, indent)
        case Starred(value=value):
            return broken(value, f"{head}*", tail, indent)
        case Pair(key=key, value=value):
            return broken(value, f"{head}{flat(key)}: " if key else f"{head}**", tail, indent)
        case Binary(operator=operator, right=Call() | Display() as right) if _breaks_last(tree, head, indent):
            return broken(right, f"{head}{_operand(tree, tree.left)} {operator} ", tail, indent)
        case Binary() | Choice():
            pieces = _pieces(tree)
            operands = _operands(tree) if isinstance(tree, Binary) and len(pieces) == 2 else []
            if operands and isinstance(last := operands[-1][1], Call) and last.arguments:
                text = _operands_broken(operands, head, tail, indent)
                first, *others = text.split("\n")
                if max(indent + len(first), *map(len, others)) <= WIDTH:
                    return text
            return _body(f"{head}(", pieces, f"){tail}", indent)
        case _:
            return flat_text


def _called_on(tree: Call) -> Call | None:
    """The call whose result a method is called on, if that has arguments."""
    match tree.function:
        case Attribute(of=Call(arguments=(_, *_)) as inner):
            return inner
        case _:
            return None


def _ends_at(text: str, indent: int) -> int:
    """How long the last line of a text is, of which the first is not indented yet."""
    *others, last = text.split("\n")
    return len(last) + (0 if others else indent)


def _operands(tree: Binary) -> list[tuple[str, Expression, str]]:
    """All operands that have no parentheses around them, each behind its operator, and as it is written."""
    found: list[tuple[str, Expression, str]] = []
    for operand, last in ((tree.left, False), (tree.right, True)):
        text = _operand(tree, operand, last=last)
        inner: list[tuple[str, Expression, str]] = [("", operand, text)]
        if isinstance(operand, Binary) and operand.operator != "**" and text == flat(operand):
            inner = _operands(operand)
        (_, first, shown), *others = inner
        found += [(f" {tree.operator} " if last else "", first, shown), *others]
    return found


def _opening(operand: Expression, shown: str) -> str:
    """What an operand has before the bracket at which it can be broken, or all of it."""
    if shown != flat(operand):
        return ""  # it is in parentheses
    return _within(operand.function, _ATOM) if isinstance(operand, Call) else shown


def _operands_broken(
    operands: Sequence[tuple[str, Expression, str]], head: str, tail: str, indent: int
) -> str:
    """Calls among operands are broken where they do not fit, instead of the one operator between them."""
    text = head
    behind = [f"{operator}{_opening(operand, shown)}(" for operator, operand, shown in operands[1:]]
    for (operator, operand, shown), following in zip(operands, [*behind, tail], strict=True):
        text += operator
        fits = _ends_at(text, indent) + len(shown + following) <= WIDTH
        if isinstance(operand, Call) and operand.arguments and not fits:
            opening = f"{text}{_within(operand.function, _ATOM)}("
            text = _arguments(opening, operand.arguments, f"){following}", indent).removesuffix(following)
        else:
            text += shown
    return text + tail


def _breaks_last(tree: Binary, head: str, indent: int) -> bool:
    """Whether brackets at the end are broken instead of the one operator before them: where that fits."""
    match tree.right:
        case Call(function=function, arguments=arguments) as call if arguments:
            openings = [f"{_within(function, _ATOM)}("]
            if inner := _called_on(call):
                openings.append(f"{_within(inner.function, _ATOM)}(")
        case Display(items=items, bare=False) if items:
            openings = ["("]
        case _:
            return False
    before = f"{head}{_operand(tree, tree.left)} {tree.operator} "
    return len(_pieces(tree)) == 2 and indent + len(before) + min(map(len, openings)) <= WIDTH


def _arguments(head: str, arguments: Sequence[Expression], tail: str, indent: int) -> str:
    """A call or a function's head: on one line, or all arguments on one, or one on each."""
    joined = _list(arguments)
    if indent + len(head) + len(joined) + len(tail) <= WIDTH:
        return head + joined + tail
    inner, outer = " " * (indent + 4), " " * indent
    if indent + 4 + len(joined) <= WIDTH:
        return f"{head}\n{inner}{joined}\n{outer}{tail}"
    return _items(head, arguments, tail, indent)


def _items(head: str, items: Sequence[Expression], tail: str, indent: int, spread: bool = False) -> str:
    """One item on each line, with a comma behind it."""
    inner, outer = " " * (indent + 4), " " * indent
    comma = "," if spread or len(items) > 1 or isinstance(items[0], Parameter) else ""
    lines = "".join(f"\n{inner}{_bracketed(item, '', indent + 4, comma)}" for item in items)
    return f"{head}{lines}\n{outer}{tail}"


class _Piece(NamedTuple):
    """An operand behind its operator or word, and as it is written there, perhaps in parentheses."""

    head: str
    operand: Expression
    shown: str

    def __str__(self) -> str:
        return self.head + self.shown

    def at(self, indent: int) -> str:
        """It on a line of its own, broken at its brackets if it is too long for one."""
        fits = indent + len(str(self)) <= WIDTH or self.shown != flat(self.operand)
        if not fits and isinstance(self.operand, Call | Display):
            return broken(self.operand, self.head, "", indent)
        return str(self)


def _body(head: str, pieces: Sequence[_Piece], tail: str, indent: int) -> str:
    """Pieces between brackets: all on one line if they fit, else one on each."""
    inner, outer = " " * (indent + 4), " " * indent
    joined = " ".join(map(str, pieces))
    if indent + 4 + len(joined) > WIDTH:
        joined = f"\n{inner}".join(piece.at(indent + 4) for piece in pieces)
    return f"{head}\n{inner}{joined}\n{outer}{tail}"


def _pieces(tree: Expression) -> list[_Piece]:
    """What stands on each line if an expression is broken at its loosest operators."""
    match tree:
        case Binary(left=left, operator=operator, right=right) if operator != "**":
            tight = _TIGHT[operator]
            rights = [_Piece(f"{operator} ", right, _operand(tree, right, last=True))]
            while (
                isinstance(left, Binary)
                and _TIGHT.get(left.operator) == tight
                and operator not in _COMPARISONS
            ):
                rights.append(_Piece(f"{left.operator} ", left.right, _operand(left, left.right, last=True)))
                tree, left = left, left.left
            return [_Piece("", left, _operand(tree, left)), *reversed(rights)]
        case Choice(then=then, test=test, otherwise=otherwise):
            return [
                _Piece("", then, _within(then, 2)),
                _Piece("if ", test, _within(test, 2)),
                _Piece("else ", otherwise, _within(otherwise, 1)),
            ]
        case _:
            return [_Piece("", tree, flat(tree))]


def _loops(tree: Comprehension, head: str, tail: str, indent: int) -> str:
    """A comprehension between brackets: on one line, or its element, loops and conditions one on each."""
    inner, outer = " " * (indent + 4), " " * indent
    joined = f"{flat(tree.element)} {' '.join(map(flat, tree.loops))}"
    if indent + 4 + len(joined) <= WIDTH:
        return f"{head}\n{inner}{joined}\n{outer}{tail}"
    lines = [_bracketed(tree.element, "", indent + 4)]
    for loop in tree.loops:
        lines.append(_bracketed(loop.iterable, f"for {flat(loop.target)} in ", indent + 4))
        lines += [_bracketed(condition, "if ", indent + 4) for condition in loop.conditions]
    return f"{head}\n{inner}{f'{chr(10)}{inner}'.join(lines)}\n{outer}{tail}"


def _bracketed(tree: Expression, head: str, indent: int, tail: str = "") -> str:
    """`head`, expression and `tail` within brackets: operators begin lines without their own parentheses."""
    if isinstance(tree, Keyword) and tree.name:
        return _bracketed(tree.value, f"{head}{tree.name}=", indent, tail)
    if isinstance(tree, Binary | Choice) and indent + len(head) + len(flat(tree)) + len(tail) > WIDTH:
        return head + f"\n{' ' * indent}".join(piece.at(indent) for piece in _pieces(tree)) + tail
    return broken(tree, head, tail, indent)
