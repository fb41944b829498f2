"""Every semantic diagnostic: code and message. Those of the syntax are in `dsl/codes.py`.

Each has an explanation, `explanations/E204.md` say, which `spec-compile --explain E204` shows.

E2xx names and values, E3xx shapes, edges and the network, E4xx operations, weights and losses, E6xx files,
E9xx what the language has but this version does not; W.. warnings, numbered like the errors they sit beside.
"""

from __future__ import annotations

from ..dsl import codes as syntax
from ..dsl.findings import Code

# ------------------------------------------------------------------------------------- E2xx: names and values

UNKNOWN_NAME = Code("E201", "no {kind} is called `{name}`")

WRONG_KIND = Code("E202", "`{name}` is {kind}, not {wanted}")

DECLARED_TWICE = Code("E203", "`{name}` is declared twice")

OUTSIDE = Code("E204", "edge {end} {index} is outside `{side}`, which has {size}")

RESERVED_NAME = Code("E205", "`{name}` cannot be a name here: {why}")

UNDERSCORES = Code(
    "E206", "`{name}` cannot be a name: leading and double underscores are kept for generated code"
)

UNKNOWN_NUMBER = Code("E207", "no number is called `{name}`")

PARAM_CYCLE = Code("E208", "a param depends on itself: {chain}")

SHADOWED = Code("E209", "the loop variable `{name}` hides another `{name}`")

TOO_MANY_STATEMENTS = Code("E211", "loops unroll to more than {limit} statements")

NOT_A_NUMBER = Code("E212", "a number is needed here, not {what}")

NOT_AN_INTEGER = Code("E213", "{what} must be an integer, not {value}")

TOO_SMALL = Code("E214", "{what} must be at least {least}, not {value}")

NUMBER_TOO_LARGE = Code("E215", "this number is outside 64 bits")

NOT_FINITE = Code("E216", "this is not a finite number")

DIVISION_BY_ZERO = Code("E217", "division by zero")

NOT_A_CONDITION = Code("E218", "a condition is needed here, such as `i < 3`")

UNKNOWN_FUNCTION = Code("E219", "no function of numbers is called `{name}`")

ARGUMENT_COUNT = Code("E220", "`{name}` takes {count}")

SET_AMONG_NUMBERS = Code("E221", "`{operator}` combines sets of edges, not numbers")

IN_WHAT = Code("E222", "`in` needs a range `0..3` or a list `[0, 2]` behind it")

UNKNOWN_ARGUMENT = Code("E223", "`{name}` has no argument `{argument}`")

SURPLUS_ARGUMENT = Code("E224", "`{name}` has no use for this argument")

ARGUMENT_TWICE = Code("E225", "`{name}` is given twice")

MISSING_ARGUMENT = Code("E226", "`{name}` needs `{argument}`")

UNKNOWN_CHOICE = Code("E227", "`{name}` is one of {choices}")

NOT_TOGETHER = Code("E228", "`{first}` and `{second}` exclude each other")

NOT_A_STRING = Code("E229", "{what} is needed here, in double quotes")

NOT_A_NAME = Code("E230", "the name of {what} is needed here")

LONG_CHAIN = Code("E232", "`{name}` depends on others through too many steps")

SIZE_CYCLE = Code("E241", "a size depends on itself: {chain}")

NO_NAMES = Code("E250", "{what} has no names")

EMPTY_AXIS = Code("E251", "`{axis}` would be an axis without units: {reason}")

TEXT_ORDER = Code("E242", "texts are compared by `==`, `!=` and `in [...]`, not by `{operator}`")

TEXT_AND_NUMBER = Code("E243", "this is a number, and it is compared with a text")

NO_FIELD = Code("E244", "`{name}` has no {what} called `{field}`")

INDEX_OUTSIDE = Code("E245", "there is no unit or edge of that number")

# ------------------------------------------------------------------------ E3xx: shapes, edges and the network

NO_SHAPE = Code("E301", "the {what} `{name}` has no shape")

TOO_MANY_UNITS = Code("E302", "{units} units are more than {limit}")

RANK = Code("E303", "an index of `{side}` {shape} has {rank}, not {given}")

