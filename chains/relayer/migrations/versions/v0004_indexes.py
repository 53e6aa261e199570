"""Indexes, so that a long history costs nothing, and the lowest nonce of a sender that nothing settled has had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make indexes and table, and fill it from what is settled."""
    op.create_index("intents_by_sender", "intents", ["chain_id", "sender", "state", "nonce"])
    op.create_index("intents_by_state", "intents", ["state", "changed_at"])
    op.create_index("intents_by_change", "intents", ["changed_at", "key"])
    op.create_index("attempts_by_key", "attempts", ["key", "ordinal"])
    op.create_table(
        "nonces",
        sa.Column("chain_id", BIG, primary_key=True),
        sa.Column("sender", sa.Text, primary_key=True),
        sa.Column("next_nonce", BIG, nullable=False),
        sqlite_strict=True,
    )
    op.execute(
        "INSERT INTO nonces (chain_id, sender, next_nonce) SELECT chain_id, sender, max(nonce) + 1 FROM intents "
        "WHERE nonce IS NOT NULL AND state IN ('final', 'failed', 'replaced') GROUP BY chain_id, sender"
    )
