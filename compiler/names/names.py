"""Names: loops unrolled, templates such as `h{k-1}` filled in, params evaluated, one namespace checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field

from ...dsl import syntax
from ...dsl.diagnostics import Failed, Report, fail
from ...dsl.findings import Label
from ...dsl.records import record
from ...dsl.source import Span
from ...dsl.words import KnownWords, article
from .. import codes
from .arithmetic import CONSTANTS, FUNCTIONS, INT_LIMIT, Value
from .evaluate import Evaluator
from .reserved import NUMBER_WORDS, refusal
from .surroundings import Surroundings

# A `for` of a billion turns is a mistake or an attack; no network is written with this many statements.
STATEMENT_LIMIT = 100_000
# What a key of edges may call: a shared weight of such a name could have no key.
IN_KEYS = frozenset([*FUNCTIONS, "column", "load"])
# Characters of a name: files are called after it, and systems take 255.
NAME_LENGTH_LIMIT = 200


_NAME_IT = "name the connection: `connect A -> B as NAME : ...`"


@record
class Placed:
    """A statement with the values of the `for` variables around it."""

    statement: syntax.Statement
    variables: Mapping[str, int]


@record
class Declaration:
    """A name, what kind of thing it names, and the statement that says so."""

    name: str
    kind: str
    span: Span
    placed: Placed


def refuse_long(name: str, span: Span, report: Report, help: str | tuple[()] = ()) -> bool:
    """Record, and say, that a name is too long for what it becomes a part of."""
    if len(name) <= NAME_LENGTH_LIMIT:
        return False
    shown, count = f"{name[:20]}...", f"{len(name):,}"
    report.add(codes.NAME_TOO_LONG, span, help=help, name=shown, count=count, limit=NAME_LENGTH_LIMIT)
    return True


@record(frozen=False)
class Names:
    """The one namespace of a spec, and the numbers in it; `surroundings` is for its expressions.

    `rules` are the words of the language that make sets of edges.
    `given_up` says that a declaration or a loop has been left out for an error.
    """

    report: Report
    overrides: Mapping[str, int | float]
    surroundings: Callable[[Mapping[str, int]], Surroundings]
    rules: Collection[str]
    declared: dict[str, Declaration] = field(default_factory=dict[str, Declaration])
    params: dict[str, int | float] = field(default_factory=dict[str, "int | float"])
    loop_variables: dict[str, Span] = field(default_factory=dict[str, Span])
    broken_loops: set[Span] = field(default_factory=set[Span])
    given_up: bool = False
    _evaluating: list[str] = field(default_factory=list[str])
    _broken: set[str] = field(default_factory=set[str])
    _twice: set[str] = field(default_factory=set[str])
    _underscored: set[str] = field(default_factory=set[str])
    _words: dict[tuple[str, ...], KnownWords] = field(default_factory=dict[tuple[str, ...], KnownWords])

    # -------------------------------------------------------------------------------------- names

    def text(self, name: syntax.Name, variables: Mapping[str, int]) -> str:
        """A name in full: its templates filled in."""
        pieces: list[str] = []
        for part in name.parts:
            if isinstance(part, str):
                pieces.append(part)
            else:
                pieces.append(str(self.evaluator(variables).integer(part, "a number within a name", least=0)))
        return "".join(pieces)

    def string(self, string: syntax.String, variables: Mapping[str, int]) -> str:
        """A string in full."""
        evaluator = self.evaluator(variables)
        return "".join(
            part if isinstance(part, str) else str(evaluator.integer(part, "a number within a string"))
            for part in string.parts
        )

    def declare(self, name: syntax.Name | None, kind: str, placed: Placed, text: str = "") -> str | None:
        """Enter a name, or record why it cannot be. `text` names what has no name of its own."""
        span = name.span if name else placed.statement.span
        text = self.text(name, placed.variables) if name else text
        variable = list(placed.variables)[-1] if placed.variables else ""
        known = self.declared.get(text)
        if known is not None and known.placed is placed and known.kind == kind:
            return text
        if text in self.declared:
            first = self.declared[text]
            self._twice.add(text)
            self.given_up = True
            inside = f"within `for`, a name that is new each time holds its variable: `{text}{{{variable}}}`"
            self.report.add(
                codes.DECLARED_TWICE,
                span,
                name=text,
                label="declared again here",
                others=(Label(first.span, f"{article(first.kind)} since here"),)
                if first.span != span
                else (),
                help=inside if variable and first.span == span else () if name else _NAME_IT,
            )
            return None
        # A name that is refused is declared all the same, so that what refers to it is no error as well.
        self.declared[text] = Declaration(text, kind, span, placed)
        for kinds, words in self._words.items():
            if kind in kinds:
                words.add(text)
        if refuse_long(text, span, self.report, help=() if name else _NAME_IT):
            return text
        if text.startswith("_") or "__" in text:
            self._underscored.add(text)
            # A connection that is called after its ends only repeats what is wrong with those.
            if name or not any(end in self._underscored for end in _ends_of(text)):
                self.report.add(codes.UNDERSCORES, span, name=text, help=() if name else _NAME_IT)
        elif (why := refusal(text, kind, IN_KEYS if kind == "shared weight" else self.rules)) is not None:
            help = f"`{text}_` would do" if name else _NAME_IT
            self.report.add(codes.RESERVED_NAME, span, name=text, why=why, help=help)
        return text

    def refuse_shadowing(self) -> None:
        """Record the loop variables that are also the name of something declared."""
        for variable, span in self.loop_variables.items():
            if variable in self.declared:
                first = self.declared[variable]
                others = (Label(first.span, f"{article(first.kind)} of that name"),)
                self.report.add(codes.SHADOWED, span, name=variable, others=others)

    def find(self, name: syntax.Name, variables: Mapping[str, int], *kinds: str) -> Declaration:
        """The declaration that a name refers to, one of `kinds`. Raises `Failed` if there is none."""
        text = self.text(name, variables)
        found = self.declared.get(text)
        *others, last = kinds
        wanted = f"{', '.join(others)} or {last}" if others else last
        if found is None:
            if self.report.has(codes.UNKNOWN_NAME, name.span):
                raise Failed  # in an earlier turn of a loop; to look for near names each time takes too long
            guess = self.declared_as(kinds).nearest(text)
            help = f"did you mean `{guess}`?" if guess else ()
            raise fail(self.report, codes.UNKNOWN_NAME, name.span, kind=wanted, name=text, help=help)
        if found.kind not in kinds and text in self._twice:
            raise Failed  # a statement that declares it has an error, which is recorded
        if found.kind not in kinds:
            raise fail(
                self.report,
                codes.WRONG_KIND,
                name.span,
                name=text,
                kind=article(found.kind),
                wanted=article(wanted),
                others=(Label(found.span, "declared here"),),
            )
        return found

    def declared_as(self, kinds: tuple[str, ...]) -> KnownWords:
        """The names of all that is of some kinds, for suggestions."""
        if kinds not in self._words:
            names = (declared.name for declared in self.declared.values() if declared.kind in kinds)
            self._words[kinds] = KnownWords(names)
        return self._words[kinds]

    # ------------------------------------------------------------------------------------ numbers

    def evaluator(self, variables: Mapping[str, int]) -> Evaluator:
        """Evaluates numbers that may use `for` variables and params."""
        return Evaluator(
            self.report,
            lambda reference: self.number(reference, variables),
            surroundings=self.surroundings(variables),
        )

    @contextmanager
    def needing(self, declared: Declaration) -> Generator[None]:
        """Around the work on the size of something. Raises `Failed` if that is what needs it."""
        if declared.name in self._evaluating:
            chain = [*self._evaluating[self._evaluating.index(declared.name) :], declared.name]
            raise fail(self.report, codes.SIZE_CYCLE, declared.span, chain=" -> ".join(chain))
        self._evaluating.append(declared.name)
        try:
            yield
        except RecursionError:
            if len(self._evaluating) > 1:
                raise
            raise fail(self.report, codes.LONG_CHAIN, declared.span, name=declared.name) from None
        finally:
            self._evaluating.pop()

    def is_number(self, name: str, variables: Mapping[str, int]) -> bool:
        """Whether a name is that of a `for` variable or of anything declared."""
        return name in variables or name in self.declared

    def number(self, reference: syntax.Reference, variables: Mapping[str, int], hint: str = "") -> Value:
        """The number that a name stands for; `hint` is the advice where it stands for nothing known."""
        text = self.text(reference.name, variables)
        if text in variables:
            return variables[text]
        found = self.declared.get(text)
        if found is None and text in CONSTANTS:
            return CONSTANTS[text]
        if found is None:
            if self.report.has(codes.UNKNOWN_NUMBER, reference.span):
                raise Failed
            guess = self.declared_as(("param",)).nearest(text, also=variables)
            help = f"did you mean `{guess}`?" if guess else hint or ()
            raise fail(self.report, codes.UNKNOWN_NUMBER, reference.span, name=text, help=help)
        if found.kind != "param" and text in self._twice:
            raise Failed  # a statement that declares it has an error, which is recorded
        if found.kind != "param":
            raise fail(
                self.report,
                codes.WRONG_KIND,
                reference.span,
                name=text,
                kind=article(found.kind),
                wanted="a number",
                others=(Label(found.span, "declared here"),),
                help=f"its size is `len({text})`" if found.kind == "axis" else (),
            )
        return self._param(found)

    def _param(self, found: Declaration) -> int | float:
        name = found.name
        if name in self.params:
            return self.params[name]
        if name in self.overrides:
            if abs(self.overrides[name]) > INT_LIMIT and isinstance(self.overrides[name], int):
                raise fail(self.report, codes.NUMBER_TOO_LARGE, found.span, label="given by -D")
            self.params[name] = self.overrides[name]
            return self.params[name]
        if name in self._broken:
            raise Failed
        if name in self._evaluating:
            chain = [*self._evaluating[self._evaluating.index(name) :], name]
            self._broken.update(chain)
            raise fail(self.report, codes.PARAM_CYCLE, found.span, chain=" -> ".join(chain))
        statement = found.placed.statement
        assert isinstance(statement, syntax.ParamStatement)
        self._evaluating.append(name)
        try:
            evaluator = self.evaluator(found.placed.variables)
            self.params[name] = evaluator.number(statement.value)
        except RecursionError:
            self._broken.add(name)  # all of the chain are, or each of them would be tried anew
            if len(self._evaluating) > 1:
                raise
            raise fail(self.report, codes.LONG_CHAIN, found.span, name=name) from None
        finally:
            self._evaluating.pop()
        return self.params[name]


def _ends_of(connection: str) -> Iterator[str]:
    """What could be the first and the second name in `first_second`."""
    for at, character in enumerate(connection):
        if character == "_":
            yield connection[:at]
            yield connection[at + 1 :]


def unroll(spec: syntax.Spec, names: Names) -> list[Placed]:
    """All statements outside and inside loops, in order, with params and axes declared as they are met.

    What stands outside loops is declared first, so that a loop's bounds may use it, and it may stand below.
    Raises `SpecError` if there is no end to the statements.
    """
    outside = {id(statement): Placed(statement, {}) for statement in spec.statements}
    for placed in outside.values():
        _attempt(names, lambda p=placed: _declare_early(p, names))
    result: list[Placed] = []
    for turn, placed in enumerate(_placed(spec.statements, {}, names)):
        if turn >= STATEMENT_LIMIT:
            names.report.add(codes.TOO_MANY_STATEMENTS, placed.statement.span, limit=f"{STATEMENT_LIMIT:,}")
            names.report.check()  # what else is wrong would be looked for in all of them
        if isinstance(placed.statement, syntax.ForStatement):
            continue
        statement = placed.statement
        placed = outside.get(id(statement), placed)
        if isinstance(statement, syntax.ParamStatement | syntax.AxisStatement) and placed.variables:
            _attempt(names, lambda s=statement, p=placed: names.declare(s.name, _KINDS[type(s)], p))
        result.append(placed)
    return result


_KINDS: dict[type, str] = {syntax.ParamStatement: "param", syntax.AxisStatement: "axis"}


def _declare_early(placed: Placed, names: Names) -> None:
    """Declare what the size of something may depend on."""
    match placed.statement:
        case syntax.ParamStatement(name=name) | syntax.AxisStatement(name=name):
            names.declare(name, _KINDS[type(placed.statement)], placed)
        case syntax.DataStatement(name=name, keyword=keyword):
            names.declare(name, keyword, placed)
        case syntax.LayerStatement(name=name):
            names.declare(name, "layer", placed)
        case syntax.EdgesStatement(name=name):
            names.declare(name, "edge set", placed)
        case syntax.FunctionStatement(name=name):
            names.declare(name, "function", placed)
        case _:
            return


def _attempt(names: Names, action: Callable[[], object]) -> None:
    """Run an action whose failure has been recorded and concerns its own statement alone."""
    try:
        action()
    except Failed:
        names.given_up = True


def _placed(
    statements: tuple[syntax.Statement, ...], variables: Mapping[str, int], names: Names
) -> Iterator[Placed]:
    """All statements, and each loop once a turn, so that turns without statements are counted too."""
    for statement in statements:
        if not isinstance(statement, syntax.ForStatement):
            yield Placed(statement, variables)
            continue
        if statement.span in names.broken_loops:
            continue  # in an earlier turn of a loop around it; the error is recorded
        try:
            variable = names.text(statement.variable, variables)
            _check_variable(variable, statement, variables, names)
            values = _loop_values(statement, variables, names)
        except Failed:
            names.broken_loops.add(statement.span)
            names.given_up = True
            continue
        for value in values:
            yield Placed(statement, variables)
            yield from _placed(statement.body, {**variables, variable: value}, names)


def _check_variable(
    variable: str, statement: syntax.ForStatement, variables: Mapping[str, int], names: Names
) -> None:
    span = statement.variable.span
    if variable in variables:
        raise fail(
            names.report,
            codes.SHADOWED,
            span,
            name=variable,
            others=(Label(names.loop_variables[variable], "the loop around this one"),),
        )
    if variable in NUMBER_WORDS:  # what stands in the loop is looked at all the same
        help = f"`{variable}_` would do"
        names.report.add(
            codes.RESERVED_NAME, span, name=variable, why="it is a word of the language", help=help
        )
    names.loop_variables[variable] = span


def _loop_values(
    statement: syntax.ForStatement, variables: Mapping[str, int], names: Names
) -> range | list[int]:
    evaluator = names.evaluator(variables)
    match statement.values:
        case syntax.Range(first=first, last=last):
            return range(
                evaluator.integer(first, "a loop's first value"),
                evaluator.integer(last, "a loop's last value") + 1,
            )
        case other:
            assert isinstance(other, syntax.List)  # the grammar takes nothing else
            return [evaluator.integer(item, "a loop's value") for item in other.items]
