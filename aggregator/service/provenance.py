"""Where the numbers of an answer come from: blocks, completeness, and whom one has to trust."""

from __future__ import annotations

from collections.abc import Sequence

from aggregator.model.anchors import BlockAnchor
from aggregator.model.snapshot import Snapshot


def as_of(anchors: Sequence[BlockAnchor]) -> list[dict[str, object]]:
    """The block that each chain was read at."""
    return [
        {
            "chain": anchor.chain,
            "number": str(anchor.number),
            "hash": anchor.hash,
            "timestamp": anchor.timestamp,
            "finality": anchor.finality.value,
            "trust": anchor.trust.value,
        }
        for anchor in anchors
    ]


def weakest(anchors: Sequence[BlockAnchor]) -> str | None:
    """The trust of the block that is vouched for least, None without blocks."""
    return min((anchor.trust for anchor in anchors), key=lambda trust: trust.rank, default=None)


def of_snapshot(snapshot: Snapshot) -> dict[str, object]:
    """The provenance of an answer made of a snapshot; its trust is that of the weakest block or reading."""
    found = [anchor.trust for anchor in snapshot.anchors] + [reading.trust for reading in snapshot.readings]
    return {
        "asOf": as_of(snapshot.anchors),
        "cutTime": snapshot.cut_time,
        "complete": snapshot.complete,
        "failedChains": [{"chain": f.chain, "reason": f.reason} for f in snapshot.failed_chains],
        "missing": list(snapshot.missing),
        "trust": min(found, key=lambda trust: trust.rank, default=None),
    }


def of_blocks(anchors: Sequence[BlockAnchor], cut_time: int) -> dict[str, object]:
    """The provenance of a bundle, which is only made of complete snapshots."""
    return {
        "asOf": as_of(anchors),
        "cutTime": cut_time,
        "complete": True,
        "failedChains": [],
        "missing": [],
        "trust": weakest(anchors),
    }
