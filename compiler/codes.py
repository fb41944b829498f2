"""Every semantic diagnostic: code, message, explanation. Those of the syntax are in `dsl/codes.py`.

E2xx names and values, E3xx shapes, edges and the network, E4xx operations, weights and losses, E5xx targets,
E6xx files, E9xx what the language has but this version does not; W.. warnings, numbered like the errors
they sit beside.
"""

from __future__ import annotations

from ..dsl import codes as syntax
from ..dsl.findings import Code

# ------------------------------------------------------------------------------------- E2xx: names and values

UNKNOWN_NAME = Code(
    "E201",
    "no {kind} is called `{name}`",
    """
A statement speaks of a layer, an input or a target that the spec does not declare. Statements may stand in
any order, so what is missing is the declaration, or the name is misspelt. Names are compared letter by
letter: `Hidden` is not `hidden`.

Wrong:
    model m
    input x[3]
    layer hidden[3]
    connect x -> hiden : all

Right:
    model m
    input x[3]
    layer hidden[3]
    connect x -> hidden : all
""",
)

WRONG_KIND = Code(
    "E202",
    "`{name}` is {kind}, not {wanted}",
    """
The name is declared, but as another kind of thing than this place takes. A connection leads from an input
or a layer into a layer, an output is a layer, a loss compares a layer with a target, and only params and
the variables of `for` are numbers.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
    output x

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
    output y
""",
)

DECLARED_TWICE = Code(
    "E203",
    "`{name}` is declared twice",
    """
Inputs, targets, layers, connections, sets of edges, params and axes share one namespace, because they name
parameters and variables in generated code. A connection without `as` is called after its two ends: `x_y`
for `x -> y`. So a second connection between the same two needs a name of its own, and so does one whose
name a layer has already. Within `for`, a name that is to be new each time contains the loop's variable, as
in `h{k}`.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
    connect x -> y : one_to_one with weight = none

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
    connect x -> y as skip : one_to_one with weight = none
""",
)

OUTSIDE = Code(
    "E204",
    "edge {end} {index} is outside `{side}`, which has {size}",
    """
A rule or a file makes an edge to a unit that is not there. Units are counted from 0, so a side of 500 units
ends at 499. The width comes from the layer, never from the largest index seen. The default is an error,
because an index that is off by one is otherwise seen by nobody. `; outside = skip` in a builder drops such
edges, as at the border of an image; `; outside = wrap` goes on at the other end, which closes a ring. For a
file they are arguments of `load`.

Wrong:
    model m
    input x[5]
    layer y[5]
    connect x -> y : { i -> i + 1 }

Right:
    model m
    input x[5]
    layer y[5]
    connect x -> y : { i -> i + 1 ; outside = wrap }
""",
)

RESERVED_NAME = Code(
    "E205",
    "`{name}` cannot be a name here: {why}",
    """
Inputs, targets, layers and connections keep their names in generated code, where some are taken: by
Python's keywords (`lambda`), by what every PyTorch module has (`forward`, `train`), by functions that
generated code calls (`softmax`, `project`). Names are refused whichever targets are asked for, so that a
spec suits them all. Params and sets of edges are not in generated code; they only keep clear of the
language's own words, a param of `none`, a set of `all`. The usual way out is a longer name, or an
underscore at the end.

Wrong:
    model m
    input x[3]
    layer forward[3]
    connect x -> forward : all

Right:
    model m
    input x[3]
    layer forward_[3]
    connect x -> forward_ : all
""",
)

UNDERSCORES = Code(
    "E206",
    "`{name}` cannot be a name: leading and double underscores are kept for generated code",
    """
Names that begin with an underscore are private in Python and belong to the framework, and two underscores
in a row have a meaning of their own in several places of it.

Wrong:
    model m
    input x[3]
    layer _hidden[3]
    connect x -> _hidden : all

Right:
    model m
    input x[3]
    layer hidden_1[3]
    connect x -> hidden_1 : all
""",
)

UNKNOWN_NUMBER = Code(
    "E207",
    "no number is called `{name}`",
    """
An expression names a number that is neither a param, nor a variable of a `for` around it, nor an index of
its set of edges. An index is known once it stands alone in an index position, as `i` does in `{ i -> j }`,
or before `in`. The indices of a set can be used in `with` if the set is one pair of braces.

Wrong:
    model m
    input x[3]
    layer y[width]
    connect x -> y : all

Right:
    model m
    param width = 3
    input x[3]
    layer y[width]
    connect x -> y : all
""",
)

PARAM_CYCLE = Code(
    "E208",
    "a param depends on itself: {chain}",
    """
To compute the param its own value is needed. The message shows the way round.

Wrong:
    model m
    param width = depth * 2
    param depth = width // 2
    input x[width]
    layer y[3]
    connect x -> y : all

Right:
    model m
    param width = 6
    param depth = width // 2
    input x[width]
    layer y[depth]
    connect x -> y : all
""",
)

SHADOWED = Code(
    "E209",
    "the loop variable `{name}` hides another `{name}`",
    """
The variable of a `for` has the name of something that is declared, or of the variable of a loop around it.
Within the loop it would not be clear which of the two is meant, so it needs another name.

Wrong:
    model m
    param k = 2
    input x[k]
    layer h0[3]
    connect x -> h0 : all
    for k in 1..3 {
      layer h{k}[3]
      connect h{k-1} -> h{k} : all
    }

Right:
    model m
    param width = 2
    input x[width]
    layer h0[3]
    connect x -> h0 : all
    for k in 1..3 {
      layer h{k}[3]
      connect h{k-1} -> h{k} : all
    }
""",
)

TOO_MANY_STATEMENTS = Code(
    "E211",
    "loops unroll to more than {limit} statements",
    """
Loops are unrolled, and each turn makes statements of its own. So many are a mistake in a bound, a range
that should have been the units of a layer perhaps: those are written as one set of edges, which may have
hundreds of millions.

Wrong:
    model m
    input x[3]
    for k in 1..200000 {
      layer h{k}[3]
      connect x -> h{k} : all
    }

Right:
    model m
    input x[3]
    layer h[200000, 3]
    connect x -> h : all
""",
)

NOT_A_NUMBER = Code(
    "E212",
    "a number is needed here, not {what}",
    """
A number is needed: a literal, a param, a variable of `for`, or an expression of those. Conditions such as
`i < 3`, strings, lists and ranges are none.

Wrong:
    model m
    input x[3]
    layer y["3"]
    connect x -> y : all

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
""",
)

NOT_AN_INTEGER = Code(
    "E213",
    "{what} must be an integer, not {value}",
    """
Sizes, indices, seeds, and the ends of ranges are whole numbers, and numbers within names are too. `/`
always gives a decimal number, also where it divides evenly; `//` divides and rounds down.

Wrong:
    model m
    param width = 6
    input x[width]
    layer y[width / 2]
    connect x -> y : all

Right:
    model m
    param width = 6
    input x[width]
    layer y[width // 2]
    connect x -> y : all
""",
)

TOO_SMALL = Code(
    "E214",
    "{what} must be at least {least}, not {value}",
    """
A number is below the least that makes sense: a layer has at least one unit along every dimension, there are
at least two classes, a standard deviation is not negative.

Wrong:
    model m
    input x[3]
    layer y[0]
    connect x -> y : all

Right:
    model m
    input x[3]
    layer y[1]
    connect x -> y : all
""",
)

NUMBER_TOO_LARGE = Code(
    "E215",
    "this number is outside 64 bits",
    """
Integers have 64 bits, from -9223372036854775807 to 9223372036854775807, and a result beyond that is refused
rather than wrapped round.

Wrong:
    model m
    param width = 9 ** 99
    input x[3]
    layer y[width]
    connect x -> y : all

Right:
    model m
    param width = 9 ** 2
    input x[3]
    layer y[width]
    connect x -> y : all
""",
)

