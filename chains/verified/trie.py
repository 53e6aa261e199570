"""Merkle-Patricia proofs, strictly: a proof shows a value, or shows that there is none, or is refused.

The keys of Ethereum's state and storage tries are Keccak hashes, so every key has 64 nibbles, no branch carries a
value and no leaf ends early; a node that says otherwise cannot be part of such a trie and is refused. Source:
Ethereum yellow paper, appendix D.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import rlp
from eth_utils.crypto import keccak

from aggregator.model.errors import StateProofError
from chains.verified.strict_rlp import Item, decode

EMPTY_NODE: Final = b"\x80"
EMPTY_ROOT: Final = keccak(EMPTY_NODE)
"""0x56e81f17..b421, the root of a trie without keys."""

KEY_NIBBLES: Final = 64
MAX_NODES: Final = KEY_NIBBLES + 1
MAX_NODE_BYTES: Final = 1024
"""A full branch takes 532 bytes; a leaf at most 33 bytes of path and 110 of an account."""
_HASH_BYTES: Final = 32
_BRANCH_ITEMS: Final = 17

Nibbles: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """Sixteen children: empty bytes, a 32-byte hash, or an inlined node."""

    children: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """The rest of one key, and its value."""

    path: Nibbles
    value: bytes


@dataclass(frozen=True, slots=True)
class Extension:
    """A stretch that all keys below share, and the branch they meet in."""

    path: Nibbles
    child: Item


Node: TypeAlias = Branch | Leaf | Extension


def prove(root: bytes, key: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The value under `key` in the trie with `root`, or None when the proof shows that there is none.

    Parameters:
        root: 32 bytes.
        key: 32 bytes, already hashed for a secure trie.
        proof: encoded nodes from the root down. A node inlined in its parent may be listed or left out.

    Raises:
        StateProofError: the proof is cut short, goes on past its end, has a foreign node, or is malformed.
    """
    if len(root) != _HASH_BYTES or 2 * len(key) != KEY_NIBBLES:
        raise StateProofError("a state root and a trie key have 32 bytes each; pass hashes")
    if len(proof) > MAX_NODES or any(len(node) > MAX_NODE_BYTES for node in proof):
        raise StateProofError("the proof has more or longer nodes than a trie can have; it is refused")
    if root == EMPTY_ROOT:
        if proof and list(proof) != [EMPTY_NODE]:
            raise StateProofError("the proof lists nodes of a trie that is empty; it is refused")
        return None
    steps = _Steps(proof)
    value = _walk(steps, steps.hashed(root), _nibbles(key))
    if steps.left:
        raise StateProofError(f"the proof goes on for {steps.left} nodes past its end; it is refused")
    return value


def prove_from(root: bytes, key: bytes, nodes: Mapping[bytes, bytes]) -> bytes | None:
    """As `prove`, with the nodes looked up by their hash in `nodes`, which may hold those of many proofs.

    Raises:
        StateProofError: a node on the way is not there or malformed.
    """
    if len(root) != _HASH_BYTES or 2 * len(key) != KEY_NIBBLES:
        raise StateProofError("a state root and a trie key have 32 bytes each; pass hashes")
    if root == EMPTY_ROOT:
        return None
    steps = _Store(nodes)
    return _walk(steps, steps.hashed(root), _nibbles(key))


def _walk(steps: _Steps | _Store, node: Node, path: Nibbles) -> bytes | None:
    """Follow `path` down from `node`."""
    while True:
        if isinstance(node, Leaf):
            if len(node.path) != len(path):
                raise StateProofError("a leaf ends at another depth than its key; the proof is malformed")
            return node.value if node.path == path else None
        if isinstance(node, Extension):
            if len(node.path) >= len(path):
                raise StateProofError("an extension reaches past the key; the proof is malformed")
            if path[: len(node.path)] != node.path:
                return None
            path = path[len(node.path) :]
            node = steps.follow(node.child)
            if not isinstance(node, Branch):
                raise StateProofError("an extension does not lead to a branch; the proof is malformed")
            continue
        if not path:
            raise StateProofError("a branch lies below the end of the key; the proof is malformed")
        child = node.children[path[0]]
        if child == b"":
            return None
        path = path[1:]
        node = steps.follow(child)


