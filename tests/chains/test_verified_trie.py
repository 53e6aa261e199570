"""Merkle-Patricia proofs against an independent trie and a published root; every mutilation refused."""

from __future__ import annotations

from typing import Any

import pytest
import rlp
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from aggregator.model.errors import StateProofError
from chains.verified import EMPTY_ROOT, prove, prove_from, verify_account

EMPTY_STORAGE = "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
NO_CODE = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
PUBLISHED_ROOT = bytes.fromhex("730a444e08ab4b8dee147c9b232fc52d34a223d600031c1e9d25bfc985cbd797")
PUBLISHED = {
    "a94f5374fce5edbc8e2a8697c15331677e6ebf0b": f"f848018405f446a7a0{EMPTY_STORAGE}a0{NO_CODE}",
    "095e7baea6a6c7c4c2dfeb977efac326af552d87": f"f8440101a0{EMPTY_STORAGE}a0"
    "04bccc5d94f4d1f99aab44369a910179931772f2a5c001c3229f57831c102769",
    "d2571607e241ecf590ed94b12d87c94babe36db6": "f8440180a0"
    f"ba4b47865c55a341a4a78759bb913cd15c3ee8eaf30a62fa8d1c8863113d84e8a0{NO_CODE}",
    "62c01474f089b07dae603491675dc5b5748f7049": f"f8448080a0{EMPTY_STORAGE}a0{NO_CODE}",
    "2adc25665018aa1fe0e6bc666dac8fc2697ff9ba": f"f8478083019a59a0{EMPTY_STORAGE}a0{NO_CODE}",
}
"""Source: github.com/ethereum/tests, TrieTests/hex_encoded_securetrie_test.json, test1."""


def build(content: dict[bytes, bytes]) -> HexaryTrie:
    trie: HexaryTrie = HexaryTrie({})
    for key, value in content.items():
        trie[key] = value
    return trie


def proof_of(trie: HexaryTrie, key: bytes, *, inlined: bool = False) -> list[bytes]:
    """The proof nodes for `key`; nodes inlined in their parent are left out unless `inlined`."""
    nodes = [rlp.encode(node) for node in trie.get_proof(key)]
    return [n for i, n in enumerate(nodes) if n != b"\x80" and (inlined or i == 0 or len(n) >= 32)]


def test_the_published_secure_trie() -> None:
    """Five accounts with a published root: each is proven, with the nonce and balance it was given."""
    trie = build({keccak(bytes.fromhex(a)): bytes.fromhex(v) for a, v in PUBLISHED.items()})
    assert trie.root_hash == PUBLISHED_ROOT
    for address, encoded in PUBLISHED.items():
        raw = bytes.fromhex(address)
        account = verify_account(PUBLISHED_ROOT, raw, proof_of(trie, keccak(raw)))
        fields: Any = rlp.decode(bytes.fromhex(encoded))
        assert account.exists
        assert (account.nonce, account.balance) == tuple(int.from_bytes(f, "big") for f in fields[:2])
    absent = b"\x11" * 20
    assert not verify_account(PUBLISHED_ROOT, absent, proof_of(trie, keccak(absent))).exists


