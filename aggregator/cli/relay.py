"""`counterfoil relay`: bring a bundle onto the chain of its registry, once; and look after what was sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from aggregator.cli.bundle_views import render_key
from aggregator.cli.documents import read_bundle
from aggregator.cli.framework import Settings, pass_settings, settings_options
from aggregator.cli.signing import Sending, journal_option, sending_options

if TYPE_CHECKING:
    from rich.console import Console


@click.group()
def relay() -> None:
    """Bring bundles onto a chain."""


@relay.command()
@click.argument("document", metavar="BUNDLE")
@sending_options
@settings_options
@pass_settings
def submit(settings: Settings, document: str, sending: Sending) -> None:
    """Submit BUNDLE (a file, an id in the store, or an account's name for its newest one) to its registry.

    Anyone may submit a bundle. It is tried first; what the registry would refuse is not sent. The same
    statement is never sent twice, and a submission that was interrupted goes on where it stood.
    """
    from aggregator.cli.relaying import outcome_json, render_outcome, send
    from aggregator.model.errors import ExpiredError
    from aggregator.service.submission import submission_of
    from chains.relayer import submission_call

    bundle = read_bundle(settings, document)
    context = bundle.context
    now = int(time.time())
    if context.expiry < now:
        raise ExpiredError(f"the proof expired {now - context.expiry} s ago; make a fresh one")
    call = submission_call(submission_of(bundle), context.chain_id, context.registry)
    outcome = send(settings, sending, context.chain_id, call)

    def render(console: Console) -> None:
        render_outcome(console, outcome)
        render_key(console, bundle, known=False)

    data = {"keyKind": bundle.key_kind.value, "verificationKey": bundle.verification_key_id}
    settings.show(outcome_json(outcome) | data, render)


@relay.command()
@click.argument("key", required=False)
@click.option("--unsettled", is_flag=True, help="Only those on which something may still happen.")
@journal_option
@settings_options
@pass_settings
def status(settings: Settings, key: str | None, unsettled: bool, journal: str | None) -> None:
    """Show what is in the journal, or only the entry KEY: what was signed, sent and included. No chain is asked."""
    from aggregator.cli.relay_views import render_status
    from aggregator.cli.relaying import journal_entries
    from aggregator.service.journal import intent_json

    entries = journal_entries(settings, journal, key, unsettled=unsettled)
    settings.show(
        [intent_json(entry) for entry in entries],
        lambda console: render_status(console, entries, in_full=key is not None),
    )


@relay.command()
@journal_option
@settings_options
@pass_settings
def metrics(settings: Settings, journal: str | None) -> None:
    """Print the journal as Prometheus metrics: entries by chain and state, the oldest unsettled, alerts."""
    from aggregator.cli.relaying import journal_metrics

    text = journal_metrics(settings, journal)
    settings.show({"metrics": text}, lambda _console: click.echo(text, nl=False))


@relay.command()
@click.argument("key")
@sending_options
@settings_options
@pass_settings
def retry(settings: Settings, key: str, sending: Sending) -> None:
    """Make the failed or replaced entry KEY anew, or go on with one that is not settled.

    The signer must be the one that KEY was written down for. An entry that is final stays as it is.
    """
    from aggregator.cli.relaying import (
        journal_entries,
        outcome_json,
        own_intent,
        render_retry,
        retry_entry,
    )

    (entry,) = journal_entries(settings, sending.journal, key)
    intent = own_intent(entry, sending.wallet())
    outcome = retry_entry(settings, sending, intent)
    settings.show(
        {**outcome_json(outcome), "key": key}, lambda console: render_retry(console, outcome, yes=sending.yes)
    )


@relay.command()
@click.argument("key")
@sending_options
@settings_options
@pass_settings
def cancel(settings: Settings, key: str, sending: Sending) -> None:
    """Give the unsettled entry KEY up: its nonce is spent on a transaction that does nothing.

    Which of the two gets into the chain only the chain tells. Without --yes it is only said what would be done.
    """
    from aggregator.cli.relaying import (
        cancel_entry,
        journal_entries,
        outcome_json,
        own_intent,
        render_cancel,
    )

    (entry,) = journal_entries(settings, sending.journal, key)
    intent = own_intent(entry, sending.wallet())
    outcome = cancel_entry(settings, sending, intent)
    settings.show(
        {**outcome_json(outcome), "key": key, "cancelled": sending.yes and outcome.state.without_effect},
        lambda console: render_cancel(console, outcome, yes=sending.yes),
    )
