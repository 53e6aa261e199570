"""Who may ask for what, how often and how much; and what every answer carries."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from aggregator.model.errors import ConfigError, InputError, StoreError
from aggregator.service.http.edge import JsonLines
from aggregator.service.http.limits import RateLimits
from aggregator.service.keys import SCOPES, find_key, new_key
from aggregator.service.settings import check_settings
from aggregator.store import Home
from tests.aggregator.service.serving import Running, serving, settings
from tests.aggregator.service.stored import Stored, at_that_time


@pytest.fixture(scope="module")
def locked(stored: Stored, nowhere: str) -> Iterator[Running]:
    """A service that asks for keys."""
    chosen = settings(
        http__without_keys=False,
        data__networks=(nowhere,),
        http__max_body_bytes=2_000,
        http__rate_per_minute=6_000,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aggregator.service.http.service.KEYS_FOR_S", 0.0)
        with serving(stored.home, chosen, at_that_time) as service:
            yield service


def key_for(home: Home, *scopes: str, rate: int = 100_000) -> str:
    made, text = new_key("test", scopes, rate, 1)
    with home.store() as store:
        store.add_api_key(made)
    return f"Bearer {text}"


def test_without_a_key_only_probes_answer(locked: Running) -> None:
    for path in ("/livez", "/readyz", "/openapi.json", "/v1/info"):
        assert locked.get(path).status == 200
    for path in ("/v1/accounts", "/v1/policies", "/v1/events", "/metrics", "/v1/jobs"):
        reply = locked.get(path)
        reply.refused(401, "unauthorized", "no valid API key")
        assert reply.headers["www-authenticate"].startswith("Bearer")


def test_a_defect_is_a_problem_without_its_details(
    locked: Running, stored: Stored, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What goes wrong in our own code is logged whole, and the caller learns where to find it, no more."""
    verify = key_for(stored.home, "verify")
    assert locked.get("/v1/policies", Authorization=verify).status == 200

    def broken(*_: object) -> int:
        raise RuntimeError("hunter2")

    monkeypatch.setattr("aggregator.service.http.venues.page_size", broken)
    reply = locked.get("/v1/policies", Authorization=verify)
    reply.refused(500, "internal", "requestId")
    assert b"hunter2" not in reply.body
    found = [r for r in caplog.records if r.getMessage() == "a request met a defect"]
    assert found
    assert "hunter2" in str(found[-1].exc_info)


def test_a_key_opens_its_scopes_only(locked: Running, stored: Stored) -> None:
    verify = key_for(stored.home, "verify")
    assert locked.get("/v1/policies", Authorization=verify).status == 200
    locked.get("/v1/accounts", Authorization=verify).refused(403, "forbidden", "'read'")
    locked.post("/v1/accounts", {"name": "x"}, Authorization=verify).refused(403, "forbidden", "'write'")
    locked.get("/v1/webhooks", Authorization=verify).refused(403, "forbidden", "'admin'")
    wrong = verify[:-1] + ("A" if verify[-1] != "A" else "B")
    for bad in (wrong, verify.replace("Bearer", "Basic"), "Bearer", f"{verify}x", "Bearer cf_x"):
        locked.get("/v1/policies", Authorization=bad).refused(401, "unauthorized")


def test_a_revoked_key_opens_nothing(locked: Running, stored: Stored) -> None:
    text = key_for(stored.home, "read")
    assert locked.get("/v1/accounts", Authorization=text).status == 200
    with stored.home.store() as store:
        store.revoke_api_key(text.split("_")[1], 5)
        with pytest.raises(InputError, match="revoked already"):
            store.revoke_api_key(text.split("_")[1], 5)
    locked.get("/v1/accounts", Authorization=text).refused(401, "unauthorized")


