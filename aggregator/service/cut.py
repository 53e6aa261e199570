"""The moment a snapshot is read at, chosen so that whoever reads it again finds the same blocks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aggregator.model.errors import ChainError, ConfigError
from chains.networks import Network
from chains.rpc.values import parse_object, parse_quantity


async def settled_cut(networks: Sequence[Network]) -> int:
    """The last second of which every reachable chain has all blocks final.

    A later second would do for a reading, but another block of it may still become final, and then an attestor
    would anchor there and not here. Chains that do not answer have no say: the snapshot will name them. Without
    any, the last full second.
    """
    times = await asyncio.gather(*(_final_time(network) for network in networks))
    return min((t for t in times if t is not None), default=int(time.time())) - 1


async def _final_time(network: Network) -> int | None:
    """The timestamp of the newest block the network calls final, None when it cannot be asked."""
    try:
        async with asyncio.timeout(network.deadline_s), network.connect() as chain:
            block = await chain.call("eth_getBlockByNumber", [network.finality.value, False])
            return parse_quantity(parse_object(block, "the block").get("timestamp"), "its timestamp")
    except (ChainError, ConfigError, TimeoutError):
        return None
