"""kill -9 at every step: after a restart the effect is on the chain exactly once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from eth_account import Account
from hexbytes import HexBytes

from aggregator.model.errors import TransactionError
from chains.contracts.registry import pledge_call
from chains.relayer import Call, Finality, Journal, LocalSigner, Relayer, RelayerSettings, State
from chains.rpc.provider import web3_on
from tests.chains.contracts.world import ACCOUNT_ID, USD, World
from tests.chains.relayer.victim import (
    ABANDON_STEPS,
    CANCEL_STEPS,
    EXPIRY_STEPS,
    GAP_STEPS,
    KILL_AT,
    STEPS,
    STUCK_STEPS,
)

pytestmark = [pytest.mark.anvil, pytest.mark.slow]
SETTINGS = RelayerSettings(finality=Finality(confirmations=1), poll_s=0.02, timeout_s=20.0)
# A pledge, because the registry takes the same one twice: only the relayer keeps it from happening again.
AMOUNT = 7 * USD


@dataclass
class Scene:
    """A venue that may pledge, and where its relayer keeps its journal."""

    world: World
    folder: Path
    location: Path | str
    number: int = 0

    async def die(
        self,
        step: str,
        *,
        bump_s: float,
        key: str = "",
        during: Callable[[], Awaitable[None]] | None = None,
        **options: object,
    ) -> str:
        """Run the relayer in a process that kills itself at `step`; returns the key of what it was doing."""
        if not key:
            self.number += 1
            key = f"pledge:{self.number}"
        job = self.folder / "job.json"
        job.write_text(
            json.dumps(
                {
                    "url": self.world.net.url,
                    "chain_id": self.world.net.chain_id,
                    "journal": str(self.location),
                    "key": key,
                    "to": self.world.registry,
                    "data": pledge_call(ACCOUNT_ID, AMOUNT).hex(),
                    "bump_s": bump_s,
                    **options,
                }
            )
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.chains.relayer.victim", str(job)),
            env={**os.environ, KILL_AT: step, "COUNTERFOIL_TEST_KEY": self.world.net.accounts[5].key},
        )
        if during is not None:
            await during()
        async with asyncio.timeout(40):
            assert await process.wait() == -signal.SIGKILL, step
        return key

    def relayer(self, journal: Journal, settings: RelayerSettings = SETTINGS) -> Relayer:
        """A relayer in this process."""
        signer = LocalSigner(Account.from_key(self.world.net.accounts[5].key))
        return Relayer(web3_on(self.world.net.endpoint), 101, signer, journal, settings)

    def call(self, key: str, expires_at: int | None = None) -> Call:
        """A pledge."""
        data = pledge_call(ACCOUNT_ID, AMOUNT)
        return Call(key, self.world.registry, data, "pledge", expires_at=expires_at)

    async def broadcast(self, expires_at: int | None = None) -> str:
        """A pledge that a node has and no block; returns its key."""
        self.number += 1
        key = f"pledge:{self.number}"
        with Journal(self.location) as journal:
            brief = self.relayer(journal, replace(SETTINGS, timeout_s=0.1))
            with pytest.raises(TransactionError, match="not final"):
                await brief.relay(self.call(key, expires_at), yes=True)
        return key

    async def automine(self, on: bool) -> None:
        """Whether a transaction makes a block at once."""
        await self.world.net.endpoint.call("evm_setAutomine", [on])
        if on:
            await self.world.net.mine()

    async def blocks(self) -> None:
        """Take into blocks what comes."""
        await self.automine(True)

    async def restart(self, key: str, during: Callable[[], Awaitable[None]] | None = None) -> None:
        """A new process runs the same call again, and everything else that was left."""
        with Journal(self.location) as journal:
            relayer = self.relayer(journal)
            known = journal.find(key)
            if during is not None:
                await during()
            if known is not None:
                await relayer.resume()
            else:
                await relayer.relay(self.call(key), yes=True)
            found = journal.find(key)
            assert found is not None
            assert found.state is State.FINAL

    async def end(self, key: str) -> State:
        """A new process goes on with what was left; how the call ended, and the chain says the same."""
        before = await self.pledged()
        with Journal(self.location) as journal:
            if (known := journal.find(key)) is not None and not known.state.settled:
                await self.automine(True)
                await self.relayer(journal).resume()
            assert journal.live(101, self.world.net.accounts[5].address) == []
            found = journal.find(key)
        assert found is not None
        assert found.state.settled
        gained = await self.pledged() - before
        assert gained in ({AMOUNT} if found.state is State.FINAL else {0}), found
        return found.state

    async def pledged(self) -> int:
        """What the registry has."""
        return await self.world.reader.pledge_of(ACCOUNT_ID, self.world.venues[0])

    async def sent(self) -> int:
        """Transactions of the venue that blocks hold."""
        w3 = web3_on(self.world.net.endpoint)
        return await w3.eth.get_transaction_count(HexBytes(self.world.venues[0]), "latest")

    async def check(self) -> None:
        """As many effects, and as many transactions, as there were calls."""
        assert await self.pledged() == self.number * AMOUNT
        assert await self.sent() == self.number


@pytest.fixture
async def scene(world: World, tmp_path: Path, location: Path | str) -> Scene:
    """A registry in which the first venue can pledge 1000 USD."""
    await world.prove_and_submit(await world.submission())
    return Scene(world, tmp_path, location)


@pytest.fixture
async def in_a_file(world: World, tmp_path: Path) -> Scene:
    """The same with a journal in a file."""
    await world.prove_and_submit(await world.submission())
    return Scene(world, tmp_path, tmp_path / "relayer.sqlite")


async def test_killed_at_every_step(scene: Scene) -> None:
    for step in STEPS:
        key = await scene.die(step, bump_s=100.0)
        await scene.restart(key)
        await scene.check()


async def test_killed_while_replacing(scene: Scene) -> None:
    """Two signed transactions with one nonce, in whatever state: one of them gets in."""
    net = scene.world.net

    async def blocks_again() -> None:
        await net.endpoint.call("evm_setAutomine", [True])
        await net.mine()

    for step in STUCK_STEPS:
        await net.endpoint.call("evm_setAutomine", [False])
        key = await scene.die(step, bump_s=0.0)
        await scene.restart(key, blocks_again)
        await scene.check()


async def test_killed_while_cancelling(in_a_file: Scene) -> None:
    """One transaction for each nonce; the call has its effect exactly when the journal says final."""
    scene = in_a_file
    for number, step in enumerate(CANCEL_STEPS, 1):
        await scene.automine(False)
        key = await scene.broadcast()
        takes_blocks = step in {
            "cancel in a block",
            "before the cancel is final",
            "after the cancel is final",
        }
        before = await scene.pledged()

        async def blocks_when_given_up(key: str = key) -> None:
            with Journal(scene.location) as journal:
                async with asyncio.timeout(30):
                    while journal.attempts(key)[-1].sent_at is None or len(journal.attempts(key)) < 2:
                        await asyncio.sleep(0.02)
            await scene.automine(True)

        during = blocks_when_given_up if takes_blocks else None
        await scene.die(step, bump_s=100.0, key=key, work="cancel", during=during)
        if takes_blocks:
            assert await scene.pledged() == before
        await scene.end(key)
        assert await scene.sent() == number, step


async def test_killed_while_abandoning(in_a_file: Scene) -> None:
    """It was never signed: it is failed and nothing is on the chain, or it is as it was and can be brought about."""
    scene = in_a_file
    ends = []
    for number, step in enumerate(ABANDON_STEPS):
        with Journal(scene.location) as journal:
            journal.intend(scene.relayer(journal)._intent(scene.call(f"pledge:{number}")))
        await scene.die(step, bump_s=100.0, key=f"pledge:{number}", work="cancel")
        assert await scene.sent() == number
        ends.append(await scene.end(f"pledge:{number}"))
    assert ends == [State.FINAL, State.FAILED]
    assert (await scene.sent(), await scene.pledged()) == (1, AMOUNT)


async def test_killed_while_giving_up_what_expired(in_a_file: Scene) -> None:
    scene = in_a_file
    for number, step in enumerate(EXPIRY_STEPS, 1):
        await scene.automine(False)
        key = await scene.broadcast(expires_at=await scene.world.now() + 100)
        with Journal(scene.location) as journal:
            dropped = journal.attempts(key)[-1].hash
        await scene.world.net.endpoint.call("anvil_dropTransaction", [dropped])
        await scene.world.travel(150)
        await scene.die(step, bump_s=1000.0, key=key, work="resume")
        await scene.end(key)
        assert await scene.sent() == number, step


async def test_killed_while_filling_a_gap(in_a_file: Scene) -> None:
    """Each nonce is spent once: one on nothing, one on the call."""
    scene, account = in_a_file, in_a_file.world.venues[0]
    for number, step in enumerate(GAP_STEPS, 1):
        await scene.automine(False)
        foreign = await scene.world.net.endpoint.call(
            "eth_sendTransaction", [{"from": account, "to": account}]
        )
        key = await scene.broadcast()
        await scene.world.net.endpoint.call("anvil_dropTransaction", [foreign])
        await asyncio.sleep(1.1)
        await scene.die(step, bump_s=1.0, key=key, work="resume", rebroadcast_s=0.1)
        with Journal(scene.location) as journal:
            # What is left of the filler is followed first, and what lacks one gets it.
            await scene.automine(True)
            eager = replace(SETTINGS, bump_s=0.5, rebroadcast_s=0.1)
            await scene.relayer(journal, eager).resume()
            assert {i.state for i in journal.all()} == {State.FINAL}
        assert (await scene.sent(), await scene.pledged()) == (2 * number, number * AMOUNT), step
