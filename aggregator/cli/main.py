"""Entry point of `counterfoil`: finds the command, runs it, and turns what it raises into an exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import click

from aggregator.cli.errors import REPORTED, report, report_defect
from aggregator.cli.framework import LazyGroup, settings_options

COMMANDS = {
    "doctor": ("aggregator.cli.doctor:doctor", "Check that everything counterfoil needs is here."),
    "demo": ("aggregator.cli.demo:demo", "Run the main job on three local chains."),
    "account": ("aggregator.cli.account:account", "Make accounts and link addresses to them."),
    "snapshot": ("aggregator.cli.snapshot:snapshot", "Read an account from its chains at one moment."),
    "attestation": ("aggregator.cli.attestation:attestation", "Have a snapshot attested, or attest one."),
    "policy": ("aggregator.cli.policy:policy", "Build, show and check risk policies."),
    "health": ("aggregator.cli.health:health", "Show equity, requirement and excess of an account."),
    "stress": ("aggregator.cli.stress:stress", "Re-value an account in moved markets."),
    "liquidation": (
        "aggregator.cli.liquidation:liquidation",
        "Find what liquidates an account, what is then closed, what follows, and how probable it is.",
    ),
    "plan": ("aggregator.cli.plan:plan", "Plan hedges and moves of collateral."),
    "proof": ("aggregator.cli.proof:proof", "Make and verify proofs of excess."),
    "ceremony": (
        "aggregator.cli.ceremony:ceremony",
        "Make a proving key together with others, of whom one honest one is enough.",
    ),
    "relay": ("aggregator.cli.relay:relay", "Bring bundles onto a chain."),
    "registry": ("aggregator.cli.registry:registry", "Look at a registry before relying on it."),
    "venue": ("aggregator.cli.venue:venue", "Check accounts and pledge margin as a venue."),
    "serve": (
        "aggregator.cli.serve:serve",
        "Serve accounts, proofs and checks over HTTP, and the dashboard.",
    ),
}


@click.command(cls=LazyGroup, commands_at=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="counterfoil", prog_name="counterfoil", message="%(prog)s %(version)s")
@settings_options
def cli() -> None:
    """One cross-margin account out of collateral on many chains, and a proof that it is good for an amount.

    Data goes to stdout, progress and errors to stderr. Exit codes are listed in docs/errors.md.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="warning: %(message)s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `arguments` (the process's own by default) and exit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(given))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; a defect is raised."""
    try:
        result = cli.main(list(arguments), prog_name="counterfoil", standalone_mode=False)
    except REPORTED as error:
        return report(error, as_json="--json" in arguments)
    except Exception as error:
        report_defect(error, as_json="--json" in arguments)
        raise
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    main()
