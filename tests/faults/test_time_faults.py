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
KINDS = tuple(dict.fromkeys(fault.kind for fault in TIME))


def test_every_kind_of_fault_over_time_is_caught(tmp_path: Path) -> None:
    """A kind in one target that has it; the long test plants all of them in all targets."""
    for at, target in enumerate(TARGETS):
        kinds = {kind for number, kind in enumerate(KINDS) if number % len(TARGETS) == at}
        faults = [fault for fault in TIME if fault.kind in kinds and fault.target == target]
        outcomes = plant_all(SPEC, target, tmp_path / target, one_of_each=True, chosen=CHOSEN, faults=faults)
        assert {outcome.kind: outcome.result for outcome in outcomes} == dict.fromkeys(kinds, "caught")


@pytest.mark.slow
@pytest.mark.parametrize("target", [*TARGETS, "keras"])
def test_every_fault_over_time_is_caught(target: str, tmp_path: Path) -> None:
    faults = [fault for fault in TIME if fault.target == target]
    outcomes = plant_all(SPEC, target, tmp_path, chosen=CHOSEN, faults=faults)
    assert [outcome.fault for outcome in outcomes if outcome.result != "caught"] == []
