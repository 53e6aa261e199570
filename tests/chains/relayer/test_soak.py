"""The soak of `bench.relay`, small: it fails when an intent lands twice, or not at all without a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.relay import soak
from bench.relay_checks import Task, judged
from chains.contracts.registry import pledge_call
from chains.relayer import Call, Journal
from tests.chains.contracts.world import World
from tests.chains.relayer.scenes import automine, relayer

pytestmark = [pytest.mark.anvil, pytest.mark.slow]


async def test_every_intent_lands_once_or_has_a_reason() -> None:
    figures = await soak(60)
    assert (figures["recordedExactlyOnce"], figures["pledgedExactlyOnce"]) == (57, 30)
    assert figures["failedWithReason"] == {"already recorded": 2, "expired": 1}
    wrong = ("recordedTwice", "minedTwice", "saidFinalAndNotMined", "pledgedOtherwiseThanSaid", "unexplained")
    assert {name: figures[name] for name in wrong} == dict.fromkeys(wrong, 0)
    assert sum(figures["faults"].values()) > 10


async def test_a_double_send_is_seen(venue: World, tmp_path: Path) -> None:
    """A pledge under two keys is two transactions, which the soak's look at the blocks does not let pass."""
    sender = 5
    call = Call("pledge:9", venue.registry, pledge_call(sender, 10), "pledge")
    await automine(venue, True)
    s = await venue.submission(account_id=sender)
    await venue.prove_and_submit(s)
    with Journal(tmp_path / "relayer.db") as journal:
        await relayer(venue, journal).relay(call, yes=True)
        clean = await judged({101: venue}, [(Task(101, sender, call), "")])
        await relayer(venue, journal).relay(replace(call, key="another"), yes=True)
    doubled = await judged({101: venue}, [(Task(101, sender, call), "")])
    names = ("pledgedExactlyOnce", "minedTwice", "pledgedOtherwiseThanSaid")
    assert [clean[name] for name in names] == [1, 0, 0]
    assert [doubled[name] for name in names] == [1, 1, 1]
