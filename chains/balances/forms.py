"""How a quantity follows from the state trie: which words of it, and the function of them.

The same code serves the reader, which proves the words online, and `chains.evidence`, which proves them again from
kept nodes. So a form takes nothing but what a reading itself states: holder, token, detail, and the block's time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from aggregator.model.errors import ConfigError, StateProofError
from chains.balances.layouts import Layout, parse_layout
from chains.rpc import clean_text

COIN: Final = "native"
"""What a reading of the chain's own coin has as its token."""

Word: TypeAlias = tuple[bytes, bytes | None]
"""A storage word: contract and slot, 20 and 32 bytes. Without a slot, the balance of the account."""


class Stated(NamedTuple):
    """What a reading says about itself. `time` is its block's timestamp."""

    holder: bytes
    token: str
    detail: Mapping[str, str]
    time: int


class Form(Protocol):
    """One way for a quantity to follow from words."""

    def words(self, stated: Stated) -> tuple[Word, ...]:
        """The words that the quantity is a function of; raises StateProofError when the detail does not say."""

    def raw(self, stated: Stated, words: Sequence[int]) -> frozenset[int]:
        """The raw amounts that these words stand for: one, or two where a protocol's releases round differently."""

    def remarks(self, stated: Stated, words: Sequence[int]) -> Mapping[str, str]:
        """What else the words say, for the reading's detail."""


class AccountForm:
    """The balance field of the holder's account."""

    def words(self, stated: Stated) -> tuple[Word, ...]:
        """The account itself; of a token this would be another balance."""
        if stated.token != COIN:
            raise StateProofError(
                f"{clean_text(stated.token, 60)!r} is a token; its balance is not an account's"
            )
        return ((stated.holder, None),)

    def raw(self, stated: Stated, words: Sequence[int]) -> frozenset[int]:
        """The balance."""
        return frozenset(words)

    def remarks(self, stated: Stated, words: Sequence[int]) -> Mapping[str, str]:
        """Nothing."""
        return {}


class StorageForm:
    """A balance in a mapping of the token."""

    def words(self, stated: Stated) -> tuple[Word, ...]:
        """The holder's word."""
        return ((contract_of(stated.token), holder_slot(stated)),)

    def raw(self, stated: Stated, words: Sequence[int]) -> frozenset[int]:
        """The balance without what shares its word."""
        return frozenset({layout_of(stated).balance(words[0])})

    def remarks(self, stated: Stated, words: Sequence[int]) -> Mapping[str, str]:
        """`besideBalance`: the bits above a packed balance, where any is set (the blocklist of FiatToken 2.2)."""
        beside = layout_of(stated).beside(words[0])
        return {"besideBalance": hex(beside)} if beside else {}


FORMS: Final[dict[str, Form]] = {"account": AccountForm(), "storage": StorageForm()}
"""By the name in a reading's detail, `proof`."""


def form_named(name: str) -> Form:
    """The form called `name`; raises StateProofError."""
    if name not in FORMS:
        known = ", ".join(FORMS)
        raise StateProofError(
            f"{clean_text(name, 40)!r} is not a known form of proof; this version has {known}"
        )
    return FORMS[name]


def layout_of(stated: Stated, key: str = "layout") -> Layout:
    """The layout in the detail; raises StateProofError."""
    try:
        return parse_layout(stated.detail.get(key, ""))
    except ConfigError as error:
        raise StateProofError(f"the detail's {key} is malformed: {error}") from error


def holder_slot(stated: Stated) -> bytes:
    """The holder's slot by the stated layout, which has to be the stated slot; raises StateProofError."""
    slot = layout_of(stated).key(stated.holder)
    if stated.detail.get("slot") != "0x" + slot.hex():
        raise StateProofError("the stated slot is not the holder's under the stated layout; it is refused")
    return slot


def contract_of(text: str) -> bytes:
    """A stated address as 20 bytes; raises StateProofError."""
    try:
        address = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        address = b""
    if len(address) != 20 or text != "0x" + address.hex():
        raise StateProofError(f"{clean_text(text, 60)!r} is not an address; the reading is malformed")
    return address
