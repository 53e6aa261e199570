"""Operations on events: server-sent events and webhooks."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Final

from aiohttp import web

from aggregator.model.errors import InputError
from aggregator.service.events import KINDS, Listener
from aggregator.service.http.idempotency import once
from aggregator.service.http.problems import RefusalError
from aggregator.service.http.requests import (
    cursor_number,
    json_answer,
    page_of,
    page_size,
    path_text,
    query_flag,
    query_number,
    query_text,
    read_object,
)
from aggregator.service.http.service import Service
from aggregator.service.webhooks import check_webhook_url
from aggregator.store.callers import Webhook
from aggregator.store.everything import AllRecords
from aggregator.store.records import ACCOUNT_NAME
from chains.rpc.text import mask_url

IDLE_S: Final = 15.0
"""A comment is sent when nothing happened for so long, so that a dead connection is noticed."""
STUCK_S: Final = 30.0
"""A listener that takes nothing for so long is given up."""
RETRY: Final = b"retry: 2000\n\n"
WEBHOOK_ID: Final = re.compile(r"w[0-9a-f]{16}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
MOST_WEBHOOKS: Final = 100


async def stream_events(service: Service, request: web.Request) -> web.StreamResponse:
    """Events as they happen, after the one that the listener saw last."""
    kinds, account = _kinds(query_text(request, "kinds")), query_text(request, "account", ACCOUNT_NAME)
    after = query_number(request, "after", 0, 10**15)
    seen = request.headers.get("Last-Event-ID")
    if seen is not None:
        if _NUMBER.fullmatch(seen) is None:
            raise InputError(f"the Last-Event-ID {seen[:40]!r} is no number of an event; leave it out")
        after = int(seen)
    if service.broker.listeners >= service.settings.number("http", "max_listeners"):
        raise RefusalError(503, "there are too many listeners; come back later", {"Retry-After": "5"})
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    listener = Listener(frozenset(kinds), account)
    with service.metrics.listeners.track_inprogress():
        await response.prepare(request)
        await response.write(RETRY)
        try:
            events = service.broker.follow(listener, after, once=query_flag(request, "once"), idle_s=IDLE_S)
            async for encoded in events:
                async with asyncio.timeout(STUCK_S):
                    await response.write(encoded or b": still here\n\n")
            await response.write_eof()
        except (ConnectionError, TimeoutError):
            return response
    return response


def _kinds(text: str | None) -> tuple[str, ...]:
    if text is None:
        return KINDS
    wanted = tuple(dict.fromkeys(text.split(",")))
    if unknown := [kind for kind in wanted if kind not in KINDS]:
        raise InputError(f"there is no kind of event {unknown[0][:40]!r}; use some of {', '.join(KINDS)}")
    return wanted


def webhook_json(hook: Webhook, *, secret: bool) -> dict[str, object]:
    """A webhook; its secret is only shown to whoever made it."""
    return {
        "id": hook.id,
        "url": mask_url(hook.url),
        "kinds": list(hook.kinds),
        "createdAt": hook.created_at,
        "failures": hook.failures,
        "secret": hook.secret if secret else None,
    }


async def list_webhooks(service: Service, request: web.Request) -> web.Response:
    """All webhooks."""
    start, limit = cursor_number(request) or 0, page_size(request)
    found = await service.store.read(lambda records: records.webhooks())
    shown, last = page_of(found[start : start + limit + 1], limit)
    return json_answer(
        {
            "items": [webhook_json(hook, secret=False) for hook in shown],
            "next": None if last is None else str(start + limit),
        }
    )


async def create_webhook(service: Service, request: web.Request) -> web.Response:
    """Post events to a public address."""
    body = await read_object(request, ("url", "kinds"))
    url = body.text("url", max_length=2_000)
    check_webhook_url(url, loopback=service.settings.flag("webhooks", "allow_loopback"))
    kinds = body.texts("kinds")
    if not kinds or len(set(kinds)) != len(kinds) or set(kinds) - set(KINDS):
        body.fail("kinds", f"does not name some of {', '.join(KINDS)}, each once; correct it")
    hook = Webhook(
        "w" + secrets.token_hex(8), url, tuple(sorted(kinds)), secrets.token_hex(32), service.now(), 0
    )

    def add(records: AllRecords) -> object:
        if len(records.webhooks()) >= MOST_WEBHOOKS:
            raise InputError(f"there are {MOST_WEBHOOKS} webhooks already; remove one first")
        records.add_webhook(hook)
        return webhook_json(hook, secret=True)

    return await once(service, request, add, status=201)


async def delete_webhook(service: Service, request: web.Request) -> web.Response:
    """Stop posting to an address."""
    key = path_text(request, "id", WEBHOOK_ID)
    await service.store.write(lambda records: records.remove_webhook(key))
    return web.Response(status=204)
