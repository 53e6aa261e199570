"""A policy as canonical JSON and back (schema `counterfoil/policy/1`).

Ids, times and rates (`_e6`) are JSON numbers; everything of scale `_e8`, `_e12` or `_e26` is a decimal
string.
"""

from __future__ import annotations

from typing import Final

from aggregator.model.errors import FormatError, PolicyError
from aggregator.model.policy import Addon, Instrument, InstrumentKind, Line, NettingGroup, Policy
from aggregator.model.strictjson import JsonObject, canonical_json, load_json
from aggregator.policy.acceptance import ANYTHING, acceptance_json, read_acceptance
from aggregator.policy.check import check_policy

POLICY_SCHEMA: Final = "counterfoil/policy/1"

_POLICY_FIELDS: Final = (
    "schema",
    "name",
    "publisher",
    "epoch",
    "as_of",
    "expires",
    "classes",
    "scenarios",
    "scan_factor_im_e6",
    "scan_factor_mm_e6",
    "correlation_e6",
    "groups",
    "instruments",
)
_INSTRUMENT_FIELDS: Final = (
    "id",
    "symbol",
    "kind",
    "underlying",
    "class_id",
    "group_id",
    "mark_e12",
    "unit_e6",
    "max_quantity_e8",
    "risk_e12",
    "addon_im",
    "addon_mm",
)


def _line_json(line: Line) -> dict[str, object]:
    return {"slope_e12": str(line.slope_e12), "intercept_e26": str(line.intercept_e26)}


def _addon_json(addon: Addon) -> dict[str, object]:
    return {"long_e12": str(addon.long_e12), "short_e12": str(addon.short_e12)}


def _group_json(group: NettingGroup) -> dict[str, object]:
    return {
        "id": group.id,
        "name": group.name,
        "lines_im": [_line_json(line) for line in group.lines_im],
        "lines_mm": [_line_json(line) for line in group.lines_mm],
    }


def _instrument_json(instrument: Instrument) -> dict[str, object]:
    return {
        "id": instrument.id,
        "symbol": instrument.symbol,
        "kind": instrument.kind.value,
        "underlying": instrument.underlying,
        "class_id": instrument.class_id,
        "group_id": instrument.group_id,
        "mark_e12": str(instrument.mark_e12),
        "unit_e6": instrument.unit_e6,
        "max_quantity_e8": str(instrument.max_quantity_e8),
        "risk_e12": [str(r) for r in instrument.risk_e12],
        "addon_im": _addon_json(instrument.addon_im),
        "addon_mm": _addon_json(instrument.addon_mm),
    }


def policy_json(policy: Policy) -> dict[str, object]:
    """The JSON value of a policy that keeps W1-W7; raises PolicyError when it does not."""
    check_policy(policy)
    ruled = policy.acceptance != ANYTHING
    return {
        **({"acceptance": acceptance_json(policy.acceptance)} if ruled else {}),
        "schema": POLICY_SCHEMA,
        "name": policy.name,
        "publisher": policy.publisher,
        "epoch": policy.epoch,
        "as_of": policy.as_of,
        "expires": policy.expires,
        "classes": list(policy.classes),
        "scenarios": list(policy.scenarios),
        "scan_factor_im_e6": policy.scan_factor_im_e6,
        "scan_factor_mm_e6": policy.scan_factor_mm_e6,
        "correlation_e6": [list(row) for row in policy.correlation_e6],
        "groups": [_group_json(group) for group in policy.groups],
        "instruments": [_instrument_json(instrument) for instrument in policy.instruments],
    }


def encode_policy(policy: Policy) -> bytes:
    """Canonical bytes (RFC 8785) of a policy: what the document hash in its root is taken over.

    Raises PolicyError when the policy breaks W1-W7.
    """
    return canonical_json(policy_json(policy))


def _parse_line(value: object, where: str) -> Line:
    fields = JsonObject(value, where, ("slope_e12", "intercept_e26"), error=PolicyError)
    return Line(slope_e12=fields.amount("slope_e12"), intercept_e26=fields.amount("intercept_e26"))


def _parse_addon(fields: JsonObject) -> Addon:
    return Addon(long_e12=fields.amount("long_e12"), short_e12=fields.amount("short_e12"))


def _parse_group(value: object, where: str) -> NettingGroup:
    fields = JsonObject(value, where, ("id", "name", "lines_im", "lines_mm"), error=PolicyError)
    return NettingGroup(
        id=fields.number("id"),
        name=fields.text("name"),
        lines_im=fields.children("lines_im", _parse_line),
        lines_mm=fields.children("lines_mm", _parse_line),
    )


def _parse_instrument(value: object, where: str) -> Instrument:
    fields = JsonObject(value, where, _INSTRUMENT_FIELDS, error=PolicyError)
    kind = fields.text("kind")
    if kind not in set(InstrumentKind):
        fields.fail("kind", f"is {kind!r}; use one of {', '.join(InstrumentKind)}")
    return Instrument(
        id=fields.number("id"),
        symbol=fields.text("symbol"),
        kind=InstrumentKind(kind),
        underlying=fields.text("underlying"),
        class_id=fields.number("class_id"),
        group_id=fields.number("group_id"),
        mark_e12=fields.amount("mark_e12"),
        unit_e6=fields.number("unit_e6"),
        max_quantity_e8=fields.amount("max_quantity_e8"),
        risk_e12=fields.amounts("risk_e12"),
        addon_im=_parse_addon(fields.child("addon_im", ("long_e12", "short_e12"))),
        addon_mm=_parse_addon(fields.child("addon_mm", ("long_e12", "short_e12"))),
    )


def _parse_row(value: object, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or any(not isinstance(rho, int) or isinstance(rho, bool) for rho in value):
        raise PolicyError(f"{where} is not a list of integers; write one correlation in 1e-6 per class")
    return tuple(value)


def parse_policy(document: bytes | str | dict[str, object]) -> Policy:
    """Untrusted JSON (text, or a value already loaded) into a policy that keeps W1-W7.

    Raises PolicyError naming the field; bounds of W1-W7 included.
    """
    try:
        value = document if isinstance(document, dict) else load_json(document)
    except FormatError as error:
        raise PolicyError(f"the policy could not be read: {error}") from error
    ruled = isinstance(value, dict) and "acceptance" in value
    fields = JsonObject(
        value, "policy", (*_POLICY_FIELDS, *(("acceptance",) if ruled else ())), error=PolicyError
    )
    fields.schema(POLICY_SCHEMA)
    policy = Policy(
        name=fields.text("name"),
        publisher=fields.text("publisher"),
        epoch=fields.number("epoch"),
        as_of=fields.number("as_of"),
        expires=fields.number("expires"),
        classes=fields.texts("classes"),
        scenarios=fields.texts("scenarios"),
        scan_factor_im_e6=fields.number("scan_factor_im_e6"),
        scan_factor_mm_e6=fields.number("scan_factor_mm_e6"),
        correlation_e6=fields.children("correlation_e6", _parse_row),
        groups=fields.children("groups", _parse_group),
        instruments=fields.children("instruments", _parse_instrument),
        acceptance=read_acceptance(fields.value["acceptance"], "policy.acceptance") if ruled else ANYTHING,
    )
    if ruled and policy.acceptance == ANYTHING:
        raise PolicyError(
            "policy.acceptance accepts everything; leave it out, so that the document has one form"
        )
    check_policy(policy)
    return policy
