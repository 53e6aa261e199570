"""From a bundle to what the registry takes."""

from __future__ import annotations

from aggregator.model.errors import ProofRefusedError
from aggregator.service.venue import attested_alike
from chains.contracts.registry import Submission, order_signatures
from circuits.bundle import Bundle


def submission_of(bundle: Bundle) -> Submission:
    """The registry's view of a bundle; its circuit id is the verification key's, so a key is a verifier of its own.

    Raises: ProofRefusedError when the bundle carries no attestation.
    """
    signed = attested_alike(bundle)
    if not signed:
        raise ProofRefusedError("the bundle carries no attestation; have it attested before it is submitted")
    attestation = signed[0].attestation
    return Submission(
        circuit_id=circuit_id(bundle.verification_key_id),
        proof=bundle.proof,
        account_id=bundle.account_id,
        commitment=bundle.commitment,
        policy_root=bundle.policy_root,
        amount_usd_e6=bundle.amount_e6,
        level=bundle.level,
        venue=bundle.context.venue,
        expiry=bundle.context.expiry,
        anchors_hash=bytes.fromhex(bundle.context.anchors_hash[2:]),
        cut_time=bundle.context.cut_time,
        attestation_expiry=attestation.expiry,
        coverage=bytes.fromhex(attestation.coverage[2:]),
        signatures=order_signatures([(item.attestor, item.signature) for item in signed]),
    )


def circuit_id(verification_key_id: str) -> bytes:
    """What a registry lists a verifier under."""
    return bytes.fromhex(verification_key_id[2:])
