"""The home's first tables: accounts, links, what was attested, policies, snapshots, bundles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table("schema_version", sa.Column("version", sa.Integer, primary_key=True))
    op.create_table(
        "accounts",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("account_id", sa.String(66), nullable=False, unique=True),
        sa.Column("sub_account", BIG, nullable=False),
        sa.Column("key_file", sa.Text, nullable=False),
        sa.Column("created_at", BIG, nullable=False),
    )
    op.create_table(
        "links",
        sa.Column("address", sa.String(42), primary_key=True),
        sa.Column("chain", sa.String(64), primary_key=True),
        sa.Column("account", sa.String(64), sa.ForeignKey("accounts.name"), nullable=False),
        sa.Column("issued_at", BIG, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
    )
    op.create_table(
        "attested",
        sa.Column("address", sa.String(42), primary_key=True),
        sa.Column("account_id", sa.String(66), nullable=False),
    )
    op.create_table(
        "policies",
        sa.Column("number", BIG, primary_key=True),
        sa.Column("id", sa.String(18), nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("root", sa.String(66), nullable=False),
        sa.Column("stored_at", BIG, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "snapshots",
        sa.Column("number", BIG, primary_key=True),
        sa.Column("id", sa.String(18), nullable=False, unique=True),
        sa.Column("account", sa.String(64), sa.ForeignKey("accounts.name"), nullable=False),
        sa.Column("cut_time", BIG, nullable=False),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("blinding", sa.String(66), nullable=False),
        sa.Column("stored_at", BIG, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "bundles",
        sa.Column("number", BIG, primary_key=True),
        sa.Column("id", sa.String(18), nullable=False, unique=True),
        sa.Column("account", sa.String(64), sa.ForeignKey("accounts.name"), nullable=False),
        sa.Column("snapshot", sa.String(18), sa.ForeignKey("snapshots.id"), nullable=False),
        sa.Column("stored_at", BIG, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.execute("INSERT INTO schema_version (version) VALUES (1)")
