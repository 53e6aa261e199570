"""CME SPAN: scanning risk over 16 scenarios, spread charges and credits, the short-option minimum.

For each combined commodity: scanning risk = the largest loss over the 16 scenarios; intra-commodity charge = matched
delta between tiers x rate; inter-commodity credit = share of the weighted futures price risk of the deltas matched
between commodities; requirement = max(scanning risk + charges - credits, short-option minimum). The account needs
that less its net option value. Money is an integer in 1e-6 of the currency; losses are positive, as SPAN writes them.

Source: CME, "Components of SPAN" and "SPAN: Standard Portfolio Analysis of Risk" (scenario definitions, order of
steps); L. McMillan, "Options as a Strategic Investment", chapter 34 (worked risk arrays). Strategy spreads,
super-inter-commodity spreads and delivery charges are not part of this report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.fixed import div_ceil, div_floor
from aggregator.model.errors import ConfigError, InputError

SCENARIOS: Final = 16
RATE: Final = 1_000_000
DELTA: Final = 10**8

SCENARIO_NAMES: Final = (
    "price unchanged, volatility up",
    "price unchanged, volatility down",
    "price up 1/3, volatility up",
    "price up 1/3, volatility down",
    "price down 1/3, volatility up",
    "price down 1/3, volatility down",
    "price up 2/3, volatility up",
    "price up 2/3, volatility down",
    "price down 2/3, volatility up",
    "price down 2/3, volatility down",
    "price up 3/3, volatility up",
    "price up 3/3, volatility down",
    "price down 3/3, volatility up",
    "price down 3/3, volatility down",
    "price up extreme, part covered",
    "price down extreme, part covered",
)


@dataclass(frozen=True, slots=True)
class Contract:
    """Loss of one long contract in each scenario (a gain is negative), its composite delta in 1e-8, its tier.

    `option_value_e6` is what one long option is worth, 0 for a future; `is_option` marks what the minimum is for.
    """

    name: str
    losses_e6: tuple[int, ...]
    delta_e8: int
    tier: int = 1
    option_value_e6: int = 0
    is_option: bool = False

    def __post_init__(self) -> None:
        if len(self.losses_e6) != SCENARIOS:
            raise InputError(
                f"SPAN contract {self.name} has {len(self.losses_e6)} scenario losses; give {SCENARIOS}"
            )


def future(name: str, scan_range_e6: int, tier: int = 1, cover_e6: int = 350_000) -> Contract:
    """A future: it moves with the price, and extreme moves of twice the range count in part (`cover_e6`)."""
    extreme = 2 * scan_range_e6 * cover_e6 // RATE
    thirds = [0, 0, -1, -1, 1, 1, -2, -2, 2, 2, -3, -3, 3, 3]
    losses = tuple(div_ceil(scan_range_e6 * n, 3) for n in thirds)
    return Contract(name, (*losses, -extreme, extreme), DELTA, tier)


@dataclass(frozen=True, slots=True)
class IntraSpread:
    """A charge for each delta that is long in one tier and short in another, in order of priority."""

    tier_a: int
    tier_b: int
    charge_e6: int


@dataclass(frozen=True, slots=True)
class CombinedCommodity:
    """Contracts on one underlying with the account's signed numbers of them (in 1e-8)."""

    name: str
    positions: tuple[tuple[Contract, int], ...]
    spreads: tuple[IntraSpread, ...] = ()
    short_option_minimum_e6: int = 0


@dataclass(frozen=True, slots=True)
class Leg:
    """One commodity of an inter-commodity spread: deltas of it to one spread (1e-8); legs of opposite side offset."""

    commodity: str
    deltas_e8: int
    side: int


@dataclass(frozen=True, slots=True)
class InterSpread:
    """Two legs and the share of their price risk (1e-6) that is credited, in order of priority."""

    legs: tuple[Leg, Leg]
    credit_e6: int

    def __post_init__(self) -> None:
        if self.legs[0].side == self.legs[1].side or any(leg.deltas_e8 <= 0 for leg in self.legs):
            raise ConfigError("a SPAN inter-commodity spread needs positive deltas and one leg of each side")
        if not 0 <= self.credit_e6 <= RATE:
            raise ConfigError("a SPAN inter-commodity credit is a share of 0..1; correct it")


@dataclass(frozen=True, slots=True)
class CommodityResult:
    """One combined commodity: every part of its requirement, and the active scenario."""

    name: str
    scan_risk_e6: int
    scenario: str | None
    intra_charge_e6: int
    inter_credit_e6: int
    short_minimum_e6: int
    price_risk_e6: int
    net_delta_e8: int
    option_value_e6: int
    requirement_e6: int


@dataclass(frozen=True, slots=True)
class SpanResult:
    """The account: `risk_e6` is the sum over commodities, `requirement_e6` that less the net option value."""

    commodities: tuple[CommodityResult, ...]
    risk_e6: int
    option_value_e6: int
    requirement_e6: int


