"""Building a policy: exact marks and add-ons, stale prices, limits within W1, and specs refused by key."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.model.errors import InputError, PolicyError, PriceError
from aggregator.model.policy import Addon, InstrumentKind, Level, Line, Policy
from aggregator.model.units import INTERCEPT_BOUND, POSITION_VALUE_BOUND
from aggregator.policy import check_policy, encode_policy, parse_policy
from aggregator.policy.build import build_policy, limit_groups
from aggregator.policy.check import position_factor_e12
from aggregator.policy.derivatives import years_to
from aggregator.policy.quotes import PriceQuote, RateQuote
from aggregator.policy.spec import Strikes, parse_spec
from tests.aggregator.markets import AS_OF, E12, SPECS, health, policy, prices, rates, spec

SYMBOL = re.compile(r"USD|[A-Za-z]+(-DEBT)?@eip155:[0-9]+|[A-Z]+-PERP|[A-Z]+-[0-9]{8}(-[0-9.]+-[CP])?")


@pytest.mark.parametrize("name", ["demo", "standard"])
def test_the_shipped_specs_build_policies_that_keep_every_rule(name: str) -> None:
    """Both files build, check, round-trip, and name their instruments as the formats say."""
    built = policy(name)
    check_policy(built)
    assert parse_policy(encode_policy(built)) == built
    assert all(SYMBOL.fullmatch(i.symbol) for i in built.instruments)
    assert [i.id for i in built.instruments] == list(range(1, len(built.instruments) + 1))
    assert (built.as_of, built.expires) == (AS_OF, AS_OF + 3600)


def test_building_is_deterministic() -> None:
    """The same spec and quotes give the same bytes, so anyone can rebuild a published policy."""
    again = build_policy(spec(), dict(reversed(prices().items())), rates(), as_of=AS_OF, epoch=1)
    assert encode_policy(again) == encode_policy(policy())


def test_marks_units_and_addons_by_hand() -> None:
    """ETH at its price; wstETH at price x rate rounded down with the unit rounded up; add-ons are rates of the mark."""
    by = policy().by_symbol
    eth = by["ETH@eip155:31337002"]
    assert (eth.mark_e12, eth.unit_e6, eth.group_id, eth.class_id) == (3000 * E12, 10**6, 1, 1)
    assert (eth.addon_im, eth.addon_mm) == (Addon(12 * E12, 12 * E12), Addon(6 * E12, 6 * E12))
    wrapped = by["wstETH@eip155:31337003"]
    assert wrapped.mark_e12 == 3_703_703_670_369_000
    assert wrapped.unit_e6 == 1_234_568
    assert wrapped.addon_im.long_e12 == -(-wrapped.mark_e12 * 26_000 // 10**6)
    debt = by["USDC-DEBT@eip155:31337001"]
    assert (debt.kind, debt.group_id, debt.addon_im) == (InstrumentKind.DEBT, 2, Addon(E12, E12 // 1000))
    share = by["sUSDC@eip155:31337001"]
    assert (share.mark_e12, share.addon_im.long_e12) == (1_050_000_000_000, 11_550_000_000)
    assert by["USD"].mark_e12 == E12
    assert by["ETH-PERP"].mark_e12 == 3000 * E12
    assert by["ETH-20270415"].mark_e12 > 3000 * E12


def test_a_wrapper_counts_at_its_own_market_where_that_is_lower() -> None:
    """A depegged staking token is worth what it sells for, never more than what it redeems for."""
    wrapper = replace(spec().wrappers[0], price="wstETH")
    rules = replace(spec(), wrappers=(wrapper, spec().wrappers[1]))
    for market, expected in ((3500 * E12, 3500 * E12), (3900 * E12, 3_703_703_670_369_000)):
        built = build_policy(rules, prices(wstETH=PriceQuote(market, AS_OF)), rates(), as_of=AS_OF, epoch=1)
        assert built.by_symbol["wstETH@eip155:31337001"].mark_e12 == expected


@pytest.mark.parametrize("quote", [None, PriceQuote(3000 * E12, AS_OF - 9999, stale=True)])
def test_a_stale_or_missing_price_stops_the_build(quote: PriceQuote | None) -> None:
    """Unless the caller says otherwise, nothing is built on it."""
    with pytest.raises(
        PriceError, match=r"the price of ETH is (missing: no network|stale, from 1799990001; refresh it)"
    ):
        build_policy(spec(), prices(ETH=quote), rates(), as_of=AS_OF, epoch=1)
    with pytest.raises(PriceError, match="the price of USDC"):
        build_policy(spec(), prices(USDC=quote), rates(), as_of=AS_OF, epoch=1)


def stale_build(**changes: PriceQuote | None) -> Policy:
    return build_policy(spec(), prices(**changes), rates(), as_of=AS_OF, epoch=1, zero_stale_collateral=True)


def test_stale_collateral_counts_zero_and_its_derivatives_are_left_out() -> None:
    """No value, no risk, no netting; whoever holds a perp on it is told by name; the other ids stay."""
    built = stale_build(ETH=PriceQuote(3000 * E12, 0, stale=True))
    for name in ("ETH", "wstETH"):
        dead = built.by_symbol[f"{name}@eip155:31337001"]
        assert (dead.mark_e12, dead.unit_e6, set(dead.risk_e12)) == (0, 0, {0})
        assert dead.addon_im.long_e12 == 0
        assert dead.id == policy().by_symbol[dead.symbol].id
    assert "BTC-PERP" in built.by_symbol
    assert built.by_symbol["BTC-PERP"].id == policy().by_symbol["BTC-PERP"].id
    with pytest.raises(InputError, match="ETH-PERP is not priced"):
        health({"ETH-PERP": 1.0}, under=built)
    assert health({"ETH@eip155:31337001": 5.0}, under=built).excess_e6 == 0
    assert health({"ETH@eip155:31337001": -5.0}, under=built).excess_e6 == -5 * 3300 * 10**6


def test_a_stale_debt_keeps_its_last_price_raised() -> None:
    """10 % above the last price, in value and in the haircut's short side; the collateral beside it counts zero."""
    built = stale_build(USDC=PriceQuote(E12, 0, stale=True))
    assert built.by_symbol["USDC-DEBT@eip155:31337001"].mark_e12 == 1_100_000_000_000
    both = health({"USDC-DEBT@eip155:31337001": -100.0, "USDC@eip155:31337001": 100.0}, under=built)
    assert both.equity_e20 == -110 * 10**20
    assert both.groups[0].net_e14 == -100 * 10**14
    assert both.groups[0].charge_e6 == 1_100_000


