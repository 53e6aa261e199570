"""What every price source has in common, and the kinds by the dataclass that describes them.

Another kind is one class with the four members of `PriceSource`, one dataclass and parser in chains.network_feeds, and
one line in `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from chains.multicall import Call, Outcome
from chains.network_feeds import FixedPrice, NavFeed, PriceFeed, PythFeed
from chains.networks import Feed, Network
from chains.oracles.errors import FeedPrice
from chains.oracles.feeds import ChainlinkSource
from chains.oracles.moment import Moment
from chains.oracles.nav import FixedSource, NavSource
from chains.oracles.pyth import PythSource


class PriceSource(Protocol):
    """One source of one pair on one chain. `name` names it in messages."""

    pair: str
    name: str

    def calls(self) -> list[Call]:
        """What is read, all of it at the anchored block."""

    def follow_up(self, outcomes: Sequence[Outcome]) -> list[Call]:
        """What is read in addition, known only from the outcomes of `calls`."""

    def price(self, outcomes: Sequence[Outcome], at: Moment) -> FeedPrice:
        """The price from the outcomes of both, read at `at`.

        Raises:
            DebtOnlyError: it may value debts and no collateral.
            PriceError: it cannot be used at all.
        """


SOURCES: Final[dict[type[Any], Callable[[Network, Any], PriceSource]]] = {
    Feed: ChainlinkSource,
    PythFeed: PythSource,
    NavFeed: NavSource,
    FixedPrice: FixedSource,
}


def source_of(network: Network, feed: PriceFeed) -> PriceSource:
    """The source that reads `feed`."""
    return SOURCES[type(feed)](network, feed)
