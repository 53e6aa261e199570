"""Attestations: an attestor's EIP-712 signature over what it re-read, and the m-of-n check (docs/protocol.md, 7)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from eth_account.messages import SignableMessage
from eth_account.signers.local import LocalAccount

from aggregator.model.errors import ExpiredError, ProofRefusedError
from chains.typed_data import ATTESTATION, digest, recover, registry_domain, signable


@dataclass(frozen=True, slots=True)
class Attestation:
    """What an attestor states to one registry: this account's positions at these anchors open this commitment.

    `anchors_hash` and `coverage` are 32 bytes and `registry` is an address on `chain_id`, all as lower-case 0x hex;
    times are Unix seconds.
    """

    account_id: int
    commitment: int
    anchors_hash: str
    cut_time: int
    expiry: int
    coverage: str
    chain_id: int
    registry: str

    def _signable(self) -> SignableMessage:
        message = {
            "accountId": self.account_id,
            "commitment": self.commitment,
            "anchorsHash": bytes.fromhex(self.anchors_hash[2:]),
            "cutTime": self.cut_time,
            "expiry": self.expiry,
            "coverage": bytes.fromhex(self.coverage[2:]),
        }
        return signable(ATTESTATION, message, registry_domain(self.chain_id, self.registry))

    def digest(self) -> bytes:
        """The 32 bytes an attestor signs; `SolvencyRegistry.attestationDigest` gives the same."""
        return digest(self._signable())

    def sign(self, attestor: LocalAccount) -> bytes:
        """An attestor's signature, 65 bytes."""
        return bytes(attestor.sign_message(self._signable()).signature)

    def signer(self, signature: bytes) -> str:
        """The lower-case address that signed.

        Raises: ProofRefusedError when the signature is not in its one canonical form, or of no key.
        """
        return recover(self._signable(), signature)

    @property
    def statement(self) -> Attestation:
        """What has to be the same in all attestations that count together: everything but the expiry."""
        return replace(self, expiry=0)


@dataclass(frozen=True, slots=True)
class SignedAttestation:
    """An attestation, who claims to have signed it, and the signature."""

    attestation: Attestation
    attestor: str
    signature: bytes


def check_m_of_n(
    signed: Iterable[SignedAttestation], attestors: Collection[str], threshold: int, now: int
) -> tuple[str, ...]:
    """The distinct accepted attestors that signed, in order of address, at least `threshold` of them.

    `attestors` are the accepted lower-case addresses. Signatures of strangers are ignored and named when too few are
    left; a signature that is not its claimed attestor's refuses the whole set, and so do attestors that state
    different things.
    Raises: ExpiredError when one is past its expiry; ProofRefusedError when too few attestors signed.
    """
    if not 0 < threshold <= len(set(attestors)):
        raise ProofRefusedError(
            f"a threshold of {threshold} out of {len(set(attestors))} attestors cannot be met"
        )
    good: set[str] = set()
    statements: set[Attestation] = set()
    strangers: set[str] = set()
    for item in signed:
        signer = item.attestation.signer(item.signature)
        if signer != item.attestor:
            raise ProofRefusedError(
                f"an attestation claims {item.attestor} but {signer} signed it; it has been altered"
            )
        if signer not in attestors:
            strangers.add(signer)
        elif item.attestation.expiry < now:
            late = now - item.attestation.expiry
            raise ExpiredError(
                f"the attestation of {signer} expired {late} s ago; have the account attested again"
            )
        else:
            good.add(signer)
            statements.add(item.attestation.statement)
    if len(statements) > 1:
        raise ProofRefusedError(
            f"the attestors {', '.join(sorted(good))} state different things; have them attest one snapshot"
        )
    if len(good) < threshold:
        unknown = f"; not accepted: {', '.join(sorted(strangers))}" if strangers else ""
        raise ProofRefusedError(
            f"{len(good)} of the {threshold} attestations needed are there{unknown}; have more attestors sign"
        )
    return tuple(sorted(good))
