"""Why a price is not used, one class for each reason.

PriceError
|-- FeedUnreadableError     there is no such contract, or it does not answer like a feed
|-- FeedMismatchError       its decimals or its own description are not those of the network file
|-- UnfinishedRoundError    it has no finished round, or carries an old answer over into a new one
|-- BadAnswerError          the answer is zero, negative, out of range, or from the future
|-- NoSourceError           nothing quotes the symbol in USD
`-- DebtOnlyError           there is a last price: collateral is not valued at it, debts are, raised
    |-- StalePriceError     older than its heartbeat
    |-- ConfidenceError     its confidence interval is too wide
    |-- NavMoveError        a net asset value moved too far in one round, or its last move is not known
    |-- SequencerError      the roll-up's sequencer is down, or back for too short a time
    |-- DeviationError      the sources lie too far apart
    `-- ReserveError        the token's reserve is stale, unreadable, or below its supply
"""

from __future__ import annotations

from dataclasses import dataclass

from aggregator.fixed import mul_div_down
from aggregator.model.errors import PriceError
from aggregator.model.units import PRICE_SCALE
from aggregator.policy.quotes import MAX_AGE_S


@dataclass(frozen=True, slots=True)
class FeedPrice:
    """An answer of one source: `answer` x 10^-`decimals` quote per base, from Unix time `updated_at`.

    `high` is the answer that a debt is valued at, where that is above `answer`; 0 stands for `answer`. `max_age_s` is
    the age that its source allows at the cut.
    """

    pair: str
    source: str
    answer: int
    decimals: int
    updated_at: int
    high: int = 0
    max_age_s: int = MAX_AGE_S

    @property
    def price_e12(self) -> int:
        """In 1e-12 of the quote, rounded down."""
        return mul_div_down(self.answer, PRICE_SCALE, 10**self.decimals)

    @property
    def high_answer(self) -> int:
        """The greater of `answer` and `high`."""
        return max(self.answer, self.high)


class FeedUnreadableError(PriceError):
    """There is no such contract, or it does not answer like a feed."""


class FeedMismatchError(PriceError):
    """The contract is another one than the network file says."""


class UnfinishedRoundError(PriceError):
    """There is no answer of a finished round."""


class BadAnswerError(PriceError):
    """The answer cannot be a price."""


class NoSourceError(PriceError):
    """Nothing quotes the symbol."""


class DebtOnlyError(PriceError):
    """There is a last price, for valuing debts only. `last` is None where the reason is not one feed's own."""

    def __init__(self, message: str, last: FeedPrice | None = None) -> None:
        super().__init__(message)
        self.last = last


class StalePriceError(DebtOnlyError):
    """The price is older than its heartbeat allows."""


class ConfidenceError(DebtOnlyError):
    """The confidence interval is too wide."""


class NavMoveError(DebtOnlyError):
    """A net asset value moved too far in one round, or its last move is not known."""


class SequencerError(DebtOnlyError):
    """The roll-up's sequencer is down, or back for too short a time."""


class DeviationError(DebtOnlyError):
    """The sources of a price lie too far apart."""


class ReserveError(DebtOnlyError):
    """The reserve of a token is stale, unreadable, or below its supply."""
