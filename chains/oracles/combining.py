"""Many sources of one price: turned into USD, compared, and one quote made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.model.errors import PriceError
from aggregator.model.units import PRICE_BOUND, PRICE_SCALE, RATE_SCALE
from aggregator.policy.quotes import PriceQuote
from chains.oracles.errors import BadAnswerError, DebtOnlyError, DeviationError, FeedPrice, NoSourceError

MAX_DEVIATION_E6: Final = 20_000
"""2 %: feeds of one pair on two chains are each allowed to drift 0.5 % (stablecoins less) between updates."""
USD: Final = "USD"

Answer = FeedPrice | PriceError


@dataclass(frozen=True, slots=True)
class SourcePrice:
    """A USD price of one symbol from one source, rounded down, as old as the oldest answer it is made of.

    `high_e12` is what a debt is valued at, rounded up. `reason` says why it values debts only, "" when it is good.
    """

    symbol: str
    source: str
    price_e12: int
    as_of: int
    reason: str = ""
    high_e12: int = 0

    @property
    def debt_e12(self) -> int:
        """The greater of the two prices."""
        return max(self.price_e12, self.high_e12)


def in_usd(answers: Mapping[str, Sequence[Answer]]) -> tuple[list[SourcePrice], list[PriceError]]:
    """USD prices of one chain's sources, by pair, and why the others are not used.

    A pair quoted in something else is multiplied by that one's USD price: the lower middle of its good sources.
    """
    found: list[SourcePrice] = []
    problems: list[PriceError] = []
    for pair, sources in answers.items():
        _, _, quote = pair.partition("/")
        for answer in sources:
            legs: list[Answer] = [answer]
            if quote != USD:
                legs.append(_middle(f"{quote}/{USD}", answers, pair))
            if isinstance(answer, PriceError):
                problems.append(answer)
            try:
                found.append(_product(pair, legs))
            except PriceError as error:
                if error is not answer:
                    problems.append(error)
    return found, problems


def _middle(pair: str, answers: Mapping[str, Sequence[Answer]], wanted_by: str) -> Answer:
    """The lower middle of the good answers to `pair`; without one, the newest that values debts, or why none does."""
    sources = answers.get(pair, ())
    good = sorted((a for a in sources if isinstance(a, FeedPrice)), key=lambda a: a.price_e12)
    if good:
        return good[(len(good) - 1) // 2]
    last = [a for a in sources if isinstance(a, DebtOnlyError) and a.last is not None]
    if last:
        return max(last, key=lambda a: a.last.updated_at if a.last is not None else 0)
    return next(iter(sources), NoSourceError(f"{wanted_by} needs a feed {pair}; add one"))


def _product(pair: str, legs: Sequence[Answer]) -> SourcePrice:
    """The legs multiplied. Raises the first leg's error when it has no last price, and PriceError for the others'."""
    prices: list[FeedPrice] = []
    for leg in legs:
        last = leg.last if isinstance(leg, DebtOnlyError) else leg
        if isinstance(last, FeedPrice):
            prices.append(last)
        elif leg is legs[0] and isinstance(leg, PriceError):
            raise leg
        else:
            raise NoSourceError(f"{pair} cannot be turned into USD: {leg}")
    low = high = PRICE_SCALE
    scale = 1
    for price in prices:
        low, high = low * price.answer, high * price.high_answer
        scale *= 10**price.decimals
    price_e12, high_e12 = low // scale, -(-high // scale)
    if not 0 < price_e12 <= high_e12 < PRICE_BOUND:
        raise BadAnswerError(f"{pair} in USD is {price_e12}e-12, out of range for a price")
    return SourcePrice(
        symbol=pair.partition("/")[0],
        source=" x ".join(p.source for p in prices),
        price_e12=price_e12,
        as_of=min(p.updated_at for p in prices),
        reason=next((str(leg) for leg in legs if isinstance(leg, DebtOnlyError)), ""),
        high_e12=high_e12,
    )


def combine(
    symbol: str, sources: Sequence[SourcePrice], max_deviation_e6: int = MAX_DEVIATION_E6
) -> tuple[PriceQuote, list[PriceError]]:
    """One quote out of several sources, and what was wrong with them.

    Collateral is valued at the median of the good sources, of an even number at the lower middle, debts at the upper
    one. A source further than `max_deviation_e6` (1e-6) from the median is left out and named while more than half of
    the good ones agree; else none is used and the highest is kept for debts. Without a good source, the newest last
    price is kept for debts.

    Raises:
        NoSourceError: there is no source at all.
    """
    good = sorted((s for s in sources if not s.reason), key=lambda s: s.price_e12)
    if not good:
        newest = max(sources, key=lambda s: (s.as_of, s.debt_e12), default=None)
        if newest is None:
            raise NoSourceError(f"there is no price of {symbol}; add a feed")
        return PriceQuote(newest.price_e12, newest.as_of, True, newest.debt_e12, newest.reason), []
    middle = good[(len(good) - 1) // 2].price_e12
    near = [s for s in good if abs(s.price_e12 - middle) * RATE_SCALE <= max_deviation_e6 * middle]
    low, high = good[0], good[-1]
    if 2 * len(near) <= len(good):
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
    return (
        PriceQuote(
            near[(len(near) - 1) // 2].price_e12,
            min(s.as_of for s in near),
            high_e12=by_debt[len(near) // 2],
            sources=len(near),
        ),
        problems,
    )
