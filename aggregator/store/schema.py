"""Tables of the local store. Documents are kept as the canonical JSON they were made as."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, ForeignKey, Integer, MetaData, String, Table, Text

SCHEMA_VERSION: Final = 1

metadata = MetaData()

version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

accounts = Table(
    "accounts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("account_id", String(66), nullable=False, unique=True),
    Column("sub_account", Integer, nullable=False),
    Column("key_file", Text, nullable=False),
    Column("created_at", Integer, nullable=False),
)

links = Table(
    "links",
    metadata,
    Column("address", String(42), primary_key=True),
    Column("chain", String(64), primary_key=True),
    Column("account", String(64), ForeignKey("accounts.name"), nullable=False),
    Column("issued_at", Integer, nullable=False),
    Column("signature", Text, nullable=False),
)

attested = Table(
    "attested",
    metadata,
    Column("address", String(42), primary_key=True),
    Column("account_id", String(66), nullable=False),
)

policies = Table(
    "policies",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String(18), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("root", String(66), nullable=False),
    Column("stored_at", Integer, nullable=False),
    Column("document", Text, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String(18), nullable=False, unique=True),
    Column("account", String(64), ForeignKey("accounts.name"), nullable=False),
    Column("cut_time", Integer, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("blinding", String(66), nullable=False),
    Column("stored_at", Integer, nullable=False),
    Column("document", Text, nullable=False),
)

bundles = Table(
    "bundles",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String(18), nullable=False, unique=True),
    Column("account", String(64), ForeignKey("accounts.name"), nullable=False),
    Column("snapshot", String(18), ForeignKey("snapshots.id"), nullable=False),
    Column("stored_at", Integer, nullable=False),
    Column("document", Text, nullable=False),
)
