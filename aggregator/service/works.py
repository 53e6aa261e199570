"""What jobs do: read an account, prove, submit, build a policy. Each returns what to write when it is done."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aggregator.model.errors import InputError, NotFoundError
from aggregator.model.policy import Level
from aggregator.model.snapshot import encode_snapshot
from aggregator.service.attestation_files import parse_attestation
from aggregator.service.attesting import gather_attestations
from aggregator.service.cut import settled_cut
from aggregator.service.evidence import to_stored
from aggregator.service.history import keep_valuation, value_case
from aggregator.service.http.service import Service
from aggregator.service.jobs import Finish, Json, Work
from aggregator.service.library import Case
from aggregator.service.linking import live_holders
from aggregator.service.policies import build_and_store
from aggregator.service.proving import Audience, make_proof
from aggregator.service.relaying import relay_bundle
from aggregator.store.everything import AllRecords
from aggregator.store.listing import SnapshotRow
from aggregator.store.records import document_id
from aggregator.store.work import Job
from chains.balances import take_snapshot_with_evidence
from circuits.bundle import encode_bundle

Tell = Callable[[str], None]


def works_of(service: Service) -> dict[str, Work]:
    """What does each kind of job."""
    return {
        "snapshot": functools.partial(take_snapshot, service),
        "proof": functools.partial(prove, service),
        "relay": functools.partial(relay, service),
        "policy": functools.partial(build_policy, service),
    }


async def take_snapshot(service: Service, job: Job, tell: Tell) -> Finish:
    """Read an account; with a policy at hand, value it too."""
    request: dict[str, Any] = json.loads(job.request)
    name = str(job.account)
    account, links = await service.store.read(lambda r: (r.account(name), r.links(name)))
    if not links:
        raise InputError(f"account {name!r} has no address; link one first")
    holders = live_holders(links, service.now())
    cut = request.get("cut")
    if cut is None:
        tell("asking the chains for their last final blocks")
        cut = await settled_cut(service.networks)
    tell(f"reading {len(links)} addresses on {len(service.networks)} networks")
    taken, evidence = await take_snapshot_with_evidence(
        service.networks,
        account_id=account.account_id,
        sub_account=account.sub_account,
        addresses=holders,
        cut=int(cut),
    )
    if not request.get("incomplete"):
        taken.require_complete()
    document = encode_snapshot(taken)
    key, now = document_id(document), service.now()
    below = service.settings.number("background", "health_below_ppm")
    row = SnapshotRow(0, key, name, taken.cut_time, taken.complete, now)
    valued = None
    try:
        stored = await service.store.read(lambda records: records.find_policy(None))
        case = Case(row, taken, stored, service.library.policy(stored))
        valued = await service.compute(lambda: value_case(case, now))
    except NotFoundError:
        tell("there is no policy to value it under")
    except InputError as error:
        tell(f"not valued: {error}")

    def finish(records: AllRecords) -> Json:
        records.add_snapshot(
            document, account=name, cut_time=taken.cut_time, complete=taken.complete, now=now
        )
        records.add_evidence(key, to_stored(evidence))
        told = {"snapshot": key, "cutTime": taken.cut_time, "complete": taken.complete}
        records.add_event("snapshot", name, json.dumps(told), now)
        if valued is not None:
            keep_valuation(records, *valued, below, now)
        return {"snapshot": key, "complete": taken.complete}

    return finish


async def prove(service: Service, job: Job, tell: Tell) -> Finish:
    """Make a bundle."""
    request: dict[str, Any] = json.loads(job.request)
    name, snapshot, policy_id = str(job.account), str(request["snapshot"]), str(request["policy"])

    def read(records: AllRecords) -> tuple[Any, ...]:
        return records.snapshot(snapshot), records.account(name), records.find_policy(policy_id)

    stored, account, found = await service.store.read(read)
    policy = service.library.policy(found)
    given = [parse_attestation(json.dumps(one).encode()) for one in request["attestations"]]
    audience = Audience(request["venue"], int(request["chainId"]), request["registry"])
    attestations = given or await gather_attestations(service, stored, policy, audience, tell)
    now = service.now()
    key = service.settings.text("proving", "key")
    bundle = await service.compute(
        lambda: make_proof(
            stored,
            account,
            policy,
            Level[request["level"]],
            int(request["amountE6"]),
            audience,
            now + int(request["lifetimeSeconds"]),
            attestations,
            now=now,
            key=Path(key) if key else None,
            tell=tell,
        )
    )
    document = encode_bundle(bundle)

    def finish(records: AllRecords) -> Json:
        made = records.add_bundle(document, account=name, snapshot=stored.id, now=now)
        told = {"bundle": made, "venue": bundle.context.venue, "expiry": bundle.context.expiry}
        records.add_event("proof", name, json.dumps(told), now)
        return {"bundle": made, "keyKind": bundle.key_kind.value}

    return finish


async def relay(service: Service, job: Job, tell: Tell) -> Finish:
    """Bring a bundle onto its chain. The relayer's journal holds a statement once, however often this is run."""
    request: dict[str, Any] = json.loads(job.request)
    stored = await service.store.read(lambda records: records.find_bundle(str(request["bundle"])))
    outcome = await relay_bundle(service, stored.document, tell)
    return lambda _records: outcome


async def build_policy(service: Service, job: Job, tell: Tell) -> Finish:
    """Build the next epoch of the configured spec, and value every account's newest snapshot under it."""
    request: dict[str, Any] = json.loads(job.request)
    store = await build_and_store(service, Path(str(request["spec"])), tell)
    await asyncio.sleep(0)
    return store
