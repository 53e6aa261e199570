"""What the registry records, and every reason for which it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from aggregator.model.errors import ExpiredError, FormatError, ProofRefusedError, TransactionError
from aggregator.model.policy import Level
from chains.attestation import Attestation
from chains.contracts.calldata import FIELD_R, signature_words
from chains.contracts.registry import (
    AccountState,
    Submission,
    VenueRecord,
    order_signatures,
    set_attestors_call,
    set_coverage_call,
    set_policy_call,
)
from chains.devnet import devnet
from tests.chains.contracts.toxic import Toxic
from tests.chains.contracts.world import (
    ACCOUNT_ID,
    ANCHORS,
    ATTESTATION_TYPES,
    CIRCUIT,
    COMMITMENT,
    COVERAGE,
    EMPTY_PROOF,
    MAX_AGE,
    POLICY_ROOT,
    USD,
    RefusedError,
    World,
    sign_attestation,
    submit_raw,
)

pytestmark = pytest.mark.anvil


async def refusal_of(world: World, data: bytes, *, sender: str | None = None) -> RefusedError:
    """The reason for which a transaction is refused."""
    with pytest.raises(RefusedError) as caught:
        await world.send(data, sender=sender)
    return caught.value


async def test_a_good_submission_is_recorded(world: World) -> None:
    """State, record, event and reads all say the same."""
    s = await world.submission()
    assert not await world.reader.is_submitted(s)
    receipt = await world.prove_and_submit(s)
    reader = world.reader
    assert await reader.account(ACCOUNT_ID) == AccountState(
        s.cut_time, s.expiry, s.amount_usd_e6, False, 0, 0, 0
    )
    assert await reader.record(ACCOUNT_ID, s.venue) == VenueRecord(
        s.cut_time, s.expiry, s.amount_usd_e6, Level.IM
    )
    assert await reader.is_submitted(s)
    assert await reader.available(ACCOUNT_ID) == s.amount_usd_e6
    standing = await reader.standing(ACCOUNT_ID, s.venue)
    assert standing.good
    assert standing.available_usd_e6 == s.amount_usd_e6
    assert not await reader.is_good(ACCOUNT_ID, world.venues[1])
    assert receipt.names == ["Recorded"]
    assert receipt.only("Recorded") == {
        "accountId": ACCOUNT_ID,
        "venue": s.venue.lower(),
        "level": 1,
        "amount": s.amount_usd_e6,
        "cutTime": s.cut_time,
        "until": s.expiry,
        "policyRoot": POLICY_ROOT,
        "circuitId": CIRCUIT,
        "anchorsHash": ANCHORS,
        "coverage": COVERAGE,
    }


async def test_python_and_solidity_hash_alike(world: World) -> None:
    """Context, domain and attestation digest equal those made from typed data by eth-account."""
    s = await world.submission()
    reader = world.reader
    context = await reader.call("contextOf", s.venue, s.expiry, s.anchors_hash, s.cut_time)
    assert context == s.context(101, world.registry)
    assert 0 < context < FIELD_R
    message = {
        "accountId": s.account_id,
        "commitment": s.commitment,
        "anchorsHash": s.anchors_hash,
        "cutTime": s.cut_time,
        "expiry": s.attestation_expiry,
        "coverage": s.coverage,
    }
    signable = encode_typed_data(world.domain, ATTESTATION_TYPES, message)
    assert await reader.call("DOMAIN_SEPARATOR") == signable.header
    digest = await reader.call("attestationDigest", *message.values())
    assert digest == keccak(b"\x19\x01" + signable.header + signable.body)
    attestation = Attestation(
        account_id=s.account_id,
        commitment=s.commitment,
        anchors_hash="0x" + s.anchors_hash.hex(),
        cut_time=s.cut_time,
        expiry=s.attestation_expiry,
        coverage="0x" + s.coverage.hex(),
        chain_id=world.net.chain_id,
        registry=world.registry.lower(),
    )
    assert digest == attestation.digest()


async def test_the_record_ends_with_the_first_expiry(world: World) -> None:
    """Valid until the first of: proof, attestation, policy."""
    now = await world.now()
    for cut, (proof, attestation, policy) in enumerate([(500, 600, 700), (600, 500, 700), (700, 600, 500)]):
        await world.send(set_policy_call(POLICY_ROOT, now + policy))
        s = await world.submission(
            expiry=now + proof, attestation_expiry=now + attestation, cut_time=now - 100 + cut
        )
        await world.prove_and_submit(s)
        assert (await world.reader.record(ACCOUNT_ID, s.venue)).until == now + 500


BAD: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
    "expired proof": ("ProofExpired", lambda now: {"expiry": now - 1}),
    "expired attestation": ("AttestationExpired", lambda now: {"attestation_expiry": now - 1}),
    "cut in the future": ("CutInFuture", lambda now: {"cut_time": now + 500}),
    "cut too old": ("CutTooOld", lambda now: {"cut_time": now - MAX_AGE - 1}),
    "cut zero": ("CutTooOld", lambda now: {"cut_time": 0}),
    "unknown policy": ("PolicyNotInForce", lambda now: {"policy_root": POLICY_ROOT + 1}),
    "unknown coverage": ("CoverageNotAccepted", lambda now: {"coverage": keccak(b"less")}),
    "unknown circuit": ("UnknownCircuit", lambda now: {"circuit_id": keccak(b"other")}),
    "no venue": ("ZeroVenue", lambda now: {"venue": "0x" + 40 * "0"}),
}


@pytest.mark.parametrize("name", BAD)
async def test_each_rule_refuses(world: World, name: str) -> None:
    """Attested and proven, but against one rule; nothing is recorded."""
    error, changes = BAD[name]
    s = await world.submission(**changes(await world.now()))
    await world.prove(s)
    with pytest.raises(RefusedError) as caught:
        await world.submit(s)
    assert caught.value.name == error
    assert await world.reader.account(ACCOUNT_ID) == AccountState(0, 0, 0, False, 0, 0, 0)


async def test_level_and_amount_out_of_range(world: World) -> None:
    """Values that the Python side cannot even express are refused by the contract as well."""
    s = await world.submission()
    assert (await refusal_of(world, submit_raw(s, level=2))).name == "UnknownLevel"
    assert (await refusal_of(world, submit_raw(s, amount=2**80))).name == "AmountTooLarge"
    # With the level's bit in the amount, MM plus 2^80 would read as IM.
    assert (await refusal_of(world, submit_raw(s, level=0, amount=2**80 + USD))).name == "AmountTooLarge"


async def test_a_policy_ends(world: World) -> None:
    """A root is refused after its window and after its withdrawal."""
    now = await world.now()
    await world.send(set_policy_call(POLICY_ROOT, now + 100))
    await world.travel(101)
    s = await world.submission()
    await world.prove(s)
    with pytest.raises(RefusedError, match="was accepted until"):
        await world.submit(s)
    await world.send(set_policy_call(POLICY_ROOT, 0))
    with pytest.raises(RefusedError, match="is not accepted by this registry"):
        await world.submit(s)
    await world.send(set_coverage_call(COVERAGE, False))
    await world.send(set_policy_call(POLICY_ROOT, now + 10_000))
    with pytest.raises(RefusedError, match="CoverageNotAccepted"):
        await world.submit(s)


async def test_attestors_are_counted_once_each(world: World) -> None:
    """Too few, repeated, unordered, foreign and malformed signatures are refused, each for its reason."""
    s = await world.submission()
    await world.prove(s)
    low, high = s.signatures
    foreign = sign_attestation(world.net.accounts[8].key, s, world.domain)
    cases: list[tuple[tuple[bytes, ...], str]] = [
        ((), "TooFewSignatures"),
        ((low,), "TooFewSignatures"),
        ((low, low), "SignersNotAscending"),
        ((high, low), "SignersNotAscending"),
        ((low, high, high), "SignersNotAscending"),
        ((low, foreign), "NotAnAttestor"),
        ((foreign, low, high), "NotAnAttestor"),
        ((foreign, foreign), "NotAnAttestor"),
    ]
    for signatures, error in cases:
        with pytest.raises(RefusedError) as caught:
            await world.submit(replace(s, signatures=signatures))
        assert caught.value.name == error, signatures
    good = [signature_words(signature) for signature in (low, high)]
    r, vs = good[0]
    n = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    above = (n // 2 + 1).to_bytes(32, "big")
    for words in ((r, bytes(32)), (bytes(32), vs), (r, above), (n.to_bytes(32, "big"), vs)):
        with pytest.raises(RefusedError, match="MalformedSignature"):
            await world.send(submit_raw(s, signatures=[words, good[1]]))
    await world.submit(world.attested(s, world.attestors))


@pytest.mark.parametrize(
    "change",
    [
        {"account_id": ACCOUNT_ID + 1},
        {"commitment": COMMITMENT + 1},
        {"anchors_hash": keccak(b"other anchors")},
        {"cut_time": -1},
        {"attestation_expiry": 1},
        {"coverage": keccak(b"also accepted")},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_every_attested_field_is_bound(world: World, change: dict[str, Any]) -> None:
    """One field changed after signing, proven as changed: the recovered signers are strangers."""
    await world.send(set_coverage_call(keccak(b"also accepted"), True))
    s = await world.submission()
    changed = {
        k: v if k not in {"cut_time", "attestation_expiry"} else getattr(s, k) + v for k, v in change.items()
    }
    other = replace(s, **changed)
    await world.prove(other)
    with pytest.raises(RefusedError, match="NotAnAttestor"):
        await world.submit(other)
    await world.submit(world.attested(other, world.attestors[1:]))


@pytest.mark.parametrize(
    "change",
    [
        {"account_id": ACCOUNT_ID + 1},
        {"commitment": COMMITMENT + 1},
        {"policy_root": POLICY_ROOT + 1},
        {"amount_usd_e6": 1000 * USD + 1},
        {"level": Level.MM},
        {"venue": "0x" + 40 * "9"},
        {"expiry": 1},
        {"anchors_hash": keccak(b"other anchors")},
        {"cut_time": -1},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_every_proven_field_is_bound(world: World, change: dict[str, Any]) -> None:
    """One field changed after proving, attested as changed: the public inputs are not those of the proof."""
    await world.send(set_policy_call(POLICY_ROOT + 1, await world.now() + 5000))
    s = await world.submission()
    await world.prove(s)
    changed = {k: v if k not in {"cut_time", "expiry"} else getattr(s, k) + v for k, v in change.items()}
    other = world.attested(replace(s, **changed), world.attestors[:2])
    with pytest.raises(RefusedError, match="ProofRejected"):
        await world.submit(other)
    await world.prove_and_submit(other)


async def test_a_proof_for_another_registry_or_chain_is_refused(world: World) -> None:
    """Attestation and context both hold chain and registry: neither is worth anything elsewhere, so that one reading
    of an account never backs pledges in two registries.
    """
    twin = await World.make(world.net)
    s = await twin.submission()
    await twin.prove_and_submit(s)
    with pytest.raises(RefusedError, match="NotAnAttestor"):
        await world.submit(s)
    with pytest.raises(RefusedError, match="ProofRejected"):
        await world.submit(world.attested(s, world.attestors))
    assert s.context(101, world.registry) != s.context(102, world.registry)


async def test_replay_is_keyed_on_the_statement(world: World) -> None:
    """The same statement is refused again, with the same proof and with another one of it."""
    s = await world.submission()
    await world.prove_and_submit(s)
    for again in (
        s,
        replace(s, proof=EMPTY_PROOF[:192] + EMPTY_PROOF[:64]),
        world.attested(s, world.attestors),
    ):
        with pytest.raises(RefusedError, match="NotNewer"):
            await world.submit(again)


async def test_a_later_cut_replaces_and_an_earlier_one_is_refused(world: World) -> None:
    s = await world.submission()
    await world.prove_and_submit(s)
    later = await world.submission(cut_time=s.cut_time + 5, amount_usd_e6=400 * USD)
    await world.prove_and_submit(later)
    assert (await world.reader.account(ACCOUNT_ID)).initial_usd_e6 == 400 * USD
    between = await world.submission(cut_time=s.cut_time + 4, amount_usd_e6=900 * USD)
    await world.prove(between)
    with pytest.raises(RefusedError, match="CutSuperseded"):
        await world.submit(between)


async def test_of_one_cut_the_largest_fresh_amount_stands(world: World) -> None:
    s = await world.submission(amount_usd_e6=500 * USD)
    await world.prove_and_submit(s)
    cut = s.cut_time
    smaller = await world.submission(
        cut_time=cut, amount_usd_e6=300 * USD, venue=world.venues[1], expiry=s.expiry + 100
    )
    await world.prove_and_submit(smaller)
    state = await world.reader.account(ACCOUNT_ID)
    assert (state.initial_usd_e6, state.initial_until) == (500 * USD, s.expiry)
    assert (await world.reader.record(ACCOUNT_ID, world.venues[1])).amount_usd_e6 == 300 * USD
    larger = await world.submission(cut_time=cut, amount_usd_e6=700 * USD, expiry=s.expiry + 50)
    await world.prove_and_submit(larger)
    state = await world.reader.account(ACCOUNT_ID)
    assert (state.initial_usd_e6, state.initial_until) == (700 * USD, s.expiry + 50)
    await world.travel(1060)
    last = await world.submission(cut_time=cut, amount_usd_e6=100 * USD)
    await world.prove_and_submit(last)
    state = await world.reader.account(ACCOUNT_ID)
    assert (state.initial_usd_e6, state.initial_until) == (100 * USD, last.expiry)


async def test_of_one_cut_initial_margin_stands_before_maintenance(world: World) -> None:
    """A venue's IM record is not weakened by an MM proof of the same cut, and replaces one."""
    s = await world.submission()
    await world.prove_and_submit(s)
    maintenance = await world.submission(
        cut_time=s.cut_time, level=Level.MM, amount_usd_e6=2000 * USD, expiry=s.expiry + 1
    )
    await world.prove_and_submit(maintenance)
    assert (await world.reader.record(ACCOUNT_ID, s.venue)).level is Level.IM
    state = await world.reader.account(ACCOUNT_ID)
    assert (state.initial_usd_e6, state.maintenance_usd_e6) == (1000 * USD, 2000 * USD)
    other = world.venues[1]
    for step, (level, amount) in enumerate(
        ((Level.MM, 900 * USD), (Level.IM, 100 * USD), (Level.MM, 950 * USD)), start=2
    ):
        await world.prove_and_submit(
            await world.submission(
                cut_time=s.cut_time, level=level, amount_usd_e6=amount, venue=other, expiry=s.expiry + step
            )
        )
    record = await world.reader.record(ACCOUNT_ID, other)
    assert (record.level, record.amount_usd_e6) == (Level.IM, 100 * USD)


