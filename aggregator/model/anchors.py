"""Where a snapshot was read: one block per chain, agreed by hash (docs/formats.md, block anchor)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType

from eth_utils.crypto import keccak

from aggregator.model.errors import FormatError
from aggregator.model.strictjson import JsonObject, canonical_json

ChainId = NewType("ChainId", str)
"""A CAIP-2 chain id such as `eip155:8453`."""

_CHAIN_ID: Final = re.compile(r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}", re.ASCII)
_ANCHOR_FIELDS: Final = ("chain", "number", "hash", "stateRoot", "timestamp", "finality", "trust")
_MAX_UINT64: Final = 2**64 - 1


class Finality(StrEnum):
    """The block tag an anchor was chosen by."""

    FINALIZED = "finalized"
    SAFE = "safe"
    LATEST = "latest"


class Trust(StrEnum):
    """Who vouches for what was read, worst first. `reported` is a statement of the holder or a venue, not a read."""

    REPORTED = "reported"
    SINGLE_RPC = "single-rpc"
    RPC_QUORUM = "rpc-quorum"
    SEQUENCER_SIGNED = "sequencer-signed"
    CONSENSUS_VERIFIED = "consensus-verified"
    L1_FINALIZED = "l1-finalized"

    @property
    def rank(self) -> int:
        """0 for the worst; a higher rank is to be trusted more."""
        return list(Trust).index(self)


@dataclass(frozen=True, slots=True)
class BlockAnchor:
    """One block that every reading of its chain is pinned to.

    `hash` and `state_root` are 32 bytes as lower-case 0x hex, `timestamp` is Unix seconds.
    """

    chain: ChainId
    number: int
    hash: str
    state_root: str
    timestamp: int
    finality: Finality
    trust: Trust


def parse_chain_id(text: str) -> ChainId:
    """A CAIP-2 chain id; raises FormatError when the text is not one."""
    if _CHAIN_ID.fullmatch(text) is None:
        raise FormatError(f"{text[:60]!r} is not a CAIP-2 chain id; write it like eip155:8453")
    return ChainId(text)


def eip155(chain_id: int) -> ChainId:
    """The CAIP-2 id of an EVM chain by its EIP-155 number."""
    return parse_chain_id(f"eip155:{chain_id}")


def chain_field(fields: JsonObject, key: str) -> ChainId:
    """The field `key` as a chain id."""
    return ChainId(fields.text(key, _CHAIN_ID))


def trust_field(fields: JsonObject, key: str) -> Trust:
    """The field `key` as a trust level."""
    value = fields.text(key)
    if value not in set(Trust):
        fields.fail(key, f"is {value!r}; use one of {', '.join(Trust)}")
    return Trust(value)


def _uint64(fields: JsonObject, key: str) -> int:
    value = fields.amount(key)
    if not 0 <= value <= _MAX_UINT64:
        fields.fail(key, f"is {value}, outside 0..2^64-1; correct it")
    return value


def parse_anchor(value: object, where: str) -> BlockAnchor:
    """An untrusted JSON value into an anchor; raises FormatError."""
    fields = JsonObject(value, where, _ANCHOR_FIELDS)
    finality = fields.text("finality")
    if finality not in set(Finality):
        fields.fail("finality", f"is {finality!r}; use one of {', '.join(Finality)}")
    trust = trust_field(fields, "trust")
    if trust is Trust.REPORTED:
        fields.fail("trust", "is 'reported', but a block is read from a chain; use a level above it")
    return BlockAnchor(
        chain=chain_field(fields, "chain"),
        number=_uint64(fields, "number"),
        hash=fields.hex("hash", 32),
        state_root=fields.hex("stateRoot", 32),
        timestamp=_uint64(fields, "timestamp"),
        finality=Finality(finality),
        trust=trust,
    )


def parse_anchors(value: object, where: str = "anchors") -> tuple[BlockAnchor, ...]:
    """An untrusted JSON list into anchors, one per chain in order of chain id; raises FormatError."""
    if not isinstance(value, list):
        raise FormatError(f"{where} is not a JSON array; write one anchor per chain")
    anchors = tuple(parse_anchor(item, f"{where}[{n}]") for n, item in enumerate(value))
    chains = [anchor.chain for anchor in anchors]
    if chains != sorted(set(chains)):
        raise FormatError(f"{where} is not one anchor per chain in order of chain id; sort it")
    return anchors


def anchors_json(anchors: Iterable[BlockAnchor]) -> list[dict[str, object]]:
    """The JSON list of anchors, in order of chain id."""
    return [
        {
            "chain": anchor.chain,
            "number": str(anchor.number),
            "hash": anchor.hash,
            "stateRoot": anchor.state_root,
            "timestamp": str(anchor.timestamp),
            "finality": anchor.finality.value,
            "trust": anchor.trust.value,
        }
        for anchor in sorted(anchors, key=lambda anchor: anchor.chain)
    ]


def anchors_hash(anchors: Iterable[BlockAnchor]) -> str:
    """keccak256 of the canonical JSON of the anchors in order of chain id, as lower-case 0x hex."""
    return "0x" + keccak(canonical_json(anchors_json(anchors))).hex()


def time_skew_s(anchors: Iterable[BlockAnchor]) -> int:
    """Seconds between the oldest and the newest anchored block; 0 for fewer than two anchors.

    What was moved from one chain to another within this time may be counted on both.
    """
    times = [anchor.timestamp for anchor in anchors]
    return max(times) - min(times) if times else 0
