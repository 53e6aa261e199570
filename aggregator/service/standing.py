"""What a registry says of an account: one venue's standing, that standing as a check, and the pledges of several."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.fixed import format_decimal, format_down
from aggregator.model.errors import ChainError, ChainUnreachableError, CounterfoilError, ProofRefusedError
from aggregator.service.networks import network_of
from aggregator.service.venue import Check, VenueRules
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


PLEDGES: Final = "pledges"


async def check_pledges(
    networks: Sequence[Network], rules: VenueRules, account_id: int
) -> tuple[Check, VenueStanding | None]:
    """The registry asked, as one more condition of a bundle, and what it said; no standing when it gave no answer."""
    try:
        network = network_of(networks, f"eip155:{rules.chain_id}")
        standing = await read_standing(network, rules.registry, rules.venue, account_id)
    except ChainError as error:
        kind = ChainUnreachableError if isinstance(error, ChainUnreachableError) else ChainError
        silent = kind(f"the registry gives no answer: {error}; run: counterfoil doctor")
        return Check(PLEDGES, None, str(silent), silent), None
    except CounterfoilError as error:
        return Check(PLEDGES, None, str(error), error), None
    return judge_pledges(standing, rules.amount_e6), standing


def judge_pledges(standing: VenueStanding, amount_e6: int) -> Check:
    """Passed when the registry vouches for the account and the amount is free, or pledged to this venue already."""
    free = f"{format_down(standing.available_usd_e6, 6, 2)} USD free"
    said = f"{free}, {format_down(standing.own_pledge_usd_e6, 6, 2)} USD pledged to this venue"
    if not standing.record.until:
        reason = f"the registry holds no proof for this venue; submit the bundle with: counterfoil relay submit; {said}"
    elif not standing.good:
        reason = f"the registry's proof for this venue is stale, or pledges are not covered; ask for a new one; {said}"
    elif standing.available_usd_e6 + standing.own_pledge_usd_e6 < amount_e6:
        wanted = format_down(amount_e6, 6, 2)
        reason = f"{said}: less than the {wanted} USD asked for; ask for less, or wait for a release"
    else:
        return Check(PLEDGES, True, said)
    return Check(PLEDGES, False, reason, ProofRefusedError(reason))


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
