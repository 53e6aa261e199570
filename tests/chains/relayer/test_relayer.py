"""One effect per call, through dry runs, crashes, reorganisations and stuck transactions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hexbytes import HexBytes

from aggregator.model.errors import ConfigError, ExpiredError, ProofRefusedError, TransactionError
from chains.contracts.coding import creation_code
from chains.contracts.registry import Submission, pledge_call
from chains.relayer import (
    Call,
    FeeLimits,
    Finality,
    Journal,
    LocalSigner,
    Relayer,
    RelayerSettings,
    SignedTransaction,
    State,
    submission_call,
)
from chains.rpc.provider import web3_on
from tests.chains.contracts.world import ACCOUNT_ID, USD, World

pytestmark = pytest.mark.anvil
FAST = RelayerSettings(poll_s=0.02, timeout_s=10.0, rebroadcast_s=0.2)
ONE_BLOCK = replace(FAST, finality=Finality(confirmations=1))


class Crash(BaseException):
    """Stands for the process dying: nothing catches it."""


def relayer(world: World, journal: Journal, settings: RelayerSettings = FAST, *, account: int = 9) -> Relayer:
    """A new relayer process over `journal`."""
    signer = LocalSigner(Account.from_key(world.net.accounts[account].key))
    return Relayer(web3_on(world.net.endpoint), 101, signer, journal, settings)


async def provable(world: World, **changes: Any) -> tuple[Submission, Call]:
    """A submission that the registry will accept, and its call."""
    s = await world.submission(**changes)
    await world.prove(s)
    return s, submission_call(s, 101, world.registry)


async def sent(world: World, account: int = 9) -> int:
    """Transactions of the signer that blocks hold."""
    return await web3_on(world.net.endpoint).eth.get_transaction_count(
        HexBytes(world.net.accounts[account].address), "latest"
    )


async def automine(world: World, on: bool) -> None:
    """Whether a transaction makes a block at once."""
    await world.net.endpoint.call("evm_setAutomine", [on])


async def until(journal: Journal, key: str, state: State) -> None:
    """Wait for the journal to say `state`."""
    async with asyncio.timeout(10):
        while (intent := journal.find(key)) is None or intent.state is not state:
            await asyncio.sleep(0.01)


async def test_a_dry_run_sends_nothing(world: World, journal: Journal) -> None:
    s, call = await provable(world)
    outcome = await relayer(world, journal).relay(call)
    assert outcome.state is State.PLANNED
    assert outcome.plan is not None
    assert 50_000 < outcome.plan.gas < 1_000_000
    assert outcome.plan.cost_wei < outcome.plan.balance_wei
    assert journal.find(call.key) is None
    assert await sent(world) == 0
    assert not await world.reader.is_submitted(s)


@pytest.mark.usefixtures("blocks")
async def test_a_submission_becomes_final_once(world: World, journal: Journal) -> None:
    """Through every state, to the finalized tag; asking again, also with another proof of it, sends nothing."""
    s, call = await provable(world)
    seen: list[State] = []
    first = relayer(world, journal)
    first._progress = lambda intent: seen.append(intent.state)
    outcome = await first.relay(call, yes=True)
    assert outcome.state is State.FINAL
    assert list(dict.fromkeys(seen)) == [State.SIGNED, State.BROADCAST, State.INCLUDED, State.FINAL]
    assert await world.reader.is_submitted(s)
    assert outcome.intent is not None
    block = await web3_on(world.net.endpoint).eth.get_block("finalized")
    assert outcome.intent.block_number is not None
    assert block["number"] >= outcome.intent.block_number
    other_proof = replace(s, proof=s.proof[:192] + s.proof[:64])
    for again in (call, submission_call(other_proof, 101, world.registry)):
        repeated = await relayer(world, journal).relay(again, yes=True)
        assert repeated.transaction_hash == outcome.transaction_hash
    assert (await relayer(world, journal).relay(call)).state is State.FINAL
    assert await sent(world) == 1


async def test_a_refused_submission_is_not_sent(world: World, journal: Journal) -> None:
    """The reason comes from the simulation, with its class; journal and chain stay as they were."""
    s, call = await provable(world)
    now = await world.now()
    unproven = await world.submission(amount_usd_e6=2000 * USD)
    expired = await world.submission(expiry=now - 1)
    unsigned = replace(s, signatures=s.signatures[:1])
    for bad, kind, reason in (
        (unproven, ProofRefusedError, "does not verify"),
        (expired, ExpiredError, "the proof expired at"),
        (unsigned, ProofRefusedError, "has 1 attestor signatures and the registry needs 2"),
    ):
        with pytest.raises(kind, match=reason):
            await relayer(world, journal).relay(submission_call(bad, 101, world.registry), yes=True)
    overpledge = Call("pledge:1", world.registry, pledge_call(ACCOUNT_ID, 1), "pledge")
    with pytest.raises(TransactionError, match="ask the holder for a bundle"):
        await relayer(world, journal).relay(overpledge, yes=True)
    assert await sent(world) == 0
    assert journal.live(101, world.net.accounts[9].address) == []
    assert (await relayer(world, journal, ONE_BLOCK).relay(call, yes=True)).state is State.FINAL


@pytest.mark.parametrize("moment", ["before signing", "before sending", "after sending", "after inclusion"])
async def test_a_crash_costs_no_second_transaction(
    world: World, journal: Journal, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Whenever the process dies, the next one goes on with the same bytes, and one transaction is on the chain."""
    s, call = await provable(world)
    dying = relayer(world, journal, ONE_BLOCK)

    def die(*_: object, **__: object) -> Any:
        raise Crash

    async def send_then_die(raw: HexBytes) -> Any:
        await web3_on(world.net.endpoint).eth.send_raw_transaction(raw)
        raise Crash

    with monkeypatch.context() as patch:
        if moment == "before signing":
            patch.setattr(journal, "sign", die)
        elif moment == "before sending":
            patch.setattr(dying.w3.eth, "send_raw_transaction", die)
        elif moment == "after sending":
            patch.setattr(dying.w3.eth, "send_raw_transaction", send_then_die)
        else:
            patch.setattr(journal, "settle", die)
        with pytest.raises(Crash):
            await dying.relay(call, yes=True)
    hashes = [a.hash for a in journal.attempts(call.key)]
    with Journal(journal.location) as reopened:
        outcome = await relayer(world, reopened, ONE_BLOCK).relay(call, yes=True)
    assert outcome.state is State.FINAL
    assert hashes in ([], [outcome.transaction_hash])
    assert (hashes == []) == (moment == "before signing")
    assert await sent(world) == 1
    assert await world.reader.is_submitted(s)


