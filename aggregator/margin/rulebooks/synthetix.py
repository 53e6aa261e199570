"""Synthetix v3 perps with many collaterals: a deposit is discounted by the price impact of selling it.

discount = clamp(amount / skewScale x scalar, lower limit, upper limit); requirements grow with position size over the
market's skew scale. Integers in 1e-18, divided and multiplied in the contract's order, truncated.

Source: Synthetixio/synthetix-v3, markets/perps-market/contracts/storage/PerpsCollateralConfiguration.sol and
PerpsMarketConfiguration.sol (minimumInitialMarginRatio and maintenanceMarginScalar of its later form), restated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aggregator.margin.rulebooks.wad import WAD, wdiv, wmul
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.policy import Level


@dataclass(frozen=True, slots=True)
class Collateral:
    """A collateral and its amount. A `skew_scale` of 0 means it counts in full."""

    name: str
    amount: int
    price: int
    skew_scale: int = 0
    discount_scalar: int = 0
    lower_limit: int = 0
    upper_limit: int = 0

    def __post_init__(self) -> None:
        if self.amount < 0 or self.price < 0:
            raise InputError(f"Synthetix collateral {self.name} has a negative amount or price; correct it")
        if not 0 <= self.lower_limit <= self.upper_limit <= WAD:
            raise ConfigError(f"Synthetix collateral {self.name} needs 0 <= lower <= upper limit <= 1")

    @property
    def discount(self) -> int:
        """The share of the value that does not count."""
        if not self.skew_scale:
            return 0
        impact = wmul(wdiv(self.amount, self.skew_scale), self.discount_scalar)
        return min(max(impact, self.lower_limit), self.upper_limit)

    @property
    def value(self) -> int:
        """amount x price."""
        return wmul(self.amount, self.price)

    @property
    def discounted_value(self) -> int:
        """value x (1 - discount)."""
        return wmul(self.value, WAD - self.discount)


@dataclass(frozen=True, slots=True)
class PerpMarket:
    """A market's margin parameters in 1e-18; `minimum_margin` is a constant in USD for each position."""

    name: str
    price: int
    skew_scale: int
    initial_ratio: int
    minimum_initial_ratio: int
    maintenance_scalar: int
    minimum_margin: int = 0


@dataclass(frozen=True, slots=True)
class PerpPosition:
    """A signed size and its unrealised profit and loss, funding included."""

    market: PerpMarket
    size: int
    pnl: int = 0

    def requirement(self, level: Level) -> int:
        """Initial or maintenance margin of the position."""
        market, size = self.market, abs(self.size)
        impact = wdiv(size, market.skew_scale) if market.skew_scale else 0
        ratio = wmul(impact, market.initial_ratio) + market.minimum_initial_ratio
        if level is Level.MM:
            ratio = wmul(ratio, market.maintenance_scalar)
        return wmul(wmul(size, market.price), ratio) + market.minimum_margin


@dataclass(frozen=True, slots=True)
class SynthetixMargin:
    """`available`: discounted collateral plus profit and loss less debt."""

    available: int
    requirement: int
    parts: tuple[tuple[str, int], ...]


def margin(
    collaterals: Sequence[Collateral], positions: Sequence[PerpPosition], level: Level, debt: int = 0
) -> SynthetixMargin:
    """Margin of an account; parts are signed, requirements negative."""
    parts = [
        (f"{one.name} after a discount of {one.discount}e-18", one.discounted_value) for one in collaterals
    ]
    parts += [(f"{one.market.name} profit and loss", one.pnl) for one in positions]
    parts.append(("debt", -debt))
    needed = [(f"{one.market.name} perp", -one.requirement(level)) for one in positions if one.size]
    return SynthetixMargin(
        available=sum(amount for _, amount in parts),
        requirement=-sum(amount for _, amount in needed),
        parts=tuple(part for part in (*parts, *needed) if part[1]),
    )
