"""kill -9 at every step: after a restart the effect is on the chain exactly once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_account import Account
from hexbytes import HexBytes

from chains.contracts.registry import pledge_call
from chains.relayer import Finality, Journal, LocalSigner, Relayer, RelayerSettings, State
from chains.rpc.provider import web3_on
from tests.chains.contracts.world import ACCOUNT_ID, USD, World
from tests.chains.relayer.victim import KILL_AT, STEPS, STUCK_STEPS

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

    async def die(self, step: str, *, bump_s: float) -> str:
        """Run the relayer in a process that kills itself at `step`; returns the key of what it was doing."""
        self.number += 1
        job = self.folder / "job.json"
        key = f"pledge:{self.number}"
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
                }
            )
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.chains.relayer.victim", str(job)),
            env={**os.environ, KILL_AT: step, "COUNTERFOIL_TEST_KEY": self.world.net.accounts[5].key},
        )
        async with asyncio.timeout(40):
            assert await process.wait() == -signal.SIGKILL, step
        return key

    async def restart(self, key: str, during: Callable[[], Awaitable[None]] | None = None) -> None:
        """A new process runs the same call again, and everything else that was left."""
        signer = LocalSigner(Account.from_key(self.world.net.accounts[5].key))
        with Journal(self.location) as journal:
            relayer = Relayer(web3_on(self.world.net.endpoint), 101, signer, journal, SETTINGS)
            known = journal.find(key)
            if during is not None:
                await during()
            if known is not None:
                await relayer.resume()
            else:
                from chains.relayer import Call

                call = Call(key, self.world.registry, pledge_call(ACCOUNT_ID, AMOUNT), "pledge")
                await relayer.relay(call, yes=True)
            found = journal.find(key)
            assert found is not None
            assert found.state is State.FINAL

    async def check(self) -> None:
        """As many effects, and as many transactions, as there were calls."""
        venue = self.world.venues[0]
        assert await self.world.reader.pledge_of(ACCOUNT_ID, venue) == self.number * AMOUNT
        w3 = web3_on(self.world.net.endpoint)
        assert await w3.eth.get_transaction_count(HexBytes(venue), "latest") == self.number


@pytest.fixture
async def scene(world: World, tmp_path: Path, location: Path | str) -> Scene:
    """A registry in which the first venue can pledge 1000 USD."""
    await world.prove_and_submit(await world.submission())
    return Scene(world, tmp_path, location)


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
