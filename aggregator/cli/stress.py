"""`counterfoil stress`: an account in moved markets, and what made the difference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aggregator.cli import tables
from aggregator.cli.desks import inputs_option
from aggregator.cli.framework import Settings, pass_settings, settings_options
from aggregator.cli.report_views import level_json
from aggregator.cli.subject import read_subject
from aggregator.model.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from aggregator.margin.native import Evaluation
    from aggregator.risk.stress import StressResult
    from aggregator.risk.stress_file import NamedMoves

    Run = tuple[NamedMoves, tuple[str, ...], StressResult]


@click.command()
@click.argument("snapshot")
@click.option("--policy", "policy_name", required=True, help="The policy to value under: a file, id or name.")
@click.option(
    "--scenarios",
    type=click.Path(path_type=Path),
    required=True,
    help="The moves to apply (TOML, see configs/stress).",
)
@click.option("--explain", "in_detail", is_flag=True, help="Show each position's part in each scenario.")
@click.option("--expired", is_flag=True, help="Allow a policy past its end; its prices are old.")
@inputs_option
@settings_options
@pass_settings
def stress(
    settings: Settings,
    snapshot: str,
    policy_name: str,
    scenarios: Path,
    in_detail: bool,
    expired: bool,
    inputs_path: Path | None,
) -> None:
    """Re-value an account in moved markets.

    SNAPSHOT is a file, an id in the store, or an account's name for its newest one. Every scenario is a new
    policy: marks, smiles, risk arrays, haircuts and add-ons are built again. An account that a scenario liquidates is
    an answer like any other, with exit code 0.
    """
    from aggregator.risk.stress import stress as run
    from aggregator.risk.stress_file import parse_stress
    from aggregator.store import read_whole

    try:
        text = read_whole(scenarios, "the scenarios").decode()
    except UnicodeDecodeError as error:
        raise PolicyError(f"{scenarios} is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    named = parse_stress(text, str(scenarios))
    subject = read_subject(settings, snapshot, policy_name, expired=expired)
    desk = subject.desk(settings, inputs_path)
    runs: list[Run] = []
    for one in named:
        kept, unknown = one.quoted(desk.prices, desk.rates)
        runs.append((one, unknown, run(desk, one.name, kept.moves)))

    def render(console: Console) -> None:
        console.print(_summary(runs).draw())
        console.print(_factors(runs).draw())
        for _, unknown, result in runs:
            if unknown:
                console.print(f"{result.name}: the policy does not quote {', '.join(unknown)}; left as is")
            if in_detail:
                console.print(_positions(result).draw())

    subject.show(settings, {"scenarios": [_json(*one) for one in runs]}, render)


def _summary(runs: Sequence[Run]) -> tables.Table:
    before = runs[0][2]
    rows = [_row("before", None, before.before_im, before.before_mm)]
    rows += [_row(result.name, result, result.after_im, result.after_mm) for _, _, result in runs]
    columns = ("Scenario", ">P&L", ">Equity", ">Excess IM", ">Excess MM", ">Health MM", "State")
    return tables.Table("In moved markets (USD)", columns, rows)


def _state(im: Evaluation, mm: Evaluation) -> str:
    if mm.excess_e6 < 0:
        return "liquidated"
    return "restricted" if im.excess_e6 < 0 else "good"


def _row(name: str, result: StressResult | None, im: Evaluation, mm: Evaluation) -> tuple[str, ...]:
    return (
        name,
        tables.value_down(result.pnl_e20) if result is not None else "",
        tables.value_down(im.equity_e20),
        tables.usd_down(im.excess_e6),
        tables.usd_down(mm.excess_e6),
        tables.health(mm.health_e6),
        _state(im, mm),
    )


def _factors(runs: Sequence[Run]) -> tables.Table:
    from aggregator.risk.stress import FACTORS

    rows = []
    for _, _, result in runs:
        pnl = result.by_factor()
        rows.append((result.name, "P&L", *(tables.value_down(pnl[f]) for f in FACTORS)))
        steps = dict(result.requirement_steps_e6)
        rows.append(("", "requirement MM", *(tables.usd_up(steps[f]) for f in FACTORS)))
    columns = ("Scenario", "Change of", *(f">{tables.sentence_case(f)}" for f in FACTORS))
    return tables.Table("By move (USD)", columns, rows)


def _positions(result: StressResult) -> tables.Table:
    from aggregator.risk.stress import FACTORS

    rows = [
        (
            one.symbol,
            one.class_name or "-",
            *(tables.value_down(dict(one.by_factor)[f]) for f in FACTORS[:-1]),
            tables.value_down(one.pnl_e20),
        )
        for one in sorted(result.instruments, key=lambda one: one.pnl_e20)
    ]
    total = result.by_factor()
    rows.append(
        ("All", "", *(tables.value_down(total[f]) for f in FACTORS[:-1]), tables.value_down(result.pnl_e20))
    )
    columns = ("Position", "Class", *(f">{tables.sentence_case(f)}" for f in FACTORS[:-1]), ">P&L")
    return tables.Table(f"{result.name}, by position (USD)", columns, rows, total=1)


def _json(named: NamedMoves, unknown: tuple[str, ...], result: StressResult) -> dict[str, object]:
    return {
        "name": result.name,
        "source": named.source,
        "notQuoted": list(unknown),
        "pnlE20": str(result.pnl_e20),
        "state": _state(result.after_im, result.after_mm),
        "before": {"IM": level_json(result.before_im), "MM": level_json(result.before_mm)},
        "after": {"IM": level_json(result.after_im), "MM": level_json(result.after_mm)},
        "pnlByFactorE20": {f: str(pnl) for f, pnl in result.by_factor().items()},
        "pnlByClassE20": {name: str(pnl) for name, pnl in result.by_class().items()},
        "requirementByFactorE6": {f: str(step) for f, step in result.requirement_steps_e6},
        "positions": [
            {
                "symbol": one.symbol,
                "class": one.class_name,
                "pnlE20": str(one.pnl_e20),
                "byFactorE20": {f: str(pnl) for f, pnl in one.by_factor},
            }
            for one in result.instruments
        ],
    }
