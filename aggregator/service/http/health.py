"""Operations that value an account."""

from __future__ import annotations

from aiohttp import web

from aggregator.service.http.accounts import account_name
from aggregator.service.http.requests import DOCUMENT_ID, JSON, json_bytes, query_flag, query_text
from aggregator.service.http.service import Service
from aggregator.service.library import Case
from aggregator.service.valuing import HealthQuery, health


async def read_case(service: Service, account: str, snapshot: str | None, policy: str | None) -> Case:
    """The snapshot and policy a request names, or the newest; raises NotFoundError."""
    return await service.store.read(lambda r: service.library.case(r, account, snapshot, policy))


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
        body = service.answers.put(key, await service.compute(lambda: json_bytes(health(case, query, now))))
    return web.Response(body=body, content_type=JSON)
