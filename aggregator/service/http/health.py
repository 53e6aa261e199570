"""Operations that value an account: health, what-if, plans, stress, liquidation."""

from __future__ import annotations

import functools
from typing import Any, Final

from aiohttp import web

from aggregator.model.errors import CounterfoilError, InputError, NotFoundError
from aggregator.model.strictjson import JsonObject
from aggregator.risk.desk import STILL
from aggregator.risk.stress_file import NamedMoves
from aggregator.service import provenance
from aggregator.service.http.accounts import account_name
from aggregator.service.http.requests import (
    DOCUMENT_ID,
    JSON,
    cursor_number,
    json_answer,
    json_bytes,
    optional_document,
    optional_text,
    page_of,
    page_size,
    parse_object,
    query_flag,
    query_text,
    read_object,
)
from aggregator.service.http.service import Service
from aggregator.service.library import Case
from aggregator.service.moving import (
    greeks,
    liquidations,
    moves_json,
    parse_changes,
    parse_moves,
    read_replays,
    stressed,
    what_if,
)
from aggregator.service.planning import FIELDS as PLAN_FIELDS
from aggregator.service.planning import make_plan, parse_request, plan_json
from aggregator.service.valuing import HealthQuery, health, require_in_force

MOST_SCENARIOS: Final = 16
DETAILS: Final = ("summary", "full")


async def read_case(service: Service, account: str, snapshot: str | None, policy: str | None) -> Case:
    """The snapshot and policy a request names, or the newest; raises NotFoundError."""
    library = service.library
    found = await service.store.read(lambda records: library.find(records, account, snapshot, policy))
    return library.case(found) if found.known else await service.compute(lambda: library.case(found))


async def get_health(service: Service, request: web.Request) -> web.Response:
    """The whole report. Documents do not change, so what was computed for two of them stays true."""
    query = HealthQuery(
        rulebooks=query_text(request, "rulebook"),
        rulebook_paths=service.settings.texts("data", "rulebooks"),
        expired=query_flag(request, "expired"),
    )
    case = await read_case(
        service,
        account_name(request),
        query_text(request, "snapshot", DOCUMENT_ID),
        query_text(request, "policy"),
    )
    now = service.now()
    over = case.policy.expires < now
    key = f"{case.row.id} {case.stored_policy.id} {over} {query.expired} {query.rulebooks}"
    body = service.answers.get(key)
    if body is None:
        found, missing = await _greeks(service, case)

        def make() -> bytes:
            return json_bytes({**health(case, query, now), "greeks": found, "greeksMissing": missing})

        body = service.answers.put(key, await service.compute(make))
    return web.Response(body=body, content_type=JSON)


async def _greeks(service: Service, case: Case) -> tuple[list[dict[str, object]] | None, str | None]:
    if not case.snapshot.complete:
        return None, "the snapshot is not complete"
    try:
        inputs = await service.desks.inputs(service.store, case)
        return await service.compute(lambda: greeks(service.desks.desk(case, inputs), inputs)), None
    except CounterfoilError as error:
        return None, str(error)


async def whatif(service: Service, request: web.Request) -> web.Response:
    """The account in a moved market or with other positions."""
    body = await read_object(request, (), ("policy", "snapshot", "moves", "changes", "detail"))
    moves = parse_moves(body.value.get("moves", {}), "body.moves")
    changes = parse_changes(body.value.get("changes", []), "body.changes")
    detail = optional_text(body, "detail") or "summary"
    if detail not in DETAILS:
        body.fail("detail", f"is {detail[:20]!r}; use one of {', '.join(DETAILS)}")
    case = await _case_of(service, request, body)
    desk_on = None
    if moves != STILL:
        inputs = await service.desks.inputs(service.store, case)
        desk_on = functools.partial(service.desks.desk, case, inputs)
    answer = await service.compute(lambda: what_if(case, desk_on, moves, changes, full=detail == "full"))
    return json_answer({**_named(case), **answer})


