"""The generated tests fail for every fault that changes what a spec means, in a build for one target."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from planting import (
    CONVOLVING,
    EXACT,
    EXPRESSIONS,
    FAULTS,
    KINDS,
    LINEAR,
    POOLING,
    RULES,
    SHARING,
    SLIDING,
    InData,
    InText,
    Outcome,
    plant_all,
)

ROOT = Path(__file__).parent.parent.parent
ZOO = ROOT / "tests" / "specs" / "zoo.nnspec"
PART = ROOT / "tests" / "specs" / "part.nnspec"
DYADIC = ROOT / "tests" / "specs" / "dyadic.nnspec"
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.nnspec"))
TARGETS = ("numpy", "torch", "keras")
# What is noticed is seen for one target; the long tests plant the same in the others.
SLOW = {target: pytest.param(target, marks=pytest.mark.slow) for target in TARGETS}
IN_NUMPY = ("numpy", SLOW["torch"], SLOW["keras"])
IN_TORCH = (SLOW["numpy"], "torch", SLOW["keras"])
# Those of class codes, too.
CODES = {
    "code's row moved",
    "code of none counts",
    "code's derivative changed",
    "code out of range taken",
}
CODES_SPEC = ROOT / "tests" / "specs" / "codes.nnspec"
GROUPED_SPEC = ROOT / "tests" / "specs" / "grouped.nnspec"
POOLS = ROOT / "tests" / "specs" / "pools.nnspec"
EXPRESSIONS_SPEC = ROOT / "tests" / "specs" / "expressions.nnspec"
NAMED = ROOT / "tests" / "specs" / "named.nnspec"
# Kinds that there is nothing to plant for in `zoo`: it has no names, and adds everything up.
NAMES = {
    "in_order in another order",
    "in_order takes what is double",
    "names in another order",
    "names shared",
}
# Those of operations that take units together, which are in a spec of their own.
GROUPED = {
    "units taken together otherwise",
    "units dropped together otherwise",
    "slopes shared otherwise",
    "slope's derivative changed",
    "norm's derivative changed",
}
# A network with a place for each kind that Keras alone has, and the tests that notice them.
FEW = """model few
input x[5]
target y[4]
target z[3]
layer h[4] : batch_norm, scale(0.7)
layer m[4]
layer o[3]
connect x -> h : { i -> j : abs(i - j) <= 1 }
connect x -> m : { i -> i : i < 4 }
connect h -> o : all with trainable = false
connect m -> o : { i -> i : i < 3 }
output h, o
loss mse(h, y) + 0.5 * squared_error(o, z) + 0.01 * l2(h)
loss 0.25 * mse(m, y) + 0.5 * mean(abs(h) * m)
"""
OF_KERAS = (
    "computes_the_same_compiled or gradients_are_those or loads_what_it_saves or holds_the_variables or "
    "values_are_apart or parameters_have or copies"
)
ELSEWHERE = {*NAMES, *POOLING, *GROUPED, *CODES}
DERIVATIVES = [kind for kind in KINDS if kind.startswith(("derivative's", "dropout's"))]


def kinds_in(target: str) -> set[str]:
    """The kinds that a target's modules have a place for: the others are not its own code to get wrong."""
    return {fault.kind for fault in FAULTS if not isinstance(fault, InText) or fault.target == target}


def caught(outcomes: list[Outcome]) -> set[str]:
    """The kinds that were planted and noticed."""
    return {outcome.kind for outcome in outcomes if outcome.result == "caught"}


Preferring = Callable[[str], AbstractContextManager[None]]


def missed(outcomes: list[Outcome]) -> list[str]:
    return [f"{o.spec}, {o.target}: {o.kind} ({o.fault})" for o in outcomes if o.result == "MISSED"]


def shared_out(target: str) -> set[str]:
    """Some of the kinds that a target has, so that each kind is one target's.

    Keras, which takes longest, has those that no other target has.
    """

    def one_of(kind: str, at: int) -> str:
        having = [target for target in TARGETS if kind in kinds_in(target)]
        quick = [target for target in having if target != "keras"]
        return quick[at % len(quick)] if quick else having[-1]

    return {kind for at, kind in enumerate(KINDS) if one_of(kind, at) == target}