class _Steps:
    """The listed nodes, each taken once and in order."""

    def __init__(self, proof: Sequence[bytes]) -> None:
        self._proof = proof
        self._next = 0

    @property
    def left(self) -> int:
        """Nodes not taken."""
        return len(self._proof) - self._next

    def hashed(self, expected: bytes) -> Node:
        """The next listed node, which has to hash to `expected`."""
        if not self.left:
            raise StateProofError("the proof is cut short: it ends before it shows anything; ask again")
        encoded = self._proof[self._next]
        if keccak(encoded) != expected:
            raise StateProofError(
                f"node {self._next} of the proof does not have the hash its parent names; it is refused"
            )
        if self._next and len(encoded) < _HASH_BYTES:
            raise StateProofError("a short node is referenced by hash; the proof is malformed")
        self._next += 1
        return _parse_node(decode(encoded))

    def follow(self, reference: Item) -> Node:
        """The node a parent refers to, by hash or inlined."""
        if isinstance(reference, bytes):
            if len(reference) != _HASH_BYTES:
                raise StateProofError("a node reference is not a hash; the proof is malformed")
            return self.hashed(reference)
        encoded = _inlined(reference)
        if self.left and self._proof[self._next] == encoded:
            self._next += 1
        return _parse_node(reference)


class _Store:
    """Nodes by hash. The root alone may be shorter than a hash."""

    def __init__(self, nodes: Mapping[bytes, bytes]) -> None:
        self._nodes = nodes
        self._started = False

    def hashed(self, expected: bytes) -> Node:
        """The node that hashes to `expected`."""
        encoded = self._nodes.get(expected)
        if encoded is None:
            raise StateProofError(f"the node 0x{expected.hex()} is not in the evidence; it proves nothing")
        if len(encoded) > MAX_NODE_BYTES or keccak(encoded) != expected:
            raise StateProofError(f"the node 0x{expected.hex()} does not have that hash; it is refused")
        if self._started and len(encoded) < _HASH_BYTES:
            raise StateProofError("a short node is referenced by hash; the proof is malformed")
        self._started = True
        return _parse_node(decode(encoded))

    def follow(self, reference: Item) -> Node:
        """The node a parent refers to, by hash or inlined."""
        if not isinstance(reference, bytes):
            _inlined(reference)
            return _parse_node(reference)
        if len(reference) != _HASH_BYTES:
            raise StateProofError("a node reference is not a hash; the proof is malformed")
        return self.hashed(reference)


def _inlined(reference: Item) -> bytes:
    """The encoding of a node inlined in its parent, which is short; raises StateProofError."""
    encoded = bytes(rlp.encode(reference))
    if len(encoded) >= _HASH_BYTES:
        raise StateProofError("a long node is inlined in its parent; the proof is malformed")
    return encoded


def _parse_node(item: Item) -> Node:
    """A decoded node as one of the three forms; raises StateProofError."""
    if not isinstance(item, list):
        raise StateProofError("a trie node is not a list; the proof is malformed")
    if len(item) == _BRANCH_ITEMS:
        if item[16] != b"":
            raise StateProofError("a branch carries a value; the proof is malformed")
        if sum(child != b"" for child in item[:16]) < 2:
            raise StateProofError("a branch has fewer than two children; the proof is malformed")
        return Branch(tuple(item[:16]))
    if len(item) != 2 or not isinstance(item[0], bytes):
        raise StateProofError(f"a trie node has {len(item)} items; the proof is malformed")
    path, is_leaf = _parse_path(item[0])
    if is_leaf:
        if not isinstance(item[1], bytes) or not item[1]:
            raise StateProofError("a leaf has no value; the proof is malformed")
        return Leaf(path, item[1])
    if not path:
        raise StateProofError("an extension has an empty path; the proof is malformed")
    return Extension(path, item[1])


def _parse_path(encoded: bytes) -> tuple[Nibbles, bool]:
    """Hex-prefix decoding: the nibbles, and whether the node is a leaf (yellow paper, appendix C)."""
    nibbles = _nibbles(encoded)
    if not nibbles or nibbles[0] > 3:
        raise StateProofError("a path has an unknown prefix; the proof is malformed")
    odd, is_leaf = nibbles[0] & 1, bool(nibbles[0] & 2)
    if not odd and nibbles[1] != 0:
        raise StateProofError("a path has a padding nibble that is not zero; the proof is malformed")
    return nibbles[1:] if odd else nibbles[2:], is_leaf


def _nibbles(data: bytes) -> Nibbles:
    return tuple(nibble for byte in data for nibble in (byte >> 4, byte & 15))
