"""Accounts and storage words proven from a state root, as eth_getProof delivers them (EIP-1186)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from eth_utils.crypto import keccak

from aggregator.model.errors import StateProofError
from chains.rpc.values import parse_array, parse_data, parse_object, parse_quantity
from chains.verified.strict_rlp import decode, decode_integer
from chains.verified.trie import EMPTY_NODE, EMPTY_ROOT, prove, prove_from

EMPTY_CODE_HASH: Final = keccak(b"")
_ABSENT_HASHES: Final = frozenset({bytes(32), EMPTY_CODE_HASH, EMPTY_ROOT})
"""What nodes report as code and storage hash of an account that does not exist."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the state trie has it. `exists` is False when its absence is what was proven."""

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes
    exists: bool = True


ABSENT: Final = Account(0, 0, EMPTY_ROOT, EMPTY_CODE_HASH, exists=False)


@dataclass(frozen=True, slots=True)
class ProvenState:
    """An account and the storage words asked for, in the order asked."""

    account: Account
    words: tuple[int, ...]
    nodes: tuple[bytes, ...] = field(default=(), compare=False, repr=False)
    """Every trie node that the proofs consist of."""


def verify_account(state_root: bytes, address: bytes, proof: Sequence[bytes]) -> Account:
    """The account at `address` (20 bytes) under `state_root`; raises StateProofError."""
    if len(address) != 20:
        raise StateProofError("an address has 20 bytes; pass it decoded")
    return _parse_account(prove(state_root, keccak(address), proof))


def stored_account(state_root: bytes, address: bytes, nodes: Mapping[bytes, bytes]) -> Account:
    """As `verify_account`, from nodes by their hash; raises StateProofError."""
    return _parse_account(prove_from(state_root, keccak(address), nodes))


def _parse_account(value: bytes | None) -> Account:
    """The account that a state trie's value encodes."""
    if value is None:
        return ABSENT
    fields = decode(value)
    if not isinstance(fields, list) or len(fields) != 4:
        raise StateProofError("an account does not have four fields; this chain's state is of another form")
    storage_root, code_hash = fields[2], fields[3]
    if not isinstance(storage_root, bytes) or not isinstance(code_hash, bytes):
        raise StateProofError("an account's hashes are lists; the proof is malformed")
    if len(storage_root) != 32 or len(code_hash) != 32:
        raise StateProofError("an account's hashes do not have 32 bytes; the proof is malformed")
    return Account(
        decode_integer(fields[0], "an account's nonce", 64),
        decode_integer(fields[1], "an account's balance"),
        storage_root,
        code_hash,
    )


def verify_word(storage_root: bytes, slot: bytes, proof: Sequence[bytes]) -> int:
    """The storage word at `slot` (32 bytes) under `storage_root`, 0 when absent; raises StateProofError."""
    if len(slot) != 32:
        raise StateProofError("a storage slot has 32 bytes; pass it padded")
    return _parse_word(prove(storage_root, keccak(slot), proof))


def stored_word(storage_root: bytes, slot: bytes, nodes: Mapping[bytes, bytes]) -> int:
    """As `verify_word`, from nodes by their hash; raises StateProofError."""
    return _parse_word(prove_from(storage_root, keccak(slot), nodes))


def _parse_word(value: bytes | None) -> int:
    """The number that a storage trie's value encodes.

    No Ethereum chain keeps a zero word, but anvil keeps one that was set back to zero; it proves the same number.
    """
    return 0 if value is None else decode_integer(decode(value), "a storage word")


def verify_get_proof(
    state_root: bytes, address: bytes, slots: Sequence[bytes], response: object
) -> ProvenState:
    """Check an eth_getProof answer against `state_root`.

    Beside the proofs, every value the answer claims has to be the proven one.

    Raises:
        StateProofError: a proof fails, or the answer claims something else than it proves.
        ChainError: the answer is not of the form of EIP-1186.
    """
    answer = parse_object(response, "the eth_getProof answer")
    if parse_data(answer.get("address"), "the proven address") != address:
        raise StateProofError("the proof is for another address; it is refused")
    account_proof = _parse_nodes(answer.get("accountProof"), "account proof")
    account = verify_account(state_root, address, account_proof)
    _check_claims(account, answer)
    storage = parse_array(answer.get("storageProof"), "the storage proofs")
    if len(storage) != len(slots):
        raise StateProofError(f"{len(storage)} storage proofs answer {len(slots)} slots; they are refused")
    nodes = dict.fromkeys(account_proof)
    words: list[int] = []
    for slot, entry in zip(slots, storage, strict=True):
        word, proof = _verify_entry(account, slot, entry)
        words.append(word)
        nodes |= dict.fromkeys(proof)
    return ProvenState(account, tuple(words), tuple(nodes))


def _verify_entry(account: Account, slot: bytes, entry: object) -> tuple[int, list[bytes]]:
    """The proven word and its proof."""
    proof = parse_object(entry, "a storage proof")
    if parse_quantity(proof.get("key"), "a storage key") != int.from_bytes(slot, "big"):
        raise StateProofError("the storage proofs are not for the slots asked, in order; they are refused")
    nodes = _parse_nodes(proof.get("proof"), "storage proof")
    word = verify_word(account.storage_root, slot, nodes)
    if parse_quantity(proof.get("value"), "a storage value") != word:
        raise StateProofError("the answer claims another storage word than it proves; it is refused")
    return word, nodes


def _check_claims(account: Account, answer: dict[str, object]) -> None:
    """Balance, nonce and hashes beside the proof have to say what the proof says."""
    for key, proven in (("balance", account.balance), ("nonce", account.nonce)):
        if parse_quantity(answer.get(key), f"the {key}") != proven:
            raise StateProofError(f"the answer claims another {key} than it proves; it is refused")
    for key, hash_ in (("storageHash", account.storage_root), ("codeHash", account.code_hash)):
        claimed = parse_data(answer.get(key), f"the {key}", 32)
        if claimed != hash_ and (account.exists or claimed not in _ABSENT_HASHES):
            raise StateProofError(f"the answer claims another {key} than it proves; it is refused")


def _parse_nodes(value: object, what: str) -> list[bytes]:
    nodes = [parse_data(node, f"a node of the {what}") for node in parse_array(value, f"the {what}")]
    return [] if nodes == [EMPTY_NODE] else nodes
