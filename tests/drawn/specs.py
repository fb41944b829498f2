"""Whole valid specs, drawn: every statement, operation, set, weight and loss that the language has.

What there is of a kind is taken from the compiler's own tables, so that a new entry is drawn as soon as it
exists; `test_drawn_specs.py` holds that every alternative of the grammar occurs in what is drawn. Sets come
from `tests/connectivity/drawn_sets.py`, with the edges that brute force finds.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import prod

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from nnspec.compiler.catalogue.activations import ACTIVATIONS
from nnspec.compiler.catalogue.losses import LOSSES, PENALTIES
from nnspec.compiler.catalogue.reductions import REDUCTIONS
from nnspec.compiler.functions import catalogue

from ..connectivity import drawn, drawn_sets, oracle
from ..connectivity.oracle import Edges

Shape = tuple[int, ...]
# A set, and keys that can be made of its index names.
Keyed = tuple[drawn.Case, tuple[str, ...]]
Names = tuple[tuple[str, ...] | None, ...]


@dataclass(frozen=True)
class Value:
    """An input or a layer as it is declared: what stands in its brackets, its shape, its units' names."""

    name: str
    declared: str
    shape: Shape
    names: Names


@dataclass
class Drawn:
    """A spec in the making: statements in any order, files beside it, and every connection's edges."""

    params: list[str] = field(default_factory=list)
    axes: dict[str, str] = field(default_factory=dict)
    inside: list[str] = field(default_factory=list)  # the body of `for t in 2..2`
    statements: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)
    layers: dict[str, list[str]] = field(default_factory=dict)  # operations
    edges: dict[str, Edges] = field(default_factory=dict)
    trained: dict[str, list[str]] = field(default_factory=dict)  # trained connections into each layer
    read: set[str] = field(default_factory=set)
    expressions: set[str] = field(default_factory=set)  # layers that no connection enters
    heads: dict[str, str] = field(default_factory=dict)  # layers as they are declared, without operations
    has_time: bool = False
    over_time: set[str] = field(default_factory=set)  # inputs
    reads: list[tuple[str, str, int]] = field(default_factory=list)  # source, layer, and how late it reads

    def timed(self) -> set[str]:
        """The inputs and layers that may differ from step to step."""
        timed = {*self.over_time, *(layer for _, layer, delay in self.reads if delay)}
        while more := {layer for source, layer, _ in self.reads if source in timed} - timed:
            timed |= more
        return timed


@dataclass(frozen=True)
class Spec:
    """A valid spec: its text, the files that it reads, and the edges of every connection by its name."""

    text: str
    files: Mapping[str, bytes]
    edges: Mapping[str, Edges]


# ----------------------------------------------------------------------------------------- declarations


SORTS = ("round", '"a, b"', "c")


@st.composite
def dimension(draw, made: Drawn, size: int) -> tuple[str, tuple[str, ...] | None]:
    """A size as it is written: a number, an expression, an axis, an axis with names."""
    kind = draw(st.sampled_from(["number", "number", "sum", "axis", "names", "column"]))
    if kind == "number":
        return str(size), None
    if kind == "sum":
        return draw(st.sampled_from([f"{size - 3} + p", f"{2 * size} // 2", f"max(1, {size})"])), None
    name = f"{kind}{size}"
    if kind == "axis":
        made.axes[name] = f"axis {name} = {size}"
        return name, None
    units = tuple(f"{'xyz'[n % 3]}{size - n}" for n in range(size))
    if kind == "names":
        made.files[f"{name}.txt"] = "\n".join(units).encode()
        made.axes[name] = f'axis {name} = names("{name}.txt")'
    else:
        rows = "".join(
            f"{unit},{n % 2},{SORTS[n % 3]}\nno{unit},{2 + n % 2},\n" for n, unit in enumerate(units)
        )
        made.files[f"{name}.csv"] = f"id,kind,sort\n{rows}".encode()
        made.axes[name] = f'axis {name} = names("{name}.csv", column = "id", where = column("kind") < 2)'
    return name, units