async def test_a_longer_proof_of_the_same_amount_extends(world: World) -> None:
    """Of one cut and amount the later expiry stands, for account and venue; an earlier one comes too late."""
    s = await world.submission()
    longer = await world.submission(cut_time=s.cut_time, expiry=s.expiry + 300)
    shorter = await world.submission(cut_time=s.cut_time, expiry=s.expiry + 100)
    for each in (s, longer):
        await world.prove_and_submit(each)
    await world.prove(shorter)
    assert await world.reader.is_submitted(shorter)
    with pytest.raises(RefusedError, match="NotNewer"):
        await world.submit(shorter)
    await world.prove_and_submit(replace(shorter, venue=world.venues[1]))
    assert (await world.reader.account(ACCOUNT_ID)).initial_until == longer.expiry
    assert (await world.reader.record(ACCOUNT_ID, s.venue)).until == longer.expiry


async def test_a_fresh_maintenance_proof_replaces_a_stale_initial_one(world: World) -> None:
    """Also of the same cut: a venue's stale record stands before nothing."""
    s = await world.submission(expiry=await world.now() + 100)
    await world.prove_and_submit(s)
    await world.travel(200)
    maintenance = await world.submission(cut_time=s.cut_time, level=Level.MM)
    await world.prove_and_submit(maintenance)
    assert (await world.reader.record(ACCOUNT_ID, s.venue)).level is Level.MM
    assert await world.reader.is_good(ACCOUNT_ID, s.venue)