NOT_FINITE = Code(
    "E216",
    "this is not a finite number",
    """
An expression has no finite value: the root or the logarithm of a negative number, `exp` of a large one.

Wrong:
    model m
    param distance = 3
    input x[3]
    layer y[3]
    connect x -> y : all with weight = sqrt(-distance)

Right:
    model m
    param distance = 3
    input x[3]
    layer y[3]
    connect x -> y : all with weight = sqrt(distance)
""",
)

DIVISION_BY_ZERO = Code(
    "E217",
    "division by zero",
    """
Something is divided by zero. In a set of edges a condition that rules out the zero helps, wherever it
stands among the conditions.

Wrong:
    model m
    input x[6]
    layer y[6]
    connect x -> y : { i -> j : i % j == 0 }

Right:
    model m
    input x[6]
    layer y[6]
    connect x -> y : { i -> j : j != 0, i % j == 0 }
""",
)

NOT_A_CONDITION = Code(
    "E218",
    "a condition is needed here, such as `i < 3`",
    """
`and`, `or` and `not` join conditions, and what stands after the `:` of a set are conditions. A number is
none: write what it is compared with.

Wrong:
    model m
    input x[6]
    layer y[6]
    connect x -> y : { i -> j : (i + j) % 2 }

Right:
    model m
    input x[6]
    layer y[6]
    connect x -> y : { i -> j : (i + j) % 2 == 1 }
""",
)

UNKNOWN_FUNCTION = Code(
    "E219",
    "no function of numbers is called `{name}`",
    """
Numbers are computed with `abs`, `min`, `max`, `floor`, `sqrt`, `exp`, `log`, `sin`, `cos` and `tan`. Rules
such as `random`, distributions such as `normal` and losses are no functions of numbers and stand in places of
their own.

Wrong:
    model m
    input x[9]
    layer y[square(3)]
    connect x -> y : all

Right:
    model m
    input x[9]
    layer y[3 ** 2]
    connect x -> y : all
""",
)

ARGUMENT_COUNT = Code(
    "E220",
    "`{name}` takes {count}",
    """
The functions of numbers take one number, `min` and `max` one or more, and their arguments have no names.

Wrong:
    model m
    input x[9]
    layer y[abs(3, 4)]
    connect x -> y : all

Right:
    model m
    input x[9]
    layer y[max(3, 4)]
    connect x -> y : all
""",
)

SET_AMONG_NUMBERS = Code(
    "E221",
    "`{operator}` combines sets of edges, not numbers",
    """
`|` and `&` unite and intersect sets of edges. Among conditions, `or` and `and` are meant.

Wrong:
    model m
    input x[6]
    layer y[6]
    connect x -> y : { i -> j : (i == j) | (i == 0) }

Right:
    model m
    input x[6]
    layer y[6]
    connect x -> y : { i -> j : i == j or i == 0 }
""",
)

IN_WHAT = Code(
    "E222",
    "`in` needs a range `0..3` or a list `[0, 2]` behind it",
    """
Behind `in` stands what an index runs over, or what it is compared with: a range, whose ends both belong to
it, or a list. A single number is no range: from 0 up to 4 is `0..4`. The units of a layer need no `in`, an
index that stands alone runs over them. Names may also be those of an axis, as in `i in AXIS`, or of a file,
as in `i in names("kept.txt")`, where the index runs over an axis with names.

Wrong:
    model m
    input x[6]
    layer y[6]
    connect x -> y : { i -> i + k : k in 2 ; outside = skip }

Right:
    model m
    input x[6]
    layer y[6]
    connect x -> y : { i -> i + k : k in 0..2 ; outside = skip }
""",
)

UNKNOWN_ARGUMENT = Code(
    "E223",
    "`{name}` has no argument `{argument}`",
    """
A rule, an operation, a distribution or a loss is given an argument that it does not have, or whose name is
misspelt.

Wrong:
    model m
    input x[6]
    layer y[6] : leaky_relu(alpha = 0.1)
    connect x -> y : all

Right:
    model m
    input x[6]
    layer y[6] : leaky_relu(slope = 0.1)
    connect x -> y : all
""",
)

SURPLUS_ARGUMENT = Code(
    "E224",
    "`{name}` has no use for this argument",
    """
There is an argument too many, or one that has to be given by its name, or one that does not go with this
kind of file. The numbers of `random` and of the norms go by their names, because nobody remembers which of
them comes first.

Wrong:
    model m
    input x[6]
    layer y[6]
    connect x -> y : random(3)

Right:
    model m
    input x[6]
    layer y[6]
    connect x -> y : random(fan_in = 3)
""",
)

ARGUMENT_TWICE = Code(
    "E225",
    "`{name}` is given twice",
    """
An argument, a policy, an attribute or an output is given a second time. Only one of the two can be meant.

Wrong:
    model m
    input x[6]
    layer y[6]
    connect x -> y : random(fan_in = 3, fan_in = 4)

Right:
    model m
    input x[6]
    layer y[6]
    connect x -> y : random(fan_in = 3)
""",
)

MISSING_ARGUMENT = Code(
    "E226",
    "`{name}` needs `{argument}`",
    """
An argument that has no default is not given.

Wrong:
    model m
    input x[6]
    layer y[6] : tanh, dropout
    connect x -> y : all

Right:
    model m
    input x[6]
    layer y[6] : tanh, dropout(0.2)
    connect x -> y : all
""",
)

UNKNOWN_CHOICE = Code(
    "E227",
    "`{name}` is one of {choices}",
    """
This takes one of a few words, which the message lists.

Wrong:
    model m
    input x[6]
    layer y[6]
    connect x -> y : { i -> i + 1 ; outside = ignore }

Right:
    model m
    input x[6]
    layer y[6]
    connect x -> y : { i -> i + 1 ; outside = skip }
""",
)

NOT_TOGETHER = Code(
    "E228",
    "`{first}` and `{second}` exclude each other",
    """
Each of the two says the same thing in another way, or makes the other one pointless: a connection without
weights has none to be trained, a bias is either shared along dimensions or left out of single units, and
`random` takes one of `fan_in`, `fan_out`, `p` and `edges`.

Wrong:
    model m
    input x[6]
    layer y[6]
    connect x -> y : one_to_one with weight = none, trainable = false

Right:
    model m
    input x[6]
    layer y[6]
    connect x -> y : one_to_one with weight = none
""",
)

NOT_A_STRING = Code(
    "E229",
    "{what} is needed here, in double quotes",
    """
Names of files and of columns are written in double quotes.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load(pairs)

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pairs.csv")
""",
)

NOT_A_NAME = Code(
    "E230",
    "the name of {what} is needed here",
    """
A loss compares a layer with a target, each given by its name; a penalty takes names of layers or
connections. An expression of layers is no layer: what is to be computed from a layer is a layer of its own.

Wrong:
    model m
    input x[3]
    target t[3]
    layer y[3]
    connect x -> y : all
    loss mse(2 * y, t)

Right:
    model m
    input x[3]
    target t[3]
    layer y[3] : scale(2)
    connect x -> y : all
    loss mse(y, t)
""",
)

NAME_COLLISION = Code(
    "E231",
    "the model `{name}` would be the class `{generated}`, which generated code has already",
    """
The PyTorch target makes a class of the model, called after it: `graph_mlp` becomes `GraphMlp`. Some class
names are taken, by what generated code imports (`Tensor`, `Path`) or defines (`EdgeProjection`), or by
Python (`None`).

Wrong:
    model tensor
    input x[3]
    layer y[3]
    connect x -> y : all

Right:
    model tensor_model
    input x[3]
    layer y[3]
    connect x -> y : all
""",
)

LONG_CHAIN = Code(
    "E232",
    "`{name}` depends on others through too many steps",
    """
Params may be computed from others, which are declared anywhere, and sets of edges may be made of others;
but a chain of hundreds, each needing the next one, is more than the compiler follows. Declared the other
way round, each after those that it needs, a chain may be as long as it likes.

Wrong:
    model m
    param size2000 = 3
    for k in 0..1999 {
      param size{k} = size{k+1} + 1
    }
    input x[size0]
    layer y[3]
    connect x -> y : all

Right:
    model m
    param size0 = 3
    for k in 1..2000 {
      param size{k} = size{k-1} + 1
    }
    input x[size2000]
    layer y[3]
    connect x -> y : all
""",
)

