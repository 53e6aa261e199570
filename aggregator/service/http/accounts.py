"""Operations on accounts: make and list them, link addresses by their owners' signatures and unlink them."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from aggregator.model.errors import InputError
from aggregator.service.http.idempotency import once
from aggregator.service.http.requests import (
    json_answer,
    optional_text,
    page_of,
    page_size,
    query_text,
    read_object,
)
from aggregator.service.http.service import Service
from aggregator.service.linking import (
    link_to_sign,
    require_signed,
    revocation_to_sign,
    stated_link,
    stated_revocation,
)
from aggregator.store import Account, Link
from aggregator.store.everything import AllRecords
from aggregator.store.records import ACCOUNT_NAME, check_account_name

MAX_SUB_ACCOUNT: Final = 2**32 - 1
_HOLDER: Final = re.compile(r"[0-9a-zA-Z:]{1,80}", re.ASCII)


def account_json(account: Account, links: list[Link]) -> dict[str, object]:
    """An account without the place of its key."""
    return {
        "name": account.name,
        "accountId": f"0x{account.account_id:064x}",
        "subAccount": account.sub_account,
        "createdAt": account.created_at,
        "links": [link_json(link) for link in links],
    }


def link_json(link: Link) -> dict[str, object]:
    """A link without its signature."""
    return {"address": link.holder, "issuedAt": link.issued_at, "expiry": link.expiry}


def account_name(request: web.Request) -> str:
    """The account that the path names; raises InputError."""
    return check_account_name(request.match_info["account"])


async def list_accounts(service: Service, request: web.Request) -> web.Response:
    """Accounts by name."""
    after, limit = query_text(request, "cursor", ACCOUNT_NAME), page_size(request)

    def read(records: AllRecords) -> tuple[list[Account], dict[str, list[Link]]]:
        found = records.account_page(after=after, limit=limit + 1)
        return found, records.links_of([account.name for account in found])

    found, links = await service.store.read(read)
    shown, last = page_of(found, limit)
    items = [account_json(account, links[account.name]) for account in shown]
    return json_answer({"items": items, "next": None if last is None else last.name})


async def get_account(service: Service, request: web.Request) -> web.Response:
    """One account."""
    name = account_name(request)
    account, links = await service.store.read(lambda r: (r.account(name), r.links(name)))
    return json_answer(account_json(account, links))


async def create_account(service: Service, request: web.Request) -> web.Response:
    """Make an account; its key stays in the home."""
    body = await read_object(request, ("name",), ("subAccount", "sameKeyAs"))
    name = check_account_name(body.text("name"))
    number = body.number("subAccount", 0, MAX_SUB_ACCOUNT) if "subAccount" in body.value else 0
    same = optional_text(body, "sameKeyAs")
    now = service.now()

    def make(records: AllRecords) -> dict[str, object]:
        # A request that was cut off may have left a key without its account: it is used, never written over.
        left = service.home.keys / f"{name}.key"
        key_file = left if left.exists() else None
        if same is not None:
            key_file = records.key_file(same)
        made = service.home.create_account(records, name, sub_account=number, key_file=key_file, now=now)
        return account_json(made, [])

    return await once(service, request, make, status=201)


async def list_links(service: Service, request: web.Request) -> web.Response:
    """The addresses of an account."""
    name, limit = account_name(request), page_size(request)
    after = query_text(request, "cursor", _HOLDER)
    _, links = await service.store.read(lambda r: (r.account(name), r.links(name)))
    rest = [link for link in links if after is None or link.holder > after]
    shown, last = page_of(sorted(rest, key=lambda link: link.holder)[: limit + 1], limit)
    return json_answer(
        {"items": [link_json(link) for link in shown], "next": None if last is None else last.holder}
    )


async def get_link_message(service: Service, request: web.Request) -> web.Response:
    """The typed data for a wallet."""
    name, address = account_name(request), query_text(request, "address")
    if address is None:
        raise InputError("the parameter address is missing; give the address to link")
    account = await service.store.read(lambda records: records.account(name))
    statement = link_to_sign(account, address, service.now())
    return json_answer(
        {
            "address": statement.owner,
            "issuedAt": statement.issued_at,
            "expiry": statement.expiry,
            "typedData": statement.typed_data(),
        }
    )


async def create_link(service: Service, request: web.Request) -> web.Response:
    """Link an address whose owner signed."""
    name = account_name(request)
    body = await read_object(request, ("address", "issuedAt", "expiry", "signature"), ("chain",))
    account = await service.store.read(lambda records: records.account(name))
    link = stated_link(
        account,
        body.text("address"),
        body.number("issuedAt"),
        body.number("expiry"),
        body.text("signature", max_length=8_194),
        optional_text(body, "chain") or "",
    )
    now = service.now()
    await require_signed(account.account_id, link, now, service.networks)

    def store(records: AllRecords) -> dict[str, object]:
        records.add_link(link, now=now)
        return link_json(link)

    return await once(service, request, store, status=201)


async def get_unlink_message(service: Service, request: web.Request) -> web.Response:
    """The typed data for a wallet that withdraws its links."""
    address = query_text(request, "address")
    if address is None:
        raise InputError("the parameter address is missing; give the address to unlink")
    statement = revocation_to_sign(address, service.now())
    return json_answer(
        {
            "address": statement.owner,
            "issuedAt": statement.issued_at,
            "typedData": statement.typed_data(),
        }
    )


async def create_unlink(service: Service, request: web.Request) -> web.Response:
    """Withdraw the links of an address whose owner signed that."""
    body = await read_object(request, ("address", "issuedAt", "signature"), ("chain",))
    revocation = stated_revocation(
        body.text("address"),
        body.number("issuedAt"),
        body.text("signature", max_length=8_194),
        optional_text(body, "chain") or "",
    )
    await require_signed(0, revocation, service.now(), service.networks)

    def store(records: AllRecords) -> dict[str, object]:
        ended = records.revoke_links(revocation)
        return {
            "address": revocation.address,
            "issuedAt": revocation.issued_at,
            "accounts": sorted({link.account for link in ended}),
        }

    return await once(service, request, store, status=201)
