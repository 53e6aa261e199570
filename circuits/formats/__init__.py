"""Proofs, keys and witnesses in the formats of iden3, so that snarkjs can check every step."""

from __future__ import annotations

from circuits.formats.binary import (
    R1csHeader,
    WtnsHeader,
    ZkeyHeader,
    read_r1cs_header,
    read_wtns_header,
    read_zkey_header,
)
from circuits.formats.snarkjs import (
    encode_proof,
    encode_public,
    encode_verification_key,
    parse_proof,
    parse_public,
    parse_verification_key,
)

__all__ = [
    "R1csHeader",
    "WtnsHeader",
    "ZkeyHeader",
    "encode_proof",
    "encode_public",
    "encode_verification_key",
    "parse_proof",
    "parse_public",
    "parse_verification_key",
    "read_r1cs_header",
    "read_wtns_header",
    "read_zkey_header",
]
