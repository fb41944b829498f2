"""Trains the compiled `tied_autoencoder` with NumPy: `python examples/tied_autoencoder_train.py FOLDER`.

FOLDER holds what `spec-compile tied_autoencoder.nnspec -t numpy -o FOLDER` wrote. Gradient descent with
momentum along the derivatives that the compiler wrote out, on handwritten digits that come with scikit-learn.
As many principal components, whose numbers have no bounds, stand beside the code. Exits with 1 if the error
on held-out digits is above a quarter of that which the mean digit makes.
"""

from __future__ import annotations

import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

EPOCHS, BATCH, RATE, MOMENTUM = 80, 32, 0.2, 0.95


def main(folder: str) -> int:
    """Train, and show the error on digits that were not trained on."""
    sys.path.insert(0, folder)
    import tied_autoencoder_numpy as net

    x, held_out = train_test_split(load_digits().data / 16, test_size=0.25, random_state=0)
    mean = x.mean(axis=0)
    _, _, components = np.linalg.svd(x - mean, full_matrices=False)
    p, rng = net.init(seed=0), np.random.default_rng(0)
    code = components[: len(p["code.bias"])]
    from_components = mean + (held_out - mean) @ code.T @ code

    moved = {name: np.zeros_like(array) for name, array in p.items()}
    for epoch in range(EPOCHS + 1):
        error = np.mean((net.forward(p, held_out) - held_out) ** 2)
        if epoch % 20 == 0:
            print(f"epoch {epoch:2}: mean squared error {error:.4f} on held-out digits")
        for batch in np.split(rng.permutation(len(x)), range(BATCH, len(x), BATCH)):
            _, g = net.gradients(p, x[batch])
            for name in p:
                moved[name] = MOMENTUM * moved[name] - RATE * g[name]
                p[name] = p[name] + moved[name]
    of_mean = np.mean((mean - held_out) ** 2)
    print(f"{len(code)} principal components: {np.mean((from_components - held_out) ** 2):.4f}")
    print(f"the mean digit: {of_mean:.4f}")
    return 0 if error <= of_mean / 4 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
