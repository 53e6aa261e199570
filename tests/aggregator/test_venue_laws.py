"""Laws over random books under every shipped rulebook; where a venue's own rules break one, the case that shows it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.margin.rulebooks import RulebookResult, isolated_requirement_e6
from aggregator.margin.rulebooks.base import Book, book_of
from aggregator.model.policy import Level
from tests.aggregator.markets import policy
from tests.aggregator.test_rulebooks import NAMES, ONE, TWO, rulebook, run

SUB_ADDITIVE = ("aave", "derive-pm1", "derive-pm2", "dydx", "simm", "span")
"""Where joining two accounts never needs more. The others break it by their rules: see below."""
OPTIONS = tuple(f"ETH-20270214-{strike}-{side}" for strike in (2500, 3000, 3500) for side in ("C", "P"))
ROUNDING_E6 = 400
"""Each position is rounded (SIMM's sensitivities before a weight of 20), so dust may cost this much: 0.0004 USD."""


def _symbols(name: str) -> tuple[str, ...]:
    """What the shipped file of a rulebook covers, shorts included."""
    if name == "aave":
        return (f"ETH@{ONE}", f"USDC-DEBT@{ONE}")
    perps = ("ETH-PERP",)
    if name in ("drift", "dydx", "synthetix"):
        return perps
    return (*perps, *OPTIONS)


def _book(positions: Mapping[str, int]) -> Book:
    rules = policy()
    return book_of(rules, {rules.by_symbol[s].id: q for s, q in positions.items() if q})


def _run(name: str, positions: Mapping[str, int]) -> RulebookResult:
    return rulebook(name).evaluate(_book(positions))


@st.composite
def books(draw: st.DrawFn, name: str) -> dict[str, int]:
    """Collateral and up to four positions that the rulebook covers, in 1e-8."""
    held = {f"USDC@{ONE}": draw(st.integers(0, 10**13))}
    if name not in ("dydx", "aave"):
        held[f"ETH@{ONE}"] = draw(st.integers(0, 10**10))
    for symbol in draw(st.lists(st.sampled_from(_symbols(name)), unique=True, max_size=4)):
        quantity = draw(st.integers(1, 10**10))
        sign = -1 if "DEBT" in symbol else 1 if "@" in symbol else draw(st.sampled_from([-1, 1]))
        held[symbol] = held.get(symbol, 0) + sign * quantity
    return held


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8, deadline=None)
@given(st.data(), st.integers(0, 10**13))
def test_more_collateral_never_lowers_the_excess(name: str, data: st.DataObject, more: int) -> None:
    """Monotone in dollars, at both levels, for every rulebook, up to the rounding of dust."""
    book = data.draw(books(name))
    few, many = _run(name, book), _run(name, {**book, f"USDC@{ONE}": book[f"USDC@{ONE}"] + more})
    for level in Level:
        assert few.at(level).excess_e6 <= many.at(level).excess_e6 + ROUNDING_E6


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=6, deadline=None)
@given(st.data(), st.randoms(use_true_random=False))
def test_the_order_of_positions_never_matters(name: str, data: st.DataObject, source: object) -> None:
    """Holdings shuffled: same figures, and the same binding rule."""
    book = _book(data.draw(books(name)))
    shuffled = data.draw(st.permutations(book.holdings))
    before, after = rulebook(name).evaluate(book), rulebook(name).evaluate(Book(book.policy, tuple(shuffled)))
    for level in Level:
        first, second = before.at(level), after.at(level)
        assert (first.requirement_e6, first.excess_e6) == (second.requirement_e6, second.excess_e6)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "native"])
@settings(max_examples=6, deadline=None)
@given(st.data(), st.integers(0, 10**6))
def test_splitting_over_chains_changes_nothing_at_a_venue(name: str, data: st.DataObject, share: int) -> None:
    """Dollars on two chains are dollars. The provable rulebook prices chains, so only its equity is the same."""
    book = data.draw(books(name))
    whole = book[f"USDC@{ONE}"]
    there = whole * share // 10**6
    split = {**book, f"USDC@{ONE}": whole - there, f"USDC@{TWO}": there}
    for level in Level:
        assert abs(_run(name, split).at(level).excess_e6 - _run(name, book).at(level).excess_e6) <= 1


