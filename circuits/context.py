"""The context of a proof: which venue, registry and chain it is for, until when, and over which anchors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eth_utils.crypto import keccak

CONTEXT_TYPE: Final = keccak(b"counterfoil/context/1")


@dataclass(frozen=True, slots=True)
class Context:
    """What a proof is bound to besides its statement.

    `registry` and `venue` are lower-case 0x addresses, `anchors_hash` a lower-case 0x word, times Unix seconds.
    """

    chain_id: int
    registry: str
    venue: str
    expiry: int
    anchors_hash: str
    cut_time: int

    def signal(self) -> int:
        """keccak256(abi.encode(type, chainId, registry, venue, expiry, anchorsHash, cutTime)) >> 8."""
        words = [
            CONTEXT_TYPE,
            self.chain_id.to_bytes(32, "big"),
            _address_word(self.registry),
            _address_word(self.venue),
            self.expiry.to_bytes(32, "big"),
            bytes.fromhex(self.anchors_hash[2:]),
            self.cut_time.to_bytes(32, "big"),
        ]
        return int.from_bytes(keccak(b"".join(words)), "big") >> 8


def _address_word(address: str) -> bytes:
    return bytes.fromhex(address[2:]).rjust(32, b"\0")
