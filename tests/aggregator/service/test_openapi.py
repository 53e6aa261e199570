"""The service does what openapi.json says: generated requests, good and bad, get the answers it names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from aggregator.model import errors
from aggregator.service.http.operations import document_bytes, operations
from aggregator.service.http.problems import HTTP_ONLY, STATUSES, status_of
from aggregator.service.keys import SCOPES
from tests.aggregator.service.serving import Running
from tests.aggregator.service.stored import Stored

DOCUMENT: dict[str, Any] = json.loads(document_bytes())
CHECKS = [
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
EXAMPLES = 4


def without_keys() -> dict[str, Any]:
    """The document as it is for a service that asks for no keys; keys are tested in test_guard."""
    document: dict[str, Any] = json.loads(document_bytes())
    for methods in document["paths"].values():
        for operation in methods.values():
            del operation["security"]
    del document["components"]["securitySchemes"]
    return document


SCHEMA = schemathesis.openapi.from_dict(without_keys())


@pytest.fixture(scope="module")
def known(running: Running, stored: Stored) -> dict[str, str]:
    """What stands for a name in a path, so that some requests get past it."""
    return {"account": "main", "accountId": f"0x{stored.account_id:064x}"}


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_generated_requests_get_the_answers_named(
    case: schemathesis.Case[Any], running: Running, known: dict[str, str]
) -> None:
    for name in case.path_parameters or {}:
        if name in known:
            case.path_parameters[name] = known[name]
    if case.operation.path == "/v1/events":
        case.query = {**(case.query or {}), "once": "true"}
    case.call_and_validate(base_url=running.base, checks=CHECKS, timeout=30)


def test_the_document_is_openapi_and_its_examples_are_valid() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    checked = 0
    for name, schema in DOCUMENT["components"]["schemas"].items():
        validator = jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]})
        for example in schema.get("examples", []):
            assert validator.is_valid(example), name
            checked += 1
    assert checked > 20


def test_every_answer_with_money_says_where_it_comes_from() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    provenance = set(schemas["Provenance"]["properties"])

    def names(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield key
                yield from names(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from names(inner)

    valued = [n for n, s in schemas.items() if any(key.endswith("equityUsd") for key in names(s))]
    valued += ["Health", "WhatIfAnswer", "StressAnswer", "LiquidationAnswer"]
    valued += ["Verdict", "RegistryAccount", "BundleEntry"]
    for name in {*valued} - {"Summary"}:
        assert provenance <= set(schemas[name]["required"]), name


def test_no_amount_is_a_number() -> None:
    text = json.dumps(DOCUMENT)
    assert '"type": "number"' not in text


def test_each_operation_has_a_scope_or_is_open_on_purpose() -> None:
    open_to_all = {operation.id for operation in operations() if not operation.scope}
    assert open_to_all == {"getInfo", "getLive", "getReady", "getOpenapi"}
    assert {operation.scope for operation in operations()} - {""} == set(SCOPES)


def test_every_error_has_a_status_that_operations_name() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.CounterfoilError)
    ]
    named = {int(code) for code in DOCUMENT["components"]["responses"]}
    assert {status_of(kind()) for kind in kinds} | set(HTTP_ONLY) - {405} <= named
    assert STATUSES[-1][0] is errors.CounterfoilError


def test_a_server_that_says_something_else_is_noticed(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = SCHEMA["/v1/info"]["GET"].Case()
    case.call_and_validate(base_url=running.base, checks=CHECKS)
    monkeypatch.setattr(running.service, "networks", ("nonsense",))
    with pytest.raises(FailureGroup, match="Undocumented status code"):
        case.call_and_validate(base_url=running.base, checks=CHECKS)
