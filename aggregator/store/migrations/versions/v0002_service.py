"""What the service keeps: evidence, where policies come from, valuations, jobs, events, keys, answers, webhooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _documents()
    _work()
    _callers()
    op.execute("UPDATE schema_version SET version = 2")


def _documents() -> None:
    op.create_table(
        "policy_inputs",
        sa.Column("policy", sa.String(18), sa.ForeignKey("policies.id"), primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "evidence_nodes",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("node", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "snapshot_evidence",
        sa.Column("snapshot", sa.String(18), sa.ForeignKey("snapshots.id"), primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "valuations",
        sa.Column("number", BIG, primary_key=True),
        sa.Column("account", sa.String(64), sa.ForeignKey("accounts.name"), nullable=False),
        sa.Column("snapshot", sa.String(18), sa.ForeignKey("snapshots.id"), nullable=False),
        sa.Column("policy", sa.String(18), sa.ForeignKey("policies.id"), nullable=False),
        sa.Column("valued_at", BIG, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.UniqueConstraint("snapshot", "policy"),
    )
    op.create_index("ix_valuations_account", "valuations", ["account"])


def _work() -> None:
    op.create_table(
        "jobs",
        sa.Column("number", BIG, primary_key=True),
        sa.Column("id", sa.String(17), nullable=False, unique=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("account", sa.String(64)),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("problem", sa.Text),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("updated_at", BIG, nullable=False),
    )
    op.create_index("ix_jobs_state", "jobs", ["state"])
    op.create_table(
        "events",
        sa.Column("number", BIG, primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("account", sa.String(64)),
        sa.Column("at", BIG, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def _callers() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("rate_per_minute", sa.Integer, nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("revoked_at", BIG),
    )
    op.create_table(
        "answers",
        sa.Column("caller", sa.String(12), primary_key=True),
        sa.Column("key", sa.String(100), primary_key=True),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("stored_at", BIG, nullable=False),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(17), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("kinds", sa.Text, nullable=False),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("webhook", sa.String(17), sa.ForeignKey("webhooks.id"), primary_key=True),
        sa.Column("event", BIG, sa.ForeignKey("events.number"), primary_key=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", BIG, nullable=False),
    )
