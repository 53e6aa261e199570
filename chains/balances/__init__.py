"""What addresses hold on chains: kinds of asset, proofs, and the snapshot over all chains."""

from __future__ import annotations

from chains.balances.layouts import Layout, parse_layout
from chains.balances.reader import ChainReadings, LayoutBook, read_chain
from chains.balances.registry import assets_of
from chains.balances.snapshot import parse_holder, take_snapshot

__all__ = [
    "ChainReadings",
    "Layout",
    "LayoutBook",
    "assets_of",
    "parse_holder",
    "parse_layout",
    "read_chain",
    "take_snapshot",
]
