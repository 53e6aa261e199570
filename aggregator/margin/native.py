"""The provable rulebook (docs/protocol.md, M1-M7): equity, requirement and excess of one account, exactly.

Every result is an integer rounded against the holder. The numbers L, C and R computed here are the smallest
claims the solvency circuit accepts, so `excess_e6` is the largest amount that can be proven at the level.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aggregator.fixed import div_ceil, div_floor, isqrt_up
from aggregator.model.errors import InputError
from aggregator.model.policy import Instrument, Level, Policy
from aggregator.model.units import (
    CLAIM_BOUND,
    E20_PER_USD_E6,
    E26_PER_USD_E6,
    RATE_SCALE,
    SCENARIOS,
    TOTAL_BOUND,
)


@dataclass(frozen=True, slots=True)
class PositionValue:
    """One position at its mark, with its add-on on the gross quantity (M1, M5)."""

    instrument: Instrument
    quantity_e8: int
    value_e20: int
    addon_rate_e12: int
    addon_e20: int


@dataclass(frozen=True, slots=True)
class ClassRisk:
    """Scan risk of one class (M2): its P&L under each scenario and the worst loss.

    `binding` is the index of the scenario that decides, None when no scenario loses.
    """

    class_id: int
    name: str
    pnl_e20: tuple[int, ...]
    scan_risk_e6: int
    binding: int | None


@dataclass(frozen=True, slots=True)
class GroupCharge:
    """Contingency of one netting group on its net quantity (M4).

    `binding` is the index of the line that decides, None when no line is above zero.
    """

    group_id: int
    name: str
    net_e14: int
    charge_e6: int
    binding: int | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One account under one policy at one level (M1-M7).

    `classes` holds every class of the policy in order of id, `groups` the groups of the account's
    instruments by id, `positions` the positions by instrument id. `correlated_e6` is R, `scan_e20` is f x R,
    `health_e6` is equity over requirement rounded down (None when nothing is required).
    """

    level: Level
    positions: tuple[PositionValue, ...]
    classes: tuple[ClassRisk, ...]
    groups: tuple[GroupCharge, ...]
    equity_e20: int
    correlated_e6: int
    scan_e20: int
    contingency_e6: int
    addon_e20: int
    requirement_e20: int
    requirement_e6: int
    excess_e6: int
    health_e6: int | None


def positions_by_id(policy: Policy, positions: Mapping[str, int]) -> dict[int, int]:
    """Positions keyed by symbol (quantities in 1e-8) into positions keyed by instrument id.

    Raises InputError for a symbol the policy does not price.
    """
    result: dict[int, int] = {}
    for symbol, quantity in positions.items():
        instrument = policy.by_symbol.get(symbol)
        if instrument is None:
            raise InputError(
                f"{symbol} is not priced by policy {policy.name!r}; "
                "use a policy that lists it, or leave it out if it is no debt"
            )
        result[instrument.id] = quantity
    return result


def _value_positions(policy: Policy, positions: Mapping[int, int], level: Level) -> tuple[PositionValue, ...]:
    values = []
    for instrument_id, quantity in sorted(positions.items()):
        instrument = policy.by_id.get(instrument_id)
        if instrument is None:
            raise InputError(
                f"instrument {instrument_id} is not in policy {policy.name!r}; "
                "use the policy the position was made for"
            )
        if abs(quantity) > instrument.max_quantity_e8:
            raise InputError(
                f"{instrument.symbol} has the quantity {quantity}e-8, beyond the policy's bound of "
                f"{instrument.max_quantity_e8}e-8; split the account or use a policy with a higher bound"
            )
        addon = instrument.addon(level)
        rate = addon.long_e12 if quantity > 0 else addon.short_e12
        values.append(
            PositionValue(
                instrument=instrument,
                quantity_e8=quantity,
                value_e20=quantity * instrument.mark_e12,
                addon_rate_e12=rate,
                addon_e20=abs(quantity) * rate,
            )
        )
    return tuple(values)


def _claim(name: str, amount_e6: int, bound: int) -> int:
    if abs(amount_e6) >= bound:
        raise InputError(f"{name} is {amount_e6}e-6 USD, beyond the bound of {bound}e-6; split the account")
    return amount_e6


