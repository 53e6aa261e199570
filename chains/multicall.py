"""Hundreds of reads in one eth_call, pinned by block hash, with success or failure per read.

The call creates a contract that is never deployed (chains/contracts/src/BalanceReader.sol): its creation code makes
the reads and returns the answers. So no contract has to exist on the chain, and none has to be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from eth_abi.abi import encode as abi_encode

from aggregator.model.errors import ChainError
from chains.contracts import artifact
from chains.rpc import Chain, EndpointError, RpcError
from chains.rpc.abi import decode_result
from chains.rpc.values import encode_data, parse_data

MAX_INIT_CODE: Final = 49_152
"""Bytes of creation code with its arguments (EIP-3860)."""
CALL_GAS: Final = 1_000_000
"""Gas of one read. A proxied ERC-20 balance takes 10-20 thousand, a vault's rate up to some hundred thousand."""
MIN_CALL_GAS: Final = 60_000
MAX_ANSWER: Final = 512
"""Bytes kept of one answer: a lending reserve's 15 words, or a symbol of up to 448 characters."""

_NATIVE: Final = 0xFFFF
_SUCCEEDED, _CUT, _WORD = 1, 2, 4
_HEADER_BYTES: Final = 12
_ABI_OVERHEAD: Final = 96
"""Offset, length and padding of the `bytes` argument."""

BlockRef = Mapping[str, object]
"""A block by hash: {"blockHash": .., "requireCanonical": true} (EIP-1898)."""
Overrides = Mapping[str, Mapping[str, object]]
"""State that an eth_call assumes, by address: {"balance": ..} or {"stateDiff": {slot: word}}."""


@dataclass(frozen=True, slots=True)
class Call:
    """One read: `data` sent to `target` (20 bytes), or the native balance of `target` when `data` is None."""

    target: bytes
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one read gave. `ok` is False when it reverted, ran out of gas, or answered too long."""

    ok: bool
    data: bytes

    def decode(self, types: Sequence[str], what: str) -> tuple[object, ...]:
        """The returned values; raises ChainError naming `what` when there are none."""
        if not self.ok:
            raise ChainError(f"{what} failed: the contract reverted or used too much gas")
        if not self.data:
            raise ChainError(f"{what} answered nothing: no contract with that function is there")
        return decode_result(types, self.data, what)

    def unsigned(self, what: str) -> int:
        """The single 32-byte word returned, as an unsigned integer; raises ChainError."""
        if self.ok and len(self.data) == 32:
            return int.from_bytes(self.data, "big")
        self.decode(["uint256"], what)
        raise ChainError(f"{what} answered {len(self.data)} bytes instead of one word")


async def multicall(
    chain: Chain, block: BlockRef, calls: Sequence[Call], overrides: Overrides | None = None
) -> list[Outcome]:
    """The outcome of each call at `block` with `overrides`, in order, in as few eth_calls as size and gas allow.

    Each eth_call goes to as many endpoints as the chain's quorum, and all have to answer alike. One that is refused
    is split in two, and the size that passed is kept in `chain.reads_per_call`.

    Raises:
        QuorumError: the endpoints disagree.
        ChainUnreachableError: too few of them answer.
        RpcError: even a single read is refused.
    """
    outcomes: list[Outcome] = []
    most = min(len(calls), chain.reads_per_call or len(calls))
    gas = CALL_GAS
    refused = 0
    while len(outcomes) < len(calls):
        part = _fitting(calls[len(outcomes) : len(outcomes) + most])
        try:
            done = await _read(chain, block, part, gas, overrides)
        except (RpcError, EndpointError) as error:
            if len(part) == 1 or not (isinstance(error, RpcError) or error.too_big):
                raise
            most = refused = len(part) // 2
            continue
        if refused and done:
            chain.reads_per_call, refused = most, 0
        if not done:
            gas //= 2
            if gas < MIN_CALL_GAS:
                raise ChainError(
                    f"{chain.name} gives an eth_call too little gas for one read; use another endpoint"
                )
        outcomes += done
    return outcomes


async def _read(
    chain: Chain, block: BlockRef, calls: Sequence[Call], gas: int, overrides: Overrides | None
) -> list[Outcome]:
    """One eth_call; the outcomes of the leading calls that it had gas and room for."""
    code = artifact("BalanceReader").bytecode + abi_encode(["bytes"], [_pack(calls, gas)])
    assumed = [overrides] if overrides else []
    answer = await chain.call_agreed("eth_call", [{"data": encode_data(code)}, block, *assumed])
    outcomes = _unpack(parse_data(answer, "the answer of a batched read"))
    if len(outcomes) > len(calls):
        raise ChainError(f"{chain.name} answered more reads than were asked; the endpoint is faulty")
    return outcomes


def _fitting(calls: Sequence[Call]) -> Sequence[Call]:
    """The longest leading part of `calls` whose creation code stays within `MAX_INIT_CODE`."""
    room = MAX_INIT_CODE - len(artifact("BalanceReader").bytecode) - _ABI_OVERHEAD - _HEADER_BYTES
    targets: set[bytes] = set()
    payloads: set[bytes] = set()
    for n, call in enumerate(calls):
        room -= 4 + (20 if call.target not in targets else 0)
        targets.add(call.target)
        if call.data is not None and call.data not in payloads:
            room -= 2 + len(call.data)
            payloads.add(call.data)
        if room < 0:
            if n == 0:
                raise ChainError("one read has more call data than a chain takes; shorten it")
            return calls[:n]
    return calls


def _pack(calls: Sequence[Call], gas: int) -> bytes:
    """The input of BalanceReader: each distinct target and payload once."""
    targets = {target: n for n, target in enumerate(dict.fromkeys(c.target for c in calls))}
    payloads = {data: n for n, data in enumerate(dict.fromkeys(c.data for c in calls if c.data is not None))}
    header = gas.to_bytes(4, "big") + b"".join(
        n.to_bytes(2, "big") for n in (MAX_ANSWER, len(targets), len(payloads), len(calls))
    )
    pairs = (
        targets[c.target].to_bytes(2, "big")
        + (_NATIVE if c.data is None else payloads[c.data]).to_bytes(2, "big")
        for c in calls
    )
    return b"".join([header, *targets, *(len(p).to_bytes(2, "big") + p for p in payloads), *pairs])


def _unpack(answer: bytes) -> list[Outcome]:
    """Untrusted answer of BalanceReader into outcomes; raises ChainError."""
    outcomes: list[Outcome] = []
    at = 2
    for _ in range(int.from_bytes(answer[:2], "big")):
        flags, length = (
            int.from_bytes(answer[at : at + 1], "big"),
            int.from_bytes(answer[at + 1 : at + 3], "big"),
        )
        data = answer[at + 3 : at + 3 + length]
        at += 3 + length
        if flags & _WORD:
            data = data.rjust(32, b"\x00")
        outcomes.append(Outcome(flags & (_SUCCEEDED | _CUT) == _SUCCEEDED, data))
    if at != len(answer):
        raise ChainError("the answer of a batched read is cut off or too long; the endpoint is faulty")
    return outcomes
