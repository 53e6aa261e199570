"""dYdX v4: initial margin that rises with a market's open interest, maintenance as a share of the base fraction.

Notionals and margins are integers in quote quantums (1e-6 USDC), fractions in parts per million. Initial margin is
computed as an exact fraction and rounded up once.

Source: dydxprotocol/v4-chain, protocol/x/perpetuals/types/liquidity_tier.go and
protocol/x/perpetuals/lib (GetMarginRequirementsInQuoteQuantums), restated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from aggregator.fixed import mul_div_up
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.policy import Level

PPM: Final = 1_000_000


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

    def effective_initial(self, open_interest: int) -> Fraction:
        """Base fraction + scaling x (1 - base), with scaling from 0 at the lower cap to 1 at the upper one."""
        base = Fraction(self.initial_ppm, PPM)
        lower, upper = self.open_interest_lower, self.open_interest_upper
        if upper == 0 or (open_interest <= lower and open_interest < upper):
            return base
        if open_interest >= upper:
            return Fraction(1)
        return base + Fraction(open_interest - lower, upper - lower) * (1 - base)

    def initial_margin(self, notional: int, open_interest: int) -> int:
        """Initial margin of abs(notional), rounded up."""
        exact = self.effective_initial(open_interest) * notional
        return -(-exact.numerator // exact.denominator)

    def maintenance_margin(self, notional: int) -> int:
        """Maintenance margin of abs(notional), rounded up."""
        return mul_div_up(notional, self.maintenance_ppm, PPM)


@dataclass(frozen=True, slots=True)
class PerpPosition:
    """A perp: signed notional at the oracle price, and the market's open interest at the same price."""

    name: str
    notional: int
    open_interest: int
    tier: LiquidityTier


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
            one.tier.initial_margin(size, one.open_interest)
            if level is Level.IM
            else one.tier.maintenance_margin(size)
        )
        parts.append((one.name, needed))
    return DydxMargin(
        collateral=quote_balance + sum(one.notional for one in positions),
        requirement=sum(needed for _, needed in parts),
        parts=tuple(parts),
    )
