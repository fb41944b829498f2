"""Whether targets agree: what the training scripts of the examples end with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def agree(scores: Mapping[str, np.ndarray], within: float = 1e-5) -> bool:
    """Print how far the scores (samples, ...) that targets give for one batch differ; whether they agree.

    They do where no two differ by more than `within` of the largest score.
    """
    largest = np.abs(scores["numpy"]).max()
    apart = max(float(np.abs(score - scores["numpy"]).max() / largest) for score in scores.values())
    verdict = "agree" if apart <= within else "DO NOT AGREE"
    *others, last = scores
    print(f"{', '.join(others)} and {last} {verdict}: scores differ by at most {apart:.0e} of the largest")
    return apart <= within
