"""The verifier that runs in a venue's browser says what ours says, of good bundles and of bad ones."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from aggregator.fixed import format_decimal
from aggregator.model.anchors import Trust
from aggregator.model.errors import CounterfoilError, ProofRefusedError
from aggregator.model.policy import Level
from aggregator.service.venue import VenueRules, check_bundle
from circuits import formats
from circuits.artifacts import ready
from circuits.bundle import bundle_json, encode_bundle, parse_bundle
from circuits.field import MODULUS
from circuits.keys import ensure_dev_key, verification_key_id
from circuits.solvency import SMALL
from circuits.verifiers import native
from tests.aggregator.service.scene import AMOUNT, CUT, NOW, bundle, rules
from tests.circuits.conftest import TinyProof, tiny_proof

__all__ = ["tiny_proof"]

pytestmark = pytest.mark.node
SCRIPT = Path(__file__).parent / "check.mjs"
BASE_FIELD = formats.layout.BASE_FIELD_ORDER


def run_page(folder: Path, cases: list[tuple[str, Any]]) -> list[Any]:
    """What the page's code says of each case."""
    node = shutil.which("node")
    assert node is not None, "node is not installed"
    path = folder / "cases.json"
    path.write_text(json.dumps(cases))
    done = subprocess.run(
        [node, str(SCRIPT), str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


def page_rules(own: VenueRules) -> dict[str, Any]:
    """A venue's rules as the page takes them."""
    key = ensure_dev_key(ready(SMALL.name)).verification_key
    (accepted,) = own.verification_keys.values()
    return {
        "venue": own.venue,
        "chainId": own.chain_id,
        "registry": own.registry,
        "amountUsd": format_decimal(own.amount_e6, 6),
        "level": own.level.name,
        "attestors": list(own.attestors),
        "threshold": own.threshold,
        "coverages": list(own.coverages),
        "policies": [
            {"root": hex(root), "name": h.name, "publisher": h.publisher, "epoch": h.epoch, "asOf": h.as_of}
            for root, h in own.policies.items()
        ],
        "verificationKey": formats.encode_verification_key(key),
        "keyKind": accepted.kind.value,
        "circuit": accepted.circuit,
        "circuitDigest": accepted.circuit_digest,
        "maxAgeS": own.max_age_s,
        "chains": list(own.chains),
        "leastTrust": own.least_trust.value,
        "acceptDevKeys": own.accept_dev_keys,
    }


def outcome(checks: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    return [(check["name"], check["passed"]) for check in checks]


CHANGES: list[tuple[dict[str, Any], int]] = [
    ({}, NOW),
    ({"venue": "0x" + "fd" * 20}, NOW),
    ({"chain_id": 1}, NOW),
    ({"registry": "0x" + "12" * 20}, NOW),
    ({"amount_e6": AMOUNT + 1}, NOW),
    ({"level": Level.MM}, NOW),
    ({"attestors": ("0x" + "01" * 20,), "threshold": 1}, NOW),
    ({"threshold": 3}, NOW),
    ({"coverages": ()}, NOW),
    ({"policies": {}}, NOW),
    ({"accept_dev_keys": False}, NOW),
    ({"chains": ("eip155:10",)}, NOW),
    ({"least_trust": Trust.CONSENSUS_VERIFIED}, NOW),
    ({"max_age_s": 29}, NOW),
    ({}, CUT + 600),
    ({}, CUT + 601),
    ({}, CUT - 60),
    ({}, CUT - 61),
    ({"max_age_s": 10**6}, CUT + 1000),
    ({"max_age_s": 10**9}, 1_800_000_001),
]


def test_the_page_and_the_service_agree_on_every_rule(tmp_path: Path) -> None:
    """Same conditions, same order, same result, each rule broken in turn and the clock moved over each edge."""
    text = encode_bundle(bundle()).decode()
    cases = [
        ("bundle", {"text": text, "rules": page_rules(rules(**change)), "now": now})
        for change, now in CHANGES
    ]
    answers = run_page(tmp_path, cases)
    for (change, now), answer in zip(CHANGES, answers, strict=True):
        expected = [(c.name, c.passed) for c in check_bundle(bundle(), rules(**change), now)]
        assert outcome(answer["checks"]) == expected, (change, now, answer)
    assert all(check["passed"] for check in answers[0]["checks"])
    failed = {name for answer in answers for name, passed in outcome(answer["checks"]) if not passed}
    assert failed == {name for name, _ in outcome(answers[0]["checks"])} - {"proof"}


UNPRINTABLE = (
    "\x1b[2Ksolvency-64\x1b[1A",
    "a\nb",
    "a\u202eb",
    "a\u2028b",
    "a\u00a0b",
    "a\u200db",
    "a\ue000b",
    "a\x9bb",
)


def _named(text: str, document: dict[str, Any]) -> None:
    document["circuit"]["name"] = text


ALTERATIONS: list[Callable[[dict[str, Any]], object]] = [
    lambda b: b["statement"].update(amountUsd="100001"),
    lambda b: b["statement"].update(amountUsd="00100000"),
    lambda b: b["statement"].update(amountUsd="100000.000000"),
    lambda b: b["statement"].update(amountUsd="1208925819614729174.706176", level="MM"),
    lambda b: b["statement"].update(level="MM"),
    lambda b: b["statement"].update(level="XM"),
    lambda b: b["statement"].update(level=1),
    lambda b: b["statement"].update(amountUsd=100000),
    lambda b: b["statement"].update(amountUsd=""),
    lambda b: b["public"].update(accountId=str(int(b["public"]["accountId"]) + 1)),
    lambda b: b["public"].update(accountId=str(int(b["public"]["accountId"]) + MODULUS)),
    lambda b: b["public"].update(commitment="0" + b["public"]["commitment"]),
    lambda b: b["public"].update(policyRoot=1),
    lambda b: b["context"].update(venue="0x" + "ff" * 20),
    lambda b: b["context"].update(expiry=b["context"]["expiry"] + 1),
    lambda b: b["anchors"][0].update(number="10"),
    lambda b: b["anchors"].append(b["anchors"][0]),
    lambda b: b["attestations"][0].update(attestor=b["attestations"][1]["attestor"]),
    lambda b: b["attestations"][0].update(expiry=b["attestations"][0]["expiry"] + 1),
    lambda b: b["attestations"][0].update(signature="0x" + "00" * 65),
    lambda b: b.update(attestations=b["attestations"][:1]),
    lambda b: b.update(attestations=[]),
    lambda b: b["policy"].update(name="another"),
    lambda b: b["circuit"].update(key="ceremony"),
    lambda b: b["circuit"].update(name="solvency-64"),
    lambda b: b["circuit"].update(digest="0x" + "00" * 32),
    *(partial(_named, text) for text in UNPRINTABLE),
    lambda b: b["circuit"].update(name="x" * 201),
    lambda b: b["circuit"].update(name=""),
    lambda b: b["policy"].update(publisher="\u202e"),
    lambda b: b["context"].update(chainId=0),
    lambda b: b["circuit"].update(verificationKey="0x" + "00" * 32),
    lambda b: b["proof"]["pi_a"].__setitem__(slice(0, 2), ["1", "2"]),
    lambda b: b["proof"]["pi_a"].__setitem__(1, str(BASE_FIELD - int(b["proof"]["pi_a"][1]))),
    lambda b: b["proof"]["pi_a"].__setitem__(0, str(BASE_FIELD + int(b["proof"]["pi_a"][0]))),
    lambda b: b["proof"]["pi_a"].__setitem__(slice(0, 3), ["0", "1", "0"]),
    lambda b: b["proof"]["pi_c"].__setitem__(slice(0, 2), b["proof"]["pi_a"][:2]),
    lambda b: b["proof"]["pi_b"].reverse(),
    lambda b: b["proof"].update(protocol="plonk"),
    lambda b: b.update(schema="counterfoil/bundle/2"),
    lambda b: b.update(extra=1),
    lambda b: b.pop("anchors"),
]


def test_the_page_and_the_service_refuse_the_same_alterations(tmp_path: Path) -> None:
    """Each is refused by both, when it is read or by the same conditions."""
    own, texts = rules(), []
    for alter in ALTERATIONS:
        document = json.loads(encode_bundle(bundle()))
        alter(document)
        texts.append(json.dumps(document))
    given = page_rules(own)
    answers = run_page(tmp_path, [("bundle", {"text": t, "rules": given, "now": NOW}) for t in texts])
    refused = 0
    for number, (text, answer) in enumerate(zip(texts, answers, strict=True)):
        try:
            expected = {c.name: c.passed for c in check_bundle(parse_bundle(text), own, NOW)}
        except ProofRefusedError:
            expected = {"parsed": False}
            assert "refused" in answer, (number, answer)
        except CounterfoilError:
            expected = {"parsed": False}
        seen = dict(outcome(answer["checks"])) if "checks" in answer else {"parsed": False}
        assert "refused" not in answer or expected == {"parsed": False}, (number, answer)
        refused += not all(expected.values())
        if "parsed" in expected or "parsed" in seen:
            # One of the two reads the points already when it parses; refused it is either way.
            assert not all(seen.values()), (number, answer)
            assert not all(expected.values()), number
        else:
            # Of an unknown key the service says nothing about the proof; the page has the venue's key at hand.
            unknown = not expected["key"] and not expected["proof"]
            assert {**seen, **({"proof": False} if unknown else {})} == expected, (number, answer)
    assert refused == len(ALTERATIONS) - len(HARMLESS)


HARMLESS = ("one signature of three is over another expiry, and two are enough",)


def test_the_page_verifies_proofs_of_another_circuit(tiny_proof: TinyProof, tmp_path: Path) -> None:
    """With its own key id; each public input one off, and inputs too many or too few, are refused."""
    key = formats.encode_verification_key(tiny_proof.key.verification_key)
    proof = formats.encode_proof(tiny_proof.proof)
    good = list(tiny_proof.public)
    native.verify(tiny_proof.key.verification_key, good, tiny_proof.proof)
    wrong = [
        *([*good[:i], (x + 1) % MODULUS, *good[i + 1 :]] for i, x in enumerate(good)),
        *([*good[:i], x + MODULUS, *good[i + 1 :]] for i, x in enumerate(good)),
        [*good, 0],
        good[:-1],
    ]
    cases = [("proof", {"key": key, "inputs": [str(x) for x in xs], "proof": proof}) for xs in (good, *wrong)]
    first, *others = run_page(tmp_path, [*cases, ("keyId", key)])
    assert first is True
    assert others.pop() == verification_key_id(tiny_proof.key.verification_key)
    assert all(isinstance(answer, str) for answer in others)


def test_keys_with_bad_points_are_refused(tiny_proof: TinyProof, tmp_path: Path) -> None:
    """Off the curve, at infinity, on the twist but of another order, too many or too few."""
    key = formats.encode_verification_key(tiny_proof.key.verification_key)
    off = ["1", "3", "1"]
    # A point of the twist that is not of order r: x = (1, 0) has a y, and almost no such point is in the group.
    bad = [
        {**key, "vk_alpha_1": off},
        {**key, "vk_alpha_1": ["0", "1", "0"]},
        {**key, "vk_beta_2": [*key["vk_beta_2"][:1], key["vk_beta_2"][0], ["1", "0"]]},
        {**key, "vk_gamma_2": outside_the_group()},
        {**key, "IC": [off, *key["IC"][1:]]},
        {**key, "IC": key["IC"][1:]},
        {**key, "curve": "bls12381"},
    ]
    case = {"inputs": [str(x) for x in tiny_proof.public], "proof": formats.encode_proof(tiny_proof.proof)}
    answers = run_page(tmp_path, [("proof", {"key": each, **case}) for each in bad])
    assert all(isinstance(answer, str) for answer in answers), answers
    assert "not in the group" in answers[3]


def outside_the_group() -> list[list[str]]:
    """A point on the twist whose order is not r, found with py-ecc."""
    from py_ecc.optimized_bn128 import FQ2, b2, curve_order, field_modulus, is_on_curve, multiply, normalize

    half = (field_modulus + 1) // 2
    for x0 in range(1, 200):
        x = FQ2([x0, 0])
        square = x * x * x + b2
        a, b = (int(c) for c in square.coeffs)
        norm = pow(a * a + b * b, (field_modulus + 1) // 4, field_modulus)
        for sign in (norm, field_modulus - norm):
            real = pow((a + sign) * half % field_modulus, (field_modulus + 1) // 4, field_modulus)
            if real == 0:
                continue
            y = FQ2([real, b * pow(2 * real, -1, field_modulus) % field_modulus])
            point = (x, y, FQ2.one())
            if is_on_curve(point, b2) and multiply(point, curve_order)[2] != FQ2.zero():
                plain = normalize(point)
                return [*([str(int(c)) for c in coordinate.coeffs] for coordinate in plain), ["1", "0"]]
    raise AssertionError("no such point among the first 200")


def test_hashes_and_signers(tmp_path: Path) -> None:
    """Keccak over every length around a block, and recovery over random keys, against eth-account."""
    source = random.Random(7)
    messages = [source.randbytes(n) for n in (0, 1, 31, 32, 64, 134, 135, 136, 137, 271, 272, 273, 1000)]
    signed = []
    for _ in range(8):
        account = Account.from_key(source.randbytes(32))
        digest = source.randbytes(32)
        signature = account.unsafe_sign_hash(digest).signature
        signed.append((digest, bytes(signature), account.address.lower()))
    digest, signature, _ = signed[0]
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    upper = (order - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    twin = signature[:32] + upper + bytes([55 - signature[64]])
    cases: list[tuple[str, Any]] = [("keccak", m.hex()) for m in messages]
    cases += [("recover", {"digest": d.hex(), "signature": s.hex()}) for d, s, _ in signed]
    for odd in (
        twin,
        signature[:64],
        signature[:64] + b"\x00",
        bytes(32) + signature[32:],
        signature[:32] + bytes(32) + b"\x1b",
    ):
        cases.append(("recover", {"digest": digest.hex(), "signature": odd.hex()}))
    answers = run_page(tmp_path, cases)
    assert answers[: len(messages)] == [keccak(m).hex() for m in messages]
    assert answers[len(messages) : len(messages) + len(signed)] == [address for _, _, address in signed]
    assert answers[len(messages) + len(signed) :] == [None] * 5


def test_what_the_page_reads_is_what_the_bundle_says(tmp_path: Path) -> None:
    """Without a venue's own rules nothing is compared, and the key is still checked against the bundle."""
    own = bundle()
    key = formats.encode_verification_key(ensure_dev_key(ready(SMALL.name)).verification_key)
    bare = {"verificationKey": key, "acceptDevKeys": True}
    other = replace(own, verification_key_id="0x" + "ab" * 32)
    answers = run_page(
        tmp_path,
        [
            ("bundle", {"text": json.dumps(bundle_json(each)), "rules": bare, "now": NOW})
            for each in (own, other)
        ],
    )
    assert all(check["passed"] for check in answers[0]["checks"])
    assert [name for name, passed in outcome(answers[1]["checks"]) if not passed] == ["key"]
