"""The soak of `bench.relay`, small: it fails when one submission lands twice, or not at all without a reason."""

from __future__ import annotations

import pytest

from bench.relay import soak

pytestmark = [pytest.mark.anvil, pytest.mark.slow]


async def test_every_submission_lands_once_or_has_a_reason() -> None:
    figures = await soak(60)
    assert figures["recordedExactlyOnce"] == 57
    assert figures["failedWithReason"] == {"already recorded": 2, "expired": 1}
    assert figures["unexplained"] == 0
    assert sum(figures["faults"].values()) > 10
