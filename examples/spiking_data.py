"""Makes the file of `spiking.nnspec`: `python examples/spiking_data.py [FOLDER]`.

Neurons stand on a sheet of 8 by 8, a unit apart. Each hears six others, near ones rather than far ones and
none from six units on; a fifth of the neurons inhibit whom they reach. The file is in the repository; a test
checks that this script still makes the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

SIDE, HEARD, INHIBITING, NEAR, FAR = 8, 6, 0.2, 2, 6


def synapses() -> str:
    """Source, target, sign and distance of every synapse, as csv."""
    rng = np.random.default_rng(0)
    place = np.array([(row, column) for row in range(SIDE) for column in range(SIDE)])
    sign = np.where(rng.random(len(place)) < INHIBITING, -1, 1)
    rows = ["source,target,sign,distance"]
    for target in range(len(place)):
        distance = np.sqrt(((place - place[target]) ** 2).sum(axis=1))
        likely = np.where((distance > 0) & (distance < FAR), np.exp(-distance / NEAR), 0)
        heard = rng.choice(len(place), HEARD, replace=False, p=likely / likely.sum())
        rows += [f"{i},{target},{sign[i]},{distance[i]:.2f}" for i in np.sort(heard)]
    return "\n".join(rows) + "\n"


def main(folder: Path) -> None:
    """Write the file."""
    folder.mkdir(exist_ok=True)
    (folder / "synapses.csv").write_text(synapses(), encoding="utf-8", newline="")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("spiking"))
