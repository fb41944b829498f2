"""The generated tests fail for every fault in how a network runs over time."""

from __future__ import annotations

from pathlib import Path

import pytest
from planting import plant_all
from planting_time import TIME

SPEC = Path(__file__).parent.parent / "specs" / "delays.nnspec"
# The tests that hold values, gradients, states and masks; the quick ones of them come first.
CHOSEN = "is_exact or pieces_give or drops_its_share or layers_are_those or forward_is"
TARGETS = ("numpy", "torch")


# Each of another part of the backward pass and of the state; the long test plants all of them.
QUICK = ("delay off by one", "state left out", "gradient cut between steps", "start's gradient lost")


def test_some_kinds_of_faults_over_time_are_caught(tmp_path: Path) -> None:
    faults = [fault for fault in TIME if fault.kind in QUICK and fault.target == "numpy"]
    chosen = "is_exact or pieces_give"
    outcomes = plant_all(SPEC, "numpy", tmp_path, one_of_each=True, chosen=chosen, faults=faults)
    assert {outcome.kind: outcome.result for outcome in outcomes} == dict.fromkeys(QUICK, "caught")


@pytest.mark.slow
@pytest.mark.parametrize("target", [*TARGETS, "keras"])
def test_every_fault_over_time_is_caught(target: str, tmp_path: Path) -> None:
    faults = [fault for fault in TIME if fault.target == target]
    outcomes = plant_all(SPEC, target, tmp_path, chosen=CHOSEN, faults=faults)
    assert [outcome.fault for outcome in outcomes if outcome.result != "caught"] == []
