"""Batched reads on a real node: one round trip, failures kept apart, splitting where a limit bites."""

from __future__ import annotations

from typing import Any

import pytest

from aggregator.model.errors import ChainError, QuorumError
from chains.devnet import Devnet, devnet
from chains.multicall import MAX_ANSWER, Call, multicall
from chains.rpc import Chain, Endpoint, RpcError
from chains.rpc.abi import encode_call
from tests.chains.faults import faulty_node

pytestmark = pytest.mark.anvil

BURNS_ALL_GAS = bytes.fromhex("5b5f56")
"""JUMPDEST PUSH0 JUMP"""
ANSWERS_8_KB = bytes.fromhex("6120005ff3")
"""RETURN(0, 8192)"""


def raw(address: str) -> bytes:
    return bytes.fromhex(address[2:])


async def ref(net: Devnet) -> dict[str, object]:
    return {"blockHash": (await net.head())["hash"], "requireCanonical": True}


async def put(net: Devnet, runtime: bytes) -> bytes:
    """The address of a new contract with `runtime` as its code."""
    init = bytes([0x60, len(runtime), 0x80, 0x60, 0x0A, 0x5F, 0x39, 0x5F, 0xF3, 0x00]) + runtime
    return raw(await net.deploy_code(init))


async def test_five_hundred_balances_are_one_round_trip(net: Devnet) -> None:
    """50 tokens x 10 holders, every value right, one eth_call, one HTTP exchange."""
    holders = [f"0x{n:040x}" for n in range(0x1000, 0x100A)]
    tokens = [await net.deploy("TestToken", f"T{n}", f"T{n}", 18) for n in range(50)]
    for n, token in enumerate(tokens):
        await token.send("mint", holders[n % 10], 10**18 + n)
    calls = [Call(raw(t.address), encode_call("balanceOf(address)", h)) for t in tokens for h in holders]
    async with Chain(101, [Endpoint(net.url)]) as chain:
        before = chain.round_trips
        outcomes = await multicall(chain, await ref(net), calls)
        assert chain.round_trips - before == 1
    values = [o.unsigned("balanceOf") for o in outcomes]
    assert values == [10**18 + n if h == n % 10 else 0 for n in range(50) for h in range(10)]


async def test_a_failing_read_leaves_the_others(net: Devnet) -> None:
    """A revert, an endless loop, a flood of bytes and an empty address each fail alone, with their own reason."""
    token = raw((await net.deploy("TestToken", "Coin", "CN", 6)).address)
    loop, flood = await put(net, BURNS_ALL_GAS), await put(net, ANSWERS_8_KB)
    supply = Call(token, encode_call("totalSupply()"))
    calls = [
        supply,
        Call(token, b"nope"),
        Call(loop, b""),
        Call(flood, b""),
        Call(b"\x77" * 20, b"none"),
        supply,
    ]
    calls.append(Call(raw(net.accounts[4].address)))
    async with Chain(101, [Endpoint(net.url)]) as chain:
        outcomes = await multicall(chain, await ref(net), calls)
    assert [o.ok for o in outcomes] == [True, False, False, False, True, True, True]
    assert len(outcomes[3].data) == MAX_ANSWER
    assert outcomes[0].unsigned("supply") == outcomes[5].unsigned("supply") == 0
    assert outcomes[6].unsigned("native") == 10_000 * 10**18
    with pytest.raises(ChainError, match="no contract"):
        outcomes[4].unsigned("balanceOf")
    with pytest.raises(ChainError, match="reverted or used too much gas"):
        outcomes[2].unsigned("balanceOf")


async def test_reads_are_pinned_to_the_block(net: Devnet) -> None:
    token = await net.deploy("TestToken", "Coin", "CN", 6)
    await token.send("mint", net.accounts[1].address, 5)
    old = await ref(net)
    await token.send("mint", net.accounts[1].address, 2)
    call = Call(raw(token.address), encode_call("balanceOf(address)", net.accounts[1].address))
    async with Chain(101, [Endpoint(net.url)]) as chain:
        assert (await multicall(chain, old, [call]))[0].unsigned("b") == 5
        assert (await multicall(chain, await ref(net), [call]))[0].unsigned("b") == 7
        with pytest.raises(RpcError):
            await multicall(chain, {"blockHash": "0x" + "11" * 32, "requireCanonical": True}, [call])


async def test_little_gas_means_more_calls_and_the_same_answers() -> None:
    """Under a 2.5 million gas cap the reader stops early, and the rest is asked again."""
    async with devnet(101, block_gas_limit=2_500_000) as net, Chain(101, [Endpoint(net.url)]) as chain:
        token = await net.deploy("TestToken", "Coin", "CN", 6)
        holders = [f"0x{n:040x}" for n in range(1, 301)]
        await token.send("mint", holders[299], 9)
        calls = [Call(raw(token.address), encode_call("balanceOf(address)", h)) for h in holders]
        before = chain.round_trips
        values = [o.unsigned("b") for o in await multicall(chain, await ref(net), calls)]
        assert values == [0] * 299 + [9]
        assert 1 < chain.round_trips - before < 12


