"""`proof make --batch`: many accounts with one key; failures named, the rest made, good bundles kept."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from aggregator.margin.native import positions_by_id
from aggregator.model.errors import CannotProveError
from aggregator.model.snapshot import encode_snapshot
from aggregator.model.strictjson import canonical_json
from aggregator.policy import encode_policy
from aggregator.service import pipeline as pipeline_module
from aggregator.service.attestation_files import attestation_json
from aggregator.service.attestor import AttestationRequest, attest
from aggregator.service.pipeline import pipeline
from aggregator.store import Home
from circuits.artifacts import ready
from circuits.assignment import commitment
from circuits.bundle import parse_bundle
from circuits.keys import ensure_dev_key
from circuits.policy_tree import document_hash
from circuits.solvency import SMALL
from circuits.verifiers import native
from tests.aggregator.cli.conftest import Invoke
from tests.aggregator.service.scene import (
    ATTESTORS,
    CUT,
    NETWORKS,
    POLICY,
    REGISTRY,
    VENUE,
    reading,
    snapshot,
)

ACCOUNTS = ("anna", "ben", "carl")
HEAD = f"""
policy = "policy.json"
venue = "{VENUE}"
registry = "eip155:31337001:{REGISTRY}"
lifetime_s = 600
"""


@pytest.fixture
def desk(invoke: Invoke, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three accounts with attested snapshots of 40, 41 and 42 ETH; the folder that the batch file is in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.json").write_bytes(encode_policy(POLICY))
    for n, name in enumerate(ACCOUNTS):
        assert invoke("account", "create", name).code == 0
        with Home(home).store() as store:
            account = store.account(name)
            taken = snapshot(account_id=account.account_id, readings=[reading(1, "ETH@eip155:1", 40 + n)])
            store.add_snapshot(encode_snapshot(taken), account=name, cut_time=CUT, complete=True, now=CUT)
            blinding = store.snapshot(name).blinding
        opened = commitment(SMALL, document_hash(POLICY), blinding, positions_by_id(POLICY, taken.positions))
        request = AttestationRequest(taken, POLICY, SMALL.name, blinding, opened, 31337001, REGISTRY)
        signed = attest(request, taken, ATTESTORS[0], 900, NETWORKS)
        (tmp_path / f"{name}.attestation.json").write_bytes(canonical_json(attestation_json(signed)))
    return tmp_path


def batch(folder: Path, amounts: dict[str, str], head: str = HEAD, name: str = "batch.toml") -> Path:
    entries = [
        f'[[proofs]]\nsnapshot = "{account}"\namount_usd = "{amount}"\nattestations = ["{account}.attestation.json"]\n'
        for account, amount in amounts.items()
    ]
    path = folder / name
    path.write_text(head + "\n".join(entries))
    return path


def test_a_batch_is_made_resumed_and_made_again(invoke: Invoke, desk: Path) -> None:
    """All are made; the next run keeps what is good, makes what is damaged, gone or about another amount again."""
    file = batch(desk, {"anna": "50000", "ben": "60000.5", "carl": "70000"})
    made = invoke("proof", "make", "--batch", file, "--out", desk / "out", "--json")
    assert made.code == 0, made.err
    assert (made.data["made"], made.data["kept"], made.data["failed"]) == (3, 0, 0)
    assert [p["name"] for p in made.data["proofs"]] == list(ACCOUNTS)
    assert "3 of 3: " in made.err
    assert {p["keyKind"] for p in made.data["proofs"]} == {"dev"}
    key = ensure_dev_key(ready(SMALL.name)).verification_key
    bundles = {}
    for name, amount in (("anna", 50_000_000_000), ("ben", 60_000_500_000), ("carl", 70_000_000_000)):
        bundles[name] = parse_bundle((desk / "out" / f"{name}.bundle.json").read_bytes())
        assert bundles[name].amount_e6 == amount
        native.verify(key, bundles[name].public, bundles[name].proof)
        assert invoke("proof", "verify", name, "--venue", VENUE).code == 0

    (desk / "out" / "ben.bundle.json").write_bytes(b"{}")
    batch(desk, {"anna": "50000", "ben": "60000.5", "carl": "70001"})
    again = invoke("proof", "make", "--batch", file, "--out", desk / "out", "--json")
    assert [p["result"] for p in again.data["proofs"]] == ["kept", "made", "made"]
    kept = parse_bundle((desk / "out" / "anna.bundle.json").read_bytes())
    assert kept == bundles["anna"]
    longer = HEAD.replace("600", "6000")
    batch(desk, {"anna": "50000"}, longer)
    assert invoke("proof", "make", "--batch", file, "--out", desk / "out", "--json").data["made"] == 1


def test_failures_are_named_and_the_rest_is_made(invoke: Invoke, desk: Path) -> None:
    file = batch(desk, {"anna": "50000", "ben": "99999999", "nobody": "1", "carl": "70000"})
    (desk / "carl.attestation.json").write_bytes((desk / "ben.attestation.json").read_bytes())
    done = invoke("proof", "make", "--batch", file, "--out", desk / "out", "--json")
    assert done.code == 5
    assert [p["result"] for p in done.data["proofs"]] == ["made", "failed", "failed", "failed"]
    problems = [p["problem"] for p in done.data["proofs"][1:]]
    assert [p["exitCode"] for p in problems] == [5, 2, 4]
    assert "less than the 99,999,999" in problems[0]["detail"]
    assert "attestation" in problems[2]["detail"]
    assert "3 of 4 proofs were not made, the first ben" in done.err
    assert sorted(path.name for path in (desk / "out").iterdir()) == ["anna.bundle.json"]
    shown = invoke("proof", "make", "--batch", file, "--out", desk / "out")
    assert shown.code == 5
    assert re.search(r"anna .* kept .* dev ", shown.out)
    assert "1 kept, 3 failed" in shown.out.replace("0 made, ", "")


def test_a_folder_of_batch_files_is_one_batch(invoke: Invoke, desk: Path) -> None:
    folder = desk / "batches"
    folder.mkdir()
    for account in ("anna", "ben"):
        path = batch(folder, {account: "50000"}, HEAD.replace("policy = ", "# "), f"{account}.toml")
        path.write_text(path.read_text().replace('["', '["../'))
    done = invoke(
        *("proof", "make", "--batch", folder, "--out", desk / "out", "--policy", "policy.json", "--json")
    )
    assert done.code == 0, done.err
    assert done.data["made"] == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("[[proofs]]", "[[proof]]"), "lacks the field 'proofs'"),
        (('"50000"', '"-5"'), "amount -5 USD"),
        (("snapshot = ", "snapshoot = "), "lacks the field 'snapshot'"),
        (('attestations = ["anna.attestation.json"]', "attestations = []"), "attestations is empty"),
        (("lifetime_s = 600", "lifetime_s = 0"), "lifetime_s is 0"),
        (("eip155:31337001:", "eip155:0:"), "is not a contract on a chain"),
        (('snapshot = "anna"', 'snapshot = "anna"\nname = "../anna"'), "does not match"),
        (('snapshot = "anna"', 'snapshot = "anna"\nextra = 1'), "unknown field 'extra'"),
        (('snapshot = "anna"', 'snapshot = "anna"\nlevel = "XM"'), "use IM or MM"),
        (("policy =", "policy"), "is not TOML"),
    ],
)
def test_a_malformed_batch_file_is_refused(
    invoke: Invoke, tmp_path: Path, change: tuple[str, str], reason: str
) -> None:
    file = batch(tmp_path, {"anna": "50000"})
    file.write_text(file.read_text().replace(*change))
    invoke("proof", "make", "--batch", file, "--out", tmp_path / "out").refused(2, reason)
    assert not (tmp_path / "out").exists()


def test_options_that_do_not_go_together_are_refused(invoke: Invoke, tmp_path: Path) -> None:
    file = batch(tmp_path, {"anna": "50000", "ben": "1"})
    invoke("proof", "make", "anna", "--batch", file).refused(2, "are in the file")
    invoke("proof", "make", "--batch", file).refused(2, "name it with --out")
    invoke("proof", "make", "--batch", tmp_path / "none", "--out", tmp_path).refused(2, "cannot be read")
    invoke("proof", "make").refused(2, "missing SNAPSHOT")
    file.write_text(file.read_text().replace('"ben"\n', '"ben"\nname = "anna"\n'))
    invoke("proof", "make", "--batch", file, "--out", tmp_path / "out").refused(2, "two proofs 'anna'")


def test_the_pipeline_prepares_ahead_and_proves_as_many_as_told() -> None:
    """While one is proven the next is prepared, and no more than that."""
    proving: list[int] = []
    most, ahead = 0, 0
    begun: list[int] = []

    def prepare(n: int) -> int:
        begun.append(n)
        if n == 3:
            raise CannotProveError("the third")
        time.sleep(0.003)
        return n

    def prove(n: int) -> int:
        nonlocal most, ahead
        proving.append(n)
        most, ahead = max(most, len(proving)), max(ahead, len(begun) - n)
        time.sleep(0.01)
        proving.remove(n)
        return n * n

    results = dict(pipeline(range(1, 9), prepare, prove, pipeline_module.PROVING_AT_ONCE))
    assert most == pipeline_module.PROVING_AT_ONCE
    assert 1 <= ahead <= 2
    assert isinstance(results.pop(2), CannotProveError)
    assert results == {n - 1: n * n for n in range(1, 9) if n != 3}


def test_a_defect_ends_the_pipeline() -> None:
    done: list[int] = []

    def prove(n: int) -> int:
        if n == 2:
            raise KeyError("a defect")
        time.sleep(0.005)
        done.append(n)
        return n

    with pytest.raises(KeyError):
        list(pipeline(range(100), lambda n: n, prove))
    assert len(done) < 50


def test_json_is_one_document(invoke: Invoke, desk: Path) -> None:
    file = batch(desk, {"nobody": "1"})
    done = invoke("proof", "make", "--batch", file, "--out", desk / "out", "--json")
    assert done.code == 2
    assert json.loads(done.out)["failed"] == 1
