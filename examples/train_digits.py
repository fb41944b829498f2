"""Trains the compiled `graph_mlp` on handwritten digits: `python examples/train_digits.py FOLDER [ACCURACY]`.

FOLDER holds what `spec-compile graph_mlp.nnspec -o FOLDER` wrote. Exits with 1 if held-out accuracy is below
ACCURACY, or if the three targets do not make the same of the trained parameters.
"""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import torch
from rich.progress import track
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from agreement import agree


def train(module: ModuleType, pixels: np.ndarray, digits: np.ndarray, epochs: int = 60) -> torch.nn.Module:
    """The PyTorch module, trained with Adam on shuffled batches of 64."""
    torch.manual_seed(0)
    model = module.GraphMlp(seed=0)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    x, y = torch.tensor(pixels), torch.tensor(digits)
    for _ in track(range(epochs), description="training"):
        for batch in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            model.loss(model(x[batch]), y[batch]).backward()
            optimiser.step()
    return model.eval()


def main(folder: str, accuracy: float) -> int:
    """Train, and show what the targets make of held-out digits."""
    sys.path.insert(0, folder)
    import graph_mlp_keras
    import graph_mlp_numpy
    import graph_mlp_torch

    digits = load_digits()
    pixels = (digits.data / 16).astype(np.float32)
    x, held_out, y, wanted = train_test_split(pixels, digits.target, test_size=0.25, random_state=0)
    model = train(graph_mlp_torch, x, y)

    arrays = model.to_arrays()
    keras_model = graph_mlp_keras.build_model()
    graph_mlp_keras.load_arrays(keras_model, arrays)
    scores = {
        "torch": model(torch.tensor(held_out)).detach().numpy(),
        "keras": keras_model.predict(held_out, verbose=0),
        "numpy": graph_mlp_numpy.forward(graph_mlp_numpy.load_arrays(arrays), held_out),
    }
    reached = float(np.mean(scores["torch"].argmax(axis=1) == wanted))
    print(f"held-out accuracy {reached:.3f} on {len(wanted)} digits")
    return 0 if agree(scores) and reached >= accuracy else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
