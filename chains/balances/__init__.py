"""What addresses hold on chains: kinds of asset, proofs, and the snapshot over all chains."""

from __future__ import annotations

from chains.balances.book import LayoutBook
from chains.balances.described import require_described
from chains.balances.evidence import (
    Evidence,
    EvidenceReport,
    encode_evidence,
    parse_evidence,
    verify_evidence,
)
from chains.balances.layouts import Layout, parse_layout
from chains.balances.reader import ChainReadings, read_chain
from chains.balances.registry import assets_of
from chains.balances.snapshot import parse_holder, take_snapshot, take_snapshot_with_evidence

__all__ = [
    "ChainReadings",
    "Evidence",
    "EvidenceReport",
    "Layout",
    "LayoutBook",
    "assets_of",
    "encode_evidence",
    "parse_evidence",
    "parse_holder",
    "parse_layout",
    "read_chain",
    "require_described",
    "take_snapshot",
    "take_snapshot_with_evidence",
    "verify_evidence",
]
