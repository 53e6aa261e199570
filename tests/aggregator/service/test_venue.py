"""A venue's checks: all listed, each failing for its own reason, and an attestor that signs only what it saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from aggregator.margin.native import evaluate, positions_by_id
from aggregator.model.anchors import BlockAnchor, Finality, Trust, anchors_hash, eip155
from aggregator.model.errors import (
    CounterfoilError,
    ExpiredError,
    IncompleteSnapshotError,
    ProofRefusedError,
    WrongAudienceError,
)
from aggregator.model.policy import Level
from aggregator.model.snapshot import FailedChain, Method, Reading, Snapshot, make_snapshot
from aggregator.service.attestor import AttestationRequest, attest, coverage
from aggregator.service.venue import AcceptedKey, VenueRules, attested_alike, check_bundle, require
from circuits.artifacts import ready
from circuits.assignment import Holder, commitment
from circuits.bundle import Bundle, PolicyHeader, make_bundle
from circuits.context import Context
from circuits.keys import KeyKind, ensure_dev_key, verification_key_id
from circuits.policy_tree import build_tree
from circuits.prover import prove
from circuits.solvency import SMALL
from tests.circuits.books import fixed_policy

CUT = 1_795_000_000
NOW = CUT + 30
OWNER = "0x" + "0a" * 20
VENUE, REGISTRY = "0x" + "fe" * 20, "0x" + "11" * 20
POLICY = fixed_policy()
HOLDER = Holder(secret_key=987, sub_account=0, blinding=4711)
ATTESTORS: list[LocalAccount] = [Account.from_key(n.to_bytes(32, "big")) for n in (101, 102, 103)]
AMOUNT = 100_000 * 10**6


def _reading(chain: int, symbol: str, whole: int) -> Reading:
    return Reading(
        chain=eip155(chain),
        address=OWNER,
        instrument=symbol,
        kind="erc20",
        token="0x" + "77" * 20,
        raw=whole * 10**6,
        decimals=6,
        quantity_e8=whole * 10**8,
        trust=Trust.RPC_QUORUM,
        method=Method.PROVEN,
        detail={},
    )


def _snapshot(**changes: object) -> Snapshot:
    anchors = tuple(
        BlockAnchor(
            eip155(n), 9, f"0x{n:064x}", f"0x{n + 1:064x}", CUT - 5, Finality.FINALIZED, Trust.RPC_QUORUM
        )
        for n in (1, 8453)
    )
    given = {
        "cut_time": CUT,
        "taken_at": CUT + 3,
        "account_id": HOLDER.account_id,
        "sub_account": 0,
        "addresses": [OWNER],
        "anchors": anchors,
        "readings": [_reading(1, "ETH@eip155:1", 40), _reading(8453, "USDC@eip155:8453", 50_000)],
    }
    return make_snapshot(**{**given, **changes})  # type: ignore[arg-type]


@cache
def _commitment() -> int:
    tree = build_tree(POLICY)
    return commitment(SMALL, tree.table_hash, HOLDER.blinding, positions_by_id(POLICY, _snapshot().positions))


def _request() -> AttestationRequest:
    return AttestationRequest(_snapshot(), POLICY, SMALL.name, HOLDER.blinding, _commitment())


@cache
def bundle() -> Bundle:
    snapshot = _snapshot()
    context = Context(31337001, REGISTRY, VENUE, CUT + 600, anchors_hash(snapshot.anchors), CUT)
    circuit = ready(SMALL.name)
    key = ensure_dev_key(circuit)
    evaluation = evaluate(POLICY, positions_by_id(POLICY, snapshot.positions), Level.IM)
    proof = prove(circuit, key, POLICY, build_tree(POLICY), evaluation, HOLDER, AMOUNT, context.signal())
    signed = [attest(_request(), snapshot, attestor, 900) for attestor in ATTESTORS]
    return make_bundle(circuit, key, POLICY, proof, context, snapshot.anchors, signed)


def _rules(**changes: object) -> VenueRules:
    key = ensure_dev_key(ready(SMALL.name)).verification_key
    rules = VenueRules(
        venue=VENUE,
        chain_id=31337001,
        registry=REGISTRY,
        amount_e6=AMOUNT,
        level=Level.IM,
        attestors=tuple(a.address.lower() for a in ATTESTORS),
        threshold=2,
        coverages=(coverage(_snapshot()),),
        policies={build_tree(POLICY).root: PolicyHeader("fixed", "tests", 1, 1_790_000_000, 1_800_000_000)},
        verification_keys={verification_key_id(key): AcceptedKey(key, KeyKind.DEV)},
        max_age_s=120,
        chains=("eip155:1", "eip155:8453"),
        least_trust=Trust.RPC_QUORUM,
        accept_dev_keys=True,
    )
    return replace(rules, **changes)  # type: ignore[arg-type]


def test_a_good_bundle_passes_every_check() -> None:
    checks = check_bundle(bundle(), _rules(), NOW)
    assert [c.name for c in checks if not c.passed] == []
    assert len(checks) == 9
    require(checks)


@pytest.mark.parametrize(
    ("changes", "failed", "kind", "reason"),
    [
        ({"venue": "0x" + "fd" * 20}, ["audience"], WrongAudienceError, "is for venue"),
        ({"chain_id": 1}, ["audience"], WrongAudienceError, "is for chain 31337001, not 1"),
        ({"registry": "0x" + "12" * 20}, ["audience"], WrongAudienceError, "is for registry"),
        (
            {"amount_e6": AMOUNT + 1},
            ["amount"],
            ProofRefusedError,
            "good for 100000 USD, not the 100000.000001",
        ),
        (
            {"attestors": ("0x" + "01" * 20,), "threshold": 1},
            ["attestations"],
            ProofRefusedError,
            "not accepted",
        ),
        ({"coverages": ()}, ["attestations"], ProofRefusedError, "does not accept"),
        ({"policies": {}}, ["policy"], ProofRefusedError, "not one this venue accepts"),
        ({"verification_keys": {}}, ["key", "proof"], ProofRefusedError, "not one this venue accepts"),
        ({"accept_dev_keys": False}, ["key"], ProofRefusedError, "could forge"),
        ({"chains": ("eip155:10",)}, ["anchors"], ProofRefusedError, "no block of eip155:10"),
        (
            {"least_trust": Trust.CONSENSUS_VERIFIED},
            ["anchors"],
            ProofRefusedError,
            "below consensus-verified",
        ),
        ({"max_age_s": 29}, ["freshness"], ExpiredError, "30 s old"),
    ],
)
def test_each_rule_fails_for_its_own_reason(
    changes: dict[str, object], failed: list[str], kind: type[CounterfoilError], reason: str
) -> None:
    checks = check_bundle(bundle(), _rules(**changes), NOW)
    assert [c.name for c in checks if not c.passed] == failed
    with pytest.raises(kind, match=reason):
        require(checks)


@pytest.mark.parametrize(
    ("now", "failed"),
    [
        (CUT + 600, []),
        (CUT + 601, ["expiry"]),
        (CUT + 901, ["expiry", "attestations"]),
        (CUT - 61, ["freshness"]),
    ],
)
def test_time_runs_out(now: int, failed: list[str]) -> None:
    checks = check_bundle(bundle(), _rules(max_age_s=10_000), now)
    assert [c.name for c in checks if not c.passed] == failed


def test_a_key_that_calls_itself_trusted_is_refused() -> None:
    altered = replace(bundle(), key_kind=KeyKind.CEREMONY)
    checks = {c.name: c for c in check_bundle(altered, _rules(accept_dev_keys=False), NOW)}
    assert not checks["key"].passed
    assert "it is a dev key" in checks["key"].detail


def test_a_policy_that_goes_by_another_name_is_refused() -> None:
    altered = replace(bundle(), policy=replace(bundle().policy, expires=1_900_000_000, epoch=9))
    checks = {c.name: c for c in check_bundle(altered, _rules(), NOW)}
    assert "it has been altered" in checks["policy"].detail


def test_a_forged_proof_fails_only_the_proof() -> None:
    public = list(bundle().public)
    public[3] += 10**6
    checks = check_bundle(replace(bundle(), public=tuple(public)), _rules(), NOW)
    assert [c.name for c in checks if not c.passed] == ["proof"]


def test_signatures_over_different_attestations_do_not_add_up() -> None:
    longer = attest(_request(), _snapshot(), ATTESTORS[0], 950)
    mixed = replace(bundle(), attestations=(longer, *bundle().attestations[1:]))
    assert [item.attestor for item in attested_alike(mixed)] == sorted(
        a.attestor for a in bundle().attestations[1:]
    )
    three = check_bundle(mixed, _rules(threshold=3), NOW)
    assert [c.name for c in three if not c.passed] == ["attestations"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: {"readings": [_reading(1, "ETH@eip155:1", 39), s.readings[1]]}, "39|40"),
        (lambda s: {"readings": s.readings[:1]}, "USDC@eip155:8453"),
        (lambda s: {"account_id": s.account_id + 1}, "account"),
        (lambda s: {"anchors": [replace(s.anchors[0], number=8), s.anchors[1]]}, "anchored blocks"),
        (lambda s: {"cut_time": CUT + 1}, "cut"),
    ],
)
def test_an_attestor_signs_only_what_it_read(
    change: Callable[[Snapshot], dict[str, object]], reason: str
) -> None:
    own = _snapshot(**change(_snapshot()))
    with pytest.raises(ProofRefusedError, match=reason):
        attest(_request(), own, ATTESTORS[0], 900)


def test_an_attestor_does_not_sign_an_incomplete_reading() -> None:
    own = _snapshot(failed_chains=[FailedChain(eip155(10), "no endpoint answers")])
    with pytest.raises(IncompleteSnapshotError, match="eip155:10"):
        attest(_request(), own, ATTESTORS[0], 900)


def test_an_attestor_does_not_sign_a_commitment_it_cannot_open() -> None:
    with pytest.raises(ProofRefusedError, match="does not open"):
        attest(replace(_request(), blinding=1), _snapshot(), ATTESTORS[0], 900)


def test_the_coverage_names_what_was_read() -> None:
    assert coverage(_snapshot()) != coverage(_snapshot(readings=_snapshot().readings[:1]))