def suffixed(*suffixes: str) -> list[bytes]:
    """32-byte keys that share everything but their last nibbles, so that short nodes are inlined."""
    return [bytes.fromhex("ab" * 32)[: 32 - len(s) // 2] + bytes.fromhex(s) for s in suffixes]


contents = st.dictionaries(
    st.binary(min_size=32, max_size=32)
    | st.binary(min_size=1, max_size=2).map(lambda tail: (b"\xab" * 32)[: 32 - len(tail)] + tail),
    st.binary(min_size=1, max_size=40),
    max_size=25,
)


@given(contents, st.binary(min_size=32, max_size=32), st.booleans())
@settings(max_examples=60, deadline=None)
def test_agrees_with_an_independent_trie(content: dict[bytes, bytes], other: bytes, inlined: bool) -> None:
    """Every present key gives its value and an absent one None, with and without inlined nodes listed."""
    trie = build(content)
    for key in [*content, other, *suffixed("00", "abab", "ac")]:
        assert prove(trie.root_hash, key, proof_of(trie, key, inlined=inlined)) == content.get(key)


@given(contents.filter(bool), st.data())
@settings(max_examples=60, deadline=None)
def test_no_mutilated_proof_proves_another_value(content: dict[bytes, bytes], data: st.DataObject) -> None:
    """Cut, extended, reordered, doubled or altered, a proof is refused or still proves the truth."""
    trie = build(content)
    key = data.draw(st.sampled_from(sorted(content)) | st.binary(min_size=32, max_size=32))
    proof = proof_of(trie, key)
    n = data.draw(st.integers(0, len(proof) - 1))
    bit = data.draw(st.integers(0, 8 * len(proof[n]) - 1))
    altered = bytearray(proof[n])
    altered[bit // 8] ^= 1 << (bit % 8)
    for bad in (
        proof[:n],
        proof[:n] + proof[n + 1 :],
        [*proof, proof[n]],
        [*proof[:n], bytes(altered), *proof[n + 1 :]],
        [*proof[:n], b"", *proof[n:]],
        [*proof[:n], proof[n][:-1], *proof[n + 1 :]],
    ):
        with pytest.raises(StateProofError):
            prove(trie.root_hash, key, bad)
    if len(proof) > 1:
        with pytest.raises(StateProofError):
            prove(trie.root_hash, key, proof[::-1])


@given(contents.filter(bool), st.data())
@settings(max_examples=60, deadline=None)
def test_a_store_of_nodes_proves_what_proofs_do_and_nothing_else(
    content: dict[bytes, bytes], data: st.DataObject
) -> None:
    """The nodes of all proofs together answer every key; one node altered or gone, the keys below it are refused."""
    trie = build(content)
    keys = [*sorted(content), data.draw(st.binary(min_size=32, max_size=32))]
    proofs = {key: proof_of(trie, key) for key in keys}
    nodes = {keccak(node): node for proof in proofs.values() for node in proof}
    for key in keys:
        assert prove_from(trie.root_hash, key, nodes) == content.get(key)
    victim = data.draw(st.sampled_from(sorted(nodes)))
    altered = bytes([nodes[victim][0] ^ 1]) + nodes[victim][1:]
    gone = {name: node for name, node in nodes.items() if name != victim}
    for bad in (gone, {**gone, keccak(altered): altered}, {**gone, victim: altered}):
        for key in keys:
            if any(keccak(node) == victim for node in proofs[key]):
                with pytest.raises(StateProofError):
                    prove_from(trie.root_hash, key, bad)
            else:
                assert prove_from(trie.root_hash, key, bad) == content.get(key)


@pytest.mark.parametrize(
    ("present", "absent"),
    [
        (suffixed("10", "20"), suffixed("30")[0]),  # empty child of a branch
        ([b"\x11" * 32], b"\x12" * 32),  # a leaf that diverges, at the root
        (suffixed("1010", "1020", "3010"), suffixed("3110")[0]),  # a leaf that diverges, below
        (suffixed("1010", "1020"), b"\x11" * 32),  # an extension that diverges, at the root
        (suffixed("111010", "111020", "300000"), suffixed("112010")[0]),  # an extension that diverges, below
    ],
)
def test_each_form_of_exclusion(present: list[bytes], absent: bytes) -> None:
    """Absence is shown by an empty child, a diverging leaf or a diverging extension, and by nothing less."""
    trie = build(dict.fromkeys(present, b"v" * 33))
    proof = proof_of(trie, absent)
    assert prove(trie.root_hash, absent, proof) is None
    for length in range(len(proof)):
        with pytest.raises(StateProofError, match="cut short"):
            prove(trie.root_hash, absent, proof[:length])


def test_the_empty_trie() -> None:
    assert prove(EMPTY_ROOT, bytes(32), []) is None
    assert prove(EMPTY_ROOT, bytes(32), [b"\x80"]) is None
    with pytest.raises(StateProofError):
        prove(EMPTY_ROOT, bytes(32), [b"\x80", b"\x80"])
    with pytest.raises(StateProofError):
        prove(keccak(b"\xc0"), bytes(32), [b"\xc0"])


def crafted(*nodes: Any) -> tuple[bytes, list[bytes]]:
    """Nodes encoded from the last up, each "next" replaced by the hash of the one below."""
    proof: list[bytes] = []
    below = b""
    for node in reversed(nodes):
        encoded = rlp.encode([below if item == "next" else item for item in node])
        below = keccak(encoded)
        proof.insert(0, encoded)
    return keccak(proof[0]), proof


LONG = b"v" * 40


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([[b"\x00", "next"], [b"\x20" + bytes(32), LONG]], "empty path"),
        ([[b"\x00\x00", "next"], [b"\x20" + bytes(31), LONG]], "does not lead to a branch"),
        ([["next", *[b""] * 16], [b"\x30" + bytes(31), LONG]], "fewer than two children"),
        ([["next", b"x" * 32, *[b""] * 14, b"value"], [b"\x30" + bytes(31), LONG]], "carries a value"),
        ([[b"\x20" + bytes(31), LONG]], "another depth"),
        ([[b"\x20" + bytes(33), LONG]], "another depth"),
        ([[b"\x21" + bytes(32), LONG]], "padding nibble"),
        ([[b"\x40" + bytes(32), LONG]], "unknown prefix"),
        ([[b"", LONG]], "unknown prefix"),
        ([[b"\x20" + bytes(32), b""]], "no value"),
        ([[b"\x00" + bytes(32), "next"], [b"x" * 32, b"y" * 32, *[b""] * 15]], "past the key"),
        ([[b"\x00" + bytes(31), b"short"]], "not a hash"),
        ([[b"a", b"b", b"c"]], "3 items"),
        ([["next", b"x" * 32, *[b""] * 15], [b"\x30", b"v"]], "short node"),
        ([[[b"\x30" + bytes(31), LONG], b"x" * 32, *[b""] * 15]], "long node is inlined"),
    ],
)
def test_nodes_no_state_trie_can_have_are_refused(nodes: list[Any], words: str) -> None:
    """Right hashes all the way, wrong form: a trie of Keccak keys cannot contain it."""
    root, proof = crafted(*nodes)
    with pytest.raises(StateProofError, match=words):
        prove(root, bytes(32), proof)


def test_absurdly_long_proofs_are_refused_before_they_are_hashed() -> None:
    for proof in ([b"\xc0"] * 66, [b"\xc0" * 1025]):
        with pytest.raises(StateProofError, match="more or longer nodes"):
            prove(bytes(32), bytes(32), proof)
