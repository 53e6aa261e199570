"""Storage layouts: known slots, and their discovery by experiment on a real node."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from aggregator.model.anchors import Finality
from aggregator.model.errors import ConfigError
from chains.anchors import Anchored, take_anchor
from chains.balances.discovery import discover_layouts
from chains.balances.layouts import Layout, candidates, namespace_slot, parse_layout
from chains.contracts import Artifact
from chains.devnet import Devnet
from chains.rpc import Chain, Endpoint
from tests.chains.faults import faulty_node

HOLDER = bytes.fromhex("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266")


def word(n: int) -> bytes:
    return n.to_bytes(32, "big")


def test_known_slots() -> None:
    """EIP-7201's value for OpenZeppelin's ERC-20, and the preimages of the four forms spelled out."""
    namespace = 0x52C63247E1F47DB19D5CE0460030C497F067CA4CEBF71BA98EEADABE20BACE00
    assert namespace_slot("openzeppelin.storage.ERC20") == namespace
    padded = bytes(12) + HOLDER
    assert Layout("solidity", 9).key(HOLDER) == keccak(padded + word(9))
    assert Layout("vyper", 3).key(HOLDER) == keccak(word(3) + padded)
    assert Layout("openzeppelin-7201").key(HOLDER) == keccak(padded + word(namespace))
    assert Layout("solady").key(HOLDER) == keccak(HOLDER + bytes.fromhex("000000000000000087a211a2"))


def test_layouts_round_trip_and_others_are_refused() -> None:
    for layout in candidates(5):
        assert parse_layout(str(layout)) == layout
    for text in ("", "solidity", "solidity:-1", "solidity:x", "vyper:", "eip7201", "solady:1"):
        with pytest.raises(ConfigError, match="not a storage layout"):
            parse_layout(text)


def mapping_token(slot: int, *, slot_first: bool = False, factor: int = 1) -> bytes:
    """Runtime code: whatever is called, answer the word at keccak(holder, slot) times `factor`."""
    holder_at, slot_at = (0x20, 0x00) if slot_first else (0x00, 0x20)
    return bytes.fromhex(
        f"600435 60{holder_at:02x}52 7f{slot:064x} 60{slot_at:02x}52 60405f20 54 60{factor:02x}02 5f52 60205ff3"
    )


def solady_token() -> bytes:
    """mstore(0x0c, seed); mstore(0, holder << 96); answer sload(keccak256(0, 0x20 bytes of it))."""
    return bytes.fromhex("6387a211a2600c52 600435 5f52 6020600c20 54 5f52 60205ff3")


@pytest.fixture
async def pinned(net: Devnet) -> AsyncIterator[tuple[Devnet, Chain]]:
    async with Chain(101, [Endpoint(net.url)]) as chain:
        yield net, chain


async def anchor(chain: Chain) -> Anchored:
    return await take_anchor(chain, cut=int(time.time()) + 5, finality=Finality.LATEST)


async def deploy(net: Devnet, runtime: bytes) -> bytes:
    init = bytes([0x60, len(runtime), 0x80, 0x60, 0x0A, 0x5F, 0x39, 0x5F, 0xF3, 0x00]) + runtime
    return bytes.fromhex((await net.deploy_code(init))[2:])


@pytest.mark.anvil
async def test_each_layout_is_discovered_and_a_rebasing_token_is_not(pinned: tuple[Devnet, Chain]) -> None:
    net, chain = pinned
    upgradeable = namespace_slot("openzeppelin.storage.ERC20")
    expected: dict[bytes, Layout | None] = {
        await deploy(net, mapping_token(0)): Layout("solidity", 0),
        await deploy(net, mapping_token(51)): Layout("solidity", 51),
        await deploy(net, mapping_token(301)): Layout("solidity", 301),
        await deploy(net, mapping_token(1, slot_first=True)): Layout("vyper", 1),
        await deploy(net, mapping_token(upgradeable)): Layout("openzeppelin-7201"),
        await deploy(net, solady_token()): Layout("solady"),
        await deploy(net, mapping_token(2, factor=3)): None,
        await deploy(net, mapping_token(2**200)): None,
        await deploy(net, bytes.fromhex("602a5f5260205ff3")): None,
        b"\x77" * 20: None,
    }
    token = await net.deploy("TestToken", "Coin", "CN", 6)
    vault = await net.deploy("TestVault", token, "Vault", "VLT")
    expected[bytes.fromhex(token.address[2:])] = Layout("solidity", 0)
    expected[bytes.fromhex(vault.address[2:])] = Layout("solidity", 0)
    before = chain.round_trips
    anchored = await anchor(chain)
    between = chain.round_trips
    found = await discover_layouts(chain, anchored, list(expected))
    assert chain.round_trips - between == 2
    assert before < between
    assert {t: found.get(t) for t in expected} == expected


@pytest.mark.anvil
@pytest.mark.parametrize("refused", [1, 2, 3])
async def test_without_access_lists_traces_are_asked_for_and_then_the_common_layouts_tried(
    net: Devnet, refused: int
) -> None:
    """The access list is refused, then the prestate tracer too, then every trace; each costs one more round trip."""
    near, far = await deploy(net, mapping_token(9)), await deploy(net, mapping_token(51))
    tracers: list[str] = []

    def refuse(method: str, params: list[Any], answer: Any) -> Any:
        if method == "debug_traceCall":
            tracers.append(params[2].get("tracer", "steps"))
        kinds = ["eth_createAccessList", "prestateTracer", "steps"][:refused]
        asked = tracers[-1] if method == "debug_traceCall" else method
        return None if asked in kinds else answer

    async with faulty_node(net.url) as node, Chain(101, [Endpoint(node.url)]) as chain:
        node.tamper = refuse
        anchored = await anchor(chain)
        before = chain.round_trips
        found = await discover_layouts(chain, anchored, [near, far])
        assert chain.round_trips - before == min(1 + refused, 3) + 1
    known = {near: Layout("solidity", 9), far: Layout("solidity", 51)}
    assert found == (known if refused < 3 else {near: Layout("solidity", 9)})
    assert tracers == ["prestateTracer"] * 2 + ["steps"] * (2 if refused > 1 else 0)


@pytest.mark.anvil
async def test_malformed_traces_are_no_hint(net: Devnet) -> None:
    """Stacks of words that are none, entries that are none, an empty answer: the common layouts are tried."""
    token = await deploy(net, mapping_token(9))
    bad: list[Any] = [
        {"structLogs": [{"op": "SLOAD", "stack": stack}]} for stack in ([], ["0xzz"], ["-1"], [None])
    ]
    address = "0x" + token.hex()
    bad += [{}, [], {"structLogs": 1}, {address: 1}, {address: {"storage": {"0x1": "0x0"}}}]

    for answer in bad:

        def lie(method: str, params: list[Any], true: Any, answer: Any = answer) -> Any:
            return answer if method in ("eth_createAccessList", "debug_traceCall") else true

        async with faulty_node(net.url) as node, Chain(101, [Endpoint(node.url)]) as chain:
            node.tamper = lie
            assert await discover_layouts(chain, await anchor(chain), [token]) == {
                token: Layout("solidity", 9)
            }


@pytest.mark.anvil
async def test_the_layout_that_vyper_compiles_is_discovered(pinned: tuple[Devnet, Chain]) -> None:
    """A token in Vyper, compiled now: its mapping is hashed with the slot first."""
    vyper = pytest.importorskip("vyper", reason="the Vyper compiler (extra `dev`) is not installed")
    net, chain = pinned
    source = (Path(__file__).parent / "contracts" / "plain_token.vy").read_text()
    made = vyper.compile_code(source, output_formats=["bytecode", "abi", "layout"])
    code = Artifact("plain_token", made["abi"], bytes.fromhex(made["bytecode"][2:]), b"", "")
    coin = await net.deploy_artifact(code)
    await coin.send("mint", "0x" + HOLDER.hex(), 77)
    slot = made["layout"]["storage_layout"]["balanceOf"]["slot"]
    token = bytes.fromhex(coin.address[2:])
    found = await discover_layouts(chain, await anchor(chain), [token])
    assert found == {token: Layout("vyper", slot)}
    word = await net.endpoint.call(
        "eth_getStorageAt", [coin.address, "0x" + found[token].key(HOLDER).hex(), "latest"]
    )
    assert int(str(word), 16) == 77


@pytest.mark.anvil
async def test_an_access_list_that_lies_finds_nothing(net: Devnet) -> None:
    """A slot the balance does not come from fails the experiment."""
    token = await deploy(net, mapping_token(9))

    def other_slot(method: str, params: list[Any], answer: Any) -> Any:
        if method != "eth_createAccessList":
            return answer
        holder = bytes.fromhex(params[0]["data"][-40:])
        return {
            "accessList": [
                {"address": params[0]["to"], "storageKeys": ["0x" + Layout("solidity", 4).key(holder).hex()]}
            ]
        }

    async with faulty_node(net.url) as node, Chain(101, [Endpoint(node.url)]) as chain:
        node.tamper = other_slot
        assert await discover_layouts(chain, await anchor(chain), [token]) == {}
