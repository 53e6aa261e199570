"""What a policy was built from (schema `counterfoil/policy-inputs/1`): the spec, its estimates, prices and rates.

A policy is enough to value and to prove. To move its market, as stress and liquidation do, it has to be built again;
this document holds what that takes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, TypeVar

from aggregator.model.errors import FormatError, PolicyError
from aggregator.model.policy import Policy
from aggregator.model.strictjson import JsonObject, canonical_json, load_json
from aggregator.policy.build import build_policy
from aggregator.policy.haircut import Tier, check_tiers
from aggregator.policy.quotes import PriceQuote, RateQuote
from aggregator.policy.resolve import Resolved, Tiers
from aggregator.policy.spec import PolicySpec, parse_spec
from aggregator.pricing.sabr import SabrSlice
from aggregator.pricing.surface import SviSlice

Q = TypeVar("Q", PriceQuote, RateQuote)

INPUTS_SCHEMA: Final = "counterfoil/policy-inputs/1"
SAME_MARK: Final = 10**9
"""Marks built again on another machine may differ by one part in this: its mathematical library rounds as it does."""
MAX_SPEC_LENGTH: Final = 10**6
_FIELDS: Final = (
    *("schema", "spec", "as_of", "epoch", "zero_stale", "prices", "rates"),
    *("tiers", "correlation_e6", "slices", "betas_e6"),
)
_SIDES: Final = ("long_im", "long_mm", "short_im", "short_mm")


@dataclass(frozen=True)
class PolicyInputs:
    """`spec_text` as the publisher wrote it, the rest as `build_policy` took it."""

    spec_text: str
    resolved: Resolved
    prices: Mapping[str, PriceQuote]
    rates: Mapping[str, RateQuote]
    as_of: int
    epoch: int
    zero_stale: bool

    def spec(self) -> PolicySpec:
        """The spec with its estimates applied; PolicyError when it is malformed."""
        return self.resolved.applied(parse_spec(self.spec_text, "the spec of these inputs"))

    def check_are_of(self, policy: Policy) -> None:
        """Raise PolicyError unless building again gives `policy`: its header, haircuts, correlations and marks."""
        made = build_policy(
            self.spec(),
            self.prices,
            self.rates,
            as_of=self.as_of,
            epoch=self.epoch,
            zero_stale_collateral=self.zero_stale,
        )
        same = (
            _header(made) == _header(policy)
            and [one.symbol for one in made.instruments] == [one.symbol for one in policy.instruments]
            and all(
                abs(a.mark_e12 - b.mark_e12) <= b.mark_e12 // SAME_MARK + 1
                for a, b in zip(made.instruments, policy.instruments, strict=True)
            )
        )
        if not same:
            raise PolicyError(
                f"these inputs do not give policy {policy.name} epoch {policy.epoch}; use those stored with it"
            )


def _header(policy: Policy) -> tuple[object, ...]:
    """Everything but the instruments."""
    return tuple(getattr(policy, field.name) for field in fields(policy) if field.name != "instruments")


def _quote_json(quote: PriceQuote | RateQuote) -> dict[str, object]:
    def plain(value: object) -> object:
        if isinstance(value, tuple):
            return list(value)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    return {field.name: plain(getattr(quote, field.name)) for field in fields(quote)}


def _parse_quote(kind: type[Q], value: object, where: str) -> Q:
    known = {field.name: str(field.type) for field in fields(kind)}
    required = [field.name for field in fields(kind) if field.default is MISSING]
    row = JsonObject(value, where, required, error=PolicyError, open_ended=True)
    found: dict[str, Any] = {}
    for key, given in row.value.items():
        match known.get(key):
            case "int":
                found[key] = row.amount(key)
            case "bool":
                found[key] = row.boolean(key)
            case "str" if isinstance(given, str):
                found[key] = given
            case "tuple[str, ...]":
                found[key] = row.texts(key)
            case _:
                row.fail(key, "is not a field of a quote or not of its kind; build the policy again")
    return kind(**found)


def _tiers_json(tiers: Tiers) -> dict[str, object]:
    return {
        side: [
            {"up_to_e8": None if t.up_to_e8 is None else str(t.up_to_e8), "rate_e6": t.rate_e6}
            for t in getattr(tiers, side)
        ]
        for side in _SIDES
    }


def _parse_tier(value: object, where: str) -> Tier:
    row = JsonObject(value, where, ("up_to_e8", "rate_e6"), error=PolicyError)
    return Tier(
        None if row.value["up_to_e8"] is None else row.amount("up_to_e8"), row.number("rate_e6", 0, 10**6)
    )


def _parse_tiers(value: object, where: str) -> Tiers:
    row = JsonObject(value, where, _SIDES, error=PolicyError)
    sides = [row.children(side, _parse_tier) for side in _SIDES]
    for side, tiers in zip(_SIDES, sides, strict=True):
        check_tiers(tiers, f"{where}.{side}")
    return Tiers(*sides)


def _parse_slice(value: object, where: str) -> SviSlice | SabrSlice:
    kind = SabrSlice if isinstance(value, dict) and "alpha" in value else SviSlice
    keys = [field.name for field in fields(kind)]
    row = JsonObject(value, where, keys, error=PolicyError)
    numbers = []
    for key in keys:
        number = math.nan
        with suppress(ValueError):
            number = float(row.text(key))
        if not math.isfinite(number):
            row.fail(key, "is not a finite number; build the policy again")
        numbers.append(number)
    return kind(*numbers)


def _parse_row(value: object, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or any(not isinstance(rho, int) or isinstance(rho, bool) for rho in value):
        raise PolicyError(f"{where} is not a list of integers; write one correlation in 1e-6 per class")
    return tuple(value)


def encode_inputs(inputs: PolicyInputs) -> bytes:
    """Canonical bytes of the document."""
    made = inputs.resolved
    rho = made.correlation_e6
    return canonical_json(
        {
            "schema": INPUTS_SCHEMA,
            "spec": inputs.spec_text,
            "as_of": inputs.as_of,
            "epoch": inputs.epoch,
            "zero_stale": inputs.zero_stale,
            "prices": {name: _quote_json(quote) for name, quote in inputs.prices.items()},
            "rates": {name: _quote_json(quote) for name, quote in inputs.rates.items()},
            "tiers": {name: _tiers_json(tiers) for name, tiers in made.tiers.items()},
            "correlation_e6": None if rho is None else [list(row) for row in rho],
            "slices": {
                name: [
                    {field.name: repr(getattr(one, field.name)) for field in fields(one)} for one in slices
                ]
                for name, slices in made.slices.items()
            },
            "betas_e6": {name: str(beta) for name, beta in made.betas_e6.items()},
        }
    )


def _entries(row: JsonObject, key: str) -> dict[str, object]:
    value = row.value[key]
    if not isinstance(value, dict):
        row.fail(key, "is not a JSON object; build the policy again")
    return value


def parse_inputs(document: bytes | str) -> PolicyInputs:
    """Untrusted JSON into inputs; PolicyError naming the field. The spec itself is parsed by `PolicyInputs.spec`."""
    try:
        row = JsonObject(load_json(document), "policy inputs", _FIELDS, error=PolicyError)
    except FormatError as error:
        raise PolicyError(f"the policy inputs could not be read: {error}") from error
    row.schema(INPUTS_SCHEMA)
    betas = JsonObject(
        _entries(row, "betas_e6"), "policy inputs.betas_e6", (), error=PolicyError, open_ended=True
    )
    resolved = Resolved(
        tiers={n: _parse_tiers(v, f"policy inputs.tiers.{n}") for n, v in _entries(row, "tiers").items()},
        correlation_e6=None
        if row.value["correlation_e6"] is None
        else row.children("correlation_e6", _parse_row),
        slices={
            name: JsonObject(
                {"slices": value}, f"policy inputs.slices.{name}", ("slices",), error=PolicyError
            ).children("slices", _parse_slice)
            for name, value in _entries(row, "slices").items()
        },
        betas_e6={name: betas.amount(name) for name in betas.value},
    )
    prices = {
        n: _parse_quote(PriceQuote, v, f"policy inputs.prices.{n}")
        for n, v in _entries(row, "prices").items()
    }
    rates = {
        n: _parse_quote(RateQuote, v, f"policy inputs.rates.{n}") for n, v in _entries(row, "rates").items()
    }
    return PolicyInputs(
        spec_text=row.text("spec", max_length=MAX_SPEC_LENGTH, lines=True),
        resolved=resolved,
        prices=prices,
        rates=rates,
        as_of=row.number("as_of"),
        epoch=row.number("epoch"),
        zero_stale=row.boolean("zero_stale"),
    )
