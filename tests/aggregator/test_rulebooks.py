"""One book under every shipped rulebook, side by side: laws that hold for all, and refusals that name the thing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.margin.native import evaluate, positions_by_id
from aggregator.margin.rulebooks import (
    KINDS,
    Rulebook,
    RulebookResult,
    book_of,
    isolated_requirement_e6,
    parse_rulebook,
)
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.policy import Level
from tests.aggregator.markets import E8, policy

FILES = sorted((Path(__file__).parents[2] / "configs" / "rulebooks").glob("*.toml"))
ONE, TWO = "eip155:31337001", "eip155:31337002"
PLAIN = {f"ETH@{ONE}": 10.0, f"USDC@{ONE}": 20_000.0}
PERP = {**PLAIN, "ETH-PERP": -5.0, "USD": 15_000.0}
CALL = "ETH-20270214-3500-C"


@cache
def rulebook(name: str) -> Rulebook:
    path = next(path for path in FILES if path.stem == name)
    return parse_rulebook(path.read_text(), path.name)


def run(name: str, positions: Mapping[str, float]) -> RulebookResult:
    rules = policy()
    held = positions_by_id(rules, {symbol: round(q * E8) for symbol, q in positions.items()})
    return rulebook(name).evaluate(book_of(rules, held))


NAMES = [path.stem for path in FILES]


def test_every_kind_ships_an_example() -> None:
    """configs/rulebooks has one file to each kind."""
    kinds = {
        line.split('"')[1] for path in FILES for line in path.read_text().splitlines() if "kind =" in line
    }
    assert kinds == set(KINDS)


def test_the_page_names_every_kind_and_key() -> None:
    """docs/rulebooks.md has each kind with its file, and each key the small kinds use."""
    page = (Path(__file__).parents[2] / "docs" / "rulebooks.md").read_text()
    for path in FILES:
        assert f"`{path.name}`" in page
        if path.stem.startswith("derive"):
            continue
        for line in path.read_text().splitlines():
            if "=" in line and not line.startswith("#"):
                assert f"`{line.split(' =')[0]}`" in page
    assert all(f"`{kind}`" in page for kind in KINDS)


@pytest.mark.parametrize("name", NAMES)
def test_a_plain_book_is_good_everywhere(name: str) -> None:
    """Coins and dollars without debt: nothing is short, IM asks at least what MM asks, each part is in words."""
    result = run(name, PLAIN)
    for at in (result.im, result.mm):
        assert at.excess_e6 > 0
        assert at.excess_e6 <= at.counted_e6 - at.requirement_e6 + 1
        assert at.binding
    assert result.im.excess_e6 <= result.mm.excess_e6


@pytest.mark.parametrize("name", [n for n in NAMES if n != "aave"])
def test_a_perp_needs_margin_and_its_loss_is_seen(name: str) -> None:
    """A short perp with its cash leg: something is required, and a worse entry lowers the excess by the loss."""
    good = run(name, PERP)
    assert good.im.requirement_e6 > 0
    assert good.im.health_e6 is not None
    worse = run(name, {**PERP, "USD": 14_000.0})
    assert good.mm.excess_e6 - worse.mm.excess_e6 >= 1000 * 10**6 - 1


@pytest.mark.parametrize("name", NAMES)
def test_the_order_and_the_chain_of_a_position_do_not_matter_to_a_venue(name: str) -> None:
    """Same result in any order; split over two chains only the provable rulebook, which prices chains, differs."""
    assert run(name, dict(reversed(list(PLAIN.items())))) == run(name, PLAIN)
    split = {f"ETH@{ONE}": 4.0, f"ETH@{TWO}": 6.0, f"USDC@{ONE}": 20_000.0}
    if name == "native":
        assert run(name, split).im.counted_e6 == run(name, PLAIN).im.counted_e6
    else:
        assert run(name, split).im.excess_e6 == run(name, PLAIN).im.excess_e6


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**4), st.integers(0, 10**4), st.sampled_from(["aave", "drift", "dydx", "derive-srm"]))
def test_more_dollars_never_hurt(first: int, second: int, name: str) -> None:
    """Monotone in cash-like collateral."""
    low, high = sorted((first, second))
    debt = {f"USDC-DEBT@{ONE}": -1000.0} if name == "aave" else {}
    few, many = (run(name, {**debt, f"ETH@{ONE}": 1.0, f"USDC@{ONE}": float(n)}) for n in (low, high))
    assert few.im.excess_e6 <= many.im.excess_e6
    assert few.mm.excess_e6 <= many.mm.excess_e6


@pytest.mark.parametrize("name", ["derive-srm", "derive-pm1", "derive-pm2"])
def test_unsure_oracles_and_a_fallen_stable_coin_raise_derives_initial_margin(name: str) -> None:
    """Both charges are reachable from a file, at IM only; a confidence above one is refused."""
    text = next(path for path in FILES if path.stem == name).read_text()
    book = book_of(policy(), positions_by_id(policy(), {"ETH-PERP": -5 * E8, CALL: -E8, "USD": 40_000 * E8}))
    plain = parse_rulebook(text, name).evaluate(book)
    for other in (
        text.replace("stable = 1", "stable = 0.9"),
        text.replace("stable = 1", "stable = 1\nconfidence = 0.2"),
    ):
        assert other != text
        result = parse_rulebook(other, name).evaluate(book)
        assert result.im.requirement_e6 > plain.im.requirement_e6 + 10**6
        assert result.mm.requirement_e6 == plain.mm.requirement_e6
    with pytest.raises(ConfigError, match="confidence is outside"):
        parse_rulebook(text.replace("stable = 1", "stable = 1\nconfidence = 2"), name)


def test_a_holders_own_settings_are_read_from_the_file() -> None:
    """Drift's high-leverage mode lowers, its custom ratio and dYdX' own fraction raise the initial margin."""
    book = book_of(policy(), positions_by_id(policy(), {"ETH-PERP": -5 * E8, "USD": 20_000 * E8}))

    def required(name: str, old: str, new: str) -> int:
        text = next(path for path in FILES if path.stem == name).read_text()
        assert old in text
        return parse_rulebook(text.replace(old, new), name).evaluate(book).im.requirement_e6

    perp, top = "[perps.ETH-PERP]", 'name = "drift"'
    plain = required("drift", top, top)
    high = f"{perp}\nhigh_im = 0.01\nhigh_mm = 0.005"
    assert required("drift", perp, high) == plain
    text = next(path for path in FILES if path.stem == "drift").read_text().replace(perp, high)
    fast = parse_rulebook(text.replace(top, f"{top}\nhigh_leverage = true"), "drift").evaluate(book)
    assert fast.im.requirement_e6 < plain // 2
    assert required("drift", top, f"{top}\ncustom_ratio = 0.5") == 7_500 * 10**6
    keeper = """
