"""A service in a thread of this process, on a free port, and a small client for it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiohttp import web

from aggregator.service.http.app import make_app, open_service
from aggregator.service.http.service import Service
from aggregator.service.settings import ServiceSettings, Value, default_settings
from aggregator.store import Home

T = TypeVar("T")
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def refused(self, status: int, kind: str, *parts: str) -> None:
        """A problem of this status and type whose detail holds `parts`."""
        assert self.status == status, self.body
        assert self.headers["content-type"].startswith("application/problem+json")
        problem = self.data
        assert problem["type"] == f"urn:counterfoil:problem:{kind}", problem
        assert problem["status"] == status
        for part in parts:
            assert part in problem["detail"], problem


@dataclass
class Running:
    """A running service and how to ask it."""

    service: Service
    base: str
    loop: asyncio.AbstractEventLoop
    headers: dict[str, str] = field(default_factory=dict)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the service's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request with a JSON body, or the bytes `data`."""
        parts = urlsplit(self.base)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        sent = {**self.headers, **(headers or {})}
        if body is not None or data is not None:
            sent = {**JSON, **sent}
        try:
            content = data if data is not None else None if body is None else json.dumps(body).encode()
            connection.request(method, path, body=content, headers=sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        """A GET."""
        return self.ask("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path: str, body: object = None, **headers: str) -> Reply:
        """A POST of JSON."""
        given = {} if body is None else body
        return self.ask("POST", path, given, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def job(self, reply: Reply) -> Any:
        """The end of the job that `reply` started."""
        assert reply.status == 202, reply.body
        location = reply.headers["location"]

        async def ended() -> None:
            while json.loads((await asyncio.to_thread(self.get, location)).body)["state"] not in (
                "done",
                "failed",
            ):
                await asyncio.sleep(0.05)

        self.run(asyncio.wait_for(ended(), 60))
        return self.get(location).data

    def events(self, after: int = 0, query: str = "", **headers: str) -> list[dict[str, Any]]:
        """The events there are after one."""
        reply = self.get(f"/v1/events?once=true&after={after}{query}", **headers)
        assert reply.status == 200, reply.body
        lines = reply.body.decode().splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def settings(**changes: Value) -> ServiceSettings:
    """Settings for tests; names are written table__name."""
    made = default_settings().changed("http", "without_keys", value=True).changed("http", "port", 0)
    made = made.changed("http", "rate_per_minute", 1_000_000)
    for name, value in changes.items():
        table, _, key = name.partition("__")
        made = made.changed(table, key, value)
    return made


@contextlib.contextmanager
def serving(
    home: Home, chosen: ServiceSettings, prepare: Callable[[Service], None] = lambda _: None
) -> Iterator[Running]:
    """Serve `home` in a thread; `prepare` is called before anything runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = contextlib.AsyncExitStack()

    async def start() -> Running:
        service = await stack.enter_async_context(open_service(chosen, home))
        prepare(service)
        runner = web.AppRunner(make_app(service), access_log=None, shutdown_timeout=2)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return Running(service, f"http://127.0.0.1:{runner.addresses[0][1]}", loop)

    try:
        yield asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
