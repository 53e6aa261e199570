"""Requests that have an effect, once: what was answered is stored with the effect, in one transaction.

A request with the same Idempotency-Key and the same body gets the same answer again; with another body, or while the
first is still under way, it is a conflict. Answers are forgotten after a day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from aggregator.model.errors import ConflictError
from aggregator.service.http.guard import CALLER
from aggregator.service.http.requests import IDEMPOTENCY_KEY, JSON, idempotency_key, json_bytes, read_body
from aggregator.service.http.service import Service
from aggregator.store.callers import Answer
from aggregator.store.everything import AllRecords

KEPT_S: Final = 86_400
FAILURES: Final = 300
"""Answers from this status on are not remembered: they had no effect."""
KEPT: Final = web.RequestKey("kept", bool)
Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def replayed(service: Service, request: web.Request, handler: Next) -> web.StreamResponse:
    """Answer as before to a key seen before, else with `handler`, whose success is remembered.

    Raises ConflictError for a key used with another request, and what `handler` raises: then nothing is kept.
    """
    key = idempotency_key(request)
    if key is None:
        return await handler(request)
    caller, digest = request[CALLER], await request_hash(request)
    known = await service.store.read(lambda records: records.answer(caller, key))
    if known is not None:
        if known.request_hash != digest:
            raise ConflictError(f"the {IDEMPOTENCY_KEY} {key!r} was used for another request; take a new one")
        return _response(known)
    response = await handler(request)
    if request.get(KEPT, False) or not isinstance(response, web.Response) or response.status >= FAILURES:
        return response
    body = response.body
    text = body.decode() if isinstance(body, bytes) else ""
    answer = Answer(caller, key, digest, response.status, "", text, service.now())
    await service.store.write(lambda records: records.add_answer(answer))
    return response


async def once(
    service: Service,
    request: web.Request,
    effect: Callable[[AllRecords], object],
    *,
    status: int = 200,
    location: Callable[[object], str] = lambda _: "",
) -> web.Response:
    """Run `effect` in a transaction and answer with the JSON it returns, which is kept in the same transaction.

    Raises ConflictError when the same key was used meanwhile, and what `effect` raises: then nothing is kept.
    """
    key = idempotency_key(request)
    digest = await request_hash(request)
    now = service.now()

    def run(records: AllRecords) -> Answer:
        made = effect(records)
        answer = Answer(
            request[CALLER], key or "", digest, status, location(made), json_bytes(made).decode(), now
        )
        if key is not None:
            records.add_answer(answer)
        return answer

    answer = await service.store.write(run)
    request[KEPT] = True
    return _response(answer)


async def request_hash(request: web.Request) -> str:
    """SHA-256 of method, path and body; raises RefusalError as `read_body` does."""
    body = await read_body(request)
    return hashlib.sha256(b"\0".join((request.method.encode(), request.path.encode(), body))).hexdigest()


def _response(answer: Answer) -> web.Response:
    headers = {"Location": answer.location} if answer.location else None
    return web.Response(status=answer.status, body=answer.body.encode(), content_type=JSON, headers=headers)