@pytest.mark.parametrize("name", SUB_ADDITIVE)
@settings(max_examples=12, deadline=None)
@given(st.data())
def test_one_account_never_needs_more_than_two(name: str, data: st.DataObject) -> None:
    """Sub-additive over accounts of one class, up to the rounding of each position."""
    one, two = data.draw(books(name)), data.draw(books(name))
    both = {s: one.get(s, 0) + two.get(s, 0) for s in {**one, **two}}
    for level in Level:
        parts = sum(_run(name, book).at(level).requirement_e6 for book in (one, two))
        assert _run(name, both).at(level).requirement_e6 <= parts + ROUNDING_E6


@pytest.mark.parametrize("name", ["drift", "synthetix"])
def test_venues_that_charge_size_need_more_of_one_account_than_of_two(name: str) -> None:
    """Drift's ratio grows with the root of a position, Synthetix' with the position: together is dearer than apart."""
    half = {"ETH-PERP": -5_000.0, f"USDC@{ONE}": 9_000_000.0}
    whole = {symbol: 2 * quantity for symbol, quantity in half.items()}
    for level in Level:
        assert (
            run(name, whole).at(level).requirement_e6 > 2 * run(name, half).at(level).requirement_e6 + 10**6
        )


def test_derives_standard_margin_needs_more_of_one_account_than_of_two() -> None:
    """An expiry is margined by one rule, the better of two. A spread alone is capped at its width and a naked call at
    its isolated margin; joined, the cap has to carry the naked call too, so the spread loses it."""
    spread = {"ETH-20270214-2500-C": -1.0, "ETH-20270214-3000-C": 1.0}
    naked = {"ETH-20270214-3500-C": -1.0}
    apart = [run("derive-srm", book).im.requirement_e6 for book in (spread, naked)]
    assert run("derive-srm", {**spread, **naked}).im.requirement_e6 > sum(apart) + 10**8


def test_size_tiers_need_more_of_one_account_than_of_two() -> None:
    """So does the provable rulebook where a tier is passed: 400 ETH lie in the first one, 800 do not."""
    half = run("native", {f"ETH@{ONE}": 400.0}).im.requirement_e6
    assert run("native", {f"ETH@{ONE}": 800.0}).im.requirement_e6 > 2 * half + 10**6


def test_more_of_a_coin_lowers_the_share_that_drift_counts() -> None:
    """The weight falls with size, but slower than size grows: what counts still rises, less and less."""
    counted = [run("drift", {f"ETH@{ONE}": float(n)}).im.counted_e6 for n in (10**6, 2 * 10**6, 3 * 10**6)]
    assert counted[0] < counted[1] < counted[2]
    assert counted[2] - counted[1] < counted[1] - counted[0]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=6, deadline=None)
@given(st.data())
def test_rounding_never_favours_the_holder(name: str, data: st.DataObject) -> None:
    """The excess is at most what is counted less what is required, and within a millionth of it.

    The health factor is rounded down from the unrounded figures, so it is held against those.
    """
    result = _run(name, data.draw(books(name)))
    for level in Level:
        at = result.at(level)
        assert at.excess_e6 - 1 <= at.counted_e6 - at.requirement_e6 <= at.excess_e6 or name == "native"
        if at.health_e6 is not None and at.counted_e6 >= 0 and name != "aave":
            assert at.health_e6 * (at.requirement_e6 - 1) <= (at.counted_e6 + 1) * 10**6


@pytest.mark.parametrize("name", NAMES)
def test_every_rulebook_says_everything(name: str) -> None:
    """Requirement, excess, health factor, binding rule, its parts in words, and the isolated requirement."""
    held = {f"ETH@{ONE}": 10 * 10**8, f"USDC@{ONE}": 20_000 * 10**8}
    if name == "aave":
        held[f"USDC-DEBT@{ONE}"] = -25_000 * 10**8
    else:
        held |= {"ETH-PERP": -(10**8), "USD": 3_000 * 10**8}
    book = _book(held)
    result = rulebook(name).evaluate(book)
    for level in Level:
        at = result.at(level)
        assert at.requirement_e6 > 0
        assert at.health_e6 is not None
        assert at.binding not in ("", "nothing is required")
        assert at.lines
        assert isolated_requirement_e6(rulebook(name), book, level) > 0
    assert result.im.requirement_e6 >= result.mm.requirement_e6 or name == "aave"
