"""A Dutch auction by hand, batches that no order of bids changes, and what is paid and given up adds up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.liquidation.auction import Bid, Lot, auction, parse_bids, price_steps
from aggregator.liquidation.rules import AuctionRules, Decay, Settlement
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.units import E20_PER_USD_E6
from tests.aggregator.liquidation.rules import shipped
from tests.aggregator.markets import E8, E12

LINEAR = AuctionRules(1_100_000, 600_000, 500, 100, Decay.LINEAR, 0, Settlement.BATCH)
FIRST_COME = replace(LINEAR, settlement=Settlement.CONTINUOUS)
LOT = Lot("ETH", 10 * E8, 3_000 * E12)


def bid(bidder: str, at_s: int, limit_e6: int, units: float) -> Bid:
    return Bid(bidder, "ETH", at_s, limit_e6, round(units * E8))


BIDS = st.lists(
    st.builds(
        Bid,
        st.sampled_from("abcd"),
        st.just("ETH"),
        st.integers(0, 600),
        st.integers(500_000, 1_200_000),
        st.integers(1, 8 * E8),
    ),
    max_size=8,
)


def test_prices_fall_in_steps_to_the_floor() -> None:
    assert price_steps(LINEAR) == (
        *((0, 1_100_000), (100, 1_000_000), (200, 900_000)),
        *((300, 800_000), (400, 700_000)),
    )
    stairs = replace(LINEAR, decay=Decay.EXPONENTIAL, cut_e6=300_000)
    assert [p for _, p in price_steps(stairs)] == [1_100_000, 770_000, 600_000, 600_000, 600_000]
    shares = [p for _, p in price_steps(shipped().auction)]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 60


def test_the_first_to_come_is_served_at_the_price_of_the_step() -> None:
    """At 0.9 of the mark `b` stands first and takes 6, `a` gets the 4 that are left; `c` is too low."""
    found = auction(
        LOT, FIRST_COME, [bid("a", 50, 900_000, 8), bid("b", 10, 900_000, 6), bid("c", 0, 550_000, 9)]
    )
    assert [(f.bidder, f.step, f.price_e6, f.quantity_e8) for f in found.fills] == [
        ("a", 2, 900_000, 8 * E8),
        ("b", 2, 900_000, 2 * E8),
    ]
    assert found.proceeds_e6 == 27_000 * 10**6
    assert found.discount_e20 == 3_000 * 10**20


def test_in_a_batch_all_pay_the_price_at_which_everything_is_sold() -> None:
    """14 are wanted, 10 are there: `a` at 1.05 is whole, `b` and `c` share 4 at their 1.02, and all pay 1.02."""
    bids = [bid("a", 0, 1_050_000, 6), bid("b", 110, 1_020_000, 2), bid("c", 120, 1_020_000, 6)]
    found = auction(LOT, LINEAR, bids)
    assert {(f.bidder, f.step, f.price_e6, f.quantity_e8) for f in found.fills} == {
        *(("a", 1, 1_020_000, 6 * E8), ("b", 1, 1_020_000, E8), ("c", 1, 1_020_000, 3 * E8)),
    }
    assert found.unsold_e8 == 0
    assert found.proceeds_e6 == 30_600 * 10**6


def test_what_nobody_wants_stays() -> None:
    found = auction(LOT, LINEAR, [bid("a", 0, 700_000, 3), bid("late", 500, 2_000_000, 9)])
    assert found.unsold_e8 == 7 * E8
    assert [(f.step, f.price_e6) for f in found.fills] == [(4, 700_000)]


@given(BIDS, st.sampled_from([LINEAR, FIRST_COME]))
def test_nothing_is_sold_twice_or_below_the_step(bids: list[Bid], rules: AuctionRules) -> None:
    """What is sold and unsold is the lot; no fill is below its step's price; value is conserved at the mark."""
    found = auction(LOT, rules, bids)
    sold = sum(fill.quantity_e8 for fill in found.fills)
    assert sold + found.unsold_e8 == LOT.quantity_e8
    assert found.unsold_e8 >= 0
    prices = [price for _, price in price_steps(rules)]
    for fill in found.fills:
        assert fill.price_e6 >= prices[fill.step]
        mine = [one for one in bids if one.bidder == fill.bidder]
        assert max(one.limit_e6 for one in mine) >= fill.price_e6
    for name in {one.bidder for one in bids}:
        got = sum(fill.quantity_e8 for fill in found.fills if fill.bidder == name)
        assert got <= sum(one.quantity_e8 for one in bids if one.bidder == name)
    assert found.proceeds_e6 * E20_PER_USD_E6 + found.discount_e20 == sold * LOT.mark_e12


@given(BIDS, st.data())
def test_no_order_of_bids_changes_a_batch(bids: list[Bid], data: st.DataObject) -> None:
    """Whoever orders the transactions of a block changes nothing."""
    shuffled = data.draw(st.permutations(bids))
    assert auction(LOT, LINEAR, bids) == auction(LOT, LINEAR, shuffled)


@given(BIDS, st.data())
def test_when_inside_a_step_a_bid_comes_changes_no_batch(bids: list[Bid], data: st.DataObject) -> None:
    """Racing inside a window is worth nothing: only the step counts."""
    moved = [replace(one, at_s=one.at_s // 100 * 100 + data.draw(st.integers(0, 99))) for one in bids]
    assert auction(LOT, LINEAR, bids) == auction(LOT, LINEAR, moved)


def test_first_come_first_served_does_depend_on_the_order() -> None:
    """The control: the same bids in the same block, turned round, give the lot to another."""
    bids = [bid("a", 0, 1_100_000, 10), bid("b", 0, 1_100_000, 10)]
    first, second = (auction(LOT, FIRST_COME, each).fills[0].bidder for each in (bids, bids[::-1]))
    assert (first, second) == ("a", "b")
    assert {f.bidder: f.quantity_e8 for f in auction(LOT, LINEAR, bids).fills} == {"a": 5 * E8, "b": 5 * E8}


def test_a_bid_or_a_lot_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="sells nothing"):
        Lot("ETH", 0, 1)
    with pytest.raises(InputError, match="bid of a has no"):
        auction(LOT, LINEAR, [bid("a", 0, 0, 1)])


def test_bids_are_read_from_a_file() -> None:
    head = 'schema = "counterfoil/bids/1"\n[[bids]]\nbidder = "a"\nsymbol = "ETH"\n'
    text = head + "at_s = 5\nlimit = 0.95\nquantity = 1.5\n"
    assert parse_bids(text) == (Bid("a", "ETH", 5, 950_000, 150_000_000),)
    for wrong, part in (
        (text.replace("bids/1", "bids/2"), "schema is not"),
        (text.replace("0.95", "0"), "a bid needs both"),
        (text.replace("at_s = 5", "at_s = -5"), "at_s is not a whole number"),
        (text + "x = 1\n", "x is not a known key"),
        (text + "[[", "is not TOML"),
    ):
        with pytest.raises(ConfigError, match=part):
            parse_bids(wrong)