SIZE_CYCLE = Code(
    "E241",
    "a size depends on itself: {chain}",
    """
`len(NAME)` is the number of units of an axis, a layer or an input, or of edges in a set. Here it is needed
to find out that very number. The message shows the way round.

Wrong:
    model m
    input x[3]
    layer y[len(y) + 1]
    connect x -> y : all

Right:
    model m
    input x[3]
    layer y[len(x) + 1]
    connect x -> y : all
""",
)

NO_NAMES = Code(
    "E250",
    "{what} has no names",
    """
With `targets`, `sources`, `|`, `&` and `-` a spec makes an axis of units that go by their names, so that a
set of edges still finds them there. So the units that they start from must have names: those of an axis that
is `names(...)`, or made of such axes. An axis that is a size has numbers alone, and a layer of several
dimensions has no single list of names.

Wrong:
    model m
    axis part = 4
    edges above : part -> part = { i -> i // 2 }
    axis upper = targets(above)
    input x[part]
    layer y[upper]
    connect x -> y : all

Right:
    model m
    axis part = names("names_good.txt")
    edges above : part -> part = { i -> i // 2 }
    axis upper = targets(above)
    input x[part]
    layer y[upper]
    connect x -> y : all
""",
)

EMPTY_AXIS = Code(
    "E251",
    "`{axis}` would be an axis without units: {reason}",
    """
An axis has at least one unit. `targets(SET, from = AXIS)` takes the units that edges of the set lead to from
units of the axis, and `sources(SET, to = AXIS)` those that they come from; there has to be such an edge. An
axis for every level of a hierarchy, made in a loop, ends with the deepest level that there is.

Wrong:
    model m
    axis part = names("names_good.txt")
    edges above : part -> part = { "BRCA1" -> "TP53" }
    axis first = targets(above)
    axis second = targets(above, from = first)
    input x[part]
    layer y[second]
    connect x -> y : all

Right:
    model m
    axis part = names("names_good.txt")
    edges above : part -> part = { "BRCA1" -> "TP53" }
    axis first = targets(above)
    input x[part]
    layer y[first]
    connect x -> y : all
""",
)

TEXT_ORDER = Code(
    "E242",
    "texts are compared by `==`, `!=` and `in [...]`, not by `{operator}`",
    """
A string in quotes is compared letter by letter: it is the same as another or it is not. There is no order
of texts. A column whose values are all numbers is read as numbers where it is compared with a number.

Wrong:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[3]
    connect x -> y : { i -> j : cell.type(i) > "a" }

Right:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[3]
    connect x -> y : { i -> j : cell.type(i) in ["on", "off"] }
""",
)

TEXT_AND_NUMBER = Code(
    "E243",
    "this is a number, and it is compared with a text",
    """
A string in quotes can be the same as a value of a column, as a field of an axis, or as the name of the unit
that an index stands for. What is computed is none of these: `7` and `"7"` are never the same.

Wrong:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[3]
    connect x -> y : { i -> j : i + 1 == "c1" }

Right:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[3]
    connect x -> y : { i -> j : i == "c1" or cell.type(i) == "on" }
""",
)

NO_FIELD = Code(
    "E244",
    "`{name}` has no {what} called `{field}`",
    """
The fields of an axis are the other columns of the table that its names come from, and a set of edges has
the ends `source` and `target`. The axis `cell` comes from `cells.csv`, which has the columns `id`, `type`
and `depth`.

Wrong:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[3]
    connect x -> y : { i -> j : cell.kind(i) == "on" }

Right:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[3]
    connect x -> y : { i -> j : cell.type(i) == "on" }
""",
)

INDEX_OUTSIDE = Code(
    "E245",
    "there is no unit or edge of that number",
    """
`AXIS.FIELD(i)` is the field of unit i and `SET.source(e)` the source of edge e, both counted from 0 to one
less than `len(AXIS)` or `len(SET)`. Where another condition rules a number out, it does not matter that the
field has no value there.

Wrong:
    model m
    input x[3]
    layer y[3]
    edges ring : x -> y = one_to_one
    connect x -> y : { ring.source(e) -> ring.target(e) : e in 0..3 }

Right:
    model m
    input x[3]
    layer y[3]
    edges ring : x -> y = one_to_one
    connect x -> y : { ring.source(e) -> ring.target(e) : e in 0..len(ring)-1 }
""",
)

# ------------------------------------------------------------------------ E3xx: shapes, edges and the network

NO_SHAPE = Code(
    "E301",
    "the {what} `{name}` has no shape",
    """
An input, a layer, or a target of numbers has units, and how many stands in brackets: `[784]`, or `[28, 28]`
for a grid. One unit is `[1]`. Only a target of class codes may go without: it is one code.

Wrong:
    model m
    input x
    layer y[3]
    connect x -> y : all

Right:
    model m
    input x[4]
    layer y[3]
    connect x -> y : all
""",
)

TOO_MANY_UNITS = Code(
    "E302",
    "{units} units are more than {limit}",
    """
So many units would not fit the memory even once. A size was multiplied that should have been added, or the
dimensions of something else are meant.

Wrong:
    model m
    input x[100000, 100000, 100000]
    layer y[3]
    connect x -> y : all

Right:
    model m
    input x[100, 100, 100]
    layer y[3]
    connect x -> y : all
""",
)

RANK = Code(
    "E303",
    "an index of `{side}` {shape} has {rank}, not {given}",
    """
The index of a unit has one part for every dimension of its side, and several parts stand in parentheses.
Dimensions are never flattened behind the back.

Wrong:
    model m
    input image[4, 4]
    layer y[4]
    connect image -> y : { i -> i // 4 }

Right:
    model m
    input image[4, 4]
    layer y[4]
    connect image -> y : { (row, column) -> row }
""",
)

SHAPES_DIFFER = Code(
    "E304",
    "`one_to_one` needs equal shapes: `{source}` is {source_shape}, `{target}` is {target_shape}",
    """
`one_to_one` connects units of equal indices, so both sides need the same shape. Between different shapes,
say which unit belongs to which.

Wrong:
    model m
    input x[4, 2]
    layer y[8]
    connect x -> y : one_to_one

Right:
    model m
    input x[4, 2]
    layer y[8]
    connect x -> y : { (a, b) -> 2*a + b }
""",
)

SIDES_DIFFER = Code(
    "E305",
    "the set `{name}` is {shapes}, but {wanted}",
    """
A named set of edges is resolved once, between the sides that its statement gives, and serves only where the
shapes are the same. Orientation counts: a set from `x` to `y` is none from `y` to `x`.

Wrong:
    model m
    input x[3]
    layer y[4]
    edges graph : y -> x = { 0 -> 0, 3 -> 2 }
    connect x -> y : all - graph

Right:
    model m
    input x[3]
    layer y[4]
    edges graph : x -> y = { 0 -> 0, 2 -> 3 }
    connect x -> y : all - graph
""",
)

NAMES_DIFFER = Code(
    "E351",
    "units go by name here, and `{axis}` has {lacking} not on `{own}`: {first}",
    """
Where both the sides of a set and those that it is used between have names, units are found by name. So an
axis of the one is to be a part of the axis of the other, such as `targets(...)` makes it: the set then has
the edges between the units that both have. If each of the two has names that the other one lacks, one is
misspelt or another list. In a membership, `{ i -> j : i -> j in NAME }`, some names in common are enough.

Wrong:
    model m
    axis part = names("names_good.txt")
    axis kind = names("kinds.txt")
    edges above : part -> part = { "BRCA1" -> "TP53" }
    input x[kind]
    layer y[kind]
    connect x -> y : above

Right:
    model m
    axis part = names("names_good.txt")
    axis kind = sources(above) | targets(above)
    edges above : part -> part = { "BRCA1" -> "TP53" }
    input x[kind]
    layer y[kind]
    connect x -> y : above
""",
)

