"""Breaks of proof systems and of their use, replayed against all verifiers: inputs, points, keys, and other audiences.

What a dishonest prover claims inside of the statement is in test_known_breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from py_ecc.fields import optimized_bn128_FQ12 as FQ12
from py_ecc.optimized_bn128.optimized_curve import G1, G2, add, multiply, neg, normalize
from py_ecc.optimized_bn128.optimized_pairing import pairing

from aggregator.cli.verifying import deploy_verifier
from aggregator.model.errors import ExpiredError, ProofRefusedError, WrongAudienceError
from aggregator.service.venue import check_bundle, require
from chains.contracts.calldata import proof_words, verifying_key_words
from chains.contracts.coding import call_data, creation_code, decode_result
from chains.contracts.reverts import explain_revert
from chains.devnet import Devnet, devnet
from chains.rpc import RpcError
from circuits import _native
from circuits.artifacts import ready
from circuits.bundle import Bundle, encode_bundle, parse_bundle
from circuits.field import MODULUS
from circuits.formats.layout import BASE_FIELD_ORDER, join, words
from circuits.formats.snarkjs import encode_verification_key
from circuits.keys import ensure_dev_key
from circuits.verifiers import native, pyecc
from tests.aggregator.service import scene as venue
from tests.circuits.conftest import TinyProof
from tests.circuits.malformed import g2_outside_the_subgroup, spliced

Verify = Callable[[bytes, Sequence[int], bytes], None]
BOTH = pytest.mark.parametrize("verify", [native.verify, pyecc.verify], ids=["native", "pyecc"])


# The proof system


@BOTH
def test_an_input_in_no_row_is_bound_all_the_same(tiny_proof: TinyProof, verify: Verify) -> None:
    """A public input that no row uses has IC = infinity, and then any value of it verifies (zksnake 0.1 slides inputs
    so). The tiny circuit's second input is in no row; the key binds it by the extra row that snarkjs's setup adds.
    """
    verify(tiny_proof.key.verification_key, tiny_proof.public, tiny_proof.proof)
    for other in (776, MODULUS - 777):
        with pytest.raises(ProofRefusedError, match="does not hold"):
            verify(tiny_proof.key.verification_key, [tiny_proof.public[0], other], tiny_proof.proof)


@BOTH
@pytest.mark.parametrize("point", [0, 1, 2])
def test_an_ic_point_at_infinity_is_refused(tiny_proof: TinyProof, verify: Verify, point: int) -> None:
    """`snarkjs groth16 setup` with a bad .ptau made a key that takes any public input: its IC points were infinity."""
    damaged = spliced(tiny_proof.key.verification_key, 32 * (14 + 2 * point), bytes(64))
    with pytest.raises(ProofRefusedError, match=f"IC point {point} is the point at infinity"):
        verify(damaged, tiny_proof.public, tiny_proof.proof)


@BOTH
@pytest.mark.parametrize("position", [0, 1])
def test_a_public_input_plus_r_is_refused(tiny_proof: TinyProof, verify: Verify, position: int) -> None:
    """x and x + r are one scalar to the curve and two keys to a list of used nullifiers: Semaphore's double spend.
    Source: github.com/semaphore-protocol/semaphore/issues/16 (2019); zksnake 0.1.
    """
    public = list(tiny_proof.public)
    public[position] += MODULUS
    with pytest.raises(ProofRefusedError, match=r"0\.\.r-1"):
        verify(tiny_proof.key.verification_key, public, tiny_proof.proof)
    with pytest.raises(ValueError, match="not below the field order"):
        _native.verify(
            tiny_proof.key.verification_key,
            b"".join(x.to_bytes(32, "little") for x in public),
            tiny_proof.proof,
        )


@BOTH
@pytest.mark.parametrize(
    ("first", "values", "reason"),
    [
        (0, [1, 3], "A is not on the curve"),
        (2, [1, 2, 3, 4], "B is not on the curve"),
        (6, [BASE_FIELD_ORDER + 1, 2], "C has a coordinate that is not below"),
        (0, [0, 0], "A is the point at infinity"),
        (2, [0, 0, 0, 0], "B is the point at infinity"),
        (6, [0, 0], "C is the point at infinity"),
        (2, g2_outside_the_subgroup(), "B is not in the subgroup"),
    ],
    ids=[
        "A off the curve",
        "B off the curve",
        "C unreduced",
        "A zero",
        "B zero",
        "C zero",
        "B outside the subgroup",
    ],
)
def test_a_point_that_is_none_is_refused(
    tiny_proof: TinyProof, verify: Verify, first: int, values: list[int], reason: str
) -> None:
    """Invalid-curve and small-subgroup points make pairings say what the attacker likes."""
    with pytest.raises(ProofRefusedError, match=reason):
        verify(
            tiny_proof.key.verification_key,
            tiny_proof.public,
            spliced(tiny_proof.proof, 32 * first, join(values)),
        )


@BOTH
def test_a_key_whose_second_phase_was_skipped_is_refused(tiny_proof: TinyProof, verify: Verify) -> None:
    """With gamma = delta, (alpha, beta, -sum x_i IC_i) solves the equation for any x. Deployed verifiers had such keys,
    because `snarkjs groth16 setup` starts with delta = gamma and no contribution followed.
    """
    key = tiny_proof.key.verification_key
    skipped = spliced(key, 32 * 10, key[32 * 6 : 32 * 10])
    k = words(key)
    public = [123, 456]
    inputs = _g1(k[14:16])
    for i, x in enumerate(public):
        inputs = add(inputs, multiply(_g1(k[16 + 2 * i : 18 + 2 * i]), x))
    c = [int(n) for n in normalize(neg(inputs))]
    forged = join([*k[0:2], *k[2:6], *c])
    gamma = _g2(k[6:10])
    assert pairing(gamma, inputs) * pairing(gamma, neg(inputs)) == FQ12.one()
    with pytest.raises(ProofRefusedError, match="gamma equals delta"):
        verify(skipped, public, forged)
    with pytest.raises(ProofRefusedError, match="does not hold"):
        verify(key, public, forged)


def _g1(coordinates: Sequence[int]) -> tuple[object, object, object]:
    x, y, one = G1
    return type(x)(coordinates[0]), type(y)(coordinates[1]), type(one)(1)


def _g2(coordinates: Sequence[int]) -> tuple[object, object, object]:
    x, y, one = G2
    return type(x)(coordinates[0:2]), type(y)(coordinates[2:4]), type(one)([1, 0])


# Replay


@pytest.mark.parametrize(
    ("change", "reason", "refusing"),
    [
        ({"venue": "0x" + "fd" * 20}, "is for venue", ["proof"]),
        ({"chain_id": 1}, "is for chain", ["attestations", "proof"]),
        ({"registry": "0x" + "12" * 20}, "is for registry", ["attestations", "proof"]),
    ],
    ids=["venue", "chain", "registry"],
)
def test_a_proof_is_not_replayed_elsewhere(
    change: dict[str, object], reason: str, refusing: list[str]
) -> None:
    """Signatures and proofs without domain separation are replayed on other chains and venues.

    Three ways to try: as it is; with the words changed; with the signal recomputed to fit the words.
    """
    bundle = venue.bundle()
    elsewhere = venue.rules(**change)
    with pytest.raises(WrongAudienceError, match=reason):
        require(check_bundle(bundle, elsewhere, venue.NOW))
    reworded = replace(bundle, context=replace(bundle.context, **change))  # type: ignore[arg-type]
    with pytest.raises(ProofRefusedError, match="made for somebody else"):
        parse_bundle(encode_bundle(reworded))
    refitted = _refitted(reworded)
    failed = [c.name for c in check_bundle(refitted, elsewhere, venue.NOW) if not c.passed]
    assert failed == refusing


def test_a_proof_is_not_replayed_after_its_expiry() -> None:
    """The same for time: as it is, and with a later expiry that the proof is not about."""
    bundle = venue.bundle()
    rules = venue.rules(max_age_s=10_000)
    late = bundle.context.expiry + 1
    with pytest.raises(ExpiredError):
        require(check_bundle(bundle, rules, late))
    refitted = _refitted(replace(bundle, context=replace(bundle.context, expiry=late + 60)))
    assert [c.name for c in check_bundle(refitted, rules, late) if not c.passed] == ["proof"]


def _refitted(bundle: Bundle) -> Bundle:
    """The bundle with the signal that its words ask for."""
    return parse_bundle(encode_bundle(replace(bundle, public=(*bundle.public[:4], bundle.context.signal()))))


@pytest.mark.anvil
async def test_the_contract_refuses_what_the_other_verifiers_refuse() -> None:
    """The third verifier: a public input plus r, points that are none, a key without a second phase, another venue."""
    bundle = venue.bundle()
    key = encode_verification_key(ensure_dev_key(ready(bundle.circuit)).verification_key)
    refitted = _refitted(replace(bundle, context=replace(bundle.context, venue="0x" + "fd" * 20)))
    points = {0: [1, 3], 2: g2_outside_the_subgroup(), 6: [0, 0]}
    async with devnet(31337001) as net:
        address = await deploy_verifier(net, ensure_dev_key(ready(bundle.circuit)).verification_key)
        assert await _accepted(net, address, bundle.proof, bundle.public)
        for position in range(5):
            public = list(bundle.public)
            public[position] += MODULUS
            assert not await _accepted(net, address, bundle.proof, public)
        for first, values in points.items():
            damaged = spliced(bundle.proof, 32 * first, join(values))
            assert not await _accepted(net, address, damaged, bundle.public)
        assert not await _accepted(net, address, bundle.proof, refitted.public)
        skipped = verifying_key_words({**key, "vk_delta_2": key["vk_gamma_2"]})
        code = creation_code("Groth16Verifier", skipped, True)
        with pytest.raises(RpcError) as refusal:
            await net.endpoint.call("eth_call", [{"data": "0x" + code.hex()}, "latest"])
        assert "second phase was skipped" in explain_revert(bytes.fromhex(str(refusal.value.data)[2:]))


async def _accepted(net: Devnet, verifier: str, proof: bytes, public: Sequence[int]) -> bool:
    data = call_data("Groth16Verifier", "verify", proof_words(proof), list(public))
    raw = await net.endpoint.call("eth_call", [{"to": verifier, "data": "0x" + data.hex()}, "latest"])
    (answer,) = decode_result("Groth16Verifier", "verify", bytes.fromhex(str(raw)[2:]))
    return bool(answer)
