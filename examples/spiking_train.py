"""Trains the compiled `spiking` on digits: `python examples/spiking_train.py FOLDER [ACCURACY] [EPOCHS]`.

FOLDER holds what `spec-compile spiking.nnspec -t torch -t numpy -o FOLDER` wrote. The digits come with
scikit-learn, 8 by 8 pixels; at each step a pixel spikes with a probability that is its brightness. Exits with
1 if held-out accuracy is below ACCURACY, or if the targets do not make the same of the trained parameters.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from rich.progress import track
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from agreement import agree

STEPS, BATCH, RATE = 15, 50, 1e-2


def spikes(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Trains of spikes (digits, steps, 64) of pixels (digits, 64) between 0 and 1."""
    return (rng.random((len(pixels), STEPS, 64)) < pixels[:, None]).astype(np.float32)


def main(folder: str, accuracy: float, epochs: int) -> int:
    """Train with Adam, and show what the targets make of held-out digits."""
    sys.path.insert(0, folder)
    import spiking_numpy
    import spiking_torch

    digits, rng = load_digits(), np.random.default_rng(0)
    x, held_out, y, wanted = train_test_split(digits.data / 16, digits.target, test_size=0.25, random_state=0)
    torch.set_num_threads(1)  # more would wait for each other, where layers are this small
    torch.manual_seed(0)
    model = spiking_torch.Spiking(seed=0)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0.1, epochs * -(-len(x) // BATCH))
    codes = torch.tensor(y)
    for _ in track(range(epochs), description="training"):
        trains = torch.tensor(spikes(x, rng))
        for batch in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            model.loss(model(trains[batch]), codes[batch]).backward()
            optimiser.step()
            falling.step()

    # In double precision: where a potential is all but the threshold, rounding decides who spikes.
    arrays = spiking_numpy.load_arrays(model.to_arrays())
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
    trains = spikes(held_out, rng).astype(np.float64)
    with torch.no_grad():
        values = model.double().layers(torch.tensor(trains))
    scores = {"torch": values["score"][:, -1].numpy(), "numpy": spiking_numpy.forward(arrays, trains)}
    reached = float(np.mean(scores["torch"].argmax(axis=1) == wanted))
    often = float(values["s"].mean())
    print(
        f"held-out accuracy {reached:.3f} on {len(wanted)} digits; neurons spike in {often:.0%} of the steps"
    )
    return 0 if agree(scores) and reached >= accuracy else 1


if __name__ == "__main__":
    accuracy, epochs = [*sys.argv[2:], *("0", "15")[len(sys.argv) - 2 :]]
    sys.exit(main(sys.argv[1], float(accuracy), int(epochs)))
