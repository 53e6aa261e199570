"""Intents that expire or are given up, alerts, attempts that do nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns."""
    op.add_column("intents", sa.Column("expires_at", BIG))
    op.add_column("intents", sa.Column("giving_up", sa.Text, nullable=False, server_default=""))
    op.add_column("intents", sa.Column("alert", sa.Text, nullable=False, server_default=""))
    op.add_column("attempts", sa.Column("kind", sa.Text, nullable=False, server_default="call"))
    op.add_column("attempts", sa.Column("sent_at", BIG))
