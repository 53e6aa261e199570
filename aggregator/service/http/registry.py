"""What a registry says of an account: pledges by venue, margin calls."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from aggregator.fixed import format_decimal
from aggregator.model.errors import InputError
from aggregator.service.http.requests import WORD, json_answer, path_text, query_text
from aggregator.service.http.service import Service
from aggregator.service.linking import parse_address, parse_caip10
from aggregator.service.networks import network_of
from aggregator.service.standing import Pledges, read_pledges

MOST_VENUES: Final = 32


async def get_registry_account(service: Service, request: web.Request) -> web.Response:
    """An account's pledges and margin calls, all at one block."""
    account_id = int(path_text(request, "accountId", WORD), 16)
    contract = query_text(request, "registry") or service.settings.text("registry", "contract")
    if not contract:
        raise InputError("no registry is named and none is configured; give registry=eip155:...:0x...")
    chain_id, registry = parse_caip10(contract)
    asked = [parse_address(text) for text in request.query.getall("venue", [])]
    if len(asked) > MOST_VENUES:
        raise InputError(f"{len(asked)} venues are asked for; give at most {MOST_VENUES}")
    venues = dict.fromkeys([*asked, *watched_venues(service)])
    network = network_of(service.networks, f"eip155:{chain_id}")
    found = await read_pledges(network, registry, list(venues), account_id)
    return json_answer(pledges_json(account_id, chain_id, registry, found))


def watched_venues(service: Service) -> list[str]:
    """The venues whose pledges are shown without being asked for, each once."""
    named = [parse_address(text) for text in service.settings.texts("registry", "venues")]
    return list(dict.fromkeys([*named, *(rules.venue for rules in service.venues.values())]))


def pledges_json(account_id: int, chain_id: int, registry: str, found: Pledges) -> dict[str, object]:
    """Pledges as JSON, amounts in USD."""
    status = found.status
    return {
        "accountId": f"0x{account_id:064x}",
        "registry": f"eip155:{chain_id}:{registry}",
        "status": status.status.name.lower(),
        "firmUsd": format_decimal(status.firm_usd_e6, 6),
        "countedUsd": format_decimal(status.counted_usd_e6, 6),
        "pledgedUsd": format_decimal(status.pledged_usd_e6, 6),
        "availableUsd": format_decimal(found.available_usd_e6, 6),
        "deadline": status.deadline or None,
        "pledges": [
            {
                "venue": one.venue,
                "amountUsd": format_decimal(one.amount_usd_e6, 6),
                "good": one.good,
                "provenUsd": format_decimal(one.record.amount_usd_e6, 6),
                "until": one.record.until,
            }
            for one in found.venues
        ],
        "asOf": [
            {
                "chain": f"eip155:{chain_id}",
                "number": str(found.block_number),
                "hash": found.block_hash,
                "timestamp": found.block_time,
                "finality": "latest",
                "trust": "single-rpc",
            }
        ],
        "cutTime": found.block_time,
        "complete": True,
        "failedChains": [],
        "missing": [],
        "trust": "single-rpc",
    }