def test_a_key_is_stored_as_a_hash(stored: Stored) -> None:
    made, text = new_key("test", ["read", "read", "admin"], 60, 1)
    assert made.scopes == ("admin", "read")
    secret = text.rpartition("_")[2] if text.count("_") == 2 else text.split("_", 2)[2]
    assert secret not in repr(made) + made.hash
    assert find_key(text, [made]) == made
    assert find_key(text, []) is None
    for scopes in (["all"], []):
        with pytest.raises(InputError, match="scope"):
            new_key("test", scopes, 60, 1)
    assert "admin" in SCOPES


def test_a_key_may_ask_so_often(locked: Running, stored: Stored) -> None:
    text = key_for(stored.home, "read", rate=12)
    replies = [locked.get("/v1/accounts", Authorization=text) for _ in range(4)]
    assert [reply.status for reply in replies[:2]] == [200, 200]
    replies[-1].refused(429, "rate-limited", "12 requests a minute")
    assert int(replies[-1].headers["retry-after"]) >= 1


def test_a_bucket_fills_again() -> None:
    now = [0.0]
    limits = RateLimits(lambda: now[0])
    assert [limits.take("a", 60) > 0 for _ in range(11)] == [False] * 10 + [True]
    assert limits.take("b", 60) == 0
    now[0] += 1
    assert [limits.take("a", 60) > 0 for _ in range(2)] == [False, True]


def test_without_keys_only_this_machine_may_listen() -> None:
    with pytest.raises(ConfigError, match="use keys"):
        check_settings(settings(http__host="0.0.0.0"))  # noqa: S104
    check_settings(settings(http__host="0.0.0.0", http__without_keys=False))  # noqa: S104


def test_another_host_name_or_site_is_refused(running: Running) -> None:
    running.get("/v1/accounts", Host="evil.example").refused(403, "forbidden", "host name")
    running.post("/v1/accounts", {"name": "evil"}, Origin="https://evil.example").refused(
        403, "forbidden", "another site"
    )
    assert running.get("/v1/accounts", Origin=running.base).status == 200
    assert "evil" not in running.get("/v1/accounts").body.decode()


def test_cors_is_off_unless_set(stored: Stored, nowhere: str, running: Running) -> None:
    asked = {"Origin": "https://desk.example", "Access-Control-Request-Method": "POST"}
    reply = running.ask("OPTIONS", "/v1/accounts", headers=asked)
    assert reply.status == 403
    assert "access-control-allow-origin" not in reply.headers
    chosen = settings(data__networks=(nowhere,), http__cors_origins=("https://desk.example",))
    with serving(stored.home, chosen, at_that_time) as service:
        reply = service.ask("OPTIONS", "/v1/accounts", headers=asked)
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (204, "https://desk.example")
        reply = service.get("/v1/accounts", Origin="https://desk.example")
        assert reply.headers["access-control-allow-origin"] == "https://desk.example"
        service.get("/v1/accounts", Origin="https://other.example").refused(403, "forbidden")


def test_every_answer_carries_security_headers(running: Running) -> None:
    for reply in (running.get("/livez"), running.get("/nothing"), running.get("/v1/accounts/nobody")):
        policy = reply.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe-inline" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-request-id"]
    assert running.get("/livez", X_Request_Id="mine-1").headers["x-request-id"] == "mine-1"
    assert running.get("/livez", X_Request_Id="a b").headers["x-request-id"] != "a b"


def test_what_http_refuses_is_a_problem_too(locked: Running, stored: Stored) -> None:
    key = {"Authorization": key_for(stored.home, "write", "read")}
    locked.get("/nothing").refused(404, "no-such-path")
    reply = locked.ask("DELETE", "/v1/accounts", headers=key)
    reply.refused(405, "method-not-allowed", "GET")
    assert "GET" in reply.headers["allow"]
    big = b'{"name": "' + b"a" * 3_000 + b'"}'
    locked.ask("POST", "/v1/accounts", data=big, headers=key).refused(413, "too-large")
    plain = {**key, "Content-Type": "text/plain"}
    locked.ask("POST", "/v1/accounts", data=b"{}", headers=plain).refused(415, "not-json")
    for data in (b"{", b'{"name": "a", "name": "b"}', b"[]", b'{"name": 1.5}', b"\xff", b""):
        assert locked.ask("POST", "/v1/accounts", data=data, headers=key).status == 400


