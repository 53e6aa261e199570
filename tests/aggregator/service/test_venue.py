"""A venue's checks: all listed, each failing for its own reason, and an attestor that signs only what it saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from aggregator.model.anchors import Trust, eip155
from aggregator.model.errors import (
    CounterfoilError,
    ExpiredError,
    IncompleteSnapshotError,
    ProofRefusedError,
    WrongAudienceError,
)
from aggregator.model.snapshot import FailedChain, Reading, Snapshot
from aggregator.service.attestor import attest
from aggregator.service.coverage import coverage, coverage_of
from aggregator.service.venue import attested_alike, check_bundle, require
from chains.networks import PositionManager
from circuits.keys import KeyKind
from tests.aggregator.service.scene import (
    AMOUNT,
    ATTESTORS,
    CUT,
    NETWORKS,
    NOW,
    bundle,
    reading,
    request,
    rules,
    snapshot,
)


def test_a_good_bundle_passes_every_check() -> None:
    checks = check_bundle(bundle(), rules(), NOW)
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
            "good for 100,000.00 USD, not the 100,000.000001",
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
    checks = check_bundle(bundle(), rules(**changes), NOW)
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
    checks = check_bundle(bundle(), rules(max_age_s=10_000), now)
    assert [c.name for c in checks if not c.passed] == failed


def test_a_key_that_calls_itself_trusted_is_refused() -> None:
    altered = replace(bundle(), key_kind=KeyKind.CEREMONY)
    checks = {c.name: c for c in check_bundle(altered, rules(accept_dev_keys=False), NOW)}
    assert not checks["key"].passed
    assert "it is a dev key" in checks["key"].detail


@pytest.mark.parametrize(
    "words", [{"circuit": "solvency-64"}, {"circuit_digest": "0x" + "00" * 32}], ids=["name", "digest"]
)
def test_a_circuit_that_goes_by_another_name_is_refused(words: dict[str, str]) -> None:
    """The proof does not bind what the bundle calls its circuit; the venue knows which circuit its key is of."""
    checks = check_bundle(replace(bundle(), **words), rules(), NOW)  # type: ignore[arg-type]
    assert [(c.name, "altered" in c.detail) for c in checks if not c.passed] == [("key", True)]


def test_a_policy_that_goes_by_another_name_is_refused() -> None:
    altered = replace(bundle(), policy=replace(bundle().policy, expires=1_900_000_000, epoch=9))
    checks = {c.name: c for c in check_bundle(altered, rules(), NOW)}
    assert "it has been altered" in checks["policy"].detail


def test_a_forged_proof_fails_only_the_proof() -> None:
    public = list(bundle().public)
    public[3] += 10**6
    checks = check_bundle(replace(bundle(), public=tuple(public)), rules(), NOW)
    assert [c.name for c in checks if not c.passed] == ["proof"]


def test_signatures_over_different_attestations_do_not_add_up() -> None:
    longer = attest(request(), snapshot(), ATTESTORS[0], 950, NETWORKS)
    mixed = replace(bundle(), attestations=(longer, *bundle().attestations[1:]))
    assert [item.attestor for item in attested_alike(mixed)] == sorted(
        a.attestor for a in bundle().attestations[1:]
    )
    three = check_bundle(mixed, rules(threshold=3), NOW)
    assert [c.name for c in three if not c.passed] == ["attestations"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: {"readings": [reading(1, "ETH@eip155:1", 39), s.readings[1]]}, "39|40"),
        (lambda s: {"readings": s.readings[:1]}, "USDC@eip155:8453"),
        (lambda s: {"account_id": s.account_id + 1}, "account"),
        (lambda s: {"anchors": [replace(s.anchors[0], number=8), s.anchors[1]]}, "anchored blocks"),
        (lambda s: {"cut_time": CUT + 1}, "cut"),
    ],
)
def test_an_attestor_signs_only_what_it_read(
    change: Callable[[Snapshot], dict[str, object]], reason: str
) -> None:
    own = snapshot(**change(snapshot()))
    with pytest.raises(ProofRefusedError, match=reason):
        attest(request(), own, ATTESTORS[0], 900, NETWORKS)


def test_an_attestor_does_not_sign_an_incomplete_reading() -> None:
    own = snapshot(failed_chains=[FailedChain(eip155(10), "no endpoint answers")])
    with pytest.raises(IncompleteSnapshotError, match="eip155:10"):
        attest(request(), own, ATTESTORS[0], 900, NETWORKS)


def test_an_attestor_does_not_sign_a_commitment_it_cannot_open() -> None:
    with pytest.raises(ProofRefusedError, match="does not open"):
        attest(replace(request(), blinding=1), snapshot(), ATTESTORS[0], 900, NETWORKS)


MANAGER = PositionManager("uniswap-v3", "UNI-V3", "0x" + "88" * 20, "0x" + "89" * 20)
WITH_POSITIONS = (replace(NETWORKS[0], positions=(MANAGER,)), NETWORKS[1])


def position(number: int) -> Reading:
    """The position of that id."""
    return replace(
        reading(1, f"UNI-V3-{number}@eip155:1", 1),
        kind="uniswap-v3",
        token=MANAGER.address,
        detail={"tokenId": str(number)},
    )


def test_the_coverage_says_what_was_looked_for_and_nothing_of_the_account() -> None:
    """Any positions in a manager, or none: one coverage. Fewer markets or chains: another one."""
    for extra in ((), (position(713_345),), (position(1), position(2))):
        taken = snapshot(readings=[*snapshot().readings, *extra])
        assert coverage_of(taken, WITH_POSITIONS) == coverage(WITH_POSITIONS)
    assert len({coverage(n) for n in (WITH_POSITIONS, WITH_POSITIONS[:1], NETWORKS, NETWORKS[::-1])}) == 3


def test_an_attestor_does_not_sign_a_coverage_it_did_not_read() -> None:
    """A chain of the files that was not anchored, and a reading that the files do not describe."""
    more = replace(NETWORKS[0], chain_id=10)
    with pytest.raises(ProofRefusedError, match="no block of eip155:10 is anchored"):
        attest(request(), snapshot(), ATTESTORS[0], 900, (*NETWORKS, more))
    with pytest.raises(ProofRefusedError, match="UNI-V3-5@eip155:1 was read as uniswap-v3"):
        coverage_of(snapshot(readings=[*snapshot().readings, position(5)]), NETWORKS)
