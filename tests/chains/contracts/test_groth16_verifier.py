"""The Solidity verifier: accepts what verifies, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio
from eth_utils.crypto import keccak

from chains.contracts.calldata import (
    FIELD_Q,
    FIELD_R,
    verifying_key_digest,
    verifying_key_words,
)
from chains.contracts.coding import call_data, creation_code, decode_result
from chains.contracts.reverts import explain_revert
from chains.devnet import Devnet, devnet
from chains.rpc import RpcError
from tests.chains.contracts.toxic import Toxic, g1, g2, twist_point

VERIFIER = "Groth16Verifier"
GAS_LIMIT = 245_000
PRECOMPILES_GAS = 5 * (6_000 + 150) + 45_000 + 4 * 34_000
"""Five multiplications and additions and four pairings (EIP-1108)."""
TOXIC = Toxic.make()
INPUTS = (0, 1, FIELD_R - 1, 2**80 + 250_000 * 10**6, int.from_bytes(keccak(b"context"), "big") >> 8)

pytestmark = [pytest.mark.anvil, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def net() -> AsyncIterator[Devnet]:
    """One chain for the module: a verifier has no state that tests could share."""
    async with devnet(1) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def verifier(net: Devnet) -> str:
    """The verifier of `TOXIC`."""
    return await net.deploy_code(creation_code(VERIFIER, TOXIC.key_words(), True))


@pytest.fixture(scope="module")
def proof() -> list[int]:
    """A valid proof of `INPUTS`."""
    return TOXIC.prove(INPUTS)


async def accepts(net: Devnet, verifier: str, proof: Sequence[int], inputs: Sequence[int]) -> bool:
    """What verify() returns in a call."""
    data = call_data(VERIFIER, "verify", list(proof), list(inputs))
    raw = await net.endpoint.call("eth_call", [{"to": verifier, "data": "0x" + data.hex()}, "latest"])
    (answer,) = decode_result(VERIFIER, "verify", bytes.fromhex(str(raw)[2:]))
    return bool(answer)


async def test_a_valid_proof_is_accepted(net: Devnet, verifier: str, proof: list[int]) -> None:
    assert await accepts(net, verifier, proof, INPUTS)
    assert await accepts(net, verifier, TOXIC.prove((0,) * 5), (0,) * 5)


async def test_a_rerandomised_proof_is_accepted(net: Devnet, verifier: str) -> None:
    """Groth16 proofs are malleable: two different proofs of one statement both verify."""
    assert await accepts(net, verifier, TOXIC.prove(INPUTS, seed=3), INPUTS)


async def test_every_public_input_is_bound(net: Devnet, verifier: str, proof: list[int]) -> None:
    """Each input changed by one, set to another's value, and raised by r (the same element, not canonical)."""
    for i, value in enumerate(INPUTS):
        for other in {(value + 1) % FIELD_R, INPUTS[(i + 1) % 5], value + FIELD_R, 2**256 - 1}:
            mutated = [*INPUTS[:i], other, *INPUTS[i + 1 :]]
            assert not await accepts(net, verifier, proof, mutated), (i, other)


async def test_every_coordinate_is_bound(net: Devnet, verifier: str, proof: list[int]) -> None:
    """Each coordinate changed by one (off the curve), raised by q, zeroed, and out of range."""
    for i, value in enumerate(proof):
        for other in ((value + 1) % FIELD_Q, value + FIELD_Q, 0, FIELD_Q, 2**256 - 1):
            mutated = [*proof[:i], other, *proof[i + 1 :]]
            assert not await accepts(net, verifier, mutated, INPUTS), (i, other)


async def test_other_points_are_refused(net: Devnet, verifier: str, proof: list[int]) -> None:
    """Valid points that are not the proof's: negated, swapped, real and imaginary parts exchanged, infinity."""
    ax, ay, bx1, bx0, by1, by0, cx, cy = proof
    b = [bx1, bx0, by1, by0]
    other_b = list(g2(7))
    wrong = {
        "A negated": [ax, FIELD_Q - ay, *b, cx, cy],
        "C negated": [ax, ay, *b, cx, FIELD_Q - cy],
        "B negated": [ax, ay, bx1, bx0, FIELD_Q - by1, FIELD_Q - by0, cx, cy],
        "A and C swapped": [cx, cy, *b, ax, ay],
        "another A": [*g1(7), *b, cx, cy],
        "another B": [ax, ay, *other_b, cx, cy],
        "another C": [ax, ay, *b, *g1(7)],
        "B with its parts exchanged": [ax, ay, bx0, bx1, by0, by1, cx, cy],
        "A infinite": [0, 0, *b, cx, cy],
        "B infinite": [ax, ay, 0, 0, 0, 0, cx, cy],
        "C infinite": [ax, ay, *b, 0, 0],
        "all infinite": [0] * 8,
    }
    for name, mutated in wrong.items():
        assert not await accepts(net, verifier, mutated, INPUTS), name
    assert await accepts(
        net, verifier, [ax, FIELD_Q - ay, bx1, bx0, FIELD_Q - by1, FIELD_Q - by0, cx, cy], INPUTS
    )


