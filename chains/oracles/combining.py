"""Many sources of one price: compared, and one quote made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.model.errors import PriceError
from aggregator.model.units import RATE_SCALE
from aggregator.policy.quotes import MAX_AGE_S, PriceQuote
from chains.oracles.errors import DeviationError, NoSourceError

MAX_DEVIATION_E6: Final = 20_000
"""2 %: feeds of one pair on two chains are each allowed to drift 0.5 % (stablecoins less) between updates."""


@dataclass(frozen=True, slots=True)
class SourcePrice:
    """A USD price of one symbol from one source, rounded down, as old as the oldest answer it is made of.

    `high_e12` is what a debt is valued at, rounded up. `reason` says why it values debts only, "" when it is good.
    `max_age_s` is how old it may be at the cut. A price that went through another symbol names it in `leg`, and says in
    `leg_sources` how many sources agree on that one.
    """

    symbol: str
    source: str
    price_e12: int
    as_of: int
    reason: str = ""
    high_e12: int = 0
    max_age_s: int = MAX_AGE_S
    leg: str = ""
    leg_sources: int = 0

    @property
    def debt_e12(self) -> int:
        """The greater of the two prices."""
        return max(self.price_e12, self.high_e12)

    @property
    def until(self) -> int:
        """The last moment at which it is good."""
        return self.as_of + self.max_age_s


def voices(sources: Sequence[SourcePrice]) -> int:
    """How many sources speak independently: those through one other symbol at most as often as that one has sources."""
    legs: dict[str, list[SourcePrice]] = {}
    for source in sources:
        legs.setdefault(source.leg, []).append(source)
    return sum(min(len(group), group[0].leg_sources) if leg else len(group) for leg, group in legs.items())


def combine(
    symbol: str, sources: Sequence[SourcePrice], max_deviation_e6: int = MAX_DEVIATION_E6
) -> tuple[PriceQuote, list[PriceError]]:
    """One quote out of several sources, and what was wrong with them.

    Collateral is valued at the median of the good sources, of an even number at the lower middle, debts at the upper
    one. A source further than `max_deviation_e6` (1e-6) from the median is left out and named while more than half of
    the good ones agree; else none is used and the highest is kept for debts. Without a good source, the highest last
    price is kept for debts.

    Raises:
        NoSourceError: there is no source at all.
    """
    good = sorted((s for s in sources if not s.reason), key=lambda s: s.price_e12)
    if not good:
        top = max(sources, key=lambda s: (s.debt_e12, s.as_of), default=None)
        if top is None:
            raise NoSourceError(f"there is no price of {symbol}; add a feed")
        return PriceQuote(top.price_e12, top.as_of, True, top.debt_e12, top.reason), []
    middle = good[(len(good) - 1) // 2].price_e12
    near = [s for s in good if abs(s.price_e12 - middle) * RATE_SCALE <= max_deviation_e6 * middle]
    low, high = good[0], good[-1]
    if 2 * voices(near) <= voices(good):
        apart = (high.price_e12 - low.price_e12) * RATE_SCALE // low.price_e12
        error = DeviationError(
            f"the prices of {symbol} deviate by {apart}e-6 ({low.source} {low.price_e12}e-12, {high.source} "
            f"{high.price_e12}e-12) and {max_deviation_e6}e-6 are allowed; find out which is wrong"
        )
        debt = max(s.debt_e12 for s in good)
        return PriceQuote(low.price_e12, min(s.as_of for s in good), True, debt, str(error)), [error]
    problems: list[PriceError] = [
        DeviationError(
            f"the price of {symbol} from {s.source} is {s.price_e12}e-12, further than {max_deviation_e6}e-6 from "
            f"the median {middle}e-12; it is left out"
        )
        for s in good
        if s not in near
    ]
    by_debt = sorted(s.debt_e12 for s in near)
    as_of = min(s.as_of for s in near)
    return (
        PriceQuote(
            near[(len(near) - 1) // 2].price_e12,
            as_of,
            high_e12=by_debt[len(near) // 2],
            sources=voices(near),
            max_age_s=min(s.until for s in near) - as_of,
        ),
        problems,
    )
