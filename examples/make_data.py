"""Makes the small files in `data/` that the examples read: `python examples/make_data.py`.

The files are in the repository; a test checks that this script still makes the same.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SIDE = 8


def pixel_grid() -> str:
    """The four-neighbourhood of an 8 by 8 grid as csv, both directions of every edge."""
    rows = ["source,target"]
    for row in range(SIDE):
        for column in range(SIDE):
            for down, right in ((-1, 0), (0, -1), (0, 1), (1, 0)):
                r, c = row + down, column + right
                if 0 <= r < SIDE and 0 <= c < SIDE:
                    rows.append(f"{r * SIDE + c},{row * SIDE + column}")
    return "\n".join(rows) + "\n"


def masks() -> dict[str, np.ndarray]:
    """A 20 x 12 wiring matrix, a tenth of it held at given weights, and the units that have a bias."""
    rng = np.random.default_rng(0)
    wiring = (rng.random((20, 12)) < 0.4).astype(np.uint8)
    fixed = wiring * (rng.random((20, 12)) < 0.25).astype(np.uint8)
    held = rng.normal(0, 0.3, int(fixed.sum())).astype(np.float32)
    has_bias = np.array([1, 1, 0, 1, 0, 1, 1, 1, 0, 1, 1, 0], np.uint8)
    return {"A.npy": wiring, "fixed.npy": fixed, "held.npy": held, "has_bias.npy": has_bias}


def neurons_by_inputs() -> np.ndarray:
    """The lists of `neuron_lists.nnspec` as a 0/1 matrix, (neurons, inputs)."""
    inputs = [[0, 3, 7], [1, 2], [2, 3, 5, 8], [0, 9], [1, 4, 5, 6, 7, 9], [4, 6, 8]]
    matrix = np.zeros((6, 10), np.uint8)
    for neuron, own in enumerate(inputs):
        matrix[neuron, own] = 1
    return matrix


def main(folder: Path) -> None:
    """Write all files into `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "pixel_grid.csv").write_text(pixel_grid(), encoding="utf-8", newline="")
    for name, array in (masks() | {"neurons_by_inputs.npy": neurons_by_inputs()}).items():
        np.save(folder / name, array, allow_pickle=False)


if __name__ == "__main__":
    main(Path(__file__).parent / "data")
