"""`counterfoil health`: one health figure over every chain, and where each number comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aggregator.cli.desks import desk_of, inputs_option, read_inputs, require_alive
from aggregator.cli.documents import read_policy
from aggregator.cli.framework import Settings, pass_settings, settings_options
from aggregator.cli.subaccounts import show_sub_accounts
from aggregator.cli.subject import read_subject
from aggregator.model.errors import IncompleteSnapshotError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from aggregator.model.policy import Policy
    from aggregator.risk.exposure import RiskFigures


@click.command()
@click.argument("snapshot")
@click.option("--policy", "policy_name", required=True, help="The policy to value under: a file, id or name.")
@click.option(
    "--rulebook",
    "rulebook_names",
    metavar="A,B,C",
    help="Show these rulebooks side by side instead, by their names.",
)
@click.option(
    "--rulebooks",
    "rulebook_paths",
    multiple=True,
    metavar="PATH",
    help=(
        "A rulebook file or a folder of them; may be repeated.  "
        "[default: $COUNTERFOIL_RULEBOOKS or configs/rulebooks]"
    ),
)
@click.option("--risk", "with_risk", is_flag=True, help="Also show Greeks, beta and concentration.")
@click.option(
    "--all-sub-accounts",
    "all_parts",
    is_flag=True,
    help="Show every sub-account of SNAPSHOT's holder instead, side by side; SNAPSHOT is an account's name.",
)
@click.option("--explain", "in_words", is_flag=True, help="Show the arithmetic of every number.")
@click.option("--expired", is_flag=True, help="Allow a policy past its end; its prices are old.")
@inputs_option
@settings_options
@pass_settings
def health(
    settings: Settings,
    snapshot: str,
    policy_name: str,
    rulebook_names: str | None,
    rulebook_paths: tuple[str, ...],
    with_risk: bool,
    all_parts: bool,
    in_words: bool,
    expired: bool,
    inputs_path: Path | None,
) -> None:
    """Show equity, requirement and excess of an account.

    SNAPSHOT is a file, an id in the store, or an account's name for its newest one. A snapshot from which
    something is missing is shown part by part, without totals, and ends with exit code 3.

    A rulebook says what the account would need at a venue (docs/rulebooks.md); only the native one can be proven.
    """
    from aggregator.cli.report_views import report_tables
    from aggregator.cli.risk_views import render_risk, risk_json
    from aggregator.cli.snapshot_views import completeness_lines, readings_table
    from aggregator.margin import explain, make_report, positions_by_id, to_json
    from aggregator.model.snapshot import snapshot_json
    from aggregator.service.accepting import accept

    if all_parts:
        if with_risk or in_words or rulebook_names is not None:
            raise InputError(
                "--all-sub-accounts shows margins only; ask for --risk, --explain or --rulebook by sub-account"
            )
        policy = read_policy(settings, policy_name)
        require_alive(policy, expired=expired)
        show_sub_accounts(settings, snapshot, policy)
        return
    subject = read_subject(settings, snapshot, policy_name, expired=expired)
    taken, policy = subject.taken, subject.policy
    if not taken.complete:

        def render_parts(console: Console) -> None:
            console.print(readings_table(taken).draw())
            for line in completeness_lines(taken):
                console.print(line)

        subject.show(settings, {"report": None, "readings": snapshot_json(taken)["readings"]}, render_parts)
        try:
            taken.require_complete()
        except IncompleteSnapshotError as error:
            settings.fail_after_answer(error)
    accepted = accept(policy, taken)
    positions = positions_by_id(policy, accepted.positions)
    report = make_report(policy, positions)
    for note in accepted.notes:
        settings.note(f"not counted by policy {policy.name}: {note}")
    answer: dict[str, object] = {"report": to_json(report), "notCounted": list(accepted.notes)}
    if rulebook_names is not None:
        from aggregator.cli.rulebooks import render_rulebooks
        from aggregator.margin.rulebooks import book_of
        from aggregator.service.rulebooks import compare, rulebooks_json

        compared = compare(rulebook_names, rulebook_paths, book_of(policy, positions))
        subject.show(
            settings,
            {**answer, "rulebooks": rulebooks_json(compared)},
            lambda console: render_rulebooks(console, compared, in_words=in_words),
        )
        return

    figures = _figures(settings, policy, accepted.positions, inputs_path) if with_risk else None

    def render(console: Console) -> None:
        for table in report_tables(report):
            console.print(table.draw())
        for line in explain(report) if in_words else explain(report)[-1:]:
            console.print(line)
        if figures is not None:
            render_risk(console, figures)

    if figures is not None:
        answer["risk"] = risk_json(figures)
    subject.show(settings, answer, render)


def _figures(
    settings: Settings, policy: Policy, positions: Mapping[str, int], given: Path | None
) -> RiskFigures:
    """Greeks, beta and concentration on the market that the policy was built from."""
    from aggregator.risk.exposure import risk_figures

    inputs = read_inputs(settings, policy, given)
    return risk_figures(desk_of(inputs, positions), inputs.resolved.betas_e6)
