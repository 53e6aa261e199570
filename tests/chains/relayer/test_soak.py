"""The soak of `bench.relay`, small: it fails when an intent lands twice, or not at all without a reason."""

from __future__ import annotations

import pytest

from bench.relay import soak

pytestmark = [pytest.mark.anvil, pytest.mark.slow]


async def test_every_intent_lands_once_or_has_a_reason() -> None:
    figures = await soak(60)
    assert (figures["recordedExactlyOnce"], figures["pledgedExactlyOnce"]) == (57, 30)
    assert figures["failedWithReason"] == {"already recorded": 2, "expired": 1}
    wrong = ("recordedTwice", "minedTwice", "saidFinalAndNotMined", "pledgedOtherwiseThanSaid", "unexplained")
    assert {name: figures[name] for name in wrong} == dict.fromkeys(wrong, 0)
    assert sum(figures["faults"].values()) > 10
