"""A project's own settings: `[tool.nnspec]` in its `pyproject.toml`, and what they say is to be built."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard, cast

from ...dsl.records import record
from ...dsl.words import suggest
from ..defaults import KERNELS
from ..names.reserved import is_name

FILE = "pyproject.toml"


class WrongSettings(Exception):
    """Settings that cannot be what is meant, in a sentence that names the file and the key."""


@record
class Order:
    """One spec to build, and how: None where nothing is said, which leaves it to the command."""

    spec: Path
    targets: tuple[str, ...] = ()
    output: Path | None = None
    batch: int | None = None
    params: Mapping[str, int | float] | None = None
    name: str | None = None
    kernels: str | None = None
    package: bool | None = None
    remat: int | None = None


@record
class Settings:
    """What is to be built, how what is not named there is built, and what becomes of warnings.

    `ignored` and `errors` are codes of warnings: those are not shown, and these are errors.
    """

    folder: Path
    orders: tuple[Order, ...]
    usual: Mapping[str, Any]
    ignored: frozenset[str]
    errors: frozenset[str]

    def orders_of(self, spec: Path) -> tuple[Order, ...]:
        """How a spec is built: as the settings say if they name it, else as they say in general."""
        own = tuple(order for order in self.orders if order.spec.resolve() == spec.resolve())
        return own or (Order(spec, **self.usual),)


def over(usual: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What is said for one spec, and for the rest what usually holds, as arguments of an `Order`.

    Kernels inside and a package exclude each other: `own`, which does not ask for both, decides.
    """
    said = {**usual, **own}
    if _contradicts(said):
        said["kernels" if own.get("package") else "package"] = None
    return said


def _contradicts(said: Mapping[str, Any]) -> bool:
    return said.get("kernels") == "inside" and bool(said.get("package"))


def find_settings(folder: Path, targets: Collection[str], codes: Collection[str]) -> Settings | None:
    """The settings of the project that a folder is in: the nearest file with a table `tool.nnspec`.

    `targets` and `codes` are those that settings may name. Raises `WrongSettings`.
    """
    for place in (folder, *folder.parents):
        path = place / FILE
        if not path.is_file():
            continue
        import tomllib  # where there is something to read

        try:
            table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("nnspec")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            # Another tool's file is none of our business unless it is the one that we need.
            raise WrongSettings(f"{path}: {error}") from None
        if table is not None:
            return _read(path, table, targets, codes)
    return None


def _read(path: Path, table: Any, targets: Collection[str], codes: Collection[str]) -> Settings:
    reader = _Reader(path, targets, codes)
    table = reader.table(table, "tool.nnspec", {*_HOW, "specs", "ignore", "errors", "build"})
    usual = reader.how(table, "tool.nnspec", _HOW - {"name", "params"})
    if misplaced := sorted({"name", "params"} & table.keys()):
        raise reader.wrong(
            f"tool.nnspec.{misplaced[0]}",
            "it is for one spec, and stands below [[tool.nnspec.build]]",
        )
    orders = [
        Order(spec, **usual) for spec in reader.specs(reader.texts(table, "specs", "tool.nnspec", default=()))
    ]
    builds = table.get("build", [])
    if not _is_list(builds):
        raise reader.wrong("tool.nnspec.build", "write it as [[tool.nnspec.build]], once for each build")
    named: list[Order] = []
    for number, build in enumerate(builds, 1):
        where = f"build {number} of tool.nnspec"
        build = reader.table(build, where, {*_HOW, "spec"})
        if not isinstance(build.get("spec"), str):
            raise reader.wrong(where, 'it needs a `spec`, as `spec = "net.nnspec"`')
        (spec,) = reader.specs([build["spec"]]) or [None]
        if spec is None:
            raise reader.wrong(where, f"there is no file `{build['spec']}`")
        named.append(Order(spec, **over(usual, reader.how(build, where, _HOW))))
    told = {order.spec for order in named}
    return Settings(
        path.parent,
        (*(order for order in orders if order.spec not in told), *named),
        usual,
        frozenset(reader.codes_of(table, "ignore")),
        frozenset(reader.codes_of(table, "errors")),
    )


_HOW = frozenset(["targets", "output", "batch", "remat", "kernels", "package", "params", "name"])


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