async def test_resume_follows_everything_in_flight(world: World, journal: Journal) -> None:
    _, one = await provable(world)
    _, two = await provable(world, venue=world.venues[1])
    await automine(world, False)
    patient = replace(ONE_BLOCK, timeout_s=0.1)
    for call in (one, two):
        with pytest.raises(TransactionError, match=r"not final after 0\.1 s; run it again"):
            await relayer(world, journal, patient).relay(call, yes=True)
    await automine(world, True)
    await world.net.mine()
    outcomes = await relayer(world, journal, ONE_BLOCK).resume()
    assert [o.state for o in outcomes] == [State.FINAL, State.FINAL]
    assert await sent(world) == 2
    assert await relayer(world, journal, ONE_BLOCK).resume() == []


async def test_a_reorganisation_sends_the_same_bytes_again(world: World, journal: Journal) -> None:
    """The block that held it goes; the same transaction gets into another and becomes final there."""
    s, call = await provable(world)
    mark = await world.net.checkpoint()
    task = asyncio.create_task(relayer(world, journal).relay(call, yes=True))
    await until(journal, call.key, State.INCLUDED)
    before = journal.find(call.key)
    await automine(world, False)
    await world.net.revert(mark)
    await until(journal, call.key, State.BROADCAST)
    await automine(world, True)
    await world.net.mine(1)
    await until(journal, call.key, State.INCLUDED)
    await world.net.mine(4)
    outcome = await task
    assert before is not None
    assert outcome.transaction_hash == before.transaction_hash
    assert len(journal.attempts(call.key)) == 1
    assert await sent(world) == 1
    assert await world.reader.is_submitted(s)


