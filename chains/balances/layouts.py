"""Where token contracts store balances: the slot of a holder's word, by layout.

Sources: Solidity documentation, "Layout of State Variables in Storage" (mappings); Vyper's mapping hash with the slot
first; EIP-7201 for OpenZeppelin's upgradeable ERC-20, whose balances are the first member of its namespace; Solady
`ERC20.sol` (`_BALANCE_SLOT_SEED`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from eth_utils.crypto import keccak

from aggregator.model.errors import ConfigError

SOLIDITY, VYPER, OPENZEPPELIN_7201, SOLADY = "solidity", "vyper", "openzeppelin-7201", "solady"
_SOLADY_SEED: Final = bytes.fromhex("87a211a2")
WORD_BITS: Final = 256
SEARCHED_SLOTS: Final = 512
"""Mapping slots that are recognised in an access list."""
COMMON_SLOTS: Final = 16
"""Mapping slots that are tried when there is no access list."""
_LAYOUT: Final = re.compile(
    rf"(?:(?P<mapping>{SOLIDITY}|{VYPER}):(?P<slot>0|[1-9][0-9]{{0,77}})|(?P<fixed>{OPENZEPPELIN_7201}|{SOLADY}))"
    r"(?:/(?P<bits>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


def namespace_slot(name: str) -> int:
    """EIP-7201: keccak256(keccak256(name) - 1) with the last byte cleared."""
    inner = int.from_bytes(keccak(name.encode("ascii")), "big") - 1
    return int.from_bytes(keccak(inner.to_bytes(32, "big")), "big") & ~0xFF


_OPENZEPPELIN_SLOT: Final = namespace_slot("openzeppelin.storage.ERC20")


@dataclass(frozen=True, slots=True)
class Layout:
    """A form of storing balances, with the mapping's slot where the form has one.

    `bits` is how many low bits of the word are the balance. FiatToken 2.2 (USDC) keeps 255, with its blocklist in the
    last; an Aave v3 token 128, beside the index of the holder's last action.
    """

    form: str
    slot: int = 0
    bits: int = WORD_BITS

    def __str__(self) -> str:
        place = f"{self.form}:{self.slot}" if self.form in (SOLIDITY, VYPER) else self.form
        return place if self.bits == WORD_BITS else f"{place}/{self.bits}"

    def balance(self, word: int) -> int:
        """The balance in the holder's word."""
        return word & ((1 << self.bits) - 1)

    def beside(self, word: int) -> int:
        """The bits above the balance."""
        return word >> self.bits

    def key(self, holder: bytes) -> bytes:
        """The 32-byte storage slot of `holder` (20 bytes)."""
        padded = holder.rjust(32, b"\x00")
        if self.form == SOLADY:
            return keccak(holder + bytes(8) + _SOLADY_SEED)
        slot = _OPENZEPPELIN_SLOT if self.form == OPENZEPPELIN_7201 else self.slot
        word = slot.to_bytes(32, "big")
        return keccak(word + padded if self.form == VYPER else padded + word)


def parse_layout(text: str) -> Layout:
    """The inverse of str(): "solidity:9", "vyper:1", "openzeppelin-7201", "solady", each also as "../255".

    Raises:
        ConfigError: it is none of these.
    """
    match = _LAYOUT.fullmatch(text)
    bits = int(match["bits"] or WORD_BITS) if match else 0
    slot = int(match["slot"] or 0) if match else 0
    if match is None or not 0 < bits <= WORD_BITS or slot >> WORD_BITS:
        raise ConfigError(
            f"{text[:40]!r} is not a storage layout; write solidity:N, vyper:N, {OPENZEPPELIN_7201} or {SOLADY}, "
            "with /BITS where the balance has less than 256"
        )
    return Layout(match["mapping"] or match["fixed"], slot, bits)


def candidates(slots: int) -> list[Layout]:
    """Every layout with a mapping slot below `slots`, likely ones first."""
    plain = [Layout(form, slot) for slot in range(slots) for form in (SOLIDITY, VYPER)]
    return [Layout(OPENZEPPELIN_7201), Layout(SOLADY), *plain]
