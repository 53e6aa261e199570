"""Deployment to the same address on every chain, and the handover to a timelock.

The deterministic deployer takes 32 bytes of salt and creation code and runs CREATE2, so an address depends on salt,
code and constructor arguments only (EIP-1014). Whoever sends the transaction, the result is the same. Source:
https://github.com/Arachnid/deterministic-deployment-proxy, at this address on most chains and on anvil.

The way to a production registry, each step a transaction that `chains.relayer` can send:

1. `verifier`, `timelock` and `registry` (owned by the deploying account), placed on every chain;
2. the deploying account sets verifiers, policies, coverages, guardian (`chains.contracts.registry`, `.administration`);
3. `handover_call`: it names the timelock as the next owner;
4. a proposer sends `schedule_call` of `acceptOwnership`, and after the delay an executor `execute_call`.

From then on every change of what the registry accepts is a step 4 of its own. `chains.contracts.custody` checks it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3 import AsyncWeb3

from aggregator.model.errors import ChainError, InputError
from chains.contracts.administration import transfer_ownership_call
from chains.contracts.calldata import verifying_key_words
from chains.contracts.coding import call_data, creation_code

DEPLOYER: Final = "0x4e59b44847b379578588920cA78FbF26c0B4956C"
DEPLOYER_CODE: Final = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd"
    "5b8082525050506014600cf3"
)
"""What has to be at that address: another contract there would put ours elsewhere."""
TIMELOCK: Final = "RegistryTimelock"
ANYONE: Final = "0x0000000000000000000000000000000000000000"
_NO_PREDECESSOR: Final = bytes(32)


@dataclass(frozen=True)
class Placement:
    """One contract at an address known beforehand.

    Attributes:
        name: of the contract.
        address: where it will be, on every chain.
        to, data: the transaction that puts it there.
    """

    name: str
    address: str
    to: str
    data: bytes


def place(name: str, *arguments: object, salt: bytes = bytes(32)) -> Placement:
    """The placement of the contract `name` with these constructor arguments.

    Raises:
        InputError: the arguments are not what its constructor takes, or the salt is not 32 bytes.
    """
    if len(salt) != 32:
        raise InputError(f"the salt is {len(salt)} bytes and has to be 32; correct it")
    code = creation_code(name, *arguments)
    digest = keccak(b"\xff" + bytes.fromhex(DEPLOYER[2:]) + salt + keccak(code))
    return Placement(name, to_checksum_address(digest[12:]), DEPLOYER, salt + code)


def verifier(key: Mapping[str, Any], *, dev: bool, salt: bytes = bytes(32)) -> Placement:
    """The placement of a verifier. `aggregator.service.verifiers` takes `dev` from the proving key.

    Parameters:
        key: the parsed `verification_key.json`.
        dev: whether one machine made the key; a production registry refuses it then.
    """
    return place("Groth16Verifier", verifying_key_words(key), dev, salt=salt)


def timelock(
    min_delay_s: int, proposers: Sequence[str], executors: Sequence[str] = (ANYONE,), salt: bytes = bytes(32)
) -> Placement:
    """The placement of a registry's owner.

    Parameters:
        min_delay_s: seconds between scheduling and execution.
        proposers: may schedule and cancel.
        executors: may execute after the delay; by default anyone.

    Raises:
        InputError: nobody could propose or execute, so the registry's rules could never change again.
    """
    if not proposers or not executors:
        raise InputError("the timelock has no proposer or no executor; name at least one of each")
    return place(TIMELOCK, min_delay_s, list(proposers), list(executors), salt=salt)


def registry(
    owner: str,
    *,
    production: bool,
    max_age_s: int,
    attestors: Sequence[str],
    threshold: int,
    salt: bytes = bytes(32),
) -> Placement:
    """The placement of a registry. The order of `attestors` does not matter."""
    ordered = sorted(attestors, key=lambda a: int(a, 16))
    return place("SolvencyRegistry", owner, production, max_age_s, ordered, threshold, salt=salt)


async def missing(w3: AsyncWeb3[Any], placements: Sequence[Placement]) -> list[Placement]:
    """Those of `placements` that are not on this chain yet; sending them again would fail.

    Raises:
        ChainError: the chain lacks the deterministic deployer, or has something else at its address.
    """
    if bytes(await w3.eth.get_code(to_checksum_address(DEPLOYER))) != DEPLOYER_CODE:
        raise ChainError(
            f"the chain has no deterministic deployer at {DEPLOYER}; send its presigned transaction first, "
            "or deploy by an ordinary transaction"
        )
    return [p for p in placements if not await w3.eth.get_code(to_checksum_address(p.address))]


def handover_call(timelock_address: str) -> bytes:
    """Call data of the registry with which its owner names the timelock as the next one."""
    return transfer_ownership_call(timelock_address)


def schedule_call(target: str, data: bytes, delay_s: int, salt: bytes = bytes(32)) -> bytes:
    """Call data of the timelock, to be sent by a proposer: `data` goes to `target` after `delay_s` seconds."""
    return call_data(TIMELOCK, "schedule", target, 0, data, _NO_PREDECESSOR, salt, delay_s)


def execute_call(target: str, data: bytes, salt: bytes = bytes(32)) -> bytes:
    """Call data of the timelock, to be sent by an executor once the delay is over; the salt is that of scheduling."""
    return call_data(TIMELOCK, "execute", target, 0, data, _NO_PREDECESSOR, salt)