async def test_a_stuck_transaction_is_replaced(world: World, journal: Journal) -> None:
    """More is offered with the same nonce, so only one of them can get in."""
    _, call = await provable(world)
    await automine(world, False)
    hasty = replace(ONE_BLOCK, bump_s=0.0)
    task = asyncio.create_task(relayer(world, journal, hasty).relay(call, yes=True))
    async with asyncio.timeout(10):
        while len(journal.attempts(call.key)) < 3:
            await asyncio.sleep(0.01)
    await world.net.mine()
    outcome = await task
    attempts = journal.attempts(call.key)
    assert {a.nonce for a in attempts} == {0}
    fees = [a.fees.max_fee_wei for a in attempts]
    assert all(100 * later >= 110 * earlier for earlier, later in pairwise(fees))
    assert max(fees) <= hasty.limits.max_fee_wei
    assert outcome.transaction_hash in {a.hash for a in attempts[1:]}
    assert await sent(world) == 1


async def test_a_nonce_taken_by_another_transaction_fails_it(world: World, journal: Journal) -> None:
    """Then the same call can be made anew."""
    s, call = await provable(world)
    await automine(world, False)
    task = asyncio.create_task(relayer(world, journal, ONE_BLOCK).relay(call, yes=True))
    await until(journal, call.key, State.BROADCAST)
    (attempt,) = journal.attempts(call.key)
    await world.net.endpoint.call("anvil_dropTransaction", [attempt.hash])
    account = world.net.accounts[9].address
    await world.net.endpoint.call("eth_sendTransaction", [{"from": account, "to": account, "nonce": "0x0"}])
    await world.net.mine()
    with pytest.raises(TransactionError, match=r"nonce 0 .* was used by another transaction"):
        await task
    await automine(world, True)
    outcome = await relayer(world, journal, ONE_BLOCK).relay(call, yes=True)
    assert outcome.intent is not None
    assert outcome.intent.nonce == 1
    assert await world.reader.is_submitted(s)


async def test_a_revert_on_the_chain_is_explained(world: World, journal: Journal) -> None:
    """Someone else submits the bundle first: ours reverts, and says why."""
    _, call = await provable(world)
    await automine(world, False)
    task = asyncio.create_task(relayer(world, journal, ONE_BLOCK).relay(call, yes=True))
    await until(journal, call.key, State.BROADCAST)
    rival = {"from": world.owner, "to": world.registry, "data": "0x" + call.data.hex(), "gas": hex(10**6)}
    fee = hex(100 * 10**9)
    await world.net.endpoint.call(
        "eth_sendTransaction", [{**rival, "maxFeePerGas": fee, "maxPriorityFeePerGas": fee}]
    )
    await world.net.mine()
    with pytest.raises(TransactionError, match=r"it reverted in block \d+: .* is already recorded"):
        await task
    intent = journal.find(call.key)
    assert intent is not None
    assert intent.state is State.FAILED


async def test_two_relayers_share_a_journal(world: World, journal: Journal) -> None:
    """At the same time, the same call once and another call: two transactions with two nonces."""
    _, one = await provable(world)
    _, two = await provable(world, venue=world.venues[1])
    with Journal(journal.location) as second:
        outcomes = await asyncio.gather(
            relayer(world, journal, ONE_BLOCK).relay(one, yes=True),
            relayer(world, second, ONE_BLOCK).relay(one, yes=True),
            relayer(world, second, ONE_BLOCK).relay(two, yes=True),
        )
    assert [o.state for o in outcomes] == [State.FINAL] * 3
    assert outcomes[0].transaction_hash == outcomes[1].transaction_hash
    assert await sent(world) == 2


