"""openapi.json, and which handler does what it describes: a route exists because the document has it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from aiohttp import web

from aggregator.service.http.service import Service

Handler = Callable[[Service, web.Request], Awaitable[web.StreamResponse]]
_METHODS: Final = ("get", "post", "put", "delete", "patch")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the document. `scope` is empty when everybody may call it; `parameters` are the query's."""

    id: str
    method: str
    path: str
    scope: str
    streams: bool
    parameters: frozenset[str]


@cache
def document_bytes() -> bytes:
    """openapi.json as it is checked in."""
    return (files("aggregator.service") / "openapi.json").read_bytes()


@cache
def operations() -> tuple[Operation, ...]:
    """All operations of the document."""
    document: dict[str, Any] = json.loads(document_bytes())
    return tuple(
        Operation(
            id=entry["operationId"],
            method=method.upper(),
            path=path,
            scope=entry.get("x-scope", ""),
            parameters=frozenset(_query_parameters(document, entry)),
            streams="text/event-stream" in entry["responses"].get("200", {}).get("content", {}),
        )
        for path, methods in document["paths"].items()
        for method, entry in methods.items()
        if method in _METHODS
    )


def _query_parameters(document: dict[str, Any], entry: dict[str, Any]) -> Iterator[str]:
    for given in entry.get("parameters", []):
        name = given.get("$ref", "").rpartition("/")[2]
        parameter = document["components"]["parameters"][name] if name else given
        if parameter["in"] == "query":
            yield parameter["name"]


def add_routes(app: web.Application, service: Service, handlers: Mapping[str, Handler]) -> None:
    """Serve every operation with its handler; KeyError when one has none."""
    for operation in operations():
        route = app.router.add_route(
            operation.method, operation.path, _bound(handlers[operation.id], service)
        )
        if route.resource is not None:
            app[BY_ROUTE][operation.method, route.resource.canonical] = operation


def operation_of(request: web.Request) -> Operation | None:
    """The operation that a request is for, None for a page or an unknown path."""
    resource = request.match_info.route.resource
    return None if resource is None else request.app[BY_ROUTE].get((request.method, resource.canonical))


def _bound(handler: Handler, service: Service) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(service, request)

    return handle


BY_ROUTE: Final = web.AppKey("operations", dict[tuple[str, str], Operation])
