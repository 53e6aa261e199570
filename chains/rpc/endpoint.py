"""One RPC endpoint: single and batched requests, retries with jittered backoff, counters, kept errors."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from chains.rpc.bounded_json import load_bounded
from chains.rpc.errors import EndpointError, RpcError
from chains.rpc.hosts import PrivateHosts, check_host
from chains.rpc.pace import Breaker, Pacer
from chains.rpc.text import clean_text, mask_url, scrub, secrets_of
from chains.rpc.transport import HttpTransport, Reply, Transport, check_url
from chains.rpc.values import to_plain

log = logging.getLogger(__name__)

_TRANSIENT_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_TOO_BIG_STATUS: Final = 413
_KEPT_PROBLEMS: Final = 20


class Request(NamedTuple):
    """A JSON-RPC request: method and positional parameters."""

    method: str
    params: Sequence[object] = ()


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """Limits of one endpoint. Seconds, bytes and counts; `attempts` includes the first one.

    `requests_per_s` 0 is no limit, and `breaker_failures` 0 never leaves a failing endpoint alone.
    """

    timeout_s: float = 10.0
    attempts: int = 3
    backoff_s: float = 0.25
    max_backoff_s: float = 5.0
    max_response_bytes: int = 32 << 20
    max_batch: int = 500
    requests_per_s: int = 0
    breaker_failures: int = 6
    breaker_rest_s: float = 15.0
    private: PrivateHosts = PrivateHosts.ALLOW


@dataclass(slots=True)
class EndpointStats:
    """Counters for benchmarks and for choosing the healthiest endpoint."""

    round_trips: int = 0
    requests: int = 0
    bytes_received: int = 0
    failures_in_a_row: int = 0


class Endpoint:
    """One JSON-RPC server. Its URL is a secret: `name` is what may be shown."""

    def __init__(
        self, url: str, *, settings: RpcSettings | None = None, transport: Transport | None = None
    ) -> None:
        """Raises ConfigError when `url` is not an http or https URL, or leads where the settings do not allow."""
        check_url(url)
        self.settings = settings or RpcSettings()
        check_host(url, self.settings.private)
        self.name = mask_url(url)
        self.operator = urlsplit(url).netloc.rpartition("@")[2].lower()
        self.stats = EndpointStats()
        self.problems: deque[str] = deque(maxlen=_KEPT_PROBLEMS)
        self._secrets = secrets_of(url)
        self._transport: Transport = transport or HttpTransport(
            url,
            timeout_s=self.settings.timeout_s,
            max_bytes=self.settings.max_response_bytes,
            private=self.settings.private,
        )
        self._pacer = Pacer(self.settings.requests_per_s)
        self._breaker = Breaker(self.settings.breaker_failures, self.settings.breaker_rest_s)
        self._max_batch = self.settings.max_batch
        self._heights: dict[str, int] = {}
        self._next_id = 1
        self._random = random.SystemRandom()

    def __repr__(self) -> str:
        return f"Endpoint({self.name})"

    async def close(self) -> None:
        """Release the connections."""
        await self._transport.close()

    def note(self, problem: str) -> None:
        """Keep `problem` (already free of secrets) for `doctor` and for error messages."""
        if not self.problems or self.problems[-1] != problem:
            self.problems.append(problem)
            log.warning("%s: %s", self.name, problem)

    def climb(self, tag: str, number: int) -> None:
        """Record that the endpoint's block `tag` ("finalized", ..) is `number`.

        Raises:
            EndpointError: it said a higher number before; an answer never goes back in height.
        """
        before = self._heights.get(tag, number)
        self._heights[tag] = max(before, number)
        if number < before:
            reason = f"went back from {tag} block {before} to {number}; its answer is not used"
            self.note(reason)
            raise EndpointError(self.name, reason)

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        """The `result` of one request.

        Raises:
            RpcError: the endpoint answered with an error.
            EndpointError: no usable answer after the retries.
        """
        (answer,) = await self._exchange([Request(method, params)], as_batch=False)
        if isinstance(answer, RpcError):
            raise answer
        return answer

    async def batch(self, requests: Sequence[Request]) -> list[object | RpcError]:
        """The result or the RpcError of each request, in order, in as few HTTP requests as the server takes.

        A batch that the server refuses for its size is halved, and none as large is tried again.

        Raises:
            EndpointError: no usable answer after the retries.
        """
        answers: list[object | RpcError] = []
        size = max(1, min(self._max_batch, len(requests)))
        while len(answers) < len(requests):
            part = requests[len(answers) : len(answers) + size]
            try:
                answers += await self._exchange(part, as_batch=len(part) > 1)
            except EndpointError as error:
                if not error.too_big or size == 1:
                    raise
                size = max(1, min(size, len(part)) // 2)
            else:
                if len(part) == size < self._max_batch and len(part) < len(requests):
                    self._max_batch = size
        return answers

    async def _exchange(self, requests: Sequence[Request], *, as_batch: bool) -> list[object | RpcError]:
        """One HTTP exchange with retries; the answers in the order of `requests`."""
        settings = self.settings
        started = time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            await self._admit(len(requests))
            try:
                answers = await self._attempt(requests, as_batch=as_batch)
            except EndpointError as error:
                if error.transient:
                    self._breaker.failed(time.monotonic())
                else:
                    self._breaker.gave_up()
                self.stats.failures_in_a_row += 1
                self.note(error.reason)
                spent = time.monotonic() - started
                if not error.transient or attempt >= settings.attempts or spent >= settings.timeout_s:
                    raise
                await asyncio.sleep(self._backoff_s(attempt, error.retry_after_s))
                continue
            except BaseException:
                self._breaker.gave_up()
                raise
            self._breaker.succeeded()
            self.stats.failures_in_a_row = 0
            limited = any(isinstance(a, RpcError) and a.rate_limited for a in answers)
            if not limited or attempt >= settings.attempts:
                return answers
            await asyncio.sleep(self._backoff_s(attempt, 0.0))

    async def _admit(self, requests: int) -> None:
        """Wait for the rate limit; raises EndpointError while the endpoint is left alone."""
        if rest := self._breaker.resting_s(time.monotonic()):
            raise EndpointError(
                self.name,
                f"is left alone for {rest:.0f} s after {self.settings.breaker_failures} failures in a row",
            )
        try:
            if delay := self._pacer.delay_s(time.monotonic(), requests):
                await asyncio.sleep(delay)
        except BaseException:
            self._breaker.gave_up()
            raise

    def _backoff_s(self, attempt: int, retry_after_s: float) -> float:
        """Full jitter: uniform up to an exponentially growing cap, at least what the server asked for."""
        cap = min(self.settings.max_backoff_s, self.settings.backoff_s * 2**attempt)
        return max(min(retry_after_s, self.settings.max_backoff_s), self._random.uniform(0, cap))

    async def _attempt(self, requests: Sequence[Request], *, as_batch: bool) -> list[object | RpcError]:
        first = self._next_id
        self._next_id += len(requests)
        envelopes = [
            {"jsonrpc": "2.0", "id": first + n, "method": r.method, "params": to_plain(list(r.params))}
            for n, r in enumerate(requests)
        ]
        body = json.dumps(envelopes if as_batch else envelopes[0], separators=(",", ":")).encode()
        self.stats.round_trips += 1
        self.stats.requests += len(requests)
        reply = await self._transport.post(body)
        self.stats.bytes_received += len(reply.body)
        return self._parse(reply, requests, first, as_batch=as_batch)

    def _parse(
        self, reply: Reply, requests: Sequence[Request], first: int, *, as_batch: bool
    ) -> list[object | RpcError]:
        """Untrusted reply into one answer per request, matched by id."""
        if reply.status == _TOO_BIG_STATUS:
            raise EndpointError(self.name, "refused the request for its size", too_big=True)
        try:
            decoded = load_bounded(reply.body)
        except ValueError:
            decoded = None
        if decoded is None or (reply.status != 200 and not _is_rpc(decoded)):
            failure = EndpointError(
                self.name,
                f"answered HTTP {reply.status} without a JSON-RPC body; check the URL and the key",
                transient=reply.status in _TRANSIENT_STATUS,
            )
            failure.retry_after_s = reply.retry_after_s
            raise failure
        if not as_batch:
            return [self._parse_one(decoded, requests[0], first)]
        if isinstance(decoded, dict):
            reason = f"refused a batch of {len(requests)} requests ({self._error_text(decoded)})"
            raise EndpointError(self.name, reason, too_big=True)
        if not isinstance(decoded, list) or len(decoded) != len(requests):
            raise EndpointError(self.name, "answered a batch with another number of answers")
        by_id = {item["id"]: item for item in decoded if isinstance(item, dict) and _is_id(item.get("id"))}
        return [self._parse_one(by_id.get(first + n), r, first + n) for n, r in enumerate(requests)]

    def _parse_one(self, answer: object, request: Request, wanted_id: int) -> object | RpcError:
        if not isinstance(answer, dict):
            raise EndpointError(self.name, f"left the request {request.method} without an answer")
        error = answer.get("error")
        if error is not None:
            if not isinstance(error, dict):
                raise EndpointError(self.name, f"answered {request.method} with a malformed error")
            code = error.get("code")
            return RpcError(
                self.name,
                request.method,
                code if isinstance(code, int) else 0,
                self._error_text(answer),
                error.get("data"),
            )
        if answer.get("id") != wanted_id or "result" not in answer:
            raise EndpointError(
                self.name, f"answered {request.method} with something that is not JSON-RPC 2.0"
            )
        result: object = answer["result"]
        return result

    def _error_text(self, answer: dict[str, object]) -> str:
        """The server's own words, without secrets and control characters."""
        error = answer.get("error")
        words = error.get("message") if isinstance(error, dict) else None
        return clean_text(scrub(str(words), self._secrets)) if words else "no reason given"


def _is_rpc(decoded: object) -> bool:
    return isinstance(decoded, list) or (
        isinstance(decoded, dict) and ("error" in decoded or "result" in decoded)
    )


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
