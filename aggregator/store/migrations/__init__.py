"""Migrations of the store, one module per schema version, run by Alembic on a connection that is open already."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

FIRST: Final = "0001"
"""The schema that was made before Alembic kept count."""


def migrate(connection: sa.Connection, found: int | None) -> None:
    """Bring the database to the newest schema; `found` is its version, None for an empty one."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    if found == int(FIRST):
        command.stamp(config, FIRST)
    command.upgrade(config, "head")
