"""A signing service: a real node that holds the key, and what a service could do that it should not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from eth_account import Account

from aggregator.model.errors import KeyFileError, TransactionError
from chains.contracts.registry import pledge_call
from chains.relayer import Call, Finality, Journal, Relayer, RelayerSettings, RemoteSigner, State, load_signer
from chains.rpc.provider import web3_on
from tests.chains.contracts.world import ACCOUNT_ID, USD, World

KEY = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
OTHER_KEY = "0x" + "11" * 32
ADDRESS = Account.from_key(KEY).address
TRANSACTION = {
    "type": 2,
    "chainId": 101,
    "nonce": 7,
    "gas": 50_000,
    "maxFeePerGas": 10**9,
    "maxPriorityFeePerGas": 10**8,
    "value": 0,
    "to": "0x" + "22" * 20,
    "data": b"\x01\x00",
}


@pytest.mark.anvil
async def test_a_node_signs_and_the_relayer_sends(world: World, journal: Journal) -> None:
    """anvil's eth_signTransaction holds the venue's key; the relayer's own process never does."""
    await world.prove_and_submit(await world.submission())
    signer = load_signer(f"remote:{world.venues[0]}@env:SIGNER", env={"SIGNER": world.net.url})
    assert isinstance(signer, RemoteSigner)
    settings = RelayerSettings(finality=Finality(confirmations=1), poll_s=0.02, timeout_s=20.0)
    relayer = Relayer(web3_on(world.net.endpoint), world.net.chain_id, signer, journal, settings)
    call = Call("pledge:1", world.registry, pledge_call(ACCOUNT_ID, 5 * USD), "pledge")
    outcome = await relayer.relay(call, yes=True)
    assert outcome.state is State.FINAL
    assert await world.reader.pledge_of(ACCOUNT_ID, world.venues[0]) == 5 * USD


class Service:
    """A signing service whose answers a test chooses."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], Any] = lambda _: {"result": signed()}
        self.asked: list[dict[str, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        """One JSON-RPC call."""
        body = json.loads(await request.text())
        self.asked.append(body)
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], **self.answer(body)})


@pytest.fixture
async def service() -> AsyncIterator[tuple[Service, RemoteSigner]]:
    """The service, and the signer that asks it, with a token in its URL."""
    held = Service()
    app = web.Application()
    app.router.add_post("/token-hunter2", held.handle)
    async with TestServer(app) as server:
        yield held, RemoteSigner(ADDRESS, str(server.make_url("/token-hunter2")))


def signed(key: str = KEY, **changes: Any) -> str:
    """A raw transaction."""
    return (
        "0x" + bytes(Account.from_key(key).sign_transaction({**TRANSACTION, **changes}).raw_transaction).hex()
    )


async def ask(signer: RemoteSigner) -> Any:
    """The signer blocks, and the service runs in this loop."""
    import asyncio

    return await asyncio.to_thread(signer.sign, TRANSACTION)


async def test_the_very_transaction_is_taken(service: tuple[Service, RemoteSigner]) -> None:
    """In both forms that nodes answer with; the request says who signs and has quantities in hex."""
    held, signer = service
    assert (await ask(signer)).raw.hex() == signed()[2:]
    (request,) = held.asked[0]["params"]
    assert (request["from"], request["nonce"], request["data"]) == (ADDRESS, "0x7", "0x0100")
    held.answer = lambda _: {"result": {"raw": signed(), "tx": {}}}
    expected = Account.from_key(KEY).sign_transaction(TRANSACTION)
    assert (await ask(signer)).hash == "0x" + bytes(expected.hash).hex()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"nonce": 8}, "nonce"),
        ({"to": "0x" + "33" * 20}, "to"),
        ({"value": 1}, "value"),
        ({"data": b"\x01"}, "data"),
        ({"chainId": 1}, "chainId"),
        ({"gas": 60_000}, "gas"),
        ({"maxFeePerGas": 2 * 10**9}, "maxFeePerGas"),
        ({"maxPriorityFeePerGas": 1}, "maxPriorityFeePerGas"),
    ],
)
async def test_another_transaction_is_refused(
    service: tuple[Service, RemoteSigner], changes: dict[str, Any], name: str
) -> None:
    held, signer = service
    held.answer = lambda _: {"result": signed(**changes)}
    with pytest.raises(TransactionError, match=f"signed another {name} "):
        await ask(signer)


async def test_an_access_list_or_another_key_is_refused(service: tuple[Service, RemoteSigner]) -> None:
    held, signer = service
    held.answer = lambda _: {"result": signed(accessList=[{"address": "0x" + "22" * 20, "storageKeys": []}])}
    with pytest.raises(TransactionError, match="no signed EIP-1559 transaction"):
        await ask(signer)
    held.answer = lambda _: {"result": signed(OTHER_KEY)}
    with pytest.raises(TransactionError, match="not of 0x2c75"):
        await ask(signer)


@pytest.mark.parametrize(
    "result", [None, "", "0x", "0x02", "0x02c0", "02zz", "0x01" + "00" * 50, 5, [], {"raw": None}]
)
async def test_anything_else_is_refused(service: tuple[Service, RemoteSigner], result: Any) -> None:
    held, signer = service
    held.answer = lambda _: {"result": result}
    with pytest.raises(TransactionError, match="no signed EIP-1559 transaction"):
        await ask(signer)


async def test_refusals_and_silence_do_not_say_the_url(service: tuple[Service, RemoteSigner]) -> None:
    held, signer = service
    held.answer = lambda _: {"error": {"code": -32000, "message": "locked\x1b[2J"}}
    with pytest.raises(TransactionError, match="refused to sign") as caught:
        await ask(signer)
    assert "\x1b" not in str(caught.value)
    silent = RemoteSigner(ADDRESS, "http://127.0.0.1:1/hunter2")
    with pytest.raises(TransactionError, match="does not answer") as caught:
        await ask(silent)
    assert caught.value.__cause__ is None
    for text in (str(caught.value), repr(silent), repr(signer)):
        assert "hunter2" not in text


@pytest.mark.parametrize(
    "reference",
    [
        "remote:",
        "remote:0x12@env:URL",
        f"remote:{ADDRESS}",
        f"remote:{ADDRESS}@http://x/hunter2",
        f"remote:{ADDRESS}@env:",
    ],
)
def test_references(reference: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        load_signer(reference, env={"URL": "http://127.0.0.1:1"})
    assert "hunter2" not in str(caught.value)


def test_a_url_that_is_none() -> None:
    with pytest.raises(KeyFileError, match="http") as caught:
        load_signer(f"remote:{ADDRESS}@env:URL", env={"URL": "file:///hunter2"})
    assert "hunter2" not in str(caught.value)
