"""The same address on every chain, and a timelock as the owner."""

from __future__ import annotations

import pytest

from aggregator.model.errors import ChainError, InputError
from chains.contracts.administration import accept_ownership_call, set_guardian_call, set_publisher_call
from chains.contracts.calldata import verifying_key_digest, verifying_key_words
from chains.contracts.coding import call_data
from chains.contracts.custody import TimelockTerms, check_owned_by_timelock
from chains.contracts.deploy import (
    DEPLOYER,
    Placement,
    execute_call,
    handover_call,
    missing,
    place,
    registry,
    schedule_call,
    timelock,
    verifier,
)
from chains.contracts.registry import Registry, set_policy_call, set_verifier_call
from chains.contracts.verifiers import AcceptedVerifier, accepted_verifiers, publishers
from chains.devnet import Devnet, devnet
from chains.rpc.provider import web3_on
from tests.chains.contracts.toxic import Toxic
from tests.chains.contracts.world import MAX_AGE, POLICY_ROOT, RefusedError, World

pytestmark = pytest.mark.anvil
DELAY = 2 * 86_400


def production(net: Devnet, attestors: slice = slice(1, 4)) -> list[Placement]:
    """A timelock and a production registry."""
    owner = net.accounts[0].address
    lock = timelock(DELAY, [net.accounts[8].address])
    members = [a.address for a in net.accounts[attestors]]
    return [lock, registry(owner, production=True, max_age_s=MAX_AGE, attestors=members, threshold=2)]


async def put(net: Devnet, placements: list[Placement], sender: int) -> None:
    """Send what is missing."""
    for placement in await missing(web3_on(net.endpoint), placements):
        await net.send(placement.to, placement.data, sender=net.accounts[sender].address)


async def test_a_verifier_says_whether_its_key_is_dev(net: Devnet) -> None:
    """The flag is part of the code, so each has an address of its own; a production registry takes one of them."""
    key = Toxic.make().key_json()
    placed = {dev: verifier(key, dev=dev) for dev in (True, False)}
    assert placed[True].address != placed[False].address
    _, registered = production(net)
    await put(net, [*placed.values(), registered], 0)
    w3, world = web3_on(net.endpoint), World(net, registered.address, "")
    circuit = b"\x07" * 32
    with pytest.raises(RefusedError, match="development key"):
        await world.send(set_verifier_call(circuit, placed[True].address))
    assert await accepted_verifiers(w3, registered.address) == ()
    await world.send(set_verifier_call(circuit, placed[False].address))
    (found,) = await accepted_verifiers(w3, registered.address)
    digest = verifying_key_digest(verifying_key_words(key))
    assert found == AcceptedVerifier(
        "0x" + circuit.hex(), placed[False].address.lower(), dev=False, key_digest="0x" + digest.hex()
    )


async def test_publishers_are_told_whatever_the_owner(net: Devnet) -> None:
    """Those of before a handover publish past the timelock; a dismissed one is not listed."""
    lock, placed = production(net)
    await put(net, [lock, placed], 0)
    w3, world = web3_on(net.endpoint), World(net, placed.address, "")
    assert await publishers(w3, placed.address) == ()
    kept, dismissed = net.accounts[5].address, net.accounts[6].address
    for account, allowed in ((kept, True), (dismissed, True), (dismissed, False)):
        await world.send(set_publisher_call(account, allowed))
    await world.send(handover_call(lock.address))
    assert await publishers(w3, placed.address) == (kept.lower(),)


async def test_two_chains_one_address() -> None:
    """Whoever deploys; other arguments or another salt give another address, and nothing is deployed twice."""
    async with devnet(101) as one, devnet(102) as two:
        placements = production(one)
        await one.mine(3)
        for net, sender in ((one, 0), (two, 7)):
            await put(net, placements, sender)
            assert await missing(web3_on(net.endpoint), placements) == []
        codes = [
            [bytes(await web3_on(net.endpoint).eth.get_code(p.address)) for p in placements]  # type: ignore[arg-type]
            for net in (one, two)
        ]
        assert codes[0][0] == codes[1][0]
        registries = [Registry(web3_on(net.endpoint), placements[1].address) for net in (one, two)]
        separators = [await registry.call("DOMAIN_SEPARATOR") for registry in registries]
        assert separators[0] != separators[1]
        # The two differ in that word alone.
        assert codes[0][1].replace(separators[0], separators[1]) == codes[1][1] != codes[0][1]
        assert all(codes[0])
        contexts = {
            await World(net, placements[1].address, "").reader.call("contextOf", DEPLOYER, 1, bytes(32), 2)
            for net in (one, two)
        }
        assert len(contexts) == 2
        assert production(one, slice(1, 5))[1].address != placements[1].address
        assert place("TestToken", "A", "A", 6, salt=b"\x01" * 32) != place("TestToken", "A", "A", 6)


