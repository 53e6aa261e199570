"""A real proof through all three verifiers and the registry, and what each of them refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from eth_account import Account

from aggregator.margin.native import Evaluation, evaluate
from aggregator.model.anchors import BlockAnchor, Finality, Trust, anchors_hash, eip155
from aggregator.model.errors import ProofRefusedError
from aggregator.model.policy import Level
from aggregator.service.submission import circuit_id, submission_of
from chains.attestation import Attestation
from chains.contracts.calldata import verifying_key_words
from chains.contracts.coding import creation_code
from chains.contracts.registry import pledge_call, set_coverage_call, set_policy_call, set_verifier_call
from chains.devnet import Devnet, devnet
from circuits.artifacts import ready
from circuits.assignment import Holder
from circuits.bundle import Bundle, BundleAttestation, make_bundle
from circuits.context import Context
from circuits.field import MODULUS
from circuits.formats.snarkjs import encode_verification_key
from circuits.keys import ensure_dev_key, verification_key_id
from circuits.policy_tree import PolicyTree, build_tree
from circuits.prover import prove, size_for
from circuits.verifiers import native, pyecc
from tests.chains.contracts.world import FAR, MAX_AGE, RefusedError, World
from tests.circuits.books import ACCOUNT, fixed_policy

pytestmark = pytest.mark.anvil

POLICY = fixed_policy()
HOLDER = Holder(secret_key=20_26, sub_account=0, blinding=11_20)
COVERAGE = "0x" + "c0" * 32
USD = 10**6


@dataclass
class Scene:
    """A registry with the real verifier of this machine's dev key."""

    world: World
    tree: PolicyTree
    evaluation: Evaluation

    @classmethod
    async def make(cls, net: Devnet) -> Scene:
        owner = net.accounts[0].address
        attestors = sorted((a.address for a in net.accounts[1:4]), key=lambda a: int(a, 16))
        registry = await net.deploy_code(
            creation_code("SolvencyRegistry", owner, False, MAX_AGE, attestors, 2)
        )
        evaluation = evaluate(POLICY, ACCOUNT, Level.IM)
        key = ensure_dev_key(ready(size_for(evaluation).name))
        words = verifying_key_words(encode_verification_key(key.verification_key))
        verifier = await net.deploy_code(creation_code("Groth16Verifier", words, True))
        scene = cls(World(net, registry, verifier), build_tree(POLICY), evaluation)
        world = scene.world
        await world.send(set_verifier_call(circuit_id(verification_key_id(key.verification_key)), verifier))
        await world.send(set_policy_call(scene.tree.root, await world.now() + FAR))
        await world.send(set_coverage_call(bytes.fromhex(COVERAGE[2:]), True))
        return scene

    async def bundle(self, venue: str, amount_e6: int, lifetime_s: int = 600) -> Bundle:
        now = await self.world.now()
        anchor = BlockAnchor(
            eip155(101), 1, "0x" + "01" * 32, "0x" + "02" * 32, now - 20, Finality.LATEST, Trust.SINGLE_RPC
        )
        anchors = (anchor,)
        context = Context(
            101, self.world.registry.lower(), venue.lower(), now + lifetime_s, anchors_hash(anchors), now - 10
        )
        circuit = ready(size_for(self.evaluation).name)
        key = ensure_dev_key(circuit)
        proof = prove(circuit, key, POLICY, self.tree, self.evaluation, HOLDER, amount_e6, context.signal())
        attestation = Attestation(
            proof.public[0],
            proof.public[1],
            context.anchors_hash,
            now - 10,
            now + 900,
            COVERAGE,
            context.chain_id,
            context.registry,
        )
        signed = []
        for account in self.world.attestors[:2]:
            signature = "0x" + attestation.sign(Account.from_key(account.key)).hex()
            signed.append(BundleAttestation(account.address.lower(), now + 900, COVERAGE, signature))
        return make_bundle(circuit, key, POLICY, proof, context, anchors, signed)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with devnet(101) as net:
        yield await Scene.make(net)


async def test_a_proof_goes_through_and_is_pledged_once(scene: Scene) -> None:
    world, account_id = scene.world, HOLDER.account_id
    first, second, _ = world.venues
    amount = scene.evaluation.excess_e6
    receipt = await world.submit(submission_of(await scene.bundle(first, amount)))
    assert receipt.only("Recorded")["amount"] == amount
    assert await world.reader.is_good(account_id, first)
    assert not await world.reader.is_good(account_id, second)
    await world.send(pledge_call(account_id, amount - USD), sender=first)
    await world.submit(submission_of(await scene.bundle(second, amount)))
    with pytest.raises(RefusedError, match="OverPledged"):
        await world.send(pledge_call(account_id, USD + 1), sender=second)
    await world.send(pledge_call(account_id, USD), sender=second)
    assert await world.reader.available(account_id) == 0


async def test_each_verifier_refuses_each_mutated_input(scene: Scene) -> None:
    bundle = await scene.bundle(scene.world.venues[0], 1000 * USD)
    key = ensure_dev_key(ready(bundle.circuit)).verification_key
    good = submission_of(bundle)
    await scene.world.reader.check(good, scene.world.owner)
    for position in range(5):
        public = list(bundle.public)
        public[position] = (public[position] + 1) % MODULUS
        for verify in (native.verify, pyecc.verify):
            with pytest.raises(ProofRefusedError):
                verify(key, public, bundle.proof)
    with pytest.raises(RefusedError, match="ProofRejected"):
        await scene.world.submit(replace(good, amount_usd_e6=good.amount_usd_e6 + 1))
    with pytest.raises(RefusedError, match="ProofRejected"):
        await scene.world.submit(replace(good, venue=scene.world.venues[1]))
    with pytest.raises(RefusedError, match="ProofRejected"):
        await scene.world.submit(replace(good, expiry=good.expiry + 1))
    with pytest.raises(RefusedError, match="ProofRejected"):
        await scene.world.submit(replace(good, level=Level.MM))
    with pytest.raises(RefusedError, match="Policy"):
        await scene.world.submit(replace(good, policy_root=good.policy_root + 1))
    with pytest.raises(RefusedError, match="ttest"):
        await scene.world.submit(replace(good, commitment=good.commitment + 1))


async def test_a_proof_cannot_be_replayed(scene: Scene) -> None:
    submission = submission_of(await scene.bundle(scene.world.venues[0], 1000 * USD))
    await scene.world.submit(submission)
    with pytest.raises(RefusedError, match="NotNewer"):
        await scene.world.submit(submission)


async def test_an_altered_proof_is_refused_on_chain(scene: Scene) -> None:
    bundle = await scene.bundle(scene.world.venues[0], 1000 * USD)
    other = await scene.bundle(scene.world.venues[0], 999 * USD)
    with pytest.raises(RefusedError, match="ProofRejected"):
        await scene.world.submit(replace(submission_of(bundle), proof=other.proof))
