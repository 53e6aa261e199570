"""dYdX v4: initial margin that rises with a market's open interest, maintenance as a share of the base fraction.

Notionals and margins are integers in quote quantums (1e-6 USDC), fractions in parts per million. The fraction that
open interest gives is truncated to a millionth, the margin is rounded up, and the maintenance margin is a share of the
unscaled initial margin, rounded up again: all as the chain does.

Source: dydxprotocol/v4-chain, protocol/x/perpetuals/types/liquidity_tier.go and
protocol/x/perpetuals/lib (GetMarginRequirementsInQuoteQuantums), restated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.fixed import mul_div_up
from aggregator.margin.rulebooks.wad import trunc_div
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.policy import Level

PPM: Final = 1_000_000
QUOTE_RESOLUTION: Final = -6
"""A quote quantum is 1e-6 USDC."""


def net_notional(base_quantums: int, resolution: int, price: int, exponent: int) -> int:
    """Signed notional in quote quantums, truncated towards zero as the chain does.

    A base quantum is 10^resolution of a coin, a coin costs price x 10^exponent.
    """
    power = exponent + resolution - QUOTE_RESOLUTION
    value = base_quantums * price
    return value * int(10**power) if power >= 0 else trunc_div(value, int(10**-power))


@dataclass(frozen=True, slots=True)
class LiquidityTier:
    """Fractions and open-interest caps of a group of markets; an upper cap of 0 switches the scaling off."""

    initial_ppm: int
    maintenance_fraction_ppm: int
    open_interest_lower: int = 0
    open_interest_upper: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.initial_ppm <= PPM and 0 <= self.maintenance_fraction_ppm <= PPM):
            raise ConfigError("a dYdX liquidity tier needs fractions of 0..1000000 ppm; correct it")
        if not 0 <= self.open_interest_lower <= self.open_interest_upper:
            raise ConfigError("a dYdX liquidity tier has its lower cap above the upper one; swap them")

    @property
    def maintenance_ppm(self) -> int:
        """initial x maintenance fraction, truncated."""
        return self.initial_ppm * self.maintenance_fraction_ppm // PPM

    def effective_initial_ppm(self, open_interest: int) -> int:
        """Base fraction + scaling x (1 - base), with scaling from 0 at the lower cap to 1 at the upper one."""
        lower, upper = self.open_interest_lower, self.open_interest_upper
        if upper == 0 or open_interest <= lower:
            return self.initial_ppm
        if open_interest >= upper:
            return PPM
        return (PPM - self.initial_ppm) * (open_interest - lower) // (upper - lower) + self.initial_ppm

    def initial_margin(self, notional: int, open_interest: int, custom_ppm: int = 0) -> int:
        """Initial margin of abs(notional), rounded up; `custom_ppm` is a fraction that the holder chose, if higher."""
        return mul_div_up(notional, max(self.effective_initial_ppm(open_interest), custom_ppm), PPM)

    def maintenance_margin(self, notional: int) -> int:
        """Maintenance margin of abs(notional), rounded up."""
        return mul_div_up(self.initial_margin(notional, 0), self.maintenance_fraction_ppm, PPM)


@dataclass(frozen=True, slots=True)
class PerpPosition:
    """A perp: signed notional and open interest at the oracle price; `custom_ppm` is the holder's own fraction."""

    name: str
    notional: int
    open_interest: int
    tier: LiquidityTier
    custom_ppm: int = 0


@dataclass(frozen=True, slots=True)
class DydxMargin:
    """`collateral`: net notional of all perps plus the quote balance; `parts` the requirement by market."""

    collateral: int
    requirement: int
    parts: tuple[tuple[str, int], ...]


def margin(quote_balance: int, positions: Sequence[PerpPosition], level: Level) -> DydxMargin:
    """Margin of a cross subaccount; InputError for a negative open interest."""
    parts: list[tuple[str, int]] = []
    for one in positions:
        if one.open_interest < 0:
            raise InputError(f"dYdX market {one.name} has a negative open interest; correct it")
        size = abs(one.notional)
        needed = (
            one.tier.initial_margin(size, one.open_interest, one.custom_ppm)
            if level is Level.IM
            else one.tier.maintenance_margin(size)
        )
        parts.append((one.name, needed))
    return DydxMargin(
        collateral=quote_balance + sum(one.notional for one in positions),
        requirement=sum(needed for _, needed in parts),
        parts=tuple(parts),
    )
