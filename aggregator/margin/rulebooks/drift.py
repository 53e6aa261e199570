"""Drift's weights: assets count for less and liabilities for more as they grow (the initial margin factor, IMF).

Weights and margin ratios are in 1e-4, the IMF in 1e-6, sizes in 1e-9, prices and quote values in 1e-6 USD. Every
step is an integer and truncates as the program does.

Source: drift-labs/protocol-v2, programs/drift/src/math/margin.rs (calculate_size_discount_asset_weight,
calculate_size_premium_liability_weight), state/spot_market.rs and state/perp_market.rs, restated. Open orders,
high-leverage mode and time-weighted prices are not part of this report.
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
    if imf_e6 == 0:
        return weight_e4
    grown = weight_e4 - weight_e4 // 5 + _root(size_e9) * imf_e6 // (100_000 * IMF // WEIGHT)
    return max(weight_e4, grown)


@dataclass(frozen=True, slots=True)
class SpotMarket:
    """A spot market. `scale_start_e6`: deposits of all users (USD) from which the initial asset weight shrinks, or 0.

    The quote market (`quote`) counts at par, as USDC does.
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

    def __post_init__(self) -> None:
        if not (0 <= self.asset_im <= self.asset_mm <= WEIGHT <= self.liability_mm <= self.liability_im):
            raise ConfigError(
                f"Drift market {self.name} needs asset weights im <= mm <= 1 <= liability weights mm <= im"
            )
        if self.price_e6 <= 0:
            raise InputError(
                f"Drift market {self.name} has the price {self.price_e6}e-6; give one above zero"
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
    """A perp market: margin ratios in 1e-4, the weight of unrealised gains in 1e-4."""

    name: str
    price_e6: int
    ratio_im: int
    ratio_mm: int
    imf_e6: int = 0
    pnl_imf_e6: int = 0
    pnl_weight_im: int = WEIGHT
    pnl_weight_mm: int = WEIGHT

    def margin_ratio(self, size_e9: int, level: Level) -> int:
        """Margin ratio of abs(size)."""
        ratio = self.ratio_im if level is Level.IM else self.ratio_mm
        return size_premium_liability_weight(size_e9, self.imf_e6, ratio)

    def pnl_weight(self, pnl_e6: int, level: Level) -> int:
        """Weight of unrealised profit and loss; a loss counts in full."""
        if pnl_e6 <= 0:
            return WEIGHT
        if level is Level.MM:
            return self.pnl_weight_mm
        size_e9 = pnl_e6 * 10 ** (SIZE_DECIMALS - QUOTE_DECIMALS)
        return size_discount_asset_weight(size_e9, self.pnl_imf_e6, self.pnl_weight_im)


@dataclass(frozen=True, slots=True)
class SpotPosition:
    """A signed token amount in the market's decimals."""

    market: SpotMarket
    amount: int


@dataclass(frozen=True, slots=True)
class PerpPosition:
    """A signed base amount in 1e-9 and the signed quote amount in 1e-6 that was received for it."""

    market: PerpMarket
    base_e9: int
    quote_e6: int


@dataclass(frozen=True, slots=True)
class DriftMargin:
    """`collateral_e6` weighted, `requirement_e6` weighted; free collateral is their difference."""

    collateral_e6: int
    requirement_e6: int
    parts: tuple[tuple[str, int], ...]


def margin(spots: Sequence[SpotPosition], perps: Sequence[PerpPosition], level: Level) -> DriftMargin:
    """Weighted collateral and margin requirement of an account; parts are signed, requirements negative."""
    collateral = requirement = 0
    parts: list[tuple[str, int]] = []
    for spot in spots:
        market, size = spot.market, abs(spot.amount)
        value = size * market.price_e6 // 10**market.decimals
        if spot.amount >= 0:
            counted = value if market.quote else value * market.asset_weight(size, level) // WEIGHT
            collateral += counted
            parts.append((f"{market.name} deposit", counted))
        else:
            owed = value if market.quote else value * market.liability_weight(size, level) // WEIGHT
            requirement += owed
            parts.append((f"{market.name} borrow", -owed))
    for perp in perps:
        base = perp.market
        size = abs(perp.base_e9)
        value = size * base.price_e6 // 10**SIZE_DECIMALS
        needed = value * base.margin_ratio(size, level) // WEIGHT
        pnl = (value if perp.base_e9 >= 0 else -value) + perp.quote_e6
        weighted = trunc_div(pnl * base.pnl_weight(pnl, level), WEIGHT)
        collateral += weighted
        requirement += needed
        parts += [(f"{base.name} perp", -needed), (f"{base.name} profit and loss", weighted)]
    return DriftMargin(collateral, requirement, tuple(part for part in parts if part[1]))
