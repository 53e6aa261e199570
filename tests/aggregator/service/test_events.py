"""Listeners get every event once and in order, also across a break; webhooks are signed and tried again."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest

from aggregator.model.errors import InputError
from aggregator.service.events import KINDS, Broker, Listener
from aggregator.service.webhooks import check_webhook_url, sign, wait_after
from aggregator.store import Home
from aggregator.store.asynchronous import AsyncStore
from tests.aggregator.service.serving import Running, serving, settings


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("events") / "home")


def tell(running: Running, *numbers: int, kind: str = "health", account: str = "main") -> None:
    """Write events down and say so, as the service does."""

    async def write() -> None:
        def work(records: object) -> None:
            for n in numbers:
                records.add_event(kind, account, json.dumps({"n": n}), n)  # type: ignore[attr-defined]

        await running.service.store.write(work)
        running.service.broker.wake()

    running.run(write())


@contextmanager
def listening(running: Running, path: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
    parts = urlsplit(running.base)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def take(stream: http.client.HTTPResponse, count: int) -> list[tuple[int, int]]:
    """The numbers and contents of the next events."""
    found: list[tuple[int, int]] = []
    while len(found) < count:
        line = stream.readline().decode()
        if line.startswith("data: "):
            event = json.loads(line[6:])
            found.append((event["id"], event["data"]["n"]))
    return found


def test_a_listener_that_comes_back_misses_nothing(home: Home, nowhere: str) -> None:
    with serving(home, settings(data__networks=(nowhere,))) as running:
        with listening(running, "/v1/events?after=0") as stream:
            assert stream.headers["Content-Type"] == "text/event-stream"
            tell(running, 10, 11)
            assert take(stream, 2) == [(1, 10), (2, 11)]
        tell(running, 12)
        with listening(running, "/v1/events", Last_Event_ID="2") as stream:
            tell(running, 13)
            assert take(stream, 2) == [(3, 12), (4, 13)]
        assert [e["data"]["n"] for e in running.events(1)] == [11, 12, 13]
        with listening(running, "/v1/events") as stream:
            stream.readline()
            tell(running, 14)
            assert take(stream, 1) == [(5, 14)]


async def test_an_event_before_the_first_round_is_not_passed_over(home: Home) -> None:
    """A listener that came early and an event that came before the broker ever looked."""
    home.prepare()
    store = await AsyncStore.open(f"sqlite+aiosqlite:///{home.database}", "here")
    broker = Broker(store)
    await broker.begin()
    stream = broker.follow(Listener(frozenset(KINDS), None), 0, once=False, idle_s=0.01)
    assert await anext(stream) == b""
    await store.write(lambda records: records.add_event("health", None, "{}", 1))
    handing_on = asyncio.create_task(broker.run())
    async with asyncio.timeout(10):
        while not (encoded := await anext(stream)):
            continue
    assert encoded.startswith(b"id: 1\n")
    handing_on.cancel()
    await stream.aclose()
    await asyncio.gather(handing_on, return_exceptions=True)
    await store.close()


def test_events_outlive_the_process(home: Home, nowhere: str) -> None:
    with serving(home, settings(data__networks=(nowhere,))) as running:
        tell(running, 1, 2, 3)
    with serving(home, settings(data__networks=(nowhere,))) as running:
        assert [e["data"]["n"] for e in running.events(0)] == [1, 2, 3]


def test_a_listener_gets_the_kinds_and_the_account_it_asked_for(home: Home, nowhere: str) -> None:
    with serving(home, settings(data__networks=(nowhere,))) as running:
        tell(running, 1)
        tell(running, 2, kind="margin-call")
        tell(running, 3, account="other")
        assert [e["data"]["n"] for e in running.events(0, "&kinds=margin-call")] == [2]
        assert [e["data"]["n"] for e in running.events(0, "&account=other")] == [3]
        running.get("/v1/events?kinds=gossip").refused(400, "invalid-input", "gossip")
        running.get("/v1/events", Last_Event_ID="x").refused(400, "invalid-input", "Last-Event-ID")


def test_there_are_so_many_listeners_and_no_more(home: Home, nowhere: str) -> None:
    chosen = settings(data__networks=(nowhere,), http__max_listeners=1)
    with serving(home, chosen) as running, listening(running, "/v1/events") as stream:
        stream.readline()
        running.get("/v1/events").refused(503, "unavailable", "too many listeners")


def test_listeners_are_let_go_when_the_service_ends(home: Home, nowhere: str) -> None:
    with serving(home, settings(data__networks=(nowhere,))) as running:
        stack = listening(running, "/v1/events")
        stream = stack.__enter__()
        stream.readline()
        begun = time.monotonic()
    assert time.monotonic() - begun < 10
    assert stream.read().strip() == b""
    stack.__exit__(None, None, None)


class Receiver(HTTPServer):
    """A webhook's other end, which fails so many times first."""

    def __init__(self, failures: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.failures = failures
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.enough = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers.items()), body))
        failing = len(self.server.got) <= self.server.failures
        self.send_response(500 if failing else 204)
        self.end_headers()
        if not failing:
            self.server.enough.set()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_an_event_is_posted_signed_until_it_arrives(
    home: Home, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aggregator.service.webhooks.FIRST_WAIT_S", 0)
    monkeypatch.setattr("aggregator.service.webhooks.LOOK_EVERY_S", 0.05)
    receiver = Receiver(failures=2)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    chosen = settings(data__networks=(nowhere,), webhooks__allow_loopback=True)
    try:
        with serving(home, chosen) as running:
            url = f"http://127.0.0.1:{receiver.server_port}/hook?token=secret"
            made = running.post("/v1/webhooks", {"url": url, "kinds": ["margin-call"]}).data
            shown = running.get("/v1/webhooks").data["items"]
            assert [(w["id"], w["secret"]) for w in shown] == [(made["id"], None)]
            assert "token" not in shown[0]["url"]
            tell(running, 1)
            tell(running, 2, kind="margin-call")
            assert receiver.enough.wait(10)
            assert running.ask("DELETE", f"/v1/webhooks/{made['id']}").status == 204
            running.ask("DELETE", f"/v1/webhooks/{made['id']}").refused(404, "not-found")
    finally:
        receiver.shutdown()
        receiver.server_close()
    assert len(receiver.got) == 3
    headers, body = receiver.got[-1]
    assert json.loads(body)["data"] == {"n": 2}
    stamp = headers["Counterfoil-Signature"].split(",")[0].removeprefix("t=")
    digest = hmac.new(bytes.fromhex(made["secret"]), f"{stamp}.".encode() + body, hashlib.sha256)
    assert headers["Counterfoil-Signature"] == f"t={stamp},v1={digest.hexdigest()}"
    assert headers["Counterfoil-Signature"] == sign(made["secret"], int(stamp), body)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://localhost/",
        "https://user@example.com/",
        "https:///x",
        "ftp://example.com/",
        "https://169.254.169.254/latest",
        "https://example.com:99999/",
    ],
)
def test_a_webhook_goes_to_public_https_only(url: str) -> None:
    with pytest.raises(InputError, match=r"webhook's URL"):
        check_webhook_url(url, loopback=False)


def test_deliveries_back_off_to_an_hour() -> None:
    assert [wait_after(n) for n in (0, 1, 2, 9, 10, 50)] == [5, 10, 20, 2560, 3600, 3600]
