"""Revocation bites, a pause locks nobody in, and pledges move between venues."""

from __future__ import annotations

from typing import Any

import pytest
from eth_utils.crypto import keccak

from aggregator.model.policy import Level
from chains.contracts.administration import (
    pause_call,
    publish_policy_call,
    revoke_policy_call,
    set_grace_period_call,
    set_guardian_call,
    set_publisher_call,
    unpause_call,
)
from chains.contracts.coding import creation_code
from chains.contracts.registry import (
    Status,
    pledge_call,
    poke_call,
    release_call,
    set_attestors_call,
    set_policy_call,
    set_verifier_call,
    transfer_call,
)
from tests.chains.contracts.world import (
    ACCOUNT_ID,
    CIRCUIT,
    FAR,
    POLICY_ROOT,
    USD,
    Receipt,
    RefusedError,
    World,
)

pytestmark = pytest.mark.anvil
GRACE = 500
ZERO = "0x" + 40 * "0"
ANY_ORDER = "0x" + 40 * "1"


async def show(world: World, venue: int = 0, usd: int = 1000, **changes: Any) -> Receipt:
    """Submit an IM proof to a venue, valid for much longer than the grace period."""
    now = await world.now()
    defaults = {"expiry": now + 20 * GRACE, "attestation_expiry": now + 30 * GRACE, "cut_time": now - 10}
    s = await world.submission(venue=world.venues[venue], amount_usd_e6=usd * USD, **{**defaults, **changes})
    return await world.prove_and_submit(s)


async def pledge(world: World, venue: int, usd: int) -> Receipt:
    """Pledge whole dollars."""
    return await world.send(pledge_call(ACCOUNT_ID, usd * USD), sender=world.venues[venue])


@pytest.fixture
async def pledged(world: World) -> World:
    """A short grace period, and 800 of 1000 USD pledged to the first venue."""
    await world.send(set_grace_period_call(GRACE))
    await show(world)
    await pledge(world, 0, 800)
    return world


async def revoke(world: World, what: str) -> Receipt:
    """Withdraw one thing the proof rests on."""
    if what == "policy":
        return await world.send(revoke_policy_call(POLICY_ROOT))
    if what == "policy by window":
        return await world.send(set_policy_call(POLICY_ROOT, 0))
    if what == "attestors":
        return await world.send(set_attestors_call([a.address for a in world.attestors[1:]], 1))
    if what == "same attestors":
        return await world.send(set_attestors_call([a.address for a in world.attestors], 2))
    if what == "verifier":
        return await world.send(set_verifier_call(CIRCUIT, ZERO))
    other = await world.net.deploy_code(creation_code("TestAcceptingVerifier"))
    return await world.send(set_verifier_call(CIRCUIT, other))


REVOCATIONS = ["policy", "policy by window", "attestors", "same attestors", "verifier", "other verifier"]


@pytest.mark.parametrize("what", REVOCATIONS)
async def test_what_is_revoked_counts_for_the_grace_period_only(pledged: World, what: str) -> None:
    """No new pledge at once, callable at once, covered until the grace period is over, released at any time."""
    world, venue = pledged, pledged.venues[0]
    receipt = await revoke(world, what)
    revoked_at = await world.now()
    (event,) = [e for e in receipt.events if e.name.endswith("Revoked")]
    assert event.values["countsUntil"] == revoked_at + GRACE
    assert await world.reader.available(ACCOUNT_ID) == 0
    with pytest.raises(RefusedError, match="OverPledged"):
        await pledge(world, 0, 1)
    status = await world.reader.status(ACCOUNT_ID)
    assert (status.status, status.firm_usd_e6, status.counted_usd_e6) == (Status.SHORT, 0, 1000 * USD)
    await world.net.next_timestamp(revoked_at + GRACE - 1)
    call = await world.send(poke_call(ACCOUNT_ID), sender=world.net.accounts[9].address)
    assert call.only("MarginCall")["deadline"] == await world.now() + GRACE
    # The last second of the grace period, and the one after it.
    assert await world.reader.is_good(ACCOUNT_ID, venue)
    await world.travel(3)
    assert not await world.reader.is_good(ACCOUNT_ID, venue)
    status = await world.reader.status(ACCOUNT_ID)
    assert (status.status, status.counted_usd_e6) == (Status.CALLED, 0)
    await world.travel(GRACE)
    assert (await world.reader.status(ACCOUNT_ID)).status is Status.FAILED
    done = await world.send(release_call(ACCOUNT_ID, 800 * USD), sender=venue)
    assert done.names == ["Released", "MarginRestored"]


