"""The context signal equals Solidity's abi.encode, and every field moves it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from circuits.context import CONTEXT_TYPE, Context

CONTEXT = Context(
    chain_id=31337001,
    registry="0x" + "11" * 20,
    venue="0x" + "fe" * 20,
    expiry=1_800_000_000,
    anchors_hash="0x" + "ab" * 32,
    cut_time=1_790_000_000,
)


def test_the_signal_is_solidity_s() -> None:
    types = ["bytes32", "uint256", "address", "address", "uint64", "bytes32", "uint64"]
    values = [
        CONTEXT_TYPE,
        CONTEXT.chain_id,
        CONTEXT.registry,
        CONTEXT.venue,
        CONTEXT.expiry,
        bytes.fromhex(CONTEXT.anchors_hash[2:]),
        CONTEXT.cut_time,
    ]
    assert CONTEXT.signal() == int.from_bytes(keccak(encode(types, values)), "big") >> 8


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": 1},
        {"registry": "0x" + "12" * 20},
        {"venue": "0x" + "11" * 20},
        {"expiry": 1_800_000_001},
        {"anchors_hash": "0x" + "ac" * 32},
        {"cut_time": 1_790_000_001},
    ],
)
def test_every_field_moves_the_signal(change: dict[str, object]) -> None:
    assert replace(CONTEXT, **change).signal() != CONTEXT.signal()  # type: ignore[arg-type]
