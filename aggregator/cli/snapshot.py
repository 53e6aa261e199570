"""`counterfoil snapshot`: what an account holds on every chain at one moment, with evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aggregator.cli.documents import read_document
from aggregator.cli.framework import Settings, pass_settings, settings_options

if TYPE_CHECKING:
    from rich.console import Console


@click.group()
def snapshot() -> None:
    """Read an account from its chains at one moment."""


@snapshot.command()
@click.argument("document", metavar="SNAPSHOT")
@settings_options
@pass_settings
def show(settings: Settings, document: str) -> None:
    """Show SNAPSHOT: a file, an id in the store, or an account's name for its newest one."""
    from aggregator.cli.snapshot_views import render_snapshot
    from aggregator.model.snapshot import parse_snapshot, snapshot_json

    taken = parse_snapshot(read_document(settings, "snapshot", document))

    def render(console: Console) -> None:
        render_snapshot(console, taken)

    settings.show(snapshot_json(taken), render)