async def test_a_proof_under_what_is_in_force_ends_the_call(pledged: World) -> None:
    """A new policy, the new attestors or the new verifier: proven again before the grace period is over."""
    world = pledged
    for what in ("policy", "same attestors", "other verifier"):
        await world.travel(5)
        await revoke(world, what)
        await world.send(poke_call(ACCOUNT_ID))
        await world.send(set_policy_call(POLICY_ROOT, await world.now() + FAR))
        verifier, _ = await world.reader.call("verifierOf", CIRCUIT)
        world = World(world.net, world.registry, verifier)
        assert (await world.reader.status(ACCOUNT_ID)).status is Status.CALLED
        assert (await show(world)).names == ["Recorded", "MarginRestored"]
        await pledge(world, 0, 1)


async def test_a_revocation_is_for_good(pledged: World) -> None:
    """The same root, set or verifier again is a new one: what was proven under the old one stays without value."""
    world = pledged
    await revoke(world, "policy")
    await world.send(set_policy_call(POLICY_ROOT, await world.now() + FAR))
    await revoke(world, "same attestors")
    await revoke(world, "verifier")
    await world.send(set_verifier_call(CIRCUIT, world.verifier))
    await world.travel(GRACE + 1)
    status = await world.reader.status(ACCOUNT_ID)
    assert (status.firm_usd_e6, status.counted_usd_e6) == (0, 0)


async def test_what_is_not_revoked_bites_nobody(pledged: World) -> None:
    """A longer window, a circuit beside the old one, the same verifier again: old proofs live out their time."""
    world = pledged
    await world.send(set_policy_call(POLICY_ROOT, await world.now() + 2))
    await world.send(set_verifier_call(keccak(b"the next circuit"), world.verifier))
    await world.send(set_verifier_call(CIRCUIT, world.verifier))
    await world.travel(GRACE + 10)
    assert await world.reader.is_good(ACCOUNT_ID, world.venues[0])
    await pledge(world, 0, 200)


@pytest.mark.parametrize("first", ["attestors", "policy", "verifier"])
async def test_an_earlier_revocation_is_not_softened_by_a_later_one(pledged: World, first: str) -> None:
    """Of several revocations the first end counts, and a longer grace period helps later ones only."""
    world = pledged
    await revoke(world, first)
    await world.send(set_grace_period_call(10 * GRACE))
    for other in {"attestors", "policy", "verifier"} - {first}:
        await revoke(world, other)
    await world.travel(GRACE + 1)
    assert not await world.reader.is_good(ACCOUNT_ID, world.venues[0])


async def test_a_revoked_amount_does_not_stand_before_a_sound_one(world: World) -> None:
    """Of one cut a larger amount under a revoked policy gives way to a smaller one under a policy in force."""
    cut = await world.now() - 10
    await world.send(set_policy_call(POLICY_ROOT + 1, await world.now() + FAR))
    for level in (Level.IM, Level.MM):
        await show(world, usd=1000, cut_time=cut, level=level, expiry=cut + 5000 - level)
    await world.send(revoke_policy_call(POLICY_ROOT))
    for level, usd in ((Level.IM, 300), (Level.MM, 400)):
        await show(
            world, 1, usd, cut_time=cut, level=level, policy_root=POLICY_ROOT + 1, expiry=cut + 5000 - level
        )
    status = await world.reader.status(ACCOUNT_ID)
    assert (status.firm_usd_e6, status.counted_usd_e6) == (400 * USD, 400 * USD)
    assert await world.reader.available(ACCOUNT_ID) == 300 * USD


async def test_a_call_keeps_its_deadline(pledged: World) -> None:
    """A second proof that is too small wins no time; one that is enough ends the call."""
    world = pledged
    now = await world.now()
    first = await show(world, usd=500, cut_time=now)
    await world.travel(GRACE + 1)
    second = await show(world, usd=600, cut_time=now + 1)
    assert first.only("MarginCall")["deadline"] == second.only("MarginCall")["deadline"]
    assert (await world.reader.status(ACCOUNT_ID)).status is Status.FAILED
    assert (await show(world, usd=800, cut_time=now + 2)).names == ["Recorded", "MarginRestored"]


