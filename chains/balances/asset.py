"""What every kind of holding has in common: which reads it needs, and what they mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

from chains.multicall import Call, Outcome


class ProofForm(Enum):
    """Where the raw amount of a kind lies in the state trie."""

    NONE = "none"
    ACCOUNT = "account"
    """The balance field of the holder's account."""
    MAPPING = "mapping"
    """A storage word of the token, at a slot derived from the holder."""


@dataclass(frozen=True, slots=True)
class Amount:
    """One quantity as the contract reports it. `raw` is in base units, negative when owed or short."""

    instrument: str
    kind: str
    token: str
    raw: int
    decimals: int
    detail: Mapping[str, str] = field(default_factory=dict)


class Asset(ABC):
    """Something an address can hold on one chain. One subclass per kind, one object per contract."""

    proof_form: ClassVar[ProofForm] = ProofForm.NONE
    label: str
    """Names the asset where a reading is missing."""
    address: bytes = b""
    """The contract, 20 bytes; empty for the native coin."""
    layout: str = ""
    """Configured storage layout of the balances, if any."""

    def shared_calls(self) -> tuple[Call, ...]:
        """Reads made once for all holders."""
        return ()

    @abstractmethod
    def holder_calls(self, holder: bytes) -> tuple[Call, ...]:
        """Reads made for one holder (20 bytes)."""

    @abstractmethod
    def amounts(self, shared: Sequence[Outcome], own: Sequence[Outcome]) -> list[Amount]:
        """The quantities of one holder from the outcomes of the reads, in their order.

        Raises:
            ChainError: a read failed or contradicts the configuration; the reading is then missing.
        """
