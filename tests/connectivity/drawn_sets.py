"""Strategies for all that sets are made of, each drawn as text of a spec and as edges by brute force.

`drawn.py` has builders of any index and condition; here are those that dimensions, digits, named sets,
windows, draws and files give a structure, which is what closed forms are found by.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from zlib import crc32

import numpy as np
from hypothesis import strategies as st

from . import drawn, oracle, random_oracle
from .drawn import AROUND, Case, Names, function
from .oracle import Condition, Edges, Env, Rule

Shape = Sequence[int]


@dataclass(frozen=True)
class Sides:
    """Two sides: their shapes, the names of units along their dimensions, and how they are declared."""

    source: tuple[int, ...]
    target: tuple[int, ...]
    names: tuple[Names, Names] = ((), ())
    declared: tuple[str, str] = ("", "")
    before: tuple[str, ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()


@st.composite
def sides(draw, shapes: st.SearchStrategy[tuple[tuple[int, ...], tuple[int, ...]]]) -> Sides:
    """Sides of which some dimensions may be axes, with or without names of their units."""
    source, target = draw(shapes)
    before: list[str] = []
    files: list[tuple[str, bytes]] = []
    names: list[list[Sequence[str] | None]] = [[], []]
    declared: list[str] = []
    for at, shape in enumerate((source, target)):
        texts: list[str] = []
        for size in shape:
            kind = draw(st.sampled_from(["size", "size", "axis", "names"]))
            if kind == "size":
                texts.append(str(size))
            elif kind == "axis":
                texts.append(f"plain{size}")
                before.append(f"axis plain{size} = {size}")
            else:
                texts.append(f"named{size}")
                before.append(f'axis named{size} = names("named{size}.txt")')
                units = tuple(f"{'xyz'[n % 3]}{size - n}" for n in range(size))
                files.append((f"named{size}.txt", "\n".join(units).encode()))
            names[at].append(units if kind == "names" else None)
        declared.append(f"[{', '.join(texts)}]")
    return Sides(
        source,
        target,
        (tuple(names[0]), tuple(names[1])),
        (declared[0], declared[1]),
        tuple(dict.fromkeys(before)),
        tuple(dict.fromkeys(files)),
    )


# ------------------------------------------------------------------------------------------ named sets


def statement(text: str, source: Shape, target: Shape) -> tuple[str, str]:
    """An `edges` statement of these edges, and the name that it declares, which says what they are."""
    head = f"{list(source)} -> {list(target)} = {text}"
    name = f"g{crc32(head.encode())}"
    return f"edges {name} : {head}", name


@st.composite
def named(draw, source: Shape, target: Shape) -> tuple[str, str, Edges]:
    """The statement of a small named set, its name and its edges."""
    kind = draw(st.sampled_from(["pairs", "pairs", "pairs", "all", "one_to_one", "near", "nothing"]))
    every = sorted(oracle.every_pair(source, target))
    if kind == "one_to_one" and source == target:
        return *statement("one_to_one", source, target), oracle.one_to_one(source)
    if kind == "near" and len(source) == len(target) == 1:
        edges = {(s, t) for s, t in every if abs(s - t) <= 1}
        return *statement("{ i -> j : abs(i - j) <= 1 }", source, target), edges
    if kind in ("all", "nothing"):
        text = {"all": "all", "nothing": "all - all"}[kind]
        return *statement(text, source, target), {*every} if kind == "all" else set()
    chosen = draw(st.lists(st.sampled_from(every), min_size=1, max_size=6, unique=True))
    ends = [
        [oracle.digits(unit, shape) for unit, shape in zip(e, (source, target), strict=True)] for e in chosen
    ]
    text = ", ".join(" -> ".join(index_text(map(str, unit)) for unit in edge) for edge in ends)
    return *statement(f"{{ {text} }}", source, target), {*chosen}


def index_text(parts) -> str:
    """An index as a spec writes it."""
    parts = [*parts]
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


# ------------------------------------------------------------------------------------------- structured


@dataclass
class Clause:
    """A clause as text, and as a condition, None if it says what a name runs over."""

    text: str
    holds: Condition | None = None
    draws: tuple[bool, str] | None = None  # whether what is drawn has to be less, and the probability


@dataclass
class Build:
    """A builder in the making."""

    ends: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    names: list[tuple[str, Callable[[Env], Sequence[int]]]] = field(default_factory=list)
    clauses: list[Clause] = field(default_factory=list)
    before: list[str] = field(default_factory=list)

    def index(self, end: int, text: str, size: int | None = None) -> None:
        """One part of an index; with a size it is a name of its own."""
        self.ends[end].append(text)
        if size is not None:
            self.names.append((text, lambda env: range(size)))

    def run(self, name: str, first: str, last: str) -> None:
        """A name with a range of its own."""
        low, high = function(first), function(last)
        self.names.append((name, lambda env: range(int(low(env)), int(high(env)) + 1)))
        self.clauses.append(Clause(f"{name} in {first}..{last}"))

    def condition(self, text: str) -> None:
        """A condition that Python reads as a spec does."""
        self.clauses.append(Clause(text, function(text)))


def divisor(size: int) -> st.SearchStrategy[int]:
    """Mostly one that leaves no rest."""
    exact = [n for n in range(1, size + 1) if size % n == 0]
    return st.sampled_from([*exact, *exact, *range(2, max(size, 3))])


KINDS = (
    *("same", "free", "from", "from", "to", "computed", "near", "near", "ring", "digits", "digits"),
    *("graph", "graph", "graph of digits", "graph of digits", "graph of sums", "way", "range", "constant"),
)
# Conditions on the index x of a dimension of the source, below n, and y of one of the target, below m; k and
# q are divisors of both, c is a small number, r a relation.
NEAR = """abs({x} - {y}) <= {c}
{c} <= {x} - {y} < {c} + 2
{x} {r} {y} + {c}
{x} - {y} in [0, {c}]
({x} - {y}) ** 2 <= {c} * {c}
2 * {x} {r} {y} + {c}
{x} + {y} {r} {n} - 1
{x} == {m} - {y}
not {x} - {y} == {c}
{x} - {y} == {c} or {x} == {y}
max({x} - {y}, {c}) < 3""".splitlines()
RING = """({x} - {y}) % {size} <= {c}
({y} - {x}) % {size} in [0, 1, {c}]
{x} % {size} == {y} % {size}
min(({x} - {y}) % {size}, ({y} - {x}) % {size}) <= {c}
({x} - {y}) % {size} {r} {c}
({x} + {c}) % {size} == {y} % {size}
({x} + {y}) % {size} == {c}""".splitlines()
HIGH = """{x} // {k} == {y} // {q}
abs({x} // {k} - {y} // {q}) <= 1
{x} // {k} {r} {y} // {q}
{x} // {k} == {y}
{x} // {k} == 1
({x} // {k} - {y} // {q}) % {k} <= 1
{x} // {k} + {y} // {q} < 3
{y} // {q} - {x} // {k} in [0, 1]
{x} == {y} // {q}""".splitlines()
LOW = """{x} % {k} == {y} % {q}
{x} % {k} {r} {y} % {q}
abs({x} % {k} - {y} % {q}) <= 1
{x} % {k} == 0
{x} % {k} == {y}
{y} % {q} != 1
({x} % {k} - {y} % {q}) % {k} <= 1""".splitlines()
# The same of two dimensions at once.
BOTH = """(u0 - v0) ** 2 + (u1 - v1) ** 2 <= {c}
abs(u0 - v0) + abs(u1 - v1) <= {c}
max(abs(u0 - v0), abs(u1 - v1)) <= {c}
u0 - v0 == u1 - v1
u0 == v1 and u1 == v0
(u0 - v0) * (u1 - v1) == 0
u0 + u1 == v0 + v1
u0 == v0 and abs(u1 - v1) == {c}""".splitlines()


@st.composite
def along(draw, build: Build, at: int, n: int, m: int) -> None:
    """What joins a dimension of the source with one of the target."""
    x, y, a = f"x{at}", f"y{at}", f"a{at}"
    kind = draw(st.sampled_from(KINDS))
    if kind == "same":
        build.index(0, x, n)
        build.index(1, x)
    elif kind in ("from", "to"):
        end = 1 if kind == "from" else 0
        build.names.append((x, lambda env, size=(n, m)[end]: range(size)))
        low = draw(st.integers(-2, 1))
        high = low + draw(st.integers(0, 3))
        stride = draw(st.sampled_from([1, 1, 1, 2, 3, max(1, n // m)]))
        factor = f"{stride} * {x}" if stride > 1 or draw(st.integers(0, 9)) == 0 else x
        shift = draw(st.sampled_from([a, a, f"2 * {a}", f"-{a}", "1", f"{a} // 2"]))
        text = draw(st.sampled_from([f"{factor} + {shift}", f"{shift} + {factor}", f"{factor} - {shift}"]))
        if a in shift:
            build.run(a, str(low), str(high))
        build.ends[end].append(x)
        build.ends[1 - end].append(text)
    elif kind == "computed":
        k = draw(divisor(n))
        c = draw(st.integers(0, 2))
        forms = (f"{x} // {k}", f"{x} % {k}", f"({x} + {c}) % {m}", f"({x} - {c}) // {k}", f"{k} - {x}")
        ends = draw(st.sampled_from([(0, 1), (0, 1), (1, 0)]))
        build.names.append((x, lambda env, size=(n, m)[ends[0]]: range(size)))
        build.ends[ends[0]].append(x)
        build.ends[ends[1]].append(draw(st.sampled_from(forms)))
    elif kind == "constant":
        build.index(0, *draw(st.sampled_from([(str(n // 2), None), (x, n)])))
        build.index(1, *draw(st.sampled_from([(str(m // 2), None), (y, m)])))
    elif kind == "range":
        build.index(0, x, n)
        build.ends[1].append(y)
        build.run(y, *draw(st.sampled_from([(x, f"{x} + 1"), ("0", x), (f"{x} - 1", x), ("1", str(m - 1))])))
    else:
        build.index(0, x, n)
        build.index(1, y, m)
        draw(between(build, at, x, y, n, m, kind))


@st.composite
def between(draw, build: Build, at: int, x: str, y: str, n: int, m: int, kind: str) -> None:
    """Conditions on a name of the source and one of the target."""
    c = draw(st.integers(-2, 3))
    relation = draw(st.sampled_from(["==", "!=", "<", "<=", ">"]))
    k, q = draw(divisor(n)), draw(divisor(m))
    size = draw(st.sampled_from([n, n, n, m, 2, 3]))

    def one_of(forms: Sequence[str]) -> None:
        form = draw(st.sampled_from(forms))
        build.condition(form.format(x=x, y=y, n=n, m=m, k=k, q=q, c=c, r=relation, size=size))

    if kind == "near":
        one_of(NEAR)
    elif kind == "ring":
        one_of(RING)
    elif kind == "digits":
        q = draw(st.sampled_from([q, q, min(k, m)]))
        for some in draw(st.sampled_from([(HIGH,), (LOW,), (HIGH, LOW), (LOW, LOW), (HIGH, HIGH)])):
            one_of(some)
    elif kind == "way":
        before, name, edges = draw(named((n,), (n,)))
        build.before.append(before)
        build.run(f"k{at}", "0", str(n - 1))
        for source, target in ((x, f"k{at}"), (f"k{at}", y)):
            build.clauses.append(membership(name, edges, ((n,), (n,)), [source], [target]))
    elif kind.startswith("graph"):
        whole = draw(st.integers(0, 4)) > 0
        sizes = (n, m) if whole else (max(1, n - 1), m + 1)
        ends = [x], [y]
        if kind == "graph of digits":
            digit = draw(st.sampled_from("/%"))
            sizes = (-(-n // k), -(-m // q)) if digit == "/" else (k, q)
            symbol = "//" if digit == "/" else "%"
            ends = [f"{x} {symbol} {k}"], [f"{y} {symbol} {q}"]
            if draw(st.integers(0, 3)) == 0:  # one digit alone
                end, name = draw(st.sampled_from([(0, x), (1, y)]))
                ends[end][0] = name
                sizes = (n, sizes[1]) if end == 0 else (sizes[0], m)
        elif kind == "graph of sums":
            sums = [x, f"{x} + 1", f"{n - 1} - {x}", "p", "0", f"2 * {x}", f"{x} / 2", f"{x} + {y}", y]
            ends = (
                [draw(st.sampled_from(sums))],
                [draw(st.sampled_from([y, y, f"{y} - 1", f"{y} % 2", "t", x]))],
            )
        elif draw(st.integers(0, 4)) == 0:
            ends, sizes = ([y], [x]), (m, n)
        before, name, edges = draw(named((sizes[0],), (sizes[1],)))
        build.before.append(before)
        build.clauses.append(membership(name, edges, ((sizes[0],), (sizes[1],)), *ends))


def membership(name: str, edges: Edges, shapes: tuple[Shape, Shape], *ends: Sequence[str]) -> Clause:
    """`u -> v in NAME`."""
    holds = oracle.member(edges, shapes, [[function(part) for part in end] for end in ends])
    return Clause(f"{index_text(ends[0])} -> {index_text(ends[1])} in {name}", holds)


@st.composite
def across(draw, build: Build, source: Shape, target: Shape) -> None:
    """What joins the last two dimensions of both sides, or of one, at once."""
    x, y = [f"u{at}" for at in range(len(source))], [f"v{at}" for at in range(len(target))]
    for name, size in zip(x, source, strict=True):
        build.index(0, name, size)
    for name, size in zip(y, target, strict=True):
        build.index(1, name, size)
    c = draw(st.integers(0, 3))
    if len(source) == len(target) == 2 and draw(st.booleans()):
        build.condition(draw(st.sampled_from(BOTH)).format(c=c))
    else:
        before, name, edges = draw(named(source, target))
        build.before.append(before)
        build.clauses.append(membership(name, edges, (source, target), x, y))


# The seeds of several `chance` in one builder are so far apart.
GOLDEN = 0x9E3779B97F4A7C15
PROBABILITIES = ("0", "1", "0.5", "1 / 4", "0.9", "p / 4")


@st.composite
def structured(draw, source: Shape, target: Shape) -> Case:
    """A builder whose dimensions are joined one by one, two at once, or not at all."""
    build = Build()
    ranks = [len(source), len(target)]
    tail = draw(st.integers(0, 2)) == 0 and max(ranks) > 1 and min(min(ranks), 2)
    together = [min(rank, 2) for rank in ranks] if tail else [0, 0]
    lone = [rank - min(r - t for r, t in zip(ranks, together, strict=True)) - t
            for rank, t in zip(ranks, together, strict=True)]  # fmt: skip
    for end, shape in enumerate((source, target)):
        for at in range(lone[end]):
            build.index(end, f"{'fg'[end]}{at}", shape[at])
    pairs = zip(
        source[lone[0] : ranks[0] - together[0]], target[lone[1] : ranks[1] - together[1]], strict=True
    )
    for at, (n, m) in enumerate(pairs):
        draw(along(build, at, n, m))
    if tail:
        draw(across(build, source[-together[0] :], target[-together[1] :]))
    names = [name for name, _ in build.names]
    if names and draw(st.integers(0, 3)) == 0:
        text = draw(drawn.condition(tuple(names[:4]), 1))
        build.clauses.append(Clause(text.text, text.holds))
    chances = draw(st.sampled_from([0, 0, 0, 0, 0, 1, 1, 2]))
    if any(clause.holds and "/ (" in clause.text for clause in build.clauses):
        chances = 0  # what fails and what is drawn are not mixed
    some = [*PROBABILITIES, *(f"{name} / 4" for name in names if chances == 1)]
    for _ in range(chances):
        p, positive = draw(st.sampled_from(some)), draw(st.integers(0, 3)) > 0
        build.clauses.append(Clause(f"chance({p})" if positive else f"not chance({p})", None, (positive, p)))
    clauses = draw(st.permutations(build.clauses))
    outside = draw(st.sampled_from(["", "skip", "skip", "skip", "wrap", "wrap"]))
    duplicate = draw(st.sampled_from(["", "", "merge"]))
    policies = [f"outside = {outside}"] * bool(outside) + [f"duplicate = {duplicate}"] * bool(duplicate)
    seed = draw(st.integers(0, 3))
    policies += [f"seed = {seed}"] * bool(chances)
    ends = [[function(part) for part in end] for end in build.ends]
    holds = [clause.holds for clause in clauses if clause.holds]
    numbered = [clause.draws for clause in clauses if clause.draws]
    for at, (positive, p) in enumerate(numbered):
        seed_of_this = (seed + at * GOLDEN) % 2**64
        holds.append(chance(function(p), positive, seed_of_this, ends, (source, target)))
    rule = Rule(build.names, holds, ends[0], ends[1])
    edges, errors = oracle.edges_of([rule], source, target, AROUND, outside or "error", duplicate or "error")
    if outside == "wrap":
        errors |= oracle.nothing_wraps([*build.ends[0], *build.ends[1]], [clause.text for clause in clauses])
    text = f"{{ {index_text(build.ends[0])} -> {index_text(build.ends[1])}"
    text += " : " + ", ".join(clause.text for clause in clauses) if clauses else ""
    text += " ; " + ", ".join(policies) if policies else ""
    return Case(text + " }", edges, errors, tuple(build.before))


def chance(probability, positive: bool, seed: int, ends, shapes: tuple[Shape, Shape]) -> Condition:
    """Whether a pair is drawn: a number of its own, from the seed and its units, is less than `p`."""

    def holds(env: Env) -> bool:
        p = probability(env)
        if not 0 <= p <= 1:
            raise oracle.NoProbability
        source, target = (
            oracle.unit_of([int(part(env) // 1) % size for part, size in zip(end, shape, strict=True)], shape)
            for end, shape in zip(ends, shapes, strict=True)
        )
        number = next(random_oracle.draws(seed, "pair", target, source)) >> 11
        return (number * 2.0**-53 < p) is positive

    return holds


# ----------------------------------------------------------------------------------------------- windows


def per_dimension(values: Sequence[int | str], name: str, default: int | str, short: bool) -> list[str]:
    """An argument of `window`, left out where it may be."""
    if short and {*values} == {default}:
        return []
    if short and len({*values}) == 1:
        return [f"{name} = {values[0]}"]
    return [f"{name} = ({', '.join(map(str, values))})"] if len(values) > 1 else [f"{name} = {values[0]}"]


@st.composite
def window(draw, source: Shape, target: Shape) -> Case:
    """`window(...)`, mostly one that fits."""
    rank = draw(st.integers(1, len(source))) if draw(st.integers(0, 30)) else len(source) + 1
    shared = min(rank, len(source), len(target))
    extents, strides, dilations, pads = [], [], [], []
    word = draw(st.sampled_from(["valid", "same", "number"]))
    for n, m in zip(source[len(source) - shared :], target[len(target) - shared :], strict=True):
        options = [
            (extent, stride, dilation, pad)
            for extent in range(1, 5)
            for stride in range(1, 4)
            for dilation in range(1, 4)
            for pad in ((0, 1, 2) if word == "number" else (word,))
        ]
        fitting = [o for o in options if len(oracle.places(n, *o)) == m]
        chosen = draw(st.sampled_from(fitting if fitting and draw(st.integers(0, 30)) else options))
        for values, value in zip((extents, strides, dilations, pads), chosen, strict=True):
            values.append(value)
    for values, value in zip((extents, strides, dilations, pads), (1, 1, 1, "valid"), strict=True):
        values.extend([value] * (rank - shared))
    if any(isinstance(pad, str) for pad in pads):
        pads = [pads[0]] * rank if isinstance(pads[0], str) else [0 if p == "valid" else p for p in pads]
    arguments = [*map(str, extents)]
    short = draw(st.booleans())
    options = per_dimension(strides, "stride", 1, short) + per_dimension(dilations, "dilation", 1, short)
    if isinstance(pads[0], str):
        options += [f"pad = {pads[0]}"] * (pads[0] == "same" or not short)
    else:
        options += per_dimension(pads, "pad", "", short)
    edges, errors = oracle.window(source, target, extents, strides, dilations, pads)
    return Case(f"window({', '.join([*arguments, *draw(st.permutations(options))])})", edges, errors)


@st.composite
def fitting_sides(draw, shapes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sides for windows: the target has what some window leaves of the source."""
    source = draw(shapes)
    leading = draw(st.integers(0, len(source) - 1))
    target = [*source[:leading]]
    for n in source[leading:]:
        target.append(
            draw(st.sampled_from([n, n, max(1, n - 1), max(1, n - 2), -(-n // 2), n // 2 or 1, n + 1]))
        )
    return source, tuple(target)


# ------------------------------------------------------------------------------------------------ random


@st.composite
def random(draw, source: Shape, target: Shape, inner) -> Case:
    """`random(...)` with a seed, which draws the same everywhere; `inner` is a strategy for `among`."""
    n, m = prod(source), prod(target)
    among = draw(st.one_of(st.none(), inner(source, target)))
    form = draw(st.sampled_from(["fan_in", "fan_out", "edges", "p"]))
    seed = draw(st.integers(0, 5))
    # How often a pair is drawn is one stream for every pair and another among a set, so that the numbers
    # depend on whether a set is held as what it leaves out; with 0 and 1 they do not.
    values = ["0", "1", "1.0"] if among else ["0", "1", "0.5", "0.03", "0.9"]
    value = draw(st.sampled_from(values)) if form == "p" else str(draw(st.integers(0, 3)))
    every = oracle.every_pair(source, target)
    candidates = among.edges if among else every
    text = [f"{form} = {value}", f"seed = {seed}", *([f"among = {among.text}"] if among else [])]
    text = f"random({', '.join(draw(st.permutations(text)))})"
    errors = set(among.errors) if among else set[str]()
    edges: Edges = set()
    count = float(value)
    if form == "p":
        edges = candidates if count == 1 else edges
        if 0 < count < 1:
            edges = random_oracle.drawn(form, count, seed, n, m)
    else:
        end, units = {"fan_in": (1, m), "fan_out": (0, n), "edges": (0, 0)}[form]
        degrees = [sum(edge[end] == unit for edge in candidates) for unit in range(units)] or [
            len(candidates)
        ]
        if min(degrees) < count:
            errors.add(oracle.TOO_FEW)
        elif count:
            edges = random_oracle.drawn(form, count, seed, n, m, candidates)
    return Case(text, edges, errors, among.before if among else (), among.files if among else {})


# ------------------------------------------------------------------------------------------------- files


@st.composite
def table(draw, source: Shape, target: Shape, names: tuple[Names, Names] | None = None) -> Case:
    """`load` of a .csv of pairs."""
    policies = {
        "outside": draw(st.sampled_from(["error", "error", "skip", "wrap"])),
        "duplicate": draw(st.sampled_from(["error", "merge", "merge"])),
        "unknown": draw(st.sampled_from(["error", "skip"])),
    }
    wild = draw(st.integers(0, 3)) == 0
    where = draw(st.integers(0, 3)) == 0
    rows: list[str] = []
    made: list[tuple[int, int]] = []
    errors: set[str] = set()
    strangers: list[bool] = []  # whether each row that is taken has a name of nobody
    for _ in range(draw(st.integers(0, 6))):
        cells: list[str] = []
        units: list[int] = []
        kept, wrong, stranger = True, set[str](), False
        for shape, known in zip((source, target), names or ((), ()), strict=True):
            index: list[int] = []
            for dimension, size in enumerate(shape):
                digit = draw(st.integers(-2, size + 1) if wild else st.integers(0, size - 1))
                inside = 0 <= digit < size
                if dimension < len(known) and known[dimension]:
                    cells.append(known[dimension][digit] if inside else f"nobody{digit}")
                    kept = kept and inside
                    stranger = stranger or not inside
                    if not inside and policies["unknown"] == "error":
                        wrong |= oracle.UNKNOWN_NAMES
                else:
                    cells.append(str(digit))
                    kept = kept and (inside or policies["outside"] == "wrap")
                    if not inside and policies["outside"] == "error":
                        wrong.add(oracle.OUTSIDE)
                index.append(digit % size)
            units.append(oracle.unit_of(index, shape))
        chosen = not where or draw(st.booleans())
        rows.append(",".join([*cells, "yes" if chosen else "no"]))
        if chosen:
            strangers.append(stranger)
            errors |= wrong
            made += [(units[0], units[1])] * kept
    if policies["unknown"] == "skip" and strangers and all(strangers):
        errors.add(oracle.ALL_SKIPPED)
    if not errors and policies["duplicate"] == "error" and len({*made}) < len(made):
        errors.add(oracle.DUPLICATE)
    header: list[str] = []
    arguments = [
        f"{name} = {value}" for name, value in policies.items() if value != "error" or draw(st.booleans())
    ]
    for end, shape in (("source", source), ("target", target)):
        if len(shape) == 1 and draw(st.booleans()):
            arguments.append(f'{end} = "its {end}"')
            header.append(f"its {end}")
        else:
            header += [end] if len(shape) == 1 else [f"{end}_{at}" for at in range(len(shape))]
    arguments += ['where = column("is it") == "yes"'] * where
    content = "\n".join([",".join([*header, "is it"]), *rows, ""]).encode()
    name = f"f{crc32(content)}.csv"
    listed = ", ".join(draw(st.permutations(arguments)))
    text = f'load("{name}"{", " * bool(listed)}{listed})'
    return Case(text, {*made}, errors, files={name: content})


@st.composite
def matrix(draw, source: Shape, target: Shape) -> Case:
    """`load` of a matrix of zeros and ones."""
    n, m = prod(source), prod(target)
    rows = draw(st.sampled_from(["source", "target"]))
    edges = {*draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, m - 1)), max_size=8))}
    array = np.zeros((n, m), np.uint8)
    for s, t in edges:
        array[s, t] = 1
    buffer = io.BytesIO()
    np.save(buffer, array if rows == "source" else array.T)
    content = buffer.getvalue()
    name = f"m{crc32(content)}.npy"
    return Case(f'load("{name}", rows = {rows})', edges, set(), files={name: content})


# ------------------------------------------------------------------------------------------- combinations


def leaf(source: Shape, target: Shape, names: tuple[Names, Names] | None) -> st.SearchStrategy[Case]:
    """One set of any kind."""
    symbols = [Case("all", oracle.every_pair(source, target), set())] * 3
    if source == target:
        symbols.append(Case("one_to_one", oracle.one_to_one(source), set()))
    return st.one_of(
        st.sampled_from(symbols),
        structured(source, target),
        structured(source, target),
        drawn.builder(source, target, wild=False),
        drawn.explicit(source, target, names),
        window(source, target) if source == target else structured(source, target),
        table(source, target, names),
        matrix(source, target),
    )


def anything(
    source: Shape, target: Shape, names: tuple[Names, Names] | None = None, deep: int = 2
) -> st.SearchStrategy[Case]:
    """Sets of any kind combined in any way: by algebra, as complements, by name, and drawn among."""
    single = leaf(source, target, names)
    if not deep:
        return single

    def inner(*_: Shape) -> st.SearchStrategy[Case]:
        return anything(source, target, names, deep - 1)

    every = st.just(Case("all", oracle.every_pair(source, target), set()))
    nested = inner()
    return st.one_of(
        single,
        st.builds(drawn.combined, st.sampled_from("|&-"), nested, nested),
        st.builds(drawn.combined, st.sampled_from("|&-"), nested, nested),
        st.builds(drawn.combined, st.just("-"), every, nested),
        st.builds(drawn.combined, st.just("-"), every, nested),
        st.builds(by_name, nested),
        random(source, target, inner),
    )


def by_name(case: Case) -> Case:
    """The same set, as a named set that is used."""
    name = f"n{crc32(case.text.encode())}"
    text = f"edges {name} : left -> right = {case.text}"
    return Case(name, case.edges, case.errors, (*case.before, text), case.files)
