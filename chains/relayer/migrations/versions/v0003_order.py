"""The order of attempts as a column, which PostgreSQL needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the column. Only SQLite files are older than it."""
    op.add_column("attempts", sa.Column("ordinal", BIG, nullable=False, server_default="0"))
    if op.get_bind().dialect.name == "sqlite":
        op.execute("UPDATE attempts SET ordinal = rowid")
