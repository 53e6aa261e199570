"""Tables of the store. Documents are kept as the canonical JSON they were made as; times are Unix seconds."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION: Final = 4
"""Version of the tables; each has its migration in `aggregator/store/migrations/versions`."""

Big: Final = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits in both databases."""

metadata = MetaData()

version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

accounts = Table(
    "accounts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("account_id", String(66), nullable=False, unique=True),
    Column("sub_account", Big, nullable=False),
    Column("key_file", Text, nullable=False),
    Column("created_at", Big, nullable=False),
)

links = Table(
    "links",
    metadata,
    Column("address", String(42), primary_key=True),
    Column("chain", String(64), primary_key=True),
    Column("account", String(64), ForeignKey("accounts.name"), nullable=False),
    Column("issued_at", Big, nullable=False),
    Column("expiry", Big, nullable=False),
    Column("signature", Text, nullable=False),
)

withdrawn = Table(
    "withdrawn",
    metadata,
    Column("address", String(42), primary_key=True),
    Column("chain", String(64), primary_key=True),
    Column("until", Big, nullable=False),
)

attested = Table(
    "attested",
    metadata,
    Column("address", String(42), primary_key=True),
    Column("account_id", String(66), nullable=False),
    Column("issued_at", Big, nullable=False),
    Column("until", Big, nullable=False),
)

homes = Table(
    "homes",
    metadata,
    Column("account_id", String(66), primary_key=True),
    Column("registry", String(128), nullable=False),
    Column("until", Big, nullable=False),
)

policies = Table(
    "policies",
    metadata,
    Column("number", Big, primary_key=True),
    Column("id", String(18), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("root", String(66), nullable=False),
    Column("stored_at", Big, nullable=False),
    Column("document", Text, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("number", Big, primary_key=True),
    Column("id", String(18), nullable=False, unique=True),
    Column("account", String(64), ForeignKey("accounts.name"), nullable=False),
    Column("cut_time", Big, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("blinding", String(66), nullable=False),
    Column("stored_at", Big, nullable=False),
    Column("document", Text, nullable=False),
)

bundles = Table(
    "bundles",
    metadata,
    Column("number", Big, primary_key=True),
    Column("id", String(18), nullable=False, unique=True),
    Column("account", String(64), ForeignKey("accounts.name"), nullable=False),
    Column("snapshot", String(18), ForeignKey("snapshots.id"), nullable=False),
    Column("stored_at", Big, nullable=False),
    Column("document", Text, nullable=False),
)

policy_inputs = Table(
    "policy_inputs",
    metadata,
    Column("policy", String(18), ForeignKey("policies.id"), primary_key=True),
    Column("document", Text, nullable=False),
)

evidence_nodes = Table(
    "evidence_nodes",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("node", LargeBinary, nullable=False),
)

snapshot_evidence = Table(
    "snapshot_evidence",
    metadata,
    Column("snapshot", String(18), ForeignKey("snapshots.id"), primary_key=True),
    Column("document", Text, nullable=False),
)

valuations = Table(
    "valuations",
    metadata,
    Column("number", Big, primary_key=True),
    Column("account", String(64), ForeignKey("accounts.name"), nullable=False, index=True),
    Column("snapshot", String(18), ForeignKey("snapshots.id"), nullable=False),
    Column("policy", String(18), ForeignKey("policies.id"), nullable=False),
    Column("valued_at", Big, nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("snapshot", "policy"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("number", Big, primary_key=True),
    Column("id", String(17), nullable=False, unique=True),
    Column("kind", String(20), nullable=False),
    Column("account", String(64)),
    Column("state", String(10), nullable=False, index=True),
    Column("stage", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("request", Text, nullable=False),
    Column("result", Text),
    Column("problem", Text),
    Column("created_at", Big, nullable=False),
    Column("updated_at", Big, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("number", Big, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("account", String(64)),
    Column("at", Big, nullable=False),
    Column("data", Text, nullable=False),
    sqlite_autoincrement=True,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", Text, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("rate_per_minute", Integer, nullable=False),
    Column("created_at", Big, nullable=False),
    Column("revoked_at", Big),
)

answers = Table(
    "answers",
    metadata,
    Column("caller", String(12), primary_key=True),
    Column("key", String(100), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("location", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("stored_at", Big, nullable=False),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(17), primary_key=True),
    Column("url", Text, nullable=False),
    Column("kinds", Text, nullable=False),
    Column("secret", String(64), nullable=False),
    Column("created_at", Big, nullable=False),
    Column("failures", Integer, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("webhook", String(17), ForeignKey("webhooks.id"), primary_key=True),
    Column("event", Big, ForeignKey("events.number"), primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Big, nullable=False),
)

marks = Table(
    "marks",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("value", Text, nullable=False),
)
