"""The options of every command that can send a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def signing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every sending command takes: --signer, --password, --confirmations, --timeout, --yes."""
    options = (
        click.option(
            "--signer",
            required=True,
            help="Who signs: file:PATH (32 bytes hex, mode 0600), keystore:PATH or env:NAME. Never the key itself.",
        ),
        click.option("--password", help="For a keystore: file:PATH or env:NAME."),
        click.option(
            "--confirmations",
            type=click.IntRange(min=1),
            help="Blocks after which it counts as final.  [default: the chain's finalized tag]",
        ),
        click.option(
            "--timeout",
            type=click.IntRange(min=1),
            default=1800,
            show_default=True,
            help="Seconds to follow it; running the command again goes on from there.",
        ),
        click.option(
            "--yes", is_flag=True, help="Sign and send. Without it the call is only tried and priced."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
