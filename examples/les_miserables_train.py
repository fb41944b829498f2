"""Trains the compiled `les_miserables`: `python examples/les_miserables_train.py FOLDER [ACCURACY]`.

FOLDER holds what `spec-compile les_miserables.nnspec -o FOLDER` wrote. The ties are real, the rumours are
drawn: one begins with a character, and in each of two rounds everybody who knows it may tell it to those whom
they meet, with a chance of one in five for every chapter that they share. The same layers with every pair
connected are trained along, in the same way; stopped at their best epoch, they would come level, with twenty
times the numbers. Exits with 1 if held-out accuracy is below ACCURACY, or if the targets do not make the
same of the trained parameters.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from agreement import agree

TIES = Path(__file__).parent / "les_miserables" / "ties.csv"
ROUNDS, CHANCE = 2, 0.2
TRAINED_ON, HELD_OUT = 1000, 2000
EPOCHS, BATCH = 30, 50


def telling() -> tuple[list[str], np.ndarray]:
    """The characters in alphabetical order, and the chance that one tells another, a matrix."""
    with TIES.open(encoding="utf-8", newline="") as file:
        ties = [(row["one"], row["other"], int(row["chapters"])) for row in csv.DictReader(file)]
    names = sorted({name for one, other, _ in ties for name in (one, other)})
    place = {name: at for at, name in enumerate(names)}
    chance = np.zeros((len(names), len(names)))
    for one, other, chapters in ties:
        chance[place[one], place[other]] = chance[place[other], place[one]] = 1 - (1 - CHANCE) ** chapters
    return names, chance


def draw(rng: np.random.Generator, chance: np.ndarray, rumours: int) -> tuple[np.ndarray, np.ndarray]:
    """Who knows each rumour in the end, 0 or 1 in (rumours, characters), and with whom it began."""
    began = rng.integers(len(chance), size=rumours)
    knows = np.arange(len(chance)) == began[:, None]
    for _ in range(ROUNDS):
        tells = rng.random((rumours, *chance.shape)) < chance
        knows |= (knows[:, :, None] & tells).any(axis=1)
    return knows.astype(np.float32), began


def train(what: str, model: nn.Module, loss: Callable[..., Tensor], x: Tensor, y: Tensor) -> int:
    """Train with Adam on shuffled batches; returns how many numbers were trained."""
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in track(range(EPOCHS), description=what):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            loss(model(x[batch]), y[batch]).backward()
            optimiser.step()
    return sum(p.numel() for p in model.parameters())


def main(folder: str, accuracy: float) -> int:
    """Draw rumours, train, and show what becomes of held-out ones."""
    sys.path.insert(0, folder)
    import les_miserables_keras
    import les_miserables_numpy
    import les_miserables_torch

    # The columns of the rumours have an order of their own; the model's units have that of its axis.
    columns, chance = telling()
    own = les_miserables_torch.in_order(columns, "character")
    names, chance = les_miserables_torch.unit_names("character"), chance[np.ix_(own, own)]
    rng = np.random.default_rng(0)
    knows, began = draw(rng, chance, TRAINED_ON)
    held_out, wanted = draw(rng, chance, HELD_OUT)

    x, y = torch.tensor(knows), torch.tensor(began)
    model = les_miserables_torch.LesMiserables(seed=0)
    numbers = train("ties alone", model, model.loss, x, y)
    people, units = len(names), model.first.bias.numel()
    torch.manual_seed(0)
    dense = nn.Sequential(
        nn.Linear(people, units), nn.Tanh(), nn.Linear(units, units), nn.Tanh(), nn.Linear(units, people)
    )
    dense_numbers = train("every pair", dense, nn.functional.cross_entropy, x, y)

    arrays = model.to_arrays()
    p = les_miserables_numpy.load_arrays(arrays)
    keras_model = les_miserables_keras.build_model()
    les_miserables_keras.load_arrays(keras_model, arrays)
    with torch.no_grad():
        scores = {
            "torch": model(torch.tensor(held_out)).numpy(),
            "keras": keras_model.predict(held_out, verbose=0),
            "numpy": les_miserables_numpy.forward(p, held_out),
        }
        dense_reached = np.mean(dense(torch.tensor(held_out)).numpy().argmax(axis=1) == wanted)

    guesses = np.argsort(-scores["torch"], axis=1)[:, :3]
    reached = float(np.mean(guesses[:, 0] == wanted))
    print(f"held-out accuracy {reached:.3f} on {HELD_OUT} rumours, with {numbers:,} numbers trained")
    print(f"with every pair connected {dense_reached:.3f}, with {dense_numbers:,}")
    knowing = np.mean(1 / held_out.sum(axis=1))
    print(f"a guess among those who know {knowing:.3f}, among all {1 / people:.3f}")
    for sample in range(3):
        print(f"known to {', '.join(names[held_out[sample] == 1])}")
        print(f"    began with {names[wanted[sample]]}; guessed {', '.join(names[guesses[sample]])}")
    _, g = les_miserables_numpy.gradients(p, held_out, wanted)
    weighs = np.abs(g["knows"]).sum(axis=0)
    print(f"what {', '.join(names[np.argsort(-weighs)[:5]])} know says most")

    return 0 if agree(scores) and reached >= accuracy else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
