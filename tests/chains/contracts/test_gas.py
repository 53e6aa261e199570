"""Gas stays where it was, and within what was promised."""

from __future__ import annotations

import json

import pytest

from tests.chains.contracts.gas_scene import LIMITS, SNAPSHOT, measure

pytestmark = pytest.mark.anvil
SLACK = 150
"""Zero bytes in deployed addresses and times are 12 gas cheaper each."""


async def test_gas_is_that_of_the_snapshot() -> None:
    """A change of more than the slack, up or down, is a new snapshot in the same commit."""
    used, committed = await measure(), json.loads(SNAPSHOT.read_text())
    assert used.keys() == committed.keys()
    moved = {name: (committed[name], gas) for name, gas in used.items() if abs(committed[name] - gas) > SLACK}
    assert moved == {}, "run python -m tests.chains.contracts.gas_scene and look at the difference"
    assert {name: used[name] for name, limit in LIMITS.items() if used[name] > limit} == {}
