"""Storage layouts that are known, and whether the code they were found in is still the code that runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from eth_utils.crypto import keccak

from aggregator.model.anchors import BlockAnchor, Finality
from aggregator.model.errors import ReorgError
from chains.anchors import Anchored
from chains.balances.discovery import Probe, discover
from chains.balances.forms import Word
from chains.balances.layouts import Layout, parse_layout
from chains.balances.proving import Proven
from chains.rpc import Chain

IMPLEMENTATION_SLOTS: Final = (
    (int.from_bytes(keccak(b"eip1967.proxy.implementation"), "big") - 1).to_bytes(32, "big"),
    keccak(b"org.zeppelinos.proxy.implementation"),
)
"""Where a proxy names the code that runs: EIP-1967, and the form before it that USDC still has."""

DISTINCT_FOR_S: Final = 86_400
"""An upgrade of a token shows at once where its layout was found (`outdated`), and elsewhere after this long."""
_PROBED: Final = "probe"


@dataclass(frozen=True, slots=True)
class KnownLayout:
    """A layout and how it became known: "config", or "probe" with the code hash of the token at that time.

    Behind a proxy the hash covers the address of the implementation too.
    """

    layout: Layout
    origin: str
    code_hash: bytes = b""


@dataclass
class LayoutBook:
    """Layouts found by experiment, kept from one snapshot to the next, per chain, token and code hash."""

    _known: dict[tuple[int, bytes], KnownLayout] = field(default_factory=dict)
    _heights: dict[tuple[int, Finality], BlockAnchor] = field(default_factory=dict)
    _distinct: dict[tuple[int, frozenset[bytes]], int] = field(default_factory=dict)

    def get(self, chain_id: int, token: bytes) -> KnownLayout | None:
        """What was found for `token` (20 bytes, or the key of a Probe) before."""
        return self._known.get((chain_id, token))

    def put(self, chain_id: int, token: bytes, known: KnownLayout) -> None:
        """Keep a layout whose token proved to have `known.code_hash`."""
        self._known[chain_id, token] = known

    def drop(self, chain_id: int, token: bytes) -> None:
        """Forget a token whose code has changed, and that it was another than the others."""
        self._known.pop((chain_id, token), None)
        self._distinct = {key: at for key, at in self._distinct.items() if key[0] != chain_id}

    def distinct(self, chain_id: int, tokens: Iterable[bytes], at: int) -> bool:
        """Whether `tokens` were found to be holdings of their own within the last day before the second `at`."""
        found = self._distinct.get((chain_id, frozenset(tokens)))
        return found is not None and abs(at - found) < DISTINCT_FOR_S

    def keep_distinct(self, chain_id: int, tokens: Iterable[bytes], at: int) -> None:
        """Keep that `tokens` are holdings of their own, as they were found in a block of the second `at`."""
        self._distinct[chain_id, frozenset(tokens)] = at

    def climb(self, chain_id: int, anchor: BlockAnchor, cut: int) -> None:
        """Remember `anchor`, taken for `cut`.

        Raises:
            ReorgError: an earlier snapshot had a higher block at or before that cut, or another one at that height.
        """
        before = self._heights.get((chain_id, anchor.finality))
        if before is not None:
            lower = anchor.number < before.number and before.timestamp <= cut
            if lower or (anchor.number == before.number and anchor.hash != before.hash):
                raise ReorgError(
                    f"{anchor.chain} went back from block {before.number} {before.hash} to {anchor.number} "
                    f"{anchor.hash}; its endpoints lag behind or the chain was reorganised, try again"
                )
        if before is None or anchor.number > before.number:
            self._heights[chain_id, anchor.finality] = anchor

    def earlier(self, chain_id: int, anchor: BlockAnchor) -> tuple[BlockAnchor, ...]:
        """The highest block of an earlier snapshot, where it is below `anchor`: it has to be among its ancestors."""
        before = self._heights.get((chain_id, anchor.finality))
        return () if before is None or before.number >= anchor.number else (before,)

    def forget_heights(self) -> None:
        """Accept any height again, after a reorganisation that was looked into."""
        self._heights.clear()


async def find_layouts(
    chain: Chain, anchored: Anchored, configured: Mapping[Probe, str], book: LayoutBook
) -> dict[Probe, KnownLayout]:
    """The layout of each probe: as configured, as found before, or found now."""
    if not anchored.provable:
        return {}
    known: dict[Probe, KnownLayout] = {}
    unknown: list[Probe] = []
    for probe, layout in configured.items():
        if layout:
            known[probe] = KnownLayout(parse_layout(layout), "config")
        elif (found := book.get(chain.chain_id, probe.key)) is not None:
            known[probe] = found
        else:
            unknown.append(probe)
    discovered = await discover(chain, anchored, unknown)
    return known | {probe: KnownLayout(layout, _PROBED) for probe, layout in discovered.items()}


def fingerprint_words(layouts: Mapping[Probe, KnownLayout]) -> list[Word]:
    """What has to be proven beside the balances to notice an upgrade of a token whose layout was found."""
    probed = dict.fromkeys(p.contract for p, known in layouts.items() if known.origin == _PROBED)
    return [(contract, slot) for contract in probed for slot in IMPLEMENTATION_SLOTS]


def outdated(layouts: Mapping[Probe, KnownLayout], proven: Proven) -> list[Probe]:
    """The probes whose layout was found in other code."""
    return [
        probe
        for probe, known in layouts.items()
        if known.code_hash and _fingerprint(probe.contract, proven) not in (None, known.code_hash)
    ]


def remember(
    chain: Chain,
    layouts: Mapping[Probe, KnownLayout],
    proven: Proven,
    book: LayoutBook,
    skip: Iterable[Probe],
) -> None:
    """Keep what was found, with the code it was found in; `skip` and `outdated` probes are forgotten instead."""
    for probe in skip:
        book.drop(chain.chain_id, probe.key)
    for probe, known in layouts.items():
        code = _fingerprint(probe.contract, proven)
        if known.origin == _PROBED and code is not None:
            book.put(chain.chain_id, probe.key, KnownLayout(known.layout, _PROBED, code))


def _fingerprint(contract: bytes, proven: Proven) -> bytes | None:
    """The code hash, for a proxy with the implementation hashed in; None where it was not proven."""
    account = proven.accounts.get(contract)
    words = [proven.values.get((contract, slot), 0) for slot in IMPLEMENTATION_SLOTS]
    if account is None:
        return None
    numbers = [word for word in words if isinstance(word, int)]
    if len(numbers) != len(words) or not any(numbers):
        return account.code_hash if len(numbers) == len(words) else None
    return keccak(account.code_hash + b"".join(number.to_bytes(32, "big") for number in numbers))