def losses(commodity: CombinedCommodity) -> tuple[int, ...]:
    """Loss of the account's contracts in each scenario, in 1e-14 of the currency."""
    return tuple(
        sum(quantity * contract.losses_e6[s] for contract, quantity in commodity.positions)
        for s in range(SCENARIOS)
    )


def _price_risk_e6(total: Sequence[int], scenario: int) -> int:
    """Scanning risk without the part due to volatility and time (each the mean of a pair of scenarios)."""
    if scenario >= 14:
        paired = total[scenario]
    else:
        even = scenario - scenario % 2
        paired = div_ceil(total[even] + total[even + 1], 2)
    time = div_floor(total[0] + total[1], 2)
    return max(0, div_ceil(paired - time, DELTA))


def _intra_charge(commodity: CombinedCommodity) -> int:
    tiers: dict[int, int] = {}
    for contract, quantity in commodity.positions:
        tiers[contract.tier] = tiers.get(contract.tier, 0) + quantity * contract.delta_e8 // DELTA
    charge = 0
    for spread in commodity.spreads:
        a, b = tiers.get(spread.tier_a, 0), tiers.get(spread.tier_b, 0)
        if a * b >= 0 or spread.tier_a == spread.tier_b:
            continue
        matched = min(abs(a), abs(b))
        charge += div_ceil(matched * spread.charge_e6, DELTA)
        tiers[spread.tier_a] = a - matched if a > 0 else a + matched
        tiers[spread.tier_b] = b - matched if b > 0 else b + matched
    return charge


def _inter_credits(rows: Mapping[str, tuple[int, int]], spreads: Sequence[InterSpread]) -> dict[str, int]:
    """Credit by commodity; `rows` gives (net delta in 1e-8, price risk in 1e-6). Each delta is used once."""
    left = {name: delta for name, (delta, _) in rows.items()}
    credit = dict.fromkeys(rows, 0)
    for spread in spreads:
        held = [left.get(leg.commodity, 0) for leg in spread.legs]
        same = spread.legs[0].side > 0
        forward = (held[0] > 0) == same and (held[1] > 0) != same
        backward = (held[0] < 0) == same and (held[1] < 0) != same
        if 0 in held or not (forward or backward):
            continue
        pairs = list(zip(spread.legs, held, strict=True))
        number_e8 = min(abs(delta) * DELTA // leg.deltas_e8 for leg, delta in pairs)
        for leg, delta in pairs:
            used = number_e8 * leg.deltas_e8 // DELTA
            total, risk = rows[leg.commodity]
            credit[leg.commodity] += risk * used * spread.credit_e6 // (abs(total) * RATE)
            left[leg.commodity] = delta - used if delta > 0 else delta + used
    return credit


def margin(commodities: Sequence[CombinedCommodity], spreads: Sequence[InterSpread] = ()) -> SpanResult:
    """SPAN requirement of an account; raises InputError when a commodity is listed twice."""
    names = [one.name for one in commodities]
    if len(set(names)) != len(names):
        raise InputError("a SPAN combined commodity is listed twice; merge its positions")
    scans: dict[str, tuple[int, int, int, int | None]] = {}
    for one in commodities:
        total = losses(one)
        worst = max(total)
        active = total.index(worst) if worst > 0 else None
        delta = sum(quantity * contract.delta_e8 // DELTA for contract, quantity in one.positions)
        price_risk = _price_risk_e6(total, active) if active is not None else 0
        scans[one.name] = (max(0, div_ceil(worst, DELTA)), price_risk, delta, active)
    credits = _inter_credits({name: (scan[2], scan[1]) for name, scan in scans.items()}, spreads)
    results = []
    for one in commodities:
        scan, price_risk, delta, active = scans[one.name]
        shorts = -sum(q for contract, q in one.positions if contract.is_option and q < 0)
        minimum = div_ceil(shorts * one.short_option_minimum_e6, DELTA)
        charge = _intra_charge(one)
        results.append(
            CommodityResult(
                name=one.name,
                scan_risk_e6=scan,
                scenario=SCENARIO_NAMES[active] if active is not None else None,
                intra_charge_e6=charge,
                inter_credit_e6=credits[one.name],
                short_minimum_e6=minimum,
                price_risk_e6=price_risk,
                net_delta_e8=delta,
                option_value_e6=div_floor(sum(q * c.option_value_e6 for c, q in one.positions), DELTA),
                requirement_e6=max(0, scan + charge - credits[one.name], minimum),
            )
        )
    risk = sum(one.requirement_e6 for one in results)
    value = sum(one.option_value_e6 for one in results)
    return SpanResult(tuple(results), risk, value, max(0, risk - value))
