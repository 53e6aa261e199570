"""Long at the lower, short at the higher: derivatives, rates of debts, units of groups, tokens beside their claim."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.margin.native import evaluate
from aggregator.model.policy import InstrumentKind, Level, Policy
from aggregator.policy.build import build_policy
from aggregator.policy.quotes import PriceQuote, RateQuote
from aggregator.policy.spec import PolicySpec, Strikes, parse_spec
from tests.aggregator.markets import AS_OF, E8, E12, SPECS, prices, rates, spec

CHAIN = "eip155:31337001"
DERIVATIVES = (InstrumentKind.PERP, InstrumentKind.FUTURE, InstrumentKind.OPTION)
WSTETH = 'name = "wstETH"\nasset = "ETH"'
ETH = 'name = "ETH"\nclass = "ETH"\nchains'


@cache
def spec_with_debts() -> PolicySpec:
    """The demo, with ETH and wstETH owed and a haircut on being short of ETH."""
    text = (SPECS / "demo.toml").read_text()
    owed = f'debt_chains = ["{CHAIN}"]\n'
    tiers = "short_tiers = [{ up_to = 500, im = 0.05, mm = 0.03 }, { im = 0.08, mm = 0.05 }]\n"
    text = text.replace(WSTETH, f"{WSTETH}\n{owed}", 1)
    return parse_spec(text.replace(ETH, f'name = "ETH"\nclass = "ETH"\n{owed}{tiers}chains', 1))


def built(rules: PolicySpec | None = None, wsteth: RateQuote | None = None, **changes: PriceQuote) -> Policy:
    found = rates(**({} if wsteth is None else {"wstETH": wsteth}))
    return build_policy(rules or spec(), prices(**changes), found, as_of=AS_OF, epoch=1)


def held_still() -> PolicySpec:
    """The demo with strikes that do not follow the index."""
    strikes = Strikes(tuple(k * E8 for k in (2000, 2500, 3000, 3500, 4000)), (), 0)
    return replace(spec(), options=tuple(replace(one, strikes=strikes) for one in spec().options))


def test_a_short_perp_owes_the_higher_price() -> None:
    """3,000 and 3,060: marked at 3,000, and a short one pays the 60 USD; its scan is that of 3,060."""
    made = built(ETH=PriceQuote(3000 * E12, AS_OF, high_e12=3060 * E12))
    perp = made.by_symbol["ETH-PERP"]
    upper = built(ETH=PriceQuote(3060 * E12, AS_OF)).by_symbol["ETH-PERP"]
    liquidity = 3060 * E12 // 500
    unscanned = max(high - low for low, high in zip(perp.risk_e12, upper.risk_e12, strict=True))
    assert perp.mark_e12 == 3000 * E12
    assert perp.addon_im.long_e12 == liquidity
    assert perp.addon_im.short_e12 == liquidity + 60 * E12 + -(-unscanned * 12 // 10)
    assert perp.addon_mm.short_e12 == liquidity // 2 + 60 * E12 + unscanned
    plain = built().by_symbol["ETH-PERP"]
    assert plain.addon_im.long_e12 == plain.addon_im.short_e12


@settings(max_examples=15, deadline=None)
@given(st.integers(1_000 * E12, 5_000 * E12), st.integers(0, 200_000))
def test_no_side_of_a_derivative_is_better_off_than_at_either_price(low: int, wider_e6: int) -> None:
    """A long is worth at most what it is at either price, and the excess of a short is at most that at either."""
    high = low + low * wider_e6 // 10**6
    rules = held_still()
    between = built(rules, ETH=PriceQuote(low, AS_OF, high_e12=high))
    ends = [built(rules, ETH=PriceQuote(price, AS_OF)) for price in (low, high)]
    for instrument in between.instruments:
        if instrument.kind not in DERIVATIVES or instrument.underlying != "ETH":
            continue
        for end in ends:
            other = end.by_symbol[instrument.symbol]
            assert instrument.mark_e12 <= other.mark_e12
            for level in Level:
                short = evaluate(between, {instrument.id: -7 * E8}, level).excess_e6
                assert short <= evaluate(end, {other.id: -7 * E8}, level).excess_e6 + 1


def test_a_long_put_is_worth_what_it_is_at_the_higher_price() -> None:
    """552.17 at 3,000 and 505.93 at 3,060: 505.93 for the holder, 552.17 owed by the writer."""
    name = "ETH-20270214-3500-P"
    put = built(ETH=PriceQuote(3000 * E12, AS_OF, high_e12=3060 * E12)).by_symbol[name]
    at_low = built().by_symbol[name].mark_e12
    at_high = built(ETH=PriceQuote(3060 * E12, AS_OF)).by_symbol[name].mark_e12
    assert at_high < at_low
    assert put.mark_e12 == at_high
    assert put.addon_im.short_e12 - put.addon_im.long_e12 >= at_low - at_high


def test_a_debt_in_a_wrapper_follows_the_highest_rate_rounded_up() -> None:
    """1.05 on one chain and 1.2 on another: collateral at 3,150, debts at 3,600; 1.23..4567 owed is not 1.23..."""
    symbol = f"wstETH-DEBT@{CHAIN}"
    made = built(spec_with_debts(), RateQuote(1_050_000_000_000, AS_OF, high_e12=1_200_000_000_000)).by_symbol
    assert made[f"wstETH@{CHAIN}"].mark_e12 == 3_150 * E12
    assert (made[symbol].mark_e12, made[symbol].unit_e6) == (3_600 * E12, 1_200_000)
    true = Fraction(12_345_678_901_234_567, 10**16) * 3000
    rate = RateQuote(1_234_567_890_123, AS_OF, high_e12=1_234_567_890_124)
    assert Fraction(built(spec_with_debts(), rate).by_symbol[symbol].mark_e12, E12) >= true


@settings(max_examples=40, deadline=None)
@given(
    st.integers(E12, 2 * E12),
    st.integers(0, 10**9),
    st.integers(0, 10**5),
    st.integers(-(10**5), 10**5),
    st.booleans(),
)
def test_the_rounding_of_a_unit_is_never_in_the_holders_favour(
    rate: int, wider: int, wrapped: int, plain: int, owed: bool
) -> None:
    """Net long or net short: charges are at least what M4 asks of the exact quantity of ETH, at either rate."""
    made = built(spec_with_debts(), RateQuote(rate, AS_OF, high_e12=rate + wider))
    by, net = made.by_symbol, Fraction(plain)
    positions = {by[f"ETH@{CHAIN}" if plain >= 0 else f"ETH-DEBT@{CHAIN}"].id: plain * E8}
    token = by[f"wstETH-DEBT@{CHAIN}" if owed else f"wstETH@{CHAIN}"]
    positions[token.id] = (-wrapped if owed else wrapped) * E8
    for level in Level:
        paid = evaluate(made, positions, level)
        charged = Fraction(paid.groups[0].charge_e6, 10**6) + Fraction(
            sum(value.addon_e20 for value in paid.positions if value.instrument is token), 10**20
        )
        rates_paid = {Level.IM: 20_000, Level.MM: 12_000}[level]
        own = 0 if owed else Fraction(token.mark_e12 * rates_paid, E12 * 10**6) * wrapped
        for one in (rate, rate + wider) if owed else (rate,):
            exact = net + (-1 if owed else 1) * Fraction(one, E12) * wrapped
            lines = made.group_by_id[token.group_id].lines(level)
            asked = max(
                Fraction(line.slope_e12, E12) * exact + Fraction(line.intercept_e26, 10**26) for line in lines
            )
            assert charged >= max(asked, Fraction(0)) + own


def test_a_token_counts_at_the_lower_of_its_market_and_its_claim() -> None:
    """WBTC beside BTC: collateral at the lower, debts at the higher; either one unfit values no collateral."""
    text = (
        (SPECS / "demo.toml")
        .read_text()
        .replace('price = "BTC"', f'stands_for = "BTC"\ndebt_chains = ["{CHAIN}"]', 1)
    )
    rules = parse_spec(text)
    for market, low, high in ((57_000, 57_000, 60_000), (61_000, 60_000, 61_000)):
        made = built(rules, WBTC=PriceQuote(market * E12, AS_OF))
        assert made.by_symbol[f"WBTC@{CHAIN}"].mark_e12 == low * E12
        assert made.by_symbol[f"WBTC-DEBT@{CHAIN}"].mark_e12 == high * E12
        group = next(group for group in made.groups if group.name == "WBTC")
        assert group.lines_im[0].slope_e12 == low * E12 * 4 // 100
        assert made.by_symbol["BTC-PERP"].mark_e12 == 60_000 * E12
    quotes = prices(WBTC=PriceQuote(57_000 * E12, AS_OF, stale=True))
    made = build_policy(rules, quotes, rates(), as_of=AS_OF, epoch=1, zero_stale_collateral=True)
    assert made.by_symbol[f"WBTC@{CHAIN}"].mark_e12 == 0
    assert made.by_symbol[f"WBTC-DEBT@{CHAIN}"].mark_e12 == 57_000 * E12 * 11 // 10
    made = build_policy(rules, prices(WBTC=None), rates(), as_of=AS_OF, epoch=1, zero_stale_collateral=True)
    assert made.by_symbol[f"WBTC-DEBT@{CHAIN}"].mark_e12 == 66_000 * E12


def test_the_standard_policy_sees_each_depeg() -> None:
    """Every token that stands for another falls with its own market, 10 % down."""
    down = {"WBTC": 54_000, "cbBTC": 54_000, "stETH": 2_700, "wstETH": 3_300, "cbETH": 2_900}
    quotes = {name: PriceQuote(price * E12, AS_OF) for name, price in down.items()}
    made = build_policy(spec("standard"), prices(**quotes), rates(), as_of=AS_OF, epoch=1)
    for name, price in down.items():
        mark = next(i.mark_e12 for i in made.instruments if i.symbol == f"{name}@eip155:1")
        assert mark == price * E12


@pytest.mark.parametrize("stale", [False, True])
def test_a_negative_quantity_of_a_held_token_is_valued_as_a_debt(stale: bool) -> None:
    """Where a token that is held comes out negative all the same, it owes the price of debts, also while unfit."""
    quotes = prices(ETH=PriceQuote(3000 * E12, AS_OF, stale, high_e12=3100 * E12))
    made = build_policy(spec(), quotes, rates(), as_of=AS_OF, epoch=1, zero_stale_collateral=True)
    held = made.by_symbol[f"ETH@{CHAIN}"]
    owed = 3410 if stale else 3100
    assert evaluate(made, {held.id: -E8}, Level.IM).excess_e6 <= -owed * 10**6
