"""The benchmark of the decoder's memory, at toy size: figures are there, nothing about them is asserted."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # `python -m benchmarks` is run from there; it is not in the package

from benchmarks.decoder import measure  # noqa: E402


def test_a_code_of_given_edges_is_compiled_and_makes_a_step() -> None:
    found = measure(edges=720, batch=2)
    assert found["edges"] == 720
    assert found["bytes"] > 0
    assert found["seconds"] > 0
