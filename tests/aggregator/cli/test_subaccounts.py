"""`health --all-sub-accounts`: netting inside each sub-account and not across, and no total that hides one."""

from __future__ import annotations

from pathlib import Path

import pytest

from aggregator.margin.native import evaluate, positions_by_id
from aggregator.margin.subaccounts import side_by_side
from aggregator.model.policy import Level
from tests.aggregator.cli.conftest import Invoke
from tests.aggregator.cli.scene import CHAIN, Files
from tests.aggregator.markets import E8, policy

ETH = f"ETH@{CHAIN}"
COIN = {ETH: 10 * E8}
HEDGE = {"ETH-PERP": -10 * E8, "USD": 33_000 * E8}


@pytest.fixture
def holder(invoke: Invoke, home: Path, files: Files) -> tuple[object, ...]:
    """One person with the coin in sub-account 0 and the hedge in 1, and a stranger; --policy POLICY."""
    assert invoke("account", "create", "alice").code == 0
    key = home / "keys" / "alice.key"
    assert invoke("account", "create", "alice-perps", "--sub-account", 1, "--key-file", key).code == 0
    assert invoke("account", "create", "mallory").code == 0
    files.store(home, "alice", COIN)
    files.store(home, "alice-perps", HEDGE)
    files.store(home, "mallory", {ETH: 1_000 * E8})
    return files.policy()[:2]


def test_the_sub_accounts_of_one_holder_side_by_side(invoke: Invoke, holder: tuple[object, ...]) -> None:
    """Either name shows both, no stranger among them, and the hedge does not lower what the coin needs."""
    answer = invoke("health", "alice", *holder, "--all-sub-accounts", "--json")
    assert answer.code == 0, answer.err
    data = answer.data
    assert [one["name"] for one in data["subAccounts"]] == ["alice", "alice-perps"]
    assert data == invoke("health", "alice-perps", *holder, "--all-sub-accounts", "--json").data
    alone = [evaluate(policy(), positions_by_id(policy(), held), Level.IM) for held in (COIN, HEDGE)]
    assert [one["IM"]["requirementE6"] for one in data["subAccounts"]] == [
        str(e.requirement_e6) for e in alone
    ]
    added = int(data["added"]["IM"]["requirementE6"])
    assert added == sum(e.requirement_e6 for e in alone)
    joined = evaluate(policy(), positions_by_id(policy(), COIN | HEDGE), Level.IM)
    assert data["joined"]["IM"]["requirementE6"] == str(joined.requirement_e6)
    assert data["added"]["IM"]["fencesCostE6"] == str(added - joined.requirement_e6)
    assert added > 3 * joined.requirement_e6
    text = invoke("health", "alice", *holder, "--all-sub-accounts").out
    for part in (
        "All, added up",
        "If it were one",
        "liquidatable",
        "the others have to spare",
    ):
        assert part in text


def test_without_one_of_them_there_is_no_total(
    invoke: Invoke, holder: tuple[object, ...], home: Path
) -> None:
    key = home / "keys" / "alice.key"
    invoke("account", "create", "alice-new", "--sub-account", 2, "--key-file", key)
    answer = invoke("health", "alice", *holder, "--all-sub-accounts", "--json")
    assert answer.code == 3
    assert (answer.data["added"], answer.data["joined"], answer.data["complete"]) == (None, None, False)
    assert [one["name"] for one in answer.data["missing"]] == ["alice-new"]
    shown = invoke("health", "alice", *holder, "--all-sub-accounts")
    assert shown.code == 3
    assert "sub-account alice-new cannot be shown" in shown.err
    assert "not read" in shown.out
    assert "added up" not in shown.out


def test_what_does_not_go_together_is_refused(invoke: Invoke, holder: tuple[object, ...]) -> None:
    invoke("health", "alice", *holder, "--all-sub-accounts", "--risk").refused(2, "shows margins only")
    invoke("health", "./alice.json", *holder, "--all-sub-accounts").refused(2, "takes an account's name")
    invoke("health", "nobody", *holder, "--all-sub-accounts").refused(2, "there is no account 'nobody'")


def test_what_one_lacks_another_does_not_lend() -> None:
    """The equity adds up as in one account; what is short is counted without what the other has to spare."""
    rich, poor = positions_by_id(policy(), {"USD": 10**6 * E8}), positions_by_id(policy(), {"ETH-PERP": -E8})
    found = side_by_side(policy(), [("poor", 1, poor), ("rich", 0, rich)])
    assert [part.name for part in found.parts] == ["rich", "poor"]
    assert found.added(Level.MM)[0] == found.joined_mm.equity_e20
    assert found.short_e6(Level.MM) == -found.parts[1].mm.excess_e6 > 0
    assert found.joined_mm.excess_e6 > 0
    assert found.fence_e6(Level.MM) == 0
