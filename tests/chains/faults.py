"""Misbehaving RPC servers: a scripted transport without a network, and a proxy in front of a real node."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

from chains.rpc.transport import Reply

Json = Any
Tamper = Callable[..., Json]


class ScriptedTransport:
    """Answers each POST with the next of `script`: a Reply, an exception, or a function of the body."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.bodies: list[Json] = []

    async def post(self, body: bytes) -> Reply:
        decoded = json.loads(body)
        self.bodies.append(decoded)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, Reply):
            return step
        return Reply(200, json.dumps(step(decoded)).encode(), 0.0)

    async def close(self) -> None:
        """Nothing to release."""


def result(value: Json) -> Callable[[Json], Json]:
    """A script step that answers every request of the body with `value`."""

    def one(request: Json) -> Json:
        return {"jsonrpc": "2.0", "id": request["id"], "result": value}

    return lambda body: [one(r) for r in body] if isinstance(body, list) else one(body)


def honest(method: str, params: list[Json], answer: Json) -> Json:
    """The node's answer as it is."""
    return answer


class FaultyNode:
    """A proxy in front of a node whose answers pass through `tamper(method, params, result)`."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.tamper: Tamper = honest
        self.delay_s = 0.0
        self.status = 200
        self.max_body = 1 << 30
        self.forced: dict[str, Json] = {}
        self.refused: dict[str, str] = {}
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}
        self.strip_overrides = False
        self.methods: list[str] = []
        self.posts: list[list[str]] = []
        self.url = ""

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        calls = body if isinstance(body, list) else [body]
        self.methods += [c["method"] for c in calls]
        self.posts.append([c["method"] for c in calls])
        if self.strip_overrides:
            for call in calls:
                call["params"] = call["params"][:2] if call["method"] == "eth_call" else call["params"]
        await asyncio.sleep(self.delay_s)
        if (request.content_length or 0) > self.max_body:
            return web.Response(status=413)
        if self.status != 200:
            return web.Response(status=self.status, text="out of order")
        async with aiohttp.ClientSession() as session, session.post(self.upstream, json=body) as upstream:
            answers = await upstream.json()
        for call in calls:
            if (hook := self.before.pop(call["method"], None)) is not None:
                await hook()
        for call, answer in zip(calls, answers if isinstance(answers, list) else [answers], strict=True):
            if call["method"] in self.forced:
                answer.pop("error", None)
                answer["result"] = self.forced[call["method"]]
            elif call["method"] in self.refused:
                del answer["result"]
                answer["error"] = {"code": -32601, "message": self.refused[call["method"]]}
            elif "result" in answer:
                answer["result"] = self.tamper(call["method"], call["params"], answer["result"])
        return web.json_response(answers)


@contextlib.asynccontextmanager
async def faulty_node(upstream: str) -> AsyncIterator[FaultyNode]:
    """Run a `FaultyNode` on a free port."""
    node = FaultyNode(upstream)
    app = web.Application(client_max_size=32 << 20)
    app.router.add_post("/", node._handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    node.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield node
    finally:
        await runner.cleanup()