async def test_an_equation_that_infinity_would_solve_is_refused(net: Devnet, verifier: str) -> None:
    """With A = B = infinity the equation leaves C to be solved; the verifier refuses such a proof all the same."""
    x = TOXIC.ic[0] + sum(i * e for i, e in zip(INPUTS, TOXIC.ic[1:], strict=True))
    c = -(TOXIC.alpha * TOXIC.beta + x * TOXIC.gamma) * pow(TOXIC.delta, -1, FIELD_R) % FIELD_R
    assert not await accepts(net, verifier, [0, 0, *g2(5), *g1(c)], INPUTS)
    assert not await accepts(net, verifier, [*g1(5), 0, 0, 0, 0, *g1(c)], INPUTS)


async def test_a_point_outside_the_subgroup_is_refused(net: Devnet, verifier: str, proof: list[int]) -> None:
    """G2 has a cofactor: a point on the twist that is not of order r is no proof element."""
    assert not await accepts(net, verifier, [*proof[:2], *twist_point(), *proof[6:]], INPUTS)


async def test_a_proof_for_another_key_is_refused(net: Devnet, verifier: str) -> None:
    assert not await accepts(net, verifier, Toxic.make(9).prove(INPUTS), INPUTS)


async def test_gas(net: Devnet, verifier: str, proof: list[int]) -> None:
    """The whole transaction of one verification stays within the limit of the specification.

    Gas is given, not estimated: an estimate finds the least gas with which the call ends well, and verify() ends well
    (with false) when the pairing runs out of gas.
    """
    data = call_data(VERIFIER, "verify", proof, list(INPUTS))
    request = {"from": net.accounts[0].address, "to": verifier, "data": "0x" + data.hex(), "gas": hex(10**6)}
    tx_hash = await net.endpoint.call("eth_sendTransaction", [request])
    await net.mine()
    receipt = await net.endpoint.call("eth_getTransactionReceipt", [tx_hash])
    assert isinstance(receipt, dict)
    gas = int(receipt["gasUsed"], 16)
    zeros = data.count(0)
    execution = gas - 21_000 - 16 * (len(data) - zeros) - 4 * zeros
    print(f"Groth16 verification, 5 public inputs: {gas} gas, of it {execution} execution")
    assert execution > PRECOMPILES_GAS
    assert gas <= GAS_LIMIT


async def test_too_little_gas_never_verifies(net: Devnet, verifier: str, proof: list[int]) -> None:
    """Starved of gas, verify() fails or says false; it never says true."""
    data = "0x" + call_data(VERIFIER, "verify", proof, list(INPUTS)).hex()
    accepted = []
    for gas in range(30_000, 300_001, 10_000):
        request = {"from": net.accounts[0].address, "to": verifier, "data": data, "gas": hex(gas)}
        try:
            if int(str(await net.endpoint.call("eth_call", [request, "latest"])), 16):
                accepted.append(gas)
        except RpcError:
            continue
    assert accepted == list(range(accepted[0], 300_001, 10_000))
    assert accepted[0] > PRECOMPILES_GAS


async def test_the_key_is_what_was_deployed(net: Devnet, verifier: str) -> None:
    """keyDigest() on the chain equals the digest of the exported key; the development flag is kept."""
    words = verifying_key_words(TOXIC.key_json())
    assert words == TOXIC.key_words()
    for function, expected in (("keyDigest", verifying_key_digest(words)), ("dev", True)):
        data = call_data(VERIFIER, function)
        raw = await net.endpoint.call("eth_call", [{"to": verifier, "data": "0x" + data.hex()}, "latest"])
        assert decode_result(VERIFIER, function, bytes.fromhex(str(raw)[2:])) == (expected,)


async def deploy_reason(net: Devnet, key: object) -> str:
    """Why the constructor refuses `key`, as a sentence."""
    code = creation_code(VERIFIER, key, False)
    with pytest.raises(RpcError) as caught:
        await net.endpoint.call(
            "eth_call", [{"from": net.accounts[0].address, "data": "0x" + code.hex()}, "latest"]
        )
    return explain_revert(bytes.fromhex(str(caught.value.data)[2:]))


async def test_a_bad_key_is_refused(net: Devnet) -> None:
    """Every point of the key: off its curve, and at infinity; G2 points also outside the subgroup."""
    alpha, beta, gamma, delta, ic = TOXIC.key_words()
    names = ["alpha", "beta", "gamma", "delta", *(f"IC {i}" for i in range(6))]
    points = [alpha, beta, gamma, delta, *ic]
    for i, (name, point) in enumerate(zip(names, points, strict=True)):
        bad = [
            (0,) * len(point),
            (*point[:-1], (point[-1] + 1) % FIELD_Q),
            (*point[:-1], point[-1] + FIELD_Q),
        ]
        if len(point) == 4:
            bad.append(twist_point())
        for replacement in bad:
            changed = [*points[:i], replacement, *points[i + 1 :]]
            reason = await deploy_reason(net, (*changed[:4], changed[4:]))
            assert f"point {name} of the verifying key" in reason


async def test_a_key_without_second_phase_is_refused(net: Devnet) -> None:
    """gamma = delta lets anyone forge: C absorbs any public input."""
    alpha, beta, gamma, _, ic = TOXIC.key_words()
    assert "gamma = delta" in await deploy_reason(net, (alpha, beta, gamma, gamma, ic))
