"""Trains a larger model with the compiled part in it: `python examples/hundred_thousand_train.py FOLDER`.

FOLDER holds what `spec-compile hundred_thousand.nnspec -t torch -o FOLDER` wrote. The model is the tutorials'
perceptron, with the part between its hidden layer and its readout. The task, ten noisy patterns, is easy and
would be learnt without the part too: what this shows is that one optimiser trains what stands before, in and
behind it, at a cost that goes with the edges. Exits with 1 if the loss does not fall.
"""

from __future__ import annotations

import sys
import time

import torch
from torch import Tensor, nn

FEATURES, NEURONS, CLASSES = 64, 100_000, 10
STEPS, BATCH = 25, 64


class Larger(nn.Module):
    """Dense, the given wiring, dense: (batch, FEATURES) to scores (batch, CLASSES)."""

    def __init__(self, wiring: nn.Module) -> None:
        super().__init__()
        self.before = nn.Linear(FEATURES, NEURONS)
        self.wiring = wiring
        self.behind = nn.Linear(NEURONS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of every class."""
        return self.behind(self.wiring(torch.tanh(self.before(x))))


def draw(patterns: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """Patterns with noise, (samples, FEATURES), and which ones they are, (samples,)."""
    labels = torch.randint(CLASSES, (samples,))
    return patterns[labels] + 2 * torch.randn(samples, FEATURES), labels


def main(folder: str) -> int:
    """Train, and show the loss, and how many new samples are told apart."""
    sys.path.insert(0, folder)
    from hundred_thousand_torch import HundredThousand

    torch.manual_seed(0)
    model = Larger(HundredThousand(seed=0))
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-5)
    patterns = torch.randn(CLASSES, FEATURES)
    start, losses = [p.detach().clone() for p in model.parameters()], []
    begun = time.perf_counter()
    for step in range(STEPS):
        x, labels = draw(patterns, BATCH)
        loss = nn.functional.cross_entropy(model(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if step % 5 == 0 or step + 1 == STEPS:
            print(f"step {step:3}: loss {losses[-1]:.3f}")
    print(f"{(time.perf_counter() - begun) / STEPS:.2f} s a step")

    with torch.no_grad():
        x, labels = draw(patterns, 1000)
        right = (model(x).argmax(dim=1) == labels).float().mean().item()
    print(f"{right:.3f} of 1000 new samples are told right")
    for (name, p), old in zip(model.named_parameters(), start, strict=True):
        print(f"{name}: {p.numel():,} numbers, moved by {(p - old).square().mean().sqrt():.1e} each")
    return 0 if losses[-1] < losses[0] / 4 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
