"""Quoting: trees from Python's text, with holes for other trees, and the names of one module."""

from __future__ import annotations

import ast
import builtins
import keyword
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from functools import cache
from types import EllipsisType

from ...dsl.records import record
from .tree import (
    Assign,
    Attribute,
    Binary,
    Call,
    Choice,
    Comparison,
    Comprehension,
    Constant,
    Display,
    Evaluate,
    Expression,
    For,
    Function,
    Given,
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
    names_in,
    node,
)


@record
class Vocabulary:
    """The names of ours that a target's code may have.

    `imports` are lines by the name that each binds, `kernels` what can be copied, `defined` what the module
    itself defines, and `local` what is bound within its functions.
    """

    imports: Mapping[str, str]
    kernels: frozenset[str]
    defined: frozenset[str] = frozenset()
    local: frozenset[str] = frozenset()


@record(frozen=False)
class Scope:
    """The names of one module: those that the spec `given`, and ours beside them.

    Where one of ours is called the same it gets an underscore: what is bound locally is called so outright,
    imports and kernels get an alias, which `aliases` binds.
    """

    vocabulary: Vocabulary
    given: frozenset[str]
    aliased: dict[str, Name] = field(default_factory=dict[str, Name])
    taken: set[str] = field(default_factory=set[str])
    known: dict[tuple[str, str], Name] = field(default_factory=dict[tuple[str, str], Name])

    def __post_init__(self) -> None:
        ours = self.vocabulary
        self.taken |= self.given | {*ours.imports, *ours.kernels, *ours.defined, *ours.local}

    def user(self, name: str) -> Name:
        """A name of the spec."""
        assert name in self.given, name
        return Name(name)

    def new(self, wish: str) -> Name:
        """A local name that nothing else has: the one wished for, or with underscores behind it."""
        while wish in self.taken or hasattr(builtins, wish) or keyword.iskeyword(wish):
            wish += "_"
        self.taken.add(wish)
        return Name(wish)

    def of(self, what: tuple[str, str], wish: str) -> Name:
        """The local name of something, a new one where it is asked for first."""
        if what not in self.known:
            self.known[what] = self.new(wish)
        return self.known[what]

    def name(self, identifier: str) -> Name:
        """One of our names. Raises KeyError if the vocabulary lacks it."""
        ours, known = self.vocabulary, self.aliased.get(identifier)
        if known is not None:
            return known
        if identifier in ours.imports:
            name = Name(identifier, imported=ours.imports[identifier])
        elif identifier in ours.kernels:
            name = Name(identifier, kernel=identifier)
        elif identifier in ours.defined or identifier in ours.local or hasattr(builtins, identifier):
            name = Name(identifier)
        else:
            raise KeyError(identifier)
        if identifier in self.given:
            name = Name(self.new(identifier + "_").text, name.kernel, name.imported)
            self.aliased[identifier] = name
        return name

    def reads(self, identifier: str, *trees: object) -> bool:
        """Whether one of our names is in trees of this module."""
        return self.name(identifier) in names_in(*trees)

    def aliases(self, *trees: object) -> tuple[Assign, ...]:
        """Statements for the end of the module: other names for what one of the spec would hide in trees."""
        local, read = self.vocabulary.local, {*names_in(*trees)} if self.aliased else frozenset[Name]()
        return tuple(
            Assign(Name(name.text), Name(identifier))
            for identifier, name in sorted(self.aliased.items())
            if identifier not in local and name in read
        )

    def expression(self, text: str, **holes: Given | Sequence[Given] | Mapping[str, Given]) -> Expression:
        """An expression from Python's text.

        A hole takes a tree or a constant; in `*hole` a sequence of arguments or items, in `**hole` a mapping
        of keywords, or a sequence of `Pair` within a dict. A comma behind the last item, as in `[*hole,]`,
        spreads items over lines.
        """
        return _Quotation(self.name, holes, text.splitlines()).expression(_parsed_expression(text))

    def statements(self, text: str, **holes: object) -> tuple[Statement, ...]:
        """Statements from Python's text. A hole on a line of its own takes a sequence of statements."""
        return _Quotation(self.name, holes, text.splitlines()).body(_parsed_statements(text))


@cache
def _parsed_expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@cache
def _parsed_statements(text: str) -> list[ast.stmt]:
    return ast.parse(text).body


_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.MatMult: "@",
    ast.Pow: "**",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitOr: "|",
    ast.BitAnd: "&",
    ast.BitXor: "^",
    ast.USub: "-",
    ast.UAdd: "+",
    ast.Invert: "~",
    ast.Not: "not ",
    ast.And: "and",
    ast.Or: "or",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
}


class Unquotable(Exception):
    """The tree of source has no node for a part of Python that was quoted."""


