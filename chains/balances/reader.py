"""Reads every asset of every address on one chain at one anchored block, and proves what can be proven."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from aggregator.model.anchors import BlockAnchor
from aggregator.model.errors import ChainError, StateProofError
from aggregator.model.snapshot import Method, Reading, quantity_from_raw
from aggregator.model.units import QUANTITY_BOUND
from chains.anchors import Anchored, check_anchor, take_anchor
from chains.balances.aliases import find_aliases
from chains.balances.asset import Amount, Asset
from chains.balances.book import (
    KnownLayout,
    LayoutBook,
    find_layouts,
    fingerprint_words,
    outdated,
    remember,
)
from chains.balances.discovery import Probe
from chains.balances.forms import Stated, Word, form_named
from chains.balances.native import NativeCoin
from chains.balances.proving import Proven, prove_words
from chains.balances.registry import assets_of
from chains.multicall import Call, Outcome, multicall
from chains.networks import Network
from chains.rpc import Chain

MAX_ROUNDS: Final = 4
"""Rounds of reads that follow from earlier ones."""
_NO_HEADER = "the header of this chain does not rebuild to its hash"
_NO_LAYOUT = "no known storage layout gives this token's balances"


@dataclass(frozen=True, slots=True)
class ChainReadings:
    """What one chain gave: its anchor, the readings, and the assets that could not be read, with the reason.

    `header` and `nodes` are what proves the proven readings: the block's RLP, and trie nodes, each once.
    """

    anchor: BlockAnchor
    readings: tuple[Reading, ...]
    missing: tuple[str, ...]
    header: bytes = b""
    nodes: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class _Draft:
    """One amount before it is proven. `words` is empty when it cannot be, and `detail` then says why."""

    amount: Amount
    holder: bytes
    detail: Mapping[str, str]
    words: tuple[Word, ...] = ()

    def stated(self, anchored: Anchored) -> Stated:
        """What the reading will say."""
        return Stated(self.holder, self.amount.token, self.detail, anchored.anchor.timestamp)


async def read_chain(
    network: Network, chain: Chain, holders: Sequence[bytes], cut: int, book: LayoutBook
) -> ChainReadings:
    """Every asset of `network` that `holders` (20 bytes each) have, at the last block before `cut`.

    Without holders the chain is anchored and nothing of it read.

    Raises:
        ChainError: the chain as a whole cannot be read, or its block was replaced while it was read.
    """
    anchored = await take_anchor(chain, cut=cut, finality=network.finality, max_lag_s=network.max_lag_s)
    earlier = book.earlier(chain.chain_id, anchored.anchor)
    book.climb(chain.chain_id, anchored.anchor, cut)
    assets = assets_of(network) if holders else []
    wanted = {probe: layout for asset in assets for probe, layout in asset.layouts().items()}
    tokens = [asset.balance_of for asset in assets if asset.balance_of is not None]
    (shared, own), layouts, aliases = await asyncio.gather(
        _call_all(chain, anchored, assets, holders),
        find_layouts(chain, anchored, wanted, book),
        find_aliases(chain, anchored, tokens, book),
    )
    read: list[tuple[Asset, bytes, list[Amount]]] = []
    missing: list[str] = []

    def miss(asset: Asset, holder: bytes, error: ChainError) -> None:
        missing.append(f"{asset.label} of 0x{holder.hex()} on {network.chain}: {error}")

    coins: dict[bytes, Amount] = {}
    for n, asset in enumerate(assets):
        for m, holder in enumerate(holders):
            try:
                amounts = asset.amounts(shared[n], own[n][m])
                if isinstance(asset, NativeCoin):
                    coins[holder] = amounts[0]
                elif asset.balance_of is not None:
                    amounts = aliases.checked(asset.balance_of, amounts, coins.get(holder))
                read.append((asset, holder, amounts))
            except ChainError as error:
                miss(asset, holder, error)
    everything = [(amount, holder) for _, holder, amounts in read for amount in amounts]
    drafts, proven = await _prove(chain, anchored, everything, wanted, layouts, book)
    await check_anchor(chain, anchored.anchor, *earlier)

    readings: list[Reading] = []
    following = iter(drafts)
    for asset, holder, amounts in read:
        mine = [next(following) for _ in amounts]
        try:
            readings += [_reading(network, anchored, draft, proven) for draft in mine]
        except ChainError as error:
            if isinstance(error, StateProofError):
                _forget_layouts(mine, chain, book)
            miss(asset, holder, error)
    return ChainReadings(
        anchored.anchor, tuple(readings), tuple(missing), anchored.header, tuple(proven.nodes)
    )


async def _call_all(
    chain: Chain, anchored: Anchored, assets: Sequence[Asset], holders: Sequence[bytes]
) -> tuple[list[list[Outcome]], list[list[list[Outcome]]]]:
    """Outcomes of the shared reads per asset, and of the own reads per asset and holder."""
    shared = [asset.shared_calls() for asset in assets]
    own = [[asset.holder_calls(holder) for holder in holders] for asset in assets]
    calls = [c for group in shared for c in group] + [c for rows in own for row in rows for c in row]
    outcomes = iter(await multicall(chain, anchored.ref, calls))
    first = [[next(outcomes) for _ in group] for group in shared]
    answered = [[[next(outcomes) for _ in row] for row in rows] for rows in own]
    await _call_further(chain, anchored, assets, holders, answered)
    return first, answered


async def _call_further(
    chain: Chain,
    anchored: Anchored,
    assets: Sequence[Asset],
    holders: Sequence[bytes],
    answered: list[list[list[Outcome]]],
) -> None:
    """Append to `answered` what follows from it, one batched call per round for all assets together."""
    for _ in range(MAX_ROUNDS):
        wanted: list[tuple[list[Outcome], tuple[Call, ...]]] = []
        for asset, rows in zip(assets, answered, strict=True):
            for holder, row in zip(holders, rows, strict=True):
                with suppress(ChainError):
                    if calls := asset.further_calls(holder, row):
                        wanted.append((row, calls))
        if not wanted:
            return
        outcomes = iter(await multicall(chain, anchored.ref, [call for _, calls in wanted for call in calls]))
        for row, calls in wanted:
            row += [next(outcomes) for _ in calls]


async def _prove(
    chain: Chain,
    anchored: Anchored,
    amounts: Sequence[tuple[Amount, bytes]],
    wanted: Mapping[Probe, str],
    layouts: dict[Probe, KnownLayout],
    book: LayoutBook,
) -> tuple[list[_Draft], Proven]:
    """Drafts of all amounts and what was proven of them; one HTTP round trip unless a remembered layout is outdated."""
    if not anchored.provable:
        return [_Draft(a, h, {**a.detail, **_unproven(a, _NO_HEADER)}) for a, h in amounts], Proven()
    drafts = [_draft(amount, holder, anchored, layouts) for amount, holder in amounts]
    fingerprints = fingerprint_words(layouts)
    proven = await prove_words(chain, anchored, [w for d in drafts for w in d.words] + fingerprints)
    stale = outdated(layouts, proven)
    if stale:
        for probe in stale:
            book.drop(chain.chain_id, probe.key)
            del layouts[probe]
        layouts |= await find_layouts(chain, anchored, {probe: wanted[probe] for probe in stale}, book)
        drafts = [_draft(amount, holder, anchored, layouts) for amount, holder in amounts]
        again = [word for draft in drafts for word in draft.words if word not in proven.values]
        proven.join(await prove_words(chain, anchored, again))
    remember(chain, layouts, proven, book, stale)
    return drafts, proven


def _draft(amount: Amount, holder: bytes, anchored: Anchored, layouts: Mapping[Probe, KnownLayout]) -> _Draft:
    if not amount.form:
        return _Draft(amount, holder, amount.detail)
    detail = {**amount.detail, "proof": amount.form}
    if amount.probe is not None:
        known = layouts.get(amount.probe)
        if known is None:
            return _Draft(amount, holder, {**amount.detail, "unproven": _NO_LAYOUT})
        slot = "0x" + known.layout.key(holder).hex()
        detail |= {"layout": f"{known.layout}", "layoutFrom": known.origin, "slot": slot}
    draft = _Draft(amount, holder, detail)
    return _Draft(amount, holder, detail, form_named(amount.form).words(draft.stated(anchored)))


def _forget_layouts(drafts: Sequence[_Draft], chain: Chain, book: LayoutBook) -> None:
    """Look again next time: the code may have changed where a fingerprint does not show it, as behind a beacon."""
    for draft in drafts:
        if draft.amount.probe is not None:
            book.drop(chain.chain_id, draft.amount.probe.key)


def _unproven(amount: Amount, reason: str) -> dict[str, str]:
    return {"unproven": reason} if amount.form else {}


def _reading(network: Network, anchored: Anchored, draft: _Draft, proven: Proven) -> Reading:
    """One reading; raises StateProofError when call and proof disagree, ChainError when it is out of bounds."""
    amount, detail = draft.amount, draft.detail
    values = [proven.values[word] for word in draft.words]
    method = Method.CALLED
    if failed := next((value for value in values if isinstance(value, ChainError)), None):
        if isinstance(failed, StateProofError):
            raise failed
        detail = {**amount.detail, "unproven": str(failed)}
    elif draft.words:
        numbers = [value for value in values if isinstance(value, int)]
        detail = {**detail, **_check(draft, anchored, numbers)}
        method = Method.PROVEN
    quantity = quantity_from_raw(amount.raw, amount.decimals)
    if abs(quantity) >= QUANTITY_BOUND:
        raise ChainError(f"the quantity {quantity} (1e-8 units) is not below 2^80; it is not counted")
    return Reading(
        chain=network.chain,
        address="0x" + draft.holder.hex(),
        instrument=amount.instrument,
        kind=amount.kind,
        token=amount.token,
        raw=amount.raw,
        decimals=amount.decimals,
        quantity_e8=quantity,
        trust=anchored.anchor.trust,
        method=method,
        detail=detail,
    )


def _check(draft: _Draft, anchored: Anchored, words: Sequence[int]) -> Mapping[str, str]:
    """What the proven words say beside the amount; raises StateProofError when they say another amount."""
    form, stated = form_named(draft.amount.form), draft.stated(anchored)
    expected = form.raw(stated, words)
    if draft.amount.raw not in expected:
        storage = " or ".join(str(raw) for raw in sorted(expected))
        raise StateProofError(
            f"the contract's answer is {draft.amount.raw} and the proven storage is {storage}; neither is used, "
            "check the endpoint and the token"
        )
    remarks = form.remarks(stated, words)
    for key, text in remarks.items():
        if (called := draft.amount.detail.get(key, text)) != text:
            raise StateProofError(
                f"the contract's answer is {key} {called} and the proven storage is {text}; neither is used, "
                "check the endpoint and the contract"
            )
    return remarks
