"""Builds policies from feeds for the service: the next epoch of a spec, with what it was built from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from aggregator.model.errors import InputError, NotFoundError
from aggregator.model.policy import Policy
from aggregator.policy import encode_policy
from aggregator.policy.build import build_policy
from aggregator.policy.inputs import PolicyInputs, encode_inputs
from aggregator.policy.resolve import resolve
from aggregator.policy.spec import PolicySpec
from aggregator.service.cut import settled_cut
from aggregator.service.history import keep_valuation, value_case
from aggregator.service.http.service import Service
from aggregator.service.jobs import Finish, Json
from aggregator.service.library import Case
from aggregator.service.spec_file import read_spec
from aggregator.store.archive import Valuation
from aggregator.store.everything import AllRecords
from aggregator.store.listing import StoredPolicy
from aggregator.store.records import document_id
from chains.oracles import Market, read_market
from circuits.policy_tree import build_tree


async def build_and_store(service: Service, path: Path, tell: Callable[[str], None]) -> Finish:
    """The next epoch of the spec at `path`, and every account's newest snapshot valued under it.

    Raises PolicyError, PriceError, ChainError.
    """
    text, spec, files = read_spec(path)
    tell(f"reading prices on {len(service.networks)} networks")
    cut = await settled_cut(service.networks)
    market = await read_market(service.networks, cut=cut)
    previous = await _previous(service, spec.name)
    tell("building the policy")
    policy, inputs = await service.compute(lambda: _build(text, spec, files, market, cut, previous))
    document = encode_policy(policy)
    root = (await service.compute(lambda: build_tree(policy))).root
    key, now = document_id(document), service.now()
    stored = StoredPolicy(0, key, policy.name, f"0x{root:064x}", now, document)
    tell("valuing accounts")
    valued = [
        one
        for case in await _cases(service, stored, policy)
        if (one := await _valued(service, case, now)) is not None
    ]
    below = service.settings.number("background", "health_below_ppm")

    def finish(records: AllRecords) -> Json:
        records.add_policy(document, name=policy.name, root=root, now=now)
        records.add_policy_inputs(key, encode_inputs(inputs))
        told = {"policy": key, "name": policy.name, "epoch": policy.epoch, "asOf": policy.as_of}
        records.add_event("policy", None, json.dumps(told), now)
        for valuation, health_e6 in valued:
            keep_valuation(records, valuation, health_e6, below, now)
        return {"policy": key}

    return finish


def _build(
    text: str,
    spec: PolicySpec,
    files: dict[str, str],
    market: Market,
    cut: int,
    previous: Policy | None,
) -> tuple[Policy, PolicyInputs]:
    spots = {name: quote.price_e12 for name, quote in market.prices.items() if not quote.stale}
    resolved = resolve(spec, files, spots, as_of=cut, previous=previous)
    epoch = 1 if previous is None else previous.epoch + 1
    policy = build_policy(resolved.applied(spec), market.prices, market.rates, as_of=cut, epoch=epoch)
    return policy, PolicyInputs(text, resolved, market.prices, market.rates, cut, epoch, False)


async def _previous(service: Service, name: str) -> Policy | None:
    try:
        return service.library.policy(await service.store.read(lambda records: records.find_policy(name)))
    except NotFoundError:
        return None


async def _cases(service: Service, stored: StoredPolicy, policy: Policy) -> list[Case]:
    def read(records: AllRecords) -> list[Case]:
        rows = [
            row
            for account in records.accounts()
            for row in records.snapshot_page(account.name, before=None, limit=1)
        ]
        return [Case(row, service.library.snapshot(row.id, records), stored, policy) for row in rows]

    return await service.store.read(read)


async def _valued(service: Service, case: Case, now: int) -> tuple[Valuation, int | None] | None:
    try:
        return await service.compute(lambda: value_case(case, now))
    except InputError:
        return None
