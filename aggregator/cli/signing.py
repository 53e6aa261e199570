"""What every command that can send a transaction takes: who signs, where it is written down, how long it runs."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aggregator.cli.networks import chosen_networks, network_of, networks_option

if TYPE_CHECKING:
    from aggregator.cli.framework import Settings
    from chains.networks import Network
    from chains.relayer import RelayerSettings, Signer


@dataclass(frozen=True)
class Sending:
    """The values of the options that `sending_options` adds."""

    signer: str
    password: str | None
    journal: str | None
    confirmations: int | None
    timeout_s: int
    max_fee_gwei: int | None
    max_tip_gwei: int | None
    bump_after_s: int | None
    yes: bool
    network_paths: tuple[str, ...]

    def wallet(self) -> Signer:
        """Who signs; raises KeyFileError."""
        from chains.relayer import load_signer

        return load_signer(self.signer, password=self.password)

    def network(self, chain_id: int) -> Network:
        """The network of a chain among those named; raises ConfigError."""
        return network_of(chosen_networks(self.network_paths), f"eip155:{chain_id}")

    def relaying(self, network: Network) -> RelayerSettings:
        """How far and how long a transaction is followed, and what it may offer: options before the network's file.

        Raises ConfigError when the limits contradict each other.
        """
        from chains.relayer import RelayerSettings

        return RelayerSettings.on(
            network.fees.changed(
                max_fee_gwei=self.max_fee_gwei, max_tip_gwei=self.max_tip_gwei, bump_s=self.bump_after_s
            ),
            self.confirmations,
            self.timeout_s,
        )


def sending_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options and hand them to the command as `sending`."""

    @functools.wraps(command)
    def with_sending(
        *args: Any,
        signer: str,
        password: str | None,
        journal: str | None,
        confirmations: int | None,
        timeout: int,
        max_fee_gwei: int | None,
        max_tip_gwei: int | None,
        bump_after: int | None,
        yes: bool,
        network_paths: tuple[str, ...],
        **others: Any,
    ) -> Any:
        sending = Sending(
            signer=signer,
            password=password,
            journal=journal,
            confirmations=confirmations,
            timeout_s=timeout,
            max_fee_gwei=max_fee_gwei,
            max_tip_gwei=max_tip_gwei,
            bump_after_s=bump_after,
            yes=yes,
            network_paths=network_paths,
        )
        return command(*args, sending=sending, **others)

    options = (
        click.option(
            "--signer",
            required=True,
            help=(
                "Who signs: file:PATH (32 bytes hex, mode 0600), keystore:PATH, env:NAME, or remote:ADDRESS@env:NAME "
                "for a signing service. Never the key itself."
            ),
        ),
        click.option("--password", help="For a keystore: file:PATH or env:NAME."),
        journal_option,
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
            "--max-fee-gwei",
            type=click.IntRange(min=1),
            help="The most that is offered per gas.  [default: fees.max_fee_gwei of the network file, 200]",
        ),
        click.option(
            "--max-tip-gwei",
            type=click.IntRange(min=0),
            help="The most of it for the block's proposer.  [default: fees.max_tip_gwei of the network file, 5]",
        ),
        click.option(
            "--bump-after",
            type=click.IntRange(min=1),
            help="Seconds in no block after which more is offered.  [default: fees.bump_s of the network file, 120]",
        ),
        click.option(
            "--yes", is_flag=True, help="Sign and send. Without it the call is only tried and priced."
        ),
        networks_option,
    )
    decorated: Callable[..., Any] = with_sending
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def journal_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --journal to a command."""
    return click.option(
        "--journal",
        help=(
            "The relayer's journal: a file, or env:NAME of a PostgreSQL URL, which several machines may share.  "
            "[default: relayer.db in the home]"
        ),
    )(command)


def journal_location(settings: Settings, reference: str | None) -> Path | str:
    """The file or URL behind --journal; raises InputError when the variable it names is not set."""
    from aggregator.service.journal import location_of

    return default_journal(settings) if reference is None else location_of(reference, os.environ)


def default_journal(settings: Settings) -> Path:
    """The journal in the home."""
    return settings.home.root / "relayer.db"
