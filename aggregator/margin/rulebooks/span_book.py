"""SPAN over a book: the first 16 scenarios of a policy's standard table are SPAN's, so its risk arrays are SPAN's.

Deltas are the slope of a risk array between price up and down a third, against that of the class's own spot; tiers
are bands of days to expiry. Option values count in what the account has, so the requirement is SPAN risk before the
net option value; that gives the same excess. IM is MM times the venue's initial ratio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aggregator.fixed import div_ceil, div_floor, mul_div_up
from aggregator.margin.rulebooks import span
from aggregator.margin.rulebooks.base import (
    CASH,
    Book,
    Holding,
    LevelResult,
    RulebookResult,
    level_result,
    refuse_uncovered,
    usd,
)
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.policy import Instrument, InstrumentKind, Level, Policy

RATE: Final = 1_000_000
DAY_S: Final = 86400
SPOT_LABELS: Final = ("0", "+1/3", "-1/3", "+2/3", "-2/3", "+3/3", "-3/3")
SCENARIO_TABLE: Final = (
    *(f"spot {label}, vol {way}" for label in SPOT_LABELS for way in ("up", "down")),
    "extreme +2 scan ranges, vol up",
    "extreme -2 scan ranges, vol up",
)
"""Names of the policy scenarios that are SPAN's, in SPAN's order."""


@dataclass(frozen=True, slots=True)
class ClassTerms:
    """A combined commodity: `tier_days` are the ends of all tiers but the last, ascending."""

    tier_days: tuple[int, ...]
    spreads: tuple[span.IntraSpread, ...]
    short_option_minimum_e6: int


def _slope(risk_e12: tuple[int, ...]) -> int:
    return risk_e12[2] + risk_e12[3] - risk_e12[4] - risk_e12[5]


def _reference(policy: Policy, class_id: int) -> int:
    held = [i for i in policy.instruments if i.class_id == class_id]
    kinds = (InstrumentKind.SPOT, InstrumentKind.PERP)
    found = next((i for kind in kinds for i in held if i.kind is kind and _slope(i.risk_e12)), None)
    if found is None:
        raise InputError(
            f"class {policy.classes[class_id - 1]} of policy {policy.name!r} has no spot or perp to measure deltas by; "
            "add one to the policy"
        )
    return _slope(found.risk_e12)


@dataclass(frozen=True)
class Span:
    """`classes` give terms by class of the policy; assets in `cash` carry no risk; `initial_e6` is IM over MM."""

    name: str
    classes: Mapping[str, ClassTerms]
    credits: tuple[span.InterSpread, ...]
    cash: tuple[str, ...]
    initial_e6: int = RATE

    def __post_init__(self) -> None:
        if self.initial_e6 < RATE:
            raise ConfigError(f"SPAN rulebook {self.name} has an initial ratio below 1; raise it")

    def evaluate(self, book: Book) -> RulebookResult:
        """SPAN risk against the book's equity; InputError for a policy without SPAN's scenarios."""
        policy = book.policy
        if policy.scenarios[: span.SCENARIOS] != SCENARIO_TABLE:
            raise InputError(
                f"policy {policy.name!r} does not scan SPAN's 16 scenarios first; build it with the standard table"
            )
        rows: dict[str, list[tuple[span.Contract, int]]] = {}
        ignored: list[str] = []
        counted = 0
        for one in book.holdings:
            instrument = policy.by_symbol[one.symbol]
            name = policy.classes[instrument.class_id - 1] if instrument.class_id else ""
            if name in self.classes:
                rows.setdefault(name, []).append(self._row(policy, instrument, one, self.classes[name]))
            elif one.asset != CASH and one.asset not in self.cash:
                ignored.append(refuse_uncovered(self.name, one))
                continue
            counted += one.value_e20
        commodities = [
            span.CombinedCommodity(
                name, tuple(held), self.classes[name].spreads, self.classes[name].short_option_minimum_e6
            )
            for name, held in rows.items()
        ]
        found = span.margin(commodities, self.credits)
        im, mm = (self._level(found, counted, level) for level in (Level.IM, Level.MM))
        return RulebookResult(self.name, im, mm, tuple(ignored))

    def _row(
        self, policy: Policy, instrument: Instrument, one: Holding, terms: ClassTerms
    ) -> tuple[span.Contract, int]:
        long = one.quantity_e8 > 0
        losses = tuple(
            div_ceil(-r, RATE) if long else div_floor(-r, RATE) for r in instrument.risk_e12[: span.SCENARIOS]
        )
        delta = _slope(instrument.risk_e12) * span.DELTA // _reference(policy, instrument.class_id)
        option = one.option is not None
        contract = span.Contract(
            name=one.symbol,
            losses_e6=losses,
            delta_e8=delta,
            tier=1 + sum(one.seconds > days * DAY_S for days in terms.tier_days),
            option_value_e6=div_floor(one.price_e12, RATE) if option else 0,
            is_option=option,
        )
        return contract, one.quantity_e8

    def _level(self, found: span.SpanResult, counted: int, level: Level) -> LevelResult:
        risk = found.risk_e6 if level is Level.MM else mul_div_up(found.risk_e6, self.initial_e6, RATE)
        lines = tuple(
            f"{one.name}: scan {usd(one.scan_risk_e6, RATE)} ({one.scenario or 'no loss'}), "
            f"intra {usd(one.intra_charge_e6, RATE)}, credit {usd(one.inter_credit_e6, RATE)}, "
            f"short minimum {usd(one.short_minimum_e6, RATE)}"
            for one in found.commodities
        )
        top = max(found.commodities, key=lambda one: one.requirement_e6, default=None)
        binding = "nothing is required"
        if top is not None and top.requirement_e6:
            least = top.requirement_e6 == top.short_minimum_e6 and top.short_minimum_e6 > top.scan_risk_e6
            binding = f"{top.name}: {'short option minimum' if least else top.scenario}"
        return level_result(level, counted, risk * 10**14, 10**20, binding, lines)