def test_a_debt_without_any_price_is_left_out_and_refused_by_name() -> None:
    """It cannot be valued, so an account that owes it cannot be either."""
    built = stale_build(USDC=None)
    assert "USDC-DEBT@eip155:31337001" not in built.by_symbol
    with pytest.raises(InputError, match="USDC-DEBT@eip155:31337001 is not priced"):
        health({"USDC-DEBT@eip155:31337001": -1.0}, under=built)


def test_a_stale_rate_counts_the_wrapper_as_zero() -> None:
    """The asset itself stays good."""
    quotes = rates(wstETH=RateQuote(E12, 0, stale=True))
    with pytest.raises(PriceError, match="the rate of wstETH is stale"):
        build_policy(spec(), prices(), quotes, as_of=AS_OF, epoch=1)
    built = build_policy(spec(), prices(), quotes, as_of=AS_OF, epoch=1, zero_stale_collateral=True)
    assert built.by_symbol["wstETH@eip155:31337001"].mark_e12 == 0
    assert built.by_symbol["ETH@eip155:31337001"].mark_e12 == 3000 * E12


@pytest.mark.parametrize("price", [0, -1, 2**80])
def test_impossible_quotes_are_refused(price: int) -> None:
    """A price or rate of zero, below, or beyond 2^80 is a broken feed."""
    with pytest.raises(PriceError, match="check its feed"):
        build_policy(spec(), prices(ETH=PriceQuote(price, AS_OF)), rates(), as_of=AS_OF, epoch=1)
    with pytest.raises(PriceError, match="check its contract"):
        build_policy(spec(), prices(), rates(sUSDC=RateQuote(price, AS_OF)), as_of=AS_OF, epoch=1)


@settings(max_examples=20)
@given(st.integers(5, 16), st.integers(5, 16), st.sampled_from([1, 10**6, 10**15]))
def test_limits_keep_every_bound_at_any_price(eth_power: int, usdc_power: int, limit: int) -> None:
    """From 1e-7 USD to 10 000 USD a unit and any USD limit, the built policy passes its own check."""
    quotes = prices(ETH=PriceQuote(10**eth_power, AS_OF), USDC=PriceQuote(10**usdc_power, AS_OF))
    rules = replace(spec(), max_position_usd=limit, options=())
    built = build_policy(rules, quotes, rates(), as_of=AS_OF, epoch=1)
    for instrument in built.instruments:
        assert instrument.max_quantity_e8 * position_factor_e12(instrument) < POSITION_VALUE_BOUND


