"""Reads every asset of every address on one chain at one anchored block, and proves what can be proven."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aggregator.model.anchors import BlockAnchor
from aggregator.model.errors import ChainError, StateProofError
from aggregator.model.snapshot import Method, Reading, quantity_from_raw
from aggregator.model.units import QUANTITY_BOUND
from chains.anchors import Anchored, check_anchor, take_anchor
from chains.balances.asset import Amount, Asset, ProofForm
from chains.balances.discovery import discover_layouts
from chains.balances.layouts import Layout, parse_layout
from chains.balances.proofs import ProofRequest, fetch_proofs
from chains.balances.registry import assets_of
from chains.multicall import Outcome, multicall
from chains.networks import Network
from chains.rpc import Chain
from chains.verified import ProvenState

_SLOTS_PER_REQUEST = 256


@dataclass(frozen=True, slots=True)
class KnownLayout:
    """A layout and how it became known: "config", or "probe" with the code hash of the token at that time."""

    layout: Layout
    origin: str
    code_hash: bytes = b""


@dataclass
class LayoutBook:
    """Layouts found by experiment, kept from one snapshot to the next, per chain, token and code hash."""

    _known: dict[tuple[int, bytes], KnownLayout] = field(default_factory=dict)

    def get(self, chain_id: int, token: bytes) -> KnownLayout | None:
        """What was found for `token` (20 bytes) before."""
        return self._known.get((chain_id, token))

    def put(self, chain_id: int, token: bytes, known: KnownLayout) -> None:
        """Keep a layout whose token proved to have `known.code_hash`."""
        self._known[chain_id, token] = known

    def drop(self, chain_id: int, token: bytes) -> None:
        """Forget a token whose code has changed."""
        self._known.pop((chain_id, token), None)


@dataclass(frozen=True, slots=True)
class ChainReadings:
    """What one chain gave: its anchor, the readings, and the assets that could not be read, with the reason."""

    anchor: BlockAnchor
    readings: tuple[Reading, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the state trie says about one balance: a proven raw amount, or why there is none."""

    raw: int | None
    detail: Mapping[str, str]
    refusal: str = ""


async def read_chain(
    network: Network, chain: Chain, holders: Sequence[bytes], cut: int, book: LayoutBook
) -> ChainReadings:
    """Every asset of `network` that `holders` (20 bytes each) have, at the last block before `cut`.

    Raises:
        ChainError: the chain as a whole cannot be read, or its block was replaced while it was read.
    """
    anchored = await take_anchor(chain, cut=cut, finality=network.finality, max_lag_s=network.max_lag_s)
    assets = assets_of(network)
    (shared, own), layouts = await asyncio.gather(
        _call_all(chain, anchored, assets, holders), _layouts(chain, anchored, assets, book)
    )
    evidence = await _prove_all(chain, anchored, assets, holders, layouts, book)
    await check_anchor(chain, anchored.anchor)

    readings: list[Reading] = []
    missing: list[str] = []
    for n, asset in enumerate(assets):
        for m, holder in enumerate(holders):
            try:
                amounts = asset.amounts(shared[n], own[n][m])
                readings += [_reading(network, anchored, holder, a, evidence[n][m]) for a in amounts]
            except ChainError as error:
                missing.append(f"{asset.label} of 0x{holder.hex()} on {network.chain}: {error}")
    return ChainReadings(anchored.anchor, tuple(readings), tuple(missing))


async def _call_all(
    chain: Chain, anchored: Anchored, assets: Sequence[Asset], holders: Sequence[bytes]
) -> tuple[list[list[Outcome]], list[list[list[Outcome]]]]:
    """Outcomes of the shared reads per asset, and of the own reads per asset and holder."""
    shared = [asset.shared_calls() for asset in assets]
    own = [[asset.holder_calls(holder) for holder in holders] for asset in assets]
    calls = [c for group in shared for c in group] + [c for rows in own for row in rows for c in row]
    outcomes = iter(await multicall(chain, anchored.ref, calls))
    return (
        [[next(outcomes) for _ in group] for group in shared],
        [[[next(outcomes) for _ in row] for row in rows] for rows in own],
    )


async def _layouts(
    chain: Chain, anchored: Anchored, assets: Sequence[Asset], book: LayoutBook
) -> dict[bytes, KnownLayout]:
    """The storage layout of each token: as configured, as found before, or found now."""
    if not anchored.provable:
        return {}
    known: dict[bytes, KnownLayout] = {}
    unknown: list[bytes] = []
    for asset in assets:
        if asset.proof_form is not ProofForm.MAPPING:
            continue
        if asset.layout:
            known[asset.address] = KnownLayout(parse_layout(asset.layout), "config")
        elif (found := book.get(chain.chain_id, asset.address)) is not None:
            known[asset.address] = found
        else:
            unknown.append(asset.address)
    discovered = await discover_layouts(chain, anchored, unknown)
    return known | {token: KnownLayout(layout, "probe") for token, layout in discovered.items()}


