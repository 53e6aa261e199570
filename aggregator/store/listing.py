"""Stored documents page by page, and found by name or id, for lists that are longer than a screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from aggregator.model.errors import NotFoundError
from aggregator.store import schema
from aggregator.store.connected import Connected
from aggregator.store.ownership import Link
from aggregator.store.records import Account


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A policy document and what the store knows of it; `root` is 0x hex."""

    number: int
    id: str
    name: str
    root: str
    stored_at: int
    document: bytes


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A stored snapshot without its document and blinding."""

    number: int
    id: str
    account: str
    cut_time: int
    complete: bool
    stored_at: int


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """A bundle document, whose it is and of which snapshot."""

    number: int
    id: str
    account: str
    snapshot: str
    stored_at: int
    document: bytes


class ListingRecords(Connected):
    """Pages, newest first where it is documents, by name where it is accounts."""

    def account_page(self, *, after: str | None, limit: int) -> list[Account]:
        """Accounts by name, those after `after`."""
        table = schema.accounts
        query = sa.select(table).order_by(table.c.name).limit(limit)
        if after is not None:
            query = query.where(table.c.name > after)
        return [Account(**{**row, "account_id": int(row["account_id"], 16)}) for row in self._rows(query)]

    def links_of(self, accounts: list[str]) -> dict[str, list[Link]]:
        """The links of several accounts, each list by address."""
        table = schema.links
        query = sa.select(table).where(table.c.account.in_(accounts))
        found: dict[str, list[Link]] = {name: [] for name in accounts}
        for row in self._rows(query.order_by(table.c.address, table.c.chain)):
            found[row["account"]].append(Link(**row))
        return found

    def policy_page(self, *, before: int | None, limit: int) -> list[StoredPolicy]:
        """Policies stored before the one numbered `before`."""
        return [_policy(row) for row in self._page(schema.policies, before, limit)]

    def find_policy(self, key: str | None, *, document: bool = True) -> StoredPolicy:
        """The policy of an id, or the newest of a name, or the newest of all; raises NotFoundError.

        Without `document` that is empty: it may be megabytes that the caller has already.
        """
        table = schema.policies
        columns = [c for c in table.c if document or c.name != "document"]
        query = sa.select(*columns).order_by(table.c.number.desc()).limit(1)
        if key is not None:
            query = query.where(table.c.id == key if key.startswith("0x") else table.c.name == key)
        row = self._row(query)
        if row is None:
            what = "no policy" if key is None else f"no policy {key!r}"
            raise NotFoundError(f"the store holds {what}; run: counterfoil policy build")
        return _policy(row)

    def snapshot_page(self, account: str, *, before: int | None, limit: int) -> list[SnapshotRow]:
        """Snapshots of an account."""
        table = schema.snapshots
        columns = [table.c[name] for name in SnapshotRow.__slots__]
        query = sa.select(*columns).where(table.c.account == account)
        if before is not None:
            query = query.where(table.c.number < before)
        rows = self._rows(query.order_by(table.c.number.desc()).limit(limit))
        return [SnapshotRow(**row) for row in rows]

    def snapshot_row(self, account: str | None, key: str | None, *, complete: bool = False) -> SnapshotRow:
        """The snapshot of an id, or the account's newest, with `complete` only of those from which nothing is missing.

        Raises NotFoundError, also for another account's.
        """
        table = schema.snapshots
        query = sa.select(*(table.c[name] for name in SnapshotRow.__slots__))
        if account is not None:
            query = query.where(table.c.account == account)
        if key is not None:
            query = query.where(table.c.id == key)
        if complete:
            query = query.where(table.c.complete)
        row = self._row(query.order_by(table.c.number.desc()).limit(1))
        if row is None:
            of = "" if account is None else f" of {account!r}"
            what = "no snapshot" if key is None else f"no snapshot {key!r}"
            raise NotFoundError(f"the store holds {what}{of}; run: counterfoil snapshot take")
        return SnapshotRow(**row)

    def bundle_page(self, account: str, *, before: int | None, limit: int) -> list[StoredBundle]:
        """Bundles of an account."""
        rows = self._page(schema.bundles, before, limit, schema.bundles.c.account == account)
        return [_bundle(row) for row in rows]

    def find_bundle(self, key: str) -> StoredBundle:
        """The bundle of an id; raises NotFoundError."""
        row = self._row(sa.select(schema.bundles).where(schema.bundles.c.id == key))
        if row is None:
            raise NotFoundError(f"the store holds no bundle {key!r}; run: counterfoil proof make")
        return _bundle(row)

    def _page(
        self, table: sa.Table, before: int | None, limit: int, *where: sa.ColumnElement[bool]
    ) -> list[sa.RowMapping]:
        query: sa.Select[Any] = sa.select(table).where(*where).order_by(table.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(table.c.number < before)
        return self._rows(query)


def _policy(row: sa.RowMapping) -> StoredPolicy:
    return StoredPolicy(**{**row, "document": row.get("document", "").encode()})


def _bundle(row: sa.RowMapping) -> StoredBundle:
    return StoredBundle(**{**row, "document": row["document"].encode()})
