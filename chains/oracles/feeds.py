"""Kind `chainlink`: one round of a Chainlink-style feed, refused for each of the reasons it can be wrong.

Source: Chainlink documentation, AggregatorV3Interface and "L2 Sequencer Uptime Feeds".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aggregator.model.errors import ChainError
from aggregator.model.units import PRICE_BOUND
from chains.multicall import Call, Outcome
from chains.networks import Feed, Network, Sequencer
from chains.oracles.errors import (
    BadAnswerError,
    FeedMismatchError,
    FeedPrice,
    FeedUnreadableError,
    SequencerError,
    StalePriceError,
    UnfinishedRoundError,
)
from chains.oracles.moment import Moment
from chains.rpc import clean_text
from chains.rpc.abi import encode_call

UPDATE_DELAY_S: Final = 300
"""A heartbeat starts an update; it may take this long to be mined and anchored."""
_ROUND: Final = ("uint80", "int256", "uint256", "uint256", "uint80")
_SEQUENCER_UP: Final = 0


class ChainlinkSource:
    """A feed with Chainlink's AggregatorV3Interface."""

    def __init__(self, network: Network, feed: Feed) -> None:
        self.pair = feed.pair
        self.name = f"{feed.pair} on {network.chain}"
        self._feed = feed

    def calls(self) -> list[Call]:
        """The round, and what the contract says about itself."""
        address = bytes.fromhex(self._feed.address[2:])
        return [Call(address, encode_call(f)) for f in ("latestRoundData()", "decimals()", "description()")]

    def follow_up(self, outcomes: Sequence[Outcome]) -> list[Call]:
        """Nothing."""
        return []

    def price(self, outcomes: Sequence[Outcome], at: Moment) -> FeedPrice:
        """The finished round's answer.

        Raises:
            StalePriceError: it is older than the heartbeat.
            PriceError: it cannot be used at all; each reason has its own class.
        """
        feed, source = self._feed, self.name
        try:
            values = outcomes[0].decode(_ROUND, "latestRoundData")
            on_chain = outcomes[1].unsigned("decimals")
            (description,) = outcomes[2].decode(["string"], "description")
        except ChainError as error:
            raise FeedUnreadableError(
                f"the feed {source} at {feed.address} cannot be read ({error}); check its address"
            ) from error
        round_id, answer, _, updated_at, answered_in = (int(str(v)) for v in values)
        if on_chain != feed.decimals:
            raise FeedMismatchError(
                f"the feed {source} has {on_chain} decimals and its network file says {feed.decimals}; correct the file"
            )
        if not feed.is_described_by(str(description)):
            raise FeedMismatchError(
                f"the feed {source} at {feed.address} calls itself {clean_text(str(description), 60)!r}; "
                "correct its address or its descriptions"
            )
        if round_id == 0 or updated_at == 0:
            raise UnfinishedRoundError(f"the feed {source} has no finished round; wait for its first price")
        if answered_in < round_id:
            raise UnfinishedRoundError(
                f"the feed {source} carries its answer over from round {answered_in} into {round_id}; "
                "wait for a new one"
            )
        price = FeedPrice(
            feed.pair,
            source,
            answer,
            feed.decimals,
            updated_at,
            max_age_s=feed.heartbeat_s + UPDATE_DELAY_S + at.forgiven_s,
        )
        check_answer(price, at.block_time)
        check_age(price, at, feed.heartbeat_s)
        return price


def check_answer(price: FeedPrice, block_time: int, ahead_s: int = 0) -> None:
    """Return when the answer can be a price at the block; `ahead_s`: how far its time may lie after the block's.

    Raises:
        BadAnswerError: it is not positive, out of range, or from the future.
    """
    if price.answer <= 0:
        raise BadAnswerError(
            f"the feed {price.source} answers {price.answer}, which is no price; do not use it"
        )
    if price.updated_at > block_time + ahead_s:
        raise BadAnswerError(
            f"the feed {price.source} says it was updated {price.updated_at - block_time} s after its own block; "
            "do not use it"
        )
    if not 0 < price.price_e12 < PRICE_BOUND:
        raise BadAnswerError(
            f"the feed {price.source} answers {price.answer} with {price.decimals} decimals, out of range for a price"
        )


def check_age(price: FeedPrice, at: Moment, heartbeat_s: int) -> None:
    """Return when the price is at most `price.max_age_s` old at the cut; raises StalePriceError."""
    age = at.cut - price.updated_at
    if age > price.max_age_s:
        raise StalePriceError(
            f"the feed {price.source} is stale: its price is {age} s old at the cut and {price.max_age_s} s are "
            f"allowed, with a heartbeat of {heartbeat_s} s and {at.forgiven_s} s for finality (finality_lag_s); "
            "use another source",
            price,
        )


def sequencer_call(sequencer: Sequencer) -> Call:
    """The read of an uptime feed."""
    return Call(bytes.fromhex(sequencer.address[2:]), encode_call("latestRoundData()"))


def check_sequencer(network: Network, sequencer: Sequencer, round_: Outcome, at: Moment) -> None:
    """Return when the roll-up's sequencer is up for longer than the grace period.

    A feed that was read in a block of long ago says nothing about the cut: a roll-up that makes no blocks cannot write
    into its own uptime feed either, so a lag that finality does not explain counts as down.

    Raises:
        SequencerError: it is down, came back too recently, or its feed cannot be read.
    """
    name = f"the sequencer of {network.name}"
    if at.is_late:
        raise SequencerError(
            f"{name} counts as down: its last {network.finality} block is {at.lag_s} s before the cut and "
            f"finality_lag_s allows {at.finality_lag_s} s; no price of it is used until it is back"
        )
    try:
        values = round_.decode(_ROUND, "latestRoundData")
    except ChainError as error:
        raise SequencerError(
            f"{name} has no readable uptime feed at {sequencer.address} ({error})"
        ) from error
    _, answer, started_at, _, _ = (int(str(v)) for v in values)
    if started_at == 0:
        raise SequencerError(f"{name} has an uptime feed that is not initialised; no price of it is used")
    if answer != _SEQUENCER_UP:
        raise SequencerError(f"{name} is down since {started_at}; no price of it is used until it is back")
    up_s = at.block_time - started_at
    if up_s <= sequencer.grace_s:
        raise SequencerError(
            f"{name} is up for {up_s} s and prices are used after {sequencer.grace_s} s; try again then"
        )
