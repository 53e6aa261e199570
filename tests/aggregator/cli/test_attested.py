"""`attestation request`, a newer snapshot, then `proof make` by the account's label: the attested one is proven."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from eth_account import Account

from aggregator.model.snapshot import encode_snapshot, parse_snapshot
from aggregator.policy import parse_policy
from aggregator.service import attestor
from aggregator.service.attestation_files import attestation_json, parse_request
from aggregator.service.attestor import attest
from aggregator.service.proving import Audience, attestation_request, attested_snapshot
from aggregator.store import Home
from tests.aggregator.cli.conftest import Invoke, Outcome
from tests.aggregator.service.scene import CUT, NOW, POLICY, REGISTRY, VENUE
from tests.aggregator.service.stored import Stored, account_snapshot, fill

ATTESTOR = Account.from_key(b"\x07" * 32)


@pytest.fixture
def stored(home: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    made = fill(Home(home))
    # What was looked at is not what this is about, and these snapshots are of no network file. Only from here on: the
    # scene's bundle is made once for all tests.
    monkeypatch.setattr(attestor, "coverage_of", lambda *_: "0x" + "cc" * 32)
    return made


def _attest(request: Path, path: Path) -> Path:
    asked = parse_request(request.read_bytes()).request
    path.write_text(json.dumps(attestation_json(attest(asked, asked.snapshot, ATTESTOR, 3600, ()))))
    return path


def _take_again(stored: Stored) -> str:
    newer = account_snapshot(stored.account_id, ether=21)
    with stored.home.store() as store:
        return store.add_snapshot(
            encode_snapshot(newer), account="main", cut_time=CUT, complete=True, now=NOW + 5
        )


def _make(invoke: Invoke, stored: Stored, attestation: Path, name: str = "main") -> Outcome:
    return invoke(
        *("proof", "make", name, "--policy", stored.policy, "--amount", "1000"),
        *("--venue", VENUE, "--registry", f"eip155:31337001:{REGISTRY}", "--attestation", attestation),
    )


def test_the_attested_snapshot_is_proven_when_a_newer_one_came(
    invoke: Invoke, stored: Stored, tmp_path: Path
) -> None:
    request = tmp_path / "request.json"
    at = f"eip155:31337001:{REGISTRY}"
    asked = invoke(
        *("attestation", "request", "main", "--policy", stored.policy, "--registry", at, "--out", request)
    )
    assert f"snapshot    {stored.snapshot}, cut" in asked.out
    assert f"Next: counterfoil proof make {stored.snapshot} --policy {stored.policy}" in " ".join(
        asked.out.split()
    )
    attestation = _attest(request, tmp_path / "attestation.json")
    newer = _take_again(stored)
    made = _make(invoke, stored, attestation)
    assert made.code == 0, made.err
    assert f"over snapshot {stored.snapshot}; main now means a newer one, {newer}" in made.err
    _make(invoke, stored, attestation, newer).refused(
        4, f"is not over snapshot {newer};", "name it by its id"
    )
    other = tmp_path / "other.json"
    signed = json.loads(attestation.read_text())
    other.write_text(json.dumps({**signed, "expiry": signed["expiry"] + 1}))
    _make(invoke, stored, other).refused(
        4,
        "is not over this account, snapshot, policy and registry",
        f"{newer}, which main now means, nor over an older one",
    )


def test_only_a_snapshot_that_every_attestation_is_over_is_found(stored: Stored, tmp_path: Path) -> None:
    with stored.home.store() as store:
        one = store.snapshot(stored.snapshot)
        two = store.snapshot(_take_again(stored))
        incomplete = store.snapshot(stored.incomplete)
        policy = parse_policy(store.policy(stored.policy))
    asked = attestation_request(one, policy, 31337001, REGISTRY, NOW)
    assert parse_snapshot(one.document) == asked.snapshot
    signed = attest(asked, asked.snapshot, ATTESTOR, 900, ())
    elsewhere = attestation_request(two, policy, 31337001, REGISTRY, NOW)
    other = attest(elsewhere, elsewhere.snapshot, ATTESTOR, 900, ())
    candidates = (incomplete, two, one)
    audience, away = Audience(VENUE, 31337001, REGISTRY), Audience(VENUE, 1, REGISTRY)
    assert attested_snapshot(candidates, policy, audience, [signed], NOW) == one
    assert attested_snapshot(candidates, policy, audience, [signed, signed], NOW) == one
    assert attested_snapshot(candidates, policy, audience, [signed, other], NOW) is None
    assert attested_snapshot(candidates, POLICY, audience, [signed], NOW) is None
    assert attested_snapshot(candidates, policy, away, [signed], NOW) is None
