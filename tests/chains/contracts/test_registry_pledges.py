"""Pledges: never more than is proven and fresh, over all venues together."""

from __future__ import annotations

import pytest

from aggregator.model.policy import Level
from chains.contracts.coding import call_data
from chains.contracts.registry import pledge_call, poke_call, release_call, set_policy_call
from tests.chains.contracts.world import ACCOUNT_ID, POLICY_ROOT, USD, Receipt, RefusedError, World

pytestmark = pytest.mark.anvil
DAY = 86_400


async def pledge(world: World, venue: str, usd: int) -> Receipt:
    """Pledge whole dollars as `venue`."""
    return await world.send(pledge_call(ACCOUNT_ID, usd * USD), sender=venue)


async def release(world: World, venue: str, usd: int) -> Receipt:
    """Release whole dollars as `venue`."""
    return await world.send(release_call(ACCOUNT_ID, usd * USD), sender=venue)


async def show(
    world: World, venue: str, usd: int, *, cut: int, level: Level = Level.IM, lasts: int = 1000
) -> Receipt:
    """Submit a proof of `usd` addressed to `venue`."""
    s = await world.submission(
        venue=venue, amount_usd_e6=usd * USD, cut_time=cut, level=level, expiry=await world.now() + lasts
    )
    return await world.prove_and_submit(s)


async def test_the_same_collateral_cannot_back_two_venues(world: World) -> None:
    a, b, c = world.venues
    cut = await world.now() - 100
    await show(world, a, 1000, cut=cut)
    await show(world, b, 600, cut=cut)
    receipt = await pledge(world, a, 700)
    assert receipt.only("Pledged") == {
        "accountId": ACCOUNT_ID,
        "venue": a.lower(),
        "amount": 700 * USD,
        "total": 700 * USD,
    }
    with pytest.raises(RefusedError, match=r"would be 1,001\.00 USD over all venues and 1,000\.00 USD"):
        await pledge(world, b, 301)
    await pledge(world, b, 300)
    with pytest.raises(RefusedError, match="OverPledged"):
        await world.send(pledge_call(ACCOUNT_ID, 1), sender=a)
    with pytest.raises(RefusedError, match=r"has shown venue .* no proof"):
        await pledge(world, c, 1)
    await release(world, a, 200)
    await pledge(world, b, 200)
    assert await world.reader.pledged(ACCOUNT_ID) == 1000 * USD
    assert await world.reader.available(ACCOUNT_ID) == 0
    assert await world.reader.pledge_of(ACCOUNT_ID, b) == 500 * USD


async def test_a_venue_pledges_no_more_than_it_was_shown(world: World) -> None:
    """The holder showed this venue 100 USD, whatever it showed another."""
    a, b, _ = world.venues
    cut = await world.now() - 100
    await show(world, a, 1000, cut=cut)
    await show(world, b, 100, cut=cut)
    await pledge(world, b, 60)
    with pytest.raises(RefusedError, match="PledgeAboveProof"):
        await world.send(pledge_call(ACCOUNT_ID, 40 * USD + 1), sender=b)
    await pledge(world, b, 40)


async def test_a_stale_proof_opens_no_pledge(world: World) -> None:
    """Neither a stale proof of the venue's own nor a stale proof of the account."""
    a, b, _ = world.venues
    cut = await world.now() - 100
    await show(world, a, 1000, cut=cut, lasts=200)
    await show(world, b, 500, cut=cut, lasts=900)
    await world.travel(300)
    with pytest.raises(RefusedError, match=r"NoFreshProof.* ran out at"):
        await pledge(world, a, 1)
    # Of one cut the larger amount stood, and it ran out.
    with pytest.raises(RefusedError, match="OverPledged"):
        await pledge(world, b, 1)
    assert await world.reader.available(ACCOUNT_ID) == 0
    assert not await world.reader.is_good(ACCOUNT_ID, b)
    assert not await world.reader.is_good(ACCOUNT_ID, a)


async def test_maintenance_proofs_keep_good_but_open_nothing(world: World) -> None:
    """After an MM proof of a later cut: no margin call, good to the venue, no new pledge until an IM proof."""
    a, b, _ = world.venues
    cut = await world.now() - 100
    await show(world, a, 1000, cut=cut)
    await pledge(world, a, 800)
    receipt = await show(world, a, 900, cut=cut + 1, level=Level.MM)
    assert receipt.names == ["Recorded"]
    assert await world.reader.is_good(ACCOUNT_ID, a)
    assert await world.reader.available(ACCOUNT_ID) == 0
    with pytest.raises(RefusedError, match="NotInitialMargin"):
        await pledge(world, a, 1)
    await show(world, b, 900, cut=cut + 1)
    await pledge(world, b, 100)
    receipt = await show(world, a, 700, cut=cut + 2, level=Level.MM)
    call = {"accountId": ACCOUNT_ID, "proven": 700 * USD, "pledged": 900 * USD}
    assert receipt.only("MarginCall") == {**call, "deadline": await world.now() + DAY}
    assert not await world.reader.is_good(ACCOUNT_ID, a)


