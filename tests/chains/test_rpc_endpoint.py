"""One endpoint: masking, retries, batches, limits, and answers that are not answers."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from aiohttp import web

from aggregator.model.errors import ConfigError
from chains.rpc import Endpoint, EndpointError, Request, RpcError, RpcSettings, clean_text, mask_url
from chains.rpc.transport import Reply
from tests.chains.faults import ScriptedTransport, result

SECRET = "k3y-0f-the-h0use"
URL = f"https://user:{SECRET}@rpc.example:8545/v2/{SECRET}?apikey={SECRET}"
FAST = RpcSettings(attempts=3, backoff_s=0.0)


def endpoint(*script: Any, settings: RpcSettings = FAST) -> tuple[Endpoint, ScriptedTransport]:
    transport = ScriptedTransport(*script)
    return Endpoint(URL, settings=settings, transport=transport), transport


def transient() -> EndpointError:
    return EndpointError("https://rpc.example", "did not answer", transient=True)


def test_only_scheme_host_and_port_of_a_url_are_shown() -> None:
    """Keys in the user part, the path and the query never reach a name or a repr."""
    e, _ = endpoint(result("0x1"))
    assert e.name == mask_url(URL) == "https://rpc.example:8545/***"
    assert SECRET not in repr(e) + str(e)
    assert mask_url("http://[::1]:8545") == "http://[::1]:8545"


@pytest.mark.parametrize(
    "url", ["ftp://x/", "rpc.example", "http://", "http://a b/", "http://x:99999/", "http://[x/"]
)
def test_a_malformed_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match="not an http or https URL"):
        Endpoint(url)


async def test_a_servers_own_words_are_scrubbed_and_put_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """A server that echoes the key, or moves the cursor, does neither in our error and log."""

    def refuse(body: Any) -> Any:
        words = f"bad key {SECRET}\x1b[2J\r\n\u202egnp.exe"
        return {"jsonrpc": "2.0", "id": body["id"], "error": {"code": -32000, "message": words}}

    e, _ = endpoint(refuse)
    with caplog.at_level(logging.DEBUG), pytest.raises(RpcError) as caught:
        await e.call("eth_chainId")
    assert SECRET not in str(caught.value) + caplog.text
    assert not set(str(caught.value)) & set("\x1b\r\n\u202e")


async def test_transient_failures_are_retried_and_counted() -> None:
    e, transport = endpoint(transient(), Reply(503, b"busy", 0.0), result("0x1"))
    assert await e.call("eth_chainId") == "0x1"
    assert len(transport.bodies) == e.stats.round_trips == 3
    assert e.stats.failures_in_a_row == 0
    assert len(e.problems) == 2


async def test_retries_end() -> None:
    e, transport = endpoint(transient())
    with pytest.raises(EndpointError):
        await e.call("eth_chainId")
    assert len(transport.bodies) == FAST.attempts
    assert e.stats.failures_in_a_row == FAST.attempts


async def test_a_rate_limit_is_retried_and_a_revert_is_not() -> None:
    def limited(body: Any) -> Any:
        return {"jsonrpc": "2.0", "id": body["id"], "error": {"code": -32005, "message": "limit exceeded"}}

    def reverted(body: Any) -> Any:
        return {"jsonrpc": "2.0", "id": body["id"], "error": {"code": 3, "message": "execution reverted"}}

    e, transport = endpoint(limited, result("0x2"))
    assert await e.call("eth_call") == "0x2"
    assert len(transport.bodies) == 2
    e, transport = endpoint(reverted)
    with pytest.raises(RpcError) as caught:
        await e.call("eth_call")
    assert caught.value.reverted
    assert len(transport.bodies) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>", b"", b"null", b"7", b'"x"', b"[]", b"NaN", b'{"jsonrpc":"2.0","id":1}', b"[" * 100_000,
        b'{"a":' * 100_000,
        b'["]",' * 100_000,
        b'{"jsonrpc":"2.0","id":2,"result":"0x1"}', b'{"jsonrpc":"2.0","id":1,"error":"no"}',
    ],
)  # fmt: skip
async def test_an_answer_that_is_not_json_rpc_is_refused(body: bytes) -> None:
    e, _ = endpoint(Reply(200, body, 0.0))
    with pytest.raises(EndpointError):
        await e.call("eth_chainId")


async def test_an_http_error_with_a_json_rpc_body_keeps_the_servers_reason() -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": -32002, "message": "pruned"}}).encode()
    e, _ = endpoint(Reply(400, body, 0.0))
    with pytest.raises(RpcError, match="pruned"):
        await e.call("eth_getProof")


async def test_a_batch_is_matched_by_id_whatever_the_order() -> None:
    def shuffled(body: Any) -> Any:
        return [{"jsonrpc": "2.0", "id": r["id"], "result": r["params"][0]} for r in reversed(body)]

    e, transport = endpoint(shuffled)
    assert await e.batch([Request("m", [n]) for n in range(5)]) == [0, 1, 2, 3, 4]
    assert len(transport.bodies) == 1


async def test_one_failed_request_of_a_batch_leaves_the_others() -> None:
    def mixed(body: Any) -> Any:
        bad = {"jsonrpc": "2.0", "id": body[0]["id"], "error": {"code": 3, "message": "execution reverted"}}
        return [bad, {"jsonrpc": "2.0", "id": body[1]["id"], "result": 7}]

    e, _ = endpoint(mixed)
    failed, good = await e.batch([Request("a"), Request("b")])
    assert isinstance(failed, RpcError)
    assert good == 7


async def test_a_batch_with_a_missing_or_foreign_answer_is_refused() -> None:
    def missing(body: Any) -> Any:
        return [{"jsonrpc": "2.0", "id": body[0]["id"], "result": 1}]

    def foreign(body: Any) -> Any:
        return [{"jsonrpc": "2.0", "id": i, "result": 1} for i in (body[0]["id"], 999)]

    for script in (missing, foreign):
        e, _ = endpoint(script)
        with pytest.raises(EndpointError):
            await e.batch([Request("a"), Request("b")])


async def test_a_batch_refused_for_its_size_is_halved() -> None:
    def small_only(body: Any) -> Any:
        if len(body) > 3:
            return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch too large"}}
        return [{"jsonrpc": "2.0", "id": r["id"], "result": r["params"][0]} for r in body]

    e, transport = endpoint(small_only)
    assert await e.batch([Request("m", [n]) for n in range(10)]) == list(range(10))
    assert [len(b) for b in transport.bodies][:2] == [10, 5]
    transport.bodies.clear()
    assert await e.batch([Request("m", [n]) for n in range(10)]) == list(range(10))
    assert max(len(b) for b in transport.bodies) <= 3


async def test_an_answer_over_the_size_limit_is_dropped_and_redirects_are_not_followed() -> None:
    """Over real HTTP: a body of 100 kB is refused at 10 kB, and a redirect never carries the request on."""

    async def big(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 100_000)

    async def away(_: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/big")

    app = web.Application()
    app.router.add_post("/big", big)
    app.router.add_post("/away", away)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        for path, words in (("/big", "more than 10000 bytes"), ("/away", "HTTP 307")):
            e = Endpoint(base + path, settings=RpcSettings(max_response_bytes=10_000, attempts=1))
            with pytest.raises(EndpointError, match=words):
                await e.call("eth_chainId")
            await e.close()
    finally:
        await runner.cleanup()


def test_clean_text_cuts_and_flattens() -> None:
    assert clean_text("a\x00b\nc\u200bd") == "a b c d"
    assert len(clean_text("x" * 5000, 50)) == 50