SHAPES_DIFFER = Code(
    "E304", "`one_to_one` needs equal shapes: `{source}` is {source_shape}, `{target}` is {target_shape}"
)

SIDES_DIFFER = Code("E305", "the set `{name}` is {shapes}, but {wanted}")

NAMES_DIFFER = Code("E351", "units go by name here, and `{axis}` has {lacking} not on `{own}`: {first}")

CLOSURE_SIDES = Code(
    "E352", "a closure follows paths, and `{name}` leads from `{source}` to `{target}`, where none goes on"
)

NOT_A_SET = Code("E306", "a set of edges is needed here")

UNKNOWN_RULE = Code("E307", "no rule or edge set is called `{name}`")

SET_CYCLE = Code("E308", "the edge set `{name}` depends on itself")

INDEX_IS_DECLARED = Code("E309", "`{name}` is the name of {kind} and cannot be that of an index")

INDEX_NOT_INTEGER = Code("E310", "an index must be an integer, not {value}")

DUPLICATE_EDGE = Code("E311", "the edge {source} -> {target} is made twice{more}")

UNKNOWN_POLICY = Code("E312", "no policy is called `{name}`")

CANNOT_WRAP = Code("E350", "nothing goes around here: every index is a name of the units that are there")

TOO_MANY_CANDIDATES = Code("E313", "these clauses leave more than {limit} pairs to look at")

TOO_MANY_EDGES = Code("E314", "{count} edges are more than can be written out")

TOO_FEW_CANDIDATES = Code("E315", "{count} distinct {what} cannot be drawn {where}")

CYCLE = Code("E316", "layers form a cycle: {chain}")

NOTHING_ENTERS = Code("E317", "nothing is connected to the layer `{name}`")

REACHES_NOTHING = Code("E318", "the layer `{name}` reaches no output and no loss")

NO_LAYERS = Code("E319", "the model has no layer")

RANGE_CYCLE = Code("E320", "the range of the index `{name}` depends on `{name}` itself")

NOT_A_NAMED_SET = Code("E340", "the name of an `edges` statement is needed here")

NOT_A_PROBABILITY = Code("E341", "{value} is no probability")

WINDOW_SHAPES = Code(
    "E343", "a window over {rank} does not lead from `{source}` {source_shape} to `{target}` {target_shape}"
)

WINDOW_PLACES = Code("E342", "this window over `{source}` has the places {places}, but `{target}` is {shape}")

UNITS_WITHOUT_INPUT = Code("W301", "units of `{side}` without input: {first} ({count:,} of {of:,})")

UNITS_UNREAD = Code("W302", "units of `{side}` that no connection reads: {first} ({count:,} of {of:,})")

SAME_SEED = Code("W303", "a literal seed inside `for` draws the same edges each time")

IDLE_POLICY = Code("W340", "`{policy}` has no effect here: {why}")

UNUSED = Code("W304", "the {what} `{name}` is never used")

UNKNOWN_UNIT = Code("E331", 'no unit of `{axis}` is called "{name}"')

ALL_SKIPPED = Code("E632", "`unknown = skip` skips all {rows} of {file}")

SKIPPED = Code(
    "W330", "`unknown = skip` skips {count:,} of {rows} of {file}, for names that are not on `{axis}`"
)

NO_EDGES = Code("W331", "the connection `{name}` has no edges")

SHARED_AS_IT_IS = Code(
    "W332",
    "these edges share `{name}` as they are, and could do so turned round",
)

NO_NAMES_HERE = Code("E332", '"{name}" is no unit: {what} has no names')

SHARED_BY_NUMBER = Code("W333", "`share = {name}` gives all edges one weight: `{name}` is a number")

# -------------------------------------------------------------------------- E4xx: operations, weights, losses

UNKNOWN_OPERATION = Code("E401", "no operation is called `{name}`")

OUT_OF_RANGE = Code("E402", "{what} must be {wanted}, not {value:g}")

OPERATION_TWICE = Code("E403", "a layer can have `{name}` only once")

NO_DIMENSION = Code("E404", "the layer has no dimension {dimension}, only {dimensions}")

NO_PER = Code("E475", "`per` says nothing here: `{name}` {why}")