[keeper]
flag_cost = 5
liquidate_cost = 2
minimum_reward = 10
minimum_profit_ratio = 0.2
maximum_reward = 500
maximum_scaling_ratio = 1
collateral_reward_ratio = 0.0001
"""
    name = 'name = "synthetix"'
    text = next(path for path in FILES if path.stem == "synthetix").read_text()
    with_reward = parse_rulebook(text + keeper, "synthetix").evaluate(book).im.requirement_e6
    assert with_reward - required("synthetix", name, name) == 17 * 10**6
    market = "[markets.ETH-PERP]"
    assert required("dydx", market, f"{market}\ncustom = 0.5") == 7_500 * 10**6


def test_aave_health_is_the_venues() -> None:
    """10 ETH at 3,000 x 0.83 against 20,000 USDC: 1.245."""
    result = run("aave", {f"ETH@{ONE}": 10.0, f"USDC-DEBT@{ONE}": -20_000.0})
    assert result.mm.health_e6 == 1_245_000
    assert result.im.excess_e6 == (30_000 * 805 // 1000 - 20_000) * 10**6


def test_what_a_venue_does_not_list_is_named_or_refused() -> None:
    """A long coin without credit is named; a short or a debt that would be hidden stops the report."""
    assert run("dydx", PLAIN).ignored == (f"ETH@{ONE}",)
    with pytest.raises(InputError, match="does not list"):
        run("dydx", {**PLAIN, CALL: -1.0})
    with pytest.raises(InputError, match="does not list"):
        run("aave", PERP)
    with pytest.raises(InputError, match="BTC-PERP"):
        run("derive-pm2", {**PLAIN, "BTC-PERP": 1.0})


def test_a_covered_call_needs_less_under_portfolio_margin_than_isolated() -> None:
    """Derive's portfolio margin sees the coin behind the call; isolated accounts do not."""
    held = positions_by_id(policy(), {f"ETH@{ONE}": 10 * E8, CALL: -10 * E8})
    book = book_of(policy(), held)
    for name in ("derive-pm1", "derive-pm2", "native"):
        rules = rulebook(name)
        together = rules.evaluate(book).im.requirement_e6
        assert together < isolated_requirement_e6(rules, book, Level.IM)


