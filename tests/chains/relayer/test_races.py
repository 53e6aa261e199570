"""Several processes at one journal, each with what it read a moment ago: one effect, and the chain decides."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account

from aggregator.model.errors import TransactionError
from chains.relayer import (
    Call,
    FeeLimits,
    Finality,
    Journal,
    Kind,
    LocalSigner,
    Plan,
    Relayer,
    SignedTransaction,
    State,
    retry,
)
from chains.rpc.provider import web3_on
from tests.chains.contracts.world import World
from tests.chains.relayer.scenes import FAST, automine, pledge, pledged, relayer, sent, stored, until

pytestmark = pytest.mark.anvil


def held(working: Relayer) -> asyncio.Event:
    """Its try runs wait for the event."""
    gate, plan = asyncio.Event(), working.plan

    async def slow(call: Call) -> Plan:
        await gate.wait()
        return await plan(call)

    working.plan = slow  # type: ignore[method-assign]
    return gate


async def test_a_failing_try_run_does_not_fail_what_another_process_has_sent(
    venue: World, journal: Journal
) -> None:
    """It reads the intent, another one signs and sends it, its own try run fails: it follows the other's."""
    call = pledge(venue)
    with Journal(journal.location) as second:
        first, late = (
            relayer(venue, journal),
            relayer(venue, second, replace(FAST, limits=FeeLimits(max_fee_wei=1))),
        )
        journal.intend(first._intent(call))
        gate = held(late)
        slower = asyncio.create_task(late.relay(call, yes=True))
        await asyncio.sleep(0.05)
        faster = asyncio.create_task(first.relay(call, yes=True))
        await until(journal, call.key, State.BROADCAST)
        gate.set()
        await asyncio.sleep(0.2)
        assert stored(journal, call.key).state is State.BROADCAST
        await venue.net.mine()
        outcomes = await asyncio.gather(slower, faster)
    assert [o.state for o in outcomes] == [State.FINAL, State.FINAL]
    assert [o.resumed for o in outcomes] == [True, True]
    assert (await retry(relayer(venue, journal), call.key)).already
    assert (await sent(venue), await pledged(venue)) == (1, 10)


async def test_a_call_in_a_block_makes_its_own_try_run_fail(venue: World, journal: Journal) -> None:
    """The room for the pledge is used up, by this very pledge: it is not failed, and not made twice."""
    await automine(venue, True)
    call = pledge(venue, usd=1000)
    with Journal(journal.location) as second:
        first = relayer(venue, journal, replace(FAST, finality=Finality(confirmations=3)))
        late = relayer(venue, second)
        journal.intend(first._intent(call))
        gate = held(late)
        slower = asyncio.create_task(late.relay(call, yes=True))
        await asyncio.sleep(0.05)
        faster = asyncio.create_task(first.relay(call, yes=True))
        await until(journal, call.key, State.INCLUDED)
        gate.set()
        await venue.net.mine(3)
        outcomes = await asyncio.gather(slower, faster)
    assert [o.state for o in outcomes] == [State.FINAL, State.FINAL]
    assert (await sent(venue), await pledged(venue)) == (1, 1000)


async def test_a_cancel_that_read_it_before_it_was_signed(
    venue: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not fail a signed intent; it outbids it, and the chain decides."""
    call = pledge(venue)
    with Journal(journal.location) as second:
        first, canceller = relayer(venue, journal), relayer(venue, second)
        journal.intend(first._intent(call))
        stale, find, reads = second.find(call.key), second.find, 0
        following = asyncio.create_task(first.relay(call, yes=True))
        await until(journal, call.key, State.BROADCAST)

        def once_stale(key: str) -> Any:
            nonlocal reads
            reads += 1
            return stale if reads == 1 else find(key)

        monkeypatch.setattr(second, "find", once_stale)
        given_up = await canceller.give_up(call.key, "it was cancelled by the operator")
        assert given_up.state is State.BROADCAST
        assert [a.kind for a in journal.attempts(call.key)] == [Kind.CALL, Kind.CANCEL]
        await venue.net.mine()
        with pytest.raises(TransactionError, match="cancelled by the operator"):
            await following
    assert (await sent(venue), await pledged(venue)) == (1, 0)


async def test_a_bump_does_not_outbid_a_cancel(
    venue: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked at the last attempt before the other process gave the call up: what it signs is thrown away."""
    call = pledge(venue)
    hasty = relayer(venue, journal, replace(FAST, bump_s=0.0))
    with pytest.raises(TransactionError, match="not final"):
        await relayer(venue, journal, replace(FAST, timeout_s=0.1)).relay(call, yes=True)
    before = stored(journal, call.key)
    raised, price = hasty._raised, asyncio.Event()

    async def slow(last: Any) -> Any:
        price.set()
        await asyncio.sleep(0.3)
        return await raised(last)

    monkeypatch.setattr(hasty, "_raised", slow)
    bump = asyncio.create_task(hasty._offer_more_if_stuck(before))
    await price.wait()
    await relayer(venue, journal).give_up(call.key, "enough")
    assert not await bump
    assert [a.kind for a in journal.attempts(call.key)] == [Kind.CALL, Kind.CANCEL]


async def test_a_node_that_lags_does_not_bring_a_settled_nonce_back(venue: World, journal: Journal) -> None:
    await automine(venue, True)
    assert (await relayer(venue, journal).relay(pledge(venue, "one"), yes=True)).state is State.FINAL
    lagging = relayer(venue, journal)
    count = lagging.w3.eth.get_transaction_count

    async def behind_by_one(sender: Any, block: Any = "latest") -> int:
        return 0 if block == "pending" else await count(sender, block)

    lagging.w3.eth.get_transaction_count = behind_by_one  # type: ignore[assignment,method-assign]
    outcome = await lagging.relay(pledge(venue, "two", 20), yes=True)
    assert (outcome.state, outcome.intent and outcome.intent.nonce) == (State.FINAL, 1)
    assert (await sent(venue), await pledged(venue)) == (2, 30)


async def test_a_signer_that_thinks_holds_nobody_up(venue: World, journal: Journal) -> None:
    """Neither the event loop nor another writer of the journal; and cancelling waits for what it signs."""
    await automine(venue, True)
    key = venue.net.accounts[6]

    class Slow:
        """A signing service that takes its time."""

        address = key.address

        def sign(self, transaction: Mapping[str, Any]) -> SignedTransaction:
            time.sleep(1.0)
            return LocalSigner(Account.from_key(key.key)).sign(transaction)

    slow = Relayer(web3_on(venue.net.endpoint), 101, Slow(), journal, FAST)
    task = asyncio.create_task(slow.relay(Call("x", key.address, b"", "nothing"), yes=True))
    worst, started = 0.0, time.perf_counter()
    with Journal(journal.location) as second:
        while time.perf_counter() - started < 0.9:
            before = time.perf_counter()
            second.alert("nothing", "")
            await asyncio.sleep(0.01)
            worst = max(worst, time.perf_counter() - before)
    assert worst < 0.5
    assert (await task).state is State.FINAL
    cancelled = asyncio.create_task(slow.relay(Call("y", key.address, b"", "nothing"), yes=True))
    await until(journal, "y", State.INTENT)
    await asyncio.sleep(0.2)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert stored(journal, "y").state is State.SIGNED
    assert [o.state for o in await slow.resume()] == [State.FINAL]
