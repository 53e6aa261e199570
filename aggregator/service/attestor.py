"""An attestor's work: re-read the account itself, open the commitment, and sign only what it saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from aggregator.margin.native import positions_by_id
from aggregator.model.anchors import anchors_hash
from aggregator.model.errors import ProofRefusedError
from aggregator.model.policy import Policy
from aggregator.model.snapshot import Snapshot
from aggregator.service.accepting import accepted_positions
from aggregator.service.coverage import coverage_of
from chains.attestation import Attestation
from chains.networks import Network
from circuits.assignment import commitment
from circuits.bundle import BundleAttestation
from circuits.policy_tree import document_hash
from circuits.solvency import SIZES


@dataclass(frozen=True, slots=True)
class AttestationRequest:
    """What a holder shows an attestor: the snapshot it proves from, what opens the commitment, and the registry
    (an address on `chain_id`) that the attestation is for.

    The blinding hides the positions from everybody else; it is no key and gives no power over the account.
    """

    snapshot: Snapshot
    policy: Policy
    circuit: str
    blinding: int
    commitment: int
    chain_id: int
    registry: str

    @property
    def home(self) -> str:
        """The registry as a CAIP-10 id."""
        return f"eip155:{self.chain_id}:{self.registry}"


def attest(
    request: AttestationRequest,
    own: Snapshot,
    attestor: LocalAccount,
    lifetime_s: int,
    networks: Sequence[Network],
) -> BundleAttestation:
    """Signs that the account's positions at the cut open the commitment.

    Parameters: own, the attestor's own reading of the same account, addresses and anchors; lifetime_s, how long after
    the cut the signature is good; networks, what `own` was read with.
    Raises: IncompleteSnapshotError when something could not be read; ProofRefusedError when the holder's snapshot or
    commitment is not what the attestor saw.
    """
    own.require_complete()
    shown = request.snapshot
    _same("account", shown.account_id, own.account_id)
    _same("set of addresses", shown.addresses, own.addresses)
    _same("set of anchored blocks", anchors_hash(shown.anchors), anchors_hash(own.anchors))
    _same("cut", shown.cut_time, own.cut_time)
    accepted = accepted_positions(request.policy, own)
    _same_positions(shown.positions, own.positions)
    _same_positions(accepted_positions(request.policy, shown), accepted)
    opened = commitment(
        SIZES[request.circuit],
        document_hash(request.policy),
        request.blinding,
        positions_by_id(request.policy, accepted),
    )
    if opened != request.commitment:
        raise ProofRefusedError(
            "the commitment does not open to the positions that were read; it is not signed"
        )
    attestation = Attestation(
        account_id=own.account_id,
        commitment=request.commitment,
        anchors_hash=anchors_hash(own.anchors),
        cut_time=own.cut_time,
        expiry=own.cut_time + lifetime_s,
        coverage=coverage_of(own, networks),
        chain_id=request.chain_id,
        registry=request.registry,
    )
    return BundleAttestation(
        attestor=attestor.address.lower(),
        expiry=attestation.expiry,
        coverage=attestation.coverage,
        signature="0x" + attestation.sign(attestor).hex(),
    )


def _same(what: str, shown: object, own: object) -> None:
    if shown != own:
        raise ProofRefusedError(
            f"the {what} of the holder's snapshot is not the one read here; it is not signed"
        )


def _same_positions(shown: Mapping[str, int], own: Mapping[str, int]) -> None:
    for symbol in sorted(shown.keys() | own.keys()):
        if shown.get(symbol, 0) != own.get(symbol, 0):
            raise ProofRefusedError(
                f"the holder's snapshot has {shown.get(symbol, 0)}e-8 {symbol}, "
                f"but {own.get(symbol, 0)}e-8 were read here; it is not signed"
            )