CLOSURE_SIDES = Code(
    "E352",
    "a closure follows paths, and `{name}` leads from `{source}` to `{target}`, where none goes on",
    """
`closure(NAME)` has an edge for every path in a named set: the target of one edge is the source of the next.
So the set must lead from units to units of the same kind: between one axis and itself, or between shapes of
the same sizes.

Wrong:
    model m
    edges step : [3] -> [2] = { 0 -> 1, 1 -> 0 }
    input x[3]
    layer y[2]
    connect x -> y : closure(step)

Right:
    model m
    edges step : [3] -> [3] = { 0 -> 1, 1 -> 2 }
    input x[3]
    layer y[3]
    connect x -> y : closure(step)
""",
)

NOT_A_SET = Code(
    "E306",
    "a set of edges is needed here",
    """
Behind the `:` of a connection stands a set of edges: a rule such as `all`, a file `load("pairs.csv")`,
edges in braces, the name of an `edges` statement, or several of those joined by `|`, `&` and `-`.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : "pairs.csv"

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pairs.csv")
""",
)

UNKNOWN_RULE = Code(
    "E307",
    "no rule or edge set is called `{name}`",
    """
A name among sets of edges is a rule, `all`, `one_to_one`, `random(...)` or `load(...)`, or is declared by
an `edges` statement. This one is neither.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : one_on_one

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : one_to_one
""",
)

SET_CYCLE = Code(
    "E308",
    "the edge set `{name}` depends on itself",
    """
To know the edges of the set, they are needed already. A set may be made of others, but not in a circle.

Wrong:
    model m
    input x[3]
    layer y[3]
    edges near : x -> y = all - far
    edges far : x -> y = all - near
    connect x -> y : near

Right:
    model m
    input x[3]
    layer y[3]
    edges near : x -> y = { i -> j : abs(i - j) <= 1 }
    edges far : x -> y = all - near
    connect x -> y : near
    connect x -> y as long_range : far
""",
)

INDEX_IS_DECLARED = Code(
    "E309",
    "`{name}` is the name of {kind} and cannot be that of an index",
    """
A name that stands alone in an index position is an index, which runs over all units. A param or a layer
there is almost surely meant as something else, so the index needs a name of its own. Where the number of a
param is meant, an expression says so: `{ width + 0 -> 0 }`.

Wrong:
    model m
    param last = 2
    input x[3]
    layer y[3]
    connect x -> y : { last -> j }

Right:
    model m
    param last = 2
    input x[3]
    layer y[3]
    connect x -> y : { i -> j : i == last }
    connect x -> y as others : { i -> j : i != last }
""",
)

INDEX_NOT_INTEGER = Code(
    "E310",
    "an index must be an integer, not {value}",
    """
An index of a unit is a whole number. `/` gives decimal numbers; `//` divides and rounds down. Where only
whole results are meant to make an edge, a condition says so.

Wrong:
    model m
    input x[6]
    layer y[3]
    connect x -> y : { i -> i / 2 }

Right:
    model m
    input x[6]
    layer y[3]
    connect x -> y : { i -> i // 2 }
""",
)

DUPLICATE_EDGE = Code(
    "E311",
    "the edge {source} -> {target} is made twice{more}",
    """
A set holds an edge once, and here one is made a second time. In a list of edges that is a slip; in a rule
it means that several values of an index lead to the same two units, or that an index was forgotten. If it
is meant, `duplicate = merge` takes such edges once.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : { 0 -> 1, 1 -> 2, 2 -> 0, 0 -> 1 }

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : { 0 -> 1, 1 -> 2, 2 -> 0, 0 -> 1 ; duplicate = merge }
""",
)

UNKNOWN_POLICY = Code(
    "E312",
    "no policy is called `{name}`",
    """
Behind the `;` of a set stands what happens to edges that lead outside (`outside = error`, `skip` or `wrap`)
and to those that are made twice (`duplicate = error` or `merge`).

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : { i -> i + 1 ; border = wrap }

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : { i -> i + 1 ; outside = wrap }
""",
)

CANNOT_WRAP = Code(
    "E350",
    "nothing goes around here: every index is a name of the units that are there",
    """
`outside = wrap` takes an index modulo the size of its side, so it acts where an index is computed and may lie
outside: `i + 1` at the last unit is the first one. Where both sides are bare names, as in `{ i -> j : ... }`,
every unit is there, and a condition such as `abs(i - j) == 1` does not go around: the set would be an open
chain. Write one side as a function of the other.

Wrong:
    model m
    input x[8]
    layer y[8]
    connect x -> y : { i -> j : abs(i - j) == 1 ; outside = wrap }

Right:
    model m
    input x[8]
    layer y[8]
    connect x -> y : { i -> i + d : d in [-1, 1] ; outside = wrap }
""",
)

TOO_MANY_CANDIDATES = Code(
    "E313",
    "these clauses leave more than {limit} pairs to look at",
    """
The conditions of a set narrow down what has to be looked at, where they compare sums and multiples of the
indices. These do not narrow it enough: pair after pair would have to be tried, which would take minutes or
days. Write one side as a function of the other, or add a condition that bounds the distance.

Wrong:
    model m
    input x[100000]
    layer y[100000]
    connect x -> y : { i -> j : (i * j) % 100000 == 1 }

Right:
    model m
    input x[100000]
    layer y[100000]
    connect x -> y : { i -> j : abs(i - j) <= 3, (i + j) % 2 == 0 }
""",
)

TOO_MANY_EDGES = Code(
    "E314",
    "{count} edges are more than can be written out",
    """
Rules such as `all`, bands, windows and blocks are never written out, whatever their size. Any other set is a
list of edges, and so many do not fit the memory of the machine that compiles. If nearly everything is
connected, connect all of it.

Wrong:
    model m
    input x[100000]
    layer y[100000]
    connect x -> y : all - random(fan_in = 3)

Right:
    model m
    input x[100000]
    layer y[100000]
    connect x -> y : all
""",
)

TOO_FEW_CANDIDATES = Code(
    "E315",
    "{count} distinct {what} cannot be drawn {where}",
    """
`random` draws distinct sources for every target, or distinct targets for every source, and there are fewer to
draw from than it is asked for. With `among = set`, the candidates of a unit are its edges in that set.

Wrong:
    model m
    input x[3]
    layer y[10]
    connect x -> y : random(fan_in = 4)

Right:
    model m
    input x[3]
    layer y[10]
    connect x -> y : random(fan_in = 3)
""",
)

CYCLE = Code(
    "E316",
    "connections form a cycle: {chain}",
    """
Each layer is computed once, after all that feeds it, so connections cannot lead back to where they come
from. The message names the layers on the way round. A network that runs for several steps is written step
by step, a layer for each; the connections between them then have weights of their own. Weights that several
steps share, as those of a recurrent network, cannot be written yet.

Wrong:
    model m
    input x[3]
    layer state[3] : tanh
    layer y[3]
    connect x -> state : all
    connect state -> y : all
    connect y -> state : all

Right:
    model m
    input x[3]
    layer state0[3] : tanh
    connect x -> state0 : all
    for step in 1..3 {
      layer state{step}[3] : tanh
      connect state{step-1} -> state{step} : all
    }
""",
)

NOTHING_ENTERS = Code(
    "E317",
    "nothing is connected to the layer `{name}`",
    """
The value of a layer is made of what its connections bring. Without any it would have none. A connection is
missing, or the layer is meant to be an input.

Wrong:
    model m
    input x[3]
    layer clock[1]
    layer y[3]
    connect x -> y : all
    connect clock -> y : all

Right:
    model m
    input x[3]
    input clock[1]
    layer y[3]
    connect x -> y : all
    connect clock -> y : all
""",
)

