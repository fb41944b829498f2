"""Strategies that draw a builder twice at once: as text of a spec, and as Python for the oracle."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from hypothesis import strategies as st

from . import oracle
from .oracle import Condition, Edges, Env, Rule

NAMES = ("i", "j", "k", "u")
WAVES = ("sin", "cos", "tan")
# What a spec sees besides index names: `param p = 3` and `for t in 2..2`.
AROUND = {"p": 3, "t": 2}
FUNCTIONS = {
    "abs": abs,
    "min": min,
    "max": max,
    "floor": math.floor,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "pi": math.pi,
    "__builtins__": {},
}


def function(text: str) -> Callable[[Env], float]:
    """A number in Python's own reading of a spec's expression."""
    code = compile(text, text, "eval")
    return lambda env: eval(code, FUNCTIONS, env)


@cache
@st.composite
def affine(draw, names: tuple[str, ...]) -> str:
    """A sum of multiples, coefficients of any sign or zero."""
    terms = draw(st.lists(st.sampled_from([*names, *names, "p", "t", "1"]), min_size=1, max_size=3))
    text = ""
    for at, term in enumerate(terms):
        sign = draw(st.sampled_from([" + ", " - "])) if at else draw(st.sampled_from(["", "-"]))
        factor = draw(st.sampled_from(["", "", "", "2*", "3 * ", "0*", "p*", "-2 * "]))
        text += sign + factor + term
    return text


@cache
def number(names: tuple[str, ...], deep: int = 2) -> st.SearchStrategy[str]:
    """Any numeric expression; precedence is left to the two readers where nothing is in parentheses."""
    leaf = st.one_of(affine(names), st.sampled_from([*names, "0", "1", "2", "5", "0.5", "2.25", "p"]))
    if not deep:
        return leaf
    inner = number(names, deep - 1)
    small = st.sampled_from(["2", "3", "5", "-2", "p", "(t - 4)"])
    return st.one_of(
        leaf,
        leaf,
        st.builds("abs({})".format, inner),
        st.builds("abs({} - {})".format, st.sampled_from([*names, "p"]), st.sampled_from([*names, "1"])),
        st.builds("({}) // {}".format, inner, small),
        st.builds("({}) % {}".format, inner, small),
        st.builds("({}) / {}".format, leaf, st.sampled_from(["2", "4", "-2", "p"])),
        st.builds("{} // ({})".format, leaf, inner),
        st.builds("({}) % ({})".format, leaf, leaf),
        st.builds("({}) * ({})".format, leaf, leaf),
        st.builds("({}) ** 2".format, leaf),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, leaf),
        st.builds("floor(({}) / 2)".format, leaf),
        st.builds("floor({} * {}({}))".format, st.sampled_from("25"), st.sampled_from(WAVES), leaf),
        st.builds("{} {} {}".format, leaf, st.sampled_from(["+", "-"]), inner),
        st.builds("-({})".format, inner),
    )


@dataclass
class Drawn:
    """A condition as text, whether it binds looser than `not`, and as Python."""

    text: str
    rank: int
    holds: Condition


@cache
@st.composite
def comparison(draw, names: tuple[str, ...], deep: int) -> Drawn:
    relation = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "<=", "=="])
    form = draw(st.sampled_from(["near", "plain", "plain", "chain", "range", "list"]))
    if form == "near":
        a, b = draw(affine(names)), draw(affine(names))
        text = f"abs({a} - ({b})) <= {draw(st.sampled_from('012p'))}"
        return Drawn(text, 3, function(text))
    left = draw(number(names, deep))
    left = f"{left} + 0" if left.isidentifier() else left  # `i in 0..3` would bind it
    if form == "range":
        ends = [draw(st.one_of(affine(names), st.sampled_from(["0", "1", "-2", "4"]))) for _ in range(2)]
        holds = function(f"(({ends[0]}) <= ({left}) <= ({ends[1]})) and ({left}) == floor({left})")
        return Drawn(f"({left}) in {ends[0]}..{ends[1]}", 3, holds)
    if form == "list":
        items = draw(st.lists(st.one_of(st.sampled_from(["0", "2", "3", "7"]), affine(names)), max_size=3))
        listed = ", ".join(items)
        return Drawn(f"({left}) in [{listed}]", 3, function(f"({left}) in [{listed}]"))
    text, links = left, []
    for _ in range(2 if form == "chain" else 1):
        symbol, right = draw(relation), draw(number(names, deep if form == "plain" else 0))
        links.append(function(f"({left}) {symbol} ({right})"))
        text, left = f"{text} {symbol} {right}", right
    return Drawn(text, 3, oracle.both(*links))


@cache
def condition(names: tuple[str, ...], deep: int = 2) -> st.SearchStrategy[Drawn]:
    if not deep:
        return comparison(names, 1)
    inner = condition(names, deep - 1)
    return st.one_of(
        comparison(names, deep),
        comparison(names, deep),
        st.builds(_joined, st.just("and"), inner, inner),
        st.builds(_joined, st.just("or"), inner, inner),
        st.builds(_negated, inner),
    )


def _joined(word: str, left: Drawn, right: Drawn) -> Drawn:
    rank = 1 if word == "and" else 0
    sides = [side.text if side.rank >= rank else f"({side.text})" for side in (left, right)]
    combine = oracle.both if word == "and" else oracle.either
    return Drawn(f"{sides[0]} {word} {sides[1]}", rank, combine(left.holds, right.holds))


def _negated(inner: Drawn) -> Drawn:
    text = inner.text if inner.rank >= 2 else f"({inner.text})"
    return Drawn(f"not {text}", 2, lambda env: not inner.holds(env))


@dataclass
class Case:
    """A set of edges as text, and what it is: its edges, or the codes of its errors.

    `before` are the statements that it needs, `files` the files by name.
    """

    text: str
    edges: Edges
    errors: set[str]
    before: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


@st.composite
def ranges(draw, before: Sequence[str]) -> tuple[str, Callable[[Env], Sequence[int]]]:
    """What stands behind `in`, perhaps in terms of names that come before."""
    if draw(st.integers(0, 3)) == 0:
        items = draw(st.lists(st.sampled_from(["0", "1", "2", "-1", "p", *before]), min_size=1, max_size=3))
        values = [function(item) for item in items]
        return f"[{', '.join(items)}]", lambda env: [int(value(env)) for value in values]
    low = draw(st.sampled_from(["-2", "-1", "0", "0", "t - 2", *before]))
    high = draw(st.sampled_from(["1", "2", "p", "0", *(f"{name} + 1" for name in before)]))
    first, last = function(low), function(high)
    return f"{low}..{high}", lambda env: range(int(first(env)), int(last(env)) + 1)


@st.composite
def builder(draw, source: Sequence[int], target: Sequence[int], wild: bool = True) -> Case:
    """`{ ... }` between these shapes; where it is not `wild`, with simple indices and conditions."""
    pool = NAMES[: draw(st.integers(1, 4))]
    sides: list[list[str]] = []
    domains: dict[str, Callable[[Env], Sequence[int]]] = {}
    for shape in (source, target):
        side = []
        for size in shape:
            part = draw(st.sampled_from([*pool, *pool, *pool, ""]))
            if not part:
                simple = st.one_of(affine(pool), affine(pool), st.sampled_from([str(size // 2), "p - 3"]))
                part = draw(st.one_of(simple, simple, number(pool, 1)) if wild else simple)
                part = f"{part} + 0" if part == "p" else part  # alone it would be an index name
            side.append(part)
            if part in pool and part not in domains:
                domains[part] = lambda env, size=size: range(size)
        sides.append(side)
    # A name alone in an index is bound there; others must be, and these may be, by `in`.
    bound = list(domains)
    clauses: list[str] = []
    for name in pool:
        if name not in domains or draw(st.integers(0, 7)) == 0:
            before = [] if name in domains else bound[: draw(st.integers(0, 1))]
            text, values = draw(ranges(before))
            clauses.append(f"{name} in {text}")
            domains[name] = values
    names = [(name, domains[name]) for name in domains]
    # Values that depend on others are computed after them, which the order of `domains` sees to.
    conditions = draw(st.lists(condition(pool, 1 if not wild else 2), max_size=2))
    clauses = draw(st.permutations([*clauses, *(c.text for c in conditions)]))
    outside = draw(st.sampled_from(["", "skip", "skip", "wrap"]))
    duplicates = draw(st.sampled_from(["", "merge", "merge"]))
    rule = Rule(
        names,
        [c.holds for c in conditions],
        [function(part) for part in sides[0]],
        [function(part) for part in sides[1]],
    )
    edges, errors = oracle.edges_of([rule], source, target, AROUND, outside or "error", duplicates or "error")
    if outside == "wrap":
        errors |= oracle.nothing_wraps([*sides[0], *sides[1]], clauses)
    return Case(_text(sides, clauses, outside, duplicates), edges, errors)


def _text(sides: list[list[str]], clauses: Sequence[str], outside: str, duplicates: str) -> str:
    ends = [side[0] if len(side) == 1 else f"({', '.join(side)})" for side in sides]
    policies = [f"outside = {outside}"] * bool(outside) + [f"duplicate = {duplicates}"] * bool(duplicates)
    text = f"{{ {ends[0]} -> {ends[1]}"
    text += " : " + ", ".join(clauses) if clauses else ""
    return text + (" ; " + ", ".join(policies) if policies else "") + " }"


# The names of the units along each dimension of a side, None where it has none.
Names = Sequence[Sequence[str] | None]


@st.composite
def explicit(
    draw, source: Sequence[int], target: Sequence[int], names: tuple[Names, Names] | None = None
) -> Case:
    """Explicit pairs, and lists of sources or targets, by number or by name."""
    arrows: list[str] = []
    rules: list[Rule] = []
    unknown, numbered = False, False
    for _ in range(draw(st.integers(1, 4))):
        ends: list[list[list[str]]] = []
        texts: list[str] = []
        for shape, named in zip((source, target), names or ((), ()), strict=True):
            unit = st.tuples(*(st.integers(-1 if draw(st.integers(0, 9)) == 0 else 0, n - 1) for n in shape))
            units = draw(st.lists(unit, min_size=1, max_size=3, unique=draw(st.booleans())))
            written = []
            for number in units:
                parts = [str(n) for n in number]
                for dimension, known in enumerate(named):
                    if known and number[dimension] >= 0 and draw(st.integers(0, 3)):
                        parts[dimension] = f'"{known[number[dimension]]}"'
                    elif draw(st.integers(0, 80)) == 0:
                        parts[dimension], unknown = '"nobody"', True
                numbered = numbered or not all(part.startswith('"') for part in parts)
                written.append(parts[0] if len(parts) == 1 else f"({', '.join(parts)})")
            one = len(units) == 1 and draw(st.booleans())
            texts.append(written[0] if one else f"[{', '.join(written)}]")
            ends.append([[str(n) for n in u] for u in units])
        arrows.append(" -> ".join(texts))
        rules += [
            Rule([], [], [function(n) for n in a], [function(n) for n in b]) for b in ends[1] for a in ends[0]
        ]
    outside = draw(st.sampled_from(["", "", "skip", "wrap"]))
    duplicates = draw(st.sampled_from(["", "merge"]))
    policies = [f"outside = {outside}"] * bool(outside) + [f"duplicate = {duplicates}"] * bool(duplicates)
    text = "{ " + ", ".join(arrows) + (" ; " + ", ".join(policies) if policies else "") + " }"
    edges, errors = oracle.edges_of(rules, source, target, AROUND, outside or "error", duplicates or "error")
    errors |= {oracle.NOTHING_WRAPS} if outside == "wrap" and not numbered else set()
    return Case(text, edges, errors | (oracle.UNKNOWN_NAMES if unknown else set()))


def algebra(source: Sequence[int], target: Sequence[int], deep: int = 2) -> st.SearchStrategy[Case]:
    """Sets combined by `|`, `&` and `-`."""
    symbols = [st.just(Case("all", oracle.every_pair(source, target), set()))]
    if source == target:
        symbols.append(st.just(Case("one_to_one", oracle.one_to_one(source), set())))
    leaf = st.one_of(*symbols, builder(source, target, wild=False), explicit(source, target))
    if not deep:
        return leaf
    inner = algebra(source, target, deep - 1)
    return st.one_of(leaf, st.builds(combined, st.sampled_from("|&-"), inner, inner))


def combined(symbol: str, left: Case, right: Case) -> Case:
    edges = {"|": left.edges | right.edges, "&": left.edges & right.edges, "-": left.edges - right.edges}
    return Case(
        f"({left.text}) {symbol} ({right.text})",
        edges[symbol],
        left.errors | right.errors,
        left.before + right.before,
        {**left.files, **right.files},
    )
