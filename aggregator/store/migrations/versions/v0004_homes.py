"""An attestor knows in which registry an account is attested, and until when.

What was attested before was for no registry in particular and is accepted by none any more, so nothing is held.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "homes",
        sa.Column("account_id", sa.String(66), primary_key=True),
        sa.Column("registry", sa.String(128), nullable=False),
        sa.Column("until", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    )
    op.execute("UPDATE schema_version SET version = 4")
