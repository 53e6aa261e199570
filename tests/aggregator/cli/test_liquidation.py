"""`liquidation plan`, `cascade` and `odds`: the figures are the package's own, and every refusal says what to do."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from aggregator.liquidation.drivers import correlations, drivers
from aggregator.liquidation.excess_table import relevant, tabulate
from aggregator.liquidation.odds import breach_odds
from aggregator.liquidation.outcome import settle
from aggregator.margin.native import positions_by_id
from aggregator.policy.spec import parse_spec
from aggregator.risk.desk import Desk, Moves
from tests.aggregator.cli.conftest import Invoke
from tests.aggregator.cli.scene import CHAIN, NOW, PRICES, RATES, TEXT, Files
from tests.aggregator.liquidation.rules import FILE, shipped
from tests.aggregator.markets import E8

ETH, DEBT = f"ETH@{CHAIN}", f"USDC-DEBT@{CHAIN}"
LOAN = {ETH: 10 * E8, DEBT: -23_000 * E8}
BIDS = f"""
schema = "counterfoil/bids/1"
[[bids]]
bidder = "a"
symbol = "{ETH}"
at_s = 0
limit = 0.99
quantity = 3
"""


def _desk(positions: dict[str, int]) -> Desk:
    return Desk(parse_spec(TEXT, "demo.toml"), PRICES, RATES, NOW, positions)


def _account(files: Files, positions: dict[str, int]) -> tuple[object, ...]:
    return (files.snapshot(positions), *files.policy())


def test_a_plan_is_the_engines_own(invoke: Invoke, files: Files, tmp_path: Path) -> None:
    account = _account(files, LOAN)
    answer = invoke("liquidation", "plan", *account, "--rules", FILE, "--move", "ETH=-0.1", "--json")
    assert answer.code == 0, answer.err
    policy = _desk(LOAN).policy(Moves({"ETH": -100_000}))
    expected = settle(policy, positions_by_id(policy, LOAN), shipped(), shipped().fund_e6)
    data = answer.data
    assert data["state"] == expected.liquidation.state.value == "restored"
    assert data["penaltyE6"] == str(expected.liquidation.penalty_e6)
    assert data["after"]["excessE6"] == str(expected.liquidation.after.excess_e6)
    assert int(data["before"]["healthE6"]) < 10**6 <= int(data["after"]["healthE6"])
    assert [one["symbol"] for one in data["closings"]] == [ETH]
    assert sum(int(one["fundE6"]) + int(one["liquidatorE6"]) for one in data["closings"]) == int(
        data["penaltyE6"]
    )
    (tmp_path / "bids.toml").write_text(BIDS)
    shown = invoke(
        *("liquidation", "plan", *account, "--rules", FILE, "--move", "ETH=-0.1"),
        *("--bids", tmp_path / "bids.toml"),
    )
    for part in (
        "What is closed",
        "Before and after",
        "Auction of",
        "Unsold",
        "health is back at the target",
    ):
        assert part in shown.out


def test_the_example_of_the_page_is_what_is_shown(invoke: Invoke, files: Files) -> None:
    """Every figure of the plan in docs/liquidation.md."""
    page = (FILE.parents[2] / "docs" / "liquidation.md").read_text()
    lines = page.partition("counterfoil liquidation plan SNAPSHOT")[2].partition("```")[0].splitlines()[1:]
    account = _account(files, LOAN)
    shown = invoke("liquidation", "plan", *account, "--rules", FILE, "--move", "ETH=-0.1").out
    rows = {" ".join(line.split()) for line in shown.splitlines()}
    wanted = [" ".join(line.split()) for line in lines if line.strip()]
    assert len(wanted) == 3
    assert set(wanted) <= rows


def test_every_end_of_a_plan_is_said(invoke: Invoke, files: Files) -> None:
    account = _account(files, LOAN)
    plan = ("liquidation", "plan", *account, "--rules", FILE)
    assert "nothing is closed" in invoke(*plan).out
    ended = invoke(*plan, "--move", "ETH=-0.3", "--fund", "500")
    said = " ".join(ended.out.split())
    assert "owes 2,000.00 USD more than it has: the fund pays 500.00, others 1,500.00" in said
    assert ended.code == 0


def test_a_cascade_over_a_file_and_over_the_home(
    invoke: Invoke, files: Files, tmp_path: Path, home: Path
) -> None:
    """The same two accounts, from a file and from the newest snapshots of the home: the same answer."""
    held = {"broken": {ETH: 100 * E8, DEBT: -270_000 * E8}, "calm": {ETH: 5 * E8}}
    book = tmp_path / "book.json"
    accounts = [
        {"name": name, "positions": {symbol: str(q // E8) for symbol, q in positions.items()}}
        for name, positions in held.items()
    ]
    book.write_text(json.dumps({"schema": "counterfoil/book/1", "accounts": accounts}))
    options = (*files.policy(), "--rules", FILE, "--move", "ETH=-0.2")
    answer = invoke("liquidation", "cascade", book, *options, "--json")
    assert answer.code == 0, answer.err
    (shock,) = answer.data["shocks"]
    assert shock["rounds"][0]["below"] == ["broken"]
    assert shock["rounds"][0]["insolvent"] == ["broken"]
    assert shock["rounds"][0]["deficitE6"] == str(30_000 * 10**6)
    eth = next(one for one in shock["prices"] if one["name"] == "ETH")
    assert int(eth["finalE12"]) < int(eth["shockedE12"]) < int(eth["startE12"])
    assert int(eth["amplificationE6"]) > 10**6
    for name, positions in held.items():
        files.store(home, name, positions)
    assert invoke("liquidation", "cascade", *options, "--json").data == answer.data
    text = " ".join(invoke("liquidation", "cascade", book, *options).out.split())
    for part in (
        "Cascade: ETH=-0.2",
        "Rounds",
        "1 of 2 accounts are liquidated",
        "1 owe more than they have",
    ):
        assert part in text


def test_a_cascade_of_shipped_replays(invoke: Invoke, files: Files, home: Path) -> None:
    files.store(home, "alice", LOAN)
    scenarios = FILE.parents[1] / "stress" / "history.toml"
    answer = invoke(
        *("liquidation", "cascade", *files.policy(), "--rules", FILE, "--scenarios", scenarios, "--json")
    )
    assert len(answer.data["shocks"]) == 6
    assert {one["settled"] for one in answer.data["shocks"]} == {True}


def test_a_cascade_needs_accounts_and_one_shock(invoke: Invoke, files: Files, tmp_path: Path) -> None:
    options = (*files.policy(), "--rules", FILE)
    invoke("liquidation", "cascade", *options, "--move", "ETH=-0.1").refused(2, "no account of this home")
    invoke("liquidation", "cascade", *options).refused(2, "give one of the two")
    invoke("liquidation", "cascade", *options, "--move", "ETH").refused(2, "--move 'ETH' names no number")
    bad = tmp_path / "book.json"
    for text, part in (
        ("{", "not JSON"),
        ('{"schema": "counterfoil/book/1", "accounts": []}', "accounts has 0 entries"),
        ('{"schema": "x", "accounts": []}', "schema"),
        (
            '{"schema": "counterfoil/book/1", "accounts": [{"name": "a", "positions": {"ETH": "1e5"}}]}',
            "is no quantity",
        ),
    ):
        bad.write_text(text)
        invoke("liquidation", "cascade", bad, *options, "--move", "ETH=-0.1").refused(2, part)


def test_odds_are_the_simulations_own(invoke: Invoke, files: Files) -> None:
    account = _account(files, LOAN)
    options = ("--horizon", "7d", "--paths", "2000", "--seed", "5", "--drift", "-0.02")
    answer = invoke("liquidation", "odds", *account, *options, "--json")
    assert answer.code == 0, answer.err
    desk, years = _desk(LOAN), 7 / 365
    every = drivers(desk, years)
    spread = {one.price: one.volatility * math.sqrt(years) for one in every}
    found = relevant(desk, every, spread)
    table = tabulate(desk, found, spread)
    expected = breach_odds(table, found, correlations(desk, found), years, pairs=1_000, seed=5)
    data = answer.data
    assert data["breach"] == {
        "valueE6": str(expected.breach.value_e6),
        "standardErrorE6": str(expected.breach.error_e6),
    }
    assert data["exact"] is False
    assert int(data["breachAtMostE6"]) > expected.breach.value_e6
    assert [one["name"] for one in data["prices"]] == ["ETH"]
    assert data["timeLeft"][0]["seconds"] > 0
    text = invoke("liquidation", "odds", *account, *options).out
    for part in ("Standard error", "Estimated from 2,000 paths", "With 95 % confidence", "Time left"):
        assert part in text


def test_odds_refuse_what_has_none(invoke: Invoke, files: Files) -> None:
    dollars = _account(files, {"USD": 1_000 * E8})
    invoke("liquidation", "odds", *dollars).refused(2, "there are no odds")
    account = _account(files, LOAN)
    for options, part in (
        (("--horizon", "tomorrow"), "--horizon 'tomorrow' is no duration"),
        (("--paths", "3"), "3 paths or the seed 0 are out of range"),
        (("--volatility", "DOGE=1"), "no risk class follows the price 'DOGE'"),
        (("--drift", "0"), "leads nowhere"),
    ):
        invoke("liquidation", "odds", *account, *options).refused(2, part)


def test_what_is_no_verb_is_an_account(invoke: Invoke, files: Files) -> None:
    """As before there were verbs: the argument, or options first."""
    account = _account(files, LOAN)
    spelled = invoke("liquidation", "prices", *account, "--price", "ETH", "--json").data
    assert invoke("liquidation", *account, "--price", "ETH", "--json").data == spelled
    assert invoke("liquidation", "--price", "ETH", "--json", *account).data == spelled


@pytest.mark.parametrize("command", ["plan", "cascade"])
def test_bad_rules_are_refused_by_their_key(
    invoke: Invoke, files: Files, tmp_path: Path, command: str
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(FILE.read_text().replace("target_health = 1.10", "target_health = 0.5"))
    arguments = [files.snapshot(LOAN)] if command == "plan" else []
    invoke("liquidation", command, *arguments, *files.policy(), "--rules", rules).refused(
        2, "target_health is below 1"
    )
    rules.write_bytes(b"\xff")
    invoke("liquidation", command, *arguments, *files.policy(), "--rules", rules).refused(2, "not UTF-8")
