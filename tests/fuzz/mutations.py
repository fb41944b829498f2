"""Specs damaged at random: pieces moved, doubled, dropped, exchanged, numbers and names made extreme."""

from __future__ import annotations

import random
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("examples", "tests/specs", "tests/identity", "tests/bad")
PIECE = re.compile(r"\w+|\s+|->|\.\.|//|\*\*|[<>=!]=|.", re.DOTALL)

EXTREMES = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "1e9",
    "1e308",
    "1e999",
    "9**9**9**9",
    "2**63",
    "9223372036854775807",
    "99999999999999999999",
    "0.5",
    "1/0",
    "1e-320",
    "1000000000",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "->",
    "..",
    ":",
    ";",
    ",",
    "|",
    "&",
    "-",
    "~",
    "=",
    "==",
    "!=",
    "<=",
    "**",
    "//",
    "%",
    ".",
    '"',
    "#",
    "\\",
    "\x00",
    "\ufeff",
    "\u202e",
    "🦀",
    "é",
    "all",
    "one_to_one",
    "random",
    "load",
    "window",
    "none",
    "true",
    "false",
    "off",
    "class",
    "with",
    "as",
    "for",
    "in",
    "and",
    "or",
    "not",
    "seed",
    "fan_in",
    "weight",
    "wrap",
    "skip",
    "merge",
    "error",
    "i",
    "j",
    "k",
    "h{k}",
    "h{k-1}",
    "{0->0}",
    "{i->i+1}",
    "{i->j:i<j}",
    "{i->j:abs(i-j)<=2;outside=wrap}",
    'load("data/A.npy",rows=source)',
    'load("../../../etc/passwd")',
    'load("/dev/zero")',
    'load(".")',
    '""',
    '"{k}"',
    "__import__",
    "os.system('x')",
    "forward",
    "train",
    "self",
    "torch",
    "lambda",
    "None",
]


def corpus(folders: tuple[str, ...] = FOLDERS) -> list[str]:
    """All specs in these folders of the repository, good and bad."""
    return [path.read_text(errors="replace") for f in folders for path in sorted((ROOT / f).glob("*.nnspec"))]


def mutated(spec: str, others: list[str], rng: random.Random) -> str:
    """A spec with one to six damages, mostly few."""
    pieces = PIECE.findall(spec)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        if not pieces:
            return ""
        at = rng.randrange(len(pieces))
        length = min(rng.choice((1, 1, 1, 2, 5, 20)), len(pieces) - at)
        match rng.randrange(7):
            case 0:
                del pieces[at : at + length]
            case 1:
                pieces[at:at] = pieces[at : at + length]
            case 2:
                other = rng.randrange(len(pieces))
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case 3:
                pieces[at] = rng.choice(EXTREMES)
            case 4:
                pieces[at:at] = [" ", rng.choice(EXTREMES), " "]
            case 5:
                donor = PIECE.findall(rng.choice(others))
                start = rng.randrange(len(donor) or 1)
                pieces[at:at] = donor[start : start + rng.choice((1, 3, 10, 40))]
            case _:
                numbers = [i for i, piece in enumerate(pieces) if piece.isdigit()]
                if numbers:
                    pieces[rng.choice(numbers)] = rng.choice(EXTREMES[:17])
    return "".join(pieces)