@record
class _Quotation:
    """Python's own tree to ours, with holes filled."""

    lookup: Callable[[str], Name]
    holes: Mapping[str, object]
    lines: Sequence[str]

    def expression(self, tree: ast.expr) -> Expression:
        to = self.expression
        match tree:
            case ast.Name(id=name):
                return self._name(name)
            case ast.Constant(value=None | str() | int() | float() as value):
                number = isinstance(value, int | float) and not isinstance(value, bool)
                return Constant(value, self._text(tree) if number else "")
            case ast.Constant(value=EllipsisType()):
                return Name("...")
            case ast.Attribute(value=value, attr=name):
                return Attribute(to(value), name)
            case ast.Call(func=function, args=arguments, keywords=keywords):
                given = [item for argument in arguments for item in self._items(argument)]
                for keyword in keywords:
                    given += self._keywords(keyword)
                return Call(to(function), tuple(given))
            case ast.Subscript(value=value, slice=index):
                item = to(index)
                return Subscript(to(value), item)
            case ast.Slice(lower=lower, upper=upper, step=step):
                return Slice(*(None if part is None else to(part) for part in (lower, upper, step)))
            case ast.UnaryOp(op=operator, operand=operand):
                return Unary(_OPERATORS[type(operator)], to(operand))
            case ast.BinOp(left=left, op=operator, right=right):
                return Binary(to(left), _OPERATORS[type(operator)], to(right))
            case ast.BoolOp(op=operator, values=values):
                return _joined(_OPERATORS[type(operator)], [to(value) for value in values])
            case ast.Compare(left=left, ops=operators, comparators=others):
                signs = tuple(_OPERATORS[type(operator)] for operator in operators)
                if len(signs) == 1:
                    return Binary(to(left), signs[0], to(others[0]))
                return Comparison(to(left), signs, tuple(map(to, others)))
            case ast.IfExp(test=test, body=then, orelse=otherwise):
                return Choice(to(then), to(test), to(otherwise))
            case ast.Tuple(elts=items):
                bare = bool(items) and _begin(items[0]) == _begin(tree)
                return Display("()", self._all(items), bare, not bare and self._is_spread(tree))
            case ast.List(elts=items):
                return Display("[]", self._all(items), spread=self._is_spread(tree))
            case ast.Set(elts=items):
                return Display("{}", self._all(items), spread=self._is_spread(tree))
            case ast.Dict(keys=keys, values=values):
                pairs = [p for key, value in zip(keys, values, strict=True) for p in self._pairs(key, value)]
                return Display("{}", tuple(pairs), spread=self._is_spread(tree))
            case ast.Lambda(args=arguments, body=body):
                return Lambda(self._parameters(arguments), to(body))
            case ast.GeneratorExp(elt=element, generators=loops):
                return Comprehension("()", to(element), self._loops(loops))
            case ast.ListComp(elt=element, generators=loops):
                return Comprehension("[]", to(element), self._loops(loops))
            case ast.SetComp(elt=element, generators=loops):
                return Comprehension("{}", to(element), self._loops(loops))
            case ast.DictComp(key=key, value=value, generators=loops):
                return Comprehension("{}", Pair(to(key), to(value)), self._loops(loops))
            case ast.Starred(value=value):
                return Starred(to(value))
            case _:
                raise Unquotable(f"{ast.unparse(tree)}")

    def _text(self, tree: ast.expr) -> str:
        """What a part of the quoted text begins with: all of it, if it is on one line."""
        end = tree.end_col_offset if tree.end_lineno == tree.lineno else None
        return self.lines[tree.lineno - 1].encode()[tree.col_offset : end].decode()

    def _is_spread(self, tree: ast.Tuple | ast.List | ast.Set | ast.Dict) -> bool:
        """Whether there is a comma behind the last of several items, as formatters understand it."""
        tuple_of_one = isinstance(tree, ast.Tuple) and len(tree.elts) == 1
        return not tuple_of_one and self._text(tree).endswith((",)", ",]", ",}"))

    def _name(self, name: str) -> Expression:
        if name not in self.holes:
            return self.lookup(name)
        filled = self.holes[name]
        assert filled is None or isinstance(filled, Expression | str | int | float | tuple), name
        return node(filled)  # pyright: ignore[reportUnknownArgumentType]

    def _all(self, items: Sequence[ast.expr]) -> tuple[Expression, ...]:
        return tuple(each for item in items for each in self._items(item))

    def _items(self, item: ast.expr) -> list[Expression]:
        """An argument or item: a starred hole is filled with a sequence of them."""
        match item:
            case ast.Starred(value=ast.Name(id=name)) if name in self.holes:
                filled = self.holes[name]
                if isinstance(filled, Expression):
                    return [Starred(filled)]
                assert isinstance(filled, Iterable), name
                return [node(each) for each in filled]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            case _:
                return [self.expression(item)]

    def _keywords(self, keyword: ast.keyword) -> list[Expression]:
        match keyword:
            case ast.keyword(arg=None, value=ast.Name(id=name)) if name in self.holes:
                filled = self.holes[name]
                if isinstance(filled, Mapping):
                    given: Mapping[str, Given] = filled  # pyright: ignore[reportUnknownVariableType]
                    return [Keyword(key, node(value)) for key, value in given.items()]
            case _:
                pass
        return [Keyword(keyword.arg or "", self.expression(keyword.value))]

    def _pairs(self, key: ast.expr | None, value: ast.expr) -> list[Expression]:
        match value:
            case ast.Name(id=name) if key is None and name in self.holes:
                filled = self.holes[name]
                if not isinstance(filled, Expression):
                    assert isinstance(filled, Iterable), name
                    return [node(each) for each in filled]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            case _:
                pass
        return [Pair(None if key is None else self.expression(key), self.expression(value))]

    def _loops(self, loops: Sequence[ast.comprehension]) -> tuple[Loop, ...]:
        to = self.expression
        return tuple(Loop(to(e.target), to(e.iter), tuple(map(to, e.ifs))) for e in loops)

    def _parameters(self, given: ast.arguments) -> tuple[Parameter, ...]:
        """Parameters with their defaults: those of any position, then `*` and those by keyword alone."""
        if given.posonlyargs or given.vararg or given.kwarg:
            raise Unquotable("a function with such parameters")
        missing = [None] * (len(given.args) - len(given.defaults))
        found = [self._parameter(*each) for each in zip(given.args, [*missing, *given.defaults], strict=True)]
        if given.kwonlyargs:
            found.append(Parameter(Name("*")))
        found += [self._parameter(*each) for each in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
        return tuple(found)

    def _parameter(self, argument: ast.arg, default: ast.expr | None) -> Parameter:
        annotation = argument.annotation
        return Parameter(
            self._name(argument.arg),
            None if annotation is None else self.expression(annotation),
            None if default is None else self.expression(default),
        )

    # ----------------------------------------------------------------------------------- statements

    def body(self, statements: Sequence[ast.stmt]) -> tuple[Statement, ...]:
        return tuple(each for statement in statements for each in self._statement(statement))

    def _statement(self, tree: ast.stmt) -> Iterable[Statement]:
        to = self.expression
        match tree:
            case ast.Expr(value=ast.Name(id=name)) if name in self.holes:
                filled = self.holes[name]
                if isinstance(filled, Expression):
                    return [Evaluate(filled)]
                statements: Iterable[Statement] = filled  # pyright: ignore[reportAssignmentType]
                return statements
            case ast.Expr(value=ast.Yield(value=value)) if value is not None:
                return [Evaluate(to(value), "yield")]
            case ast.Expr(value=ast.YieldFrom(value=value)):
                return [Evaluate(to(value), "yield from")]
            case ast.Expr(value=value):
                return [Evaluate(to(value))]
            case ast.Assign(targets=[target], value=value):
                return [Assign(to(target), to(value))]
            case ast.AugAssign(target=target, op=operator, value=value):
                return [Assign(to(target), to(value), f"{_OPERATORS[type(operator)]}=")]
            case ast.AnnAssign(target=target, annotation=annotation, value=value) if value is not None:
                return [Assign(to(target), to(value), "=", to(annotation))]
            case ast.Return(value=value):
                return [Return(None if value is None else to(value))]
            case ast.If(test=test, body=body, orelse=otherwise):
                return [If(to(test), self.body(body), self.body(otherwise))]
            case ast.For(target=target, iter=iterable, body=body, orelse=[]):
                return [For(to(target), to(iterable), self.body(body))]
            case ast.With(items=[ast.withitem(context_expr=context, optional_vars=name)], body=body):
                return [With(to(context), None if name is None else to(name), self.body(body))]
            case ast.Raise(exc=error, cause=None) if error is not None:
                return [Evaluate(to(error), "raise")]
            case ast.Assert(test=test, msg=None):
                return [Evaluate(to(test), "assert")]
            case ast.Pass() | ast.Continue() | ast.Break():
                return [Word(type(tree).__name__.lower())]
            case ast.FunctionDef(name=name, args=parameters, body=body, returns=returns):
                docstring = ast.get_docstring(tree) or ""
                return [
                    Function(
                        name,
                        self._parameters(parameters),
                        self.body(body[1:] if docstring else body),
                        None if returns is None else to(returns),
                        docstring,
                        tuple(to(decorator) for decorator in tree.decorator_list),
                    )
                ]
            case _:
                raise Unquotable(f"{ast.unparse(tree)}")


def _begin(tree: ast.expr) -> tuple[int, int]:
    """Where an expression begins; a tuple without parentheses does where its first item does."""
    return tree.lineno, tree.col_offset


def _joined(operator: str, values: Sequence[Expression]) -> Expression:
    result = values[0]
    for value in values[1:]:
        result = Binary(result, operator, value)
    return result