NOTHING_POOLED = Code("E476", "`{name}` pools over the dimensions that `per` leaves, and it leaves none")

AXIS_ELSEWHERE = Code("E477", "`{axis}` is no dimension of `{layer}`")

AXIS_TWICE = Code("E478", "`{axis}` is more than one dimension here: {dimensions}")

NOT_A_VECTOR = Code("E405", "a 0/1 vector from a file is needed here")

VECTOR_LENGTH = Code("E406", "{name} is a vector of {length}, but the layer has {units}")

CODES_READ = Code("E479", "`{name}` holds class codes, which only `all` with weights reads")

CODES_COMPARED = Code("E502", "`{name}` is an input of class codes, of which some can be none")

UNKNOWN_ATTRIBUTE = Code("E407", "a connection has no attribute `{name}`")

UNKNOWN_DISTRIBUTION = Code("E408", "no distribution is called `{name}`")

WEIGHT_SHAPE = Code("E409", "{name} has the shape {shape}, but the connection has {edges}")

COLUMN_WITHOUT_TABLE = Code("E410", "`column` needs a set that is exactly one `load` of a table")

UNKNOWN_LOSS = Code("E411", "no loss is called `{name}`")

CODES_WANTED = Code("E412", "`{loss}` needs a target of class codes; `{target}` holds numbers")

CODES_NOT_WANTED = Code("E413", "`{loss}` needs a target of numbers; `{target}` holds class codes")

LOSS_SHAPES = Code("E414", "`{prediction}` is {shape}, but compared with `{target}` it must be {wanted}")

SQUASHED_TWICE = Code(
    "E415", "`{loss}` applies the {activation} itself, so `{layer}` must not: it would be applied twice"
)

LOSS_PRODUCT = Code("E416", "loss terms can only be added, and multiplied by or divided by numbers")

LOSS_CONSTANT = Code("E417", "a loss is made of terms such as `0.5 * mse(y, t)`, and this is none")

NO_WEIGHTS = Code("E418", "`{name}` has no weights that are trained")

BEYOND_FLOAT32 = Code("E419", "{what} does not fit a 32-bit float")

POOLS_NOTHING = Code(
    "E490",
    "`{reduction}` of nothing is no number: units of `{side}` without an edge: {first} ({count:,} of {of:,})",
)

EMPTY_SUM = Code("E491", "`empty` goes with a `reduce` that is no sum: a sum of nothing is 0")

NOTHING_TO_TRAIN = Code("E492", "`reduce = {reduction}` alone has no weights to train")

SHARED_STARTS = Code("E433", "edges that share a weight start as {first} and as {second}")

SHARE_DIFFERS = Code("E434", "those that share `{name}` differ in {what}")

NOT_A_SIGN = Code("E435", "a sign is 1 or -1, not {value}")

AGAINST_SIGN = Code("E436", "a weight starts as {value}, against the sign that it has")

NOT_DRAWN = Code("E437", "`{name}` is given with `=`, and not drawn")

FUNCTION_CYCLE = Code("E451", "a function calls itself: {chain}")

FUNCTION_TOO_LARGE = Code(
    "E452", "with what it calls, this has more than {limit} parts, or {depth} within each other"
)

NOT_OF_VALUES = Code("E453", "{what} is nothing that is computed element by element")

NUMBER_WANTED = Code(
    "E454", "`{argument}` of `{name}` must be a number: its derivative is declared, by `{first}` alone"
)

FUNCTION_ATTRIBUTE = Code("E455", "a function has no attribute `{name}`, only `derivative = ...`")

FIRST_ARGUMENT = Code("E456", "`{name}` is what the function is applied to, and cannot be a number already")

ARGUMENT_ORDER = Code("E457", "`{name}` has no number, and stands behind an argument that has one")

NOWHERE_FINITE = Code("E458", "with these numbers, `{name}` is finite nowhere")

UNDEFINED = Code("W401", "{fault}")

NO_GRADIENT = Code("W402", "no gradient comes to {parameters}: {reason}")

STUCK = Code("W403", "{what} at {value} and stay there: the derivative of `{function}` is 0")

VALUE_SHAPES = Code("E441", "`{name}` is {shape}, but the layer `{layer}`, which reads it, is {wanted}")