async def test_a_proof_that_no_longer_counts_is_not_good(world: World) -> None:
    """Shown 1000 and nothing pledged: less at a later cut, or a revocation, ends it; a pledge that is covered stays."""
    a, b, _ = world.venues
    cut = await world.now() - 100
    await show(world, a, 1000, cut=cut)
    assert await world.reader.is_good(ACCOUNT_ID, a)
    await pledge(world, a, 300)
    await show(world, b, 400, cut=cut + 1)
    assert await world.reader.is_good(ACCOUNT_ID, a)
    await release(world, a, 300)
    assert not await world.reader.is_good(ACCOUNT_ID, a)
    assert await world.reader.is_good(ACCOUNT_ID, b)
    await world.send(call_data("SolvencyRegistry", "setGracePeriod", 0))
    await world.send(set_policy_call(POLICY_ROOT, 0))
    await world.travel(1)
    assert not await world.reader.is_good(ACCOUNT_ID, b)


async def test_margin_call_and_its_end(world: World) -> None:
    """A smaller newer proof calls; a larger one, or a release, ends the call."""
    a, b, _ = world.venues
    cut = await world.now() - 100
    await show(world, a, 1000, cut=cut)
    await pledge(world, a, 1000)
    receipt = await show(world, b, 600, cut=cut + 1)
    assert receipt.names == ["Recorded", "MarginCall"]
    assert (await world.reader.account(ACCOUNT_ID)).called
    assert not await world.reader.is_good(ACCOUNT_ID, a)
    with pytest.raises(RefusedError, match="AlreadyCalled"):
        await world.send(poke_call(ACCOUNT_ID))
    assert (await release(world, a, 399)).names == ["Released"]
    assert (await release(world, a, 1)).names == ["Released", "MarginRestored"]
    assert await world.reader.is_good(ACCOUNT_ID, a)
    receipt = await show(world, b, 100, cut=cut + 2)
    assert receipt.names == ["Recorded", "MarginCall"]
    receipt = await show(world, a, 600, cut=cut + 3)
    assert receipt.names == ["Recorded", "MarginRestored"]
    assert not (await world.reader.account(ACCOUNT_ID)).called


async def test_poke_calls_an_account_whose_proof_ran_out(world: World) -> None:
    a, *_ = world.venues
    await show(world, a, 1000, cut=await world.now() - 100, lasts=500)
    with pytest.raises(RefusedError, match="StillCovered"):
        await world.send(poke_call(ACCOUNT_ID))
    await pledge(world, a, 10)
    with pytest.raises(RefusedError, match="StillCovered"):
        await world.send(poke_call(ACCOUNT_ID))
    await world.travel(600)
    assert not await world.reader.is_good(ACCOUNT_ID, a)
    receipt = await world.send(poke_call(ACCOUNT_ID), sender=world.net.accounts[9].address)
    call = {"accountId": ACCOUNT_ID, "proven": 0, "pledged": 10 * USD}
    assert receipt.only("MarginCall") == {**call, "deadline": await world.now() + DAY}
    assert (await release(world, a, 10)).names == ["Released", "MarginRestored"]


async def test_release_gives_back_only_ones_own(world: World) -> None:
    a, b, _ = world.venues
    cut = await world.now() - 100
    await show(world, a, 1000, cut=cut)
    await show(world, b, 1000, cut=cut)
    await pledge(world, a, 500)
    with pytest.raises(RefusedError, match="ReleaseAbovePledge"):
        await release(world, b, 1)
    with pytest.raises(RefusedError, match="ReleaseAbovePledge"):
        await release(world, a, 501)
    for call in (pledge_call(ACCOUNT_ID, 0), release_call(ACCOUNT_ID, 0)):
        with pytest.raises(RefusedError, match="ZeroAmount"):
            await world.send(call, sender=a)
    with pytest.raises(RefusedError, match="AmountTooLarge"):
        await world.send(pledge_call(ACCOUNT_ID, 2**256 - 1), sender=a)