@st.composite
def value(draw, made: Drawn, name: str, shape: Shape) -> Value:
    """An input or a layer of a shape."""
    parts = [draw(dimension(made, size)) for size in shape]
    declared = f"[{', '.join(text for text, _ in parts)}]"
    return Value(name, declared, shape, tuple(names for _, names in parts))


SHAPES = st.one_of(
    st.tuples(st.integers(1, 6)),
    st.tuples(st.integers(1, 6)),
    st.tuples(st.integers(1, 3), st.integers(1, 4)),
    st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 3)),
)


# ---------------------------------------------------------------------------------------------- weights


@st.composite
def pooling(draw, edges: Edges, units: int) -> list[str]:
    """How units pool otherwise than by a sum, and what those without an edge get if it must be said."""
    entry = REDUCTIONS[draw(st.sampled_from(sorted(REDUCTIONS)))]
    needed = entry.empty is None and len({target for _, target in edges}) < units
    empty = [f"empty = {draw(st.sampled_from(['0', '-1', 'p / 4']))}"]
    return [f"reduce = {entry.name}", *(empty if needed or draw(st.integers(0, 3)) == 0 else [])]


# Delays as they are written, and the longest; and such that differ from edge to edge.
DELAYS = [("1", 1), ("1", 1), ("2", 2), ("p - 1", 2), ("p", 3), ("5", 5)]


BY_EDGE = [("1 + fan_in % 2", 2), ("4 - fan_out % 3", 4)]


@st.composite
def attributes(
    draw, made: Drawn, name: str, edges: Edges, units: int, delay: str, own: Sequence[str]
) -> tuple[str, bool, bool]:
    """What stands after `with`, whether there are weights, and whether they are trained.

    `own` are keys in the index names of the set, if it has any.
    """
    kind = draw(
        st.sampled_from(
            ["", "", "", "normal", "extreme", "uniform", "number", "none", "degrees", "file", "file"]
        )
    )
    texts: list[str] = []
    if kind == "normal":
        texts.append("weight ~ normal(0, 1 / sqrt(fan_in))")
    elif kind == "extreme":
        texts.append(f"weight ~ normal(0, {draw(st.sampled_from(['100', '1e-6', '1e4']))})")
    elif kind == "uniform":
        texts.append(f"weight ~ uniform(-0.5, {draw(st.sampled_from(['0.5', 'p / 4', '1 / fan_out']))})")
    elif kind == "number":
        texts.append(f"weight = {draw(st.sampled_from(['0.25', '-1', 'p / 2']))}")
    elif kind == "none":
        texts.append("weight = none")
    elif kind == "degrees":
        texts.append("weight = 1 / (fan_in + fan_out)")
    elif kind == "file" and edges:
        buffer = io.BytesIO()
        np.save(buffer, np.linspace(-1, 1, len(edges)))
        made.files[f"{name}_2.npy"] = buffer.getvalue()
        holes = draw(st.sampled_from(["{t}", "{t}", "{t-0}", "2"]))
        stem = draw(st.sampled_from([name, name.replace("2", "{t}", 1)]))
        texts.append(f'weight = load("{stem}_{holes}.npy")')
    by_edge = "fan" in delay  # edges of several delays are added up
    pools = draw(pooling(edges, units)) if draw(st.integers(0, 3)) == 0 and not by_edge else []
    kind = "none" if pools and not texts else kind  # only sums have weights where none are given
    texts += pools
    trained = kind != "none" and draw(st.integers(0, 3)) > 0
    if kind != "none" and (not trained or draw(st.integers(0, 7)) == 0):
        texts.append(f"trainable = {'true' if trained else 'false'}")
    if kind != "none":
        texts += draw(making(name, kind, own))
    if delay:
        texts.insert(draw(st.integers(0, len(texts))), f"delay = {delay}")
    return f" with {', '.join(texts)}" if texts else "", kind != "none", trained


