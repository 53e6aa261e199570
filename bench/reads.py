"""1,000 balances: our batched, pinned and proven reads beside web3.py and multicall.py: python -m bench.reads.

50 holders x (19 tokens + coin) on one local chain, directly and behind a proxy that adds 20 ms to every HTTP exchange.
multicall.py comes with the extra `bench` (pip install -c constraints.txt -e .[bench]); without it that row is left out.
The chain has the id 1, where multicall.py knows Multicall3's address, and Multicall3's code is put there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from web3 import AsyncHTTPProvider, AsyncWeb3, HTTPProvider, Web3

from bench.record import write
from chains.balances import LayoutBook, take_snapshot
from chains.contracts import artifact
from chains.devnet import Deployed, Devnet, devnet
from chains.multicall import Call, multicall
from chains.networks import Network
from chains.rpc import Chain, Endpoint
from chains.rpc.abi import selector
from tests.chains.faults import FaultyNode, faulty_node
from tests.chains.scenes import network, token

HOLDERS = tuple(f"0x{n:040x}" for n in range(0x9000, 0x9032))
TOKENS = 19
CHAIN_ID = 1
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
AGGREGATE3 = {
    "name": "aggregate3",
    "type": "function",
    "stateMutability": "payable",
    "inputs": [
        {
            "name": "calls",
            "type": "tuple[]",
            "components": [
                {"name": "target", "type": "address"},
                {"name": "allowFailure", "type": "bool"},
                {"name": "callData", "type": "bytes"},
            ],
        }
    ],
    "outputs": [
        {
            "name": "returnData",
            "type": "tuple[]",
            "components": [{"name": "success", "type": "bool"}, {"name": "returnData", "type": "bytes"}],
        }
    ],
}
"""Of Multicall3 (mds1/multicall, src/Multicall3.sol)."""
DELAY_S = 0.02
Reader = Callable[[str, list[Deployed]], Awaitable[list[int]]]


async def _timed(node: FaultyNode, work: Callable[[], Awaitable[object]], runs: int = 3) -> dict[str, float]:
    times, trips = [], 0
    for _ in range(runs):
        node.posts.clear()
        start = time.perf_counter()
        await work()
        times.append(time.perf_counter() - start)
        trips = len(node.posts)
    return {"roundTrips": trips, "seconds": round(sorted(times)[runs // 2], 3)}


async def _ours_called(url: str, coins: list[Deployed]) -> list[int]:
    holders = [bytes.fromhex(h[2:]) for h in HOLDERS]
    async with Chain(CHAIN_ID, [Endpoint(url)]) as chain:
        head: Any = await chain.call("eth_getBlockByNumber", ["latest", False])
        block = {"blockHash": head["hash"], "requireCanonical": True}
        ask = selector("balanceOf(address)")
        calls = [Call(h) for h in holders]
        calls += [
            Call(bytes.fromhex(c.address[2:]), ask + h.rjust(32, b"\0")) for c in coins for h in holders
        ]
        return [outcome.unsigned("balance") for outcome in await multicall(chain, block, calls)]


async def _ours_proven(described: Network, book: LayoutBook) -> None:
    snapshot = await take_snapshot(
        [described], account_id=7, addresses=HOLDERS, cut=int(time.time()) + 5, env={}, book=book
    )
    if len(snapshot.readings) != len(HOLDERS) * (TOKENS + 1) or not snapshot.complete:
        raise RuntimeError("the snapshot is not the balances it should be")


async def _web3(url: str, coins: list[Deployed], concurrent: bool) -> list[int]:
    w3 = AsyncWeb3(AsyncHTTPProvider(url))
    abi = artifact("TestToken").abi
    holders = [w3.to_checksum_address(h) for h in HOLDERS]
    reads: list[Any] = [w3.eth.get_balance(h) for h in holders]
    for coin in coins:
        contract = w3.eth.contract(address=w3.to_checksum_address(coin.address), abi=abi)
        reads += [contract.functions.balanceOf(h).call() for h in holders]
    try:
        return list(await asyncio.gather(*reads)) if concurrent else [await read for read in reads]
    finally:
        await w3.provider.disconnect()


def _questions(coins: list[Deployed]) -> list[tuple[str, bytes]]:
    """Target and call data of every read, by Multicall3 for the coin's balances."""
    asks = [(MULTICALL3, selector("getEthBalance(address)"))]
    asks += [(coin.address, selector("balanceOf(address)")) for coin in coins]
    return [(to, ask + bytes.fromhex(h[2:]).rjust(32, b"\0")) for to, ask in asks for h in HOLDERS]