VALUE_OF_ONE_UNIT = Code("E442", "`{name}` is {shape}, but all that it reads has one unit: {read}")

VALUE_READS_NOTHING = Code("E443", "the expression of `{name}` reads no layer and no input")

NO_EARLIER_STEP = Code("E445", "`before` stands in the expression of a layer, and not here")

NO_TIME = Code("E360", "an earlier step is read here, but nothing says how many steps there are")

STEPS_TWICE = Code("E361", "{what} already says how many steps there are")

SAME_AT_ALL_STEPS = Code("E362", "`{name}` is the same at every step")

TIMES_DIFFER = Code("E363", "`{one}` is {how}, but `{other}`, which it is compared with, is {its_own}")

NORM_OVER_TIME = Code("E364", "`batch_norm` cannot stand in `{name}`, which differs from step to step")

CODES_LATE = Code("E365", "`{name}` holds class codes, which cannot be read late")

TOO_FEW_STEPS = Code("W360", "no input reaches `{name}` in {steps}: what it is depends on none")

TOO_MANY_DELAYS = Code("E366", "the edges of `{name}` have {count} different delays, more than {limit}")

VALUE_ENTERED = Code("E444", "no connection can enter `{name}`, which is an expression")

LOSS_WITHOUT_LAYER = Code("E420", "`{name}` of what no layer computes is no loss")

SHAPES_IN_LOSS = Code("E421", "`{one}` is {shape}, but `{other}` in the same expression is {others_shape}")

CODES_IN_LOSS = Code("E422", "`{name}` holds class codes, and an expression is of numbers")

CLASS_WEIGHTS = Code("E423", "`weights` must be a list of {classes} numbers, one a class of `{target}`")

UNIT_VALUES = Code("E431", "{name} has the shape {shape}, but the units of `{side}` have {wanted}")

UNIT_ROWS = Code("E432", "{name} does not have one value for every unit of `{side}`: {reason}")

MERGED_VALUES = Code("E430", "the edge {source} -> {target} has two values in `{column}`: {first}, {second}")

# ------------------------------------------------------------------------------------------------ E6xx: files

NO_FILE = Code("E601", "there is no file {name}")

NOT_A_FILE = Code("E602", "{name} is not a regular file")

FILE_TOO_LARGE = Code("E603", "{name} has {size} bytes, and {limit} are the most")

NAME_TOO_LONG = Code("E633", "the name `{name}` has {count} characters, and {limit} are the most")

UNPACKS_TO_TOO_MUCH = Code("E630", "{name} unpacks to {size} bytes, and {limit} are the most")

TABLE_TOO_LARGE = Code("E631", "{name} has {count} {what}, and {limit} are the most")

UNREADABLE = Code("E604", "{name} cannot be read: {reason}")

FILE_KIND = Code("E605", "{name} ends in none of {kinds}")

BAD_ARRAY = Code("E606", "{name} is no usable array: {reason}")

NOT_ZERO_ONE = Code("E607", "{name} must hold only 0 and 1; it holds {value}")

BAD_TABLE = Code("E608", "{name} is no usable table: {reason}")

NO_COLUMN = Code("E609", "{name} has {number} called `{column}`")

BAD_VALUE = Code("E610", "{name}, {place}, column `{column}`: `{value}` is not {what}")

ORIENTATION = Code("E611", "it is not said whether the rows of {name} are sources or targets")

MATRIX_SHAPE = Code("E612", "{name} has the shape {shape}, but `{source}` -> `{target}` needs {wanted}")

NOT_TEXT = Code("E613", "{name} is not UTF-8 text: {reason}")

SPEC_TOO_LARGE = Code("E614", "the spec is larger than {limit} bytes")

BAD_NAMES = Code("E615", "{name} cannot name the units of `{axis}`: {reason}")

# ------------------------------------------------------------------- W9xx: what does nothing on a target

NO_REMAT = Code("W902", "`--remat` has no effect {where}")


def by_code() -> dict[str, Code]:
    """All diagnostics, those of the syntax too, by their codes."""
    declared = (*vars(syntax).values(), *globals().values())
    return {value.code: value for value in declared if isinstance(value, Code)}
