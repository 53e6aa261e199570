"""What the service does by itself, each only when it is configured: read accounts, look at prices and at the registry,
follow what the relayer sent, prove again before a bundle expires.

A round that fails is tried at the next; what a round decided is a row of the store, under an id that the same decision
would have again, so a restart neither loses nor repeats it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aggregator.model.errors import CounterfoilError, NotFoundError
from aggregator.policy.quotes import PriceQuote
from aggregator.service.cut import settled_cut
from aggregator.service.http.idempotency import KEPT_S
from aggregator.service.http.registry import pledges_json, watched_venues
from aggregator.service.http.service import Service
from aggregator.service.jobs import new_job_id
from aggregator.service.linking import parse_caip10
from aggregator.service.market import read_inputs
from aggregator.service.networks import network_of
from aggregator.service.relaying import resume_journal
from aggregator.service.standing import read_pledges
from aggregator.service.venue import AcceptedKey
from aggregator.store import Account
from aggregator.store.everything import AllRecords
from aggregator.store.listing import StoredBundle
from chains.oracles import read_market
from circuits.artifacts import ready
from circuits.bundle import parse_bundle
from circuits.keys import ceremony_key_path, dev_key_path, open_own_key
from circuits.solvency import SIZES

log: Final = logging.getLogger("counterfoil.background")
MILLION: Final = 10**6
TIDY_EVERY_S: Final = 3_600
REPROVE_LOOK_S: Final = 10
BUNDLES_LOOKED_AT: Final = 50
CALLING: Final = frozenset({"short", "called", "failed"})
"""Statuses of the registry that are a margin call."""


@dataclass(frozen=True, slots=True)
class Routine:
    """Something that is done every so many seconds."""

    name: str
    every_s: int
    work: Callable[[Service], Awaitable[None]]


def routines_of(service: Service) -> tuple[Routine, ...]:
    """The routines that are configured."""
    number = service.settings.number
    signs = bool(service.settings.text("relayer", "signer"))
    wanted = (
        Routine("snapshots", number("background", "snapshot_every_s"), read_accounts),
        Routine("prices", number("background", "price_every_s"), look_at_prices),
        Routine("registry", number("background", "registry_every_s"), look_at_registry),
        Routine("proofs", REPROVE_LOOK_S if number("background", "reprove_before_s") else 0, prove_again),
        Routine("relaying", number("relayer", "resume_every_s") if signs else 0, resume_journal),
        Routine("tidy", TIDY_EVERY_S, tidy),
    )
    return tuple(routine for routine in wanted if routine.every_s)


async def follow(service: Service, routine: Routine) -> None:
    """Run a routine until cancelled."""
    while True:
        try:
            await routine.work(service)
        except (CounterfoilError, TimeoutError) as error:
            fields = {"routine": routine.name, "problem": type(error).__name__}
            log.warning("a round failed", extra={"fields": fields})
        await asyncio.sleep(routine.every_s)


def queue(
    records: AllRecords, seed: str, kind: str, account: str | None, asked: dict[str, Any], now: int
) -> None:
    """Queue a job that was decided on under `seed`; once."""
    records.add_job(new_job_id(seed), kind=kind, account=account, request=json.dumps(asked), now=now)


async def read_accounts(service: Service) -> None:
    """Queue a snapshot of every account that has addresses, one in each stretch of time."""
    now = service.now()
    stretch = now // service.settings.number("background", "snapshot_every_s")

    def decide(records: AllRecords) -> None:
        under_way = {(job.kind, job.account) for job in records.unfinished_jobs()}
        for account in records.accounts():
            if ("snapshot", account.name) not in under_way and records.links(account.name):
                seed = f"scheduled snapshot {account.name} {stretch}"
                queue(records, seed, "snapshot", account.name, {"incomplete": True}, now)

    await service.store.write(decide)
    service.wake_jobs()


async def look_at_prices(service: Service) -> None:
    """Queue the next policy when a price has moved, or when the present one is about to run out."""
    spec = service.settings.text("background", "policy_spec")
    every = service.settings.number("background", "price_every_s")
    now = service.now()
    try:
        stored = await service.store.read(lambda records: records.find_policy(None))
    except NotFoundError:
        await _next_policy(service, f"first policy {spec}", spec, now)
        return
    policy = service.library.policy(stored)
    if policy.expires < now + 2 * every:
        await _next_policy(service, f"policy after {stored.id}, {now // every}", spec, now)
        return
    inputs = await read_inputs(service.store, stored.id)
    market = await read_market(service.networks, cut=await settled_cut(service.networks))
    least = service.settings.number("background", "price_move_ppm")
    if inputs is None or moved(inputs.prices, market.prices, least):
        await _next_policy(service, f"policy after {stored.id}, {now // every}", spec, now)


def moved(before: Mapping[str, PriceQuote], after: Mapping[str, PriceQuote], least_e6: int) -> bool:
    """Whether a fresh price differs from the one before by at least `least_e6` (1e-6), or is new."""
    for name, quote in after.items():
        if quote.stale:
            continue
        old = before.get(name)
        if old is None or abs(quote.price_e12 - old.price_e12) * MILLION >= old.price_e12 * least_e6:
            return True
    return False


async def _next_policy(service: Service, seed: str, spec: str, now: int) -> None:
    def decide(records: AllRecords) -> None:
        if not any(job.kind == "policy" for job in records.unfinished_jobs()):
            queue(records, seed, "policy", None, {"spec": str(Path(spec))}, now)

    await service.store.write(decide)
    service.wake_jobs()


async def look_at_registry(service: Service) -> None:
    """Tell of margin calls and of pledges that changed since the last look."""
    contract = service.settings.text("registry", "contract")
    if not contract:
        return
    chain_id, registry = parse_caip10(contract)
    network = network_of(service.networks, f"eip155:{chain_id}")
    for account in await service.store.read(lambda records: records.accounts()):
        found = await read_pledges(network, registry, watched_venues(service), account.account_id)
        shown = pledges_json(account.account_id, chain_id, registry, found)
        await service.store.write(noted(account, shown, service.now()))
    service.broker.wake()


def noted(account: Account, shown: dict[str, Any], now: int) -> Callable[[AllRecords], None]:
    """Compare what a registry says with what it said last, and tell of a change; a margin call when it becomes one."""
    status, pledges = shown["status"], shown["pledges"]

    def note(records: AllRecords) -> None:
        name = f"registry:{account.name}"
        before = json.loads(records.mark(name) or '{"status": "covered", "pledges": []}')
        if before == {"status": status, "pledges": pledges}:
            return
        records.set_mark(name, json.dumps({"status": status, "pledges": pledges}))
        if status in CALLING and before["status"] not in CALLING:
            records.add_event("margin-call", account.name, json.dumps({"reason": "registry", **shown}), now)
        if pledges != before["pledges"] or status != before["status"]:
            records.add_event("pledge", account.name, json.dumps(shown), now)

    return note


async def prove_again(service: Service) -> None:
    """Queue a proof like each bundle that is about to expire, of the newest snapshot and policy."""
    ahead, now = service.settings.number("background", "reprove_before_s"), service.now()

    def decide(records: AllRecords) -> None:
        for account in records.accounts():
            bundles = records.bundle_page(account.name, before=None, limit=BUNDLES_LOOKED_AT)
            latest: dict[tuple[object, ...], StoredBundle] = {}
            for stored in bundles:
                bundle = parse_bundle(stored.document)
                context = bundle.context
                latest.setdefault((context.venue, context.chain_id, context.registry, bundle.level), stored)
            for stored in latest.values():
                _prove_like(records, stored, ahead, now)

    await service.store.write(decide)
    service.wake_jobs()


def _prove_like(records: AllRecords, stored: StoredBundle, ahead: int, now: int) -> None:
    bundle = parse_bundle(stored.document)
    context = bundle.context
    if not 0 < context.expiry - now <= ahead:
        return
    snapshot = records.snapshot_row(stored.account, None, complete=True)
    policy = records.find_policy(bundle.policy.name)
    asked = {
        "amountE6": str(bundle.amount_e6),
        "level": bundle.level.name,
        "venue": context.venue,
        "chainId": context.chain_id,
        "registry": context.registry,
        "snapshot": snapshot.id,
        "policy": policy.id,
        "lifetimeSeconds": max(1, context.expiry - stored.stored_at),
        "attestations": [],
    }
    queue(records, f"proof after {stored.id} of {snapshot.id}", "proof", stored.account, asked, now)


async def tidy(service: Service) -> None:
    """Forget answers to idempotency keys after a day."""
    before = service.now() - KEPT_S
    await service.store.write(lambda records: records.forget_answers(before))


async def offer_own_keys(service: Service) -> None:
    """Let the keys that this machine has, dev keys and those of finished ceremonies, be among the verification keys."""
    for key in await service.compute(_own_keys):
        service.add_own_key(key)


def _own_keys() -> list[AcceptedKey]:
    found: list[AcceptedKey] = []
    for name in SIZES:
        circuit = ready(name)
        paths = (dev_key_path(circuit), ceremony_key_path(circuit))
        found += [AcceptedKey.own(circuit, open_own_key(path, circuit)) for path in paths if path.exists()]
    return found
