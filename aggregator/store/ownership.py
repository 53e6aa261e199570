"""What the store keeps of who owns an address: links, revocations, and what an attestor has signed for, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

import sqlalchemy as sa

from aggregator.model.errors import ConflictError, InputError, NotFoundError, ProofRefusedError
from aggregator.store import schema
from aggregator.store.connected import Connected

ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}", re.ASCII)
HOLD_MARGIN_S: Final = 300
"""How long after an attestation's expiry its address and account are still held: clocks of venues may be behind."""


@dataclass(frozen=True, slots=True)
class Link:
    """An address and the signature by which its owner joined it to an account, until `expiry`. Times in Unix seconds.

    `chain` is "" for a key's own address, which is the same on every chain, and the CAIP-2 id for a contract
    account, which belongs to its owner only where it was deployed.
    """

    address: str
    account: str
    issued_at: int
    expiry: int
    signature: str
    chain: str = ""

    @property
    def holder(self) -> str:
        """The address, or for a contract account its CAIP-10 id."""
        return f"{self.chain}:{self.address}" if self.chain else self.address


@dataclass(frozen=True, slots=True)
class Revocation:
    """An address's signature by which no link that it signed until `issued_at` holds any more. `chain` as of a link."""

    address: str
    issued_at: int
    signature: str
    chain: str = ""


class OwnershipRecords(Connected):
    """Each method happens whole or not at all. Signatures were checked before."""

    def add_link(self, link: Link, *, now: int) -> None:
        """Store a link whose signature was checked; a later one of the same account replaces it.

        Raises InputError when the address belongs to another account by a link that has not run out, or when the
        owner withdrew this one.
        """
        _check_address(link.address)
        table = schema.links
        with self._transaction() as connection:
            known = sa.select(schema.accounts.c.name).where(schema.accounts.c.name == link.account)
            if connection.execute(known).scalar() is None:
                raise NotFoundError(
                    f"there is no account {link.account!r}; run: counterfoil account create {link.account}"
                )
            if _withdrawn_until(connection, link.address, link.chain) >= link.issued_at:
                raise ConflictError(
                    f"address {link.address} withdrew what it signed until then; have it sign a new link"
                )
            owner = connection.execute(
                sa.select(table.c.account)
                .where(
                    table.c.address == link.address, table.c.account != link.account, table.c.expiry >= now
                )
                .limit(1)
            ).scalar()
            if owner is not None:
                raise ConflictError(
                    f"address {link.address} is linked to account {owner!r} already; link another address, or "
                    f"withdraw that link: counterfoil account unlink --address {link.address}"
                )
            other = (table.c.address == link.address) & (table.c.account != link.account)
            same = (table.c.address == link.address) & (table.c.chain == link.chain)
            connection.execute(sa.delete(table).where(other | same))
            connection.execute(table.insert().values(**asdict(link)))

    def links(self, account: str | None = None) -> list[Link]:
        """The links of `account`, or all, by address; also those that ran out."""
        query = sa.select(schema.links).order_by(schema.links.c.address, schema.links.c.chain)
        if account is not None:
            query = query.where(schema.links.c.account == account)
        with self._transaction() as connection:
            return [Link(**row) for row in connection.execute(query).mappings()]

    def revoke_links(self, revocation: Revocation) -> list[Link]:
        """Store a revocation and remove the links that it ends; returns them."""
        _check_address(revocation.address)
        table = schema.links
        ended = (
            (table.c.address == revocation.address)
            & (table.c.chain == revocation.chain)
            & (table.c.issued_at <= revocation.issued_at)
        )
        with self._transaction() as connection:
            found = [Link(**row) for row in connection.execute(sa.select(table).where(ended)).mappings()]
            connection.execute(sa.delete(table).where(ended))
            _withdraw(connection, revocation.address, revocation.chain, revocation.issued_at)
        return found

    def note_links(self, account_id: int, links: Iterable[Link]) -> None:
        """An attestor's memory of links that were shown to it: whoever signs a later link to another account
        withdraws the earlier one by it, so that the earlier account is not attested for again.
        """
        table, own = schema.attested, f"0x{account_id:064x}"
        with self._transaction() as connection:
            for link in links:
                claim = connection.execute(sa.select(table).where(table.c.address == link.address)).first()
                if claim is not None and claim.account_id != own and claim.issued_at < link.issued_at:
                    _withdraw(connection, link.address, link.chain, link.issued_at - 1)

    def claim_attested(
        self, account_id: int, registry: str, links: Iterable[Link], *, until: int, now: int
    ) -> None:
        """An attestor's memory: an account is attested to one registry (CAIP-10), and each address backs one account,
        until the last attestation, good until `until`, has expired; then the account may go to another registry, and
        an account that the address was linked to later may have the address.

        Raises ProofRefusedError when the account is in another registry, an address backs another account or its link
        was withdrawn; then nothing is claimed.
        """
        table, own = schema.attested, f"0x{account_id:064x}"
        signed: dict[str, int] = {}
        with self._transaction() as connection:
            _claim_home(connection, own, registry, until, now)
            for link in links:
                if _withdrawn_until(connection, link.address, link.chain) >= link.issued_at:
                    raise ProofRefusedError(
                        f"address {link.address} withdrew its link to this account; have it sign a new one, or "
                        "leave it out of the snapshot"
                    )
                signed[link.address] = max(link.issued_at, signed.get(link.address, 0))
            for address, issued_at in sorted(signed.items()):
                row = {"account_id": own, "issued_at": issued_at, "until": until}
                mine = table.c.address == address
                claim = connection.execute(sa.select(table).where(mine)).first()
                if claim is None:
                    connection.execute(table.insert().values(address=address, **row))
                    continue
                if claim.account_id == own:
                    row = {
                        "account_id": own,
                        "issued_at": max(issued_at, claim.issued_at),
                        "until": max(until, claim.until),
                    }
                elif now <= claim.until + HOLD_MARGIN_S:
                    raise ProofRefusedError(
                        f"address {address} backs another account in an attestation that is good until "
                        f"{claim.until}; ask again {HOLD_MARGIN_S} s after that, or leave it out of the snapshot"
                    )
                elif issued_at <= claim.issued_at:
                    raise ProofRefusedError(
                        f"address {address} was attested for another account that it was linked to later; have it "
                        "sign a new link, or leave it out of the snapshot"
                    )
                connection.execute(table.update().where(mine).values(**row))


