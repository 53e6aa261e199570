"""What a registry says of an account: one venue's standing, and the pledges of several."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from aggregator.fixed import format_decimal
from aggregator.model.errors import ChainError, ChainUnreachableError
from chains.contracts.registry import AccountStatus, Registry, VenueRecord, VenueStanding
from chains.networks import Network
from chains.rpc import Chain
from chains.rpc.provider import web3_on


@contextlib.asynccontextmanager
async def _asking(network: Network) -> AsyncIterator[Chain]:
    try:
        async with asyncio.timeout(network.deadline_s), network.connect() as chain:
            yield chain
    except TimeoutError as error:
        raise ChainUnreachableError(
            f"{network.chain} did not answer within {network.deadline_s} s; ask again, or use other endpoints"
        ) from error


async def read_standing(network: Network, registry: str, venue: str, account_id: int) -> VenueStanding:
    """What a venue looks at, at one block. Raises ChainError, also when the network's deadline passes."""
    async with _asking(network) as chain:
        return await Registry(web3_on(chain), registry).standing(account_id, venue)


@dataclass(frozen=True, slots=True)
class VenuePledge:
    """One venue's live pledge, and the last proof addressed to it."""

    venue: str
    amount_usd_e6: int
    good: bool
    record: VenueRecord


@dataclass(frozen=True, slots=True)
class Pledges:
    """How an account stands in a registry at one block. Venues without pledge and proof are left out."""

    status: AccountStatus
    available_usd_e6: int
    venues: tuple[VenuePledge, ...]
    block_number: int
    block_hash: str
    block_time: int


async def read_pledges(network: Network, registry: str, venues: Sequence[str], account_id: int) -> Pledges:
    """What a registry says of an account and these venues, pinned to the latest block. Raises ChainError."""
    async with _asking(network) as chain:
        w3 = web3_on(chain)
        contract = Registry(w3, registry)
        head = await w3.eth.get_block("latest")
        block = head.get("hash")
        if block is None:
            raise ChainError("the endpoint gave a latest block without a hash; use another endpoint")
        found = []
        for venue in venues:
            pledge = VenuePledge(
                venue,
                await contract.pledge_of(account_id, venue, block),
                await contract.is_good(account_id, venue, block),
                await contract.record(account_id, venue, block),
            )
            if pledge.amount_usd_e6 or pledge.record.until:
                found.append(pledge)
        return Pledges(
            status=await contract.status(account_id, block),
            available_usd_e6=await contract.available(account_id, block),
            venues=tuple(found),
            block_number=int(head["number"]),
            block_hash=block.to_0x_hex(),
            block_time=int(head["timestamp"]),
        )


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