async def test_seniors_are_covered_first(world: World) -> None:
    """By time of the last increase: adding to a pledge gives up its rank, and everybody gets the same answer."""
    a, b, c = world.venues
    cut = await world.now() - 10
    for venue in range(3):
        await show(world, venue, 1000, cut_time=cut)
    for venue, usd in ((0, 100), (1, 200), (2, 300), (0, 50)):
        await pledge(world, venue, usd)
    await show(world, 1, 550, cut_time=cut + 1)
    assert await world.reader.cover(ACCOUNT_ID, [a, b, c, ANY_ORDER]) == {
        b: 200 * USD,
        c: 300 * USD,
        a: 50 * USD,
    }
    with pytest.raises(Exception, match="list every venue with a live pledge"):
        await world.reader.cover(ACCOUNT_ID, [b, c])
    for venues in ([a, b, c], [b, b, c, a], [b, c, ANY_ORDER, a]):
        with pytest.raises(Exception, match="has no live pledge or is out of rank"):
            await world.reader.call("coverOf", ACCOUNT_ID, venues)


async def test_a_pledge_moves_to_a_venue_with_its_own_proof(world: World) -> None:
    a, b, c = world.venues
    cut = await world.now() - 10
    await show(world, 0, 1000, cut_time=cut)
    await show(world, 1, 400, cut_time=cut)
    await pledge(world, 0, 600)
    receipt = await world.send(transfer_call(ACCOUNT_ID, b, 250 * USD), sender=a)
    assert receipt.only("Transferred") == {
        "accountId": ACCOUNT_ID,
        "from": a.lower(),
        "to": b.lower(),
        "amount": 250 * USD,
    }
    reader = world.reader
    assert [await reader.pledge_of(ACCOUNT_ID, v) for v in (a, b)] == [350 * USD, 250 * USD]
    assert await reader.pledged(ACCOUNT_ID) == 600 * USD
    for sender, to, usd, error in (
        (a, b, 151, "PledgeAboveProof"),
        (a, b, 351, "ReleaseAbovePledge"),
        (c, b, 1, "ReleaseAbovePledge"),
        (a, c, 1, "NoFreshProof"),
        (a, a, 1, "TransferToSelf"),
        (a, b, 0, "ZeroAmount"),
    ):
        if error == "ReleaseAbovePledge" and sender == a:
            await show(world, 1, 1000, cut_time=cut, expiry=cut + 25 * GRACE)
        with pytest.raises(RefusedError, match=error):
            await world.send(transfer_call(ACCOUNT_ID, to, usd * USD), sender=sender)
    await show(world, 2, 900, cut_time=cut, level=Level.MM)
    with pytest.raises(RefusedError, match="NotInitialMargin"):
        await world.send(transfer_call(ACCOUNT_ID, c, 1), sender=a)


async def test_a_transfer_overtakes_nobody(world: World) -> None:
    """The receiver ranks by the later of the two times, and a live pledge of its own is never ranked down by a gift."""
    a, b, c = world.venues
    cut = await world.now() - 10
    for venue in range(3):
        await show(world, venue, 1000, cut_time=cut)
    for venue in range(3):
        await world.travel(1)
        await pledge(world, venue, 100)
    since = [await world.reader.call("pledgedSince", ACCOUNT_ID, v) for v in (a, b, c)]
    with pytest.raises(RefusedError, match="RankWouldDrop"):
        await world.send(transfer_call(ACCOUNT_ID, a, 1), sender=c)
    await world.send(transfer_call(ACCOUNT_ID, c, 100 * USD), sender=b)
    assert await world.reader.call("pledgedSince", ACCOUNT_ID, c) == since[2]
    await world.send(release_call(ACCOUNT_ID, 100 * USD), sender=a)
    await world.send(transfer_call(ACCOUNT_ID, a, 50 * USD), sender=c)
    assert await world.reader.call("pledgedSince", ACCOUNT_ID, a) == since[2]