async def _prove_all(
    chain: Chain,
    anchored: Anchored,
    assets: Sequence[Asset],
    holders: Sequence[bytes],
    layouts: dict[bytes, KnownLayout],
    book: LayoutBook,
) -> list[list[_Evidence]]:
    """Evidence per asset and holder; one HTTP round trip unless a remembered layout turns out to be outdated."""
    if not anchored.provable:
        none = _Evidence(None, {"unproven": "the header of this chain does not rebuild to its hash"})
        return [[none for _ in holders] for _ in assets]
    proven = await _fetch(chain, anchored, assets, holders, layouts)
    outdated = [
        token
        for token, known in layouts.items()
        if known.code_hash
        and (state := proven.get(token))
        and _code_hash(state[0]) not in (None, known.code_hash)
    ]
    if outdated:
        for token in outdated:
            book.drop(chain.chain_id, token)
            del layouts[token]
        fresh = await _layouts(chain, anchored, [a for a in assets if a.address in outdated], book)
        layouts |= fresh
        again = [a for a in assets if a.address in fresh]
        proven |= await _fetch(chain, anchored, again, holders, fresh)
    for token, known in layouts.items():
        code_hash = _code_hash(proven[token][0])
        if known.origin == "probe" and code_hash is not None:
            book.put(chain.chain_id, token, KnownLayout(known.layout, "probe", code_hash))
    return [
        [_evidence(asset, m, proven, layouts, holder) for m, holder in enumerate(holders)] for asset in assets
    ]


_Proofs = dict[bytes, list[ProvenState | ChainError]]


async def _fetch(
    chain: Chain,
    anchored: Anchored,
    assets: Sequence[Asset],
    holders: Sequence[bytes],
    layouts: Mapping[bytes, KnownLayout],
) -> _Proofs:
    """Proofs by token, one result per part of `_SLOTS_PER_REQUEST` holders; by holder for native balances."""
    requests: list[ProofRequest] = []
    if any(asset.proof_form is ProofForm.ACCOUNT for asset in assets):
        requests += [ProofRequest(holder) for holder in holders]
    for asset in assets:
        if asset.proof_form is ProofForm.MAPPING and (known := layouts.get(asset.address)) is not None:
            keys = tuple(known.layout.key(holder) for holder in holders)
            starts = range(0, len(keys), _SLOTS_PER_REQUEST)
            requests += [ProofRequest(asset.address, keys[i : i + _SLOTS_PER_REQUEST]) for i in starts]
    results: _Proofs = {}
    for request, result in zip(requests, await fetch_proofs(chain, anchored, requests), strict=True):
        results.setdefault(b"account" + request.address if not request.slots else request.address, []).append(
            result
        )
    return results


def _code_hash(state: ProvenState | ChainError) -> bytes | None:
    return state.account.code_hash if isinstance(state, ProvenState) else None


def _evidence(
    asset: Asset, index: int, proven: _Proofs, layouts: Mapping[bytes, KnownLayout], holder: bytes
) -> _Evidence:
    """What was proven about the balance of one holder."""
    if asset.proof_form is ProofForm.NONE:
        return _Evidence(None, {})
    if asset.proof_form is ProofForm.ACCOUNT:
        state = proven[b"account" + holder][0]
        if isinstance(state, ProvenState):
            return _Evidence(state.account.balance, {"proof": "account"})
        return _unproven(state)
    known = layouts.get(asset.address)
    if known is None:
        return _Evidence(None, {"unproven": "no known storage layout gives this token's balances"})
    state = proven[asset.address][index // _SLOTS_PER_REQUEST]
    if not isinstance(state, ProvenState):
        return _unproven(state)
    detail = {
        "proof": "storage",
        "layout": f"{known.layout}",
        "layoutFrom": known.origin,
        "slot": "0x" + known.layout.key(holder).hex(),
    }
    return _Evidence(state.words[index % _SLOTS_PER_REQUEST], detail)


def _unproven(error: ChainError) -> _Evidence:
    """A wrong proof refuses the reading; an endpoint without proofs leaves it called."""
    if isinstance(error, StateProofError):
        return _Evidence(None, {}, refusal=str(error))
    return _Evidence(None, {"unproven": str(error)})


def _reading(
    network: Network, anchored: Anchored, holder: bytes, amount: Amount, evidence: _Evidence
) -> Reading:
    """One reading; raises StateProofError when call and proof disagree, ChainError when it is out of bounds."""
    if evidence.refusal:
        raise StateProofError(evidence.refusal)
    if evidence.raw is not None and evidence.raw != amount.raw:
        raise StateProofError(
            f"the contract's answer is {amount.raw} and the proven storage is {evidence.raw}; neither is used, "
            "check the endpoint and the token"
        )
    quantity = quantity_from_raw(amount.raw, amount.decimals)
    if abs(quantity) >= QUANTITY_BOUND:
        raise ChainError(f"the quantity {quantity} (1e-8 units) is not below 2^80; it is not counted")
    return Reading(
        chain=network.chain,
        address="0x" + holder.hex(),
        instrument=amount.instrument,
        kind=amount.kind,
        token=amount.token,
        raw=amount.raw,
        decimals=amount.decimals,
        quantity_e8=quantity,
        trust=anchored.anchor.trust,
        method=Method.PROVEN if evidence.raw is not None else Method.CALLED,
        detail={**amount.detail, **evidence.detail},
    )
