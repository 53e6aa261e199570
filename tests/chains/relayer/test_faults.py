"""Nodes that forget, lag, fail and reorganise; keys shared and nonces lost: at most one effect, and never stuck."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aggregator.model.errors import ExpiredError, InputError, TransactionError
from chains.relayer import (
    FeeLimits,
    Finality,
    Journal,
    Kind,
    State,
    cancel,
    metrics,
    retry,
    status,
    status_of,
)
from chains.rpc.provider import web3_on
from tests.chains.contracts.world import World
from tests.chains.relayer.scenes import (
    FAST,
    PATIENT,
    alerted,
    automine,
    behind,
    drop,
    known,
    pledge,
    pledged,
    relayer,
    sent,
    until,
)

pytestmark = pytest.mark.anvil


def without_receipts(method: str, _: list[Any], answer: Any) -> Any:
    """A node that lost its receipts."""
    return None if method == "eth_getTransactionReceipt" else answer


async def test_a_node_that_forgets_is_told_again(venue: World, journal: Journal) -> None:
    call = pledge(venue)
    task = asyncio.create_task(relayer(venue, journal).relay(call, yes=True))
    await until(journal, call.key, State.BROADCAST)
    for _ in range(3):
        await drop(venue, journal, call.key)
        await known(venue, journal, call.key)
    await venue.net.mine()
    assert (await task).state is State.FINAL
    assert (len(journal.attempts(call.key)), await sent(venue), await pledged(venue)) == (1, 1, 10)


async def test_a_missing_receipt_proves_nothing(venue: World, journal: Journal) -> None:
    """The nonce is spent for good and no receipt shows: it may be ours, so it is neither lost nor made anew."""
    call = pledge(venue)
    async with behind(venue) as (node, endpoint):
        node.tamper = without_receipts
        task = asyncio.create_task(relayer(venue, journal, source=endpoint).relay(call, yes=True))
        await until(journal, call.key, State.BROADCAST)
        await venue.net.mine(12)
        await alerted(journal, call.key, "has no receipt of it")
        node.tamper = lambda *args: args[2]
        assert (await task).state is State.FINAL
    assert (await sent(venue), await pledged(venue)) == (1, 10)


async def test_a_receipt_that_goes_missing_is_no_reorganisation(venue: World, journal: Journal) -> None:
    """Its block still stands, so it stays included and nothing is sent."""
    call = pledge(venue)
    async with behind(venue) as (node, endpoint):
        slow = relayer(venue, journal, replace(FAST, finality=Finality(confirmations=5)), source=endpoint)
        task = asyncio.create_task(slow.relay(call, yes=True))
        await until(journal, call.key, State.BROADCAST)
        await venue.net.mine()
        await until(journal, call.key, State.INCLUDED)
        node.tamper = without_receipts
        await alerted(journal, call.key, "has its block and not its receipt")
        node.methods.clear()
        await asyncio.sleep(0.3)
        assert "eth_sendRawTransaction" not in node.methods
        node.tamper = lambda *args: args[2]
        await venue.net.mine(5)
        outcome = await task
    assert outcome.state is State.FINAL
    assert outcome.intent is not None
    assert outcome.intent.alert == ""


@pytest.mark.parametrize("fault", ["HTTP 503", "timeouts", "dropped answers"])
async def test_a_failing_node_delays_and_no_more(venue: World, journal: Journal, fault: str) -> None:
    call = pledge(venue)
    async with behind(venue) as (node, endpoint):
        task = asyncio.create_task(relayer(venue, journal, source=endpoint).relay(call, yes=True))
        await until(journal, call.key, State.BROADCAST)
        if fault == "HTTP 503":
            node.status = 503
        elif fault == "timeouts":
            node.delay_s = 2.0
        else:
            await drop(venue, journal, call.key)
            node.before["eth_sendRawTransaction"] = lambda: asyncio.sleep(2.0)
        await asyncio.sleep(0.5)
        node.status, node.delay_s = 200, 0.0
        await venue.net.mine()
        assert (await task).state is State.FINAL
    assert (await sent(venue), await pledged(venue)) == (1, 10)


async def test_a_nonce_taken_elsewhere_is_replaced_with_proof(venue: World, journal: Journal) -> None:
    """Found also far below the final height; then the same call is made anew."""
    call, account = pledge(venue), venue.venues[0]
    with pytest.raises(TransactionError, match="not final"):
        await relayer(venue, journal, replace(PATIENT, timeout_s=0.1)).relay(call, yes=True)
    await drop(venue, journal, call.key)
    foreign = await venue.net.endpoint.call(
        "eth_sendTransaction", [{"from": account, "to": account, "nonce": "0x0"}]
    )
    await venue.net.mine(40)
    with pytest.raises(TransactionError, match=f"was used by another transaction, {foreign}"):
        await relayer(venue, journal).relay(call, yes=True)
    assert status_of(journal, call.key).intent.state is State.REPLACED
    await automine(venue, True)
    assert (await retry(relayer(venue, journal), call.key)).state is State.FINAL
    assert (await sent(venue), await pledged(venue)) == (2, 10)


async def test_a_gap_below_is_filled(venue: World, journal: Journal) -> None:
    """A foreign transaction with a lower nonce vanished: nothing known has its nonce, so it is spent on nothing."""
    call, account = pledge(venue), venue.venues[0]
    foreign = await venue.net.endpoint.call("eth_sendTransaction", [{"from": account, "to": account}])
    eager = replace(FAST, bump_s=1.0)
    task = asyncio.create_task(relayer(venue, journal, eager).relay(call, yes=True))
    await until(journal, call.key, State.BROADCAST)
    intent = journal.find(call.key)
    assert intent is not None
    assert intent.nonce == 1
    await venue.net.endpoint.call("anvil_dropTransaction", [foreign])
    await alerted(journal, call.key, "nothing known has nonce 0")
    await automine(venue, True)
    await venue.net.mine()
    assert (await task).state is State.FINAL
    await relayer(venue, journal).resume()
    assert [s.intent.state for s in status(journal)] == [State.FINAL, State.FINAL]
    assert (await sent(venue), await pledged(venue)) == (2, 10)


async def test_an_own_lower_nonce_is_sent_again(venue: World, journal: Journal) -> None:
    """Following the second brings the first in, which the node forgot."""
    one, two = pledge(venue, "one", 10), pledge(venue, "two", 20)
    brief = replace(PATIENT, timeout_s=0.1)
    for call in (one, two):
        with pytest.raises(TransactionError, match="not final"):
            await relayer(venue, journal, brief).relay(call, yes=True)
    await drop(venue, journal, one.key)
    task = asyncio.create_task(relayer(venue, journal).relay(two, yes=True))
    await asyncio.sleep(0.4)
    await venue.net.mine()
    assert (await task).state is State.FINAL
    assert (await relayer(venue, journal).resume())[0].state is State.FINAL
    assert (await sent(venue), await pledged(venue)) == (2, 30)


async def test_two_machines_on_one_key(venue: World, journal: Journal, tmp_path: Path) -> None:
    """Each with its own journal: both take the same nonce, one loses it with proof and tries again; two effects."""
    one, two = pledge(venue, "one", 10), pledge(venue, "two", 20)
    with Journal(tmp_path / "second.sqlite") as second:
        tasks = [
            asyncio.create_task(relayer(venue, j).relay(c, yes=True))
            for j, c in ((journal, one), (second, two))
        ]
        await asyncio.sleep(0.5)
        await automine(venue, True)
        await venue.net.mine(3)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(r, TransactionError) for r in results) <= 1
        for j, c in ((journal, one), (second, two)):
            assert (await retry(relayer(venue, j), c.key)).state is State.FINAL
    assert (await sent(venue), await pledged(venue)) == (2, 30)


async def test_an_expired_call_is_given_up(venue: World, journal: Journal) -> None:
    """Its nonce goes to a transaction that does nothing, and the reason is kept."""
    call = pledge(venue, expires_at=await venue.now() + 600)
    task = asyncio.create_task(relayer(venue, journal, PATIENT).relay(call, yes=True))
    await until(journal, call.key, State.BROADCAST)
    await drop(venue, journal, call.key)
    await venue.travel(700)
    async with asyncio.timeout(10):
        while journal.attempts(call.key)[-1].kind is not Kind.CANCEL:
            await asyncio.sleep(0.01)
    await automine(venue, True)
    await venue.net.mine()
    with pytest.raises(TransactionError, match="expired at second"):
        await task
    assert (await sent(venue), await pledged(venue)) == (1, 0)
    with pytest.raises(ExpiredError, match="make it anew"):
        await retry(relayer(venue, journal), call.key)


async def test_an_expired_intent_is_never_signed(venue: World, journal: Journal) -> None:
    """Written down, then the process died until it was too late."""
    call = pledge(venue, expires_at=await venue.now() - 1)
    working = relayer(venue, journal)
    journal.intend(working._intent(call))
    (outcome,) = await working.resume()
    assert outcome.state is State.FAILED
    assert outcome.intent is not None
    assert "it was not sent" in outcome.intent.reason
    assert await sent(venue) == 0


async def test_at_the_fee_limit_it_says_so_and_goes_on(venue: World, journal: Journal) -> None:
    """Offers rise by 12.5 % or more to the limit; then the same bytes again, an alert, and no other offer."""
    call = pledge(venue)
    base = (await web3_on(venue.net.endpoint).eth.get_block("pending"))["baseFeePerGas"]
    limits = FeeLimits(max_fee_wei=6 * base, priority_fee_wei=10 * 10**9)
    hasty = replace(FAST, bump_s=0.0, limits=limits)
    task = asyncio.create_task(relayer(venue, journal, hasty).relay(call, yes=True))
    await alerted(journal, call.key, "stuck at the fee limit")
    attempts = journal.attempts(call.key)
    assert len(attempts) > 1
    assert all(8 * b.fees.max_fee_wei >= 9 * a.fees.max_fee_wei for a, b in pairwise(attempts))
    assert all(limits.allow(a.fees) for a in attempts)
    await drop(venue, journal, call.key)
    await asyncio.sleep(0.3)
    assert len(journal.attempts(call.key)) == len(attempts)
    await venue.net.mine()
    assert (await task).transaction_hash == attempts[-1].hash
    assert (await sent(venue), await pledged(venue)) == (1, 10)


async def test_cancelling(venue: World, journal: Journal) -> None:
    """The nonce is spent on nothing; a cancelled call can be made anew, a final one not be cancelled."""
    call = pledge(venue)
    with pytest.raises(TransactionError, match="not final"):
        await relayer(venue, journal, replace(FAST, timeout_s=0.1)).relay(call, yes=True)
    task = asyncio.create_task(cancel(relayer(venue, journal), call.key))
    await asyncio.sleep(0.1)
    await venue.net.mine()
    outcome = await task
    assert outcome.state is State.FAILED
    assert outcome.intent is not None
    assert outcome.intent.reason == "it was cancelled by the operator"
    assert (await sent(venue), await pledged(venue)) == (1, 0)
    await automine(venue, True)
    assert (await retry(relayer(venue, journal), call.key)).state is State.FINAL
    assert await pledged(venue) == 10
    with pytest.raises(TransactionError, match="is final and cannot be given up"):
        await cancel(relayer(venue, journal), call.key)
    assert (await retry(relayer(venue, journal), call.key)).state is State.FINAL
    assert await pledged(venue) == 10


async def test_a_cancel_that_comes_too_late(venue: World, journal: Journal) -> None:
    """The block took the call before it knew of the cancel: it is final, and says so."""
    call = pledge(venue)
    with pytest.raises(TransactionError, match="not final"):
        await relayer(venue, journal, replace(FAST, timeout_s=0.1)).relay(call, yes=True)
    await venue.net.mine()
    assert (await cancel(relayer(venue, journal), call.key)).state is State.FINAL
    assert (await sent(venue), await pledged(venue)) == (1, 10)


async def test_status_and_metrics(venue: World, journal: Journal) -> None:
    call = pledge(venue)
    with pytest.raises(TransactionError, match="not final"):
        await relayer(venue, journal, replace(FAST, timeout_s=0.1)).relay(call, yes=True)
    journal.alert(call.key, "look")
    (shown,) = status(journal, unsettled=True)
    assert (shown.intent.key, len(shown.hashes), shown.attempts[0].sent_at is not None) == (call.key, 1, True)
    assert status(journal, chain_id=1) == []
    text = metrics(journal)
    assert 'counterfoil_relayer_intents{chain="eip155:101",state="broadcast"} 1\n' in text
    assert 'counterfoil_relayer_alerts{chain="eip155:101"} 1\n' in text
    assert "counterfoil_relayer_oldest_unsettled_seconds{" in text
    with pytest.raises(InputError, match="has no intent x;"):
        status_of(journal, "x")
    with pytest.raises(InputError, match="has no intent x of"):
        await retry(relayer(venue, journal), "x")