def test_every_kind_is_shared_out() -> None:
    assert sorted(kind for target in TARGETS for kind in shared_out(target)) == sorted(KINDS)


@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_every_kind_of_fault_in_a_network_of_everything_is_caught(
    target: str, tmp_path: Path, preferring: Preferring
) -> None:
    """A kind in one target that has it; the long tests plant all of them in all targets."""
    kinds = shared_out(target) - ELSEWHERE
    with preferring("edges"):  # so small a network would be planned with `masked`
        outcomes = plant_all(ZOO, target, tmp_path, kinds, one_of_each=True)
    assert not missed(outcomes)
    assert caught(outcomes) == kinds, "these kinds were not planted"


def test_every_kind_of_fault_that_keras_alone_has_is_caught(tmp_path: Path, preferring: Preferring) -> None:
    """In a network that is small, because TensorFlow takes long; the long tests plant them in a large one."""
    spec = tmp_path / "few.nnspec"
    spec.write_text(FEW, encoding="utf-8")
    kinds = shared_out("keras") - ELSEWHERE
    with preferring("edges"):
        outcomes = plant_all(spec, "keras", tmp_path, kinds, one_of_each=True, chosen=OF_KERAS)
    assert not missed(outcomes)
    assert caught(outcomes) == kinds, "these kinds were not planted"


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_every_kind_of_fault_of_a_target_is_caught(
    target: str, tmp_path: Path, preferring: Preferring
) -> None:
    with preferring("edges"):
        outcomes = plant_all(ZOO, target, tmp_path, one_of_each=True)
    assert not missed(outcomes)
    assert caught(outcomes) | ELSEWHERE >= kinds_in(target), "some kinds were not planted"


@pytest.mark.parametrize("target", IN_TORCH)
def test_every_fault_in_shared_weights_is_caught(target: str, tmp_path: Path) -> None:
    spec = ROOT / "tests" / "specs" / "shared.nnspec"
    outcomes = plant_all(spec, target, tmp_path, faults=SHARING)
    assert not missed(outcomes)
    assert caught(outcomes) == {fault.kind for fault in SHARING}


@pytest.mark.parametrize("target", IN_NUMPY)
def test_every_fault_in_convolutions_is_caught(target: str, tmp_path: Path, preferring: Preferring) -> None:
    spec = ROOT / "tests" / "specs" / "convolutions.nnspec"
    faults = [fault for fault in CONVOLVING if isinstance(fault, InText) and fault.target == target]
    with preferring("convolution"):
        outcomes = plant_all(spec, target, tmp_path, faults=faults)
    assert not missed(outcomes)
    assert caught(outcomes) == {fault.kind for fault in faults}


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_every_fault_in_windows_that_are_pooled_is_caught(target: str, tmp_path: Path) -> None:
    faults = [fault for fault in SLIDING if isinstance(fault, InText) and fault.target == target]
    outcomes = plant_all(POOLS, target, tmp_path, faults=faults)
    assert not missed(outcomes)
    assert caught(outcomes) == {fault.kind for fault in faults}


@pytest.mark.parametrize("target", IN_TORCH)
def test_every_fault_in_expressions_is_caught(target: str, tmp_path: Path) -> None:
    outcomes = plant_all(EXPRESSIONS_SPEC, target, tmp_path, faults=EXPRESSIONS)
    assert not missed(outcomes)
    assert all(outcome.result == "caught" for outcome in outcomes), "some were not planted"


@pytest.mark.parametrize("target", IN_NUMPY)
def test_every_fault_in_names_is_caught(target: str, tmp_path: Path) -> None:
    outcomes = plant_all(NAMED, target, tmp_path, NAMES)
    assert not missed(outcomes)
    assert caught(outcomes) == NAMES & kinds_in(target)


