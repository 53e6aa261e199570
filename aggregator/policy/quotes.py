"""Prices and rates as a policy build takes them, and what a stale or missing one is worth.

A stale price never values collateral: the build stops, or, when its caller says so, the collateral counts as zero.
A debt keeps its last price, raised by the spec's margin, because leaving it out would hide it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aggregator.fixed import mul_div_up
from aggregator.model.errors import PolicyError, PriceError
from aggregator.model.units import PRICE_BOUND, RATE_SCALE


@dataclass(frozen=True, slots=True)
class PriceQuote:
    """USD per unit in 1e-12, the Unix time it is from, and whether its source calls it stale."""

    price_e12: int
    as_of: int
    stale: bool = False


@dataclass(frozen=True, slots=True)
class RateQuote:
    """Units of the asset behind one unit of a wrapper in 1e-12 (a share price or staking rate)."""

    rate_e12: int
    as_of: int
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Quotes:
    """All quotes of one build. `zero_stale`: value collateral without a fresh quote at zero instead of stopping."""

    prices: Mapping[str, PriceQuote]
    rates: Mapping[str, RateQuote]
    zero_stale: bool
    stale_debt_margin_e6: int

    def __post_init__(self) -> None:
        for name, price in self.prices.items():
            if not 0 < price.price_e12 < PRICE_BOUND:
                raise PriceError(
                    f"the price of {name} is {price.price_e12}e-12 USD, not above 0; check its feed"
                )
        for name, rate in self.rates.items():
            if not 0 < rate.rate_e12 < PRICE_BOUND:
                raise PriceError(
                    f"the rate of {name} is {rate.rate_e12}e-12, not above 0; check its contract"
                )
        if not 0 <= self.stale_debt_margin_e6 <= 10 * RATE_SCALE:
            raise PolicyError(f"the stale debt margin is {self.stale_debt_margin_e6}e-6; use 0 to 10")

    def _refuse(self, what: str, name: str, quote: PriceQuote | RateQuote | None) -> None:
        if self.zero_stale:
            return
        state = "missing" if quote is None else f"stale, from {quote.as_of}"
        raise PriceError(
            f"the {what} of {name} is {state}; refresh it, or ask for stale collateral to count as zero"
        )

    def fresh_price(self, name: str) -> int | None:
        """The price in 1e-12, or None when it is stale or missing and the caller allowed that; else PriceError."""
        quote = self.prices.get(name)
        if quote is not None and not quote.stale:
            return quote.price_e12
        self._refuse("price", name, quote)
        return None

    def fresh_rate(self, name: str) -> int | None:
        """The rate in 1e-12, or None as in `fresh_price`."""
        quote = self.rates.get(name)
        if quote is not None and not quote.stale:
            return quote.rate_e12
        self._refuse("rate", name, quote)
        return None

    def debt_price(self, name: str) -> int | None:
        """The price a debt is valued at: fresh, or the last one raised; None when there never was one."""
        quote = self.prices.get(name)
        if quote is None or quote.stale:
            self._refuse("price", name, quote)
        if quote is None:
            return None
        raised = RATE_SCALE + self.stale_debt_margin_e6
        return mul_div_up(quote.price_e12, raised, RATE_SCALE) if quote.stale else quote.price_e12
