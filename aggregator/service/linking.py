"""Links an address to an account by its own signature: signed here, signed elsewhere, or by a contract account."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eth_account import Account as EthAccount

from aggregator.model.anchors import parse_chain_id
from aggregator.model.errors import InputError, KeyFileError, ProofRefusedError
from aggregator.service.networks import network_of
from aggregator.store import Account, Link, read_secret
from chains import ownership
from chains.networks import Network
from chains.typed_data import DOMAIN, LINK

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_CAIP10 = re.compile(r"eip155:([1-9][0-9]{0,15}):(0x[0-9a-fA-F]{40})", re.ASCII)
_SIGNATURE = re.compile(r"0x(?:[0-9a-fA-F]{2})+", re.ASCII)


def parse_address(text: str) -> str:
    """An address given by a user, in the lower-case form that everything here uses; raises InputError."""
    if _ADDRESS.fullmatch(text) is None:
        raise InputError(f"{text[:60]!r} is not an address; give 20 bytes as 0x hex")
    return text.lower()


def parse_caip10(text: str) -> tuple[int, str]:
    """The chain id and lower-case address of `eip155:N:0x...`; raises InputError."""
    match = _CAIP10.fullmatch(text)
    if match is None:
        raise InputError(f"{text[:80]!r} is not a contract on a chain; write it like eip155:8453:0x...")
    return int(match[1]), match[2].lower()


def message_to_sign(account: Account, address: str, now: int) -> dict[str, Any]:
    """The EIP-712 typed data that the owner of `address` signs, as wallets take it."""
    return {
        "types": {
            "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "version", "type": "string"}],
            **LINK,
        },
        "domain": DOMAIN,
        "primaryType": "Link",
        "message": {
            "accountId": str(account.account_id),
            "owner": parse_address(address),
            "issuedAt": str(now),
        },
    }


def sign_with_key_file(account: Account, address: str, now: int, key_file: Path) -> str:
    """The link's signature by the key in a file.

    Raises KeyFileError for a bad file, also when its key is not that of the address.
    """
    signer = EthAccount.from_key(read_secret(key_file, "address key").to_bytes(32, "big"))
    if signer.address.lower() != (wanted := parse_address(address)):
        raise KeyFileError(
            f"the key in {key_file} is that of {signer.address.lower()}, not of {wanted}; give the address's own"
        )
    return "0x" + ownership.Link(account.account_id, parse_address(address), now).sign(signer).hex()


def checked_link(
    account: Account,
    address: str,
    issued_at: int,
    signature: str,
    now: int,
    chain: str = "",
    networks: Sequence[Network] = (),
) -> Link:
    """A link whose signature was checked. Raises InputError for malformed hex, and what `check_link` raises."""
    link = stated_link(account, address, issued_at, signature, chain)
    check_link(account.account_id, link, now, networks)
    return link


def stated_link(account: Account, address: str, issued_at: int, signature: str, chain: str = "") -> Link:
    """A link as somebody states it, well formed, its signature not checked. Raises InputError."""
    if _SIGNATURE.fullmatch(signature) is None:
        raise InputError("the signature is not 0x hex; give what the wallet returned")
    if chain:
        parse_chain_id(chain)
    return Link(parse_address(address), account.name, issued_at, signature.lower(), chain)


def check_link(account_id: int, link: Link, now: int, networks: Sequence[Network]) -> None:
    """`require_link` for a caller that is not async; with a contract account no event loop may be running."""
    if link.chain:
        asyncio.run(require_link(account_id, link, now, networks))
    else:
        ownership.verify_link(*_statement(account_id, link), now)


async def require_link(account_id: int, link: Link, now: int, networks: Sequence[Network]) -> None:
    """Return when the address itself joined the account: by recovery, or by asking a contract account.

    Raises ProofRefusedError when the signature is not the address's, ChainError when the contract cannot be asked.
    """
    statement, signature = _statement(account_id, link)
    if link.chain:
        await _ask_contract(network_of(networks, link.chain), statement, signature, now)
    else:
        ownership.verify_link(statement, signature, now)


def _statement(account_id: int, link: Link) -> tuple[ownership.Link, bytes]:
    return ownership.Link(account_id, link.address, link.issued_at), bytes.fromhex(link.signature[2:])


async def _ask_contract(network: Network, link: ownership.Link, signature: bytes, now: int) -> None:
    async with network.connect() as connected:
        counterfactual = ownership.is_counterfactual(signature)
        if not counterfactual and not await ownership.is_contract(connected, link.owner):
            raise ProofRefusedError(
                f"{link.owner} is no contract on {network.name}; link it without --chain, with its own key"
            )
        await ownership.verify_contract_link(connected, link, signature, now)
