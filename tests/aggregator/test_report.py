"""Reports: parts add up to totals, isolated stands beside cross, the words show the arithmetic."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import pytest
from hypothesis import given

from aggregator.margin import Status, explain, make_report, positions_by_id, to_json
from aggregator.margin.report import Report, chain_of
from aggregator.model.errors import InputError
from aggregator.model.policy import Level, Policy
from aggregator.model.strictjson import canonical_json
from tests.aggregator.markets import E8, health, policy
from tests.aggregator.strategies import accounts

BOOK = {
    "USD": 15_000,
    "ETH@eip155:31337001": 600,
    "wstETH@eip155:31337002": 40,
    "USDC@eip155:31337002": 50_000,
    "USDC-DEBT@eip155:31337003": -20_000,
    "ETH-PERP": -5,
    "BTC-PERP": 1,
    "ETH-20270214-3000-C": -10,
}


def report_of(book: dict[str, int]) -> Report:
    return make_report(policy(), positions_by_id(policy(), {s: q * E8 for s, q in book.items()}))


@given(accounts())
def test_the_parts_of_a_report_add_up(account: tuple[Policy, dict[int, int]]) -> None:
    """Positions and chains sum to the equity, contributions to the binding scenario, tiers to the charge."""
    report = make_report(*account)
    assert sum(p.value_e20 for p in report.im.positions) == report.equity_e20
    assert sum(c.net_e20 for c in report.chains) == report.equity_e20
    for level in (report.im, report.mm):
        for risk in level.classes:
            worst = min(s.pnl_e20 for s in risk.scenarios)
            if risk.binding is None:
                assert worst >= 0 == risk.scan_risk_e6
            else:
                assert sum(c.pnl_e20 for c in risk.contributions) == worst
                assert next(s.pnl_e20 for s in risk.scenarios if s.name == risk.binding) == worst
        for group in level.groups:
            assert max(t.charge_e6 for t in group.tiers) == group.charge_e6
            assert [t.charge_e6 for t in group.tiers if t.binding] in ([], [group.charge_e6])
            assert abs(group.net_e14) <= group.gross_e14
        assert level.correlation_credit_e6 == sum(c.scan_risk_e6 for c in level.classes) - level.correlated_e6
        assert level.isolated.saved_e6 == level.isolated.requirement_e6 - level.requirement_e6
        assert level.isolated.requirement_e6 == sum(r for _, r in level.isolated.by_symbol)


@given(accounts())
def test_any_report_has_words_and_json(account: tuple[Policy, dict[int, int]]) -> None:
    """Both forms exist for every account, without a float anywhere in the JSON."""
    report = make_report(*account)
    assert explain(report)
    document = json.loads(canonical_json(to_json(report)), parse_float=pytest.fail)
    assert Fraction(document["equityUsd"]) == Fraction(report.equity_e20, 10**20)
    assert Fraction(document["im"]["excessUsd"]) == Fraction(report.im.excess_e6, 10**6)
    assert len(document["mm"]["classes"]) == len(account[0].classes)


def test_a_hedge_saves_capital_against_isolated_margin() -> None:
    """Coins here and a short perp there need far less together than apart."""
    hedged = report_of({"ETH@eip155:31337001": 10, "ETH-PERP": -10})
    alone = sum(health(book).requirement_e6 for book in ({"ETH@eip155:31337001": 10.0}, {"ETH-PERP": -10.0}))
    assert hedged.im.isolated.requirement_e6 == alone
    assert hedged.im.isolated.saved_e6 > alone * 3 // 4


def test_size_tiers_can_make_one_account_dearer_and_the_words_say_so() -> None:
    """600 ETH on two chains pass the 500-ETH tier only together."""
    report = report_of({"ETH@eip155:31337001": 300, "ETH@eip155:31337003": 300})
    assert report.im.isolated.saved_e6 < 0
    assert "more, because size tiers see the whole, than that." in " ".join(explain(report))


@pytest.mark.parametrize(
    ("cash", "status"), [(0, Status.LIQUIDATABLE), (2000, Status.RESTRICTED), (10_000, Status.GOOD)]
)
def test_status(cash: int, status: Status) -> None:
    """A short call of 4 ETH: below maintenance, between the levels, above initial margin."""
    report = report_of({"ETH-20270214-3000-C": -4, "USD": 907 + cash})
    assert report.status is status


def test_the_words_show_the_arithmetic() -> None:
    """Every total of the book appears with the terms it comes from."""
    text = "\n".join(explain(report_of(BOOK)))
    for sentence in (
        "ETH@eip155:31337001: 600 x 3,000.00 = 1,800,000.00",
        "the worst of 32 scenarios is 'extreme -3 scan ranges, vol up'",
        "ETH@eip155:31337001: 600 x -504.00 = -302,400.00",
        "BTC-PERP: 1 x -8,322.00 = -8,322.00",
        "^2 + 2 x 0.85 x ",
        "Haircut USDC: net 30,000.0000 of gross 70,000.0000",
        "30,000.0000 x 0.0100 + 0.00 = 300.00.",
        "Add-on wstETH@eip155:31337002: 40 x 88.8889 = 3,555.56.",
        "Health = equity / requirement = ",
    ):
        assert sentence in text


def test_shown_sums_are_true_within_their_last_digit() -> None:
    """The line `Requirement = f x R + C + A = total` can be checked by hand from the shown figures."""
    lines = [line for line in explain(report_of(BOOK)) if line.startswith("Requirement = ")]
    assert len(lines) == 2
    for line in lines:
        factor, scan, haircuts, addons, total = (
            Fraction(n.replace(",", "")) for n in re.findall(r"[0-9][0-9,.]*[0-9]|[0-9]", line)
        )
        assert abs(factor * scan + haircuts + addons - total) <= Fraction(5, 100)


def test_the_chain_breakdown_names_what_is_off_chain() -> None:
    """Three chains in order, derivatives and cash last."""
    report = report_of(BOOK)
    assert [c.chain for c in report.chains] == [
        "eip155:31337001",
        "eip155:31337002",
        "eip155:31337003",
        "venue",
    ]
    assert report.chains[2].debts_e20 == -20_000 * 10**20
    assert chain_of("ETH-PERP") == "venue"


def test_an_empty_account_has_a_report() -> None:
    """Nothing is required and nothing is wrong."""
    report = report_of({})
    assert (report.status, report.im.health_e6, report.chains) == (Status.GOOD, None, ())
    assert report.im.level is Level.IM


def test_a_report_refuses_what_the_engine_refuses() -> None:
    """An unknown instrument is an error here as well."""
    with pytest.raises(InputError, match="instrument 999 is not"):
        make_report(policy(), {999: 1})
