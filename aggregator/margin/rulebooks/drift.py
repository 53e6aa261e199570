"""Drift's weights: assets count for less and liabilities for more as they grow (the initial margin factor, IMF).

Weights and margin ratios are in 1e-4, the IMF in 1e-6, sizes in 1e-9, prices and quote values in 1e-6 USD. Every
step is an integer and truncates as the program does.

Source: drift-labs/protocol-v2, programs/drift/src/math/margin.rs (calculate_size_discount_asset_weight,
calculate_size_premium_liability_weight, calculate_perp_position_value_and_pnl), state/spot_market.rs,
state/perp_market.rs and state/user.rs (open orders), restated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

from aggregator.margin.rulebooks.wad import trunc_div
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.policy import Level

WEIGHT: Final = 10_000
IMF: Final = 1_000_000
ORDER_E6: Final = 10_000
"""An open order asks for 0.01 USD on its own."""
MOST_GAIN_E6: Final = 100 * 10**6
"""At initial margin the gain of a perp position counts for at most 100 USD."""
PREDICTION_E6: Final = 1_000_000
"""Highest price of a prediction market."""
SIZE_DECIMALS: Final = 9
QUOTE_DECIMALS: Final = 6


def _root(size_e9: int) -> int:
    """sqrt(10 x size + 1): 1e9 becomes 1e5."""
    return isqrt(size_e9 * 10 + 1)


def size_discount_asset_weight(size_e9: int, imf_e6: int, weight_e4: int) -> int:
    """min(weight, 1.1 / (1 + imf x sqrt(size)))."""
    if imf_e6 == 0:
        return weight_e4
    return min(weight_e4, (IMF + IMF // 10) * WEIGHT // (IMF + _root(size_e9) * imf_e6 // 100_000))


def size_premium_liability_weight(size_e9: int, imf_e6: int, weight_e4: int) -> int:
    """max(weight, 0.8 x weight + imf x sqrt(size))."""
    return max(weight_e4, _premium(size_e9, imf_e6, weight_e4))


def _premium(size_e9: int, imf_e6: int, weight_e4: int) -> int:
    if imf_e6 == 0:
        return weight_e4
    return weight_e4 - weight_e4 // 5 + _root(size_e9) * imf_e6 // (100_000 * IMF // WEIGHT)


def high_leverage_ratio(ordinary_e4: int, sized_e4: int, high_e4: int) -> int:
    """Initial ratio of a high-leverage user, between his own and the ordinary one.

    ordinary: the market's ratio; sized: the same by size, unbounded below; high: the ratio of the mode.
    """
    if sized_e4 > ordinary_e4:
        return sized_e4
    if sized_e4 == ordinary_e4:
        return high_e4
    share = max(0, IMF - (ordinary_e4 - sized_e4) * IMF // (ordinary_e4 // 5))
    return max(1, ordinary_e4 - high_e4) * share // IMF + high_e4


@dataclass(frozen=True, slots=True)
class SpotMarket:
    """A spot market. `scale_start_e6`: deposits of all users (USD) from which the initial asset weight shrinks, or 0.

    The quote market (`quote`) counts at its price. `twap_e6` is the five-minute average that a strict margin check
    reads as well: the lower of the two for what is held, the higher for what is owed.
    """

    name: str
    decimals: int
    price_e6: int
    asset_im: int
    asset_mm: int
    liability_im: int
    liability_mm: int
    imf_e6: int = 0
    scale_start_e6: int = 0
    deposits_e6: int = 0
    quote: bool = False
    twap_e6: int | None = None

    @property
    def high_e6(self) -> int:
        """The price that debts are valued at."""
        return max(self.price_e6, self.twap_e6 or 0)

    @property
    def low_e6(self) -> int:
        """The price that deposits are valued at."""
        return min(self.price_e6, self.price_e6 if self.twap_e6 is None else self.twap_e6)

    def value(self, amount: int, price_e6: int) -> int:
        """Signed value in 1e-6 USD, rounded down: what is owed rounds up."""
        return amount * price_e6 // int(10**self.decimals)

    def __post_init__(self) -> None:
        if not (0 <= self.asset_im <= self.asset_mm <= WEIGHT <= self.liability_mm <= self.liability_im):
            raise ConfigError(
                f"Drift market {self.name} needs asset weights im <= mm <= 1 <= liability weights mm <= im"
            )
        if self.price_e6 <= 0 or (self.twap_e6 is not None and self.twap_e6 <= 0):
            raise InputError(
                f"Drift market {self.name} has the price {self.price_e6}e-6, average {self.twap_e6}; give prices above "
                "zero"
            )

    def _size_e9(self, amount: int) -> int:
        unit, size = 10**self.decimals, 10**SIZE_DECIMALS
        return amount // int(unit // size) if unit > size else int(amount * size // unit)

    def asset_weight(self, amount: int, level: Level) -> int:
        """Weight of a deposit of `amount` (in the token's decimals)."""
        weight = self.asset_mm
        if level is Level.IM:
            scaled = self.scale_start_e6 and self.deposits_e6 >= self.scale_start_e6
            weight = self.asset_im * self.scale_start_e6 // self.deposits_e6 if scaled else self.asset_im
        return size_discount_asset_weight(self._size_e9(amount), self.imf_e6, weight)

    def liability_weight(self, amount: int, level: Level) -> int:
        """Weight of a borrow of `amount` (in the token's decimals)."""
        weight = self.liability_im if level is Level.IM else self.liability_mm
        return size_premium_liability_weight(self._size_e9(amount), self.imf_e6, weight)


@dataclass(frozen=True, slots=True)
class PerpMarket:
    """A perp market: margin ratios in 1e-4, the weight of unrealised gains in 1e-4.

    `high_im`, `high_mm`: ratios of high-leverage mode, 0 where there is none. `max_imbalance_e6`: gains of all users
    from which the weight of a gain shrinks, `net_pnl_e6` what they are. `prediction`: a market that ends at 0 or 1.
    """

    name: str
    price_e6: int
    ratio_im: int
    ratio_mm: int
    imf_e6: int = 0
    pnl_imf_e6: int = 0
    pnl_weight_im: int = WEIGHT
    pnl_weight_mm: int = WEIGHT
    high_im: int = 0
    high_mm: int = 0
    max_imbalance_e6: int = 0
    net_pnl_e6: int = 0
    prediction: bool = False

    def margin_ratio(self, size_e9: int, level: Level, *, high_leverage: bool = False) -> int:
        """Margin ratio of abs(size)."""
        high = high_leverage and self.high_im > 0 and self.high_mm > 0
        if high and level is Level.IM:
            sized = _premium(size_e9, self.imf_e6, self.ratio_im)
            return high_leverage_ratio(self.ratio_im, sized, self.high_im)
        ordinary = self.ratio_im if level is Level.IM else self.ratio_mm
        return size_premium_liability_weight(size_e9, self.imf_e6, self.high_mm if high else ordinary)

    def liability(self, base_e9: int) -> int:
        """What the position can owe, in 1e-6 USD: its value, or in a prediction market its distance to the end."""
        short = self.prediction and base_e9 < 0
        price = PREDICTION_E6 - self.price_e6 if short else self.price_e6
        return abs(base_e9) * price // 10**SIZE_DECIMALS

    def pnl_weight(self, pnl_e6: int, level: Level) -> int:
        """Weight of unrealised profit and loss; a loss counts in full."""
        if pnl_e6 <= 0:
            return WEIGHT
        if level is Level.MM:
            return self.pnl_weight_mm
        weight = self.pnl_weight_im
        if weight and 0 < self.max_imbalance_e6 < self.net_pnl_e6:
            weight = weight * self.max_imbalance_e6 // self.net_pnl_e6
        size_e9 = pnl_e6 * 10 ** (SIZE_DECIMALS - QUOTE_DECIMALS)
        return size_discount_asset_weight(size_e9, self.pnl_imf_e6, weight) if weight else 0


@dataclass(frozen=True, slots=True)
class SpotPosition:
    """A signed token amount in the market's decimals. `bids` >= 0 and `asks` <= 0 are what open orders may fill."""

    market: SpotMarket
    amount: int
    bids: int = 0
    asks: int = 0
    orders: int = 0


@dataclass(frozen=True, slots=True)
class PerpPosition:
    """A signed base amount in 1e-9 and the signed quote amount in 1e-6 that was received for it.

    `bids_e9` >= 0 and `asks_e9` <= 0 are what open orders may fill; `custom_ratio` is the holder's own margin ratio.
    """

    market: PerpMarket
    base_e9: int
    quote_e6: int
    bids_e9: int = 0
    asks_e9: int = 0
    orders: int = 0
    custom_ratio: int = 0


@dataclass(frozen=True, slots=True)
class User:
    """What an account chose: its own margin ratio (1e-4, initial margin only), and high-leverage mode."""

    custom_ratio: int = 0
    high_leverage: bool = False


@dataclass(frozen=True, slots=True)
class DriftMargin:
    """`collateral_e6` weighted, `requirement_e6` weighted; free collateral is their difference."""

    collateral_e6: int
    requirement_e6: int
    parts: tuple[tuple[str, int], ...]


ORDINARY: Final = User()
PAR: Final = SpotMarket("USD", QUOTE_DECIMALS, 10**QUOTE_DECIMALS, WEIGHT, WEIGHT, WEIGHT, WEIGHT, quote=True)


def _weighted(market: SpotMarket, amount: int, value: int, level: Level, custom_ratio: int) -> int:
    if value > 0:
        weight = min(market.asset_weight(abs(amount), level), max(0, WEIGHT - custom_ratio))
    else:
        weight = market.liability_weight(abs(amount), level)
        weight = max(weight, WEIGHT + custom_ratio) if custom_ratio else weight
    return trunc_div(value * weight, WEIGHT)


def _spot_fill(spot: SpotPosition, level: Level, custom_ratio: int) -> tuple[int, int]:
    """Weighted value of the tokens and value of the quote after the worse of filling all bids or all asks."""
    market = spot.market
    held = market.value(spot.amount, market.low_e6 if spot.amount > 0 else market.high_e6)
    sides = []
    for filled in (spot.asks, spot.bids):
        quote = market.value(-filled, market.high_e6)
        amount, value = spot.amount + filled, held - quote
        sides.append((_weighted(market, amount, value, level, 0) + quote, amount, value, quote))
    _, amount, value, quote = min(sides, key=lambda side: side[0])
    return _weighted(market, amount, value, level, custom_ratio), quote


def _perp(perp: PerpPosition, level: Level, user: User, quote: SpotMarket) -> tuple[int, int]:
    """Requirement and weighted profit and loss of a perp position."""
    market = perp.market
    worst = max(
        (perp.base_e9 + perp.asks_e9, perp.base_e9 + perp.bids_e9), key=lambda base: market.liability(base)
    )
    liability = market.liability(worst) * quote.high_e6 // 10**QUOTE_DECIMALS
    custom = max(user.custom_ratio, perp.custom_ratio) if level is Level.IM else 0
    ratio = max(custom, market.margin_ratio(abs(worst), level, high_leverage=user.high_leverage))
    value = abs(perp.base_e9) * market.price_e6 // 10**SIZE_DECIMALS
    pnl = (value if perp.base_e9 >= 0 else -value) + perp.quote_e6
    weighted = trunc_div(pnl * market.pnl_weight(pnl, level), WEIGHT)
    price = quote.low_e6 if pnl > 0 else quote.high_e6 if pnl < 0 else quote.price_e6
    weighted = trunc_div(weighted * price, 10**QUOTE_DECIMALS)
    if level is Level.IM:
        weighted = min(weighted, MOST_GAIN_E6)
    return liability * ratio // WEIGHT + perp.orders * ORDER_E6, weighted


def margin(
    spots: Sequence[SpotPosition],
    perps: Sequence[PerpPosition],
    level: Level,
    user: User = ORDINARY,
    quote: SpotMarket = PAR,
) -> DriftMargin:
    """Weighted collateral and margin requirement of an account; parts are signed, requirements negative.

    `quote` is the market that perps are settled in; its price values their profit and loss.
    """
    collateral = requirement = 0
    parts: list[tuple[str, int]] = []

    def add(name: str, amount: int) -> None:
        nonlocal collateral, requirement
        collateral += max(0, amount)
        requirement += max(0, -amount)
        parts.append((name, amount))

    custom = user.custom_ratio if level is Level.IM else 0
    for spot in spots:
        market = spot.market
        if market.quote:
            counted = market.value(spot.amount, market.low_e6 if spot.amount > 0 else market.high_e6)
            orders = 0
        else:
            counted, orders = _spot_fill(spot, level, custom)
        add(f"{market.name} {'deposit' if counted >= 0 else 'borrow'}", counted)
        add(f"{market.name} orders", orders)
        add(f"{market.name} order fees", -spot.orders * ORDER_E6)
    for perp in perps:
        needed, weighted = _perp(perp, level, user, quote)
        add(f"{perp.market.name} perp", -needed)
        collateral += weighted
        parts.append((f"{perp.market.name} profit and loss", weighted))
    return DriftMargin(collateral, requirement, tuple(part for part in parts if part[1]))
