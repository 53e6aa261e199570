"""`counterfoil relay`: bring a bundle onto the chain of its registry, once."""

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