async def test_a_pause_stops_entry_and_never_exit(pledged: World) -> None:
    world, (a, b, _) = pledged, pledged.venues
    guardian = world.net.accounts[8].address
    await show(world, 1)
    await world.send(set_guardian_call(guardian))
    with pytest.raises(RefusedError, match="neither guardian nor owner"):
        await world.send(pause_call(), sender=a)
    await world.send(pause_call(), sender=guardian)
    with pytest.raises(RefusedError, match="the registry is paused"):
        await world.send(pledge_call(ACCOUNT_ID, 1), sender=a)
    # A call can be met all the while: a pause must not make accounts fail.
    await world.prove_and_submit(await world.submission(cut_time=await world.now()))
    await world.send(transfer_call(ACCOUNT_ID, b, 100 * USD), sender=a)
    await revoke(world, "policy")
    await world.send(poke_call(ACCOUNT_ID))
    for venue, usd in ((a, 700), (b, 100)):
        await world.send(release_call(ACCOUNT_ID, usd * USD), sender=venue)
    assert await world.reader.pledged(ACCOUNT_ID) == 0
    with pytest.raises(RefusedError, match="is not the owner"):
        await world.send(unpause_call(), sender=guardian)
    await world.send(unpause_call())
    with pytest.raises(RefusedError, match="is not paused"):
        await world.send(unpause_call())


async def test_publishers_publish_and_revoke_their_own(world: World) -> None:
    """Windows have a beginning and an end; another publisher's or the owner's root is out of reach."""
    one, two = (world.net.accounts[n].address for n in (8, 9))
    now = await world.now()
    with pytest.raises(RefusedError, match="may not publish or revoke"):
        await world.send(publish_policy_call(1, now, now + 500), sender=one)
    for account in (one, two):
        await world.send(set_publisher_call(account, True))
    with pytest.raises(RefusedError, match="is empty or begins after"):
        await world.send(publish_policy_call(1, now + 500, now), sender=one)
    await world.send(publish_policy_call(1, now + 300, now + 500), sender=one)
    s = await world.submission(policy_root=1)
    await world.prove(s)
    with pytest.raises(RefusedError, match="PolicyNotInForce"):
        await world.submit(s)
    for root in (1, POLICY_ROOT):
        for data in (publish_policy_call(root, now, now + 500), revoke_policy_call(root)):
            with pytest.raises(RefusedError, match="may not publish or revoke"):
                await world.send(data, sender=two)
    await world.travel(300)
    await world.submit(s)
    await world.send(revoke_policy_call(1), sender=one)
    assert await world.reader.available(ACCOUNT_ID) == 0
    await world.send(publish_policy_call(1, 0, now + 5000), sender=two)
    await world.send(set_publisher_call(two, False))
    with pytest.raises(RefusedError, match="may not publish or revoke"):
        await world.send(publish_policy_call(2, 0, now + 5000), sender=two)


async def test_a_grace_period_has_a_limit(world: World) -> None:
    with pytest.raises(RefusedError, match="is above 30 days"):
        await world.send(set_grace_period_call(30 * 86_400 + 1))
    await world.send(set_grace_period_call(0))
    await show(world)
    await pledge(world, 0, 1)
    await revoke(world, "policy")
    assert (await world.reader.status(ACCOUNT_ID)).status is Status.SHORT
    await world.travel(2)
    assert not await world.reader.is_good(ACCOUNT_ID, world.venues[0])


async def test_large_numbers_are_kept_smaller_never_larger(world: World) -> None:
    """An amount beyond 64 bits (a venue's: 56) and a time beyond 32 are kept as the largest that fit."""
    await world.send(set_policy_call(POLICY_ROOT, 2**64 - 1))
    now = await world.now()
    s = await world.submission(
        amount_usd_e6=2**80 - 1, expiry=2**64 - 1, attestation_expiry=2**64 - 1, cut_time=now
    )
    await world.prove(s)
    await world.submit(world.attested(s, world.attestors))
    assert await world.reader.available(ACCOUNT_ID) == 2**64 - 1
    assert (await world.reader.account(ACCOUNT_ID)).initial_until == 2**32 - 1
    assert (await world.reader.record(ACCOUNT_ID, world.venues[0])).amount_usd_e6 == 2**56 - 1
    await world.send(pledge_call(ACCOUNT_ID, 2**56 - 1), sender=world.venues[0])
    with pytest.raises(RefusedError, match="PledgeAboveProof"):
        await world.send(pledge_call(ACCOUNT_ID, 1), sender=world.venues[0])
    await world.send(release_call(ACCOUNT_ID, 2**56 - 1), sender=world.venues[0])
