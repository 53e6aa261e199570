"""Posts events to webhooks, signed, until they arrive or have failed too often.

    Counterfoil-Signature: t=<Unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>" under the webhook's secret>
    Counterfoil-Event: <number>

A receiver may get an event twice, after an answer that was lost; it goes by the event's number. Deliveries are rows of
the store, so a restart loses none. Addresses are checked whenever they are resolved: none on a private network.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from aggregator.model.errors import ConfigError, CounterfoilError, InputError
from aggregator.service.events import event_json
from aggregator.store.asynchronous import AsyncStore
from aggregator.store.callers import Delivery, Webhook
from aggregator.store.work import StoredEvent
from chains.rpc.hosts import PrivateHosts, PublicResolver, check_host

TIMEOUT_S: Final = 10.0
AT_ONCE: Final = 8
FIRST_WAIT_S: Final = 5
LONGEST_WAIT_S: Final = 3_600
LOOK_EVERY_S: Final = 2.0


def check_webhook_url(url: str, *, loopback: bool) -> None:
    """Refuse what is not https on a public host (or http on this machine with `loopback`); raises InputError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError("the webhook's URL is malformed; write https://host/path") from error
    here = loopback and parts.scheme == "http" and host in ("127.0.0.1", "localhost", "::1")
    if not host or parts.username is not None or (parts.scheme != "https" and not here):
        raise InputError("the webhook's URL is not https with a host and without a user; correct it")
    try:
        check_host(url, PrivateHosts.LOOPBACK if loopback else PrivateHosts.REFUSE)
    except ConfigError as error:
        raise InputError("the webhook's URL is on a private network; use a public host") from error


def sign(secret: str, at: int, body: bytes) -> str:
    """The header that a delivery carries."""
    digest = hmac.new(bytes.fromhex(secret), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def wait_after(attempts: int) -> int:
    """Seconds before the next try, after so many: doubling from five seconds to an hour."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S << min(attempts, 20))


class Deliverer:
    """Delivers what is due until cancelled."""

    def __init__(
        self, store: AsyncStore, *, most_attempts: int, loopback: bool, tried: Callable[[str], None]
    ) -> None:
        """`tried` is told "delivered", "failed" or "given up"."""
        self._store = store
        self._most_attempts = most_attempts
        self._loopback = loopback
        self._tried = tried

    async def run(self) -> None:
        """Look for due deliveries, and try them."""
        resolver = None if self._loopback else PublicResolver()
        connector = aiohttp.TCPConnector(resolver=resolver, limit=AT_ONCE)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
            while True:
                with contextlib.suppress(CounterfoilError):
                    while await self._round(session):
                        continue
                await asyncio.sleep(LOOK_EVERY_S)

    async def _round(self, session: aiohttp.ClientSession) -> bool:
        now = int(time.time())
        due, hooks, events = await self._store.read(
            lambda r: (
                (found := r.due_deliveries(now)),
                {hook.id: hook for hook in r.webhooks()},
                {d.event: e for d in found for e in r.events(d.event - 1, 1)},
            )
        )
        await asyncio.gather(*(self._try(session, one, hooks[one.webhook], events[one.event]) for one in due))
        return bool(due)

    async def _try(
        self, session: aiohttp.ClientSession, one: Delivery, hook: Webhook, event: StoredEvent
    ) -> None:
        at = int(time.time())
        if await self._post(session, hook, event, at):
            self._tried("delivered")
            await self._store.write(lambda records: records.end_delivery(one, delivered=True))
        elif one.attempts + 1 >= self._most_attempts:
            self._tried("given up")
            await self._store.write(lambda records: records.end_delivery(one, delivered=False))
        else:
            self._tried("failed")
            again = at + wait_after(one.attempts)
            await self._store.write(lambda records: records.put_off_delivery(one, again))

    async def _post(self, session: aiohttp.ClientSession, hook: Webhook, event: StoredEvent, at: int) -> bool:
        body = json.dumps(event_json(event), ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "Counterfoil-Event": str(event.number),
            "Counterfoil-Signature": sign(hook.secret, at, body),
        }
        try:
            check_webhook_url(hook.url, loopback=self._loopback)
            async with session.post(hook.url, data=body, headers=headers, allow_redirects=False) as answer:
                return 200 <= answer.status < 300
        except (InputError, aiohttp.ClientError, TimeoutError, OSError):
            return False
