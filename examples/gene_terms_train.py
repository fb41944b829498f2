"""Trains the compiled `gene_terms`: `python examples/gene_terms_train.py FOLDER [DETERMINATION]`.

FOLDER holds what `spec-compile gene_terms.nnspec -o FOLDER` wrote. Terms and genes are real, the cells are
drawn: each gene is lost with a chance of one in twenty. What a term does is impaired by the share of its
genes that are lost, and by what is impaired below it; a cell grows less the more any two of the processes
that DNA repair has directly below it are impaired at once, for they stand in for each other. Exits with 1 if
held-out determination (R squared) is below DETERMINATION, or if the targets do not make the same of the
trained parameters.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from agreement import agree

TABLES = Path(__file__).parent / "gene_terms"
CELLS, HELD_OUT, LOST, NOISE = 4000, 2000, 0.05, 0.1
EPOCHS, BATCH, RATE = 40, 50, 1e-2


def table(name: str) -> list[dict[str, str]]:
    """The rows of a table."""
    with (TABLES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def draw(rng: np.random.Generator, genes: list[str], cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Which genes each cell has lost, 0 or 1 in (cells, genes), and how well it grows, (cells, 1)."""
    lost = rng.random((cells, len(genes))) < LOST
    own, below = {}, {}
    for row in table("annotations.csv"):
        own.setdefault(row["term"], []).append(genes.index(row["gene"]))
    for row in table("parents.csv"):
        below.setdefault(row["parent"], []).append(row["term"])

    def impaired(term: str) -> np.ndarray:
        parts = [np.tanh(4 * lost[:, own[term]].mean(axis=1))] if term in own else []
        return np.max([*parts, *(0.8 * impaired(part) for part in below.get(term, []))], axis=0)

    processes = np.stack([impaired(term) for term in below["DNA repair"]])
    pairs = processes.sum(axis=0) ** 2 - (processes**2).sum(axis=0)
    growth = 1 - np.tanh(pairs / 4) + NOISE * rng.normal(size=cells)
    return lost.astype(np.float32), growth[:, None].astype(np.float32)


def determination(told: np.ndarray, growth: np.ndarray) -> float:
    """R squared: 1 less the share of the variance that is not told."""
    return 1 - float(np.mean((told - growth) ** 2) / np.var(growth))


def train(model: torch.nn.Module, lost: Tensor, growth: Tensor) -> None:
    """Train with Adam on shuffled batches, all heads together."""
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0.05, EPOCHS)
    for _ in track(range(EPOCHS), description="training"):
        for batch in torch.randperm(len(lost)).split(BATCH):
            values = model.layers(lost[batch])
            optimiser.zero_grad()
            model.loss(*(values[f"growth{level}"] for level in range(4)), growth[batch]).backward()
            optimiser.step()
        falling.step()


def main(folder: str, least: float) -> int:
    """Draw cells, train, and show what each level's head tells of held-out ones."""
    sys.path.insert(0, folder)
    import gene_terms_keras
    import gene_terms_numpy
    import gene_terms_torch

    genes, rng = gene_terms_torch.unit_names("gene").tolist(), np.random.default_rng(0)
    lost, growth = draw(rng, genes, CELLS)
    held_out, wanted = draw(rng, genes, HELD_OUT)
    model = gene_terms_torch.GeneTerms(seed=0)
    train(model, torch.tensor(lost), torch.tensor(growth))

    arrays = model.to_arrays()
    keras_model = gene_terms_keras.build_model()
    gene_terms_keras.load_arrays(keras_model, arrays)
    p = gene_terms_numpy.load_arrays(arrays)
    values = gene_terms_numpy.layers(p, held_out)
    for level in range(3, -1, -1):
        terms = len(gene_terms_numpy.unit_names(f"at{level}"))
        told = determination(values[f"growth{level}"], wanted)
        print(f"level {level}: R2 {told:5.2f} from {terms} {'terms' if terms > 1 else 'term'} and all below")
    weights, *_ = np.linalg.lstsq(np.pad(lost, ((0, 0), (0, 1)), constant_values=1), growth)
    print(f"a sum over genes alone: R2 {determination(held_out @ weights[:-1] + weights[-1], wanted):.2f}")

    with torch.no_grad():
        scores = {
            "torch": model(torch.tensor(held_out)).numpy(),
            "keras": keras_model.predict(held_out, verbose=0),
            "numpy": gene_terms_numpy.forward(p, held_out),
        }
    reached = determination(scores["torch"], wanted)
    return 0 if agree(scores) and reached >= least else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
