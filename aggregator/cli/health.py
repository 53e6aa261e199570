"""`counterfoil health`: one health figure over every chain, and where each number comes from."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from aggregator.cli.documents import read_document, read_policy
from aggregator.cli.framework import Settings, pass_settings, settings_options
from aggregator.model.errors import ExpiredError, IncompleteSnapshotError

if TYPE_CHECKING:
    from rich.console import Console


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
@click.option("--explain", "in_words", is_flag=True, help="Show the arithmetic of every number.")
@click.option("--expired", is_flag=True, help="Allow a policy past its end; its prices are old.")
@settings_options
@pass_settings
def health(
    settings: Settings,
    snapshot: str,
    policy_name: str,
    rulebook_names: str | None,
    rulebook_paths: tuple[str, ...],
    in_words: bool,
    expired: bool,
) -> None:
    """Show equity, requirement and excess of an account.

    SNAPSHOT is a file, an id in the store, or an account's name for its newest one. A snapshot from which
    something is missing is shown part by part, without totals, and ends with exit code 3.

    A rulebook says what the account would need at a venue (docs/rulebooks.md); only the native one can be proven.
    """
    from aggregator.cli.report_views import report_tables
    from aggregator.cli.snapshot_views import completeness_lines, readings_table
    from aggregator.margin import explain, make_report, positions_by_id, to_json
    from aggregator.model.snapshot import parse_snapshot, snapshot_json

    taken = parse_snapshot(read_document(settings, "snapshot", snapshot))
    policy = read_policy(settings, policy_name)
    now = int(time.time())
    if policy.expires < now and not expired:
        raise ExpiredError(
            f"policy {policy.name} epoch {policy.epoch} ran out {now - policy.expires} s ago; "
            "use the next epoch, or --expired to look back"
        )
    if not taken.complete:

        def render_parts(console: Console) -> None:
            console.print(readings_table(taken).draw())
            for line in completeness_lines(taken):
                console.print(line)

        settings.show({"complete": False, "report": None, "snapshot": snapshot_json(taken)}, render_parts)
        try:
            taken.require_complete()
        except IncompleteSnapshotError as error:
            settings.fail_after_answer(error)
    positions = positions_by_id(policy, taken.positions)
    report = make_report(policy, positions)
    if rulebook_names is not None:
        from aggregator.cli.rulebooks import compare, render_rulebooks, rulebooks_json
        from aggregator.margin.rulebooks import book_of

        compared = compare(rulebook_names, rulebook_paths, book_of(policy, positions))
        settings.show(
            {"complete": True, "report": to_json(report), "rulebooks": rulebooks_json(compared)},
            lambda console: render_rulebooks(console, compared, in_words=in_words),
        )
        return

    def render(console: Console) -> None:
        for table in report_tables(report):
            console.print(table.draw())
        for line in explain(report) if in_words else explain(report)[-1:]:
            console.print(line)

    settings.show({"complete": True, "report": to_json(report)}, render)
