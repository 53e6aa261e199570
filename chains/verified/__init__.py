"""State proven from a block hash: header, accounts, storage words."""

from __future__ import annotations

from chains.verified.account import (
    Account,
    ProvenState,
    stored_account,
    stored_word,
    verify_account,
    verify_get_proof,
    verify_word,
)
from chains.verified.header import Header, decode_header, encode_header, parse_header, require_rebuilt
from chains.verified.trie import EMPTY_ROOT, prove, prove_from

__all__ = [
    "EMPTY_ROOT",
    "Account",
    "Header",
    "ProvenState",
    "decode_header",
    "encode_header",
    "parse_header",
    "prove",
    "prove_from",
    "require_rebuilt",
    "stored_account",
    "stored_word",
    "verify_account",
    "verify_get_proof",
    "verify_word",
]
