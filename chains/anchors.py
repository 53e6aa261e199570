"""Block anchors: on each chain the last block at or before one wall-clock cut, agreed by hash.

The endpoints agree on the hash; everything else about the block (number, state root, timestamp) is vouched for by
rebuilding the header and hashing it. Where a chain's header cannot be rebuilt, the endpoints have to agree on the
state root and the timestamp as well, and nothing is proven under that anchor.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from aggregator.model.anchors import BlockAnchor, Finality, Trust, eip155
from aggregator.model.errors import ChainError, ChainUnreachableError, QuorumError, ReorgError
from chains.rpc import Agreement, Chain, Request
from chains.rpc.values import encode_quantity, parse_array, parse_object
from chains.verified import Header, parse_header

DEFAULT_MAX_LAG_S: Final = 3600
_GALLOP: Final = 4
"""Factor by which the backward search widens its step until it is behind the cut."""


@dataclass(frozen=True, slots=True)
class Anchored:
    """An anchor and what reading under it needs."""

    anchor: BlockAnchor
    provable: bool
    """True when the header rebuilds to the hash, so that state proofs mean something."""
    header: bytes = field(default=b"", compare=False, repr=False)
    """The header's RLP when it does, else empty."""

    @property
    def ref(self) -> dict[str, object]:
        """The block parameter of a pinned read (EIP-1898); a node off this chain has to refuse it."""
        return {"blockHash": self.anchor.hash, "requireCanonical": True}

    @property
    def state_root(self) -> bytes:
        """32 bytes."""
        return bytes.fromhex(self.anchor.state_root[2:])


async def take_anchor(
    chain: Chain,
    *,
    cut: int,
    finality: Finality = Finality.FINALIZED,
    max_lag_s: int = DEFAULT_MAX_LAG_S,
    now: int | None = None,
) -> Anchored:
    """The highest block that `finality` allows with a timestamp at or before `cut` (Unix seconds).

    Where that is the last block that is final at all, what happened until the cut is not known yet, and the block
    may not lag `now` (Unix seconds, by default this machine's clock) either.

    Raises:
        ChainUnreachableError: too few endpoints answer.
        QuorumError: the endpoints disagree on the block.
        ChainError: the block is more than `max_lag_s` older than the cut, or as the last one than `now`, or the chain
            began after the cut.
    """
    top = await _highest_common(chain, finality)
    agreed = await _agreed_header(chain, top)
    if agreed.timestamp > cut:
        agreed = await _agreed_header(chain, await _search_back(chain, agreed, cut))
    if agreed.timestamp > cut:
        raise QuorumError(
            f"the endpoints of {chain.name} contradict themselves on block {agreed.number}; try again"
        )
    if agreed.number < top:
        after = await _probe(chain, agreed.number + 1)
        if after.parent_hash != agreed.hash or after.timestamp <= cut:
            raise ReorgError(
                f"{chain.name} changed around block {agreed.number} while it was anchored; try again"
            )
    clock = (int(time.time()) if now is None else now) if agreed.number == top else cut
    if (lag_s := max(cut, clock) - agreed.timestamp) > max_lag_s:
        raise ChainError(
            f"{chain.name} is stuck: its last {finality} block {agreed.number} is {lag_s} s before "
            f"{'the cut' if cut >= clock else 'the clock'} and {max_lag_s} s are allowed; "
            "use another endpoint or raise max_lag_s"
        )
    trust = Trust.RPC_QUORUM if chain.quorum >= 2 else Trust.SINGLE_RPC
    anchor = BlockAnchor(
        chain=eip155(chain.chain_id),
        number=agreed.number,
        hash="0x" + agreed.hash.hex(),
        state_root="0x" + agreed.state_root.hex(),
        timestamp=agreed.timestamp,
        finality=finality,
        trust=trust,
    )
    return Anchored(anchor, provable=agreed.rebuilt, header=agreed.encoded)


async def final_time(chain: Chain, finality: Finality) -> int:
    """The timestamp of the highest block that the quorum calls `finality` and agrees on; raises ChainError."""
    return (await _agreed_header(chain, await _highest_common(chain, finality))).timestamp


async def check_anchor(chain: Chain, anchor: BlockAnchor, *ancestors: BlockAnchor) -> None:
    """Return when the quorum still has `anchor` on its chain, under the head that it reports by now.

    An endpoint confirms when its block at that height is the anchor, the block above names the anchor as its parent,
    its head is not below the anchor, and each of `ancestors` (anchors taken before) is its block at their heights. All
    of it is one HTTP exchange with each endpoint.

    Raises:
        ReorgError: an endpoint has another block at one of these heights, or none any more, and no quorum vouches for
            them.
        ChainUnreachableError: too few endpoints answer.
    """
    numbers = [anchor.number, anchor.number + 1, *(a.number for a in ancestors)]
    requests = [Request("eth_getBlockByNumber", [encode_quantity(n), False]) for n in numbers]
    requests.append(Request("eth_getBlockByNumber", ["latest", False]))
    answers = await chain.ask_all(lambda e: e.batch(requests))
    confirmed, denied, silent = 0, [], []
    for endpoint, answer in answers:
        try:
            if isinstance(answer, ChainError):
                raise answer
            found = [_header_or_none(item) for item in parse_array(answer, "a batch")]
            reason = _contradiction(anchor, ancestors, found)
        except ChainError as error:
            silent.append(str(error))
            continue
        if not reason:
            confirmed += 1
        else:
            denied.append(reason)
            endpoint.note(reason)
    if confirmed >= chain.quorum and confirmed > len(denied):
        return
    if denied:
        raise ReorgError(
            f"block {anchor.number} of {chain.name} is no longer {anchor.hash} under the head: {len(denied)} of "
            f"{confirmed + len(denied)} endpoints contradict it, the first {denied[0]}; take the snapshot again"
        )
    raise ChainUnreachableError(
        f"{confirmed} of the {chain.quorum} endpoints of {chain.name} needed to confirm block {anchor.number} "
        f"answered: {'; '.join(silent)}"
    )


