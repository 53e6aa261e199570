"""Synthetix v3 perps with many collaterals: a deposit is discounted by the price impact of selling it.

discount = clamp(amount / skewScale x scalar, lower limit, upper limit); requirements grow with position size over the
market's skew scale. Integers in 1e-18, divided and multiplied in the contract's order, truncated.

Source: Synthetixio/synthetix-v3, markets/perps-market/contracts/storage/PerpsCollateralConfiguration.sol and
PerpsMarketConfiguration.sol (minimumInitialMarginRatio and maintenanceMarginScalar of its later form), PerpsAccount.sol
and GlobalPerpsMarketConfiguration.sol (liquidation rewards), restated.
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
    """A market's margin parameters in 1e-18; `minimum_margin` is a constant in USD for each position.

    `flag_reward_ratio` of the notional goes to who flags a position; at most `max_liquidation` is liquidated at once.
    """

    name: str
    price: int
    skew_scale: int
    initial_ratio: int
    minimum_initial_ratio: int
    maintenance_scalar: int
    minimum_margin: int = 0
    flag_reward_ratio: int = 0
    max_liquidation: int = 0


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
class KeeperTerms:
    """What liquidating an account is paid, in 1e-18: costs and bounds in USD, ratios of value."""

    flag_cost: int
    liquidate_cost: int
    minimum_reward: int
    minimum_profit_ratio: int
    maximum_reward: int
    maximum_scaling_ratio: int
    collateral_reward_ratio: int

    def _reward(self, earned: int, cost: int, collateral: int) -> int:
        least = max(cost + self.minimum_reward, wmul(cost, self.minimum_profit_ratio + WAD))
        most = self.maximum_reward
        if collateral:
            most = min(wmul(collateral, self.maximum_scaling_ratio), most)
        return min(max(least, earned + cost), most)

    def possible_reward(self, positions: Sequence[PerpPosition], collateral: int) -> int:
        """The reward that both margins keep ready; `collateral` is the undiscounted value in USD, 1e-18."""
        flags = windows = 0
        for one in positions:
            size, market = abs(one.size), one.market
            flags += wmul(wmul(size, market.price), market.flag_reward_ratio)
            if market.max_liquidation:
                windows = max(windows, -(-size // market.max_liquidation))
        earned = max(flags, wmul(collateral, self.collateral_reward_ratio))
        first = self._reward(earned, self.flag_cost + self.liquidate_cost, collateral)
        return first + (self._reward(0, self.liquidate_cost, 0) * (windows - 1) if windows else 0)


@dataclass(frozen=True, slots=True)
class SynthetixMargin:
    """`available`: discounted collateral plus profit and loss less debt."""

    available: int
    requirement: int
    parts: tuple[tuple[str, int], ...]


def margin(
    collaterals: Sequence[Collateral],
    positions: Sequence[PerpPosition],
    level: Level,
    debt: int = 0,
    keeper: KeeperTerms | None = None,
) -> SynthetixMargin:
    """Margin of an account; parts are signed, requirements negative. With `keeper` its reward is required as well."""
    parts = [
        (f"{one.name} after a discount of {one.discount}e-18", one.discounted_value) for one in collaterals
    ]
    parts += [(f"{one.market.name} profit and loss", one.pnl) for one in positions]
    parts.append(("debt", -debt))
    needed = [(f"{one.market.name} perp", -one.requirement(level)) for one in positions if one.size]
    if keeper is not None and needed:
        reward = keeper.possible_reward(positions, sum(one.value for one in collaterals))
        needed.append(("liquidation reward", -reward))
    return SynthetixMargin(
        available=sum(amount for _, amount in parts),
        requirement=-sum(amount for _, amount in needed),
        parts=tuple(part for part in (*parts, *needed) if part[1]),
    )