@st.composite
def making(draw, name: str, kind: str, own: Sequence[str]) -> list[str]:
    """How weights are made of their parameter, if they are: shared, of a sign, through a function, times."""
    texts: list[str] = []
    keys = [f"s_{name}", "fan_in", "(fan_out, fan_in)", f"s_{name}(fan_out)", "(0,)", f"s_{name}(p)"]
    forms = [form for key in own for form in (key, f"s_{name}{key.replace(',)', ')')}")]
    keys = keys[:1] if kind == "file" else [*keys, *forms, *forms]
    share = draw(st.sampled_from([*[""] * (1 if own else 4), *keys]))
    if share:
        texts.append(f"share = {share}")
    drawn_around_zero = kind in ("", "normal", "extreme", "uniform")
    made = draw(st.sampled_from(["", "", "", "", "sign", "through"]))
    if made == "sign" and drawn_around_zero:
        signs = ["nonnegative", "nonpositive", "1 - 2 * (fan_in % 2)", "-1"]
        texts.append(f"sign = {draw(st.sampled_from(signs))}")
    elif made == "through":
        texts.append(f"through = {draw(st.sampled_from(ACTIVE))}")
    if draw(st.integers(0, 5)) == 0:
        texts.append(f"times = {draw(st.sampled_from(['2', 'fan_in', '-1 / fan_out', '1']))}")
    return texts


# ------------------------------------------------------------------------------------------- operations

# Those of the catalogue but for what grows so fast that chains of it overflow.
ACTIVE = [name for name in catalogue.names() if name not in ("cosh", "exp", "expm1", "sinh")]
# Functions that every drawn spec could state, with the numbers they take; one hides the catalogue's.
STATED = {
    "swish": ("function swish(x, beta = 1.5) = x * sigmoid(beta * x)", (("beta", 1.5),)),
    "spike": (
        "function spike(v, sharpness = 2) = where(v > 0, 1, 0) "
        "with derivative = 1 / (1 + sharpness * abs(v))**2",
        (("sharpness", 2.0),),
    ),
    "mish": ("function mish(u) = where(u > 0 and u < 3, sqrt(u + 1), swish(u)) + stop(u) / p", ()),
    "root": ("function root(x) = where(x > 0, log1p(x), -0.25 * x) - max(x, -1, 0.5 * x)", ()),
    "stairs": ("function stairs(x) = floor(2 * x) / 2 + 0.25 * round(x) - 0.125 * x", ()),
    # Finite around 0 alone.
    "deep": ("function deep(x, depth = 6) = log(depth + x)", (("depth", 6.0),)),
    "narrow": ("function narrow(x) = atanh(x / 12) - sqrt(9 - x)", ()),
}


@st.composite
def activation(draw) -> str:
    """An activation, its parameters by place, by name or left out; or a function of the spec's own."""
    name = draw(st.sampled_from([*sorted(ACTIVATIONS), *ACTIVE, *STATED]))
    function = catalogue.function(name)
    parameters = function.defaults if function and name not in STATED else STATED.get(name, ("", ()))[1]
    if not parameters or draw(st.booleans()):
        return name + draw(st.sampled_from(["", "", "()"]))
    by_name = draw(st.booleans())
    given = [f"{f'{key} = ' if by_name else ''}{default / 2:g}" for key, default in parameters]
    return f"{name}({', '.join(given)})"


@st.composite
def taking_together(draw, layer: Value) -> str:
    """An operation with `per`, or one that has slopes, of a layer of any shape."""
    rank = len(layer.shape)
    apart = draw(st.lists(st.integers(0, rank - 1), min_size=1, max_size=rank, unique=True))
    per = f"per = {apart[0] if len(apart) == 1 else tuple(apart)}"
    some = [f"batch_norm({per})", f"dropout(0.25, {per})", f"prelu({per})", "prelu(start = -0.5)", "rms_norm"]
    if prod(layer.shape[at] for at in apart) < prod(layer.shape):
        some += [f"{name}({per})" for name in ("softmax", "log_softmax", "layer_norm", "rms_norm")]
    return draw(st.sampled_from(some))


