"""Dataclasses that are quick to define: their methods are written once, here, and not compiled for each.

`@dataclass(frozen=True)` writes out and compiles six methods, which takes half a millisecond a class. For the
200 classes of this package that is as long as NumPy takes to be imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from reprlib import recursive_repr
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def record(cls: type[T], /) -> type[T]: ...
@overload
def record(*, frozen: bool = True, eq: bool = True, slots: bool = False) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(
    cls: type[T] | None = None, /, *, frozen: bool = True, eq: bool = True, slots: bool = False
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a class a frozen dataclass, for which `fields`, `replace` and patterns work as for any other.

    The parameters are those of `dataclass`; one that is not frozen is compared by identity.
    """
    if cls is None:
        return lambda cls: _record(cls, frozen, eq, slots)
    return _record(cls, frozen, eq, slots)


def _record(cls: type[T], frozen: bool, eq: bool, slots: bool) -> type[T]:
    cls = dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
    methods: dict[str, Any] = {"__init__": _initialiser(cls), "__repr__": _repr}
    if frozen:
        methods |= {"__setattr__": _refuse, "__delattr__": _refuse, "__reduce__": _reduce}
        methods |= {"__eq__": _equal, "__hash__": _hash} if eq else {}
    for name, method in methods.items():
        if name not in vars(cls):
            setattr(cls, name, method)
    return cls


def _initialiser(cls: type[Any]) -> Callable[..., None]:
    """`__init__`, which takes all fields in order or by name."""
    own = [each for each in fields(cls) if each.init]
    names = tuple(each.name for each in own)
    finish = getattr(cls, "__post_init__", None)
    count, put = len(names), object.__setattr__
    # How many have to be given, and the defaults of those behind them, none of which has a factory.
    least = max((at for at, each in enumerate(own, 1) if each.default is MISSING), default=0)
    last = tuple(each.default for each in own[least:])

    def initialise(self: Any, *values: Any, **named: Any) -> None:
        if named or len(values) != count:
            if named or not least <= len(values) < count:
                values = _in_order(cls, own, values, named)
            else:
                values += last[len(values) - count :]
        # Here are as many values as names. To be asked so would take as long as to put two of them.
        for name, value in zip(names, values):  # noqa: B905
            put(self, name, value)
        if finish is not None:
            finish(self)

    return initialise


def _in_order(
    cls: type[Any], own: Sequence[Field[Any]], given: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, ...]:
    """The values of all fields, of which some were given in order and some by name."""
    values = [*given]
    for each in own[len(given) :]:
        if each.name in named:
            values.append(named.pop(each.name))
        elif each.default is not MISSING:
            values.append(each.default)
        elif each.default_factory is not MISSING:
            values.append(each.default_factory())
        else:
            raise TypeError(f"{cls.__name__} needs `{each.name}`")
    if named or len(values) > len(own):
        raise TypeError(f"{cls.__name__} takes {', '.join(each.name for each in own)}, each once")
    return tuple(values)


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self.__match_args__])


@recursive_repr()
def _repr(self: Any) -> str:
    shown = [f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _equal(self: Any, other: object) -> bool:
    return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _refuse(self: Any, name: str, value: object = None) -> None:
    raise FrozenInstanceError(f"`{name}` of {type(self).__name__} cannot be changed")


def _reduce(self: Any) -> tuple[type[Any], tuple[Any, ...]]:
    """Copies and pickles are made by `__init__`: what is worked out and kept in an object is left behind."""
    return self.__class__, _values(self)
