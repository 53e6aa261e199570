"""What an attestor looked for: the part of its attestation that a venue and a registry list."""

from __future__ import annotations

from collections.abc import Sequence

from eth_utils.crypto import keccak

from aggregator.model.errors import ProofRefusedError
from aggregator.model.snapshot import Snapshot
from aggregator.model.strictjson import canonical_json
from chains.balances.described import described_kinds, kind_of
from chains.networks import Network


def coverage(networks: Sequence[Network]) -> str:
    """The hash of every (chain, instrument, kind) that `networks` describe, 0x hex.

    It follows from the network files alone, so it is the same for all accounts that are read with the same files and
    says nothing about any of them; positions count as their family, `UNI-V3-*`.
    """
    listed: list[object] = [
        {"chain": chain, "instrument": instrument, "kind": kind}
        for chain, instrument, kind in sorted(described_kinds(networks))
    ]
    return "0x" + keccak(canonical_json(listed)).hex()


def coverage_of(own: Snapshot, networks: Sequence[Network]) -> str:
    """The coverage of a snapshot that was read with `networks`.

    Raises: ProofRefusedError when one of them is not anchored in it, or it holds a reading that none of them describes.
    """
    anchored = {anchor.chain for anchor in own.anchors}
    if absent := sorted({network.chain for network in networks} - anchored):
        raise ProofRefusedError(
            f"no block of {absent[0]} is anchored, so it was not looked at; read it again"
        )
    described = described_kinds(networks)
    for reading in own.readings:
        if kind_of(reading) not in described:
            raise ProofRefusedError(
                f"{reading.instrument} was read as {reading.kind}, which no network file describes; read it again"
            )
    return coverage(networks)