@st.composite
def bias(draw, made: Drawn, layer: Value) -> str:
    """A bias with what it may be given."""
    kind = draw(st.sampled_from(["bias", "bias(off)", "start", "per", "per", "only"]))
    if kind == "per" and len(layer.shape) > 1:
        kept = ", ".join(map(str, range(len(layer.shape) - 1)))
        return f"bias(per = {draw(st.sampled_from(['0', f'({kept},)']))})"
    if kind == "only":
        buffer = io.BytesIO()
        mask = np.arange(prod(layer.shape)) % 3 != 1
        np.save(buffer, mask.astype(np.uint8).reshape(layer.shape))
        made.files[f"{layer.name}_only.npy"] = buffer.getvalue()
        start = draw(st.sampled_from(["", ", start = -0.5"]))
        return f'bias(only = load("{layer.name}_only.npy"){start})'
    return kind if kind.startswith("bias") else f"bias(start = {draw(st.sampled_from(['0.5', 'p / 8']))})"


@st.composite
def operations(draw, made: Drawn, layer: Value) -> list[str]:
    """What happens to a layer's sum, in any order."""
    scale = st.sampled_from(["0.5", "0.5", "0.5", "-1", "1e3", "1e-4"]).map("scale({})".format)
    some = draw(st.lists(st.one_of(activation(), activation(), scale), max_size=2))
    if draw(st.integers(0, 2)) == 0:
        some.append(draw(st.sampled_from(["dropout(0.5)", "dropout(0.125)", "dropout(0)"])))
    norm = draw(st.sampled_from(["", "", "", "batch_norm", "batch_norm(momentum = 0.25)", "layer_norm"]))
    if norm:
        some.append(norm)
    if draw(st.integers(0, 2)) == 0:
        more = draw(taking_together(layer))
        if more.partition("(")[0] not in {each.partition("(")[0] for each in some}:
            some.append(more)
    if draw(st.booleans()):
        some.append(draw(bias(made, layer)))
    return list(draw(st.permutations(some)))


# ------------------------------------------------------------------------------------------ connections


@st.composite
def by_field(draw, made: Drawn, source: Value, target: Value) -> Keyed:
    """Units of an axis with further columns, by these; others by the ends of a named set's edges."""
    every = sorted(oracle.every_pair(source.shape, target.shape))
    if source.declared.startswith("[column") and len(source.shape) == 1:
        axis, wanted = source.declared[1:-1], draw(st.integers(0, 1))
        indices = drawn_sets.index_text([f"y{at}" for at in range(len(target.shape))])
        chosen = {(s, t) for s, t in every if s % 2 == wanted}
        case = drawn.Case(f"{{ x -> {indices} : {axis}.kind(x) == {wanted} }}", chosen, set())
        return case, (f"({axis}.sort(x),)", f"({axis}.sort(x), {axis}.kind(x), y0)")
    flat = [prod(source.shape)], [prod(target.shape)]
    chosen = {*draw(st.lists(st.sampled_from(every), min_size=1, max_size=6, unique=True))}
    pairs = ", ".join(f"{s} -> {t}" for s, t in chosen)
    statement, name = drawn_sets.statement(f"{{ {pairs} }}", *flat)
    ends = [
        drawn_sets.index_text([
            f"{name}.{end}(e) // {prod(value.shape[at + 1 :])} % {size}" if len(value.shape) > 1
            else f"{name}.{end}(e)" for at, size in enumerate(value.shape)
        ])
        for end, value in (("source", source), ("target", target))
    ]  # fmt: skip
    text = f"{{ {ends[0]} -> {ends[1]} : e in 0..len({name}) - 1 }}"
    return drawn.Case(text, chosen, set(), (statement,)), ()


