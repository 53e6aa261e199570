"""Reads requests: bodies, queries, pages; and writes answers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final, TypeVar

from aiohttp import web

from aggregator.model.errors import InputError
from aggregator.model.strictjson import JsonObject, load_json
from aggregator.service.http.operations import Operation
from aggregator.service.http.problems import RefusalError

T = TypeVar("T")
JSON: Final = "application/json"
DEFAULT_PAGE: Final = 50
MOST_PER_PAGE: Final = 200
OPENAPI: Final = "/openapi.json"
DOCUMENT_ID: Final = re.compile(r"0x[0-9a-f]{16}", re.ASCII)
WORD: Final = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_IDEMPOTENCY_KEY: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_BOOLEANS: Final = {"true": True, "false": False}


def json_answer(data: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer of JSON."""
    return web.Response(status=status, body=json_bytes(data), content_type=JSON, headers=headers)


def json_bytes(data: object) -> bytes:
    """UTF-8 JSON without blanks."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


async def read_body(request: web.Request) -> bytes:
    """The body of a request; raises RefusalError unless it is called JSON and is not too large."""
    if request.content_type != JSON:
        raise RefusalError(415, f"the body is called {request.content_type!r}; send {JSON}")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise RefusalError(
            413, f"the body is larger than {request.client_max_size:,} bytes; send less"
        ) from error


async def read_object(
    request: web.Request, required: Sequence[str], optional: Sequence[str] = ()
) -> JsonObject:
    """The JSON object in the body, with the fields `required` and maybe those `optional`; raises InputError."""
    return parse_object(load_json(await read_body(request), "the body"), "body", required, optional)


def parse_object(
    value: object, where: str, required: Sequence[str], optional: Sequence[str] = ()
) -> JsonObject:
    """A JSON object with the fields `required` and maybe those `optional`; raises InputError."""
    fields = JsonObject(value, where, required, error=InputError, open_ended=True, see=OPENAPI)
    if unknown := sorted(fields.value.keys() - {*required, *optional}):
        raise InputError(f"{where} has the unknown field {unknown[0]!r}; see {OPENAPI}")
    return fields


def check_parameters(request: web.Request, operation: Operation) -> None:
    """Refuse a query parameter that the operation does not have, and a malformed Idempotency-Key; raises InputError.

    A misspelt parameter would otherwise be answered as if it had not been given.
    """
    if unknown := sorted(set(request.query) - operation.parameters):
        raise InputError(f"there is no parameter {unknown[0][:60]!r} here; see {OPENAPI}")
    if request.method == "POST":
        idempotency_key(request)


def idempotency_key(request: web.Request) -> str | None:
    """The Idempotency-Key, None when it is not given; raises InputError."""
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise InputError(f"the {IDEMPOTENCY_KEY} is not 1 to 100 of A-Z a-z 0-9 . _ : -; correct it")
    return key


def optional_text(fields: JsonObject, name: str) -> str | None:
    """A text that may be left out."""
    return fields.text(name) if name in fields.value else None


def optional_document(fields: JsonObject, name: str) -> str | None:
    """A document's id that may be left out."""
    return fields.text(name, DOCUMENT_ID) if name in fields.value else None


def query_text(request: web.Request, name: str, pattern: re.Pattern[str] | None = None) -> str | None:
    """A parameter of the query, None when it is not given; raises InputError."""
    values = request.query.getall(name, [])
    if not values:
        return None
    if len(values) > 1:
        raise InputError(f"the parameter {name} is given {len(values)} times; give it once")
    if not values[0] or len(values[0]) > 500 or (pattern is not None and not pattern.fullmatch(values[0])):
        raise InputError(f"the parameter {name} is {values[0][:60]!r}; correct it")
    return values[0]


def query_number(request: web.Request, name: str, low: int, high: int) -> int | None:
    """An integer of the query, None when it is not given; raises InputError."""
    text = query_text(request, name)
    if text is None:
        return None
    if _NUMBER.fullmatch(text) is None or not low <= int(text) <= high:
        raise InputError(
            f"the parameter {name} is {text[:60]!r}, not a whole number in {low}..{high}; correct it"
        )
    return int(text)


def query_flag(request: web.Request, name: str) -> bool:
    """A boolean of the query, false when it is not given; raises InputError."""
    text = query_text(request, name)
    if text is None:
        return False
    if text not in _BOOLEANS:
        raise InputError(f"the parameter {name} is {text[:20]!r}; write true or false")
    return _BOOLEANS[text]


def page_size(request: web.Request) -> int:
    """How many entries a page has."""
    return query_number(request, "limit", 1, MOST_PER_PAGE) or DEFAULT_PAGE


def cursor_number(request: web.Request) -> int | None:
    """The cursor of a list that is ordered by number; raises InputError."""
    return query_number(request, "cursor", 0, 10**15)


def page_of(found: Sequence[T], limit: int) -> tuple[Sequence[T], T | None]:
    """Of `limit` + 1 entries asked for, those to show, and the last of them when there are more."""
    shown = found[:limit]
    return shown, shown[-1] if len(found) > limit else None


def path_text(request: web.Request, name: str, pattern: re.Pattern[str]) -> str:
    """A part of the path; raises InputError when it has not the form."""
    text = request.match_info[name]
    if pattern.fullmatch(text) is None:
        raise InputError(f"{text[:80]!r} is no {name}; correct it")
    return text