@pytest.mark.parametrize(
    ("spec", "kinds"), [(GROUPED_SPEC, GROUPED), (CODES_SPEC, CODES)], ids=["units", "codes"]
)
@pytest.mark.parametrize("target", IN_NUMPY)
def test_every_fault_in_units_taken_together_and_in_codes_is_caught(
    spec: Path, kinds: set[str], target: str, tmp_path: Path
) -> None:
    outcomes = plant_all(spec, target, tmp_path, kinds)
    assert not missed(outcomes)
    assert caught(outcomes) == kinds & kinds_in(target)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["edges", None])
@pytest.mark.parametrize("spec", [ZOO, PART, NAMED], ids=lambda path: path.stem)
@pytest.mark.parametrize("target", TARGETS)
def test_every_fault_is_caught(
    spec: Path, kernel: str | None, target: str, tmp_path: Path, preferring: Preferring
) -> None:
    with preferring(kernel):
        assert not missed(plant_all(spec, target, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_every_kind_of_wrong_derivative_of_a_network_without_a_loss_is_caught(
    target: str, tmp_path: Path, preferring: Preferring
) -> None:
    with preferring("edges"):
        outcomes = plant_all(PART, target, tmp_path, DERIVATIVES, one_of_each=True)
    assert not missed(outcomes)
    assert caught(outcomes) == set(DERIVATIVES) & kinds_in(target)


@pytest.mark.parametrize(
    ("kernel", "target"),
    [
        pytest.param("blocks", "torch", marks=pytest.mark.slow),
        pytest.param("blocks", "keras", marks=pytest.mark.slow),
        pytest.param("band", "keras", marks=pytest.mark.slow),
        pytest.param("masked", "keras", marks=pytest.mark.slow),
    ],
)
def test_every_wrong_derivative_of_another_kernel_is_caught(
    kernel: str, target: str, tmp_path: Path, preferring: Preferring
) -> None:
    """In PyTorch, bands where nothing is compiled and `masked` have no derivatives of their own."""
    spec = ROOT / "examples" / "ring.nnspec" if kernel == "band" else ZOO
    with preferring(kernel):
        outcomes = plant_all(spec, target, tmp_path, DERIVATIVES)
    assert not missed(outcomes)
    assert {"derivative's sign changed", "derivative's factor changed"} <= caught(outcomes)


@pytest.mark.parametrize("target", IN_NUMPY)
def test_every_fault_in_a_restated_ring_is_caught(target: str, tmp_path: Path) -> None:
    outcomes = plant_all(ROOT / "examples" / "ring.nnspec", target, tmp_path, {kind for kind, *_ in RULES})
    assert not missed(outcomes)
    assert caught(outcomes) == {"offset moved by one", "stride changed", "ring opened"}


SHARED = {fault.kind for fault in FAULTS if isinstance(fault, InData)} | {kind for kind, *_ in RULES}


@pytest.mark.parametrize("target", IN_NUMPY)
def test_every_linear_fault_is_caught_by_the_exact_tests_alone(
    target: str, tmp_path: Path, preferring: Preferring
) -> None:
    """Data and rules are the same for all targets, so that these faults are planted for one of them."""
    kinds = LINEAR if target == "numpy" else LINEAR - SHARED
    with preferring("edges"):
        outcomes = plant_all(DYADIC, target, tmp_path, kinds, EXACT)
    assert not missed(outcomes)
    planted = {outcome.kind for outcome in outcomes if outcome.result == "caught"}
    assert planted == kinds & kinds_in(target)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["torch", "keras"])
@pytest.mark.parametrize("kernel", ["edges", "blocks", "band", "masked"])
def test_every_linear_fault_of_a_kernel_is_caught_by_the_exact_tests_alone(
    kernel: str, target: str, tmp_path: Path, preferring: Preferring
) -> None:
    """A module restates rules also where no kernel reads them: another test looks at those."""
    kinds = LINEAR if kernel == "edges" else LINEAR - {kind for kind, *_ in RULES}
    with preferring(kernel):
        outcomes = plant_all(DYADIC, target, tmp_path, kinds, EXACT)
    assert not missed(outcomes)
    assert sum(outcome.result == "caught" for outcome in outcomes) >= 6


def test_there_are_at_least_twelve_kinds_and_every_target_has_them() -> None:
    assert len(KINDS) >= 12
    for target in TARGETS:
        kinds = {fault.kind for fault in FAULTS if isinstance(fault, InText) and fault.target == target}
        assert len(kinds) >= 12


def test_a_fault_that_nothing_catches_makes_the_suite_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmless = InText("comment changed", "numpy", r"# \w+ <- ", "# ")
    monkeypatch.setattr("planting.FAULTS", (harmless,))
    assert missed(plant_all(ZOO, "numpy", tmp_path, chosen="layers_are")) == [
        f"zoo, numpy: comment changed ({harmless})"
    ]


# In Keras the tests of the worm take minutes before a fault is planted; `lstm` has the same places for them.
PLANTED = [
    (name, target)
    for name in (*EXAMPLES, PART.name)
    for target in TARGETS
    if (name, target) != ("worm.nnspec", "keras")
]


# In modules over time there is code of these kinds that has nothing to do: checks of codes where there are
# none, statistics without a norm, digests where all is dense, arrays that nobody is given, means of one
# number a sample, a seed of which nothing is drawn, and signs, which are exact in any precision.
DECODERS = ("decoder", "min_sum_decoder")
WITHOUT_CODES = (*DECODERS, "echo_state", "worm")
IDLE = {
    "arrays shared": (*WITHOUT_CODES, "spiking"),
    "code out of range taken": WITHOUT_CODES,
    "digest not compared": ("gru", "lstm"),
    "loss averaged over samples": ("echo_state", "gru", "lstm", "spiking"),
    "norm's statistics moved twice": (*WITHOUT_CODES, "gru", "lstm", "spiking"),
    "other codes taken": WITHOUT_CODES,
    "precision lost": ("min_sum_decoder",),
    "seed not drawn": DECODERS,
}
# PyTorch's layers can drop units, share biases and hold weights that are not trained, and turn what is
# units first, whether or not theirs do. Pools are summed back in full precision, and have no bias; arrays of
# one dimension, of which there is one, have no other shape to be taken for.
OF_TIME = ("echo_state", "gru", "lstm", "spiking")
IDLE_IN_TORCH = {
    "buffer for a parameter": ("gru", "lstm", "spiking", *DECODERS),
    "dropout never applied": (*OF_TIME, *DECODERS),
    "other shapes taken": DECODERS,
    "parameter made anew": (*OF_TIME, *DECODERS),
    "parameters overwritten": ("gru", "lstm", "spiking"),
    "wrong in half precision": DECODERS,
    "wrong where compiled": DECODERS,
    "wrong where mapped": OF_TIME,
}


def is_idle(outcome: Outcome) -> bool:
    """Whether the fault is in code that has nothing to do in a network."""
    idle = IDLE.get(outcome.kind, ())
    return outcome.spec in (
        *idle,
        *(IDLE_IN_TORCH.get(outcome.kind, ()) if outcome.target == "torch" else ()),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "target"), PLANTED)
def test_every_fault_in_an_example_is_caught(
    name: str, target: str, examples_folder: Path, tmp_path: Path
) -> None:
    outcomes = plant_all(PART if name == PART.name else examples_folder / name, target, tmp_path)
    assert not missed([outcome for outcome in outcomes if not is_idle(outcome)])
    # The autoencoder is dense throughout: no edges of ours and, in the frameworks, no derivatives of ours.
    assert sum(outcome.result == "caught" for outcome in outcomes) >= 6


@pytest.mark.parametrize("target", IN_TORCH)
def test_faults_in_what_is_pooled_are_caught(target: str, tmp_path: Path) -> None:
    outcomes = plant_all(POOLS, target, tmp_path, POOLING, chosen="pools_are_exact or of_the_reference")
    assert not missed(outcomes)
    assert caught(outcomes) == {*POOLING}, "these kinds were not planted"
