"""One round of a Chainlink-style feed, refused for each of the reasons it can be wrong.

Source: Chainlink documentation, AggregatorV3Interface and "L2 Sequencer Uptime Feeds".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.fixed import mul_div_down
from aggregator.model.errors import ChainError, PriceError
from aggregator.model.units import PRICE_BOUND, PRICE_SCALE
from chains.multicall import Call, Outcome
from chains.networks import Feed, Network, Sequencer
from chains.rpc import clean_text
from chains.rpc.abi import encode_call

UPDATE_DELAY_S: Final = 300
"""A heartbeat starts an update; it may take this long to be mined and anchored."""
CALLS_PER_FEED: Final = 3
_ROUND: Final = ("uint80", "int256", "uint256", "uint256", "uint80")
_SEQUENCER_UP: Final = 0


class StalePriceError(PriceError):
    """The last price is older than its heartbeat allows. `last` is good for valuing debts only."""

    def __init__(self, message: str, last: FeedPrice) -> None:
        super().__init__(message)
        self.last = last


@dataclass(frozen=True, slots=True)
class FeedPrice:
    """An accepted answer of one feed: `answer` x 10^-`decimals` quote per base, from Unix time `updated_at`."""

    pair: str
    source: str
    answer: int
    decimals: int
    updated_at: int

    @property
    def price_e12(self) -> int:
        """In 1e-12 of the quote, rounded down."""
        return mul_div_down(self.answer, PRICE_SCALE, 10**self.decimals)


def feed_calls(feed: Feed) -> list[Call]:
    """The `CALLS_PER_FEED` reads of a feed."""
    address = bytes.fromhex(feed.address[2:])
    return [Call(address, encode_call(f)) for f in ("latestRoundData()", "decimals()", "description()")]


def sequencer_call(sequencer: Sequencer) -> Call:
    """The read of an uptime feed."""
    return Call(bytes.fromhex(sequencer.address[2:]), encode_call("latestRoundData()"))


def parse_round(network: Network, feed: Feed, outcomes: Sequence[Outcome], block_time: int) -> FeedPrice:
    """The feed's price at a block with timestamp `block_time`.

    Raises:
        StalePriceError: it is older than the heartbeat.
        PriceError: it cannot be used at all; each reason has its own message.
    """
    source = f"{feed.pair} on {network.chain}"
    try:
        values = outcomes[0].decode(_ROUND, "latestRoundData")
        on_chain = outcomes[1].unsigned("decimals")
        (description,) = outcomes[2].decode(["string"], "description")
    except ChainError as error:
        raise PriceError(
            f"the feed {source} at {feed.address} cannot be read ({error}); check its address"
        ) from error
    round_id, answer, _, updated_at, answered_in = (int(str(v)) for v in values)
    if on_chain != feed.decimals:
        raise PriceError(
            f"the feed {source} has {on_chain} decimals and its network file says {feed.decimals}; correct the file"
        )
    if not feed.is_described_by(str(description)):
        raise PriceError(
            f"the feed {source} at {feed.address} calls itself {clean_text(str(description), 60)!r}; "
            "correct its address or its descriptions"
        )
    if round_id == 0 or updated_at == 0:
        raise PriceError(f"the feed {source} has no finished round; wait for its first price")
    if answer <= 0:
        raise PriceError(f"the feed {source} answers {answer}, which is no price; do not use it")
    if answered_in < round_id:
        raise PriceError(
            f"the feed {source} carries its answer over from round {answered_in} into {round_id}; wait for a new one"
        )
    if updated_at > block_time:
        raise PriceError(
            f"the feed {source} says it was updated {updated_at - block_time} s after its own block; do not use it"
        )
    price = FeedPrice(feed.pair, source, answer, feed.decimals, updated_at)
    if not 0 < price.price_e12 < PRICE_BOUND:
        raise PriceError(
            f"the feed {source} answers {answer} with {feed.decimals} decimals, out of range for a price"
        )
    age = block_time - updated_at
    if age > feed.heartbeat_s + UPDATE_DELAY_S:
        raise StalePriceError(
            f"the feed {source} is stale: its price is {age} s old and its heartbeat is {feed.heartbeat_s} s; "
            "use another source",
            price,
        )
    return price


def check_sequencer(network: Network, sequencer: Sequencer, round_: Outcome, block_time: int) -> None:
    """Return when the roll-up's sequencer is up for longer than the grace period.

    Raises:
        PriceError: it is down, came back too recently, or its feed cannot be read.
    """
    name = f"the sequencer of {network.name}"
    try:
        values = round_.decode(_ROUND, "latestRoundData")
    except ChainError as error:
        raise PriceError(f"{name} has no readable uptime feed at {sequencer.address} ({error})") from error
    _, answer, started_at, _, _ = (int(str(v)) for v in values)
    if started_at == 0:
        raise PriceError(f"{name} has an uptime feed that is not initialised; no price of it is used")
    if answer != _SEQUENCER_UP:
        raise PriceError(f"{name} is down since {started_at}; no price of it is used until it is back")
    up_s = block_time - started_at
    if up_s <= sequencer.grace_s:
        raise PriceError(
            f"{name} is up for {up_s} s and prices are used after {sequencer.grace_s} s; try again then"
        )
