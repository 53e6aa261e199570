"""What the store keeps of a holder: accounts, policies, snapshots and bundles.

`Records` says what is written and read; whose transaction that happens in is for its subclasses.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from aggregator.model.errors import ConflictError, InputError, NotFoundError
from aggregator.store import schema
from aggregator.store.keyfile import new_holder_key
from aggregator.store.ownership import OwnershipRecords

ACCOUNT_NAME: Final = re.compile(r"(?!0x)[a-z0-9][a-z0-9._-]{0,39}", re.ASCII)
DOCUMENT_ID_HEX: Final = 16


@dataclass(frozen=True, slots=True)
class Account:
    """One cross-margin account as the store keeps it; the key itself stays in `key_file`."""

    name: str
    account_id: int
    sub_account: int
    key_file: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored document without its text: what a list shows."""

    id: str
    label: str
    stored_at: int


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot document, whose account it is, and the secret that blinds commitments to it."""

    id: str
    account: str
    document: bytes
    blinding: int

    def __repr__(self) -> str:
        return f"StoredSnapshot(id={self.id!r}, account={self.account!r})"


def document_id(document: bytes) -> str:
    """Id of a stored document: the first 64 bits of SHA-256 over its canonical bytes, as 0x hex."""
    return "0x" + hashlib.sha256(document).hexdigest()[:DOCUMENT_ID_HEX]


def check_account_name(name: str) -> str:
    """`name` itself when it may name an account, and so a file; raises InputError."""
    if ACCOUNT_NAME.fullmatch(name) is None:
        raise InputError(
            f"{name!r} cannot name an account; use up to 40 of a-z 0-9 . _ - that do not start with 0x"
        )
    return name


class Records(OwnershipRecords):
    """Each method happens whole or not at all."""

    # accounts

    def add_account(self, account: Account) -> None:
        """Store a new account. Raises InputError when its name or its id is taken."""
        check_account_name(account.name)
        table = schema.accounts
        row = {**_fields(account), "account_id": f"0x{account.account_id:064x}"}
        with self._transaction() as connection:
            taken = connection.execute(
                sa.select(table.c.name, table.c.account_id).where(
                    (table.c.name == row["name"]) | (table.c.account_id == row["account_id"])
                )
            ).first()
            if taken is not None and taken.name == account.name:
                raise ConflictError(f"account {account.name!r} exists; choose another name")
            if taken is not None:
                raise ConflictError(
                    f"this key and sub-account number are account {taken.name!r} already; use another number"
                )
            connection.execute(table.insert().values(**row))

    def account(self, name: str) -> Account:
        """The account called `name`; raises InputError when there is none."""
        for account in self.accounts():
            if account.name == name:
                return account
        raise NotFoundError(f"there is no account {name!r}; run: counterfoil account create {name}")

    def key_file(self, name: str) -> Path:
        """Where an account's holder key lies; raises NotFoundError."""
        return Path(self.account(name).key_file)

    def accounts(self) -> list[Account]:
        """All accounts, by name."""
        with self._transaction() as connection:
            rows = connection.execute(sa.select(schema.accounts).order_by(schema.accounts.c.name)).mappings()
            return [Account(**{**row, "account_id": int(row["account_id"], 16)}) for row in rows]

    # documents

    def add_policy(self, document: bytes, *, name: str, root: int, now: int) -> str:
        """Store a policy document once; returns its id."""
        row = {"name": name, "root": f"0x{root:064x}"}
        return self._add(schema.policies, document, row, now)

    def add_snapshot(self, document: bytes, *, account: str, cut_time: int, complete: bool, now: int) -> str:
        """Store a snapshot document once, with a fresh blinding; returns its id."""
        blinding = f"0x{new_holder_key():064x}"
        row = {"account": account, "cut_time": cut_time, "complete": complete, "blinding": blinding}
        return self._add(schema.snapshots, document, row, now)

    def add_bundle(self, document: bytes, *, account: str, snapshot: str, now: int) -> str:
        """Store a bundle document once; returns its id."""
        return self._add(schema.bundles, document, {"account": account, "snapshot": snapshot}, now)

    def policy(self, key: str) -> bytes:
        """The policy document whose id starts with `key`, or the newest with that name; raises InputError."""
        row = self._find(schema.policies, key, schema.policies.c.name, "policy", "policy build")
        return str(row["document"]).encode()

    def snapshot(self, key: str) -> StoredSnapshot:
        """The snapshot whose id starts with `key`, or the newest of that account; raises InputError."""
        row = self._find(schema.snapshots, key, schema.snapshots.c.account, "snapshot", "snapshot take")
        return StoredSnapshot(
            row["id"], row["account"], str(row["document"]).encode(), int(row["blinding"], 16)
        )

    def bundle(self, key: str) -> bytes:
        """The bundle whose id starts with `key`, or the newest of that account; raises InputError."""
        row = self._find(schema.bundles, key, schema.bundles.c.account, "bundle", "proof make")
        return str(row["document"]).encode()

    def policies(self) -> list[Entry]:
        """Stored policies, newest first."""
        return self._entries(schema.policies, schema.policies.c.name)

    def snapshots(self) -> list[Entry]:
        """Stored snapshots, newest first, labelled by account."""
        return self._entries(schema.snapshots, schema.snapshots.c.account)

    def bundles(self) -> list[Entry]:
        """Stored bundles, newest first, labelled by account."""
        return self._entries(schema.bundles, schema.bundles.c.account)

    def _add(self, table: sa.Table, document: bytes, row: dict[str, Any], now: int) -> str:
        key = document_id(document)
        with self._transaction() as connection:
            if connection.execute(sa.select(table.c.id).where(table.c.id == key)).first() is None:
                values = {**row, "id": key, "stored_at": now, "document": document.decode()}
                connection.execute(table.insert().values(**values))
        return key

    def _find(self, table: sa.Table, key: str, label: sa.Column[Any], what: str, maker: str) -> sa.RowMapping:
        is_id = key.startswith("0x")
        where = table.c.id.startswith(key, autoescape=True) if is_id else label == key
        with self._transaction() as connection:
            rows = (
                connection.execute(sa.select(table).where(where).order_by(table.c.number.desc()))
                .mappings()
                .all()
            )
        if not rows:
            raise NotFoundError(f"the store holds no {what} {key!r}; run: counterfoil {maker}")
        if is_id and len(rows) > 1:
            raise InputError(
                f"{len(rows)} stored documents of kind {what} start with {key}; give more digits"
            )
        return rows[0]

    def _entries(self, table: sa.Table, label: sa.Column[Any]) -> list[Entry]:
        query = sa.select(table.c.id, label.label("label"), table.c.stored_at)
        query = query.order_by(table.c.number.desc())
        with self._transaction() as connection:
            return [Entry(**row) for row in connection.execute(query).mappings()]


def _fields(record: Account) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}