async def test_one_key_is_one_effect(world: World, journal: Journal) -> None:
    """Another call under a used key is refused; the same one is not made twice."""
    s, call = await provable(world)
    await relayer(world, journal, ONE_BLOCK).relay(call, yes=True)
    venue = relayer(world, journal, ONE_BLOCK, account=5)
    assert s.venue == venue.signer.address
    first = Call("pledge:loan-7", world.registry, pledge_call(ACCOUNT_ID, 250 * USD), "pledge 250 USD")
    await venue.relay(first, yes=True)
    await venue.relay(first, yes=True)
    other = replace(first, data=pledge_call(ACCOUNT_ID, 300 * USD), fingerprint="")
    with pytest.raises(TransactionError, match="already the key of another transaction"):
        await venue.relay(other, yes=True)
    assert await world.reader.pledge_of(ACCOUNT_ID, s.venue) == 250 * USD


async def test_a_contract_is_deployed(world: World, journal: Journal) -> None:
    call = Call("deploy:token", None, creation_code("TestToken", "Coin", "CN", 6), "deploy a token")
    outcome = await relayer(world, journal, ONE_BLOCK).relay(call, yes=True)
    assert outcome.intent is not None
    address = outcome.intent.contract_address
    assert address is not None
    assert await web3_on(world.net.endpoint).eth.get_code(HexBytes(address))


async def test_limits_hold(world: World, journal: Journal) -> None:
    """A price above the limit, an empty purse and a wrong chain are refused before anything is signed."""
    s, call = await provable(world)
    cheap = replace(ONE_BLOCK, limits=FeeLimits(max_fee_wei=1, priority_fee_wei=1))
    with pytest.raises(TransactionError, match="gwei now and the limit is"):
        await relayer(world, journal, cheap).relay(call, yes=True)
    base = (await web3_on(world.net.endpoint).eth.get_block("latest"))["baseFeePerGas"]
    exact = replace(ONE_BLOCK, limits=FeeLimits(max_fee_wei=base, priority_fee_wei=0))
    plan = (await relayer(world, journal, exact).relay(call)).plan
    assert plan is not None
    assert (plan.fees.max_fee_wei, plan.fees.priority_fee_wei) == (base, 0)
    await world.net.set_balance(world.net.accounts[9].address, 10**9)
    with pytest.raises(TransactionError, match=r"has 1000000000 wei .* fund it"):
        await relayer(world, journal).relay(call, yes=True)
    elsewhere = relayer(world, journal)
    elsewhere.chain_id = 1
    with pytest.raises(ConfigError, match="serves chain 101, not 1"):
        await elsewhere.relay(call, yes=True)
    with pytest.raises(ConfigError, match="0 confirmations"):
        Finality(confirmations=0)
    assert journal.find(call.key) is None
    assert not await world.reader.is_submitted(s)


async def test_a_foreign_signer_fits(world: World, journal: Journal) -> None:
    """Anything with an address and a sign method will do; it sees the full EIP-1559 transaction."""
    key = world.net.accounts[9]

    class Remote:
        """A signer that records what it was asked."""

        asked: Mapping[str, Any] = {}
        address = key.address

        def sign(self, transaction: Mapping[str, Any]) -> SignedTransaction:
            self.asked = transaction
            return LocalSigner(Account.from_key(key.key)).sign(transaction)

    remote = Remote()
    s, call = await provable(world)
    await Relayer(web3_on(world.net.endpoint), 101, remote, journal, ONE_BLOCK).relay(call, yes=True)
    assert remote.asked["chainId"] == 101
    assert remote.asked["type"] == 2
    assert remote.asked["value"] == 0
    assert await world.reader.is_submitted(world.attested(s, world.attestors))


async def test_the_key_stays_secret(world: World, journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """Neither log, nor repr, nor journal holds a part of the key."""
    caplog.set_level(logging.DEBUG)
    _, call = await provable(world)
    running = relayer(world, journal, ONE_BLOCK)
    await running.relay(call, yes=True)
    key = world.net.accounts[9].key[2:]
    journal.close()
    stored = b"".join(p.read_bytes() for p in Path(journal.location).parent.iterdir())
    assert key not in caplog.text
    assert key not in repr(running.signer) + repr(vars(running))
    assert bytes.fromhex(key) not in stored
    assert key.encode() not in stored
