"""What Derive's managers read of a market: prices with confidences, and an account's holdings arranged by expiry.

All amounts, prices, rates and confidences are integers in 1e-18 units; times are seconds.
Source: derivexyz/v2-core, interfaces IPMRM, IPMRM_2 and IStandardManager.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aggregator.margin.rulebooks.wad import WAD, wmul
from aggregator.model.errors import InputError

SETTLEMENT_WINDOW_S: Final = 1800
"""A forward settles to the average of the last 30 minutes: its settled part no longer moves with spot."""


@dataclass(frozen=True, slots=True)
class OptionHolding:
    """Options of one strike: `amount` signed, `volatility` that of the venue's surface at the strike."""

    strike: int
    is_call: bool
    amount: int
    volatility: int


@dataclass(frozen=True, slots=True)
class Expiry:
    """Options of one expiry. `forward_fixed` is the part of the forward that is settled and no longer moves.

    `confidence` is the lowest of the forward's and the rate's feed; `volatility_confidence` that of the surface.
    """

    seconds: int
    forward: int
    options: tuple[OptionHolding, ...]
    rate: int = 0
    forward_fixed: int = 0
    confidence: int = WAD
    volatility_confidence: int = WAD

    @property
    def short_amount(self) -> int:
        """Sum of the short amounts."""
        return -sum(o.amount for o in self.options if o.amount < 0)

    @property
    def gross_amount(self) -> int:
        """Sum of abs(amount)."""
        return sum(abs(o.amount) for o in self.options)

    @property
    def net_calls(self) -> int:
        """Calls, long less short."""
        return sum(o.amount for o in self.options if o.is_call)

    def naked_shorts(self) -> int:
        """Shorts not matched, at the same strike, by a long of the other type."""
        naked = 0
        by_strike: dict[int, list[int]] = {}
        for one in self.options:
            by_strike.setdefault(one.strike, []).append(one.amount)
        for amounts in by_strike.values():
            longs = sum(a for a in amounts if a > 0)
            shorts = -sum(a for a in amounts if a < 0)
            naked += max(0, shorts - longs)
        return naked


@dataclass(frozen=True, slots=True)
class Perp:
    """A perp position: `pnl` is what settling it now would pay, funding included."""

    amount: int
    price: int
    pnl: int = 0
    confidence: int = WAD


@dataclass(frozen=True, slots=True)
class Charge:
    """One named part of a margin, signed as it enters (a requirement is negative)."""

    name: str
    amount: int


@dataclass(frozen=True, slots=True)
class DeriveMargin:
    """Margin of one level. `margin` is what is left after the requirement: negative means short of it.

    `mark_to_market` includes the cash; `binding` names the scenario or rule that decides.
    """

    margin: int
    mark_to_market: int
    binding: str
    parts: tuple[Charge, ...]

    @property
    def requirement(self) -> int:
        """mark_to_market - margin."""
        return self.mark_to_market - self.margin


def confidence_charge(confidence: int, threshold: int, factor: int, notional: int) -> int:
    """(1 - confidence) x factor x notional below the threshold, else 0: the oracle-confidence add-on."""
    return wmul(wmul(WAD - confidence, factor), notional) if confidence < threshold else 0


def check_expiries(expiries: Iterable[Expiry]) -> None:
    """Raise InputError for a negative time, forward, strike, volatility or confidence, naming it."""
    for one in expiries:
        name = f"the expiry in {one.seconds} s"
        if one.seconds < 0:
            raise InputError(f"{name} is past; settle its options first")
        if one.forward <= 0 or not 0 <= one.forward_fixed <= one.forward:
            raise InputError(f"{name} has the forward {one.forward}e-18; give one above zero")
        for option in one.options:
            if option.strike < 0 or option.volatility < 0:
                raise InputError(f"{name} has a negative strike or volatility; correct the option")
