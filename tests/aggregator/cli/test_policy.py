"""`counterfoil policy` and `health` on documents: what they show, and malformed ones refused by name."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aggregator.model.anchors import BlockAnchor, Finality, Trust, eip155
from aggregator.model.policy import Acceptance
from aggregator.model.snapshot import Method, Reading, encode_snapshot, make_snapshot
from aggregator.policy import encode_policy
from circuits.policy_tree import build_tree
from tests.aggregator.cli.conftest import Invoke
from tests.circuits.books import fixed_policy

NOW = int(time.time())
POLICY = replace(fixed_policy(), as_of=NOW - 10, expires=NOW + 3600)
SYMBOL = next(i.symbol for i in POLICY.instruments if "@eip155:1" in i.symbol)
ADDRESS = "0x" + "ab" * 20


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.json"
    path.write_bytes(encode_policy(POLICY))
    return path


def _snapshot_file(tmp_path: Path, symbol: str) -> Path:
    chain = eip155(1)
    word = "0x" + "01" * 32
    anchor = BlockAnchor(chain, 5, word, word, NOW - 20, Finality.FINALIZED, Trust.RPC_QUORUM)
    reading = Reading(
        *(chain, ADDRESS, symbol, "erc20", "0x" + "cd" * 20, 5 * 10**18, 18, 5 * 10**8),
        *(Trust.RPC_QUORUM, Method.PROVEN, {}),
    )
    taken = make_snapshot(
        cut_time=NOW - 15,
        taken_at=NOW,
        account_id=7,
        sub_account=0,
        addresses=[ADDRESS],
        anchors=[anchor],
        readings=[reading],
    )
    path = tmp_path / "snapshot.json"
    path.write_bytes(encode_snapshot(taken))
    return path


def test_check_prints_the_root(invoke: Invoke, policy_file: Path) -> None:
    root = f"0x{build_tree(POLICY).root:064x}"
    assert invoke("policy", "check", policy_file, "--json").data["root"] == root
    shown = invoke("policy", "check", policy_file)
    assert root in shown.out
    assert "Rules W1-W7 hold." in shown.out


def test_show_has_every_instrument_and_class(invoke: Invoke, policy_file: Path) -> None:
    shown = invoke("policy", "show", policy_file).out
    for name in (*(i.symbol for i in POLICY.instruments), *POLICY.classes):
        assert name[:12] in shown
    assert invoke("policy", "show", policy_file, "--json").data["policy"]["name"] == POLICY.name


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ("epoch", -1, "policy.epoch"),
        ("scan_factor_im_e6", 10**9, "scan_factor_im_e6"),
        ("schema", "counterfoil/policy/9", "schema"),
        ("surprise", 1, "unknown field 'surprise'"),
    ],
)
def test_a_malformed_policy_is_refused(
    invoke: Invoke, policy_file: Path, field: str, value: object, part: str
) -> None:
    document = json.loads(policy_file.read_text())
    document[field] = value
    policy_file.write_text(json.dumps(document))
    invoke("policy", "check", policy_file).refused(2, part)


def test_a_policy_that_is_not_there_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    invoke("policy", "check", tmp_path / "absent.json").refused(2, "absent.json cannot be read")
    invoke("policy", "check", "0x1234").refused(2, "the store holds no policy '0x1234'", "policy build")


def test_an_expired_policy_says_so(invoke: Invoke, policy_file: Path) -> None:
    policy_file.write_bytes(encode_policy(replace(POLICY, expires=NOW - 1)))
    assert "EXPIRED" in invoke("policy", "check", policy_file).out
    assert invoke("policy", "check", policy_file, "--json").data["expired"] is True


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name = [", "spec.toml"),
        ('schema = "counterfoil/policy-spec/9"', "schema"),
        ('schema = "counterfoil/policy-spec/1"', "spec.toml"),
    ],
)
def test_a_malformed_spec_is_refused_before_a_chain_is_asked(
    invoke: Invoke, tmp_path: Path, dead_network: Path, home: Path, text: str, part: str
) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text(text)
    invoke("policy", "build", spec, "--networks", dead_network).refused(2, part)
    spec.write_bytes(b"\xff\xfe")
    invoke("policy", "build", spec, "--networks", dead_network).refused(2, "not UTF-8")
    assert not home.exists()


def test_a_policy_without_prices_is_not_built(invoke: Invoke, dead_network: Path) -> None:
    spec = Path(__file__).parents[3] / "configs" / "policies" / "demo.toml"
    result = invoke("policy", "build", spec, "--networks", dead_network)
    result.refused(3, "is missing", "--zero-stale")
    assert invoke("policy", "check", "demo").code == 2


def test_health_of_a_file(invoke: Invoke, policy_file: Path, tmp_path: Path) -> None:
    snapshot = _snapshot_file(tmp_path, SYMBOL)
    shown = invoke("health", snapshot, "--policy", policy_file)
    assert shown.code == 0
    for word in ("Equity", "Requirement", "Excess", "Capital saved", SYMBOL):
        assert word in shown.out
    assert "Requirement = " in invoke("health", snapshot, "--policy", policy_file, "--explain").out
    report = invoke("health", snapshot, "--policy", policy_file, "--json").data
    assert report["complete"] is True
    assert report["report"]["positions"][0]["symbol"] == SYMBOL


def test_a_position_that_the_policy_does_not_price_is_named(
    invoke: Invoke, policy_file: Path, tmp_path: Path
) -> None:
    snapshot = _snapshot_file(tmp_path, "DOGE@eip155:1")
    invoke("health", snapshot, "--policy", policy_file).refused(2, "DOGE@eip155:1 is not priced")


def test_a_snapshot_that_contradicts_itself_is_refused(
    invoke: Invoke, policy_file: Path, tmp_path: Path
) -> None:
    snapshot = _snapshot_file(tmp_path, SYMBOL)
    assert invoke("snapshot", "show", snapshot).code == 0
    snapshot.write_text(snapshot.read_text().replace('"500000000"', '"600000000"'))
    for command in (["snapshot", "show", snapshot], ["health", snapshot, "--policy", policy_file]):
        invoke(*command).refused(2, "rounded against the holder")


def test_health_says_what_the_policy_cut(invoke: Invoke, tmp_path: Path) -> None:
    """A quarter of what is proven does not count under this policy: the sentence and the lower quantity show."""
    rule = Acceptance(haircuts_e6=(("proven", 250_000),))
    (tmp_path / "cut.json").write_bytes(encode_policy(replace(POLICY, acceptance=rule)))
    taken = _snapshot_file(tmp_path, SYMBOL)
    shown = invoke("health", taken, "--policy", tmp_path / "cut.json", "--expired", "--json")
    assert shown.code == 0, shown.err
    sentence = f"{SYMBOL} of {ADDRESS} counts for 75 %: proven is cut by 25 %"
    assert shown.data["notCounted"] == [sentence]
    assert sentence in shown.err
    assert shown.data["report"]["equityUsd"] == "11250"
    summary = invoke("policy", "check", tmp_path / "cut.json")
    assert "readings of trust reported or better, reported or better, proven cut by 25 %" in " ".join(
        summary.out.split()
    )
    as_json = invoke("policy", "check", tmp_path / "cut.json", "--json").data
    assert as_json["acceptance"]["haircuts_e6"] == {"proven": 250_000}
