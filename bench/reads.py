"""500 balances: our batched, pinned and proven reads beside one-by-one web3 calls: python -m bench.reads.

25 holders x (19 tokens + coin) on one local chain, directly and behind a proxy that adds 20 ms to every HTTP exchange.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from web3 import AsyncHTTPProvider, AsyncWeb3

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

HOLDERS = tuple(f"0x{n:040x}" for n in range(0x9000, 0x9019))
TOKENS = 19
DELAY_S = 0.02


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
    async with Chain(101, [Endpoint(url)]) as chain:
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
    if len(snapshot.readings) != 500 or not snapshot.complete:
        raise RuntimeError("the snapshot is not the 500 balances it should be")


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


async def _measure(net: Devnet, coins: list[Deployed], delay_s: float) -> dict[str, Any]:
    async with faulty_node(net.url) as node:
        node.delay_s = delay_s
        described = network(net, *(token(c, f"T{n}", 18) for n, c in enumerate(coins)), endpoints=(node.url,))
        book = LayoutBook()
        first = await _timed(node, lambda: _ours_proven(described, book), runs=1)
        if await _ours_called(node.url, coins) != await _web3(node.url, coins, True):
            raise RuntimeError("the two ways of reading disagree")
        figures: dict[str, Any] = {
            "ours": await _timed(node, lambda: _ours_called(node.url, coins)),
            "oursAnchoredAndProvenFirstTime": first,
            "oursAnchoredAndProven": await _timed(node, lambda: _ours_proven(described, book)),
            "web3OneByOne": await _timed(node, lambda: _web3(node.url, coins, False)),
            "web3Concurrent": await _timed(node, lambda: _web3(node.url, coins, True)),
        }
        ours = figures["ours"]["seconds"]
        figures["timesOurs"] = {
            name: round(figures[name]["seconds"] / ours, 1) for name in ("web3OneByOne", "web3Concurrent")
        }
        return figures


async def main() -> None:
    """Measures with and without delay."""
    async with devnet(101) as net:
        coins = [await net.deploy("TestToken", f"T{n}", f"T{n}", 18) for n in range(TOKENS)]
        for n, coin in enumerate(coins):
            await coin.send("mint", HOLDERS[n], 10**18 * (n + 1))
        write(
            "reads",
            {
                "balances": len(HOLDERS) * (TOKENS + 1),
                "loopback": await _measure(net, coins, 0.0),
                "with20msPerExchange": await _measure(net, coins, DELAY_S),
            },
        )


if __name__ == "__main__":
    asyncio.run(main())
