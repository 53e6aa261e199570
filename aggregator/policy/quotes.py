"""Prices and rates as a policy build takes them, and what a stale, missing or unfit one is worth.

A price that is not good never values collateral: the build stops, or, when its caller says so, the collateral counts
as zero and the reason is kept. A debt keeps its last price, raised by the spec's margin, because leaving it out would
hide it. docs/prices.md has the rules with worked numbers.

PriceError
|-- MissingQuoteError     there is no quote
|-- StaleQuoteError       too old for the policy, or its source says that it values debts only: unsure, deviating, ..
|-- EarlyQuoteError       it is from after the policy's time
|-- FewSourcesError       fewer sources agree on it than the spec asks for
|-- UnreservedError       the spec asks for a proof of reserve, and none was read
`-- DepegError            it is outside its band, and the spec refuses it there
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aggregator.fixed import format_decimal, mul_div_up
from aggregator.model.errors import PolicyError, PriceError
from aggregator.model.units import PRICE_BOUND, RATE_SCALE

_DIGITS: Final = 12
MAX_AGE_S: Final = 90_000
"""25 hours: the age of a quote that does not state its own. A day is the longest heartbeat in common use."""
CLOCK_SKEW_S: Final = 60
"""How far a quote's time may lie after the policy's: the clocks of chains and publishers are not the same."""


class MissingQuoteError(PriceError):
    """There is no quote of that name."""


class StaleQuoteError(PriceError):
    """The quote is too old for the policy, or its source says that it values debts only."""


class EarlyQuoteError(PriceError):
    """The quote is from after the policy's time."""


class FewSourcesError(PriceError):
    """Fewer sources agree on a price than the spec asks for."""


class UnreservedError(PriceError):
    """The spec asks for a proof of reserve, and none was read."""


class DepegError(PriceError):
    """A price is outside its band, and the spec refuses it there."""


@dataclass(frozen=True, slots=True)
class PriceQuote:
    """USD per unit in 1e-12, the Unix time it is from, and whether its source calls it unfit for collateral.

    `high_e12` is what debts are valued at where that is above the price; `reason` says why it is unfit, "" for plain
    age; `sources` is how many agree on it; `reserved` is True when a proof of reserve was read and holds. It values
    collateral up to `max_age_s` after `as_of`.
    """

    price_e12: int
    as_of: int
    stale: bool = False
    high_e12: int = 0
    reason: str = ""
    sources: int = 1
    reserved: bool = False
    max_age_s: int = MAX_AGE_S

    @property
    def debt_e12(self) -> int:
        """The greater of `price_e12` and `high_e12`."""
        return max(self.price_e12, self.high_e12)


@dataclass(frozen=True, slots=True)
class RateQuote:
    """Units of the asset behind one unit of a wrapper in 1e-12 (a share price or staking rate).

    For a pool it is 2 sqrt(x y) per share, x and y its reserves in whole units. `tokens` are the symbols of what the
    contract itself says that it holds: two of a pool, one of a vault, none of a staked token, which does not say.
    `high_e12` is the rate of debts where that is above `rate_e12`; `max_age_s` and `reason` are as in `PriceQuote`.
    """

    rate_e12: int
    as_of: int
    stale: bool = False
    tokens: tuple[str, ...] = ()
    high_e12: int = 0
    max_age_s: int = MAX_AGE_S
    reason: str = ""

    @property
    def debt_e12(self) -> int:
        """The greater of `rate_e12` and `high_e12`."""
        return max(self.rate_e12, self.high_e12)


@dataclass(frozen=True, slots=True)
class Peg:
    """The band of a token that should keep one price, in 1e-12 USD.

    Collateral is never valued above `high_e12` and a debt never below `low_e12`. With `refuse`, collateral outside the
    band is not valued at all.
    """

    low_e12: int
    high_e12: int
    refuse: bool


@dataclass(frozen=True, slots=True)
class Demand:
    """What a spec asks of a quote before it values collateral."""

    peg: Peg | None = None
    reserve: bool = False
    min_sources: int = 1


FREE: Final = Demand()
"""Nothing is asked."""