REACHES_NOTHING = Code(
    "E318",
    "the layer `{name}` reaches no output and no loss",
    """
The layer would be computed for nothing: no way leads from it to an output or a loss. Often a connection is
missing, or the layer is left out of `output`. Without an `output` statement, all layers that no connection
reads are outputs.

Wrong:
    model m
    input x[3]
    layer y[3]
    layer attention[3]
    connect x -> y : all
    connect x -> attention : all
    output y

Right:
    model m
    input x[3]
    layer y[3]
    layer attention[3]
    connect x -> y : all
    connect x -> attention : all
    output y, attention
""",
)

NO_LAYERS = Code(
    "E319",
    "the model has no layer",
    """
There is nothing to compute. A model has at least one layer, into which an input is connected.

Wrong:
    model m
    input x[3]

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
""",
)

RANGE_CYCLE = Code(
    "E320",
    "the range of the index `{name}` depends on `{name}` itself",
    """
The range of an index may depend on other indices, as in `j in 0..i`. Here following those dependences leads
back to the index itself.

Wrong:
    model m
    input x[6]
    layer y[6]
    connect x -> y : { i -> j : i in 0..j, j in i..5 }

Right:
    model m
    input x[6]
    layer y[6]
    connect x -> y : { i -> j : i in 0..j }
""",
)

NOT_A_NAMED_SET = Code(
    "E340",
    "the name of an `edges` statement is needed here",
    """
`u -> v in NAME` in a builder holds for the edges of a set that an `edges` statement names. The set is
declared by itself, so that several connections can use the same graph, each with channels of its own.

Wrong:
    model m
    input x[4, 2]
    layer y[4, 3]
    connect x -> y : { (u, f) -> (v, k) : u -> v in graf }

Right:
    model m
    input x[4, 2]
    layer y[4, 3]
    edges graf : [4] -> [4] = { i -> i + 1 ; outside = wrap }
    connect x -> y : { (u, f) -> (v, k) : u -> v in graf }
""",
)

NOT_A_PROBABILITY = Code(
    "E341",
    "{value} is no probability",
    """
`chance(p)` keeps each pair with the probability p, which lies between 0 and 1 for every pair that the other
conditions allow. `min(p, 1)` bounds a formula that grows beyond it.

Wrong:
    model m
    input x[50]
    layer y[50]
    connect x -> y : { i -> j : chance(2 * exp(-abs(i - j) / 5)) }

Right:
    model m
    input x[50]
    layer y[50]
    connect x -> y : { i -> j : chance(min(1, 2 * exp(-abs(i - j) / 5))) }
""",
)

WINDOW_SHAPES = Code(
    "E343",
    "a window over {rank} does not lead from `{source}` {source_shape} to `{target}` {target_shape}",
    """
A window slides over the last dimensions, as many as it has extents, and keeps the ones before them: both
sides have equally many dimensions, and the leading ones are the same. For channels that mix, a builder says
which feed which.

Wrong:
    model m
    input x[3, 28, 28]
    layer y[8, 26, 26]
    connect x -> y : window(3, 3)

Right:
    model m
    input x[3, 28, 28]
    layer y[8, 26, 26]
    connect x -> y : { (m, r+a, c+b) -> (k, r, c) : a in 0..2, b in 0..2 }
""",
)

WINDOW_PLACES = Code(
    "E342",
    "this window over `{source}` has the places {places}, but `{target}` is {shape}",
    """
A window of extent k that moves by `stride` over n units has (n - k) // stride + 1 places with `pad = valid`,
the default, and n / stride, rounded up, with `pad = same`; `pad = p` adds p units before and after. The layer
is declared with its size, so that the spec shows it; the two have to agree.

Wrong:
    model m
    input x[28, 28]
    layer y[28, 28]
    connect x -> y : window(3, 3)

Right:
    model m
    input x[28, 28]
    layer y[26, 26]
    connect x -> y : window(3, 3)
""",
)

UNITS_WITHOUT_INPUT = Code(
    "W301",
    "units of `{side}` without input: {first} ({count:,} of {of:,})",
    """
No connection leads to some units of a layer, which then have the same value for every sample: their bias,
or zero. That may be meant, in a network that follows given data; it is also what a rule with an index that
is off by one looks like.

Wrong:
    model m
    input x[3]
    layer y[4]
    connect x -> y : { i -> i }

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : { i -> i }
""",
)

UNITS_UNREAD = Code(
    "W302",
    "units of `{side}` that no connection reads: {first} ({count:,} of {of:,})",
    """
Some units of an input or of a layer are read by no connection, so what they hold does not matter. That may
be meant; it is also what a rule that ends too early looks like. Layers that are outputs are read by whoever
runs the model.

Wrong:
    model m
    input x[4]
    layer y[3]
    connect x -> y : { i -> i : i < 3 }

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : { i -> i }
""",
)

SAME_SEED = Code(
    "W303",
    "a literal seed inside `for` draws the same edges each time",
    """
Every turn of the loop draws from the same seed, and so draws the same edges. Without `seed`, each
connection has one of its own, which depends on its name and stays the same from one compilation to the
next.

Wrong:
    model m
    input x[6]
    layer h0[6]
    connect x -> h0 : all
    for k in 1..3 {
      layer h{k}[6]
      connect h{k-1} -> h{k} : random(fan_in = 5, seed = 7)
    }

Right:
    model m
    input x[6]
    layer h0[6]
    connect x -> h0 : all
    for k in 1..3 {
      layer h{k}[6]
      connect h{k-1} -> h{k} : random(fan_in = 5, seed = 7 + k)
    }
""",
)

IDLE_POLICY = Code(
    "W340",
    "`{policy}` has no effect here: {why}",
    """
A policy says what happens to an edge outside its side, to one that is made twice, or to a name that is not on
an axis. Here none of that can happen, whatever the sizes and params are, so the policy says something that
does not hold: it was meant for another form of the set, or can be left out.

Wrong:
    model m
    input x[8]
    layer y[8]
    connect x -> y : { i -> j : abs(i - j) <= 1 ; outside = skip }

Right:
    model m
    input x[8]
    layer y[8]
    connect x -> y : { i -> j : abs(i - j) <= 1 }
""",
)

UNUSED = Code(
    "W304",
    "the {what} `{name}` is never used",
    """
Whoever trains the model has to pass all inputs, and its tests draw all targets, but nothing in the network
uses this one.

Wrong:
    model m
    input x[3]
    target t[3]
    layer y[3]
    connect x -> y : all

Right:
    model m
    input x[3]
    target t[3]
    layer y[3]
    connect x -> y : all
    loss mse(y, t)
""",
)

UNKNOWN_UNIT = Code(
    "E331",
    'no unit of `{axis}` is called "{name}"',
    """
A file or a pair in braces names a unit that the axis does not have. Names are compared letter by letter,
blanks and capitals included. Where a table is about more units than the network has, `unknown = skip` as an
argument of `load` drops their edges, and says which (W330). `links.csv` leads from `c4`, which is not among
the cells of `cells.csv`.

Wrong:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[cell]
    connect x -> y : load("links.csv")

Right:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[cell]
    connect x -> y : load("links.csv", unknown = skip)
""",
)

ALL_SKIPPED = Code(
    "E632",
    "`unknown = skip` skips all {rows} of {file}",
    """
`unknown = skip` is for a table that speaks of more units than the network has. Where no row is left, it is
more likely the wrong file or the wrong column, or the names are written in another way, with blanks around
them say. `links.csv` speaks of cells, and not of their types.

Wrong:
    model m
    axis kind = names("kinds.txt")
    input x[kind]
    layer y[kind]
    connect x -> y : load("links.csv", unknown = skip)

Right:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[cell]
    connect x -> y : load("links.csv", unknown = skip)
""",
)