def test_derive_reads_marks_and_forwards_off_the_policy() -> None:
    """The mark-to-market of an option book is the policy's own equity: volatility and forward are implied exactly."""
    positions = {CALL: -3.0, "ETH-20270415-3000-P": 2.0, f"USDC@{ONE}": 50_000.0}
    held = positions_by_id(policy(), {symbol: round(q * E8) for symbol, q in positions.items()})
    equity = evaluate(policy(), held, Level.IM).equity_e20
    for name in ("derive-srm", "derive-pm1"):
        counted = rulebook(name).evaluate(book_of(policy(), held)).im.counted_e6
        assert abs(counted * 10**14 - equity) <= 10**16


def test_a_box_needs_next_to_nothing_beyond_its_value() -> None:
    """Long call, short put at 2,500 against the reverse at 3,500: standard margin asks for no more than its worth."""
    box = {
        "ETH-20270214-2500-C": 1.0,
        "ETH-20270214-2500-P": -1.0,
        CALL: -1.0,
        "ETH-20270214-3500-P": 1.0,
    }
    result = run("derive-srm", box)
    assert result.im.excess_e6 == 0
    assert result.im.counted_e6 > 900 * 10**6


BAD = {
    "lacks the key": 'schema = "counterfoil/rulebook/1"\nkind = "aave-v3"',
    "is none of": 'schema = "counterfoil/rulebook/1"\nname = "x"\nkind = "robinhood"',
    "schema": 'schema = "other"\nkind = "native"\nname = "x"',
    "not a known key": 'schema = "counterfoil/rulebook/1"\nkind = "native"\nname = "x"\nleverage = 100',
    "not TOML": "schema = ",
    "ltv": 'schema = "counterfoil/rulebook/1"\nkind = "aave-v3"\nname = "x"\n'
    "[reserves.ETH]\nltv = 0.9\nthreshold = 0.8",
}


@pytest.mark.parametrize(("reason", "text"), BAD.items(), ids=BAD)
def test_a_bad_file_is_refused_by_name(reason: str, text: str) -> None:
    """Each mistake gets one sentence that names the file and the key."""
    with pytest.raises(ConfigError, match=reason):
        parse_rulebook(text, "mine.toml")


def test_span_reads_the_policys_arrays() -> None:
    """10 ETH scan to 16 % of 30,000 USD; short options pay the minimum; ETH against BTC is credited."""
    coins = run("span", PLAIN)
    assert coins.mm.requirement_e6 == 4800 * 10**6
    assert coins.im.requirement_e6 == 5280 * 10**6
    assert coins.mm.binding == "ETH: price down 3/3, volatility up"
    far = run("span", {"ETH-20270214-4000-C": -0.001, f"USDC@{ONE}": 100.0})
    assert far.mm.requirement_e6 >= 30_000
    pair = {f"ETH@{ONE}": 20.0, "BTC-PERP": -1.0, "USD": 60_000.0}
    alone = run("span", {f"ETH@{ONE}": 20.0}).mm.requirement_e6
    other = run("span", {"BTC-PERP": -1.0, "USD": 60_000.0}).mm.requirement_e6
    assert run("span", pair).mm.requirement_e6 < (alone + other) * 6 // 10
    same = run("span", {**pair, "BTC-PERP": 1.0, "USD": -60_000.0}).mm.requirement_e6
    assert same > (alone + other) * 9 // 10


def test_a_calendar_pays_spans_intra_commodity_charge() -> None:
    """Long the near tier and short the far one: the charge is on the matched delta."""
    calendar = run("span", {"ETH-20270214-3000-C": 1.0, "ETH-20270415-3000-C": -1.0, f"USDC@{ONE}": 1000.0})
    assert "intra 0.00" not in calendar.mm.lines[0]
    assert "intra 0.00" in run("span", {"ETH-20270214-3000-C": 1.0, f"USDC@{ONE}": 1000.0}).mm.lines[0]
