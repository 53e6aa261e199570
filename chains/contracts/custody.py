"""Who can change what a registry accepts: that it is a timelock, with a delay, and in whose hands the timelock is.

A venue or an auditor runs this against a production registry; it needs no trust in whoever deployed it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, cast

from eth_abi.abi import decode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3 import AsyncWeb3
from web3.types import FilterParams

from aggregator.model.errors import ChainError
from chains.contracts.coding import call_data
from chains.contracts.compiled import artifact
from chains.contracts.deploy import ANYONE, TIMELOCK
from chains.contracts.registry import NAME as REGISTRY

_ADMIN: Final = bytes(32)
_PROPOSER: Final = keccak(text="PROPOSER_ROLE")
_EXECUTOR: Final = keccak(text="EXECUTOR_ROLE")
_CANCELLER: Final = keccak(text="CANCELLER_ROLE")
_SCHEDULED: Final = keccak(text="CallScheduled(bytes32,uint256,address,uint256,bytes,bytes32,uint256)")
_GRANTED: Final = keccak(text="RoleGranted(bytes32,address,address)")
_REVOKED: Final = keccak(text="RoleRevoked(bytes32,address,address)")
"""OpenZeppelin's AccessControl: every change of a role is an event, so the events are the whole truth."""


@dataclass(frozen=True)
class TimelockTerms:
    """What a registry's owner is expected to be.

    Attributes:
        least_delay_s: seconds between scheduling and execution, at least.
        proposers: exactly those who may schedule; they may cancel too, and nobody else may.
        executors: exactly those who may execute; the zero address for anyone.
    """

    least_delay_s: int
    proposers: Collection[str]
    executors: Collection[str] = (ANYONE,)


async def check_owned_by_timelock(
    w3: AsyncWeb3[Any], registry: str, timelock: str, terms: TimelockTerms, *, from_block: int = 0
) -> None:
    """Refuse a registry that anyone but this timelock can change, or a timelock that is not as agreed.

    Parameters:
        from_block: any block before the timelock was placed; its events are read from there.

    Raises:
        ChainError: the registry is another contract; its owner is another account, or a handover has begun; the
            timelock is another contract, has a shorter delay or an operation pending that was scheduled with one, or
            others hold its roles.
    """
    if not artifact(REGISTRY).is_code(bytes(await w3.eth.get_code(to_checksum_address(registry)))):
        raise ChainError(
            f"the contract at {registry} is not the registry of this release; do not rely on what it says"
        )
    for function, expected in (("owner", timelock), ("pendingOwner", ANYONE)):
        found = "0x" + (await _read(w3, registry, REGISTRY, function))[-20:].hex()
        if found != expected.lower():
            raise ChainError(
                f"{function} of the registry {registry} is {found} and not {expected}; finish the handover"
            )
    code = bytes(await w3.eth.get_code(to_checksum_address(timelock)))
    if code != artifact(TIMELOCK).deployed_bytecode:
        raise ChainError(
            f"the owner {timelock} is not the timelock of this release; do not rely on its delay"
        )
    delay = int.from_bytes(await _read(w3, timelock, TIMELOCK, "getMinDelay"), "big")
    if delay < terms.least_delay_s:
        raise ChainError(
            f"the timelock {timelock} waits {delay} s and has to wait {terms.least_delay_s} s; have its delay raised"
        )
    if hasty := await _hasty(w3, timelock, terms.least_delay_s, from_block):
        raise ChainError(
            f"the timelock {timelock} has operation {hasty} pending, which was scheduled with a shorter delay than "
            f"{terms.least_delay_s} s; have it cancelled"
        )
    held = await _roles(w3, timelock, from_block)
    proposers = {p.lower() for p in terms.proposers}
    expected_roles = (
        ("the administrator's role", _ADMIN, {timelock.lower()}),
        ("the proposers' role", _PROPOSER, proposers),
        ("the cancellers' role", _CANCELLER, proposers),
        ("the executors' role", _EXECUTOR, {e.lower() for e in terms.executors}),
    )
    for name, role, who in expected_roles:
        if held.get(role, set()) != who:
            odd = ", ".join(sorted(held.get(role, set()) ^ who))
            raise ChainError(
                f"{name} of the timelock {timelock} is not held by exactly those expected (differing: {odd}); "
                "have it granted or revoked through the timelock"
            )


async def _read(w3: AsyncWeb3[Any], to: str, contract: str, function: str) -> bytes:
    data = HexBytes(call_data(contract, function))
    return bytes(await w3.eth.call({"to": to_checksum_address(to), "data": data}))


async def _hasty(w3: AsyncWeb3[Any], timelock: str, least_delay_s: int, from_block: int) -> str:
    """The first operation that is pending and was scheduled with less than the least delay, as 0x hex; "" if none is.

    A delay that was raised binds only what is scheduled after it.
    """
    query = {
        "address": to_checksum_address(timelock),
        "fromBlock": from_block,
        "toBlock": "latest",
        "topics": [HexBytes(_SCHEDULED)],
    }
    for log in await w3.eth.get_logs(cast(FilterParams, query)):
        operation = bytes(log["topics"][1])
        *_, delay = decode(["address", "uint256", "bytes", "bytes32", "uint256"], bytes(log["data"]))
        if delay < least_delay_s:
            data = HexBytes(call_data(TIMELOCK, "isOperationPending", operation))
            if any(await w3.eth.call({"to": to_checksum_address(timelock), "data": data})):
                return "0x" + operation.hex()
    return ""


async def _roles(w3: AsyncWeb3[Any], timelock: str, from_block: int) -> dict[bytes, set[str]]:
    """Role -> its holders, from all that was ever granted and revoked."""
    query = {
        "address": to_checksum_address(timelock),
        "fromBlock": from_block,
        "toBlock": "latest",
        "topics": [[HexBytes(_GRANTED), HexBytes(_REVOKED)]],
    }
    held: dict[bytes, set[str]] = {}
    for log in await w3.eth.get_logs(cast(FilterParams, query)):
        event, role, account = (bytes(topic) for topic in log["topics"][:3])
        holders = held.setdefault(role, set())
        address = "0x" + account[-20:].hex()
        if event == _GRANTED:
            holders.add(address)
        else:
            holders.discard(address)
    return held
