"""Which verifiers and publishers a registry accepts, and what each verifier says of its key: read from the registry's
events and from the contracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import AsyncWeb3
from web3.exceptions import ContractLogicError
from web3.types import BlockIdentifier, FilterParams

from aggregator.model.errors import ChainError
from chains.contracts.coding import call_data, decode_result, event_topic
from chains.contracts.registry import NAME, Registry

VERIFIER: Final = "Groth16Verifier"
NOBODY: Final = "0x" + "00" * 20


@dataclass(frozen=True)
class AcceptedVerifier:
    """A verifier in force. All 0x, lower-case.

    Attributes:
        circuit_id: what submissions name it by: the SHA-256 of its verification key, for our own.
        dev: what its deployer says of the key; whoever made a dev key could forge proofs.
        key_digest: of the key in the contract (`verifying_key_digest`); None when it is another contract.
    """

    circuit_id: str
    address: str
    dev: bool
    key_digest: str | None


async def accepted_verifiers(
    w3: AsyncWeb3[Any], registry: str, *, from_block: int = 0
) -> tuple[AcceptedVerifier, ...]:
    """The verifiers in force, in order of circuit id.

    Parameters:
        from_block: any block before the registry was placed; its events are read from there.
    """
    block: BlockIdentifier = (await w3.eth.get_block("latest")).get("hash") or "latest"
    found = []
    for circuit_id in await _named(w3, registry, "VerifierSet", from_block):
        verifier, dev = await Registry(w3, registry).call("verifierOf", circuit_id, block=block)
        address = str(verifier).lower()
        if address != NOBODY:
            digest = await _key_digest(w3, address, block)
            found.append(AcceptedVerifier("0x" + circuit_id.hex(), address, bool(dev), digest))
    return tuple(found)


async def publishers(w3: AsyncWeb3[Any], registry: str, *, from_block: int = 0) -> tuple[str, ...]:
    """Who may publish policies besides the owner, lower-case 0x, ascending; parameters as `accepted_verifiers`.

    A publisher that was set before a handover is not bound by the timelock, so whoever relies on one looks here too.
    """
    block: BlockIdentifier = (await w3.eth.get_block("latest")).get("hash") or "latest"
    addresses = ["0x" + topic[-20:].hex() for topic in await _named(w3, registry, "PublisherSet", from_block)]
    reader = Registry(w3, registry)
    return tuple([a for a in addresses if await reader.call("isPublisher", a, block=block)])


async def _named(w3: AsyncWeb3[Any], registry: str, event: str, from_block: int) -> list[bytes]:
    """The first indexed value of each event of this name, each once, ascending."""
    query = {
        "address": to_checksum_address(registry),
        "fromBlock": from_block,
        "toBlock": "latest",
        "topics": [HexBytes(event_topic(NAME, event))],
    }
    logs = await w3.eth.get_logs(cast(FilterParams, query))
    return sorted({bytes(log["topics"][1]) for log in logs})


async def _key_digest(w3: AsyncWeb3[Any], address: str, block: BlockIdentifier) -> str | None:
    data = HexBytes(call_data(VERIFIER, "keyDigest"))
    try:
        raw = bytes(await w3.eth.call({"to": to_checksum_address(address), "data": data}, block))
    except ContractLogicError:
        return None
    try:
        (digest,) = decode_result(VERIFIER, "keyDigest", raw)
    except ChainError:
        return None
    return "0x" + bytes(digest).hex()
