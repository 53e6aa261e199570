"""Errors as RFC 9457 problems: those of the tree under their own type, and the few that only HTTP has."""

from __future__ import annotations

import json
from typing import Final

from aiohttp import web

from aggregator.model.errors import (
    AlreadyDoneError,
    ChainError,
    ConflictError,
    CounterfoilError,
    IncompleteSnapshotError,
    InputError,
    KeyFileError,
    NotFoundError,
    StoreError,
    ToolMissingError,
    TransactionError,
)

MEDIA_TYPE: Final = "application/problem+json"
PREFIX: Final = "urn:counterfoil:problem:"

STATUSES: Final[tuple[tuple[type[CounterfoilError], int], ...]] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (AlreadyDoneError, 409),
    (KeyFileError, 503),
    (StoreError, 503),
    (InputError, 400),
    (IncompleteSnapshotError, 422),
    (ChainError, 502),
    (TransactionError, 422),
    (ToolMissingError, 503),
    (CounterfoilError, 422),
)
"""The first class that an error is of decides its status."""

HTTP_ONLY: Final = {
    401: "unauthorized",
    403: "forbidden",
    404: "no-such-path",
    405: "method-not-allowed",
    413: "too-large",
    415: "not-json",
    429: "rate-limited",
    500: "internal",
    503: "unavailable",
    504: "timeout",
}
"""Status -> problem of refusals that only HTTP has (docs/service.md)."""


class RefusalError(Exception):
    """A refusal that only HTTP has."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        """`status` is a key of HTTP_ONLY."""
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}


def status_of(error: CounterfoilError) -> int:
    """The HTTP status of an error."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def problem_of(error: CounterfoilError) -> dict[str, object]:
    """The problem object of an error of the tree."""
    return {
        "type": error.type_uri,
        "title": type(error).__name__,
        "status": status_of(error),
        "detail": str(error),
        "exitCode": error.exit_code,
    }


def refusal_problem(status: int, detail: str) -> dict[str, object]:
    """The problem object of a refusal that only HTTP has."""
    name = HTTP_ONLY[status]
    return {"type": PREFIX + name, "title": name, "status": status, "detail": detail}


def problem_response(
    problem: dict[str, object], request_id: str, headers: dict[str, str] | None = None
) -> web.Response:
    """The answer that a problem is."""
    return web.Response(
        status=int(str(problem["status"])),
        body=json.dumps({**problem, "requestId": request_id}, ensure_ascii=False).encode(),
        content_type=MEDIA_TYPE,
        headers=headers,
    )
