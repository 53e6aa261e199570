"""Every valuation says whose account it is, when it was read and under which policy."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from aggregator.cli import tables
from aggregator.store import Home
from tests.aggregator.cli.conftest import Invoke
from tests.aggregator.service.scene import CUT
from tests.aggregator.service.stored import Stored, fill

STRESS = Path(__file__).parents[3] / "configs" / "stress" / "history.toml"
COMMANDS = (
    ("health",),
    ("liquidation", "--price", "ETH"),
    ("stress", "--scenarios", STRESS),
    ("plan", "rebalance"),
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def stored(home: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    monkeypatch.setattr(time, "time", lambda: float(CUT + 14))
    return fill(Home(home))


def _words(command: tuple[object, ...], stored: Stored) -> tuple[object, ...]:
    plan = command[0] == "plan"
    noun, options = (command[:2], command[2:]) if plan else (command[:1], command[1:])
    return (*noun, "main", "--policy", stored.policy, *options)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
def test_the_first_line_says_whose_and_when(
    invoke: Invoke, stored: Stored, command: tuple[object, ...]
) -> None:
    shown = invoke(*_words(command, stored))
    assert shown.code == 0, shown.err
    head = " ".join(" ".join(shown.out.splitlines()[:2]).split())
    assert head.startswith(
        f"main, read 14 s ago (cut {tables.moment(CUT)}, 3 chains, rpc-quorum), policy demo epoch 1, valid to "
    )
    assert "warning" not in shown.err
    data = invoke(*_words(command, stored), "--json").data
    assert (data["account"], data["snapshot"]) == ("main", stored.snapshot)
    assert (data["cutTime"], data["trust"], data["complete"]) == (CUT, "rpc-quorum", True)
    assert (data["asOf"][0]["chain"], data["asOf"][0]["trust"]) == (
        "eip155:31337001",
        "rpc-quorum",
    )
    policy = data["policy"]
    assert (policy["id"], policy["name"], policy["epoch"], policy["expired"]) == (
        stored.policy,
        "demo",
        1,
        False,
    )
    assert policy["root"].startswith("0x")
    assert data["warnings"] == []


def test_old_figures_are_warned_of(invoke: Invoke, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    later = CUT + 30 * 86_400
    monkeypatch.setattr(time, "time", lambda: float(later))
    invoke("health", "main", "--policy", stored.policy).refused(4, "ran out")
    shown = invoke("health", "main", "--policy", stored.policy, "--expired")
    assert "main, read 30 d ago" in shown.out
    assert "EXPIRED" in " ".join(shown.out.splitlines()[:2])
    assert "warning: the snapshot is 30 d old" in shown.err
    assert "counterfoil snapshot take main" in shown.err
    assert "warning: policy demo epoch 1 ran out" in shown.err
    data = invoke("health", "main", "--policy", stored.policy, "--expired", "--json").data
    assert (len(data["warnings"]), data["policy"]["expired"]) == (2, True)


def test_an_incomplete_snapshot_and_files_say_it_too(invoke: Invoke, stored: Stored, tmp_path: Path) -> None:
    shown = invoke("health", stored.incomplete, "--policy", stored.policy)
    assert (shown.code, shown.out.startswith("main, read 14 s ago")) == (3, True)
    data = invoke("health", stored.incomplete, "--policy", stored.policy, "--json").data
    assert (data["complete"], data["report"], data["snapshot"]) == (False, None, stored.incomplete)
    assert [one["chain"] for one in data["failedChains"]] == ["eip155:31337003"]
    assert data["readings"]
    with Home(tmp_path / "home").store() as store:
        (tmp_path / "snapshot.json").write_bytes(store.snapshot(stored.snapshot).document + b"\n")
        (tmp_path / "policy.json").write_bytes(store.policy(stored.policy) + b"\n")
    files = invoke("health", tmp_path / "snapshot.json", "--policy", tmp_path / "policy.json")
    assert files.out.startswith(f"account {tables.short(f'0x{stored.account_id:064x}')}, read 14 s ago")
    data = invoke("health", tmp_path / "snapshot.json", "--policy", tmp_path / "policy.json", "--json").data
    assert (data["account"], data["snapshot"], data["policy"]["root"]) == (None, stored.snapshot, None)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (14, "14 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (200_000, "2 d"),
    ],
)
def test_spans(seconds: int, words: str) -> None:
    assert tables.span(seconds) == words


def test_counts() -> None:
    assert (tables.count(1, "chain"), tables.count(2, "chain")) == ("1 chain", "2 chains")
    assert (tables.count(1, "address", "addresses"), tables.count(0, "address", "addresses")) == (
        "1 address",
        "0 addresses",
    )
