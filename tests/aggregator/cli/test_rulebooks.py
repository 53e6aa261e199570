"""`health --rulebook`: venues side by side as the package evaluates them, each with its source."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from aggregator.cli.rulebooks import SOURCES
from aggregator.margin.native import positions_by_id
from aggregator.margin.rulebooks import KINDS, book_of, isolated_requirement_e6, parse_rulebook
from aggregator.model.anchors import BlockAnchor, Finality, Trust, eip155
from aggregator.model.policy import Level
from aggregator.model.snapshot import Method, Reading, encode_snapshot, make_snapshot
from aggregator.policy import encode_policy
from tests.aggregator.cli.conftest import Invoke
from tests.aggregator.markets import E8, policy

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "configs" / "rulebooks"
NOW = int(time.time())
POLICY = replace(policy(), as_of=NOW - 10, expires=NOW + 3600)
CHAIN = eip155(31337001)
HELD = {f"ETH@{CHAIN}": 10 * E8, f"USDC@{CHAIN}": 20_000 * E8}


def _reading(symbol: str, quantity_e8: int, token: str) -> Reading:
    return Reading(
        *(CHAIN, "0x" + "ab" * 20, symbol, "erc20", token, quantity_e8, 8, quantity_e8),
        *(Trust.RPC_QUORUM, Method.CALLED, {}),
    )


@pytest.fixture
def health(tmp_path: Path) -> tuple[object, ...]:
    """The command line up to the rulebooks, on two files."""
    word = "0x" + "01" * 32
    taken = make_snapshot(
        cut_time=NOW - 15,
        taken_at=NOW,
        account_id=7,
        sub_account=0,
        addresses=["0x" + "ab" * 20],
        anchors=[BlockAnchor(CHAIN, 5, word, word, NOW - 20, Finality.FINALIZED, Trust.RPC_QUORUM)],
        readings=[_reading(s, q, "0x" + f"{n:02x}" * 20) for n, (s, q) in enumerate(HELD.items(), 1)],
    )
    (tmp_path / "snapshot.json").write_bytes(encode_snapshot(taken))
    (tmp_path / "policy.json").write_bytes(encode_policy(POLICY))
    return ("health", tmp_path / "snapshot.json", "--policy", tmp_path / "policy.json")


def test_rulebooks_stand_side_by_side(invoke: Invoke, health: tuple[object, ...]) -> None:
    """Every figure is the package's own, and native is the report's."""
    names = ("native", "aave", "derive-pm2")
    answer = invoke(*health, "--rulebook", ",".join(names), "--rulebooks", FOLDER, "--json")
    assert answer.code == 0, answer.err
    shown = answer.data["rulebooks"]
    assert [one["name"] for one in shown] == list(names)
    book = book_of(POLICY, positions_by_id(POLICY, HELD))
    for one in shown:
        path = FOLDER / f"{one['name']}.toml"
        rulebook = parse_rulebook(path.read_text(), path.name)
        assert (one["file"], one["follows"]) == (str(path), SOURCES[one["kind"]])
        for level in (Level.IM, Level.MM):
            expected, stated = rulebook.evaluate(book).at(level), one["levels"][level.name]
            assert stated["requirementE6"] == str(expected.requirement_e6)
            assert stated["excessE6"] == str(expected.excess_e6)
            assert stated["binding"] == expected.binding
            assert stated["isolatedRequirementE6"] == str(isolated_requirement_e6(rulebook, book, level))
    text = invoke(*health, "--rulebook", "native, aave", "--rulebooks", FOLDER, "--explain").out
    for part in ("at IM", "at MM", "Decided by", "Sources", "aave-v3-core", "native IM: ", "can be proven"):
        assert part in text


def test_a_rulebook_that_is_not_there_or_malformed_is_refused(
    invoke: Invoke, health: tuple[object, ...], tmp_path: Path
) -> None:
    invoke(*health, "--rulebook", "nothing", "--rulebooks", FOLDER).refused(2, "called 'nothing'", "aave")
    copy = tmp_path / "copy.toml"
    copy.write_text((FOLDER / "native.toml").read_text())
    both = ("--rulebooks", FOLDER, "--rulebooks", copy)
    invoke(*health, "--rulebook", "native", *both).refused(2, "both called 'native'")
    copy.write_text("kind = 1")
    invoke(*health, "--rulebook", "native", "--rulebooks", copy).refused(2, "copy.toml")
    copy.write_bytes(b"\xff")
    invoke(*health, "--rulebook", "native", "--rulebooks", copy).refused(2, "not UTF-8")


def test_every_kind_has_its_source_as_the_page_says() -> None:
    page = (ROOT / "docs" / "rulebooks.md").read_text()
    assert set(SOURCES) == set(KINDS)
    for kind, follows in SOURCES.items():
        assert any(line.startswith(f"| `{kind}` |") and follows in line for line in page.splitlines())