def _header_or_none(answer: object) -> Header | None:
    if isinstance(answer, ChainError):
        raise answer
    return None if answer is None else parse_header(parse_object(answer, "the block"))


def _contradiction(
    anchor: BlockAnchor, ancestors: Sequence[BlockAnchor], found: Sequence[Header | None]
) -> str:
    """What an endpoint's blocks say against the anchors, "" when nothing: at, above, the ancestors, the head."""
    at, above, *below, head = found
    for wanted, block in ((anchor, at), *zip(ancestors, below, strict=True)):
        own = None if block is None else "0x" + block.hash.hex()
        if own != wanted.hash:
            return f"has {own or 'no block'} instead of block {wanted.number} {wanted.hash}"
    if above is not None and "0x" + above.parent_hash.hex() != anchor.hash:
        return f"has block {above.number} on another parent than block {anchor.number} {anchor.hash}"
    if head is None or head.number < anchor.number:
        return f"is at the head {'none' if head is None else head.number}, below block {anchor.number}"
    return ""


async def _highest_common(chain: Chain, finality: Finality) -> int:
    """The highest block number that `quorum` endpoints call `finality`."""
    answers = await chain.ask_all(lambda e: e.call("eth_getBlockByNumber", [finality.value, False]))
    numbers: list[int] = []
    failures: list[str] = []
    for endpoint, answer in answers:
        try:
            if isinstance(answer, ChainError):
                raise answer
            number = parse_header(parse_object(answer, f"the {finality} block")).number
            endpoint.climb(finality.value, number)
            numbers.append(number)
        except ChainError as error:
            failures.append(str(error))
    if len(numbers) < chain.quorum:
        raise ChainUnreachableError(
            f"{len(numbers)} of the {chain.quorum} endpoints of {chain.name} needed have a {finality} block: "
            + "; ".join(failures)
        )
    return sorted(numbers, reverse=True)[chain.quorum - 1]


async def _search_back(chain: Chain, top: Header, cut: int) -> int:
    """The number of the last block at or before `cut`, below `top`, which is after it."""
    above, step = top, max(1, top.timestamp - cut)
    while True:
        if above.number == 0:
            raise ChainError(f"{chain.name} has no block at or before the cut {cut}; choose a later cut")
        below = await _probe(chain, max(0, above.number - step))
        if below.timestamp <= cut:
            break
        above, step = below, step * _GALLOP
    while above.number - below.number > 1:
        middle = await _probe(chain, (above.number + below.number) // 2)
        if middle.timestamp <= cut:
            below = middle
        else:
            above = middle
    return below.number


async def _probe(chain: Chain, number: int) -> Header:
    """Block `number` as the quorum sees it."""
    return _pick(chain, await _ask(chain, number, everyone=False))


async def _agreed_header(chain: Chain, number: int) -> Header:
    """Block `number` with every endpoint asked and free to object."""
    return _pick(chain, await _ask(chain, number, everyone=True))


async def _ask(chain: Chain, number: int, *, everyone: bool) -> Agreement:
    def hash_of(answer: object) -> str:
        return _parse_block(chain, answer, number).hash.hex()

    return await chain.agree(
        lambda e: e.call("eth_getBlockByNumber", [encode_quantity(number), False]),
        what=f"the hash of block {number}",
        key=hash_of,
        everyone=everyone,
    )


def _pick(chain: Chain, agreement: Agreement) -> Header:
    """The header that its hash vouches for; without one, the fields have to be agreed like the hash."""
    headers = [parse_header(parse_object(answer, "the block")) for answer in agreement.answers]
    rebuilt = [header for header in headers if header.rebuilt]
    if not rebuilt:
        if len({(h.number, h.state_root, h.timestamp, h.parent_hash) for h in headers}) > 1:
            raise QuorumError(
                f"the endpoints of {chain.name} agree on the hash of block {headers[0].number} and not on its "
                "state root or timestamp; remove the faulty one"
            )
        return headers[0]
    for endpoint, header in zip(agreement.supporters, headers, strict=True):
        if not header.rebuilt:
            endpoint.note(f"gives block {header.number} fields that do not hash to its hash")
    return rebuilt[0]


def _parse_block(chain: Chain, answer: object, number: int) -> Header:
    if answer is None:
        raise ChainError(f"an endpoint of {chain.name} does not have block {number}")
    header = parse_header(parse_object(answer, "the block"))
    if header.number != number:
        raise ChainError(
            f"an endpoint of {chain.name} answered block {header.number} when asked for {number}"
        )
    return header
