"""Links an address to an account by its own signature, and ends that by another.

It is signed here, signed elsewhere, or confirmed by a contract account.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from eth_account import Account as EthAccount

from aggregator.model.anchors import parse_chain_id
from aggregator.model.errors import ExpiredError, InputError, KeyFileError, ProofRefusedError
from aggregator.service.networks import network_of
from aggregator.store import Account, Link, Revocation, read_secret
from chains import ownership
from chains.networks import Network
from chains.ownership_messages import DAY_S, DEFAULT_LINK_DAYS, MAX_LINK_DAYS

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


def link_to_sign(account: Account, address: str, now: int, days: int = DEFAULT_LINK_DAYS) -> ownership.Link:
    """The link of `address` to `account` from `now` on, for `days`; raises InputError."""
    if not 1 <= days <= MAX_LINK_DAYS:
        raise InputError(f"a link is good for 1 to {MAX_LINK_DAYS} days, not {days}; choose a number between")
    return ownership.Link(
        account_id=account.account_id,
        owner=parse_address(address),
        issued_at=now,
        expiry=now + days * DAY_S,
    )


def revocation_to_sign(address: str, now: int) -> ownership.Unlink:
    """The revocation of every link that `address` signed until `now`; raises InputError."""
    return ownership.Unlink(owner=parse_address(address), issued_at=now)


def sign_with_key_file(statement: ownership.Statement, key_file: Path) -> str:
    """The signature of a statement by the key in a file.

    Raises KeyFileError for a bad file, also when its key is not that of the address.
    """
    signer = EthAccount.from_key(read_secret(key_file, "address key").to_bytes(32, "big"))
    if signer.address.lower() != statement.owner:
        raise KeyFileError(
            f"the key in {key_file} is that of {signer.address.lower()}, not of {statement.owner}; "
            "give the address's own"
        )
    return "0x" + statement.sign(signer).hex()


def stated_link(
    account: Account, address: str, issued_at: int, expiry: int, signature: str, chain: str = ""
) -> Link:
    """A link as somebody states it, well formed, its signature not checked. Raises InputError."""
    stated = _stated(address, signature, chain)
    return Link(stated[0], account.name, issued_at, expiry, stated[1], chain)


def stated_revocation(address: str, issued_at: int, signature: str, chain: str = "") -> Revocation:
    """A revocation as somebody states it, well formed, its signature not checked. Raises InputError."""
    owner, lower = _stated(address, signature, chain)
    return Revocation(owner, issued_at, lower, chain)


def _stated(address: str, signature: str, chain: str) -> tuple[str, str]:
    if _SIGNATURE.fullmatch(signature) is None:
        raise InputError("the signature is not 0x hex; give what the wallet returned")
    if chain:
        parse_chain_id(chain)
    return parse_address(address), signature.lower()


def check_signed(account_id: int, signed: Link | Revocation, now: int, networks: Sequence[Network]) -> None:
    """`require_signed` for a caller that is not async; with a contract account no event loop may be running."""
    if signed.chain:
        asyncio.run(require_signed(account_id, signed, now, networks))
    else:
        ownership.verify_statement(_statement(account_id, signed), _signature(signed), now)


async def require_signed(
    account_id: int, signed: Link | Revocation, now: int, networks: Sequence[Network]
) -> None:
    """Return when the address itself signed this link to the account, or this revocation (of links to any account).

    A key is recovered, a contract account is asked.
    Raises ProofRefusedError when the signature is not the address's, ExpiredError when the link ran out, ChainError
    when the contract cannot be asked.
    """
    statement = _statement(account_id, signed)
    if signed.chain:
        await _ask_contract(network_of(networks, signed.chain), statement, _signature(signed), now)
    else:
        ownership.verify_statement(statement, _signature(signed), now)


def live_holders(links: Sequence[Link], now: int) -> list[str]:
    """The holders of the links, to be read. Raises ExpiredError when one ran out: what it owes would not be read."""
    for link in links:
        if link.expiry < now:
            raise ExpiredError(
                f"the link of {link.holder} ran out; have it sign a new one (counterfoil account link), or withdraw "
                "it (counterfoil account unlink)"
            )
    return [link.holder for link in links]


def _statement(account_id: int, signed: Link | Revocation) -> ownership.Statement:
    if isinstance(signed, Revocation):
        return ownership.Unlink(owner=signed.address, issued_at=signed.issued_at)
    return ownership.Link(
        account_id=account_id, owner=signed.address, issued_at=signed.issued_at, expiry=signed.expiry
    )


def _signature(signed: Link | Revocation) -> bytes:
    return bytes.fromhex(signed.signature[2:])


async def _ask_contract(network: Network, statement: ownership.Statement, signature: bytes, now: int) -> None:
    async with network.connect() as connected:
        counterfactual = ownership.is_counterfactual(signature)
        if not counterfactual and not await ownership.is_contract(connected, statement.owner):
            raise ProofRefusedError(
                f"{statement.owner} is no contract on {network.name}; leave --chain out and sign with its own key"
            )
        await ownership.verify_contract_statement(connected, statement, signature, now)
