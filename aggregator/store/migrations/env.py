"""Run by Alembic: the caller's connection and transaction are used, none is opened."""

from __future__ import annotations

from alembic import context

from aggregator.store import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    transaction_per_migration=False,
)
context.run_migrations()
