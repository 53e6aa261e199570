"""What stands for something else, priced to the digit: bands, demands, debts in wrappers, deposits, pools."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.model.errors import PolicyError, PriceError
from aggregator.model.policy import Addon, InstrumentKind, Policy
from aggregator.policy import check_policy
from aggregator.policy.build import build_policy
from aggregator.policy.quotes import (
    Demand,
    DepegError,
    FewSourcesError,
    MissingQuoteError,
    Peg,
    PriceQuote,
    Quotes,
    RateQuote,
    StaleQuoteError,
    UnreservedError,
)
from aggregator.policy.spec import PolicySpec, parse_spec
from tests.aggregator.markets import AS_OF, E12, SPECS, prices, rates

CHAIN = "eip155:31337001"
MORE = f"""
[[wrappers]]
name = "WETH"
asset = "ETH"
fixed_rate = 1
chains = ["{CHAIN}"]
debt_chains = ["{CHAIN}"]
addon_im = 0.0
addon_mm = 0.0

[[deposits]]
prefix = "a"
of = ["USDC", "WETH", "wstETH"]
chains = ["{CHAIN}"]
addon_im = 0.01
addon_mm = 0.005

[[pools]]
name = "UNI-USDC-WETH"
tokens = ["USDC", "WETH"]
chains = ["{CHAIN}"]
addon_im = 0.05
addon_mm = 0.03

[[pools]]
name = "UNI-WBTC-WETH"
tokens = ["WBTC", "WETH"]
chains = ["{CHAIN}"]
addon_im = 0.10
addon_mm = 0.06

