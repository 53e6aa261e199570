"""The journal's first tables: intents and their attempts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LIVE = sa.text("state IN ('signed', 'broadcast', 'included')")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "intents",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("chain_id", BIG, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("target", sa.Text),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("nonce", BIG),
        sa.Column("gas", BIG),
        sa.Column("block_number", BIG),
        sa.Column("block_hash", sa.Text),
        sa.Column("transaction_hash", sa.Text),
        sa.Column("gas_used", BIG),
        sa.Column("contract_address", sa.Text),
        sa.Column("changed_at", BIG, nullable=False),
        sqlite_strict=True,
    )
    op.create_index(
        "live_nonce",
        "intents",
        ["chain_id", "sender", "nonce"],
        unique=True,
        sqlite_where=LIVE,
        postgresql_where=LIVE,
    )
    op.create_table(
        "attempts",
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("nonce", BIG, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("max_fee_wei", sa.Text, nullable=False),
        sa.Column("priority_fee_wei", sa.Text, nullable=False),
        sa.Column("signed_at", BIG, nullable=False),
        sqlite_strict=True,
    )