SKIPPED = Code(
    "W330",
    "`unknown = skip` skips {count:,} of {rows} of {file}, for names that are not on `{axis}`",
    """
`unknown = skip` drops the rows whose names are not on the axis. The names are said, so that one that is
misspelt does not go unnoticed. A `where` that chooses the rows leaves nothing to skip. `links.csv` leads from
`c4`, which is not among the cells of `cells.csv`.

Wrong:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[cell]
    connect x -> y : load("links.csv", unknown = skip) | one_to_one

Right:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[cell]
    connect x -> y : load("links.csv", where = column("source") != "c4") | one_to_one
""",
)

NO_EDGES = Code(
    "W331",
    "the connection `{name}` has no edges",
    """
A rule whose conditions nothing meets, a table of which all rows are dropped, and a matrix of zeros give a
connection without edges, which does nothing: its target gets no input from it. `i` and `j` are below 3 here,
so that their sum is never above 4.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
    connect x -> y as far : { i -> j : i + j > 4 }

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
    connect x -> y as far : { i -> j : i + j > 3 }
""",
)

NO_NAMES_HERE = Code(
    "E332",
    '"{name}" is no unit: {what} has no names',
    """
A unit can be called by its name where the dimension is an axis with names. Any other dimension has numbers.

Wrong:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[3]
    connect x -> y : { "c1" -> "a" }

Right:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[3]
    connect x -> y : { "c1" -> 0 }
""",
)

# -------------------------------------------------------------------------- E4xx: operations, weights, losses

UNKNOWN_OPERATION = Code(
    "E401",
    "no operation is called `{name}`",
    """
Behind the `:` of a layer stands what happens to the sum of its inputs, in this order: `bias`, the norms
`batch_norm` and `layer_norm`, activations such as `tanh`, `dropout(p)` and `scale(factor)`. This is none of
them.

Wrong:
    model m
    input x[3]
    layer y[3] : tahn
    connect x -> y : all

Right:
    model m
    input x[3]
    layer y[3] : tanh
    connect x -> y : all
""",
)

OUT_OF_RANGE = Code(
    "E402",
    "{what} must be {wanted}, not {value:g}",
    """
The number of an operation or rule is outside the range in which it means something: `dropout(1)` would drop
everything and scale the rest by infinity, a norm adds its `eps` to a variance so that it never divides by
zero, its `momentum` is the share of the new batch in the running statistics, and the `p` of `random` is a
probability.

Wrong:
    model m
    input x[3]
    layer y[3] : tanh, dropout(20)
    connect x -> y : all

Right:
    model m
    input x[3]
    layer y[3] : tanh, dropout(0.2)
    connect x -> y : all
""",
)

OPERATION_TWICE = Code(
    "E403",
    "a layer can have `{name}` only once",
    """
What an operation holds is named after the layer and the operation: `y.bias`, `y.batch_norm.weight`. A
second one of its kind would have the same name. Two layers, one feeding the other, can have one each.

Wrong:
    model m
    input x[3]
    layer y[3] : batch_norm, tanh, batch_norm
    connect x -> y : all

Right:
    model m
    input x[3]
    layer h[3] : batch_norm, tanh
    layer y[3] : bias(off), batch_norm
    connect x -> h : all
    connect h -> y : one_to_one with weight = none
""",
)

NO_DIMENSION = Code(
    "E404",
    "the layer has no dimension {dimension}, only {dimensions}",
    """
Dimensions are counted from 0: a layer `[channel, row, column]` has the dimensions 0, 1 and 2. `per` lists
those along which values stay apart; along the others they are shared.

Wrong:
    model m
    input x[3]
    layer y[2, 5, 5] : bias(per = 3)
    connect x -> y : all

Right:
    model m
    input x[3]
    layer y[2, 5, 5] : bias(per = 0)
    connect x -> y : all
""",
)

NOT_A_VECTOR = Code(
    "E405",
    "a 0/1 vector from a file is needed here",
    """
Which units have a bias is said by a file that holds a 0 or a 1 for each of them.

Wrong:
    model m
    input x[3]
    layer y[3] : bias(only = [1, 0, 1])
    connect x -> y : all

Right:
    model m
    input x[3]
    layer y[3] : bias(only = load("has_bias.npy"))
    connect x -> y : all
""",
)

VECTOR_LENGTH = Code(
    "E406",
    "{name} is a vector of {length}, but the layer has {units}",
    """
The file that says which units have a bias has one entry for every unit of the layer. `has_bias.npy` has 3.

Wrong:
    model m
    input x[3]
    layer y[5] : bias(only = load("has_bias.npy"))
    connect x -> y : all

Right:
    model m
    input x[3]
    layer y[3] : bias(only = load("has_bias.npy"))
    connect x -> y : all
""",
)

UNKNOWN_ATTRIBUTE = Code(
    "E407",
    "a connection has no attribute `{name}`",
    """
Behind `with` stands what the weights of a connection are: `weight`, how they start, and `trainable`,
whether training changes them.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all with frozen = true

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all with trainable = false
""",
)

UNKNOWN_DISTRIBUTION = Code(
    "E408",
    "no distribution is called `{name}`",
    """
Behind `weight ~` stands the distribution that start values are drawn from: `uniform(low, high)` or
`normal(mean, std)`. Values that are given rather than drawn are written with `=`.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all with weight ~ gaussian(0, 0.1)

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all with weight ~ normal(0, 0.1)
""",
)

WEIGHT_SHAPE = Code(
    "E409",
    "{name} has the shape {shape}, but the connection has {edges}",
    """
A file of weights holds one number for every edge, in the order of the edges by target, then by source;
`spec-compile edges` prints them in that order. For `all` it may also be a matrix with a row for every
target. `weights.npy` holds 3 numbers.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all with weight = load("weights.npy")

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : one_to_one with weight = load("weights.npy")
""",
)

COLUMN_WITHOUT_TABLE = Code(
    "E410",
    "`column` needs a set that is exactly one `load` of a table",
    """
`column` takes the weights from the table that the edges come from, row by row. So the set has to be one
`load` of a table, or the name of an `edges` statement that is one: in a union or a difference it would not be
clear which row an edge belongs to. A matrix of zeros and ones has no values; what a `.mtx` or sparse `.npz`
matrix holds is `column("value")`.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("weighted.csv") | one_to_one with weight = column("w")

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("weighted.csv") with weight = column("w")
""",
)

UNKNOWN_LOSS = Code(
    "E411",
    "no loss is called `{name}`",
    """
A loss compares a layer with a target: `cross_entropy`, `binary_cross_entropy`, `mse`, `squared_error` or
`mae`. A penalty is of weights: `l1` or `l2`. This is none of them.

Wrong:
    model m
    input x[3]
    target t[3]
    layer y[3]
    connect x -> y : all
    loss rmse(y, t)

Right:
    model m
    input x[3]
    target t[3]
    layer y[3]
    connect x -> y : all
    loss mse(y, t)
""",
)

CODES_WANTED = Code(
    "E412",
    "`{loss}` needs a target of class codes; `{target}` holds numbers",
    """
`cross_entropy` asks which class is the right one, so its target holds class codes, integers from 0, and is
declared with `class[n]`. Targets of numbers between 0 and 1 go with `binary_cross_entropy`.

Wrong:
    model m
    input x[3]
    target digit[10]
    layer score[10]
    connect x -> score : all
    loss cross_entropy(score, digit)

Right:
    model m
    input x[3]
    target digit: class[10]
    layer score[10]
    connect x -> score : all
    loss cross_entropy(score, digit)
""",
)

CODES_NOT_WANTED = Code(
    "E413",
    "`{loss}` needs a target of numbers; `{target}` holds class codes",
    """
This loss computes with the numbers of the target. Class codes are no amounts: class 2 is not twice class 1.
Use `cross_entropy`, or declare the target with a shape.

Wrong:
    model m
    input x[3]
    target digit: class[10]
    layer score[10]
    connect x -> score : all
    loss mse(score, digit)

Right:
    model m
    input x[3]
    target digit: class[10]
    layer score[10]
    connect x -> score : all
    loss cross_entropy(score, digit)
""",
)

