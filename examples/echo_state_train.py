"""Fits the readout of the compiled `echo_state`: `python examples/echo_state_train.py FOLDER [ERROR]`.

FOLDER holds what `spec-compile echo_state.nnspec -t torch -t numpy -o FOLDER` wrote. The system is NARMA of
the tenth order (A. Atiya and A. Parlos, 2000), driven by numbers between 0 and 0.5, the reservoir as in H.
Jaeger ("Adaptive nonlinear system identification with echo state networks", NIPS 2002): 100 units, of which
each reads about five, and their squares. The error is the mean squared error over the variance, on a sequence
that the readout was not fitted to. A reproduction of that paper (https://github.com/nicoleta-kyo/ESN, run.py
of commit ea4c910) notes 0.0314, as the mean of 50 runs of 1,200 steps each. Exits with 1 if the error here
is above ERROR, or if the targets do not agree.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from agreement import agree

STEPS, WASHOUT, RIDGE, REPRODUCED = 2200, 200, 1e-9, 0.0314


def narma(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What drives the system, beside a 1, (1, steps, 2), and what it gives, (1, steps, 1)."""
    u, y = rng.uniform(0, 0.5, STEPS), np.zeros(STEPS)
    for t in range(9, STEPS - 1):
        y[t + 1] = 0.3 * y[t] + 0.05 * y[t] * y[t - 9 : t + 1].sum() + 1.5 * u[t - 9] * u[t] + 0.1
    return np.stack([u, np.ones(STEPS)], axis=-1)[None], y[None, :, None]


def main(folder: str, error: float) -> int:
    """Fit, and show how far what is told of another sequence is from what the system gives."""
    sys.path.insert(0, folder)
    import echo_state_numpy
    import echo_state_torch

    rng = np.random.default_rng(0)
    (u, y), (held_out, wanted) = narma(rng), narma(rng)
    model = echo_state_torch.EchoState(seed=0).double()
    with torch.no_grad():
        values = model.layers(torch.tensor(u))
        reservoir = torch.cat([values["h"], values["squared"]], -1)[0, WASHOUT:]
        reads = torch.cat([reservoir, torch.ones(len(reservoir), 1)], -1)
        squares = reads.T @ reads + RIDGE * torch.eye(reads.shape[1])
        fitted = torch.linalg.solve(squares, reads.T @ torch.tensor(y[0, WASHOUT:])).T
        units = values["h"].shape[-1]
        readout = {
            "h_told.weight": fitted[:, :units],
            "squared_told.weight": fitted[:, units:-1],
            "told.bias": fitted[:, -1],
        }
        arrays = model.to_arrays() | {name: array.numpy() for name, array in readout.items()}
        model.load_arrays(arrays)
        told = {
            "torch": model(torch.tensor(held_out))[:, WASHOUT:].numpy(),
            "numpy": echo_state_numpy.forward(echo_state_numpy.load_arrays(arrays), held_out)[:, WASHOUT:],
        }
    wanted = wanted[:, WASHOUT:]
    reached = float(np.mean((told["torch"] - wanted) ** 2) / wanted.var())
    print(f"error {reached:.3f} of the variance over {wanted.size:,} steps; others reproduce {REPRODUCED}")
    return 0 if agree(told) and reached <= error else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float([*sys.argv[2:], "1"][0])))