async def plan(service: Service, request: web.Request) -> web.Response:
    """What to trade or move within the owner's limits; nothing is sent anywhere."""
    body = await read_object(request, ("kind",), ("policy", "snapshot", *PLAN_FIELDS))
    asked = parse_request(body)
    case = await _case_of(service, request, body)
    found = await service.compute(lambda: make_plan(case.policy, case.snapshot, asked))
    return json_answer({**_named(case), "kind": asked.kind, **plan_json(found)})


async def list_replays(service: Service, request: web.Request) -> web.Response:
    """The configured replays."""
    replays = read_replays(service.settings.text("data", "stress"))
    start, limit = cursor_number(request) or 0, page_size(request)
    shown, last = page_of(replays[start : start + limit + 1], limit)
    items = [{"name": one.name, "source": one.source, "moves": moves_json(one.moves)} for one in shown]
    return json_answer({"items": items, "next": None if last is None else str(start + limit)})


async def run_stress(service: Service, request: web.Request) -> web.Response:
    """The account in stressed markets."""
    body = await read_object(request, (), ("policy", "snapshot", "scenarios", "replays"))
    scenarios = _scenarios(service, body)
    case = await _case_of(service, request, body)
    inputs = await service.desks.inputs(service.store, case)
    answer = await service.compute(lambda: stressed(case, service.desks.desk(case, inputs), scenarios))
    return json_answer({**_named(case), **answer})


def _scenarios(service: Service, body: JsonObject) -> list[NamedMoves]:
    given = body.value.get("scenarios", [])
    if not isinstance(given, list):
        body.fail("scenarios", "is not a list; write [..]")
    found = []
    for n, entry in enumerate(given):
        fields = parse_object(entry, f"body.scenarios[{n}]", ("name", "moves"))
        found.append(
            NamedMoves(fields.text("name", max_length=100), parse_moves(fields.value["moves"], "moves"))
        )
    replays = {one.name: one for one in read_replays(service.settings.text("data", "stress"))}
    names = body.texts("replays") if "replays" in body.value else ()
    for name in names:
        if name not in replays:
            raise NotFoundError(f"there is no replay {name[:60]!r}; list them with GET /v1/stress-replays")
        found.append(replays[name])
    if not found and not names and "scenarios" not in body.value:
        found = list(replays.values())[:MOST_SCENARIOS]
    if not 0 < len(found) <= MOST_SCENARIOS:
        raise InputError(f"{len(found)} scenarios are asked for; give 1 to {MOST_SCENARIOS}")
    return found


async def get_liquidation(service: Service, request: web.Request) -> web.Response:
    """The prices at which the account falls below maintenance margin."""
    asset = query_text(request, "asset")
    case = await read_case(
        service,
        account_name(request),
        query_text(request, "snapshot", DOCUMENT_ID),
        query_text(request, "policy"),
    )
    _require_usable(service, case)
    key = f"liquidation {case.row.id} {case.stored_policy.id} {asset}"
    body = service.answers.get(key)
    if body is None:
        inputs = await service.desks.inputs(service.store, case)

        def make() -> bytes:
            found = liquidations(service.desks.desk(case, inputs), asset)
            return json_bytes({**_named(case), "assets": found})

        body = service.answers.put(key, await service.compute(make))
    return web.Response(body=body, content_type=JSON)


async def _case_of(service: Service, request: web.Request, body: JsonObject) -> Case:
    case = await read_case(
        service, account_name(request), optional_document(body, "snapshot"), optional_text(body, "policy")
    )
    _require_usable(service, case)
    return case


def _require_usable(service: Service, case: Case) -> None:
    case.snapshot.require_complete()
    require_in_force(case.policy, service.now())


def _named(case: Case) -> dict[str, Any]:
    return {
        "account": case.row.account,
        "snapshot": case.row.id,
        "policy": case.stored_policy.id,
        **provenance.of_snapshot(case.snapshot),
    }
