"""Trains the compiled `lstm` or `gru` on digits: `python examples/gated_train.py FOLDER [ACCURACY] [EPOCHS]`.

FOLDER holds what `spec-compile lstm.nnspec -t torch -t numpy -o FOLDER` wrote, or `gru.nnspec`. The digits
come with scikit-learn, 8 by 8 pixels, and are read row by row, each a step. Exits with 1 if held-out accuracy
is below ACCURACY, or if the targets do not make the same of the trained parameters.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from agreement import agree

BATCH, RATE = 50, 1e-2


def main(folder: str, accuracy: float, epochs: int) -> int:
    """Train with Adam, and show what the targets make of held-out digits."""
    sys.path.insert(0, folder)
    name = next(name for name in ("lstm", "gru") if (Path(folder) / f"{name}_torch.py").is_file())
    net = importlib.import_module(f"{name}_torch")
    in_numpy = importlib.import_module(f"{name}_numpy")

    digits = load_digits()
    rows = (digits.images / 16).astype(np.float32)  # (digits, steps, 8)
    x, held_out, y, wanted = train_test_split(rows, digits.target, test_size=0.25, random_state=0)
    torch.manual_seed(0)
    model = getattr(net, name.capitalize())(seed=0)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0.1, epochs * -(-len(x) // BATCH))
    images, codes = torch.tensor(x), torch.tensor(y)
    for _ in track(range(epochs), description="training"):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            model.loss(model(images[batch]), codes[batch]).backward()
            optimiser.step()
            falling.step()

    with torch.no_grad():
        scores = {
            "torch": model(torch.tensor(held_out)).numpy(),
            "numpy": in_numpy.forward(in_numpy.load_arrays(model.to_arrays()), held_out),
        }
    reached = float(np.mean(scores["torch"].argmax(axis=1) == wanted))
    print(f"held-out accuracy {reached:.3f} on {len(wanted)} digits")
    return 0 if agree(scores) and reached >= accuracy else 1


if __name__ == "__main__":
    accuracy, epochs = [*sys.argv[2:], *("0", "12")[len(sys.argv) - 2 :]]
    sys.exit(main(sys.argv[1], float(accuracy), int(epochs)))