@record
class _Reader:
    """Values of one file, held to what they may be."""

    path: Path
    targets: Collection[str]
    codes: Collection[str]

    def wrong(self, where: str, why: str) -> WrongSettings:
        return WrongSettings(f"{self.path}: {where}: {why}")

    def table(self, value: object, where: str, known: Collection[str]) -> Mapping[str, Any]:
        """A table with keys that are known."""
        if not isinstance(value, dict):
            raise self.wrong(where, "it is a table")
        found = cast("dict[str, Any]", value)
        for key in found:
            if key not in known:
                raise self.wrong(where, f"no setting is called `{key}`{self._hint(key, known)}")
        return found

    def how(self, table: Mapping[str, Any], where: str, keys: Iterable[str]) -> dict[str, Any]:
        """How to build, as arguments of an `Order`."""
        readers: Mapping[str, Callable[[Any, str], Any]] = {
            "targets": self._targets,
            "output": self._output,
            "batch": self._count,
            "remat": self._count,
            "params": self._params,
            "name": self._name,
            "kernels": self._kernels,
            "package": self._package,
        }
        said = {key: readers[key](table[key], f"{where}.{key}") for key in sorted(keys) if key in table}
        if _contradicts(said):
            raise self.wrong(
                where, 'a package has its kernels beside its modules, and not `kernels = "inside"`'
            )
        return said

    def texts(
        self, table: Mapping[str, Any], key: str, where: str, default: Sequence[str] | None = None
    ) -> Sequence[str]:
        """A list of texts."""
        value = table.get(key, default)
        if not (
            isinstance(value, list | tuple)
            and all(isinstance(text, str) for text in cast("list[Any]", value))
        ):
            raise self.wrong(f"{where}.{key}", "it is a list of texts")
        return cast("Sequence[str]", value)

    def specs(self, patterns: Iterable[str]) -> list[Path]:
        """The files that patterns such as `specs/*.nnspec` name, each once, sorted."""
        found: dict[Path, None] = {}
        for pattern in patterns:
            if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
                raise self.wrong("specs", f"`{pattern}` leads out of the folder of the settings")
            found |= dict.fromkeys(sorted(p for p in self.path.parent.glob(pattern) if p.is_file()))
        return list(found)

    def codes_of(self, table: Mapping[str, Any], key: str) -> Sequence[str]:
        """Codes of warnings."""
        texts = self.texts(table, key, "tool.nnspec", default=())
        for text in texts:
            if text not in self.codes or not text.startswith("W"):
                raise self.wrong(
                    f"tool.nnspec.{key}", f"no warning is called `{text}`{self._hint(text, self.codes)}"
                )
        return texts

    def _hint(self, text: str, known: Collection[str]) -> str:
        guess = suggest(text, known)
        return f"; did you mean `{guess}`?" if guess else f"; there are {', '.join(sorted(known)[:12])}"

    def _targets(self, value: object, where: str) -> tuple[str, ...]:
        texts = self.texts({"targets": value}, "targets", where.rpartition(".")[0])
        for text in texts:
            if text not in self.targets:
                raise self.wrong(where, f"no target is called `{text}`{self._hint(text, self.targets)}")
        return tuple(dict.fromkeys(texts))

    def _output(self, value: object, where: str) -> Path:
        if not isinstance(value, str):
            raise self.wrong(where, "it is the name of a folder")
        return self.path.parent / value

    def _count(self, value: object, where: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**31:
            raise self.wrong(where, "it is a whole number from 1")
        return value

    def _kernels(self, value: object, where: str) -> str:
        if value not in KERNELS:
            raise self.wrong(where, f"it is one of {', '.join(KERNELS)}")
        return str(value)

    def _package(self, value: object, where: str) -> bool:
        if not isinstance(value, bool):
            raise self.wrong(where, "it is true or false")
        return value

    def _params(self, value: object, where: str) -> Mapping[str, int | float]:
        if not isinstance(value, dict):
            raise self.wrong(where, "it is a table of numbers, as `params = { width = 64 }`")
        found = cast("dict[str, Any]", value)
        for name, number in found.items():
            finite = isinstance(number, int | float) and not isinstance(number, bool)
            if not finite or number != number or abs(number) == float("inf"):
                raise self.wrong(f"{where}.{name}", "it is a number")
        return found

    def _name(self, value: object, where: str) -> str:
        if not (isinstance(value, str) and is_name(value)):
            raise self.wrong(where, "it is a name for a model: letters, digits and underscores")
        return value
