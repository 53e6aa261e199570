"""Where token contracts store balances: the slot of a holder's word, by layout.

Sources: Solidity documentation, "Layout of State Variables in Storage" (mappings); Vyper's mapping hash with the slot
first; EIP-7201 for OpenZeppelin's upgradeable ERC-20, whose balances are the first member of its namespace; Solady
`ERC20.sol` (`_BALANCE_SLOT_SEED`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eth_utils.crypto import keccak

from aggregator.model.errors import ConfigError

SOLIDITY, VYPER, OPENZEPPELIN_7201, SOLADY = "solidity", "vyper", "openzeppelin-7201", "solady"
_SOLADY_SEED: Final = bytes.fromhex("87a211a2")
SEARCHED_SLOTS: Final = 512
"""Mapping slots that are recognised in an access list."""
COMMON_SLOTS: Final = 16
"""Mapping slots that are tried when there is no access list."""


def namespace_slot(name: str) -> int:
    """EIP-7201: keccak256(keccak256(name) - 1) with the last byte cleared."""
    inner = int.from_bytes(keccak(name.encode("ascii")), "big") - 1
    return int.from_bytes(keccak(inner.to_bytes(32, "big")), "big") & ~0xFF


_OPENZEPPELIN_SLOT: Final = namespace_slot("openzeppelin.storage.ERC20")


@dataclass(frozen=True, slots=True)
class Layout:
    """A form of storing balances, with the mapping's slot where the form has one."""

    form: str
    slot: int = 0

    def __str__(self) -> str:
        return f"{self.form}:{self.slot}" if self.form in (SOLIDITY, VYPER) else self.form

    def key(self, holder: bytes) -> bytes:
        """The 32-byte storage slot of `holder` (20 bytes)."""
        padded = holder.rjust(32, b"\x00")
        if self.form == SOLADY:
            return keccak(holder + bytes(8) + _SOLADY_SEED)
        slot = _OPENZEPPELIN_SLOT if self.form == OPENZEPPELIN_7201 else self.slot
        word = slot.to_bytes(32, "big")
        return keccak(word + padded if self.form == VYPER else padded + word)


def parse_layout(text: str) -> Layout:
    """The inverse of str(): "solidity:9", "vyper:1", "openzeppelin-7201", "solady"; raises ConfigError."""
    form, _, slot = text.partition(":")
    if form in (SOLIDITY, VYPER) and slot.isdecimal():
        return Layout(form, int(slot))
    if text in (OPENZEPPELIN_7201, SOLADY):
        return Layout(text)
    raise ConfigError(
        f"{text[:40]!r} is not a storage layout; write solidity:N, vyper:N, {OPENZEPPELIN_7201} or {SOLADY}"
    )


def candidates(slots: int) -> list[Layout]:
    """Every layout with a mapping slot below `slots`, likely ones first."""
    plain = [Layout(form, slot) for slot in range(slots) for form in (SOLIDITY, VYPER)]
    return [Layout(OPENZEPPELIN_7201), Layout(SOLADY), *plain]
