"""State proven from a block hash: header, accounts, storage words."""

from __future__ import annotations

from chains.verified.account import (
    Account,
    ProvenState,
    verify_account,
    verify_get_proof,
    verify_word,
)
from chains.verified.header import Header, encode_header, parse_header, require_rebuilt
from chains.verified.trie import EMPTY_ROOT, prove

__all__ = [
    "EMPTY_ROOT",
    "Account",
    "Header",
    "ProvenState",
    "encode_header",
    "parse_header",
    "prove",
    "require_rebuilt",
    "verify_account",
    "verify_get_proof",
    "verify_word",
]