def class_risk(class_id: int, name: str, held: Iterable[tuple[int, Instrument]]) -> ClassRisk:
    """M2 for one class; `held` are (quantity_e8, instrument) of its positions."""
    pnl = [0] * SCENARIOS
    for quantity, instrument in held:
        for s, risk in enumerate(instrument.risk_e12):
            pnl[s] += quantity * risk
    worst = min(pnl)
    scan_risk = max(0, div_ceil(-worst, E20_PER_USD_E6))
    _claim(f"the scan risk of class {name}", scan_risk, CLAIM_BOUND)
    return ClassRisk(class_id, name, tuple(pnl), scan_risk, pnl.index(worst) if worst < 0 else None)


def group_charge(policy: Policy, group_id: int, net_e14: int, level: Level) -> GroupCharge:
    """M4 for one group at its net asset quantity."""
    group = policy.group_by_id[group_id]
    heights = [line.slope_e12 * net_e14 + line.intercept_e26 for line in group.lines(level)]
    top = max(heights)
    charge = max(0, div_ceil(top, E26_PER_USD_E6))
    _claim(f"the contingency of group {group.name}", charge, CLAIM_BOUND)
    return GroupCharge(group_id, group.name, net_e14, charge, heights.index(top) if top > 0 else None)


def correlated_risk_e6(correlation_e6: tuple[tuple[int, ...], ...], scan_risks_e6: tuple[int, ...]) -> int:
    """M3: the smallest integer R with R^2 x 1e6 >= sum rho_kl L_k L_l."""
    total = sum(
        rho * left * right
        for row, left in zip(correlation_e6, scan_risks_e6, strict=True)
        for rho, right in zip(row, scan_risks_e6, strict=True)
    )
    return isqrt_up(div_ceil(total, RATE_SCALE))


def evaluate(policy: Policy, positions: Mapping[int, int], level: Level) -> Evaluation:
    """Equity, requirement and excess of an account.

    `policy` has passed `check_policy`; `positions` maps instrument ids to signed quantities in 1e-8 units.
    The order of `positions` does not matter.

    Raises InputError for an instrument the policy does not list, a quantity beyond the instrument's bound,
    or a result beyond the bounds of `aggregator.model.units`.
    """
    values = _value_positions(policy, positions, level)
    classes = tuple(
        class_risk(k, name, [(v.quantity_e8, v.instrument) for v in values if v.instrument.class_id == k])
        for k, name in enumerate(policy.classes, start=1)
    )
    nets: dict[int, int] = {}
    for value in values:
        group_id = value.instrument.group_id
        if group_id:
            nets[group_id] = nets.get(group_id, 0) + value.quantity_e8 * value.instrument.unit_e6
    groups = tuple(group_charge(policy, group_id, net, level) for group_id, net in sorted(nets.items()))

    equity = sum(v.value_e20 for v in values)
    correlated = correlated_risk_e6(policy.correlation_e6, tuple(c.scan_risk_e6 for c in classes))
    _claim("the correlated scan risk", correlated, TOTAL_BOUND)
    scan = policy.scan_factor_e6(level) * correlated * (E20_PER_USD_E6 // RATE_SCALE)
    contingency = sum(g.charge_e6 for g in groups)
    addons = sum(v.addon_e20 for v in values)
    requirement = scan + contingency * E20_PER_USD_E6 + addons
    requirement_e6 = _claim("the requirement", div_ceil(requirement, E20_PER_USD_E6), TOTAL_BOUND)
    excess_e6 = _claim("the excess", div_floor(equity - requirement, E20_PER_USD_E6), TOTAL_BOUND)
    return Evaluation(
        level=level,
        positions=values,
        classes=classes,
        groups=groups,
        equity_e20=equity,
        correlated_e6=correlated,
        scan_e20=scan,
        contingency_e6=contingency,
        addon_e20=addons,
        requirement_e20=requirement,
        requirement_e6=requirement_e6,
        excess_e6=excess_e6,
        health_e6=div_floor(equity * RATE_SCALE, requirement) if requirement else None,
    )
