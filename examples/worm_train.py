"""Trains the compiled `worm`: `python examples/worm_train.py FOLDER [ACCURACY]`.

FOLDER holds what `spec-compile worm.nnspec -o FOLDER` wrote. A worm that is touched in front moves backward,
one that is touched behind moves forward (M. Chalfie and others, 1985). Touches are drawn: when they come, for
how long, how strong, and which of the neurons feel them that are there. Noise is felt all the time, and a
weaker touch at the other end. Which way the worm moves is read of its motor neurons at the last step, when no
touch is felt any more. Then neurons are removed, of which training knew nothing, and what is left of each
response is shown. Exits with 1 if held-out accuracy is below ACCURACY, or if the targets do not agree.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from agreement import agree

FRONT, STEPS, NOISE = ("ALML", "ALMR", "AVM"), 24, 0.3
TURNS, BATCH, HELD_OUT, RATE = 80, 64, 1000, 0.01
REMOVED = {
    "the whole worm": (),
    "without AVA and AVD": ("AVAL", "AVAR", "AVDL", "AVDR"),
    "without AVB and PVC": ("AVBL", "AVBR", "PVCL", "PVCR"),
}


def draw(rng: np.random.Generator, names: np.ndarray, worms: int) -> tuple[np.ndarray, np.ndarray]:
    """What each neuron feels at each step, (worms, steps, neurons), and 1 for backward, (worms, 1)."""
    in_front, backward = np.isin(names, FRONT), rng.random((worms, 1)) < 0.5
    felt, steps = NOISE * rng.normal(size=(worms, STEPS, len(names))), np.arange(STEPS)
    for touched, least, most in (in_front == backward, 1.0, 2.0), (in_front != backward, 0.0, 0.5):
        starts, lasts = rng.integers(2, 9, (worms, 1)), rng.integers(3, 6, (worms, 1))
        during = (starts <= steps) & (steps < starts + lasts)
        feels = touched & (rng.random(touched.shape) < 0.8)
        feels |= touched & ~feels.any(axis=1, keepdims=True)
        felt += during[:, :, None] * (rng.uniform(least, most, (worms, 1)) * feels)[:, None]
    return felt.astype(np.float32), backward.astype(np.float32)


def train(model: torch.nn.Module, rng: np.random.Generator, names: np.ndarray) -> None:
    """Train with Adam on worms that are drawn anew for each batch."""
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0.05, TURNS)
    for _ in track(range(TURNS), description="training"):
        touch, backward = map(torch.tensor, draw(rng, names, BATCH))
        optimiser.zero_grad()
        _, away = model(touch)
        model.loss(away, backward).backward()
        optimiser.step()
        falling.step()


def without(
    units: np.ndarray, arrays: dict[str, np.ndarray], edges: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The parameters of a worm in which some neurons have no synapses and gap junctions to others."""
    arrays = {name: array.copy() for name, array in arrays.items()}
    for name in ("signed", "unsigned"):
        arrays[f"{name}.weight"][np.isin(edges[f"{name}.source"], units)] = 0
    for name in ("one_side", "other_side"):
        of_units = np.isin(edges[f"{name}.source"], units)
        arrays["conductance"][edges[f"{name}.target"][of_units]] = 0
    return arrays


def main(folder: str, least: float) -> int:
    """Train, and show how many worms move the right way, whole and with neurons removed."""
    sys.path.insert(0, folder)
    import worm_keras
    import worm_numpy
    import worm_torch

    names, neurons = (worm_torch.unit_names(axis) for axis in ("skin", "neuron"))
    torch.set_num_threads(1)  # which is quicker for so few numbers at each step
    rng, edges = np.random.default_rng(0), np.load(Path(folder) / "worm.npz")
    touch, backward = draw(rng, names, HELD_OUT)
    model = worm_torch.Worm(seed=0)
    train(model, rng, names)

    arrays = model.to_arrays()
    keras_model = worm_keras.build_model()
    worm_keras.load_arrays(keras_model, arrays)
    for what, removed in REMOVED.items():
        units = np.flatnonzero(np.isin(neurons, removed))
        told = worm_numpy.forward(worm_numpy.load_arrays(without(units, arrays, edges)), touch)[1]
        right = (told > 0) == (backward > 0)
        front, behind = (right[backward == way].mean() for way in (1, 0))
        print(f"{what:20} touched in front {front:6.1%} move backward, behind {behind:6.1%} forward")
    with torch.no_grad():
        away = {
            "torch": model(torch.tensor(touch))[1].numpy(),
            "keras": keras_model.predict(touch, verbose=0)[1],
            "numpy": worm_numpy.forward(worm_numpy.load_arrays(arrays), touch)[1],
        }
    reached = float(((away["torch"] > 0) == (backward > 0)).mean())
    print(f"{reached:.1%} of {HELD_OUT:,} held-out worms move away")
    return 0 if agree(away) and reached >= least else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float([*sys.argv[2:], "0"][0])))
