"""Which readings count as collateral under a policy, and for how much: by who vouches for them and how they were made.

Only what adds value is cut. A debt, or any other negative quantity, counts in full however it was read, so a weak
endpoint can lower an account and never raise it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from aggregator.fixed import mul_div_down
from aggregator.model.anchors import Trust
from aggregator.model.errors import PolicyError
from aggregator.model.movable import movable_e8
from aggregator.model.policy import Acceptance
from aggregator.model.snapshot import Method, Reading, net_positions
from aggregator.model.strictjson import JsonObject
from aggregator.model.units import RATE_SCALE
from aggregator.policy.tables import Table
from aggregator.risk.scenarios import ClassShocks, Scenario

ANYTHING: Final = Acceptance()
_METHODS: Final = (Method.REPORTED, Method.CALLED, Method.PROVEN)
"""Worst first."""
_NAMES: Final = (*Trust, *Method)
_FIELDS: Final = ("least_trust", "least_method", "haircuts_e6", "pool_range_e6")
MAX_RANGE_E6: Final = 990_000
"""A hundredth of the price, and a hundred times it."""
_FLOAT_DUST: Final = 1e-6
"""Of a millionth: 3 x 0.16 is 0.48 and a little more as a float."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Positions by symbol in 1e-8 as the policy counts them, and a sentence for each reading that was cut."""

    positions: Mapping[str, int]
    notes: tuple[str, ...]


def accept_readings(rules: Acceptance, readings: Iterable[Reading]) -> Accepted:
    """Net positions of the readings, rounded down: of each positive one what can be moved (aggregator.model.movable),
    cut as its trust and method say.
    """
    counted: list[Reading] = []
    notes: list[str] = []
    for reading in readings:
        quantity = reading.quantity_e8
        if quantity > 0:
            quantity, locked = movable_e8(reading)
            if locked:
                part = "in part" if quantity else "for nothing"
                notes.append(f"{reading.instrument} of {reading.address} counts {part}: {locked}")
        cut, why = _cut_e6(rules, reading) if quantity > 0 else (0, "")
        if cut:
            quantity = mul_div_down(quantity, RATE_SCALE - cut, RATE_SCALE)
            what = "nothing" if cut == RATE_SCALE else f"{(RATE_SCALE - cut) / 10_000:g} %"
            notes.append(f"{reading.instrument} of {reading.address} counts for {what}: {why}")
        counted.append(replace(reading, quantity_e8=quantity))
    return Accepted(net_positions(counted), tuple(notes))


def _cut_e6(rules: Acceptance, reading: Reading) -> tuple[int, str]:
    """The share that does not count, in 1e-6, and why."""
    if reading.trust.rank < rules.least_trust.rank:
        return RATE_SCALE, f"its trust is {reading.trust} and the policy asks for {rules.least_trust}"
    if _METHODS.index(reading.method) < _METHODS.index(rules.least_method):
        return RATE_SCALE, f"it is {reading.method} and the policy asks for {rules.least_method}"
    named = {reading.trust.value, reading.method.value}
    rates = {name: rate for name, rate in rules.haircuts_e6 if name in named and rate}
    why = " and ".join(f"{name} is cut by {rate / 10_000:g} %" for name, rate in sorted(rates.items()))
    return min(RATE_SCALE, sum(rates.values())), why


def parse_acceptance(table: Table) -> Acceptance:
    """The section [accept] of a spec; raises PolicyError."""
    if not table.has("accept"):
        return ANYTHING
    inner = table.table("accept")
    trust = inner.text("least_trust", ANYTHING.least_trust.value)
    method = inner.text("least_method", ANYTHING.least_method.value)
    rates: list[tuple[str, int]] = []
    if inner.has("haircuts"):
        cuts = inner.table("haircuts")
        rates = [(name, cuts.rate_e6(name)) for name in list(cuts.rest)]
    spread = inner.rate_e6("pool_range", "0.5", MAX_RANGE_E6)
    inner.close()
    return _checked(inner.where, trust, method, rates, spread)


def check_range(rules: Acceptance, name: str, shocks: ClassShocks, scenarios: Iterable[Scenario]) -> None:
    """Refuse a range of liquidity positions that a scenario leaves: there they would count for more than they are.

    A rise of m is a fall of 1 - 1 / (1 + m) of the other token. Scenarios move all classes the same way, so two tokens
    of different classes part no further than one of them does from a dollar. Raises PolicyError.

    name, shocks: a class and its shocks.
    """
    for scenario in scenarios:
        move = scenario.spot * shocks.scan_range
        fall = ceil(max(-move, 1 - 1 / (1 + move)) * RATE_SCALE - _FLOAT_DUST)
        if fall > rules.pool_range_e6:
            raise PolicyError(
                f"pool_range is {rules.pool_range_e6}e-6 and class {name} parts from others by {fall}e-6 under "
                f"{scenario.name!r}; raise pool_range in [accept] or lower its scan range"
            )


def acceptance_json(rules: Acceptance) -> dict[str, object]:
    """The JSON value in a policy."""
    return {
        "least_trust": rules.least_trust.value,
        "least_method": rules.least_method.value,
        "haircuts_e6": dict(rules.haircuts_e6),
        "pool_range_e6": rules.pool_range_e6,
    }


def read_acceptance(value: object, where: str) -> Acceptance:
    """An untrusted JSON value; raises PolicyError."""
    fields = JsonObject(value, where, _FIELDS, error=PolicyError)
    names = fields.value["haircuts_e6"]
    cuts = JsonObject(
        names,
        f"{where}.haircuts_e6",
        [str(name) for name in names] if isinstance(names, dict) else [],
        error=PolicyError,
    )
    rates = [(name, cuts.number(name, 0, RATE_SCALE)) for name in cuts.value]
    trust, method = fields.text("least_trust"), fields.text("least_method")
    return _checked(where, trust, method, rates, fields.number("pool_range_e6", 0, MAX_RANGE_E6))


def _checked(
    where: str, trust: str, method: str, rates: Iterable[tuple[str, int]], pool_range_e6: int
) -> Acceptance:
    if trust not in set(Trust):
        raise PolicyError(f"{where}.least_trust is {trust[:40]!r}; use one of {', '.join(Trust)}")
    if method not in set(Method):
        raise PolicyError(f"{where}.least_method is {method[:40]!r}; use one of {', '.join(_METHODS)}")
    kept = tuple(sorted(rates))
    if strangers := [name for name, _ in kept if name not in set(_NAMES)]:
        raise PolicyError(
            f"{where} cuts {strangers[0][:40]!r}, which is no trust and no method; use one of {', '.join(_NAMES)}"
        )
    return Acceptance(Trust(trust), Method(method), kept, pool_range_e6)