[[pools]]
name = "UNI-WETH-wstETH"
tokens = ["WETH", "wstETH"]
chains = ["{CHAIN}"]
addon_im = 0.05
addon_mm = 0.03
"""
POOLS = {
    "UNI-USDC-WETH": RateQuote(2 * E12, AS_OF, tokens=("WETH", "USDC")),
    "UNI-WBTC-WETH": RateQuote(2 * E12, AS_OF, tokens=("WBTC", "WETH")),
    "UNI-WETH-wstETH": RateQuote(2 * E12, AS_OF, tokens=("WETH", "wstETH")),
}


def rules(more: str = MORE, old: str = "", new: str = "") -> PolicySpec:
    text = (SPECS / "demo.toml").read_text()
    assert old in text
    return parse_spec(text.replace(old, new, 1) + more)


def build(
    spec: PolicySpec | None = None,
    *,
    zero: bool = False,
    zeroed: dict[str, str] | None = None,
    pools: dict[str, RateQuote] | None = None,
    wsteth: RateQuote | None = None,
    **changes: PriceQuote | None,
) -> Policy:
    found = rates(**({} if wsteth is None else {"wstETH": wsteth})) | (POOLS if pools is None else pools)
    return build_policy(
        spec or rules(),
        prices(**changes),
        found,
        as_of=AS_OF,
        epoch=1,
        zero_stale_collateral=zero,
        zeroed=zeroed,
    )


def test_lending_deposits_and_debts_in_wrappers_by_hand() -> None:
    """aWETH is an ETH, awstETH its rate's worth, WETH-DEBT an ETH owed; all in ETH's group and class."""
    built = build()
    check_policy(built)
    by = built.by_symbol
    assert by[f"aUSDC@{CHAIN}"].mark_e12 == E12
    assert by[f"aWETH@{CHAIN}"].mark_e12 == 3000 * E12
    staked = by[f"awstETH@{CHAIN}"]
    assert staked.mark_e12 == 3_703_703_670_369_000
    assert (staked.unit_e6, staked.group_id, staked.class_id) == (1_234_568, 1, 1)
    assert staked.addon_im.long_e12 == -(-staked.mark_e12 * (20_000 + 10_000) // 10**6)
    debt = by[f"WETH-DEBT@{CHAIN}"]
    assert (debt.kind, debt.mark_e12, debt.unit_e6, debt.group_id) == (
        InstrumentKind.DEBT,
        3000 * E12,
        10**6,
        1,
    )
    assert debt.addon_im == Addon(3000 * E12, 0)
    assert set(debt.risk_e12) == set(by[f"ETH@{CHAIN}"].risk_e12)


def test_a_stale_price_reaches_everything_made_of_it() -> None:
    """ETH stale: tokens, wrappers, deposits and pools of it count zero; the debts of it are raised by 10 %, once."""
    built = build(zero=True, ETH=PriceQuote(3000 * E12, 0, stale=True)).by_symbol
    for name in ("ETH", "WETH", "aWETH", "awstETH", "UNI-USDC-WETH", "UNI-WBTC-WETH", "UNI-WETH-wstETH"):
        dead = built[f"{name}@{CHAIN}"]
        assert (dead.mark_e12, set(dead.risk_e12), dead.addon_im.long_e12) == (0, {0}, 0)
    assert built[f"WETH-DEBT@{CHAIN}"].mark_e12 == 3300 * E12
    assert built[f"aUSDC@{CHAIN}"].mark_e12 == E12


def test_a_debt_in_a_wrapper_follows_the_higher_of_its_values() -> None:
    """Rate x asset rounded up, its own market where that is higher; a stale rate raises it too."""
    spec = rules(
        "",
        'name = "wstETH"\nasset = "ETH"',
        f'name = "wstETH"\nasset = "ETH"\nprice = "wstETH"\ndebt_chains = ["{CHAIN}"]',
    )
    symbol = f"wstETH-DEBT@{CHAIN}"
    for market, expected in ((3500 * E12, 3_703_703_670_369_000), (3900 * E12, 3900 * E12)):
        quote = PriceQuote(market, AS_OF)
        assert build(spec, pools={}, wstETH=quote).by_symbol[symbol].mark_e12 == expected
    odd = RateQuote(1_000_000_000_001, AS_OF)
    assert (
        build(spec, pools={}, wsteth=odd, wstETH=PriceQuote(1, AS_OF), ETH=PriceQuote(1_000_001, AS_OF))
        .by_symbol[symbol]
        .mark_e12
        == 1_000_002
    )
    lost = build(spec, pools={}, zero=True, wstETH=None).by_symbol
    assert (lost[symbol].mark_e12, lost[f"wstETH@{CHAIN}"].mark_e12) == (
        -(-3_703_703_670_369_000 * 11 // 10),
        0,
    )
    old = RateQuote(E12, 0, stale=True)
    quotes = {"zero": True, "pools": {}, "wsteth": old, "wstETH": PriceQuote(E12, AS_OF)}
    built = build(spec, **quotes).by_symbol  # type: ignore[arg-type]
    assert (built[symbol].mark_e12, built[symbol].unit_e6) == (3300 * E12, 1_100_000)
    assert built[f"wstETH@{CHAIN}"].mark_e12 == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (MORE.replace('"USDC", "WETH", "wstETH"', '"USDC", "XYZ"'), "deposit aXYZ is made of XYZ"),
        (
            MORE.replace('tokens = ["USDC", "WETH"]', 'tokens = ["USDC"]'),
            "does not name two different tokens",
        ),
        (MORE.replace('"WBTC", "WETH"', '"WBTC", "XYZ"'), "pool UNI-WBTC-WETH is made of XYZ"),
        (MORE.replace("UNI-WBTC-WETH", "UNI-USDC-WETH"), "makes UNI-USDC-WETH@eip155:31337001 twice"),
        (MORE.replace('prefix = "a"', 'prefix = "a"\nof_all = true'), "of_all is not a known key"),
    ],
)
def test_a_bad_holding_is_refused(more: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        rules(more)


PEGGED = 'name = "USDC"\npeg = { low = 0.98, high = 1.01%s }'


def pegged(outside: str = "") -> PolicySpec:
    return rules("", 'name = "USDC"', PEGGED % outside)


@pytest.mark.parametrize(
    ("price", "collateral", "debt"),
    [
        (900_000_000_000, 900_000_000_000, 980_000_000_000),
        (980_000_000_000, 980_000_000_000, 980_000_000_000),
        (1_000_000_000_000, 1_000_000_000_000, 1_000_000_000_000),
        (1_010_000_000_001, 1_010_000_000_000, 1_010_000_000_001),
        (1_500_000_000_000, 1_010_000_000_000, 1_500_000_000_000),
    ],
)
def test_a_band_holds_collateral_down_and_debts_up(price: int, collateral: int, debt: int) -> None:
    """Collateral at min(price, top), debts at max(price, bottom); both with `bound`, the debts with either."""
    built = build(pegged(), pools={}, USDC=PriceQuote(price, AS_OF)).by_symbol
    assert built[f"USDC@{CHAIN}"].mark_e12 == collateral
    assert built[f"USDC-DEBT@{CHAIN}"].mark_e12 == debt
    assert built[f"sUSDC@{CHAIN}"].mark_e12 == collateral * 105 // 100
    refusing = pegged(', outside = "refuse"')
    inside = 980_000_000_000 <= price <= 1_010_000_000_000
    zeroed: dict[str, str] = {}
    strict = build(refusing, pools={}, zero=True, zeroed=zeroed, USDC=PriceQuote(price, AS_OF)).by_symbol
    assert strict[f"USDC@{CHAIN}"].mark_e12 == (collateral if inside else 0)
    assert strict[f"USDC-DEBT@{CHAIN}"].mark_e12 == debt
    assert bool(zeroed) is not inside
    if not inside:
        with pytest.raises(DepegError, match=r"outside its band of 0\.98 to 1\.01"):
            build(refusing, pools={}, USDC=PriceQuote(price, AS_OF))


def test_a_stale_pegged_debt_is_raised_from_the_bottom_of_the_band() -> None:
    """0.90, stale: 0.98 x 1.10 = 1.078 USD each."""
    built = build(pegged(), pools={}, zero=True, USDC=PriceQuote(900_000_000_000, 0, stale=True)).by_symbol
    assert built[f"USDC-DEBT@{CHAIN}"].mark_e12 == 1_078_000_000_000
    assert built[f"USDC@{CHAIN}"].mark_e12 == 0


@pytest.mark.parametrize(
    ("quote", "kind", "words"),
    [
        (None, MissingQuoteError, "is missing"),
        (PriceQuote(E12, 7, stale=True), StaleQuoteError, "is stale, from 7"),
        (
            PriceQuote(E12, 7, stale=True, reason="it is unsure"),
            StaleQuoteError,
            "for debts only: it is unsure",
        ),
        (
            PriceQuote(E12, AS_OF - 7, reserved=True),
            FewSourcesError,
            "1 agreeing sources and the spec asks for 2",
        ),
        (PriceQuote(E12, AS_OF - 7, sources=2), UnreservedError, "USDC has no proof of reserve"),
    ],
)
def test_each_unfit_quote_has_its_own_error_and_debts_go_on(
    quote: PriceQuote | None, kind: type[PriceError], words: str
) -> None:
    """The build stops with the class, or collateral counts zero with the same sentence and debts are raised."""
    spec = rules("", 'name = "USDC"', 'name = "USDC"\nmin_sources = 2\nneeds_reserve = true')
    with pytest.raises(kind, match=words) as caught:
        build(spec, pools={}, USDC=quote)
    zeroed: dict[str, str] = {}
    built = build(spec, pools={}, zero=True, zeroed=zeroed, USDC=quote).by_symbol
    assert zeroed["the price of USDC"] == str(caught.value)
    assert built[f"USDC@{CHAIN}"].mark_e12 == 0
    assert built[f"sUSDC@{CHAIN}"].mark_e12 == 0
    if quote is not None:
        assert built[f"USDC-DEBT@{CHAIN}"].mark_e12 == 1_100_000_000_000
    good = PriceQuote(E12, AS_OF - 7, sources=2, reserved=True)
    assert build(spec, pools={}, USDC=good).by_symbol[f"USDC@{CHAIN}"].mark_e12 == E12


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "USDC"', 'name = "USDC"\npeg = { low = 0, high = 1 }', "low is not above 0"),
        (
            'name = "USDC"',
            'name = "USDC"\npeg = { low = 1.1, high = 1 }',
            "low is not above 0 and at most high",
        ),
        ('name = "USDC"', PEGGED % ', outside = "stop"', 'neither "bound" nor "refuse"'),
        ('name = "USDC"', PEGGED % ", centre = 1", "centre is not a known key"),
        ('name = "USDC"', 'name = "USDC"\nneeds_reserve = 1', "is not true or false"),
        ('name = "USDC"', 'name = "USDC"\nmin_sources = 0', "min_sources is not a whole number"),
        (
            'name = "WBTC"',
            'name = "WBTC"\nneeds_reserve = true',
            "asset WBTC needs a reserve and is priced by BTC",
        ),
    ],
)
def test_a_bad_demand_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        rules("", old, new)


def test_two_assets_cannot_ask_different_things_of_one_price() -> None:
    spec = (SPECS / "demo.toml").read_text()
    tiers = "long_tiers = [{ im = 0.1, mm = 0.1 }]"
    other = f'[[assets]]\nname = "cbBTC"\nprice = "BTC"\nmin_sources = 2\nchains = ["{CHAIN}"]\n{tiers}\n'
    with pytest.raises(
        PolicyError, match="assets WBTC and cbBTC share the price BTC and ask different things"
    ):
        parse_spec(spec.replace("[[wrappers]]", other + "[[wrappers]]", 1))


@given(
    st.integers(1, 10**18),
    st.integers(0, 10**18),
    st.booleans(),
    st.integers(0, 10**7),
    st.integers(1, 10**18),
    st.integers(0, 10**18),
    st.booleans(),
)
def test_a_debt_is_never_valued_below_collateral(
    price: int, more: int, stale: bool, margin: int, low: int, width: int, refuse: bool
) -> None:
    """Whatever the quote, band and margin: debts at or above the price, collateral at or below, or nothing."""
    quotes = Quotes(
        {"X": PriceQuote(price, 0, stale, price + more)},
        {},
        True,
        margin,
        0,
        {"X": Demand(Peg(low, low + width, refuse))},
    )
    held, owed = quotes.fresh_price("X"), quotes.debt_price("X")
    assert owed is not None
    assert owed >= max(price + more, low)
    assert held is None or held <= min(price, low + width)
    assert (held is None) == bool(quotes.zeroed)
    assert replace(quotes, zeroed={}).debt_price("X") == owed