async def test_the_registry_goes_behind_a_timelock(net: Devnet) -> None:
    """Named, accepted after the delay, and from then on every change waits; the guardian can pause at once."""
    lock, placed = production(net)
    await put(net, [lock, placed], 0)
    w3, proposer = web3_on(net.endpoint), net.accounts[8].address
    terms = TimelockTerms(DELAY, [proposer])
    world = World(net, placed.address, "")
    await world.send(set_guardian_call(net.accounts[7].address))
    await world.send(handover_call(lock.address))
    with pytest.raises(ChainError, match="finish the handover"):
        await check_owned_by_timelock(w3, placed.address, lock.address, terms)
    accept = accept_ownership_call()
    with pytest.raises(RefusedError, match=r"does not have the role .* of the timelock"):
        await world.send(schedule_call(placed.address, accept, DELAY), to=lock.address)
    with pytest.raises(RefusedError, match="is below the timelock's"):
        await world.send(schedule_call(placed.address, accept, DELAY - 1), to=lock.address, sender=proposer)
    await world.send(schedule_call(placed.address, accept, DELAY), to=lock.address, sender=proposer)
    with pytest.raises(RefusedError, match="is not in the state this needs"):
        await world.send(execute_call(placed.address, accept), to=lock.address)
    await world.travel(DELAY)
    await world.send(execute_call(placed.address, accept), to=lock.address)
    await check_owned_by_timelock(w3, placed.address, lock.address, terms)
    change = set_policy_call(POLICY_ROOT, await world.now() + 10 * DELAY)
    with pytest.raises(RefusedError, match="is not the owner"):
        await world.send(change)
    await world.send(schedule_call(placed.address, change, DELAY), to=lock.address, sender=proposer)
    await world.travel(DELAY)
    await world.send(execute_call(placed.address, change), to=lock.address)
    assert await world.reader.call("policyUntil", POLICY_ROOT) > 0


async def test_a_timelock_in_other_hands_is_refused(net: Devnet) -> None:
    """Another contract, a shorter delay, and roles beside those agreed, also when granted later."""
    proposer, other = net.accounts[8].address, net.accounts[6].address
    members = [a.address for a in net.accounts[1:4]]
    lock = timelock(100, [proposer])
    placed = registry(lock.address, production=True, max_age_s=MAX_AGE, attestors=members, threshold=2)
    bare = registry(other, production=True, max_age_s=MAX_AGE, attestors=members, threshold=2)
    await put(net, [lock, placed, bare], 0)
    w3 = web3_on(net.endpoint)

    async def refused(
        terms: TimelockTerms, match: str, *, of: str = placed.address, by: str = lock.address
    ) -> None:
        with pytest.raises(ChainError, match=match):
            await check_owned_by_timelock(w3, of, by, terms)

    agreed = TimelockTerms(100, [proposer])
    await check_owned_by_timelock(w3, placed.address, lock.address, agreed)
    await refused(agreed, "is not the timelock of this release", of=bare.address, by=other)
    await refused(TimelockTerms(101, [proposer]), "waits 100 s")
    await refused(TimelockTerms(100, [proposer, other]), "proposers' role")
    await refused(TimelockTerms(100, [proposer], [proposer]), "executors' role")
    grant = call_data("RegistryTimelock", "grantRole", bytes(32), other)
    world = World(net, placed.address, "")
    await world.send(schedule_call(lock.address, grant, 100), to=lock.address, sender=proposer)
    await world.travel(100)
    await world.send(execute_call(lock.address, grant), to=lock.address)
    await refused(agreed, f"administrator's role .*{other.lower()}")
    revoke = call_data("RegistryTimelock", "revokeRole", bytes(32), other)
    await world.send(schedule_call(lock.address, revoke, 100), to=lock.address, sender=proposer)
    await world.travel(100)
    await world.send(execute_call(lock.address, revoke), to=lock.address)
    await check_owned_by_timelock(w3, placed.address, lock.address, agreed)


async def test_what_a_timelock_alone_does_not_rule_out_is_refused(net: Devnet) -> None:
    """A contract that says what a registry would say, and an operation from before the delay was raised."""
    proposer, day = net.accounts[8].address, 86_400
    members = [a.address for a in net.accounts[1:4]]
    lock = timelock(0, [proposer])
    placed = registry(lock.address, production=True, max_age_s=MAX_AGE, attestors=members, threshold=2)
    await put(net, [lock, placed], 0)
    w3, world, terms = (
        web3_on(net.endpoint),
        World(net, placed.address, ""),
        TimelockTerms(2 * day, [proposer]),
    )
    change = set_policy_call(POLICY_ROOT, await world.now() + 10 * day)
    raise_delay = call_data("RegistryTimelock", "updateDelay", 2 * day)
    for target, call in ((placed.address, change), (lock.address, raise_delay)):
        await world.send(schedule_call(target, call, 0), to=lock.address, sender=proposer)
    await world.travel(1)
    await world.send(execute_call(lock.address, raise_delay), to=lock.address)
    with pytest.raises(ChainError, match="scheduled with a shorter delay"):
        await check_owned_by_timelock(w3, placed.address, lock.address, terms)
    await world.send(execute_call(placed.address, change), to=lock.address)
    await check_owned_by_timelock(w3, placed.address, lock.address, terms)
    code = bytearray(bytes(await w3.eth.get_code(placed.address)))  # type: ignore[arg-type]
    code[-1] ^= 1
    await net.set_code(placed.address, bytes(code))
    with pytest.raises(ChainError, match="is not the registry of this release"):
        await check_owned_by_timelock(w3, placed.address, lock.address, terms)


async def test_a_chain_without_the_deployer_is_refused(net: Devnet) -> None:
    for code in (b"", b"\x60\x00"):
        await net.set_code(DEPLOYER, code)
        with pytest.raises(ChainError, match="no deterministic deployer"):
            await missing(web3_on(net.endpoint), production(net))


def test_unusable_plans_are_refused() -> None:
    with pytest.raises(InputError, match="no proposer or no executor"):
        timelock(1, [])
    with pytest.raises(InputError, match="has to be 32"):
        place("TestToken", "A", "A", 6, salt=b"")
