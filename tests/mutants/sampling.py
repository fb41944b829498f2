"""Which mutants are tried: places of the compiler, drawn evenly, and at each one a change of cosmic-ray's."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

FOLDERS = ("compiler", "dsl")
# Measured numbers, in which any other are as right, and tables that are made of the grammar, to which a test
# holds them.
DATA = {"compiler/plan/costs.py", "dsl/tables.py"}
# Small integers, enumerations and None are the same objects wherever they are equal.
SAME = {
    f"ReplaceComparisonOperator_{one}_{other}"
    for pair in (("Eq", "Is"), ("NotEq", "IsNot"))
    for one, other in (pair, pair[::-1])
}


@dataclass(frozen=True)
class Mutant:
    """A file's text from `start` to `end` is replaced."""

    file: str
    line: int
    operator: str
    start: int
    end: int
    replacement: str

    def apply(self, text: str) -> str:
        return text[: self.start] + self.replacement + text[self.end :]

    def lines(self, text: str) -> tuple[str, str]:
        """The line before and after, for people."""
        changed = self.apply(text)
        before, after = text.splitlines(), changed.splitlines()
        last = self.line + text[self.start : self.end].count("\n")
        more = len(after) - len(before)
        return tuple(
            " ".join(" ".join(lines[self.line - 1 : to]).split())
            for lines, to in ((before, last), (after, last + more))
        )


def draw(root: Path, number: int, seed: int) -> list[Mutant]:
    """As many mutants of each file as fit its part of all places, in a random order."""
    rng = random.Random(seed)
    texts = {
        str(path.relative_to(root)): path.read_text()
        for folder in FOLDERS
        for path in sorted((root / folder).rglob("*.py"))
    }
    places = {file: _places(text) for file, text in texts.items() if file not in DATA}
    places = {file: found for file, found in places.items() if found}
    mutants = [
        mutant
        for file, count in _shares({file: len(found) for file, found in places.items()}, number).items()
        for mutant in _of_file(file, texts[file], places[file], count, rng)
    ]
    rng.shuffle(mutants)
    return mutants


Place = tuple[tuple[int, int], tuple[int, int]]


def _places(text: str) -> dict[Place, list[tuple[str, int]]]:
    """Where something can be changed, and by which occurrences of which operators."""
    nodes = list(ast_nodes(get_ast(text)))
    found: dict[Place, list[tuple[str, int]]] = defaultdict(list)
    for name in operator_names():
        kind = get_operator(name)
        if kind.arguments() or name.partition("/")[2] in SAME:
            continue
        positions = ((node, place) for node in nodes for place in kind().mutation_positions(node))
        for occurrence, (node, place) in enumerate(positions):
            if not _never_runs(node):
                found[place].append((name, occurrence))
    return found


def _never_runs(node: Any) -> bool:
    """Annotations, and what is imported for them alone."""
    while node is not None:
        if node.type == "if_stmt" and node.children[1].get_code().strip() == "TYPE_CHECKING":
            return True
        parent = node.parent
        match parent.type if parent is not None else "":
            case "tfpdef" if node is parent.children[-1]:
                return True
            case "annassign" if node is parent.children[1]:
                return True
            case "funcdef" if node is parent.annotation:
                return True
        node = parent
    return False


def _shares(sizes: dict[str, int], number: int) -> dict[str, int]:
    """`number` in parts of these sizes, each of one at least."""
    whole = sum(sizes.values())
    exact = {file: number * size / whole for file, size in sizes.items()}
    shares = {file: max(1, int(part)) for file, part in exact.items()}
    for file in sorted(exact, key=lambda file: shares[file] - exact[file]):
        if sum(shares.values()) >= number:
            break
        shares[file] += 1
    return {file: min(share, sizes[file]) for file, share in shares.items()}


def _of_file(
    file: str,
    text: str,
    places: dict[Place, list[tuple[str, int]]],
    number: int,
    rng: random.Random,
) -> list[Mutant]:
    """Mutants at `number` places of a file; what is no Python any more is not one of them."""
    order = sorted(places)
    rng.shuffle(order)
    mutants: list[Mutant] = []
    for place in order:
        if len(mutants) == number:
            break
        name, occurrence = rng.choice(places[place])
        changed = mutate_code(text, get_operator(name)(), occurrence)
        if changed != text and _compiles(changed, file):
            mutants.append(_difference(file, name.partition("/")[2], text, changed))
    return mutants


def _compiles(text: str, file: str) -> bool:
    try:
        compile(text, file, "exec")
    except SyntaxError:
        return False
    return True


def _difference(file: str, operator: str, text: str, changed: str) -> Mutant:
    most = min(len(text), len(changed))
    start = next((at for at in range(most) if text[at] != changed[at]), most)
    same = next((at for at in range(most - start) if text[-1 - at] != changed[-1 - at]), most - start)
    end = len(text) - same
    return Mutant(
        file, text.count("\n", 0, start) + 1, operator, start, end, changed[start : len(changed) - same]
    )