async def test_replaced_attestors_no_longer_count(world: World) -> None:
    s = await world.submission()
    await world.prove(s)
    kept, new = world.attestors[2], world.net.accounts[4]
    await world.send(set_attestors_call([new.address, kept.address], 1))
    with pytest.raises(RefusedError, match="NotAnAttestor"):
        await world.submit(s)
    assert not await world.reader.call("isAttestor", world.attestors[0].address)
    await world.submit(world.attested(s, [kept]))


async def test_a_real_proof_end_to_end() -> None:
    """With a real Groth16 verifier in a production registry: accepted once, and refused when tampered with."""
    toxic = Toxic.make(4)
    async with devnet(5) as net:
        world = await World.make(net, production=True, toxic=toxic)
        s = await world.submission()
        words = toxic.prove(world.inputs(s))
        ax, ay, bx1, bx0, by1, by0, cx, cy = words
        proof = b"".join(w.to_bytes(32, "little") for w in (ax, ay, bx0, bx1, by0, by1, cx, cy))
        with pytest.raises(RefusedError, match="ProofRejected"):
            await world.submit(replace(s, proof=proof[:64] + EMPTY_PROOF[64:192] + proof[192:]))
        other_amount = replace(s, proof=proof, amount_usd_e6=s.amount_usd_e6 + 1)
        with pytest.raises(RefusedError, match="ProofRejected"):
            await world.submit(other_amount)
        with pytest.raises(ProofRefusedError, match="does not verify"):
            await world.reader.check(other_amount, world.owner)
        good = replace(s, proof=proof)
        await world.reader.check(good, world.owner)
        first = await world.submit(good)
        later = await world.submission(cut_time=s.cut_time + 1)
        words = toxic.prove(world.inputs(later))
        ax, ay, bx1, bx0, by1, by0, cx, cy = words
        proof = b"".join(w.to_bytes(32, "little") for w in (ax, ay, bx0, bx1, by0, by1, cx, cy))
        second = await world.submit(replace(later, proof=proof))
        print(f"submit, 2 signatures: {first.gas} gas the first time, {second.gas} for a later cut")


