"""Makes the edges of `hundred_thousand.nnspec`: `python examples/hundred_thousand_data.py [FOLDER]`.

Writes `neurons.csv` (about 5 MB, one edge a row) into FOLDER, where the spec looks for it if none is given.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

NEURONS, MOST = 100_000, 6


def random_inputs() -> tuple[np.ndarray, np.ndarray]:
    """Draw 2 to 6 distinct inputs for every neuron, so that every unit is read: (edges,) source and target.

    From raw bits, whose stream NumPy keeps from version to version, which it does not promise of `Generator`.
    """
    bits = np.random.PCG64(0).random_raw(NEURONS * (MOST + 1)).reshape(NEURONS, MOST + 1)
    first = np.argsort(bits[:, :1], axis=0)  # a permutation: every unit is the first input of one neuron
    further = np.cumsum(1 + bits[:, 1:MOST] % (NEURONS // MOST), axis=1).astype(np.int64)
    source = np.hstack([first, (first + further) % NEURONS])  # distinct: never once around
    taken = np.arange(MOST) < 2 + bits[:, MOST:] % (MOST - 1)
    return source[taken], np.nonzero(taken)[0]


def main(folder: Path) -> None:
    """Write the file."""
    folder.mkdir(parents=True, exist_ok=True)
    source, target = (ends.tolist() for ends in random_inputs())
    rows = "".join(f"{s},{t}\n" for s, t in zip(source, target, strict=True))
    (folder / "neurons.csv").write_text(f"source,target\n{rows}", encoding="utf-8", newline="")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("hundred_thousand"))
