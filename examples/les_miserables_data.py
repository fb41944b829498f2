"""Makes the files of `les_miserables.nnspec`: `python examples/les_miserables_data.py [FOLDER]`.

The characters of Victor Hugo's novel and the number of chapters that two of them share, from Donald Knuth's
Stanford GraphBase, come with networkx. The files are in the repository; a test checks that this script still
makes the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

import networkx as nx


def main(folder: Path) -> None:
    """Write `characters.txt`, and `ties.csv` with a row for every two who meet."""
    folder.mkdir(exist_ok=True)
    graph = nx.les_miserables_graph()
    names = "".join(f"{name}\n" for name in graph)
    ties = "".join(f"{one},{other},{chapters}\n" for one, other, chapters in graph.edges(data="weight"))
    (folder / "characters.txt").write_text(names, encoding="utf-8", newline="")
    (folder / "ties.csv").write_text(f"one,other,chapters\n{ties}", encoding="utf-8", newline="")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("les_miserables"))