LOSS_SHAPES = Code(
    "E414",
    "`{prediction}` is {shape}, but compared with `{target}` it must be {wanted}",
    """
The two have to fit unit by unit; nothing is stretched or cut to fit. For `cross_entropy` the layer has the
shape of the target and a last dimension more, one unit for every class.

Wrong:
    model m
    input x[3]
    target digit: class[10]
    layer score[9]
    connect x -> score : all
    loss cross_entropy(score, digit)

Right:
    model m
    input x[3]
    target digit: class[10]
    layer score[10]
    connect x -> score : all
    loss cross_entropy(score, digit)
""",
)

SQUASHED_TWICE = Code(
    "E415",
    "`{loss}` applies the {activation} itself, so `{layer}` must not: it would be applied twice",
    """
`cross_entropy` takes logits and applies the softmax itself, which is more exact than taking the logarithm
of a softmax; so does `binary_cross_entropy` with the sigmoid. A layer that has applied it already would
still train, but badly. Leave the activation out; probabilities are then the softmax of what the model
returns.

Wrong:
    model m
    input x[3]
    target digit: class[10]
    layer score[10] : softmax
    connect x -> score : all
    loss cross_entropy(score, digit)

Right:
    model m
    input x[3]
    target digit: class[10]
    layer score[10]
    connect x -> score : all
    loss cross_entropy(score, digit)
""",
)

LOSS_PRODUCT = Code(
    "E416",
    "loss terms can only be added, and multiplied by or divided by numbers",
    """
A loss is a sum of terms, each multiplied by or divided by a number. Products, powers and functions of terms
are left out, so that every target can weigh and report the terms apart.

Wrong:
    model m
    input x[3]
    target t[3]
    layer y[3]
    connect x -> y : all
    loss sqrt(mse(y, t))

Right:
    model m
    input x[3]
    target t[3]
    layer y[3]
    connect x -> y : all
    loss 0.5 * mse(y, t)
""",
)

LOSS_CONSTANT = Code(
    "E417",
    "a loss is made of terms such as `0.5 * mse(y, t)`, and this is none",
    """
A loss is a sum of terms such as `mse(y, t)` or `1e-4 * l2(y)`. This term is a number or a name: it has no
gradient, or it does not say what is compared.

Wrong:
    model m
    input x[3]
    target t[3]
    layer y[3]
    connect x -> y : all
    loss mse(y, t) + 0.1

Right:
    model m
    input x[3]
    target t[3]
    layer y[3]
    connect x -> y : all
    loss mse(y, t)
""",
)

NO_WEIGHTS = Code(
    "E418",
    "`{name}` has no weights that are trained",
    """
A penalty pulls trained weights towards zero, and there are none: the connections that enter the layer are
plain sums (`weight = none`) or frozen (`trainable = false`). Biases are never penalised.

Wrong:
    model m
    input x[3]
    target t[3]
    layer y[3]
    connect x -> y : all with trainable = false
    loss mse(y, t) + 1e-4 * l2(y)

Right:
    model m
    input x[3]
    target t[3]
    layer y[3]
    connect x -> y : all
    loss mse(y, t) + 1e-4 * l2(y)
""",
)

BEYOND_FLOAT32 = Code(
    "E419",
    "{what} does not fit a 32-bit float",
    """
Weights start as 32-bit floats on every target and in every precision, so that one seed gives the same
weights everywhere. Those end at about 3.4e38; beyond it there is only infinity.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all with weight = 1e300

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all with weight = 0.1
""",
)

UNIT_VALUES = Code(
    "E431",
    "{name} has the shape {shape}, but the units of `{side}` have {wanted}",
    """
A file of start values for a bias holds a number for every unit, in the shape of the layer or as a vector.
With `per` it holds one for every index of these dimensions. `weights.npy` holds 3 numbers.

Wrong:
    model m
    input x[3]
    layer y[5] : bias(start = load("weights.npy"))
    connect x -> y : all

Right:
    model m
    input x[3]
    layer y[3] : bias(start = load("weights.npy"))
    connect x -> y : all
""",
)

UNIT_ROWS = Code(
    "E432",
    "{name} does not have one value for every unit of `{side}`: {reason}",
    """
A table of start values for a bias has a row for every unit: its number, or its name where the layer has an
axis with names, in the column `unit`, and the value in the column `value`, unless arguments of those names
say other columns. `unknown = skip` leaves out rows of other units. `cells.csv` has three cells, and the layer
a fourth unit.

Wrong:
    model m
    input x[3]
    layer y[4] : bias(start = load("cells.csv", unit = "depth", value = "depth"))
    connect x -> y : all

Right:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[3]
    layer y[cell] : bias(start = load("cells.csv", unit = "id", value = "depth"))
    connect x -> y : all
""",
)

MERGED_VALUES = Code(
    "E430",
    "the edge {source} -> {target} has two values in `{column}`: {first}, {second}",
    """
With `duplicate = merge` an edge that stands several times in a file is taken once. Then it has one weight,
and which of its different values that should be is not for the compiler to choose. In `twice_valued.csv` the
edge 0 -> 1 has the values 0.5 and 2.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("twice_valued.csv", duplicate = merge) with weight = column("w")

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("twice_valued.csv", duplicate = merge, where = column("w") < 1)
      with weight = column("w")
""",
)

# ---------------------------------------------------------------------------------------------- E5xx: targets

UNSUPPORTED = Code(
    "E501",
    "the target {target} cannot do this: {why}",
    """
The spec is right, but the target has no way to do what it asks for. What a target cannot do is an error
rather than something near to it. Leave the target out (`-t torch -t numpy`), or change the spec as the
message says. Keras, for one, gives a loss only what the model returns.

Wrong:
    model m
    input x[3]
    target t[3]
    layer h[3]
    layer y[3]
    connect x -> h : all
    connect h -> y : all
    loss mse(y, t) + 0.1 * mse(h, t)

Right:
    model m
    input x[3]
    target t[3]
    layer h[3]
    layer y[3]
    connect x -> h : all
    connect h -> y : all
    output y, h
    loss mse(y, t) + 0.1 * mse(h, t)
""",
)

# ------------------------------------------------------------------------------------------------ E6xx: files

NO_FILE = Code(
    "E601",
    "there is no file {name}",
    """
Files are looked for in the folder of the spec, wherever the compiler is called from. A path to another
folder is written with `/` on every system.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pears.csv")

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pairs.csv")
""",
)

NOT_A_FILE = Code(
    "E602",
    "{name} is not a regular file",
    """
What has that name is a folder, a pipe or a device. Only regular files are read, because only they have an
end and a content that stays.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("folder.csv")

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pairs.csv")
""",
)

FILE_TOO_LARGE = Code(
    "E603",
    "{name} has {size} bytes, and {limit} are the most",
    """
A spec may come from a stranger, and one file of it may not fill the memory. A file has at most 4 GiB, one
that is text 3 GiB, and one that is read line by line (`.txt`, `.gmt`) 256 MiB. Edges of such a number are
better given by a rule, or split over several connections.

Wrong:
    model m
    input x[3]
    layer y[4]
    connect x -> y : load("mask.npy", rows = target)

Right:
    model m
    input x[3]
    layer y[4]
    connect x -> y : { i -> j : i <= j }
""",
)

NAME_TOO_LONG = Code(
    "E633",
    "the name `{name}` has {count} characters, and {limit} are the most",
    """
Names become those of files, of arrays in them and of functions, none of which may be of any length. A
connection without a name of its own is called after its two ends, and `as` gives it one. Here the name of the
layer has eleven holes, and a number of 19 digits in each.

Wrong:
    model m
    input x[3]
    for k in 10**18..10**18 {
      layer y{k}{k}{k}{k}{k}{k}{k}{k}{k}{k}{k}[3]
      connect x -> y{k}{k}{k}{k}{k}{k}{k}{k}{k}{k}{k} : all
    }

Right:
    model m
    input x[3]
    for k in 10**18..10**18 {
      layer y{k}[3]
      connect x -> y{k} : all
    }
""",
)