def test_a_request_that_is_not_http_breaks_nothing(locked: Running) -> None:
    parts = urlsplit(locked.base)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as raw:
        raw.sendall(b"\x00\x01\x02 nonsense\r\n\r\n")
        assert b" 400 " in raw.recv(4096)
    assert locked.get("/livez").status == 200


def test_the_same_key_and_body_get_the_same_answer(running: Running) -> None:
    first = running.post("/v1/accounts", {"name": "once"}, Idempotency_Key="k-1")
    again = running.post("/v1/accounts", {"name": "once"}, Idempotency_Key="k-1")
    assert (first.status, again.status, first.body) == (201, 201, again.body)
    running.post("/v1/accounts", {"name": "twice"}, Idempotency_Key="k-1").refused(
        409, "conflict", "another request"
    )
    running.post("/v1/accounts", {"name": "x"}, Idempotency_Key="a b").refused(400, "invalid-input")
    running.post("/v1/accounts", {"name": "once"}, Idempotency_Key="k-2").refused(409, "conflict", "exists")
    assert [a["name"] for a in running.get("/v1/accounts").data["items"]].count("once") == 1


def test_an_answer_without_effect_is_repeated_too(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/v1/accounts/main/what-if"
    body: dict[str, object] = {"changes": []}
    first = running.post(path, body, Idempotency_Key="w-1")
    assert first.status == 200
    then = running.service.clock
    monkeypatch.setattr(running.service, "clock", lambda: then() + 10_000)
    assert running.post(path, body, Idempotency_Key="w-1").body == first.body
    running.post(path, body, Idempotency_Key="w-2").refused(422, "expired")
    running.post(path, {}, Idempotency_Key="w-1").refused(409, "conflict", "another request")


def test_a_refused_request_may_be_asked_again(running: Running) -> None:
    running.post("/v1/accounts", {"name": "Bad"}, Idempotency_Key="k-3").refused(400, "invalid-input")
    assert running.post("/v1/accounts", {"name": "good"}, Idempotency_Key="k-3").status == 201


def test_log_lines_are_json_without_addresses_and_keys(
    running: Running, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="counterfoil.service")
    address = "0x" + "ab" * 20
    running.get(f"/v1/accounts/main/links/message?address={address}", Authorization="Bearer cf_secret")
    running.get(f"/v1/{address}")
    lines = [JsonLines().format(record) for record in caplog.records if record.name == "counterfoil.service"]
    shown = [json.loads(line) for line in lines]
    assert {"getLinkMessage", "page"} <= {line["operation"] for line in shown}
    assert all(line["requestId"] and line["ms"] >= 0 for line in shown)
    assert address not in "".join(lines)
    assert "secret" not in "".join(lines)


def test_an_answer_that_takes_too_long_is_given_up(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    service = running.service

    async def never(_work: object) -> object:
        await asyncio.sleep(60)
        return None

    monkeypatch.setattr(service, "settings", service.settings.changed("http", "timeout_s", 1))
    monkeypatch.setattr(service, "compute", never)
    running.get("/v1/accounts/main/liquidation").refused(504, "timeout", "too long")
    assert running.get("/livez").status == 200


def test_too_much_waiting_work_is_sent_away(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aggregator.service.http.service.MOST_WAITING", 0)
    reply = running.post("/v1/accounts/main/what-if", {})
    reply.refused(503, "unavailable", "busy")
    assert reply.headers["retry-after"] == "1"


def test_a_store_that_cannot_be_read_is_not_the_callers_fault(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_work: object) -> object:
        raise StoreError("the store here cannot be used (disk); move it away or give another --home")

    monkeypatch.setattr(running.service.store, "read", broken)
    running.get("/v1/accounts").refused(503, "store", "cannot be used")
    assert running.get("/readyz").status == 503
    assert running.get("/livez").status == 200