@st.composite
def joined(draw, source: Value, target: Value) -> Keyed:
    """Units that stand for edges: those of the source's that end where those of the target's begin."""
    sets: list[tuple[str, str, list[tuple[int, int]]]] = []
    for size in (*source.shape, *target.shape):
        width = draw(st.integers(1, 4))
        height = max(draw(st.integers(1, 3)), -(-size // width))
        every = [(s, t) for s in range(width) for t in range(height)]
        pairs = draw(st.lists(st.sampled_from(every), min_size=size, max_size=size, unique=True))
        text = f"{{ {', '.join(f'{s} -> {t}' for s, t in pairs)} }}"
        sets.append(
            (*drawn_sets.statement(text, [width], [height]), sorted(pairs, key=lambda pair: pair[::-1]))
        )
    if source.shape == target.shape and draw(st.booleans()):
        sets[1] = sets[0]
    (one, left, begun), (two, right, ended) = sets
    chosen = {
        (e, f) for e, (_, end) in enumerate(begun) for f, (begin, _) in enumerate(ended) if end == begin
    }
    text = f"{{ e -> f : {left}.target(e) == {right}.source(f) }}"
    keys = (f"({left}.source(e),)", f"({left}.target(e), {right}.target(f))")
    return drawn.Case(text, chosen, set(), tuple(dict.fromkeys((one, two)))), keys


@st.composite
def windowed(draw, source: Value, target: Value) -> Keyed:
    """A window, whose places have names, and so have dimensions that stay one to one."""
    case = draw(drawn_sets.window(source.shape, target.shape))
    inside = case.text.removeprefix("window(").removesuffix(")")
    extents = re.match(r"\d+(, \d+)*", inside)
    assert extents is not None
    wide = extents.group().split(", ")
    places = [f"a{at}" for at in range(len(wide))]
    staying = [f"k{at}" for at in range(len(source.shape) - len(wide))] if draw(st.booleans()) else []
    called = ", ".join([*staying, *(f"{a} = {n}" for a, n in zip(places, wide, strict=True))])
    keys = [places, [*staying, *places]] if staying else [places]
    keyed = tuple(f"({', '.join(key)}{',' * (len(key) == 1)})" for key in keys)
    return replace(case, text=f"window({called}{inside[extents.end() :]})"), keyed


@cache
def right_sets(source: Shape, target: Shape, sides: tuple[Names, Names]) -> st.SearchStrategy[drawn.Case]:
    """Sets of any kind without an error: what draws them takes long to make."""
    return drawn_sets.anything(source, target, sides, deep=1).filter(lambda case: not case.errors)


@st.composite
def connection(draw, made: Drawn, source: Value, target: Value, *, back: bool = False) -> None:
    """A connection of a drawn set, as `connect` writes it, with the statements that it needs.

    One that leads `back` reads an earlier step.
    """
    late = back or (made.has_time and draw(st.integers(0, 3)) == 0)
    delay, steps = draw(st.sampled_from([*DELAYS, *BY_EDGE])) if late else ("", 0)
    name, called = f"{source.name}_{target.name}", ""
    if name in made.edges or draw(st.integers(0, 3)) == 0:
        number = len(made.edges)
        name, called = draw(
            st.sampled_from([(f"c{number}", f" as c{number}"), (f"c2_{number}", f" as c{{t}}_{{{number}}}")])
        )
    sides = (source.names, target.names)
    kinds = ["anything"] * 5 + ["field"] + ["joined"] * (len(source.shape) == len(target.shape) == 1)
    kind = draw(st.sampled_from([*kinds, "window"] if source.shape == target.shape else kinds))
    case, own = drawn.Case("", set(), set()), ()
    if kind == "anything":
        case = draw(right_sets(source.shape, target.shape, sides))
    elif kind == "field":
        case, own = draw(by_field(made, source, target))
    else:
        case, own = draw({"joined": joined, "window": windowed}[kind](source, target))
    assume(not case.errors)
    # The names of named sets say what they are, but not between which sides, which `left` and `right` are.
    own = {
        found: f"{found}_{len(made.edges)}"
        for statement in case.before
        for found in re.findall(r"^edges (\w+) : left", statement)
    }
    written = [draw(st.sampled_from([value.declared, value.name])) for value in (source, target)]

    def between(text: str) -> str:
        for old, new in own.items():
            text = re.sub(rf"\b{old}\b", new, text)
        return text.replace("left -> right", " -> ".join(written))

    for statement in map(between, case.before):
        if statement not in made.inside:
            made.inside.append(statement)
    text, weighted, trained = draw(attributes(made, name, case.edges, prod(target.shape), delay, own))
    made.inside.append(f"connect {source.name} -> {target.name}{called} : {between(case.text)}{text}")
    made.files.update(case.files)
    made.edges[name] = case.edges
    made.reads.append((source.name, target.name, steps))
    made.read |= set() if back else {source.name}
    if weighted and trained and case.edges:
        made.trained.setdefault(target.name, []).append(name)


# Layers that are expressions of others of their shape, and of one unit, `s`.
EXPRESSIONS = [
    "{a} + {b}",
    "{a} * sigmoid({b}) + {s} * (1 - sigmoid({b}))",
    "{a} - p * tanh({s}) * {b}",
    "where({a} > {b}, {a}, 0.5*{b} - {s})",
    "-max({a}, {b}, -1) / 4 + stop({s})",
    "{a} / (1 + {b}**2)",
    "leaky_relu({a}, slope = 0.25) * erf({s}) - abs({b}) * pi",
    "huber_like({a}, width = p) * cos({s})",
    "{s}",
    "{a}",
]
PRODUCTS = ["{a} * {b}", "{a} * {b} - 2 * {s}", "({a} - {s})**2 / 2", "abs({a}) * {s}"]
HUBER_LIKE = "function huber_like(x, width = 1) = where(abs(x) < width, x**2, 2 * width * abs(x) - width**2)"


@st.composite
def earlier(draw, each: Value, target: Value) -> tuple[str, Value, int]:
    """A value in an expression as it is, or an earlier step of it, or of the layer that the expression is."""
    if draw(st.booleans()):
        return each.name, each, 0
    own = prod(each.shape) == prod(target.shape) and draw(st.booleans())
    read, (text, delay) = target if own else each, draw(st.sampled_from(DELAYS))
    called = draw(st.sampled_from([f"({read.name}, {text})", f"({read.name}, steps = {text})"]))
    return f"before{f'({read.name})' if delay == 1 else called}", read, delay


@st.composite
def combined(draw, made: Drawn, like: Value, number: int) -> None:
    """A layer that is an expression of others. Products are not taken of what has been multiplied often."""
    target = draw(value(made, f"h{number}", like.shape))
    alike = [each for each in made.values if each.shape == like.shape]
    single = [each for each in made.values if prod(each.shape) == 1]
    text = draw(st.sampled_from(EXPRESSIONS + PRODUCTS * (number < 3)))
    whole = single if prod(like.shape) == 1 else alike  # what stands alone
    a, b, s = (draw(st.sampled_from(some)) for some in (alike, alike, single or whole))
    if text == "{s}":
        s = draw(st.sampled_from(whole))
    if a is s and "{a} - {s}" in text:  # which would be nothing
        text = PRODUCTS[0]
    holes: dict[str, str] = {}
    for hole, each in zip("abs", (a, b, s), strict=True):
        holes[hole], read, delay = each.name, each, 0
        if f"{{{hole}}}" in text:
            if made.has_time:
                holes[hole], read, delay = draw(earlier(each, target))
            made.reads.append((read.name, target.name, delay))
            made.read |= {read.name} - {target.name}
    text = text.format(**holes)
    if "huber_like" in text and HUBER_LIKE not in made.statements:
        made.statements.append(HUBER_LIKE)
    made.heads[target.name] = f"layer {target.name}{target.declared} = {text}"
    made.layers[target.name] = draw(operations(made, target))
    made.values.append(target)
    made.expressions.add(target.name)


@st.composite
def layer(draw, made: Drawn, number: int) -> None:
    """A layer with what enters it."""
    like = draw(st.sampled_from(made.values))
    if draw(st.integers(0, 3)) == 0:
        draw(combined(made, like, number))
        return
    shape = like.shape if draw(st.booleans()) else draw(SHAPES)
    target = draw(value(made, f"h{number}", shape))
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        draw(connection(made, draw(st.sampled_from([*made.values, made.values[-1], like])), target))
    made.heads[target.name] = f"layer {target.name}{target.declared}"
    made.layers[target.name] = draw(operations(made, target))
    made.values.append(target)


@st.composite
def codes(draw, made: Drawn) -> None:
    """An input of class codes, and a connection from it."""
    shape, classes = draw(st.sampled_from([(), (1,), (3,), (2, 2)])), draw(st.integers(2, 5))
    entered = made.layers.keys() - made.expressions
    target = draw(st.sampled_from([value for value in made.values if value.name in entered]))
    over = " over time" if made.over_time and draw(st.booleans()) else ""
    made.over_time |= {"word"} if over else set()
    made.reads.append(("word", target.name, 0))
    made.statements.append(f"input word{list(shape) if shape else ''}: class[{classes}]{over}")
    sources = prod(shape) * classes
    edges = {(s, t) for s in range(sources) for t in range(prod(target.shape))}
    weight = draw(
        st.sampled_from(["", " with trainable = false", " with weight ~ normal(0, 1 / sqrt(fan_in))"])
    )
    made.inside.append(f"connect word -> {target.name} : all{weight}")
    made.edges[f"word_{target.name}"] = edges
    if "false" not in weight:
        made.trained.setdefault(target.name, []).append(f"word_{target.name}")


# ----------------------------------------------------------------------------------------------- losses


# Losses that are functions of each unit, none of which overflows before its arguments do.
OF_UNITS = [
    "huber({y}, {t}, delta = 0.5)",
    "log_cosh({y}, {t})",
    "hinge({y}, {t})",
    "kl_divergence({y}, {t})",
    "mean(where({t} > 0.5, ({y} - {t})**2, 0))",
    "sum(abs({y}) * {t})",
    "mean(max({y}, {t}) - huber({y}, 2 * {t}))",
]


@st.composite
def losses(draw, made: Drawn) -> None:
    """Targets, terms and penalties, and the outputs. A layer is compared with one target or more."""
    terms: list[str] = []
    layers = [v for v in made.values if v.name in made.layers]
    every = draw(st.lists(st.sampled_from(layers), max_size=2))
    made.read -= {compared.name for compared in every if draw(st.booleans())}  # so that they are outputs
    timed = made.timed()
    outputs = [v.name for v in layers if v.name not in made.read]
    over = {name for name in outputs if name in timed and draw(st.booleans())}
    over |= timed - {*outputs}
    for number, compared in enumerate(every):
        steps = [step.partition("(")[0] for step in made.layers[compared.name]]
        last = next((step for step in reversed(steps) if not step.startswith(("dropout", "start"))), "")
        coded = compared.shape[-1] > 1 and last != "softmax"
        fitting = [name for name in LOSSES for _ in range(4 * coded if LOSSES[name].codes else 1)]
        fitting = [name for name in fitting if name != "binary_cross_entropy" or last != "sigmoid"]
        name = draw(st.sampled_from(fitting))
        target, given = f"t{number}", " over time" if compared.name in over else ""
        if LOSSES[name].codes:
            shape, classes = compared.shape[:-1], compared.shape[-1]
            made.statements.append(f"target {target}{list(shape) if shape else ''}: class[{classes}]{given}")
        else:
            made.statements.append(f"target {target}{compared.declared}{given}")
        factor = draw(st.sampled_from(["", "", "0.5 * ", "p * ", "-1 * ", "1e6 * ", "1e-5 * "]))
        term = f"{name}({compared.name}, {target})"
        if LOSSES[name].codes and draw(st.booleans()):
            term = f"{term[:-1]}, smoothing = 0.25, weights = {[0.5] + [2] * (classes - 1)})"
        elif not LOSSES[name].codes and draw(st.booleans()):
            term = draw(st.sampled_from(OF_UNITS)).format(y=compared.name, t=target)
        terms.append(f"{factor}{term}")
    for name in draw(st.lists(st.sampled_from(sorted(PENALTIES)), max_size=1)):
        if made.trained:
            into, own = draw(st.sampled_from(sorted(made.trained.items())))
            terms.append(f"1e-2 * {name}({draw(st.sampled_from([into, *own]))})")
    if terms:
        made.statements.append(f"loss {' + '.join(terms)}".replace("+ -1 *", "-"))
    last, all_steps = ([name for name in outputs if (name in over) is here] for here in (False, True))
    made.statements += [f"output {', '.join(last)}"] if last else []
    made.statements += [f"output {', '.join(all_steps)} over time"] if all_steps else []


@st.composite
def time(draw, made: Drawn) -> None:
    """Connections back to earlier layers, how many steps there are, and what layers start as."""
    layers = [value for value in made.values if value.name in made.layers]
    entered = [value for value in layers if value.name not in made.expressions]
    for _ in range(draw(st.integers(0, 3)) if entered else 0):
        draw(connection(made, draw(st.sampled_from(layers)), draw(st.sampled_from(entered)), back=True))
    late = {source for source, _, delay in made.reads if delay}
    if not made.over_time and late:
        made.statements.append(f"steps {draw(st.sampled_from(['1', '2', 'p', '2 * p - 2']))}")
    for value in layers:
        if value.name in late and draw(st.booleans()):
            start = draw(st.sampled_from(["trained", "trained", "0.5", "-p / 4", "0.1", "0"]))
            steps = made.layers[value.name]
            steps.insert(draw(st.integers(0, len(steps))), f"start = {start}")


@st.composite
def specs(draw) -> Spec:
    """A valid spec, a third of them of networks that run over time."""
    made = Drawn(has_time=draw(st.integers(0, 2)) == 0)
    made.params += [f"param {name} = {number}" for name, number in drawn.AROUND.items() if name == "p"]
    for number in range(draw(st.integers(1, 2))):
        data = draw(value(made, f"data{number}", draw(SHAPES)))
        made.values.append(data)
        over = made.has_time and draw(st.integers(0, 3)) > 0
        made.over_time |= {data.name} if over else set()
        made.statements.append(f"input {data.name}{data.declared}{' over time' * over}")
    for number in range(draw(st.sampled_from([1, 2, 3, 4, 1, 2, 3, 4, 12]))):
        draw(layer(made, number))
    if draw(st.integers(0, 3)) == 0 and made.layers.keys() - made.expressions:
        draw(codes(made))
    if made.has_time:
        draw(time(made))
    timed = made.timed()
    for name, steps in made.layers.items():
        # The statistics of a batch are refused where layers differ from step to step.
        steps[:] = [step for step in steps if name not in timed or not step.startswith("batch_norm")]
        made.statements.append(made.heads[name] + (f" : {', '.join(steps)}" if steps else ""))
    used = {step.partition("(")[0] for steps in made.layers.values() for step in steps}
    used |= {"swish"} if "mish" in used else set()
    made.statements += [statement for name, (statement, _) in STATED.items() if name in used]
    draw(losses(made))
    return Spec(written(draw, made), dict(made.files), dict(made.edges))


def written(draw, made: Drawn) -> str:
    """The statements in any order."""
    loop = f"for t in {draw(st.sampled_from(['2..2', '[2]', 'p - 1..2']))} {{\n"
    loop += "".join(f"  {statement}\n" for statement in draw(st.permutations(made.inside))) + "}"
    never = draw(st.sampled_from([[], ["for e in [] {\n  layer never{e}[2] : relu\n}"]]))
    parts = [*made.params, *made.axes.values(), *made.statements, loop, *never]
    statements = draw(st.permutations(parts))
    return "\n".join(["model drawn", *statements, ""])
