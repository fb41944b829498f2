"""A record is what a frozen dataclass is."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from functools import cached_property

import pytest

from nnspec.dsl.records import record


@dataclass(frozen=True)
class Usual:
    """Made by the standard library."""

    x: int
    y: str = "why"
    z: list[int] = field(default_factory=list[int], repr=False)


@record
class Base:
    """Ours."""

    x: int
    y: str = "why"
    z: list[int] = field(default_factory=list[int], repr=False)


@record
class Longer(Base):
    last: int = 0

    @cached_property
    def double(self) -> int:
        return 2 * self.last


@record(slots=True)
class Slotted:
    x: int
    y: str = "why"


@record(eq=False)
class Own:
    x: int


@record(frozen=False)
class Working:
    x: int
    late: int = field(init=False)
    seen: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self.late = self.x + 1


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((1,), {}),
        ((1, "a"), {}),
        ((1, "a", [2]), {}),
        ((), {"x": 1}),
        ((1,), {"z": [3]}),
        ((), {"z": [3], "y": "b", "x": 4}),
        ((), {}),
        ((), {"y": "b"}),
        ((1,), {"x": 1}),
        ((1, "a", [2], 3), {}),
        ((1,), {"other": 2}),
    ],
)
def test_records_are_made_as_dataclasses_are(values, named):
    def made(kind):
        try:
            return kind(*values, **named)
        except TypeError:
            return None

    usual, ours = made(Usual), made(Base)
    assert (usual is None) == (ours is None)
    if ours is not None:
        assert {f.name: getattr(ours, f.name) for f in fields(ours)} == vars(usual)
        assert repr(ours) == repr(usual).replace("Usual", "Base")
        assert ours == made(Base)
        assert ours != made(Longer)
        assert ours != usual


def test_records_are_frozen():
    for frozen in (Base(1), Longer(1), Slotted(1), Own(1)):
        with pytest.raises(FrozenInstanceError):
            frozen.x = 2  # pyright: ignore
        with pytest.raises(FrozenInstanceError):
            del frozen.x  # pyright: ignore
        with pytest.raises((FrozenInstanceError, AttributeError)):
            frozen.other = 2  # pyright: ignore
        assert frozen.x == 1


def test_records_work_where_dataclasses_do():
    longer = replace(Longer(1, last=2), y="b")
    assert (longer.x, longer.y, longer.last, longer.double) == (1, "b", 2, 4)
    assert is_dataclass(longer)
    assert [f.name for f in fields(Longer)] == ["x", "y", "z", "last"]
    match longer:
        case Longer(x, y, _, last=last):
            assert (x, y, last) == (1, "b", 2)
        case _:
            pytest.fail("a pattern takes the fields in order")
    for original in (longer, Slotted(1, "c")):
        assert (
            copy.deepcopy(original) == copy.copy(original) == pickle.loads(pickle.dumps(original)) == original
        )
    assert not hasattr(Slotted(1), "__dict__")


def test_equal_records_have_equal_hashes():
    assert {Slotted(1, "a"), Slotted(1, "a"), Slotted(2, "a")} == {Slotted(1, "a"), Slotted(2, "a")}
    assert Own(1) != Own(1)
    assert len({Own(1), Own(1)}) == 2
    with pytest.raises(TypeError):
        hash(Base(1))  # a list has no hash


def test_what_works_is_not_frozen():
    working = Working(1)
    working.seen.append(2)
    working.x = 3
    assert (working.x, working.late, working.seen, Working(1).seen) == (3, 2, [2], [])
    assert working != Working(1)
