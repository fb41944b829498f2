"""Counts the outcomes, and writes the tables of `README.md` from them and from `survivors.csv`."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
START, END = "<!-- The tables below are written by `make mutants`. -->", "<!-- End of the tables. -->"
# Of every hundred mutants that mean something else, so many are to be noticed.
WANTED = 90
FIELDS = ("file", "operator", "before", "after", "kind", "why")
# Kinds of survivors that no test could kill.
SAME = ("equivalent", "unreachable")


def report(mutants: list[dict[str, Any]], outcomes: dict[int, dict[str, Any]]) -> int:
    """Write the tables; 0 if enough are killed and every survivor is explained."""
    tried = [(mutant, outcomes[mutant["number"]]) for mutant in mutants if mutant["number"] in outcomes]
    counted = [(mutant, result) for mutant, result in tried if not stillborn(result)]
    survivors = [mutant for mutant, result in counted if result["outcome"] == "survived"]
    reasons = explained()
    found = [reasons.get(identity(mutant), ("open", "")) for mutant in survivors]
    same = sum(kind in SAME for kind, _ in found)
    killed = len(counted) - len(survivors)
    score = 100 * killed / (len(counted) - same)
    lines = [
        "",
        f"{len(counted)} mutants, {killed} killed ({100 * killed / len(counted):.1f} %); of the",
        f"{len(counted) - same} that are not equivalent to the compiler as it is, **{score:.1f} %**. Another",
        f"{len(tried) - len(counted)} could not be imported at all, and do not count.",
        "",
        *by_folder(counted),
        "",
        *table_of_survivors(survivors, found),
        "",
    ]
    page = HERE / "README.md"
    before, _, rest = page.read_text().partition(START)
    page.write_text(before + START + "\n" + "\n".join(lines) + END + rest.partition(END)[2])
    for mutant, (_, why) in zip(survivors, found, strict=True):
        if not why:
            print(f"not explained: {mutant['file']}:{mutant['line']} {mutant['before']} -> {mutant['after']}")
    print(f"{len(counted)} mutants, {killed} killed, {same} equivalent: {score:.1f} %")
    return 0 if score >= WANTED and all(why for _, why in found) else 1


def stillborn(result: dict[str, Any]) -> bool:
    """Nothing can be imported with it, so any test at all would notice."""
    return result["why"].startswith("collecting:")


def identity(mutant: dict[str, Any]) -> tuple[str, ...]:
    """A mutant wherever its line has moved to."""
    return tuple(mutant[field] for field in FIELDS[:4])


def explained() -> dict[tuple[str, ...], tuple[str, str]]:
    """Kind and reason of each survivor that somebody has read."""
    with (HERE / "survivors.csv").open(newline="") as file:
        return {identity(row): (row["kind"], row["why"]) for row in csv.DictReader(file)}


def by_folder(counted: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[str]:
    counts: dict[str, Counter[str]] = {}
    for mutant, result in counted:
        for folder in (mutant["file"].rpartition("/")[0] + "/", "all"):
            counts.setdefault(folder, Counter())[result["outcome"]] += 1
    lines = ["| folder | mutants | killed by a failing test | by taking too long | survivors |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for folder in sorted(counts, key=lambda folder: (folder == "all", folder)):
        of = counts[folder]
        name = folder if folder == "all" else f"`{folder}`"
        lines.append(f"| {name} | {of.total()} | {of['killed']} | {of['timeout']} | {of['survived']} |")
    return lines


def table_of_survivors(survivors: list[dict[str, Any]], found: list[tuple[str, str]]) -> list[str]:
    lines = ["| where | what becomes what | kind | why it stays |", "| --- | --- | --- | --- |"]
    rows = sorted(zip(survivors, found, strict=True), key=lambda row: (row[0]["file"], row[0]["line"]))
    for mutant, (kind, why) in rows:
        change = " → ".join(f"``{cell(mutant[text])}``" for text in ("before", "after"))
        lines.append(f"| `{mutant['file']}:{mutant['line']}` | {change} | {kind} | {cell(why)} |")
    return lines


def cell(text: str) -> str:
    """Text that does not end a cell of a table."""
    return text.replace("|", "\\|")
