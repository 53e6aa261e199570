"""What every request passes through: an id, the guard, a time limit, and its problem, headers, metrics and log line."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import time
from typing import Final

from aiohttp import web

from aggregator.model.errors import CounterfoilError
from aggregator.service.http.guard import CALLER, admit, allowed_origin, check_origin
from aggregator.service.http.idempotency import Next, replayed
from aggregator.service.http.operations import Operation, operation_of
from aggregator.service.http.problems import (
    RefusalError,
    problem_of,
    problem_response,
    refusal_problem,
)
from aggregator.service.http.requests import check_parameters
from aggregator.service.http.service import SERVICE, Service

log: Final = logging.getLogger("counterfoil.service")
REQUEST_ID: Final = web.RequestKey("request_id", str)
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


@web.middleware
async def edge(request: web.Request, handler: Next) -> web.StreamResponse:
    """Answer one request."""
    service = request.app[SERVICE]
    given = request.headers.get("X-Request-Id", "")
    request[REQUEST_ID] = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    operation = operation_of(request)
    name = operation.id if operation is not None else "page"
    started = time.perf_counter()
    status = 500
    try:
        response = await _answer(service, request, operation, handler)
        status = response.status
    finally:
        seconds = time.perf_counter() - started
        service.metrics.requests.labels(name, str(status)).inc()
        if operation is None or not operation.streams:
            service.metrics.seconds.labels(name).observe(seconds)
        _log(request, name, status, seconds)
    return response


async def _answer(
    service: Service, request: web.Request, operation: Operation | None, handler: Next
) -> web.StreamResponse:
    try:
        check_origin(service, request)
        if request.method == "OPTIONS" and allowed_origin(service, request.headers.get("Origin", "")):
            return web.Response(status=204)
        if operation is not None:
            await admit(service, request, operation)
            check_parameters(request, operation)
        if operation is not None and operation.streams:
            return await handler(request)
        async with asyncio.timeout(service.settings.number("http", "timeout_s")):
            if operation is not None and request.method == "POST":
                return await replayed(service, request, handler)
            return await handler(request)
    except CounterfoilError as error:
        return problem_response(problem_of(error), request[REQUEST_ID])
    except RefusalError as error:
        return _refused(request, error.status, str(error), error.headers)
    except TimeoutError:
        return _refused(request, 504, "the answer took too long; ask for less, or again later")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return _refused(
            request, 405, f"this path knows {allowed}, not {error.method[:20]}", {"Allow": allowed}
        )
    except web.HTTPNotFound:
        return _refused(request, 404, "there is nothing under this path; see /openapi.json")
    except web.HTTPException:
        raise
    except Exception:
        # A defect of ours. The caller gets a problem without its details; the log gets all of it.
        if operation is not None and operation.streams:
            raise
        log.exception("a request met a defect", extra={"fields": {"requestId": request[REQUEST_ID]}})
        return _refused(request, 500, "the service has a defect here; its log has it under this requestId")


def _refused(
    request: web.Request, status: int, detail: str, headers: dict[str, str] | None = None
) -> web.Response:
    return problem_response(refusal_problem(status, detail), request[REQUEST_ID], headers)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: security headers on every answer, and CORS headers for an origin that is allowed."""
    response.headers.update(SECURITY_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    if REQUEST_ID in request:
        response.headers["X-Request-Id"] = request[REQUEST_ID]
    origin = request.headers.get("Origin")
    if origin is not None and allowed_origin(request.app[SERVICE], origin):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Vary"] = "Origin"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE"
            response.headers["Access-Control-Allow-Headers"] = (
                "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
            )
            response.headers["Access-Control-Max-Age"] = "600"


def _log(request: web.Request, name: str, status: int, seconds: float) -> None:
    log.info(
        "request",
        extra={
            "fields": {
                "requestId": request[REQUEST_ID],
                "operation": name,
                "method": request.method if operation_of(request) is not None else "-",
                "status": status,
                "ms": round(seconds * 1000, 2),
                "caller": request.get(CALLER, "-"),
            }
        },
    )


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, what happened, and its fields. No address and no secret is a field."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
