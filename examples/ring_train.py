"""Trains the compiled `ring` with nothing but NumPy: `python examples/ring_train.py FOLDER`.

FOLDER holds what `spec-compile ring.nnspec -t numpy -o FOLDER` wrote. Plain gradient descent along the
derivatives that the compiler wrote out, on new bumps at each step. Exits with 1 if the ring does not learn.
"""

from __future__ import annotations

import sys

import numpy as np

UNITS, AHEAD, NOISE = 48, 4, 0.3
STEPS, BATCH, RATE = 1000, 64, 8.0


def bumps(centre: np.ndarray) -> np.ndarray:
    """A smooth bump on the ring around each centre, (batch, UNITS)."""
    distance = (np.arange(UNITS) - centre[:, None] + UNITS / 2) % UNITS - UNITS / 2
    return 0.9 * np.exp(-((distance / 3) ** 2) / 2)


def draw(rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy bumps at random places, and the same further on and without the noise, (batch, UNITS) each."""
    centre = rng.uniform(0, UNITS, batch)
    return bumps(centre) + rng.normal(0, NOISE, (batch, UNITS)), bumps(centre + AHEAD)


def main(folder: str) -> int:
    """Train, and show the error on bumps that were not trained on."""
    sys.path.insert(0, folder)
    import ring_numpy

    rng = np.random.default_rng(0)
    held_out, wanted = draw(rng, 1000)
    p = ring_numpy.init(seed=0)
    weights = list(p)
    for step in range(STEPS + 1):
        if step % 200 == 0:
            error = ring_numpy.loss(p, ring_numpy.forward(p, held_out), wanted)
            print(f"step {step:4}: mean squared error {error:.4f} on held-out bumps")
        _, g = ring_numpy.gradients(p, *draw(rng, BATCH))
        for name in weights:
            p[name] = p[name] - RATE * g[name]
    unlearnt = np.mean((np.roll(held_out, AHEAD, axis=1) - wanted) ** 2)
    print(f"the noisy bumps themselves, moved {AHEAD} places: {unlearnt:.4f}")
    return 0 if error < unlearnt / 10 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