def _claim_home(connection: sa.Connection, account_id: str, registry: str, until: int, now: int) -> None:
    table = schema.homes
    mine = table.c.account_id == account_id
    home = connection.execute(sa.select(table).where(mine)).first()
    if home is None:
        connection.execute(table.insert().values(account_id=account_id, registry=registry, until=until))
        return
    if home.registry != registry and now <= home.until + HOLD_MARGIN_S:
        raise ProofRefusedError(
            f"the account is attested to the registry {home.registry} until {home.until}, and would back pledges "
            f"in two; ask for that registry, or again {HOLD_MARGIN_S} s after that"
        )
    latest = max(until, home.until) if home.registry == registry else until
    connection.execute(table.update().where(mine).values(registry=registry, until=latest))


def _check_address(address: str) -> None:
    if ADDRESS.fullmatch(address) is None:
        raise InputError(f"{address!r} is not a lower-case 20-byte address; correct it")


def _withdrawn_until(connection: sa.Connection, address: str, chain: str) -> int:
    """Links signed until this second are withdrawn; -1 when none is."""
    table = schema.withdrawn
    query = sa.select(table.c.until).where(table.c.address == address, table.c.chain == chain)
    found = connection.execute(query).scalar()
    return -1 if found is None else int(found)


def _withdraw(connection: sa.Connection, address: str, chain: str, until: int) -> None:
    table = schema.withdrawn
    latest = max(until, _withdrawn_until(connection, address, chain))
    connection.execute(sa.delete(table).where(table.c.address == address, table.c.chain == chain))
    connection.execute(table.insert().values(address=address, chain=chain, until=latest))