async def test_more_than_one_creation_code_holds_is_split_by_size(net: Devnet) -> None:
    token = raw((await net.deploy("TestToken", "Coin", "CN", 6)).address)
    calls = [Call(token, encode_call("balanceOf(address)", f"0x{n:040x}")) for n in range(1, 1501)]
    async with Chain(101, [Endpoint(net.url)]) as chain:
        before = chain.round_trips
        assert len(await multicall(chain, await ref(net), calls)) == 1500
        assert chain.round_trips - before == 2


async def test_a_thousand_balances_are_one_round_trip(net: Devnet) -> None:
    """40 holders of 25 tokens, one of them not zero, in one eth_call."""
    tokens = [await net.deploy("TestToken", "C", "C", 6) for _ in range(25)]
    holders = [f"0x{n:040x}" for n in range(1, 41)]
    await tokens[24].send("mint", holders[39], 9)
    ask = [encode_call("balanceOf(address)", holder) for holder in holders]
    calls = [Call(raw(coin.address), data) for coin in tokens for data in ask]
    async with Chain(101, [Endpoint(net.url)]) as chain:
        before = chain.round_trips
        values = [o.unsigned("b") for o in await multicall(chain, await ref(net), calls)]
        assert values == [0] * 999 + [9]
        assert chain.round_trips - before == 1


async def test_a_size_that_was_refused_is_not_tried_again(net: Devnet) -> None:
    token = raw((await net.deploy("TestToken", "Coin", "CN", 6)).address)
    calls = [Call(token, encode_call("balanceOf(address)", f"0x{n:040x}")) for n in range(1, 101)]
    async with faulty_node(net.url) as node, Chain(101, [Endpoint(node.url)]) as chain:
        node.max_body = 6_000
        counts = []
        for _ in range(2):
            node.posts.clear()
            assert len(await multicall(chain, await ref(net), calls)) == 100
            counts.append(len(node.posts))
        assert counts[1] < counts[0]
        assert counts[1] == -(-100 // chain.reads_per_call)
        known = chain.reads_per_call
        with pytest.raises(RpcError):
            await multicall(chain, {"blockHash": "0x" + "11" * 32, "requireCanonical": True}, calls)
        assert chain.reads_per_call == known, "what is refused whatever its size says nothing about sizes"


async def test_a_refused_batch_is_halved_until_it_passes(net: Devnet) -> None:
    token = raw((await net.deploy("TestToken", "Coin", "CN", 6)).address)
    calls = [Call(token, encode_call("balanceOf(address)", f"0x{n:040x}")) for n in range(1, 101)]
    async with faulty_node(net.url) as node, Chain(101, [Endpoint(node.url)]) as chain:
        node.max_body = 6_000
        assert len(await multicall(chain, await ref(net), calls)) == 100
        node.max_body = 100
        with pytest.raises(ChainError, match="size"):
            await multicall(chain, await ref(net), calls)


async def test_endpoints_that_disagree_on_a_balance_are_refused(net: Devnet) -> None:
    """With a quorum of two, one lying endpoint stops the read."""
    token = await net.deploy("TestToken", "Coin", "CN", 6)
    await token.send("mint", net.accounts[1].address, 5)
    call = Call(raw(token.address), encode_call("balanceOf(address)", net.accounts[1].address))

    def lie(method: str, params: list[Any], answer: Any) -> Any:
        return answer[:-2] + "06" if method == "eth_call" else answer

    async with faulty_node(net.url) as node:
        node.tamper = lie
        async with Chain(101, [Endpoint(net.url), Endpoint(node.url)], quorum=2) as chain:
            with pytest.raises(QuorumError, match="disagree on eth_call"):
                await multicall(chain, await ref(net), [call])
        async with Chain(101, [Endpoint(node.url)]) as chain:
            (outcome,) = await multicall(chain, await ref(net), [call])
            assert outcome.unsigned("b") == 6


async def test_an_answer_of_the_wrong_length_is_refused(net: Devnet) -> None:
    for forged in (
        "0x",
        "0x0001",
        "0x00010100",
        "0x0002010000",
        "0x000101000100ff",
        "0x00020100000100" + "00",
    ):
        async with faulty_node(net.url) as node, Chain(101, [Endpoint(node.url)]) as chain:
            node.tamper = lambda method, params, answer, forged=forged: (
                forged if method == "eth_call" else answer
            )
            with pytest.raises(ChainError):
                await multicall(chain, await ref(net), [Call(b"\x01" * 20)])