@dataclass(frozen=True, slots=True)
class Quotes:
    """All quotes of one build at the Unix time `as_of`.

    `zero_stale`: value collateral without a good quote at zero instead of stopping.
    `demands` are by the name of the quote. `zeroed` collects, by what counts as zero, why.
    """

    prices: Mapping[str, PriceQuote]
    rates: Mapping[str, RateQuote]
    zero_stale: bool
    stale_debt_margin_e6: int
    as_of: int
    demands: Mapping[str, Demand] = field(default_factory=dict)
    zeroed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, price in self.prices.items():
            if not 0 < price.price_e12 <= price.debt_e12 < PRICE_BOUND:
                raise PriceError(
                    f"the price of {name} is {price.price_e12}e-12 USD, not above 0; check its feed"
                )
        for name, rate in self.rates.items():
            if not 0 < rate.rate_e12 <= rate.debt_e12 < PRICE_BOUND:
                raise PriceError(
                    f"the rate of {name} is {rate.rate_e12}e-12, not above 0; check its contract"
                )
        if not 0 <= self.stale_debt_margin_e6 <= 10 * RATE_SCALE:
            raise PolicyError(f"the stale debt margin is {self.stale_debt_margin_e6}e-6; use 0 to 10")

    def _refuse(self, what: str, error: PriceError) -> None:
        """Raise the error, or keep it as the reason why `what` counts as zero."""
        if not self.zero_stale:
            raise error
        self.zeroed.setdefault(what, str(error))

    def _fault(self, name: str, quote: PriceQuote | None) -> PriceError | None:
        """Why the quote may not value collateral, its band aside."""
        demand = self.demands.get(name, FREE)
        unfresh = self._unfresh("price", name, quote)
        if quote is None or unfresh is not None:
            return unfresh
        if quote.sources < demand.min_sources:
            return FewSourcesError(
                f"the price of {name} has {quote.sources} agreeing sources and the spec asks for "
                f"{demand.min_sources}; add a source"
            )
        if demand.reserve and not quote.reserved:
            return UnreservedError(
                f"{name} has no proof of reserve and the spec asks for one; add it to [[reserve_proofs]] of its network"
            )
        return None

    def fresh_price(self, name: str) -> int | None:
        """The price of collateral in 1e-12, at most the top of its band.

        None when there is none that is good and the caller allowed that; else the PriceError that says why.
        """
        quote = self.prices.get(name)
        fault = self._fault(name, quote)
        if fault is not None:
            self._refuse(f"the price of {name}", fault)
        if quote is None or fault is not None:
            return None
        peg = self.demands.get(name, FREE).peg
        if peg is None:
            return quote.price_e12
        if peg.refuse and not peg.low_e12 <= quote.price_e12 <= peg.high_e12:
            band = f"{format_decimal(peg.low_e12, _DIGITS)} to {format_decimal(peg.high_e12, _DIGITS)}"
            self._refuse(
                f"the price of {name}",
                DepegError(
                    f"the price of {name} is {format_decimal(quote.price_e12, _DIGITS)} USD, outside its band of "
                    f"{band}; wait until it is back"
                ),
            )
            return None
        return min(quote.price_e12, peg.high_e12)

    def fresh_rate(self, name: str) -> int | None:
        """The rate in 1e-12, or None as in `fresh_price`."""
        quote = self.rates.get(name)
        fault = self._unfresh("rate", name, quote)
        if fault is not None:
            self._refuse(f"the rate of {name}", fault)
        return None if quote is None or fault is not None else quote.rate_e12

    def debt_price(self, name: str) -> int | None:
        """The price a debt is valued at: at least the bottom of its band, raised when it could not value collateral.

        None when there never was one.
        """
        quote = self.prices.get(name)
        fault = self._fault(name, quote)
        if fault is not None:
            self._refuse(f"the price of {name}", fault)
        if quote is None:
            return None
        peg = self.demands.get(name, FREE).peg
        price = quote.debt_e12 if peg is None else max(quote.debt_e12, peg.low_e12)
        return price if fault is None else self.raised(price)

    def debt_rate(self, name: str) -> int | None:
        """The rate a debt in a wrapper is valued at: the highest of the chains, raised when unfit; None without one."""
        quote = self.rates.get(name)
        fault = self._unfresh("rate", name, quote)
        if fault is not None:
            self._refuse(f"the rate of {name}", fault)
        if quote is None:
            return None
        return quote.debt_e12 if fault is None else self.raised(quote.debt_e12)

    def low_rate(self, name: str) -> int:
        """The lowest rate that was read, also an unfit one; 0 without any."""
        quote = self.rates.get(name)
        return 0 if quote is None else quote.rate_e12

    def _unfresh(self, what: str, name: str, quote: PriceQuote | RateQuote | None) -> PriceError | None:
        """Why a quote's time or its source rules it out."""
        words = "refresh it, or ask for stale collateral to count as zero (--zero-stale)"
        if quote is None:
            return MissingQuoteError(
                f"the {what} of {name} is missing: no network that was read lists a feed of it that answered; "
                "add one, or ask for such collateral to count as zero (--zero-stale)"
            )
        if quote.stale and quote.reason:
            return StaleQuoteError(f"the {what} of {name} is good for debts only: {quote.reason}")
        if quote.stale:
            return StaleQuoteError(f"the {what} of {name} is stale, from {quote.as_of}; {words}")
        age = self.as_of - quote.as_of
        if age > quote.max_age_s:
            return StaleQuoteError(
                f"the {what} of {name} is stale, from {quote.as_of}: {age} s before the policy, and "
                f"{quote.max_age_s} s are allowed; {words}"
            )
        if -age > CLOCK_SKEW_S:
            return EarlyQuoteError(
                f"the {what} of {name} is from {quote.as_of}, {-age} s after the policy; "
                "build the policy of a later time"
            )
        return None

    def raised(self, value: int) -> int:
        """`value` x (1 + the stale debt margin), rounded up."""
        return mul_div_up(value, RATE_SCALE + self.stale_debt_margin_e6, RATE_SCALE)
