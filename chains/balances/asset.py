"""What every kind of holding has in common: which reads it needs, what they mean, and what would prove them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chains.balances.discovery import Probe
from chains.multicall import Call, Outcome
from chains.networks import Network


@dataclass(frozen=True, slots=True)
class Amount:
    """One quantity as the contract reports it. `raw` is in base units, negative when owed or short.

    `form` names how the quantity follows from the state trie (chains.balances.forms), "" when it does not. `probe` is
    the mapping whose layout that form needs.
    """

    instrument: str
    kind: str
    token: str
    raw: int
    decimals: int
    detail: Mapping[str, str] = field(default_factory=dict)
    form: str = ""
    probe: Probe | None = None


class Asset(ABC):
    """Something an address can hold on one chain. One subclass per kind, one object per contract."""

    label: str
    """Names the asset where a reading is missing."""

    balance_of: bytes | None = None
    """The contract whose balanceOf is this holding, where it is one: it may not repeat another's."""

    def shared_calls(self) -> tuple[Call, ...]:
        """Reads made once for all holders."""
        return ()

    def layouts(self) -> Mapping[Probe, str]:
        """Every mapping that proofs need, with its configured storage layout or ""."""
        return {}

    @abstractmethod
    def holder_calls(self, holder: bytes) -> tuple[Call, ...]:
        """Reads made for one holder (20 bytes)."""

    def further_calls(self, holder: bytes, own: Sequence[Outcome]) -> tuple[Call, ...]:
        """Reads that follow from what the reads so far answered; asked again until there are none.

        `own` grows by the outcomes. A ChainError ends the rounds; `amounts` then has to raise one too.
        """
        return ()

    @abstractmethod
    def amounts(self, shared: Sequence[Outcome], own: Sequence[Outcome]) -> list[Amount]:
        """The quantities of one holder from the outcomes of the reads, in their order, further ones behind.

        What encumbers a quantity is in the same list, also when it is zero, so that neither is read without the other.

        Raises:
            ChainError: a read failed or contradicts the configuration; the reading is then missing.
        """


def side_detail(network: Network, tokens: Sequence[str]) -> dict[str, str]:
    """What the network file calls the tokens (lower-case addresses) of a pool, and their decimals.

    `instrument0`, `decimals0`, `instrument1`, ..; nothing about a token that it does not list.
    """
    known = {token.address.lower(): token for token in network.tokens}
    return {
        key: text
        for side, address in enumerate(tokens)
        if (token := known.get(address)) is not None
        for key, text in (
            (f"instrument{side}", network.instrument(token.symbol)),
            (f"decimals{side}", str(token.decimals)),
        )
    }