def test_a_groups_limits_share_its_bound() -> None:
    """Two members at 2^80 - 1 units and a slope of 2^60 reach 2 x 2^160: each is cut to half of the bound."""
    group = replace(policy().groups[0], lines_im=(Line(2**60, 0), *[Line(0, 0)] * 5))
    eth = replace(policy().by_symbol["ETH@eip155:31337001"], max_quantity_e8=2**80 - 1, mark_e12=0)
    other = replace(eth, id=4000, symbol="other", group_id=0)
    idle = replace(eth, id=4001, symbol="idle", unit_e6=0)
    cut = limit_groups([eth, replace(eth, id=3), other, idle], [group])
    assert 2 * cut[0].max_quantity_e8 * 10**6 * 2**60 < INTERCEPT_BOUND
    assert 2 * (cut[0].max_quantity_e8 + 1) * 10**6 * 2**60 >= INTERCEPT_BOUND
    assert cut[1].max_quantity_e8 == cut[0].max_quantity_e8
    assert cut[2:] == (other, idle)


def test_a_nearly_worthless_wrapper_cannot_outgrow_its_group() -> None:
    """At 1e-9 USD a token a USD limit alone would let its quantity of ETH leave the circuit's range."""
    wrapper = replace(spec().wrappers[0], price="wstETH")
    rules = replace(spec(), wrappers=(wrapper, spec().wrappers[1]))
    built = build_policy(rules, prices(wstETH=PriceQuote(1000, AS_OF)), rates(), as_of=AS_OF, epoch=1)
    cheap = built.by_symbol["wstETH@eip155:31337001"]
    assert cheap.max_quantity_e8 < 2**80 - 1
    check_policy(built)


def test_the_long_addon_of_a_cheap_option_stops_at_its_mark() -> None:
    """A call at 10 000 costs less than 0.2 % of the index: holding it can lose all of it and no more."""
    strikes = Strikes((10_000 * 10**8,), (), 0)
    rules = replace(spec(), options=(replace(spec().options[0], strikes=strikes),))
    call = build_policy(rules, prices(), rates(), as_of=AS_OF, epoch=1).by_symbol["ETH-20270214-10000-C"]
    assert call.addon_im.long_e12 == call.mark_e12 < 6 * E12


def test_every_account_within_its_limits_can_be_evaluated() -> None:
    """All instruments at once at their bounds, either sign, stay within the bounds of the claims."""
    for sign in (1, -1):
        held = {i.symbol: sign * i.max_quantity_e8 / 10**8 for i in policy().instruments}
        for level in Level:
            assert health(held, level).requirement_e6 > 0


def test_options_follow_the_index_by_moneyness_and_step() -> None:
    """0.7 x 3000 = 2100 and 1.1 x 3000 = 3300 at a step of 50; BTC at a step of 1000."""
    symbols = policy("standard").by_symbol
    assert "ETH-20270214-2100-P" in symbols
    assert "ETH-20270214-3300-C" in symbols
    assert "BTC-20270122-66000-C" in symbols


def test_an_expiry_within_the_hour_is_refused() -> None:
    """08:00 UTC of its day is when an option ends."""
    today = datetime.fromtimestamp(AS_OF, UTC).date()
    with pytest.raises(PolicyError, match="is past or within the hour"):
        years_to(today, AS_OF)
    assert years_to(today, AS_OF - 2 * 3600) == pytest.approx(2 / 24 / 365)


def edited(old: str, new: str) -> str:
    text = (SPECS / "demo.toml").read_text()
    assert old in text
    return text.replace(old, new, 1)


