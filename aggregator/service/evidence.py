"""Evidence between the form that is checked and the form that is stored."""

from __future__ import annotations

from collections.abc import Sequence

from aggregator.model.anchors import parse_chain_id
from aggregator.store.archive import ChainNodes
from chains.balances import Evidence
from chains.balances.evidence import ChainEvidence


def to_stored(evidence: Evidence) -> list[ChainNodes]:
    """Evidence as the store keeps it."""
    return [ChainNodes(entry.chain, entry.header, entry.nodes) for entry in evidence.chains]


def from_stored(chains: Sequence[ChainNodes]) -> Evidence:
    """Stored evidence as it is checked."""
    return Evidence(tuple(ChainEvidence(parse_chain_id(one.chain), one.header, one.nodes) for one in chains))
