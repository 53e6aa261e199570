"""Accounts and words in tries made here: every encoding of nothing, malformed values, false claims."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import rlp
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from aggregator.model.errors import ChainError, StateProofError
from chains.verified import EMPTY_ROOT, verify_account, verify_get_proof

ADDRESS = bytes.fromhex("ab" * 20)
NO_CODE = keccak(b"")
ZERO = bytes(32)


def trie_of(content: dict[bytes, bytes]) -> HexaryTrie:
    """A secure trie: keys are hashed."""
    trie: HexaryTrie = HexaryTrie({})
    for key, value in content.items():
        trie[keccak(key)] = value
    return trie


def nodes_of(trie: HexaryTrie, key: bytes) -> list[bytes]:
    return [n for node in trie.get_proof(keccak(key)) if (n := rlp.encode(node)) != b"\x80"]


def account(
    nonce: Any = b"\x01", balance: Any = b"\x02", root: Any = EMPTY_ROOT, code: Any = NO_CODE
) -> bytes:
    return bytes(rlp.encode([nonce, balance, root, code]))


def state_with(value: bytes) -> tuple[bytes, list[bytes]]:
    """Root and proof of a state in which `ADDRESS` has the value, beside others."""
    trie = trie_of({ADDRESS: value, **{bytes([n]) * 20: account() for n in range(1, 20)}})
    return trie.root_hash, nodes_of(trie, ADDRESS)


def answer_of(
    state: HexaryTrie, storage: HexaryTrie, slots: list[bytes], claims: dict[str, Any]
) -> dict[str, Any]:
    """An eth_getProof answer about `ADDRESS`, nodes inlined in their parents left out below the root."""
    return {
        "address": "0x" + ADDRESS.hex(),
        "accountProof": ["0x" + n.hex() for n in nodes_of(state, ADDRESS)],
        "storageProof": [
            {
                "key": "0x" + slot.hex(),
                "value": hex(int.from_bytes(rlp.decode(storage.get(keccak(slot)) or b"\x80"), "big")),
                "proof": [
                    "0x" + n.hex() for i, n in enumerate(nodes_of(storage, slot)) if i == 0 or len(n) >= 32
                ],
            }
            for slot in slots
        ],
        **claims,
    }


def test_an_account_of_nothing_but_its_hashes_exists() -> None:
    """An empty account that is in the trie is there: that is another statement than its absence."""
    root, proof = state_with(account(b"", b""))
    found = verify_account(root, ADDRESS, proof)
    assert (found.exists, found.nonce, found.balance) == (True, 0, 0)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (rlp.encode(b"account"), "four fields"),
        (rlp.encode([b"\x01", b"\x02", EMPTY_ROOT]), "four fields"),
        (rlp.encode([b"\x01", b"\x02", EMPTY_ROOT, NO_CODE, b""]), "four fields"),
        (account(root=b""), "32 bytes"),
        (account(code=b""), "32 bytes"),
        (account(root=EMPTY_ROOT[1:]), "32 bytes"),
        (account(code=NO_CODE + b"\x00"), "32 bytes"),
        (account(root=[EMPTY_ROOT]), "lists"),
        (account(nonce=b"\x00"), "nonce"),
        (account(nonce=b"\x01" * 9), "nonce"),
        (account(balance=b"\x00\x01"), "balance"),
        (account(balance=b"\x01" * 33), "balance"),
        (account(balance=[b"\x01"]), "balance"),
        (account() + b"\x00", "bytes behind|longer|trailing|ends|left"),
        (account()[:-1], "ends|short|cut"),
    ],
)
def test_values_that_are_no_account_are_refused(value: bytes, words: str) -> None:
    """Hashes right all the way down; what lies there has another form than an account's only one."""
    root, proof = state_with(value)
    with pytest.raises(StateProofError, match=words):
        verify_account(root, ADDRESS, proof)