REFUSED = [
    ("scan_factor_im = 1.2\n", "", "lacks the key 'scan_factor_im'"),
    ("scan_factor_im = 1.2", "scan_factr_im = 1.2\nscan_factor_im = 1.2", "scan_factr_im is not a known key"),
    ("scan_factor_im = 1.2", 'scan_factor_im = "1.2"', "scan_factor_im is not a number"),
    ("scan_factor_im = 1.2", "scan_factor_im = 1.2345678", "finer than 1/1000000"),
    ("scan_factor_im = 1.2", "scan_factor_im = 10.5", "scan_factor_im is above 10"),
    ("scan_factor_im = 1.2", "scan_factor_im = nan", "is not a number of ordinary size"),
    ("stale_debt_margin = 0.10", "stale_debt_margin = -0.10", "is negative"),
    ("lifetime_s = 3600", "lifetime_s = 0", "lifetime_s is not a whole number"),
    ("lifetime_s = 3600", "lifetime_s = true", "lifetime_s is not a whole number"),
    ("policy-spec/1", "policy-spec/9", "schema is not"),
    ('name = "demo"', "name = ", "is not TOML"),
    ('name = "demo"', 'name = ""', "name is not a non-empty text"),
    ('between = ["ETH", "BTC"]', 'between = ["ETH", "XYZ"]', "does not name two different classes"),
    ('between = ["ETH", "BTC"]', 'between = ["ETH", "ETH"]', "repeats an entry"),
    ("rho = 0.85", "rho = 1.01", "rho is above 1"),
    ("scan_range = 0.16", "scan_range = 0.4", "class ETH falls to zero under"),
    ("eta = 0.9", "eta = 9", "admits butterfly arbitrage"),
    ("volatility = 0.62", "volatility = 0.10", "admit calendar arbitrage"),
    ('[chains."eip155:31337001"]', '[chains."local one"]', "not a CAIP-2 chain id"),
    ("addon_mm = 0.002", "addon_mm = 0.2", "addon_mm is above addon_im"),
    ("up_to = 5000, im = 0.06", "up_to = 5000, im = 0.02", "lower rate|mm is above im"),
    ("up_to = 500,", "up_to = 50000,", "not above the tier before"),
    ("{ im = 0.15, mm = 0.12 }", "{ up_to = 9e9, im = 0.15, mm = 0.12 }", "must not have up_to"),
    ('debt_chains = ["eip155:31337001"', 'debt_chains = ["eip155:5"', "not among \\[chains\\]"),
    ('class = "ETH"\nchains', 'class = "XRP"\nchains', "asset ETH belongs to class XRP"),
    ('asset = "USDC"', 'asset = "USDX"', "wrapper sUSDC stands for USDX"),
    ('[[options]]\nclass = "ETH"', '[[options]]\nclass = "BTC"', "has options but no `smile`"),
    ("strikes = [2000, 2500", "strikes = [2500, 2000", "not a rising list"),
    ("days = [90]", "days = [0]", "not in the future"),
    ("days = [90]\n", "", "are both absent"),
    ('name = "WBTC"', 'name = "ETH"', "repeats an asset"),
]


@pytest.mark.parametrize(
    ("old", "new", "message"), REFUSED, ids=[f"{n}-{m}" for n, (_, _, m) in enumerate(REFUSED)]
)
def test_a_bad_spec_is_refused_by_key(old: str, new: str, message: str) -> None:
    """Parsing or building names what is wrong in one sentence."""
    with pytest.raises(PolicyError, match=message) as caught:
        build_policy(parse_spec(edited(old, new)), prices(), rates(), as_of=AS_OF, epoch=1)
    assert "\n" not in str(caught.value)


def test_correlations_must_fit_together() -> None:
    """A like B, B like C, but A nothing like C: no joint distribution has that."""
    text = (SPECS / "standard.toml").read_text().replace('"POL"], rho = 0.80', '"POL"], rho = 0.05')
    with pytest.raises(PolicyError, match="negative eigenvalue"):
        parse_spec(text.replace('"POL"], rho = 0.70', '"POL"], rho = 0.95'))


def test_a_spec_may_bring_its_own_scenarios() -> None:
    """32 rows replace the table; 31 are refused."""
    rows = "".join(f'[[scenarios]]\nname = "move {n}"\nspot = {(n - 16) / 16}\n' for n in range(32))
    text = (SPECS / "demo.toml").read_text()
    assert parse_spec(text + rows).scenarios[0].spot == -1
    with pytest.raises(PolicyError, match="31 rows"):
        parse_spec(text + rows.rpartition("[[scenarios]]")[0])


def test_every_key_of_the_demo_is_explained_in_the_standard_file() -> None:
    """The standard policy documents the format by example."""
    keys = re.compile(r"(?:^|[{,] ?)([a-z_]+) =", re.M)
    standard = (SPECS / "standard.toml").read_text()
    for key in set(keys.findall((SPECS / "demo.toml").read_text())):
        assert re.search(rf"\b{key}\b", standard), key
