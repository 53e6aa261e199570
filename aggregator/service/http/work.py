"""Operations that start, list and show long work: snapshots, proofs, relaying, jobs."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from aiohttp import web

from aggregator.fixed import format_decimal
from aggregator.model.errors import InputError
from aggregator.model.snapshot import snapshot_json
from aggregator.model.strictjson import JsonObject, canonical_json
from aggregator.service import provenance
from aggregator.service.attestation_files import (
    attestation_json,
    encode_request,
    parse_attestation,
    parse_request,
)
from aggregator.service.attesting import attest_request, make_request
from aggregator.service.evidence import from_stored
from aggregator.service.http.accounts import account_name
from aggregator.service.http.guard import CALLER
from aggregator.service.http.health import read_case
from aggregator.service.http.idempotency import once
from aggregator.service.http.requests import (
    DOCUMENT_ID,
    JSON,
    cursor_number,
    idempotency_key,
    json_answer,
    optional_document,
    optional_text,
    page_of,
    page_size,
    path_text,
    read_body,
    read_object,
)
from aggregator.service.http.service import Service
from aggregator.service.http.venues import level_of
from aggregator.service.jobs import job_json, new_job_id
from aggregator.service.journal import intent_json
from aggregator.service.linking import parse_address, parse_caip10
from aggregator.service.relaying import journal_entry, journal_page, require_relayer
from aggregator.service.valuing import require_in_force
from aggregator.service.venue_file import parse_usd
from aggregator.store.archive import ChainNodes
from aggregator.store.everything import AllRecords
from aggregator.store.listing import SnapshotRow, StoredBundle
from aggregator.store.work import Job
from chains.balances import verify_evidence
from circuits.bundle import parse_bundle

JOB_ID: Final = re.compile(r"j[0-9a-f]{16}", re.ASCII)
MAX_LIFETIME_S: Final = 86_400
DEFAULT_LIFETIME_S: Final = 900
MOST_ATTESTATIONS: Final = 64


async def start_job(
    service: Service, request: web.Request, kind: str, account: str | None, asked: dict[str, Any]
) -> web.Response:
    """Queue a job; the same Idempotency-Key gives the same one, even when the answer was lost."""
    key = idempotency_key(request)
    job_id = new_job_id(None if key is None else f"{request[CALLER]} {key} {request.path}")
    now = service.now()

    def queue(records: AllRecords) -> object:
        if account is not None:
            records.account(account)
        job = records.add_job(job_id, kind=kind, account=account, request=json.dumps(asked), now=now)
        return job_json(job)

    answer = await once(service, request, queue, status=202, location=lambda _: f"/v1/jobs/{job_id}")
    service.wake_jobs()
    return answer


async def take_snapshot(service: Service, request: web.Request) -> web.Response:
    """Read an account; a job."""
    name = account_name(request)
    body = await read_object(request, (), ("cut", "incomplete"))
    asked: dict[str, Any] = {"incomplete": False}
    if "cut" in body.value:
        asked["cut"] = body.number("cut")
        if asked["cut"] > service.now():
            raise InputError(f"the cut {asked['cut']} lies in the future; give a second that has passed")
    if "incomplete" in body.value:
        asked["incomplete"] = body.boolean("incomplete")
    links = await service.store.read(lambda r: (r.account(name), r.links(name))[1])
    if not links:
        raise InputError(f"account {name!r} has no address; link one first")
    return await start_job(service, request, "snapshot", name, asked)


async def list_snapshots(service: Service, request: web.Request) -> web.Response:
    """Snapshots of an account."""
    name, before, limit = account_name(request), cursor_number(request), page_size(request)

    def read(records: AllRecords) -> tuple[list[SnapshotRow], set[str]]:
        records.account(name)
        found = records.snapshot_page(name, before=before, limit=limit + 1)
        return found, records.has_evidence([row.id for row in found])

    found, proven = await service.store.read(read)
    shown, last = page_of(found, limit)
    items = [
        {
            "id": row.id,
            "account": row.account,
            "storedAt": row.stored_at,
            "cutTime": row.cut_time,
            "complete": row.complete,
            "hasEvidence": row.id in proven,
        }
        for row in shown
    ]
    return json_answer({"items": items, "next": None if last is None else str(last.number)})


async def get_snapshot(service: Service, request: web.Request) -> web.Response:
    """One snapshot; its blinding is not shown."""
    key = path_text(request, "id", DOCUMENT_ID)

    def read(records: AllRecords) -> tuple[SnapshotRow, Any, bool]:
        row = records.snapshot_row(None, key)
        return row, service.library.snapshot(row.id, records), key in records.has_evidence([key])

    row, snapshot, proven = await service.store.read(read)
    return json_answer(
        {
            "id": row.id,
            "account": row.account,
            "hasEvidence": proven,
            "snapshot": snapshot_json(snapshot),
            **provenance.of_snapshot(snapshot),
        }
    )


async def verify_snapshot(service: Service, request: web.Request) -> web.Response:
    """The stored evidence proves the readings again, or StateProofError says why not."""
    key = path_text(request, "id", DOCUMENT_ID)

    def read(records: AllRecords) -> tuple[Any, tuple[ChainNodes, ...]]:
        row = records.snapshot_row(None, key)
        return service.library.snapshot(row.id, records), records.evidence(key)

    snapshot, chains = await service.store.read(read)
    evidence = from_stored(chains)
    report = await service.compute(lambda: verify_evidence(snapshot, evidence))
    return json_answer(
        {
            "verified": True,
            "readings": len(snapshot.readings),
            "proven": report.proven,
            "layouts": [
                {
                    "chain": x.chain,
                    "token": x.token,
                    "layout": x.layout,
                    "origin": x.origin,
                    "codeHash": x.code_hash,
                }
                for x in report.layouts
            ],
            "unproven": [
                {
                    "chain": r.chain,
                    "address": r.address,
                    "instrument": r.instrument,
                    "quantityE8": str(r.quantity_e8),
                    "method": r.method.value,
                }
                for r in report.unproven
            ],
            **provenance.of_snapshot(snapshot),
        }
    )


async def make_proof(service: Service, request: web.Request) -> web.Response:
    """Prove an excess; a job."""
    body = await read_object(
        request,
        ("amountUsd", "level", "venue", "registry"),
        ("policy", "snapshot", "lifetimeSeconds", "attestations"),
    )
    chain_id, registry = parse_caip10(body.text("registry"))
    amount = parse_usd(body.text("amountUsd"))
    level, venue = level_of(body, "level"), parse_address(body.text("venue"))
    lifetime = DEFAULT_LIFETIME_S
    if "lifetimeSeconds" in body.value:
        lifetime = body.number("lifetimeSeconds", 1, MAX_LIFETIME_S)
    case = await _asked_case(service, request, body)
    case.snapshot.require_complete()
    require_in_force(case.policy, service.now())
    asked = {
        "amountE6": str(amount),
        "level": level.name,
        "venue": venue,
        "chainId": chain_id,
        "registry": registry,
        "snapshot": case.row.id,
        "policy": case.stored_policy.id,
        "lifetimeSeconds": lifetime,
        "attestations": _attestations(body),
    }
    return await start_job(service, request, "proof", case.row.account, asked)


def _attestations(body: JsonObject) -> list[object]:
    if "attestations" not in body.value:
        return []
    given = body.list("attestations")
    if len(given) > MOST_ATTESTATIONS:
        body.fail("attestations", f"has more than {MOST_ATTESTATIONS} entries; give fewer")
    return [attestation_json(parse_attestation(canonical_json(one))) for one in given]


async def _asked_case(service: Service, request: web.Request, body: JsonObject) -> Any:
    return await read_case(
        service, account_name(request), optional_document(body, "snapshot"), optional_text(body, "policy")
    )


async def list_proofs(service: Service, request: web.Request) -> web.Response:
    """Bundles of an account."""
    name, before, limit = account_name(request), cursor_number(request), page_size(request)

    def read(records: AllRecords) -> list[StoredBundle]:
        records.account(name)
        return records.bundle_page(name, before=before, limit=limit + 1)

    shown, last = page_of(await service.store.read(read), limit)
    now = service.now()
    items = await service.compute(lambda: [_bundle_entry(one, now) for one in shown])
    return json_answer({"items": items, "next": None if last is None else str(last.number)})


def _bundle_entry(stored: StoredBundle, now: int) -> dict[str, object]:
    bundle = parse_bundle(stored.document)
    context = bundle.context
    return {
        "id": stored.id,
        "account": stored.account,
        "storedAt": stored.stored_at,
        "amountUsd": format_decimal(bundle.amount_e6, 6),
        "level": bundle.level.name,
        "venue": context.venue,
        "registry": f"eip155:{context.chain_id}:{context.registry}",
        "expiry": context.expiry,
        "expired": context.expiry < now,
        "keyKind": bundle.key_kind.value,
        **provenance.of_blocks(bundle.anchors, context.cut_time),
    }


async def get_bundle(service: Service, request: web.Request) -> web.Response:
    """One bundle, as it was made."""
    key = path_text(request, "id", DOCUMENT_ID)
    stored = await service.store.read(lambda records: records.find_bundle(key))
    return web.Response(body=stored.document, content_type=JSON)


async def make_attestation_request(service: Service, request: web.Request) -> web.Response:
    """What an attestor is shown."""
    body = await read_object(request, ("registry",), ("policy", "snapshot"))
    chain_id, registry = parse_caip10(body.text("registry"))
    case = await _asked_case(service, request, body)
    stored = await service.store.read(lambda records: records.snapshot(case.row.id))
    file = await make_request(service, stored, case.policy, chain_id, registry)
    return web.Response(body=encode_request(file), content_type=JSON)


async def attest(service: Service, request: web.Request) -> web.Response:
    """Re-read an account and sign."""
    data = await read_body(request)
    signed = await attest_request(service, await service.compute(lambda: parse_request(data)))
    return await once(service, request, lambda _records: attestation_json(signed))


async def list_jobs(service: Service, request: web.Request) -> web.Response:
    """Jobs, newest first."""
    before, limit = cursor_number(request), page_size(request)
    found = await service.store.read(lambda records: records.jobs(before=before, limit=limit + 1))
    shown, last = page_of(found, limit)
    return json_answer(
        {"items": [job_json(job) for job in shown], "next": None if last is None else str(last.number)}
    )


async def get_job(service: Service, request: web.Request) -> web.Response:
    """One job."""
    key = path_text(request, "id", JOB_ID)
    job: Job = await service.store.read(lambda records: records.job(key))
    return json_answer(job_json(job))


async def list_intents(service: Service, request: web.Request) -> web.Response:
    """The relayer's journal."""
    start, limit = cursor_number(request) or 0, page_size(request)
    found = await service.compute(lambda: journal_page(service, start, limit + 1))
    shown, last = page_of(found, limit)
    return json_answer(
        {
            "items": [intent_json(entry) for entry in shown],
            "next": None if last is None else str(start + limit),
        }
    )


async def get_intent(service: Service, request: web.Request) -> web.Response:
    """One entry of the journal."""
    key = request.match_info["key"]
    return json_answer(intent_json(await service.compute(lambda: journal_entry(service, key))))


async def create_intent(service: Service, request: web.Request) -> web.Response:
    """Submit a stored bundle; a job."""
    require_relayer(service)
    body = await read_object(request, ("bundle",))
    key = body.text("bundle", DOCUMENT_ID)
    stored = await service.store.read(lambda records: records.find_bundle(key))
    return await start_job(service, request, "relay", stored.account, {"bundle": stored.id})


async def get_history(service: Service, request: web.Request) -> web.Response:
    """Past valuations."""
    name, before, limit = account_name(request), cursor_number(request), page_size(request)

    def read(records: AllRecords) -> list[Any]:
        records.account(name)
        return list(records.valuations(name, before=before, limit=limit + 1))

    shown, last = page_of(await service.store.read(read), limit)
    items = [json.loads(one.document) for one in shown]
    return json_answer({"items": items, "next": None if last is None else str(last.number)})