async def test_the_reader_raises_the_class_of_the_reason(world: World) -> None:
    """Expired, refused and merely impossible are different errors with different exit codes."""
    s = await world.submission()
    with pytest.raises(ProofRefusedError, match="does not verify"):
        await world.reader.check(s, world.owner)
    expired = await world.submission(expiry=await world.now() - 1)
    with pytest.raises(ExpiredError, match="make a new proof"):
        await world.reader.check(expired, world.owner)
    await world.prove_and_submit(s)
    with pytest.raises(TransactionError, match="already recorded"):
        await world.reader.check(s, world.owner)


@pytest.mark.parametrize(
    "change",
    [
        {"circuit_id": b"\x01"},
        {"anchors_hash": bytes(31)},
        {"coverage": bytes(33)},
        {"proof": bytes(255)},
        {"amount_usd_e6": 2**80},
        {"amount_usd_e6": -1},
        {"cut_time": 2**64},
        {"venue": "0x12"},
        {"account_id": 2**256},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_malformed_submissions_are_refused_in_python(world: World, change: dict[str, Any]) -> None:
    s: Submission = await world.submission()
    with pytest.raises(FormatError):
        replace(s, **change)


def test_signatures_are_ordered_by_signer() -> None:
    """The order is numeric, not that of the mixed-case text; a repeated signer is refused."""
    accounts = [Account.from_key(n.to_bytes(32, "big")) for n in range(1, 8)]
    pairs = [(str(a.address), bytes([i]) * 65) for i, a in enumerate(accounts)]
    ordered = order_signatures(pairs)
    expected = [s for _, s in sorted(pairs, key=lambda p: p[0].lower())]
    assert list(ordered) == expected
    with pytest.raises(ProofRefusedError, match="signed twice"):
        order_signatures([pairs[0], pairs[0]])
