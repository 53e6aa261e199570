"""Requests that have an effect, once: what was answered is stored with the effect, in one transaction.

A request with the same Idempotency-Key and the same body gets the same answer again; with another body, or while the
first is still under way, it is a conflict. Answers are forgotten after a day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from aiohttp import web

from aggregator.model.errors import ConflictError
from aggregator.service.http.guard import CALLER
from aggregator.service.http.requests import IDEMPOTENCY_KEY, JSON, idempotency_key, json_bytes
from aggregator.service.http.service import Service
from aggregator.store.callers import Answer
from aggregator.store.everything import AllRecords

KEPT_S: Final = 86_400


async def once(
    service: Service,
    request: web.Request,
    effect: Callable[[AllRecords], object],
    *,
    status: int = 200,
    location: Callable[[object], str] = lambda _: "",
) -> web.Response:
    """Run `effect` in a transaction and answer with the JSON it returns, or as before to a key seen before.

    Raises ConflictError for a key used with another request, and what `effect` raises: then nothing is kept.
    """
    key = idempotency_key(request)
    digest = await request_hash(request)
    if key is not None and (known := await _known(service, request, key, digest)) is not None:
        return known
    now = service.now()

    def run(records: AllRecords) -> Answer:
        made = effect(records)
        answer = Answer(
            request[CALLER], key or "", digest, status, location(made), json_bytes(made).decode(), now
        )
        if key is not None:
            records.add_answer(answer)
        return answer

    return _response(await service.store.write(run))


async def request_hash(request: web.Request) -> str:
    """SHA-256 of method, path and body."""
    body = await request.read()
    return hashlib.sha256(b"\0".join((request.method.encode(), request.path.encode(), body))).hexdigest()


async def _known(service: Service, request: web.Request, key: str, digest: str) -> web.Response | None:
    caller = request[CALLER]
    answer = await service.store.read(lambda records: records.answer(caller, key))
    if answer is None:
        return None
    if answer.request_hash != digest:
        raise ConflictError(f"the {IDEMPOTENCY_KEY} {key!r} was used for another request; take a new one")
    return _response(answer)


def _response(answer: Answer) -> web.Response:
    headers = {"Location": answer.location} if answer.location else None
    return web.Response(status=answer.status, body=answer.body.encode(), content_type=JSON, headers=headers)
