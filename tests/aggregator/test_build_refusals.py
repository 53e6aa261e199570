"""What a build refuses: quotes of another time, options that end too soon, charges above the mark, a wrong asset."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aggregator.margin.native import evaluate
from aggregator.model.errors import PolicyError, PriceError
from aggregator.model.policy import InstrumentKind, Level, Policy
from aggregator.policy.build import build_policy
from aggregator.policy.derivatives import check_outlived, with_dates
from aggregator.policy.quotes import (
    CLOCK_SKEW_S,
    MAX_AGE_S,
    EarlyQuoteError,
    PriceQuote,
    RateQuote,
    StaleQuoteError,
)
from aggregator.policy.spec import PolicySpec, parse_spec
from tests.aggregator.markets import AS_OF, E8, E12, SPECS, prices, rates, spec

CHAIN = "eip155:31337001"
DAY_S = 86_400


def edited(old: str, new: str) -> PolicySpec:
    text = (SPECS / "demo.toml").read_text()
    assert old in text
    return parse_spec(text.replace(old, new, 1))


def zeroing(**changes: PriceQuote) -> tuple[Policy, dict[str, str]]:
    zeroed: dict[str, str] = {}
    quotes = prices(**changes)
    made = build_policy(
        spec(), quotes, rates(), as_of=AS_OF, epoch=1, zero_stale_collateral=True, zeroed=zeroed
    )
    return made, zeroed


@pytest.mark.parametrize(
    ("quote", "kind", "words"),
    [
        (PriceQuote(E12, AS_OF - MAX_AGE_S), None, ""),
        (
            PriceQuote(E12, AS_OF - MAX_AGE_S - 1),
            StaleQuoteError,
            "90001 s before the policy, and 90000 s are",
        ),
        (PriceQuote(E12, AS_OF - 100, max_age_s=100), None, ""),
        (
            PriceQuote(E12, AS_OF - 101, max_age_s=100),
            StaleQuoteError,
            "101 s before the policy, and 100 s are",
        ),
        (PriceQuote(E12, AS_OF - 92 * DAY_S, max_age_s=92 * DAY_S), None, ""),
        (PriceQuote(E12, AS_OF + CLOCK_SKEW_S), None, ""),
        (
            PriceQuote(E12, AS_OF + CLOCK_SKEW_S + 1),
            EarlyQuoteError,
            "61 s after the policy; build the policy of a",
        ),
    ],
)
def test_a_price_of_another_time_values_no_collateral(
    quote: PriceQuote, kind: type[PriceError] | None, words: str
) -> None:
    """Older than its source allows, or from after the policy: refused, or worth nothing with the debt raised."""
    if kind is None:
        build_policy(spec(), prices(USDC=quote), rates(), as_of=AS_OF, epoch=1)
        return
    with pytest.raises(kind, match=words):
        build_policy(spec(), prices(USDC=quote), rates(), as_of=AS_OF, epoch=1)
    made, zeroed = zeroing(USDC=quote)
    assert made.by_symbol[f"USDC@{CHAIN}"].mark_e12 == 0
    assert made.by_symbol[f"USDC-DEBT@{CHAIN}"].mark_e12 == E12 * 11 // 10
    assert words in zeroed["the price of USDC"]


def test_a_rate_of_another_time_is_refused_and_says_why_it_is_unfit() -> None:
    for quote, words in (
        (
            RateQuote(E12, AS_OF - 61, max_age_s=60),
            "the rate of wstETH is stale, from 1799999939: 61 s before",
        ),
        (RateQuote(E12, AS_OF + 61), "the rate of wstETH is from 1800000061, 61 s after the policy"),
        (
            RateQuote(E12, AS_OF, stale=True, reason="the sequencer is down"),
            "for debts only: the sequencer is down",
        ),
    ):
        with pytest.raises(PriceError, match=words):
            build_policy(spec(), prices(), rates(wstETH=quote), as_of=AS_OF, epoch=1)


def test_no_policy_outlives_what_it_prices() -> None:
    """An hour and a second before the options end, a policy of an hour is fine; one of a day is not."""
    end = int(datetime(2027, 2, 14, 8, tzinfo=UTC).timestamp())
    dated = with_dates(spec(), AS_OF)
    for lifetime_s, as_of, words in (
        (3600, end - 3601, ""),
        (3600, end - 3600, "the option ETH-20270214 ends on 2027-02-14 at 08:00 UTC"),
        (
            DAY_S,
            end - 3700,
            "is in force until 2027-02-15 06:58:20 UTC; remove this expiry from the spec or shorten",
        ),
    ):
        quotes = {name: replace(quote, as_of=as_of) for name, quote in prices().items()}
        moved = {name: replace(quote, as_of=as_of) for name, quote in rates().items()}
        rules = replace(dated, lifetime_s=lifetime_s)
        if not words:
            assert build_policy(rules, quotes, moved, as_of=as_of, epoch=1)
            continue
        with pytest.raises(PolicyError, match=words):
            build_policy(rules, quotes, moved, as_of=as_of, epoch=1)
        futures = tuple(replace(one, expiries=dated.options[0].expiries) for one in dated.futures)
        rules = replace(rules, futures=futures, options=())
        with pytest.raises(PolicyError, match=r"the future ETH-20270214 ends on"):
            build_policy(rules, quotes, moved, as_of=as_of, epoch=1)
    check_outlived("x", datetime(2027, 2, 14, tzinfo=UTC).date(), end - 1)


@pytest.mark.parametrize(
    ("old", "new", "symbol"),
    [
        ("{ im = 0.15, mm = 0.12 }", "{ im = 0.80, mm = 0.50 }", "ETH@eip155:31337001"),
        ("addon_im = 0.004", "addon_im = 0.7", "ETH@eip155:31337002"),
        ("addon_im = 0.02\n", "addon_im = 0.7\n", "wstETH@eip155:31337001"),
        ("liquidity_im = 0.001", "liquidity_im = 0.98", "USDC@eip155:31337001"),
    ],
)
def test_a_spec_in_which_more_collateral_lowers_the_excess_is_refused(
    old: str, new: str, symbol: str
) -> None:
    """Last tier, scan and add-ons together above the whole value."""
    with pytest.raises(PolicyError, match=f"{symbol} is worth .* lower them until more of it never lowers"):
        build_policy(edited(old, new), prices(), rates(), as_of=AS_OF, epoch=1)


@pytest.mark.parametrize("name", ["demo", "standard"])
def test_more_collateral_never_lowers_the_excess(name: str) -> None:
    """Each token of the shipped policies, from one unit to its limit, at both levels."""
    made = build_policy(spec(name), prices(), rates(), as_of=AS_OF, epoch=1)
    for instrument in made.instruments:
        if instrument.kind is not InstrumentKind.SPOT:
            continue
        for level in Level:
            before = 0
            for n in range(12):
                held = {instrument.id: instrument.max_quantity_e8 >> 2 * (11 - n)}
                after = evaluate(made, held, level).excess_e6
                assert after >= before
                before = after


def test_a_wrapper_that_its_market_put_below_its_charges_counts_for_nothing() -> None:
    """At 2 % of its rate the last tier of ETH is 7.5 times its price: no market move stops the policy."""
    rules = edited('name = "wstETH"\nasset = "ETH"', 'name = "wstETH"\nasset = "ETH"\nprice = "wstETH"')
    zeroed: dict[str, str] = {}
    quotes = prices(wstETH=PriceQuote(74 * E12, AS_OF))
    made = build_policy(rules, quotes, rates(), as_of=AS_OF, epoch=1, zeroed=zeroed)
    token = made.by_symbol[f"wstETH@{CHAIN}"]
    assert (token.mark_e12, token.unit_e6, token.addon_im.long_e12) == (0, 0, 0)
    assert zeroed[token.symbol].startswith("its market is at 74 USD and holding one more costs up to ")
    assert evaluate(made, {token.id: E8}, Level.IM).excess_e6 == 0
    assert evaluate(made, {token.id: -E8}, Level.IM).excess_e6 < -3_703 * 10**6


@pytest.mark.parametrize(
    ("tokens", "asset", "words"),
    [
        (("USDC",), "USDC", ""),
        (("USDC",), "ETH", "the wrapper sUSDC holds USDC and the spec says ETH; correct one of them"),
        (("DAI", "USDC"), "USDC", "holds DAI and USDC"),
        (("WETH",), "ETH", ""),
        (("stETH",), "ETH", "holds stETH"),
        ((), "ETH", ""),
    ],
)
def test_a_vault_of_another_asset_than_the_spec_says_is_refused(
    tokens: tuple[str, ...], asset: str, words: str
) -> None:
    """A plain form of the asset passes, one with an add-on or a market does not; a staked token does not say."""
    text = (SPECS / "demo.toml").read_text()
    more = "".join(
        f'[[wrappers]]\nname = "{name}"\nasset = "ETH"\nfixed_rate = 1\nchains = []\n'
        f"addon_im = {rate}\naddon_mm = 0.0\n"
        for name, rate in (("WETH", 0.0), ("stETH", 0.02))
    )
    rules = parse_spec(
        text.replace('name = "sUSDC"\nasset = "USDC"', f'name = "sUSDC"\nasset = "{asset}"') + more
    )
    quotes = rates(sUSDC=RateQuote(1_050_000_000_000, AS_OF, tokens=tokens))
    if words:
        with pytest.raises(PolicyError, match=words):
            build_policy(rules, prices(), quotes, as_of=AS_OF, epoch=1)
    else:
        assert build_policy(rules, prices(), quotes, as_of=AS_OF, epoch=1)


@pytest.mark.parametrize(
    ("scan_range", "pool_range", "fits"),
    [(0.16, 0.48, True), (0.16, 0.47, False), (0.2, 0.5, False), (0.2, 0.6, True)],
)
def test_the_range_of_liquidity_positions_covers_every_scenario(
    scan_range: float, pool_range: float, fits: bool
) -> None:
    """Three scan ranges down is the largest fall of a token against the dollar."""
    text = (SPECS / "demo.toml").read_text().replace("scan_range = 0.16", f"scan_range = {scan_range}")
    text = text.replace("correlations =", f"accept = {{ pool_range = {pool_range} }}\ncorrelations =", 1)
    if fits:
        parse_spec(text)
        return
    with pytest.raises(
        PolicyError, match=r"parts from others by [0-9]+e-6 under 'extreme -3 scan ranges, vol up'"
    ):
        parse_spec(text)
