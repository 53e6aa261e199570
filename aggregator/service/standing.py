"""What a registry says of an account: one venue's standing, and the pledges of several."""

from __future__ import annotations

import asyncio

from aggregator.fixed import format_decimal
from chains.contracts.registry import Registry, VenueStanding
from chains.networks import Network
from chains.rpc.provider import web3_on


async def read_standing(network: Network, registry: str, venue: str, account_id: int) -> VenueStanding:
    """What a venue looks at, at one block. Raises ChainError, also when the network's deadline passes."""
    async with asyncio.timeout(network.deadline_s), network.connect() as chain:
        return await Registry(web3_on(chain), registry).standing(account_id, venue)


def standing_json(standing: VenueStanding) -> dict[str, object]:
    """A standing as JSON, amounts in USD."""
    return {
        "good": standing.good,
        "provenUsd": format_decimal(standing.record.amount_usd_e6, 6),
        "level": standing.record.level.name,
        "until": standing.record.until,
        "ownPledgeUsd": format_decimal(standing.own_pledge_usd_e6, 6),
        "pledgedUsd": format_decimal(standing.pledged_usd_e6, 6),
        "availableUsd": format_decimal(standing.available_usd_e6, 6),
    }
