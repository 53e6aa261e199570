"""Who may set what, and what may not be set."""

from __future__ import annotations

import pytest

from chains.contracts.coding import call_data, creation_code
from chains.contracts.registry import (
    set_attestors_call,
    set_coverage_call,
    set_policy_call,
    set_verifier_call,
)
from chains.contracts.reverts import explain_revert
from chains.devnet import Devnet
from chains.rpc import RpcError
from tests.chains.contracts.toxic import Toxic
from tests.chains.contracts.world import CIRCUIT, COVERAGE, MAX_AGE, POLICY_ROOT, RefusedError, World

pytestmark = pytest.mark.anvil
NAME = "SolvencyRegistry"


async def test_only_the_owner_sets_the_rules(world: World) -> None:
    stranger = world.net.accounts[9].address
    for data in (
        set_verifier_call(CIRCUIT, world.verifier),
        set_attestors_call([stranger], 1),
        set_policy_call(POLICY_ROOT, 1),
        set_coverage_call(COVERAGE, False),
        call_data(NAME, "transferOwnership", stranger),
        call_data(NAME, "renounceOwnership"),
    ):
        with pytest.raises(RefusedError, match="is not the owner of this registry"):
            await world.send(data, sender=stranger)


async def test_ownership_moves_in_two_steps(world: World) -> None:
    """The old owner stays in office until the new one accepts."""
    heir = world.net.accounts[9].address
    await world.send(call_data(NAME, "transferOwnership", heir))
    assert await world.reader.call("owner") == world.owner.lower()
    await world.send(set_policy_call(POLICY_ROOT, 1))
    with pytest.raises(RefusedError):
        await world.send(set_policy_call(POLICY_ROOT, 2), sender=heir)
    await world.send(call_data(NAME, "acceptOwnership"), sender=heir)
    await world.send(set_policy_call(POLICY_ROOT, 2), sender=heir)
    with pytest.raises(RefusedError):
        await world.send(set_policy_call(POLICY_ROOT, 3))


async def test_verifiers_are_contracts_that_say_what_they_are(world: World) -> None:
    """The development flag comes from the verifier; a withdrawn circuit is unknown."""
    assert await world.reader.call("verifierOf", CIRCUIT) == (world.verifier.lower(), True)
    with pytest.raises(RefusedError, match="holds no contract"):
        await world.send(set_verifier_call(CIRCUIT, world.net.accounts[9].address))
    await world.send(set_verifier_call(CIRCUIT, "0x" + 40 * "0"))
    with pytest.raises(RefusedError, match="UnknownCircuit"):
        await world.submit(await world.submission())


async def test_a_production_registry_refuses_development_keys(net: Devnet) -> None:
    world = await World.make(net, production=True, toxic=Toxic.make())
    assert await world.reader.call("verifierOf", CIRCUIT) == (world.verifier.lower(), False)
    for code in (
        creation_code("Groth16Verifier", Toxic.make(2).key_words(), True),
        creation_code("TestAcceptingVerifier"),
    ):
        dev = await net.deploy_code(code)
        with pytest.raises(RefusedError, match="has a development key and this is a production registry"):
            await world.send(set_verifier_call(CIRCUIT, dev))
    assert await world.reader.call("verifierOf", CIRCUIT) == (world.verifier.lower(), False)


async def test_attestor_sets_are_sound(world: World) -> None:
    """A threshold of zero or above the set, a repeat, a zero address and a wrong order are refused."""
    a, b = sorted((x.address for x in world.attestors[:2]), key=lambda x: int(x, 16))
    zero = "0x" + 40 * "0"
    for attestors, threshold, error in (
        ([a, b], 0, "BadThreshold"),
        ([a, b], 3, "BadThreshold"),
        ([], 0, "BadThreshold"),
        ([a, a], 1, "AttestorsNotAscending"),
        ([b, a], 1, "AttestorsNotAscending"),
        ([zero, a], 1, "AttestorsNotAscending"),
        ([f"0x{n:040x}" for n in range(1, 258)], 2, "TooManyAttestors"),
    ):
        with pytest.raises(RefusedError, match=error):
            await world.send(call_data(NAME, "setAttestors", attestors, threshold))
    await world.send(set_attestors_call([b, a], 2))
    assert await world.reader.call("attestorSet") == (a.lower(), b.lower())
    assert await world.reader.call("threshold") == 2
    assert not await world.reader.call("isAttestor", zero)
    largest = [f"0x{n:040x}" for n in range(1, 257)]
    await world.send(set_attestors_call(largest, 256))
    assert await world.reader.call("attestorSet") == tuple(largest)


async def test_a_registry_cannot_start_without_attestors(net: Devnet) -> None:
    """The constructor checks as the setters do."""
    for attestors, threshold, owner, reason in (
        ([], 0, net.accounts[0].address, "threshold 0 does not fit 0 attestors"),
        ([net.accounts[1].address], 2, net.accounts[0].address, "threshold 2 does not fit 1 attestors"),
        ([net.accounts[1].address], 1, "0x" + 40 * "0", "cannot own the registry"),
    ):
        code = creation_code(NAME, owner, True, MAX_AGE, attestors, threshold)
        with pytest.raises(RpcError) as caught:
            await net.endpoint.call("eth_call", [{"data": "0x" + code.hex()}, "latest"])
        assert reason in explain_revert(bytes.fromhex(str(caught.value.data)[2:]))
