"""Trains the compiled `lenet5` on digits: `python examples/lenet5_train.py FOLDER [ACCURACY] [EPOCHS]`.

FOLDER holds what `spec-compile lenet5.nnspec -o FOLDER` wrote. The digits come with scikit-learn, 8 by 8
pixels; each pixel becomes 3 by 3, with a border of 4 around them all, so that they are 32 by 32 as in the
paper. Exits with 1 if held-out accuracy is below ACCURACY, or if the targets do not make the same of the
trained parameters.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from rich.progress import track
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from agreement import agree

BATCH, RATE = 50, 3e-3


def enlarged(pixels: np.ndarray) -> np.ndarray:
    """(digits, 8, 8), 0 to 16 -> (digits, 32, 32), where white is -0.1 and black 1.175, as in the paper."""
    larger = np.kron(pixels / 16, np.ones((3, 3)))
    return (np.pad(larger, ((0, 0), (4, 4), (4, 4))) * 1.275 - 0.1).astype(np.float32)


def main(folder: str, accuracy: float, epochs: int) -> int:
    """Train with Adam, and show what the targets make of held-out digits."""
    sys.path.insert(0, folder)
    import lenet5_keras
    import lenet5_numpy
    import lenet5_torch

    digits = load_digits()
    x, held_out, y, wanted = train_test_split(
        enlarged(digits.images), digits.target, test_size=0.25, random_state=0
    )
    torch.manual_seed(0)
    model = lenet5_torch.Lenet5(seed=0)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    steps = epochs * -(-len(x) // BATCH)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0.1, steps)
    images, codes = torch.tensor(x), torch.tensor(y)
    for _ in track(range(epochs), description="training"):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            model.loss(model(images[batch]), codes[batch]).backward()
            optimiser.step()
            falling.step()

    arrays = model.to_arrays()
    keras_model = lenet5_keras.build_model()
    lenet5_keras.load_arrays(keras_model, arrays)
    with torch.no_grad():
        scores = {
            "torch": model(torch.tensor(held_out)).numpy(),
            "keras": keras_model.predict(held_out, verbose=0),
            "numpy": lenet5_numpy.forward(lenet5_numpy.load_arrays(arrays), held_out),
        }
    reached = float(np.mean(scores["torch"].argmax(axis=1) == wanted))
    numbers = sum(p.numel() for p in model.parameters())
    print(f"held-out accuracy {reached:.3f} on {len(wanted)} digits, with {numbers:,} numbers trained")
    return 0 if agree(scores) and reached >= accuracy else 1


if __name__ == "__main__":
    accuracy, epochs = [*sys.argv[2:], *("0", "6")[len(sys.argv) - 2 :]]
    sys.exit(main(sys.argv[1], float(accuracy), int(epochs)))
