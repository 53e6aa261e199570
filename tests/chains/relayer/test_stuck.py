"""Pruned nodes and refused transactions: what can be done is done, and a person is told of the rest."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hexbytes import HexBytes
from web3.exceptions import Web3RPCError

from aggregator.model.errors import TransactionError
from chains.relayer import FeeLimits, Fees, Finality, Journal, Kind, Relayer, State, cancel, metrics
from chains.rpc.provider import web3_on
from tests.chains.contracts.world import World
from tests.chains.relayer.scenes import (
    FAST,
    PATIENT,
    alerted,
    automine,
    drop,
    known,
    pledge,
    pledged,
    refusing,
    relayer,
    sent,
    stored,
    until,
)

pytestmark = pytest.mark.anvil


def pruned(working: Relayer, window: int) -> Relayer:
    """The relayer before a node that keeps the state of `window` blocks."""
    count = working.w3.eth.get_transaction_count

    async def counting(sender: Any, block: Any = "latest") -> int:
        if isinstance(block, int) and block <= await working.w3.eth.block_number - window:
            raise Web3RPCError(f"missing trie node 3f..: state at block {block} is not available")
        return await count(sender, block)

    working.w3.eth.get_transaction_count = counting  # type: ignore[assignment,method-assign]
    return working


async def test_on_a_pruned_node_it_is_sent_again_bumped_and_given_up(venue: World, journal: Journal) -> None:
    """The final block's state is older than what the node keeps; nothing is concluded, and all else goes on."""
    await venue.net.mine(60)
    call = pledge(venue, expires_at=await venue.now() + 300)
    settings = replace(FAST, finality=Finality(confirmations=50), rebroadcast_s=0.5, bump_s=2.0)
    working = pruned(relayer(venue, journal, settings), 20)
    task = asyncio.create_task(working.relay(call, yes=True))
    await until(journal, call.key, State.BROADCAST)
    await drop(venue, journal, call.key)
    await known(venue, journal, call.key)
    async with asyncio.timeout(10):
        while len(journal.attempts(call.key)) < 2:
            await asyncio.sleep(0.01)
    await known(venue, journal, call.key)
    await drop(venue, journal, call.key)
    await venue.travel(400)
    async with asyncio.timeout(10):
        while journal.attempts(call.key)[-1].kind is not Kind.CANCEL:
            await asyncio.sleep(0.01)
    await automine(venue, True)
    while not task.done():
        await venue.net.mine(10)
        await asyncio.sleep(0.05)
    with pytest.raises(TransactionError, match="expired at second"):
        await task
    assert (await sent(venue), await pledged(venue)) == (1, 0)


async def test_a_pruned_node_that_cannot_say_who_took_the_nonce_is_told_of(
    venue: World, journal: Journal
) -> None:
    """Neither lost nor made anew: a person has to name a node that knows."""
    call, account = pledge(venue), venue.venues[0]
    with pytest.raises(TransactionError, match="not final"):
        await relayer(venue, journal, replace(PATIENT, timeout_s=0.1)).relay(call, yes=True)
    await drop(venue, journal, call.key)
    await venue.net.endpoint.call("eth_sendTransaction", [{"from": account, "to": account, "nonce": "0x0"}])
    await venue.net.mine(60)
    settings = replace(FAST, finality=Finality(confirmations=50))
    task = asyncio.create_task(pruned(relayer(venue, journal, settings), 20).relay(call, yes=True))
    await alerted(journal, call.key, "name an endpoint that keeps old state")
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    with pytest.raises(TransactionError, match="was used by another transaction"):
        await relayer(venue, journal).relay(call, yes=True)


async def test_a_refused_call_is_told_of_and_given_up_when_it_expires(venue: World, journal: Journal) -> None:
    """Its nonce is free again for what comes after it."""
    call = pledge(venue, "one", expires_at=await venue.now() + 600)

    def refuses(raw: bytes) -> bool:
        return any(a.raw == raw and a.kind is Kind.CALL for a in journal.attempts(call.key))

    task = asyncio.create_task(refusing(relayer(venue, journal), refuses).relay(call, yes=True))
    await alerted(journal, call.key, "the node refused it: tx fee")
    assert stored(journal, call.key).state is State.SIGNED
    assert 'counterfoil_relayer_alerts{chain="eip155:101"} 1\n' in metrics(journal)
    await automine(venue, True)
    await venue.travel(700)
    with pytest.raises(TransactionError, match="expired at second"):
        await task
    assert (await relayer(venue, journal).relay(pledge(venue, "two", 20), yes=True)).state is State.FINAL
    assert (await sent(venue), await pledged(venue)) == (2, 20)


async def test_what_the_node_takes_in_the_end_is_no_alert_any_more(venue: World, journal: Journal) -> None:
    call, away = pledge(venue), True
    working = refusing(relayer(venue, journal), lambda _: away)
    task = asyncio.create_task(working.relay(call, yes=True))
    await alerted(journal, call.key, "the node refused it")
    away = False
    await until(journal, call.key, State.BROADCAST)
    assert stored(journal, call.key).alert == ""
    await venue.net.mine()
    assert (await task).state is State.FINAL


