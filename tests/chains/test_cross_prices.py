"""Many sources of one price, and prices that go through another one: no feed and no network is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.model.errors import PriceError
from aggregator.policy.quotes import PriceQuote, RateQuote
from chains.oracles import (
    DeviationError,
    FeedPrice,
    NoSourceError,
    ReserveError,
    SourcePrice,
    StalePriceError,
    combine,
    combine_rates,
    merged,
    price_all,
)

E8, E12 = 10**8, 10**12


def price(
    pair: str, answer: int, decimals: int = 8, at: int = 100, source: str = "", high: int = 0
) -> FeedPrice:
    return FeedPrice(pair, source or pair, answer, decimals, at, high)


def quote_of(symbol: str, answers: Mapping[str, Sequence[FeedPrice | PriceError]]) -> PriceQuote:
    return price_all(answers)[0][symbol]


def test_a_pair_in_another_currency_goes_through_its_usd_price() -> None:
    """wstETH/ETH x ETH/USD, floored (for debts raised), as old as the older leg, as stale as the staler."""
    feeds: dict[str, list[FeedPrice | PriceError]] = {
        "wstETH/ETH": [price("wstETH/ETH", 1_199_999_999_999_999_999, 18)],
        "ETH/USD": [price("ETH/USD", 3_000_00000001, at=90)],
    }
    found, problems = price_all(feeds)
    assert not problems
    assert found["wstETH"] == PriceQuote(3_600_000_000_011_999, 90, high_e12=3_600_000_000_012_000)
    feeds["ETH/USD"] = [StalePriceError("old", price("ETH/USD", 3_000_00000000))]
    found, problems = price_all(feeds)
    assert [(q.stale, q.reason) for q in found.values()] == [(True, "old"), (True, "old")]
    assert [str(p) for p in problems] == ["old"]
    for broken in ({"wstETH/ETH": feeds["wstETH/ETH"]}, feeds | {"ETH/USD": [PriceError("broken")]}):
        found, problems = price_all(broken)
        assert not found
        assert any("wstETH/ETH cannot be turned into USD" in str(p) for p in problems)


@pytest.mark.parametrize(
    ("usd", "low", "high", "stale"),
    [
        ([1500, 3000], 1500, 3000, True),
        ([3000, 6000, 9000], 3000, 9000, True),
        ([3000, 3055], 3000, 3055, False),
        ([3000, 3010, 3020], 3010, 3010, False),
        ([3000, 3010, 9000], 3000, 3010, False),
    ],
)
def test_a_cross_price_is_never_better_founded_than_its_quote_currency(
    usd: list[int], low: int, high: int, stale: bool
) -> None:
    """The combined price of ETH makes that of cbETH: its refusal, its low leg for collateral, its high for debts."""
    feeds = {
        "ETH/USD": [price("ETH/USD", usd * E8, source=f"s{n}") for n, usd in enumerate(usd)],
        "cbETH/ETH": [price("cbETH/ETH", 110_000_000)],
    }
    eth, crossed = quote_of("ETH", feeds), quote_of("cbETH", feeds)
    assert (eth.price_e12, eth.debt_e12, eth.stale) == (low * E12, high * E12, stale)
    assert (crossed.price_e12, crossed.debt_e12) == (eth.price_e12 * 11 // 10, eth.debt_e12 * 11 // 10)
    assert (crossed.stale, crossed.reason) == (stale, eth.reason)


def test_the_quote_currency_is_combined_over_all_chains() -> None:
    """One of four chains says 120,000: it is left out of BTC, so it does not value WBTC on its own chain either."""
    chains: list[dict[str, list[FeedPrice | PriceError]]] = [
        {"BTC/USD": [price("BTC/USD", usd * E8, source=f"BTC/USD on {n}")]}
        for n, usd in enumerate((120_000, 60_000, 60_010, 59_990))
    ]
    chains[0]["WBTC/BTC"] = [price("WBTC/BTC", 99_900_000)]
    found, problems = price_all(merged(chains))
    assert (found["BTC"].price_e12, found["BTC"].sources) == (60_000 * E12, 3)
    assert (found["WBTC"].price_e12, found["WBTC"].debt_e12) == (59_940 * E12, 59_940 * E12)
    assert found["WBTC"].sources == 1
    assert [type(p) for p in problems] == [DeviationError]


def test_one_leg_speaks_once_however_many_feeds_go_through_it() -> None:
    """Three WBTC/BTC feeds over a single price of BTC are one voice, which does not outvote WBTC/USD."""
    cross: list[FeedPrice | PriceError] = [price("WBTC/BTC", E8, source=f"c{n}") for n in range(3)]
    feeds: dict[str, list[FeedPrice | PriceError]] = {
        "WBTC/BTC": cross,
        "BTC/USD": [price("BTC/USD", 120_000 * E8)],
    }
    assert quote_of("WBTC", feeds).sources == 1
    feeds["WBTC/USD"] = [price("WBTC/USD", 60_000 * E8)]
    found = quote_of("WBTC", feeds)
    assert (found.stale, found.debt_e12) == (True, 120_000 * E12)
    feeds["WBTC/USD"] = [price("WBTC/USD", 120_000 * E8)]
    assert quote_of("WBTC", feeds).sources == 2


def test_a_quote_currency_without_its_reserve_values_no_collateral() -> None:
    feeds = {"X/FUND": [price("X/FUND", 2 * E8)], "FUND/USD": [price("FUND/USD", E8)]}
    found, _ = price_all(feeds, {"FUND": [None]})
    assert (found["X"].stale, found["FUND"].reserved, found["X"].reserved) == (False, True, False)
    found, _ = price_all(feeds, {"FUND": [None, ReserveError("short")]})
    assert (found["X"].stale, found["X"].reason, found["X"].debt_e12) == (True, "short", 2 * E12)


def test_prices_follow_through_several_currencies_and_never_in_a_circle() -> None:
    """wstETH in stETH in ETH in USD; A in B and B in A have no price unless each has its own."""
    feeds = {
        "wstETH/stETH": [price("wstETH/stETH", 120_000_000)],
        "stETH/ETH": [price("stETH/ETH", 99_000_000)],
        "ETH/USD": [price("ETH/USD", 3_000 * E8)],
    }
    assert quote_of("wstETH", feeds).price_e12 == 3_564 * E12
    circle = {"A/B": [price("A/B", E8)], "B/A": [price("B/A", E8)]}
    found, problems = price_all(circle)
    assert not found
    assert sorted(str(p)[:21] for p in problems) == [
        "A/B leads back to A wi",
        "B/A leads back to B wi",
    ] or all("leads back to" in str(p) for p in problems)
    found, problems = price_all(circle | {"A/USD": [price("A/USD", 5 * E8)]})
    assert set(found) == {"A"}
    assert len(problems) == 2


def test_the_age_of_a_product_is_that_of_the_leg_that_ends_first() -> None:
    """100 + 50 ends before 90 + 100: good until 150."""
    feeds = {
        "X/ETH": [FeedPrice("X/ETH", "x", E8, 8, 100, max_age_s=50)],
        "ETH/USD": [FeedPrice("ETH/USD", "e", E8, 8, 90, max_age_s=100)],
    }
    found = quote_of("X", feeds)
    assert (found.as_of, found.max_age_s) == (90, 60)


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(1, 10**18), st.integers(0, 10**16)), min_size=1, max_size=4),
)
def test_a_cross_price_is_bounded_by_its_legs(usd: list[int], cross: list[tuple[int, int]]) -> None:
    """Collateral at most the highest answer times the low leg, debts at least the lowest times the high leg."""
    feeds: dict[str, list[FeedPrice | PriceError]] = {
        "ETH/USD": [price("ETH/USD", p * E8, source=f"e{n}") for n, p in enumerate(usd)],
        "X/ETH": [price("X/ETH", p, 18, source=f"x{n}", high=p + w) for n, (p, w) in enumerate(cross)],
    }
    found, _ = price_all(feeds)
    if "X" not in found:
        return
    eth, crossed = found["ETH"], found["X"]
    assert crossed.price_e12 * 10**18 <= max(p for p, _ in cross) * eth.price_e12
    assert crossed.debt_e12 * 10**18 >= min(p + w for p, w in cross) * eth.debt_e12
    assert crossed.price_e12 <= crossed.debt_e12
    assert crossed.stale or not eth.stale
    assert crossed.sources <= max(1, min(eth.sources, len(cross)))


def test_a_rate_is_the_lowest_for_collateral_and_the_highest_for_debts() -> None:
    """Over all chains; an unfit one has no say beside good ones; different tokens behind one symbol have no rate."""
    one, two = RateQuote(1_050_000_000_000, 90), RateQuote(1_200_000_000_000, 100, high_e12=1_200_000_000_001)
    old = RateQuote(9 * E12, 50, stale=True, reason="down")
    made, problems = combine_rates([{"wstETH": one}, {"wstETH": two}, {"wstETH": old}])
    assert not problems
    assert made["wstETH"].rate_e12 == 1_050_000_000_000
    assert made["wstETH"].debt_e12 == 1_200_000_000_001
    assert (made["wstETH"].as_of, made["wstETH"].stale) == (90, False)
    made, _ = combine_rates([{"wstETH": old}])
    assert (made["wstETH"].stale, made["wstETH"].reason) == (True, "down")
    made, problems = combine_rates(
        [{"V": RateQuote(E12, 1, tokens=("USDC",))}, {"V": RateQuote(E12, 1, tokens=("DAI",))}]
    )
    assert not made
    assert "the rate of V cannot be used: it stands for DAI and USDC on different chains" in str(problems[0])


@given(st.lists(st.integers(10**12, 10**12 + 10**10), min_size=1, max_size=6))
def test_the_median_is_one_of_the_sources(prices: list[int]) -> None:
    """Of an even number the lower middle values collateral and the upper one debts."""
    quote, problems = combine("X", [SourcePrice("X", str(n), p, n) for n, p in enumerate(prices)])
    ranked = sorted(prices)
    assert not problems
    assert quote.price_e12 == ranked[(len(ranked) - 1) // 2]
    assert quote.debt_e12 == ranked[len(ranked) // 2]
    assert (quote.as_of, quote.stale, quote.sources) == (0, False, len(prices))


def test_an_outlier_is_left_out_while_most_agree() -> None:
    """Two of three agree: the third is named and not counted. Two that disagree: neither is used."""
    near, also, far = (SourcePrice("X", name, p, 50) for name, p in (("a", 100), ("b", 101), ("c", 200)))
    quote, problems = combine("X", [near, far, also])
    assert (quote.price_e12, quote.debt_e12, quote.sources, quote.stale) == (100, 101, 2, False)
    assert [type(p) for p in problems] == [DeviationError]
    assert "from c is 200e-12" in str(problems[0])
    quote, problems = combine("X", [near, far])
    assert (quote.stale, quote.debt_e12) == (True, 200)
    assert quote.reason == str(problems[0])
    assert "deviate by 1000000e-6" in quote.reason


def test_a_stale_source_never_speaks_beside_a_fresh_one() -> None:
    fresh, old, older = (
        SourcePrice("X", "a", 100, 50),
        SourcePrice("X", "b", 900, 40, "old"),
        SourcePrice("X", "c", 800, 30, "older"),
    )
    quote, problems = combine("X", [old, fresh, older])
    assert (quote.price_e12, quote.as_of, quote.stale, problems) == (100, 50, False, [])
    quote, _ = combine("X", [older, old])
    assert (quote.price_e12, quote.as_of, quote.stale, quote.reason) == (900, 40, True, "old")
    unsure = SourcePrice("X", "d", 850, 10, "unsure", high_e12=950)
    quote, _ = combine("X", [older, old, unsure])
    assert (quote.debt_e12, quote.stale, quote.reason) == (950, True, "unsure")
    with pytest.raises(NoSourceError, match="no price of X"):
        combine("X", [])
