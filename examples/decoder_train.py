"""Trains the compiled `decoder` or `min_sum_decoder`: `python examples/decoder_train.py FOLDER [RATIO]`.

FOLDER holds what `spec-compile decoder.nnspec -o FOLDER` wrote, with `-D bits=63 -D checks=18 -D turns=5` for
the longer code, or the same of `min_sum_decoder.nnspec`. Words of the code are sent as 1 for a bit 0 and -1
for a bit 1 over a channel that adds Gaussian noise. The bit errors of the decoder that is trained, on words
that it has not seen, stand beside those of the decoder before training, which is plain belief propagation.
Exits with 1 if more than RATIO of its errors remain, or if the targets do not make the same of the trained
parameters.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from agreement import agree
from decoder_data import code

STEPS, BATCH, RATE = 300, 120, 1e-2
TRAINED_AT, TESTED_AT = range(1, 7), (3, 4, 5, 6)  # the energy of a free bit over the noise's, in dB
TESTED_ON = 6000


def transmit(
    rng: np.random.Generator, generators: np.ndarray, decibels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Words drawn from the code, (words, bits), and the logarithm of the odds that each bit heard is 0."""
    free, bits = generators.shape
    sent = rng.integers(2, size=(len(decibels), free)) @ generators % 2
    variance = 1 / (2 * free / bits * 10 ** (decibels[:, None] / 10))
    heard = 1 - 2 * sent + rng.normal(size=sent.shape) * np.sqrt(variance)
    return sent.astype(np.float32), (2 * heard / variance).astype(np.float32)


def train(model: torch.nn.Module, generators: np.ndarray, rng: np.random.Generator) -> None:
    """Train with Adam on words that are new in each step, at all levels of noise."""
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0.05, STEPS)
    for _ in track(range(STEPS), description="training"):
        sent, heard = map(torch.tensor, transmit(rng, generators, rng.choice(TRAINED_AT, size=BATCH)))
        odds = model(heard)  # after every turn, of which each is compared with what was sent
        optimiser.zero_grad()
        model.loss(odds, sent.unsqueeze(1).expand_as(odds)).backward()
        optimiser.step()
        falling.step()


def decoded(model: torch.nn.Module, heard: np.ndarray) -> np.ndarray:
    """Of each bit, the logarithm of the odds that it is 1 behind the last turn, (words, bits)."""
    with torch.no_grad():
        return torch.cat([model(part)[:, -1] for part in torch.tensor(heard).split(500)]).numpy()


def main(folder: str, ratio: float) -> int:
    """Train, and show how many bits are wrong at each level of noise."""
    sys.path.insert(0, folder)
    [name] = (path.name.removesuffix("_torch.py") for path in Path(folder).glob("*decoder_torch.py"))
    in_torch, in_keras, in_numpy = (
        import_module(f"{name}_{target}") for target in ("torch", "keras", "numpy")
    )
    make = in_torch.Decoder if name == "decoder" else in_torch.MinSumDecoder

    plain, model = make(), make()
    numbers = sum(p.numel() for p in model.parameters())
    generators, _ = code(len(in_numpy.init()["heard_odds.weight"]))
    rng = np.random.default_rng(0)
    tests = {at: transmit(rng, generators, np.full(TESTED_ON, at)) for at in TESTED_AT}
    train(model, generators, rng)

    print(f"{numbers:,} weights trained; bits wrong of {TESTED_ON} words of {generators.shape[1]} bits:")
    print("  dB  as heard    plain  trained")
    ratios = []
    for at, (sent, heard) in tests.items():
        odds = -heard, decoded(plain, heard), decoded(model, heard)
        wrong = [np.mean((each > 0) != sent) for each in odds]
        ratios.append(wrong[2] / wrong[1])
        print(f"  {at:2}  {wrong[0]:8.5f}  {wrong[1]:7.5f}  {wrong[2]:7.5f}")
    reached = float(np.exp(np.mean(np.log(ratios))))
    print(f"{reached:.2f} of the plain decoder's errors remain, in the geometric mean")

    arrays = model.to_arrays()
    keras_model = in_keras.build_model()
    in_keras.load_arrays(keras_model, arrays)
    heard = tests[TESTED_AT[0]][1][:100]
    scores = {
        "torch": decoded(model, heard),
        "keras": keras_model.predict(heard, verbose=0)[:, -1],
        "numpy": in_numpy.forward(in_numpy.load_arrays(arrays), heard)[:, -1],
    }
    # Near 1, atanh makes much of the last digit of a product in single precision.
    return 0 if agree(scores, within=1e-3) and reached <= ratio else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1.0))
