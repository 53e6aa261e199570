"""Every use of Poseidon in the protocol, each with its own arity, and the domain tags.

Uses are told apart by arity (a different permutation) and, where an arity would not be enough, by a leading tag:

    arity 3   account id      arity 8   tree node       arity 9   instrument leaf    arity 12  netting group
    arity 14  policy header   arity 15  commitment      arity 16  risk array
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from circuits import _native
from circuits.field import MODULUS, decode, encode

TAG_ACCOUNT: Final = int.from_bytes(b"counterfoil/account/1", "big")
TAG_COMMITMENT: Final = int.from_bytes(b"counterfoil/commitment/1", "big")

POLICY_ARITY: Final = 14
COMMITMENT_ARITY: Final = 15


def hash_one(inputs: Sequence[int]) -> int:
    """Poseidon of 1..16 integers (reduced mod r), equal to circomlibjs."""
    return decode(_native.poseidon(len(inputs), encode(inputs)))[0]


def hash_many(arity: int, rows: Sequence[Sequence[int]]) -> list[int]:
    """Poseidon of many rows of `arity` integers in one native call."""
    return decode(_native.poseidon(arity, encode(x for row in rows for x in row)))


def chain(arity: int, elements: Sequence[int]) -> int:
    """H(...H(H(e_0..e_{a-1}), e_a..e_{2a-2})...), the last call zero-padded."""
    state = hash_one([*elements[:arity], *[0] * (arity - len(elements))])
    for start in range(arity, len(elements), arity - 1):
        part = elements[start : start + arity - 1]
        state = hash_one([state, *part, *[0] * (arity - 1 - len(part))])
    return state


def account_id(secret_key: int, sub_account: int) -> int:
    """accountId = P3(tag, sk, sub-account number)."""
    if not 0 < secret_key < MODULUS:
        raise ValueError("the holder key is not in 1..r-1")
    return hash_one([TAG_ACCOUNT, secret_key, sub_account])
