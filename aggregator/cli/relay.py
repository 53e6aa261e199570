"""`counterfoil relay`: bring a bundle onto the chain of its registry, once; and look after what was sent."""

from __future__ import annotations

import time

import click

from aggregator.cli.documents import read_document
from aggregator.cli.framework import Settings, pass_settings, settings_options
from aggregator.cli.networks import chosen_networks, network_of, networks_option
from aggregator.cli.signing import signing_options


@click.group()
def relay() -> None:
    """Bring bundles onto a chain."""


@relay.command()
@click.argument("document", metavar="BUNDLE")
@signing_options
@networks_option
@settings_options
@pass_settings
def submit(
    settings: Settings,
    document: str,
    signer: str,
    password: str | None,
    confirmations: int | None,
    timeout: int,
    yes: bool,
    network_paths: tuple[str, ...],
) -> None:
    """Submit BUNDLE (a file, an id in the store, or an account's name for its newest one) to its registry.

    Anyone may submit a bundle. It is tried first; what the registry would refuse is not sent. The same
    statement is never sent twice, and a submission that was interrupted goes on where it stood.
    """
    from aggregator.cli.relaying import outcome_json, relay_settings, render_outcome, send
    from aggregator.model.errors import ExpiredError
    from aggregator.service.submission import submission_of
    from chains.relayer import load_signer, submission_call
    from circuits.bundle import parse_bundle

    bundle = parse_bundle(read_document(settings, "bundle", document))
    context = bundle.context
    now = int(time.time())
    if context.expiry < now:
        raise ExpiredError(f"the proof expired {now - context.expiry} s ago; make a fresh one")
    call = submission_call(submission_of(bundle), context.chain_id, context.registry)
    outcome = send(
        settings,
        network_of(chosen_networks(network_paths), f"eip155:{context.chain_id}"),
        call,
        load_signer(signer, password=password),
        relaying=relay_settings(confirmations, timeout),
        yes=yes,
    )
    settings.show(outcome_json(outcome), lambda console: render_outcome(console, outcome))


@relay.command()
@click.argument("key", required=False)
@click.option("--unsettled", is_flag=True, help="Only those on which something may still happen.")
@settings_options
@pass_settings
def status(settings: Settings, key: str | None, unsettled: bool) -> None:
    """Show what was signed and sent from this home, or only the entry KEY. No chain is asked."""
    from aggregator.cli.relay_views import render_status, status_json
    from aggregator.cli.relaying import journal_entries

    entries = journal_entries(settings, key, unsettled=unsettled)
    settings.show(
        [status_json(entry) for entry in entries],
        lambda console: render_status(console, entries, in_full=key is not None),
    )


@relay.command()
@click.argument("key")
@signing_options
@networks_option
@settings_options
@pass_settings
def retry(
    settings: Settings,
    key: str,
    signer: str,
    password: str | None,
    confirmations: int | None,
    timeout: int,
    yes: bool,
    network_paths: tuple[str, ...],
) -> None:
    """Make the failed or replaced entry KEY anew, or go on with one that is not settled.

    The signer must be the one that KEY was written down for. An entry that is final stays as it is.
    """
    from aggregator.cli.relaying import (
        journal_entries,
        outcome_json,
        own_intent,
        relay_settings,
        render_retry,
        retry_entry,
    )
    from chains.relayer import load_signer

    (entry,) = journal_entries(settings, key)
    wallet = load_signer(signer, password=password)
    intent = own_intent(entry, wallet)
    outcome = retry_entry(
        settings,
        network_of(chosen_networks(network_paths), f"eip155:{intent.chain_id}"),
        intent,
        wallet,
        relaying=relay_settings(confirmations, timeout),
        yes=yes,
    )
    settings.show(
        {**outcome_json(outcome), "key": key}, lambda console: render_retry(console, outcome, yes=yes)
    )


@relay.command()
@click.argument("key")
@signing_options
@networks_option
@settings_options
@pass_settings
def cancel(
    settings: Settings,
    key: str,
    signer: str,
    password: str | None,
    confirmations: int | None,
    timeout: int,
    yes: bool,
    network_paths: tuple[str, ...],
) -> None:
    """Give the unsettled entry KEY up: its nonce is spent on a transaction that does nothing.

    Which of the two gets into the chain only the chain tells. Without --yes it is only said what would be done.
    """
    from aggregator.cli.relaying import (
        cancel_entry,
        journal_entries,
        outcome_json,
        own_intent,
        relay_settings,
        render_cancel,
    )
    from chains.relayer import load_signer

    (entry,) = journal_entries(settings, key)
    wallet = load_signer(signer, password=password)
    intent = own_intent(entry, wallet)
    outcome = cancel_entry(
        settings,
        network_of(chosen_networks(network_paths), f"eip155:{intent.chain_id}"),
        intent,
        wallet,
        relaying=relay_settings(confirmations, timeout),
        yes=yes,
    )
    settings.show(
        {**outcome_json(outcome), "key": key, "cancelled": yes and outcome.state.without_effect},
        lambda console: render_cancel(console, outcome, yes=yes),
    )