async def test_a_refused_call_of_a_lower_nonce_does_not_end_the_following_of_a_later_one(
    venue: World, journal: Journal
) -> None:
    """Following the later one sends it again, tells of it, and gives it up when it expires."""
    one = pledge(venue, "one", expires_at=await venue.now() + 600)
    two = pledge(venue, "two", 20)

    def refuses(raw: bytes) -> bool:
        return any(a.raw == raw and a.kind is Kind.CALL for a in journal.attempts(one.key))

    brief = replace(FAST, timeout_s=0.2)
    with pytest.raises(TransactionError, match=r"not final .*the node refused it"):
        await refusing(relayer(venue, journal, brief), refuses).relay(one, yes=True)
    task = asyncio.create_task(refusing(relayer(venue, journal), refuses).relay(two, yes=True))
    await until(journal, two.key, State.BROADCAST)
    await asyncio.sleep(0.3)
    assert not task.done()
    await automine(venue, True)
    await venue.travel(700)
    assert (await task).state is State.FINAL
    assert stored(journal, one.key).giving_up.startswith("it expired")
    assert (await sent(venue), await pledged(venue)) == (2, 20)


@pytest.mark.parametrize("limit", ["room", "none"])
async def test_cancelling_frees_the_nonce_of_a_refused_call(
    venue: World, journal: Journal, limit: str
) -> None:
    """Also at the fee limit: what no node has need not be outbid."""
    call = pledge(venue)

    def refuses(raw: bytes) -> bool:
        return any(a.raw == raw and a.kind is Kind.CALL for a in journal.attempts(call.key))

    with pytest.raises(TransactionError, match="not final"):
        await refusing(relayer(venue, journal, replace(FAST, timeout_s=0.2)), refuses).relay(call, yes=True)
    (first,) = journal.attempts(call.key)
    exact = FeeLimits(first.fees.max_fee_wei, first.fees.priority_fee_wei)
    settings = FAST if limit == "room" else replace(FAST, limits=exact)
    await automine(venue, True)
    outcome = await cancel(refusing(relayer(venue, journal, settings), refuses), call.key)
    assert outcome.state is State.FAILED
    assert (await sent(venue), await pledged(venue)) == (1, 0)


async def test_a_signer_that_is_away_does_not_end_the_following(
    venue: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bump it does not sign is an alert; what was signed is still sent, again and again, and followed."""
    call = pledge(venue)
    working = relayer(venue, journal, replace(FAST, bump_s=0.3))
    task = asyncio.create_task(working.relay(call, yes=True))
    await until(journal, call.key, State.BROADCAST)

    def away(_: Any) -> Any:
        raise TransactionError("the remote signer does not answer")

    monkeypatch.setattr(working.signer, "sign", away)
    await alerted(journal, call.key, "does not answer")
    await drop(venue, journal, call.key)
    await known(venue, journal, call.key)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await drop(venue, journal, call.key)
    task = asyncio.create_task(working.relay(call, yes=True))
    await known(venue, journal, call.key)
    await venue.net.mine()
    assert (await task).state is State.FINAL


async def test_a_settled_nonce_that_a_node_does_not_know_is_sent_and_not_filled(
    venue: World, journal: Journal
) -> None:
    """The node lost blocks that were final for us: what was in them is sent again, and nothing else in its place."""
    mark = await venue.net.checkpoint()
    await automine(venue, True)
    one = pledge(venue, "one")
    assert (await relayer(venue, journal).relay(one, yes=True)).state is State.FINAL
    await venue.net.revert(mark)
    await automine(venue, False)
    two = pledge(venue, "two", 20)
    task = asyncio.create_task(relayer(venue, journal, replace(FAST, bump_s=0.0)).relay(two, yes=True))
    await until(journal, two.key, State.BROADCAST)
    await asyncio.sleep(0.5)
    await automine(venue, True)
    await venue.net.mine()
    assert (await task).state is State.FINAL
    assert [i.key for i in journal.all()] == [one.key, two.key]
    assert (await sent(venue), await pledged(venue)) == (2, 30)


async def test_a_tip_of_nothing_rises(venue: World, journal: Journal) -> None:
    """A node wants both fields raised; 13 % of nothing is nothing, so it is a wei."""
    assert Fees(100, 0).raised() == Fees(113, 1)
    assert Fees(1, 1).raised() == Fees(2, 2)
    assert Fees(8, 8).raised() == Fees(10, 10)
    call = pledge(venue)
    w3 = web3_on(venue.net.endpoint)
    gate = replace(PATIENT, bump_s=0.0, limits=FeeLimits(priority_fee_wei=10**9))
    working = relayer(venue, journal, gate)
    journal.intend(working._intent(call))
    base = (await w3.eth.get_block("latest"))["baseFeePerGas"]
    assert await working._sign(stored(journal, call.key), 200_000, Fees(2 * base, 0))
    (first,) = journal.attempts(call.key)
    await w3.eth.send_raw_transaction(HexBytes(first.raw))
    assert await working._offer_more_if_stuck(stored(journal, call.key))
    await working._broadcast(call.key)
    assert stored(journal, call.key).alert == ""
    await automine(venue, True)
    await venue.net.mine()
    assert (await relayer(venue, journal).relay(call, yes=True)).transaction_hash == journal.attempts(
        call.key
    )[-1].hash
