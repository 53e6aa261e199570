"""The moment a snapshot is read at, chosen so that whoever reads it again finds the same blocks."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from typing import Final

from aggregator.model.errors import ChainError, ConfigError
from chains.anchors import final_time
from chains.networks import Network

MAX_CUT_AGE_S: Final = 6 * 3600
"""A cut that is chosen here is no older: three times the widest max_lag_s in configs/networks."""


async def settled_cut(
    networks: Sequence[Network], *, now: int | None = None, env: Mapping[str, str] = os.environ
) -> int:
    """The last second of which every chain that keeps up has all blocks final, by each network's quorum.

    A later second would do for a reading, but another block of it may still become final, and then an attestor
    would anchor there and not here. A chain that does not answer, or whose final blocks lag the clock by more than
    its `max_lag_s`, has no say: the snapshot will name it (chains.anchors.take_anchor). Without any, the last full
    second.

    Parameters: now, the clock in Unix seconds, by default this machine's; where a chain's final block is later, the
    machine's clock is behind, and the chain's time is taken.
    Raises: ChainError when the cut would be more than `MAX_CUT_AGE_S` before the clock, and names the chain.
    """
    times = await asyncio.gather(*(_final_time(network, env) for network in networks))
    clock = max(int(time.time()) if now is None else now, *(t for t in times if t is not None), 0)
    settled = [
        (final, network)
        for final, network in zip(times, networks, strict=True)
        if final is not None and clock - final <= network.max_lag_s
    ]
    if not settled:
        return clock - 1
    final, slowest = min(settled, key=lambda entry: entry[0])
    if (age_s := clock - (final - 1)) > MAX_CUT_AGE_S:
        raise ChainError(
            f"the newest {slowest.finality} block of {slowest.name} is {clock - final} s old, so the cut would be "
            f"{age_s} s in the past and {MAX_CUT_AGE_S} s are allowed; use another endpoint, lower its max_lag_s so "
            "that it is left out, or name a cut yourself"
        )
    return final - 1


async def _final_time(network: Network, env: Mapping[str, str]) -> int | None:
    """The timestamp of the newest block the network's quorum calls final, None when it cannot be asked."""
    try:
        async with asyncio.timeout(network.deadline_s), network.connect(env) as chain:
            return await final_time(chain, network.finality)
    except (ChainError, ConfigError, TimeoutError):
        return None
