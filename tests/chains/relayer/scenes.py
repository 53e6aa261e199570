"""What the relayer's tests share: a venue's relayer, its pledges, and nodes that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from eth_account import Account
from hexbytes import HexBytes
from web3.exceptions import Web3RPCError

from chains.contracts.registry import pledge_call
from chains.relayer import Call, Finality, Intent, Journal, LocalSigner, Relayer, RelayerSettings, State
from chains.rpc import Endpoint, RpcSettings
from chains.rpc.provider import Caller, web3_on
from tests.chains.contracts.world import ACCOUNT_ID, USD, World
from tests.chains.faults import FaultyNode, faulty_node

FAST = RelayerSettings(finality=Finality(confirmations=1), poll_s=0.02, timeout_s=10.0, rebroadcast_s=0.1)
PATIENT = replace(FAST, rebroadcast_s=100.0)


def relayer(
    world: World, journal: Journal, settings: RelayerSettings = FAST, *, source: Caller | None = None
) -> Relayer:
    """A relayer with the key of the first venue."""
    signer = LocalSigner(Account.from_key(world.net.accounts[5].key))
    return Relayer(web3_on(source or world.net.endpoint), 101, signer, journal, settings)


def pledge(world: World, name: str = "a", usd: int = 10, **options: Any) -> Call:
    """A call that has its effect as often as it gets in."""
    return Call(f"pledge:{name}", world.registry, pledge_call(ACCOUNT_ID, usd * USD), "pledge", **options)


async def automine(world: World, on: bool) -> None:
    """Whether a transaction makes a block at once."""
    await world.net.endpoint.call("evm_setAutomine", [on])


async def pledged(world: World) -> int:
    """Whole dollars on the chain."""
    return await world.reader.pledge_of(ACCOUNT_ID, world.venues[0]) // USD


async def sent(world: World) -> int:
    """Transactions of the venue that blocks hold."""
    return await web3_on(world.net.endpoint).eth.get_transaction_count(HexBytes(world.venues[0]), "latest")


def stored(journal: Journal, key: str) -> Intent:
    """What the journal has under `key`."""
    found = journal.find(key)
    assert found is not None
    return found


async def until(journal: Journal, key: str, state: State) -> None:
    """Wait for the journal to say `state`."""
    async with asyncio.timeout(10):
        while (intent := journal.find(key)) is None or intent.state is not state:
            await asyncio.sleep(0.01)


async def alerted(journal: Journal, key: str, words: str) -> None:
    """Wait for an alert."""
    async with asyncio.timeout(10):
        while (intent := journal.find(key)) is None or words not in intent.alert:
            await asyncio.sleep(0.01)


async def drop(world: World, journal: Journal, key: str) -> None:
    """The node forgets the transaction."""
    await world.net.endpoint.call("anvil_dropTransaction", [journal.attempts(key)[-1].hash])


async def known(world: World, journal: Journal, key: str) -> None:
    """Wait until the node has the newest attempt."""
    async with asyncio.timeout(10):
        while not await world.net.endpoint.call("eth_getTransactionByHash", [journal.attempts(key)[-1].hash]):
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def behind(world: World) -> AsyncIterator[tuple[FaultyNode, Endpoint]]:
    """The same chain through a node that can misbehave."""
    async with faulty_node(world.net.url) as node:
        endpoint = Endpoint(node.url, settings=RpcSettings(timeout_s=1.0, attempts=1, breaker_failures=0))
        try:
            yield node, endpoint
        finally:
            await endpoint.close()


def refusing(working: Relayer, refuses: Callable[[bytes], bool]) -> Relayer:
    """The relayer before a node that refuses some bytes."""
    send = working.w3.eth.send_raw_transaction

    async def sending(raw: Any) -> Any:
        if refuses(bytes(raw)):
            raise Web3RPCError("tx fee (1.20 ether) exceeds the configured cap (1.00 ether)")
        return await send(raw)

    working.w3.eth.send_raw_transaction = sending  # type: ignore[method-assign]
    return working
