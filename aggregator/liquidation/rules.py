"""What a venue liquidates by (schema `counterfoil/liquidation/1`, TOML; every key is explained in configs/liquidation).

Rates are fractions, amounts USD, times seconds. All numbers are exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from aggregator.liquidation.curve import Curve, Knot
from aggregator.model.errors import ConfigError, PolicyError
from aggregator.model.units import RATE_SCALE, USD_SCALE
from aggregator.policy.tables import Table, load_toml

RULES_SCHEMA: Final = "counterfoil/liquidation/1"
MAX_HEALTH_E6: Final = 100 * RATE_SCALE
MAX_USD_E6: Final = 10**15 * USD_SCALE
MAX_SECONDS: Final = 30 * 86_400
MAX_AUCTION_STEPS: Final = 10_000

Choice = TypeVar("Choice", bound=StrEnum)


class Order(StrEnum):
    """What a partial liquidation closes first."""

    RELIEF = "relief"
    """What lowers the requirement most for each USD closed."""
    LIQUID = "liquid"
    """What is cheapest to close by the policy's own add-ons (M5), the least liquid last."""
    SLICE = "slice"
    """The same share of everything, as venues do that auction a part of the whole portfolio."""


class Among(StrEnum):
    """Who shares a loss that the insurance fund cannot pay."""

    PROFITABLE = "profitable"
    ALL = "all"
    NOBODY = "nobody"


class Decay(StrEnum):
    """How an auction's price falls from step to step."""

    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class Settlement(StrEnum):
    """Who gets what at an auction: the first to come, or all bids of a step together at one price."""

    CONTINUOUS = "continuous"
    BATCH = "batch"


class Law(StrEnum):
    """How the price moves with what is sold."""

    SQUARE_ROOT = "square-root"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True)
class AuctionRules:
    """Prices are shares of the mark in 1e-6. `cut_e6` is what an exponential decay takes off at each step."""

    start_e6: int
    floor_e6: int
    duration_s: int
    step_s: int
    decay: Decay
    cut_e6: int
    settlement: Settlement


@dataclass(frozen=True, slots=True)
class MarketRules:
    """Depth of one price's market; `volatility` is daily, None to take it from the policy."""

    price: str
    law: Law
    factor: float
    daily_volume: float
    daily_volatility: float | None


@dataclass(frozen=True, slots=True)
class Rules:
    """One venue's rules. Health is equity over the maintenance requirement.

    `target_e6` is the health at which a call ends; below `full_below_e6` the whole account is wound down. `step_e6`
    (USD) is the least that is closed at a time. `liquidator_share_e6` of a penalty goes to whoever closes, the rest to
    the insurance fund.
    """

    name: str
    target_e6: int
    full_below_e6: int
    step_e6: int
    order: Order
    penalty: Curve
    close_factor: Curve
    liquidator_share_e6: int
    fund_e6: int
    among: Among
    auction: AuctionRules
    markets: tuple[MarketRules, ...]


def _choice(table: Table, key: str, kind: type[Choice], default: Choice) -> Choice:
    value = table.text(key, default.value)
    options: Iterable[Choice] = kind
    if value not in [one.value for one in options]:
        table.fail(key, f"is {value[:40]!r}; use one of {', '.join(one.value for one in options)}")
    return kind(value)


def _curve(table: Table, key: str) -> Curve:
    def knot(row: Table) -> Knot:
        return Knot(row.scaled("health", RATE_SCALE), row.rate_e6("rate"))

    knots = table.tables(key, knot)
    try:
        return Curve(knots)
    except ConfigError as error:
        table.fail(key, f"is no curve: {error}")


def _seconds(table: Table, key: str) -> int:
    return table.integer(key, 1, MAX_SECONDS)


def _auction(table: Table) -> AuctionRules:
    start = table.rate_e6("start", high=2 * RATE_SCALE)
    floor = table.rate_e6("floor")
    decay = _choice(table, "decay", Decay, Decay.LINEAR)
    found = AuctionRules(
        start_e6=start,
        floor_e6=floor,
        duration_s=_seconds(table, "duration_s"),
        step_s=_seconds(table, "step_s"),
        decay=decay,
        cut_e6=table.rate_e6("cut") if decay is Decay.EXPONENTIAL else 0,
        settlement=_choice(table, "settlement", Settlement, Settlement.BATCH),
    )
    if not 0 < floor <= start:
        table.fail("floor", "is 0 or above start; an auction's price falls towards it")
    if found.step_s > found.duration_s or found.duration_s // found.step_s > MAX_AUCTION_STEPS:
        table.fail("step_s", f"makes no step or more than {MAX_AUCTION_STEPS}; use a part of duration_s")
    if decay is Decay.EXPONENTIAL and found.cut_e6 in (0, RATE_SCALE):
        table.fail("cut", "is 0 or 1; use the share that each step takes off")
    return found


def _market(table: Table) -> MarketRules:
    volatility = float(table.decimal("daily_volatility")) if table.has("daily_volatility") else None
    found = MarketRules(
        price=table.text("price"),
        law=_choice(table, "law", Law, Law.SQUARE_ROOT),
        factor=float(table.decimal("factor", "1")),
        daily_volume=float(table.decimal("daily_volume")),
        daily_volatility=volatility,
    )
    if found.daily_volume <= 0 or found.factor < 0:
        table.fail("daily_volume", "is not above 0, or factor is below 0; correct them")
    if volatility is not None and not 0 < volatility < 1:
        table.fail("daily_volatility", "is not inside 0..1; 64 % a year is 0.0335 a day")
    return found


def _rules(table: Table) -> Rules:
    if table.text("schema") != RULES_SCHEMA:
        table.fail("schema", f"is not {RULES_SCHEMA!r}; use a file of this version")
    auction, fund = table.table("auction"), table.table("fund")
    rules = Rules(
        name=table.text("name"),
        target_e6=table.rate_e6("target_health", high=MAX_HEALTH_E6),
        full_below_e6=table.rate_e6("full_below", "0"),
        step_e6=table.scaled("step_usd", USD_SCALE, "10"),
        order=_choice(table, "order", Order, Order.RELIEF),
        penalty=_curve(table, "penalty"),
        close_factor=_curve(table, "close_factor"),
        liquidator_share_e6=table.rate_e6("liquidator_share"),
        fund_e6=fund.scaled("usd", USD_SCALE),
        among=_choice(fund, "losses_among", Among, Among.PROFITABLE),
        auction=_auction(auction),
        markets=table.tables("markets", _market),
    )
    for inner in (fund, auction, table):
        inner.close()
    if rules.target_e6 < RATE_SCALE:
        table.fail("target_health", "is below 1, where liquidation starts; use 1 or more")
    if not 0 < rules.step_e6 <= MAX_USD_E6 or rules.fund_e6 > MAX_USD_E6:
        table.fail("step_usd", "or fund.usd is 0 or beyond 10^15 USD; correct it")
    if rules.close_factor.knots[-1].rate_e6 == 0:
        table.fail("close_factor", "falls to 0, so that nothing could be closed; end above it")
    if len({one.price for one in rules.markets}) != len(rules.markets):
        table.fail("markets", "names one price twice; keep one")
    return rules


def parse_rules(text: str, where: str = "liquidation rules") -> Rules:
    """TOML text into rules; ConfigError naming the key for anything malformed. `where` is the file for messages."""
    try:
        return _rules(load_toml(text, where))
    except PolicyError as error:
        raise ConfigError(str(error)) from error