async def _web3_multicall3(url: str, coins: list[Deployed]) -> list[int]:
    """Plain web3.py with the deployed Multicall3: one call of aggregate3."""
    w3 = AsyncWeb3(AsyncHTTPProvider(url))
    contract: Any = w3.eth.contract(address=w3.to_checksum_address(MULTICALL3), abi=[AGGREGATE3])
    try:
        answers = await contract.functions.aggregate3(
            [(to, False, data) for to, data in _questions(coins)]
        ).call()
        return [int.from_bytes(data, "big") for _, data in answers]
    finally:
        await w3.provider.disconnect()


async def _web3_batch(url: str, coins: list[Deployed]) -> list[int]:
    """Plain web3.py with JSON-RPC batches."""
    w3 = AsyncWeb3(AsyncHTTPProvider(url))
    abi = artifact("TestToken").abi
    holders = [w3.to_checksum_address(h) for h in HOLDERS]
    try:
        async with w3.batch_requests() as batch:
            for holder in holders:
                batch.add(w3.eth.get_balance(holder))
            for coin in coins:
                contract = w3.eth.contract(address=w3.to_checksum_address(coin.address), abi=abi)
                for holder in holders:
                    batch.add(contract.functions.balanceOf(holder))
            return [int(str(value)) for value in await batch.async_execute()]
    finally:
        await w3.provider.disconnect()


async def _multicall_py(url: str, coins: list[Deployed]) -> list[int]:
    """multicall.py as its readme shows it, in a thread because it runs an event loop of its own."""
    from multicall import Call as PyCall
    from multicall import Multicall

    def work() -> list[int]:
        w3 = Web3(HTTPProvider(url))
        asks = [(MULTICALL3, "getEthBalance(address)(uint256)")]
        asks += [(coin.address, "balanceOf(address)(uint256)") for coin in coins]
        calls = [
            PyCall(to, [ask, holder], [((n, holder), int)])
            for n, (to, ask) in enumerate(asks)
            for holder in HOLDERS
        ]
        return list(Multicall(calls, _w3=w3)().values())

    return await asyncio.to_thread(work)


async def _put_multicall3(net: Devnet) -> bool:
    """Multicall3's own code at its address, where multicall.py is installed."""
    try:
        from multicall.constants import MULTICALL3_BYTECODE
    except ImportError:
        return False
    text = MULTICALL3_BYTECODE if isinstance(MULTICALL3_BYTECODE, str) else MULTICALL3_BYTECODE.hex()
    await net.set_code(MULTICALL3, bytes.fromhex(text.removeprefix("0x")))
    return True


async def _measure(
    net: Devnet, coins: list[Deployed], delay_s: float, peers: Mapping[str, Reader]
) -> dict[str, Any]:
    async with faulty_node(net.url) as node:
        node.delay_s = delay_s
        described = network(net, *(token(c, f"T{n}", 18) for n, c in enumerate(coins)), endpoints=(node.url,))
        book = LayoutBook()
        first = await _timed(node, lambda: _ours_proven(described, book), runs=1)
        expected = await _ours_called(node.url, coins)
        figures: dict[str, Any] = {
            "ours": await _timed(node, lambda: _ours_called(node.url, coins)),
            "oursAnchoredAndProvenFirstTime": first,
            "oursAnchoredAndProven": await _timed(node, lambda: _ours_proven(described, book)),
        }
        ours, times = figures["ours"]["seconds"], {}
        for name, read in peers.items():
            if await read(node.url, coins) != expected:
                raise RuntimeError(f"{name} and ours disagree")
            runs = 1 if delay_s and name == "web3OneByOne" else 3
            figures[name] = await _timed(node, partial(read, node.url, coins), runs)
            times[name] = round(figures[name]["seconds"] / ours, 1)
        figures["timesOurs"] = times
        return figures


async def main() -> None:
    """Measures with and without delay."""
    async with devnet(CHAIN_ID) as net:
        coins = [await net.deploy("TestToken", f"T{n}", f"T{n}", 18) for n in range(TOKENS)]
        for n, coin in enumerate(coins):
            await coin.send("mint", HOLDERS[n], 10**18 * (n + 1))
        peers: dict[str, Reader] = {
            "web3OneByOne": partial(_web3, concurrent=False),
            "web3Concurrent": partial(_web3, concurrent=True),
            "web3Batch": _web3_batch,
        }
        if await _put_multicall3(net):
            peers |= {"web3Multicall3": _web3_multicall3, "multicallPy": _multicall_py}
        write(
            "reads",
            {
                "balances": len(HOLDERS) * (TOKENS + 1),
                "loopback": await _measure(net, coins, 0.0, peers),
                "with20msPerExchange": await _measure(net, coins, DELAY_S, peers),
            },
        )


if __name__ == "__main__":
    asyncio.run(main())