@pytest.mark.parametrize("hashes", list(itertools.product((ZERO, NO_CODE, EMPTY_ROOT), repeat=2)))
def test_an_absent_account_has_three_encodings_of_nothing_and_no_other(hashes: tuple[bytes, bytes]) -> None:
    """Clients report zeros or the hashes of nothing for an account that is not there; anything else is a lie."""
    state, empty = trie_of({bytes([n]) * 20: account() for n in range(1, 20)}), trie_of({})
    slots = [bytes(31) + b"\x01"]
    storage, code = ("0x" + h.hex() for h in hashes)
    claims = {"balance": "0x0", "nonce": "0x0", "storageHash": storage, "codeHash": code}
    answer = answer_of(state, empty, slots, claims)
    proven = verify_get_proof(state.root_hash, ADDRESS, slots, answer)
    assert (proven.account.exists, proven.words) == (False, (0,))
    for key, lie in (
        ("balance", "0x1"),
        ("nonce", "0x1"),
        ("codeHash", "0x" + "11" * 32),
        ("storageHash", "0x" + "11" * 32),
    ):
        with pytest.raises(StateProofError, match=f"another {key}"):
            verify_get_proof(state.root_hash, ADDRESS, slots, {**answer, key: lie})
    (entry,) = answer["storageProof"]
    with pytest.raises(StateProofError, match="another storage word"):
        verify_get_proof(
            state.root_hash, ADDRESS, slots, {**answer, "storageProof": [{**entry, "value": "0x1"}]}
        )


def test_the_hashes_of_nothing_are_no_claim_about_an_account_that_exists() -> None:
    storage = trie_of({bytes(32): rlp.encode(b"\x05")})
    state = trie_of({ADDRESS: account(root=storage.root_hash, code=keccak(b"code"))})
    claims = {
        "balance": "0x2",
        "nonce": "0x1",
        "storageHash": "0x" + storage.root_hash.hex(),
        "codeHash": "0x" + keccak(b"code").hex(),
    }
    answer = answer_of(state, storage, [bytes(32)], claims)
    assert verify_get_proof(state.root_hash, ADDRESS, [bytes(32)], answer).words == (5,)
    for key, nothing in itertools.product(("storageHash", "codeHash"), (ZERO, NO_CODE, EMPTY_ROOT)):
        with pytest.raises(StateProofError, match=f"another {key}"):
            verify_get_proof(state.root_hash, ADDRESS, [bytes(32)], {**answer, key: "0x" + nothing.hex()})


words = st.dictionaries(
    st.integers(0, 300).map(lambda n: n.to_bytes(32, "big")), st.integers(1, (1 << 256) - 1), max_size=30
)


def _encoded(word: int) -> bytes:
    return bytes(rlp.encode(word.to_bytes(-(-word.bit_length() // 8), "big")))


@given(words, st.lists(st.integers(0, 320), min_size=1, max_size=6, unique=True), st.data())
@settings(max_examples=60, deadline=None)
def test_no_change_of_an_answer_proves_other_words(
    content: dict[bytes, int], asked: list[int], data: Any
) -> None:
    """Whatever single thing is changed in a true answer, it is refused or still proves the true words, in order."""
    storage = trie_of({slot: _encoded(word) for slot, word in content.items()})
    others = {bytes([n]) * 20: account() for n in range(1, 9)}
    state = trie_of({ADDRESS: account(root=storage.root_hash), **others})
    slots = [n.to_bytes(32, "big") for n in asked]
    claims = {
        "balance": "0x2",
        "nonce": "0x1",
        "storageHash": "0x" + storage.root_hash.hex(),
        "codeHash": "0x" + NO_CODE.hex(),
    }
    answer = answer_of(state, storage, slots, claims)
    true = tuple(content.get(slot, 0) for slot in slots)
    assert verify_get_proof(state.root_hash, ADDRESS, slots, answer).words == true

    forged = copy.deepcopy(answer)
    entry = data.draw(st.sampled_from(forged["storageProof"]))
    nodes = data.draw(st.sampled_from([forged["accountProof"], entry["proof"]]))
    change = data.draw(st.sampled_from(["value", "key", "swap", "drop", "double", "foreign", "bit", "order"]))
    if change in ("value", "key"):
        entry[change] = hex(data.draw(st.integers(0, 400)))
    elif change == "order":
        forged["storageProof"] = forged["storageProof"][::-1]
    elif change == "foreign":
        nodes.append("0x" + nodes_of(state, bytes([1]) * 20)[-1].hex())
    elif nodes:
        n = data.draw(st.integers(0, len(nodes) - 1))
        if change == "swap":
            nodes.insert(0, nodes.pop(n))
        elif change == "drop":
            del nodes[n]
        elif change == "double":
            nodes.insert(n, nodes[n])
        else:
            at = data.draw(st.integers(2, len(nodes[n]) - 1))
            nodes[n] = f"{nodes[n][:at]}{int(nodes[n][at], 16) ^ 1:x}{nodes[n][at + 1 :]}"
    try:
        proven = verify_get_proof(state.root_hash, ADDRESS, slots, forged)
    except ChainError:
        return
    assert forged == answer
    assert proven.words == true
