"""Bundles: what one says twice must agree, and each verifier refuses what was altered."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from aggregator.margin.native import evaluate
from aggregator.model.anchors import BlockAnchor, Finality, Trust, anchors_hash, eip155
from aggregator.model.errors import CannotProveError, FormatError, ProofRefusedError
from aggregator.model.policy import Level
from circuits.artifacts import ready
from circuits.assignment import Holder
from circuits.bundle import Bundle, BundleAttestation, bundle_json, encode_bundle, make_bundle, parse_bundle
from circuits.context import Context
from circuits.field import MODULUS
from circuits.groth16 import ProvingKey
from circuits.keys import dev_key_path, ensure_dev_key, verification_key_id
from circuits.policy_tree import build_tree
from circuits.prover import prove, size_for
from circuits.solvency import LARGE, SMALL
from circuits.verifiers import native, pyecc
from tests.circuits.books import ACCOUNT, fixed_policy

ANCHORS = tuple(
    BlockAnchor(
        eip155(n),
        7 * n,
        f"0x{n:064x}",
        f"0x{n + 1:064x}",
        1_790_000_000,
        Finality.FINALIZED,
        Trust.RPC_QUORUM,
    )
    for n in (1, 10)
)
CONTEXT = Context(
    31337001, "0x" + "11" * 20, "0x" + "fe" * 20, 1_790_003_600, anchors_hash(ANCHORS), 1_790_000_005
)
ATTESTATION = BundleAttestation("0x" + "aa" * 20, 1_790_003_600, "0x" + "cc" * 32, "0x" + "dd" * 65)
HOLDER = Holder(secret_key=424242, sub_account=1, blinding=31337)
AMOUNT = 250_000 * 10**6


@cache
def key() -> ProvingKey:
    return ensure_dev_key(ready(SMALL.name))


@cache
def bundle() -> Bundle:
    policy = fixed_policy()
    evaluation = evaluate(policy, ACCOUNT, Level.IM)
    circuit = ready(size_for(evaluation).name)
    proof = prove(circuit, key(), policy, build_tree(policy), evaluation, HOLDER, AMOUNT, CONTEXT.signal())
    return make_bundle(circuit, key(), policy, proof, CONTEXT, ANCHORS, [ATTESTATION])


def test_a_bundle_survives_its_encoding() -> None:
    assert parse_bundle(encode_bundle(bundle())) == bundle()
    assert bundle().amount_e6 == AMOUNT
    assert bundle().level is Level.IM
    assert bundle_json(bundle())["statement"] == {"amountUsd": "250000", "level": "IM"}
    assert bundle().account_id == HOLDER.account_id


def test_a_dev_key_is_called_dev() -> None:
    assert b'"key":"dev"' in encode_bundle(bundle())


@pytest.mark.parametrize("verify", [native.verify, pyecc.verify])
def test_both_verifiers_accept_it(verify: Callable[..., None]) -> None:
    verify(key().verification_key, bundle().public, bundle().proof)


@pytest.mark.parametrize("position", range(5))
def test_every_public_input_mutated_is_refused(position: int) -> None:
    for delta in (1, -1, 1 << 80):
        public = list(bundle().public)
        public[position] = (public[position] + delta) % MODULUS
        with pytest.raises(ProofRefusedError):
            native.verify(key().verification_key, public, bundle().proof)
    public = list(bundle().public)
    public[position] += MODULUS
    for verify in (native.verify, pyecc.verify):
        with pytest.raises(ProofRefusedError, match=r"0\.\.r-1"):
            verify(key().verification_key, public, bundle().proof)


def test_the_independent_verifier_refuses_a_mutated_input() -> None:
    public = list(bundle().public)
    public[3] += 1
    with pytest.raises(ProofRefusedError):
        pyecc.verify(key().verification_key, public, bundle().proof)


def _edit(path: str, value: object) -> bytes:
    return _edits({path: value})


def _edits(changes: dict[str, object]) -> bytes:
    document: Any = json.loads(encode_bundle(bundle()))
    for path, value in changes.items():
        *parents, last = path.split(".")
        target = document
        for name in parents:
            target = target[int(name)] if isinstance(target, list) else target[name]
        if value is None:
            del target[last]
        else:
            target[last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("statement.level", "XM", "use IM or MM"),
        ("statement.amountUsd", "250000\u001b[2K", "printable"),
        ("public.accountId", str(MODULUS), r"0\.\.r-1"),
        ("public.requirementAndLevel", str(3 << 80), r"above 2\^81"),
        ("public.context", None, "lacks the field"),
        ("extra", "1", "unknown field"),
        ("circuit.key", "trusted", "use one of dev, ceremony"),
        ("circuit.digest", "0x12", "32 bytes"),
        ("attestations.0.signature", "0x00", "65 bytes"),
        ("attestations", [{}] * 65, "lacks the field"),
        ("schema", "counterfoil/bundle/2", "convert the document"),
        ("proof.pi_a", ["1", "2"], "pi_a"),
    ],
)
def test_a_malformed_bundle_is_refused(path: str, value: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        parse_bundle(_edit(path, value))


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"statement.amountUsd": "250000.000001"}, "250000 at IM; it has been altered"),
        ({"statement.amountUsd": "-1"}, "altered"),
        ({"statement.level": "MM"}, "altered"),
        # The same sum of amount and 2^80 level, written otherwise.
        (
            {"statement.amountUsd": f"{(2**80 + AMOUNT) // 10**6}.706176", "statement.level": "MM"},
            "250000 at IM; it has been altered",
        ),
        # The same amount, written otherwise than bundles write it.
        ({"statement.amountUsd": "00250000"}, "altered"),
        ({"statement.amountUsd": "250000.000000"}, "altered"),
        ({"statement.amountUsd": "250,000"}, "altered"),
        ({"context.venue": "0x" + "ff" * 20}, "made for somebody else"),
        ({"context.chainId": 1}, "made for somebody else"),
        ({"context.registry": "0x" + "12" * 20}, "made for somebody else"),
        ({"context.expiry": 1_790_003_601}, "made for somebody else"),
        ({"context.cutTime": 1_790_000_006}, "made for somebody else"),
        ({"context.anchorsHash": "0x" + "00" * 32}, "do not hash"),
        ({"anchors.0.number": "8"}, "do not hash"),
    ],
)
def test_a_bundle_that_contradicts_itself_is_not_relied_on(edits: dict[str, object], message: str) -> None:
    """It was altered, which is another thing than malformed: the exit code says to ask the holder for a new one."""
    with pytest.raises(ProofRefusedError, match=f"{message}.*ask the holder for a new one"):
        parse_bundle(_edits(edits))


def test_cut_off_and_doubled_documents_are_refused() -> None:
    data = encode_bundle(bundle())
    for broken in (data[:-2], b"", b"[]", b"\xff", data.replace(b'"schema"', b'"circuit":{},"schema"')):
        with pytest.raises(FormatError):
            parse_bundle(broken)


def test_more_than_the_excess_cannot_be_proven() -> None:
    policy = fixed_policy()
    evaluation = evaluate(policy, ACCOUNT, Level.IM)
    with pytest.raises(CannotProveError, match=r"excess at IM is 590,722\.496855 USD, less than"):
        prove(
            ready(SMALL.name),
            key(),
            policy,
            build_tree(policy),
            evaluation,
            HOLDER,
            evaluation.excess_e6 + 1,
            CONTEXT.signal(),
        )


def test_the_smallest_circuit_is_taken() -> None:
    policy = fixed_policy()
    assert size_for(evaluate(policy, ACCOUNT, Level.IM)) is SMALL
    assert LARGE.slots > SMALL.slots


def test_a_key_of_another_circuit_is_refused(tmp_path: Path) -> None:
    other = ready(LARGE.name)
    target = dev_key_path(other, tmp_path)
    target.write_bytes(dev_key_path(ready(SMALL.name)).read_bytes())
    with pytest.raises(FormatError, match="another circuit"):
        ensure_dev_key(other, tmp_path)


def test_a_truncated_key_is_refused(tmp_path: Path) -> None:
    circuit = ready(SMALL.name)
    key()
    target = dev_key_path(circuit, tmp_path)
    target.write_bytes(dev_key_path(circuit).read_bytes()[:-100])
    with pytest.raises(FormatError, match="zkey"):
        ensure_dev_key(circuit, tmp_path)


def test_a_verification_key_is_named_by_its_bytes() -> None:
    assert bundle().verification_key_id == verification_key_id(key().verification_key)
    assert verification_key_id(b"") != bundle().verification_key_id
