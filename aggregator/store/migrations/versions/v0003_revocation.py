"""Links run out and can be withdrawn; an attestor knows until when an address is held.

A link of before has no expiry that its address signed, so it has run out. How long an attestation of before is good was
not kept, so its address is held for a year.
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
YEAR_S = 366 * 86_400


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("links", sa.Column("expiry", BIG, nullable=False, server_default="0"))
    op.add_column("attested", sa.Column("issued_at", BIG, nullable=False, server_default="0"))
    held = str(int(time.time()) + YEAR_S)
    op.add_column("attested", sa.Column("until", BIG, nullable=False, server_default=held))
    op.create_table(
        "withdrawn",
        sa.Column("address", sa.String(42), primary_key=True),
        sa.Column("chain", sa.String(64), primary_key=True),
        sa.Column("until", BIG, nullable=False),
    )
    op.execute("UPDATE schema_version SET version = 3")
