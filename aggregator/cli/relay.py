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

DAY_S = 86_400


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
    statement is never sent twice, and a submission that was interrupted goes on where it stood. One that is
    recorded already is said to be so.
    """
    from aggregator.cli.relay_views import outcome_json, render_outcome
    from aggregator.cli.relaying import coin_of, send
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
    coin = coin_of(sending, context.chain_id)

    def render(console: Console) -> None:
        render_outcome(console, outcome, yes=sending.yes, coin=coin)
        render_key(console, bundle, known=False)

    data = {"keyKind": bundle.key_kind.value, "verificationKey": bundle.verification_key_id}
    settings.show(outcome_json(outcome, yes=sending.yes) | data, render)


@relay.command()
@click.argument("key", required=False)
@click.option("--unsettled", is_flag=True, help="Only those on which something may still happen.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Newest entries to show; unsettled ones always are.",
)
@journal_option
@settings_options
@pass_settings
def status(settings: Settings, key: str | None, unsettled: bool, limit: int, journal: str | None) -> None:
    """Show what is in the journal, or only the entry KEY: what was signed, sent and included. No chain is asked.

    KEY may be the beginning of a key, as long as no other key begins so.
    """
    from aggregator.cli.relay_views import render_entries, render_entry
    from aggregator.cli.relaying import journal_entries, one_entry
    from aggregator.service.journal import intent_json

    if key is not None:
        entry = one_entry(settings, journal, key)
        settings.show([intent_json(entry)], lambda console: render_entry(console, entry, in_full=True))
        return
    entries = journal_entries(settings, journal, unsettled=unsettled, limit=limit)
    settings.show(
        [intent_json(entry) for entry in entries.shown], lambda console: render_entries(console, entries)
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

    KEY may be the beginning of a key. The signer must be the one that it was written down for. An entry that
    is final stays as it is.
    """
    from aggregator.cli.relay_views import outcome_json, render_outcome
    from aggregator.cli.relaying import coin_of, one_entry, own_intent, retry_entry

    intent = own_intent(one_entry(settings, sending.journal, key), sending.wallet())
    outcome = retry_entry(settings, sending, intent)
    coin = coin_of(sending, intent.chain_id)
    settings.show(
        outcome_json(outcome, yes=sending.yes),
        lambda console: render_outcome(console, outcome, yes=sending.yes, coin=coin),
    )


@relay.command()
@click.argument("key")
@sending_options
@settings_options
@pass_settings
def cancel(settings: Settings, key: str, sending: Sending) -> None:
    """Give the unsettled entry KEY up: its nonce is spent on a transaction that does nothing.

    KEY may be the beginning of a key. Which of the two gets into the chain only the chain tells. Without --yes
    it is only said what would be done.
    """
    from aggregator.cli.relay_views import outcome_json, render_cancel
    from aggregator.cli.relaying import cancel_entry, coin_of, one_entry, own_intent

    intent = own_intent(one_entry(settings, sending.journal, key), sending.wallet())
    outcome = cancel_entry(settings, sending, intent)
    coin = coin_of(sending, intent.chain_id)
    settings.show(
        {
            **outcome_json(outcome, yes=sending.yes),
            "cancelled": sending.yes and outcome.state.without_effect,
        },
        lambda console: render_cancel(console, outcome, yes=sending.yes, coin=coin),
    )


@relay.command()
@sending_options
@settings_options
@pass_settings
def resume(settings: Settings, sending: Sending) -> None:
    """Go on with every entry of the signer that is not settled, on every chain, until it is or --timeout is over.

    An entry that was written down and never signed is tried, signed and sent; others are followed, and their
    same bytes sent again. Without --yes it is only said what would be done. Run it after an interruption, or
    from time to time: `counterfoil serve` does so by itself.
    """
    from aggregator.cli.relay_views import outcome_json, render_plan, render_resumed, what_next
    from aggregator.cli.relaying import resume_chain, unsettled_of
    from aggregator.model.errors import TransactionError
    from aggregator.service.journal import intent_json

    entries = unsettled_of(settings, sending.journal, sending.wallet())
    if not sending.yes:
        plan = [{**intent_json(entry), "sent": False, "wouldBe": what_next(entry)} for entry in entries]
        settings.show(plan, lambda console: render_plan(console, entries))
        return
    outcomes, problems = [], []
    for chain_id in sorted({entry.intent.chain_id for entry in entries}):
        found, problem = resume_chain(settings, sending, chain_id)
        outcomes += found
        problems += [f"eip155:{chain_id}: {problem}"] if problem else []
    settings.show(
        [{**outcome_json(one, yes=True), "error": one.error} for one in outcomes],
        lambda console: render_resumed(console, outcomes),
    )
    problems += [f"{one.key}: {one.error}" for one in outcomes if one.error]
    if problems:
        settings.fail_after_answer(TransactionError("; ".join(problems)))


@relay.command()
@click.option(
    "--older-than",
    "days",
    type=click.IntRange(min=1),
    default=90,
    show_default=True,
    metavar="DAYS",
    help="Only entries that were settled so long ago.",
)
@click.option("--yes", is_flag=True, help="Do it. Without it they are only counted.")
@journal_option
@settings_options
@pass_settings
def prune(settings: Settings, days: int, yes: bool, journal: str | None) -> None:
    """Forget the signed bytes of old settled entries, and the call data of final ones; the journal grows by them.

    Keys, fingerprints, nonces and hashes are never forgotten, nor the call data of what failed: what was done is
    not done again, and what failed can be retried. Take a backup of the journal first if you want the bytes.
    """
    from aggregator.cli.relaying import prune_journal

    number = prune_journal(settings, journal, int(time.time()) - days * DAY_S, yes=yes)
    text = f"Forgot the bytes of {number:,} entries." if yes else f"{number:,} entries have bytes to forget."
    hint = "" if yes else " Nothing was changed. Add --yes to forget them."
    settings.show({"entries": number, "pruned": yes}, lambda console: console.print(text + hint))
