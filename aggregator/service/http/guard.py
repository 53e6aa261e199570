"""Who may ask for what: host names, origins, API keys, scopes and rates.

A service on this machine that asks for no keys is still closed to web pages: a request has to name a host it is known
by (DNS rebinding) and must not come from another site.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from aggregator.service.http.operations import Operation
from aggregator.service.http.problems import RefusalError
from aggregator.service.http.service import Service
from aggregator.service.keys import find_key

CALLER: Final = web.RequestKey("caller", str)
WITHOUT_KEY: Final = "-"
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="counterfoil"'}
_OWN_NAMES: Final = ("127.0.0.1", "localhost", "::1")


def check_origin(service: Service, request: web.Request) -> None:
    """Refuse a request under a name that is not the service's, or from a page of another site; raises RefusalError."""
    if service.settings.flag("http", "without_keys"):
        known = {*_OWN_NAMES, *service.settings.texts("http", "hosts")}
        if _host(request) not in known:
            raise RefusalError(403, "the service is not called by this host name; see http.hosts")
    origin = request.headers.get("Origin")
    if origin is not None and not same_origin(request, origin) and not allowed_origin(service, origin):
        raise RefusalError(403, "the request comes from another site; see http.cors_origins")


def same_origin(request: web.Request, origin: str) -> bool:
    """Whether a page of this service asks."""
    return origin.partition("://")[2] == request.host


def allowed_origin(service: Service, origin: str) -> bool:
    """Whether pages of `origin` may call."""
    return origin in service.settings.texts("http", "cors_origins")


async def admit(service: Service, request: web.Request, operation: Operation) -> None:
    """Let the request through, or raise RefusalError: no key, a key without the scope, or too many requests."""
    rate = service.settings.number("http", "rate_per_minute")
    if not operation.scope or service.settings.flag("http", "without_keys"):
        request[CALLER] = WITHOUT_KEY
        if operation.scope:
            _within_rate(service, f"address {request.remote}", rate)
        return
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    key = find_key(text.strip(), await service.api_keys()) if scheme.lower() == "bearer" else None
    if key is None:
        _within_rate(service, f"address {request.remote}", rate)
        raise RefusalError(401, "the request has no valid API key; see: counterfoil serve key", _CHALLENGE)
    request[CALLER] = key.id
    _within_rate(service, f"key {key.id}", key.rate_per_minute)
    if operation.scope not in key.scopes:
        raise RefusalError(403, f"the key lacks the scope {operation.scope!r}; use one that has it")


def _within_rate(service: Service, caller: str, per_minute: int) -> None:
    wait = service.limits.take(caller, per_minute)
    if wait > 0:
        raise RefusalError(
            429, f"more than {per_minute} requests a minute; slow down", {"Retry-After": str(int(wait) + 1)}
        )


def _host(request: web.Request) -> str:
    host = request.host
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