UNPACKS_TO_TOO_MUCH = Code(
    "E630",
    "{name} unpacks to {size} bytes, and {limit} are the most",
    """
A `.npz` or `.parquet` file of a few megabytes can unpack to thousands of times as much. Such a file may
unpack to 1 GiB, and one above 10 MiB to a hundred times its size, up to 4 GiB. What a file says of its own
size is looked at before anything is unpacked.

Wrong:
    model m
    input x[3]
    layer y[4]
    connect x -> y : load("two.npz", rows = target)

Right:
    model m
    input x[3]
    layer y[4]
    connect x -> y : load("mask.npy", rows = target)
""",
)

TABLE_TOO_LARGE = Code(
    "E631",
    "{name} has {count} {what}, and {limit} are the most",
    """
A table has at most 200 million rows, 100,000 columns, and 400 million values in all of its columns together.
A text with line ends of its own kind, or with quotes within values that are not quoted, is read line by line
and may have 256 MiB. A `.csv` file of edges needs the columns of its two ends and those that the spec speaks
of; the others can be left out.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pairs.csv")

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : one_to_one
""",
)

UNREADABLE = Code(
    "E604",
    "{name} cannot be read: {reason}",
    """
The file is there, but the system does not let the compiler read it; the reason is the system's own. Often
the permission is missing.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pairs.csv")

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : one_to_one
""",
)

FILE_KIND = Code(
    "E605",
    "{name} ends in none of {kinds}",
    """
The ending of a file's name says how it is read: `.csv`, `.tsv` and `.parquet` hold tables of pairs, `.gmt`
sets of genes, `.npy` and `.mtx` a matrix, `.npz` pairs or a matrix. The names of an axis stand in a `.txt`
file, one a line, or in a table.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pairs.txt")

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pairs.csv")
""",
)

BAD_ARRAY = Code(
    "E606",
    "{name} is no usable array: {reason}",
    """
A `.npy` file holds one array of numbers, as `numpy.save` writes it; a `.npz` file that stands for one array
has to hold exactly one, or a sparse matrix as scipy writes it, and a `.mtx` file a Matrix Market matrix.
Arrays of Python objects are not read, because that could run code.

Wrong:
    model m
    input x[3]
    layer y[4]
    connect x -> y : load("two.npz", rows = target)

Right:
    model m
    input x[3]
    layer y[4]
    connect x -> y : load("mask.npy", rows = target)
""",
)

NOT_ZERO_ONE = Code(
    "E607",
    "{name} must hold only 0 and 1; it holds {value}",
    """
A mask says for every pair whether there is an edge: 1 or 0, nothing between. How strong an edge is, is its
weight, which `with weight = load(...)` gives.

Wrong:
    model m
    input x[3]
    layer y[4]
    connect x -> y : load("grey.npy", rows = target)

Right:
    model m
    input x[3]
    layer y[4]
    connect x -> y : load("mask.npy", rows = target)
""",
)

BAD_TABLE = Code(
    "E608",
    "{name} is no usable table: {reason}",
    """
A table is UTF-8 text with a header line that names the columns, and every line has a value for each of
them: separated by commas in a `.csv` file, by tabs in a `.tsv` file. A `.gmt` file has a set a line: its
name, a description and its members, separated by tabs. The vectors in a `.npz` file are of one length. A
`.parquet` file is read by polars, which `pip install 'nnspec[tables]'` installs. In `ragged.csv` a line is
too short.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("ragged.csv")

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pairs.csv")
""",
)

NO_COLUMN = Code(
    "E609",
    "{name} has {number} called `{column}`",
    """
The table has no column of that name, or two of them. By default the columns of pairs are called `source`
and `target`, with `_0`, `_1` and so on behind it where a side has several dimensions, and those of a `.gmt`
file `member` and `set`; other names are arguments of `load`.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pairs.csv", source = "from", target = "to")

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pairs.csv", source = "source", target = "target")
""",
)

BAD_VALUE = Code(
    "E610",
    "{name}, {place}, column `{column}`: `{value}` is not {what}",
    """
A column that holds the numbers of units has a whole number in every line, and a column of weights a finite
number. `words.csv` has a name where a number should be.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("words.csv")

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pairs.csv")
""",
)

ORIENTATION = Code(
    "E611",
    "it is not said whether the rows of {name} are sources or targets",
    """
A matrix does not say whether its rows are the sources or the targets, and between layers of one size the
wrong guess would go unnoticed. So it has to be written: `rows = source` for an (in, out) matrix, `rows =
target` for an (out, in) matrix, which is what PyTorch calls a weight. `mask.npy` has 4 rows and 3 columns.

Wrong:
    model m
    input x[3]
    layer y[4]
    connect x -> y : load("mask.npy")

Right:
    model m
    input x[3]
    layer y[4]
    connect x -> y : load("mask.npy", rows = target)
""",
)

MATRIX_SHAPE = Code(
    "E612",
    "{name} has the shape {shape}, but `{source}` -> `{target}` needs {wanted}",
    """
The matrix has another number of rows or columns than the two sides have units. If its transpose would fit,
the rows are those of the other side. `mask.npy` has 4 rows and 3 columns.

Wrong:
    model m
    input x[3]
    layer y[4]
    connect x -> y : load("mask.npy", rows = source)

Right:
    model m
    input x[3]
    layer y[4]
    connect x -> y : load("mask.npy", rows = target)
""",
)

NOT_TEXT = Code(
    "E613",
    "{name} is not UTF-8 text: {reason}",
    """
A spec is text in UTF-8, of which ASCII is a part. Another encoding, as older editors write it, shows only
where a letter beyond ASCII stands, in a comment or in the name of a file. Save the file as UTF-8.

Wrong:
    model m  # Größe, saved as Latin-1
    input x[3]
    layer y[3]
    connect x -> y : all

Right:
    model m  # Größe
    input x[3]
    layer y[3]
    connect x -> y : all
""",
)

SPEC_TOO_LARGE = Code(
    "E614",
    "the spec is larger than {limit} bytes",
    """
A spec is written by people, or by a short program. What is this large is data: put the edges into a file
and `load` it.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : { 0 -> 0, 1 -> 2, 2 -> 1 }

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : load("pairs.csv")
""",
)

BAD_NAMES = Code(
    "E615",
    "{name} cannot name the units of `{axis}`: {reason}",
    """
The names of an axis stand in a text file, one a line, or in a column of a table. Each has at least one
letter and stands there once, because edges are looked up by them. Here two rows of the table have the same
type. Where a column repeats its names, as that of a table of edges does, `duplicate = merge` takes each of
them once, in the order in which they first appear.

Wrong:
    model m
    axis cell = names("cells.csv", column = "type")
    input x[cell]
    layer y[3]
    connect x -> y : all

Right:
    model m
    axis cell = names("cells.csv", column = "id")
    input x[cell]
    layer y[3]
    connect x -> y : all
""",
)

# ------------------------------------------------------------- E9xx: in the language, but not in this version

NOT_YET = Code(
    "E901",
    "{what} is not supported by this version",
    """
The language has this, but this version of the compiler does not. Nothing is left out silently: what cannot
be done is an error. Where the same can be said in another way, as here, that works today.

Wrong:
    model m
    input x[6]
    layer y[6]
    layer z[6]
    connect x -> y : all
    connect y -> z : all with reduce = mean

Right:
    model m
    input x[6]
    layer y[6]
    layer z[6]
    connect x -> y : all
    connect y -> z : all with weight = 1 / fan_in, trainable = false
""",
)


def by_code() -> dict[str, Code]:
    """All diagnostics, those of the syntax too, by their codes."""
    declared = (*vars(syntax).values(), *globals().values())
    return {value.code: value for value in declared if isinstance(value, Code)}
