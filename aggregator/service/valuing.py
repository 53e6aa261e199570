"""Valuations as the service answers them: the report, its waterfall, a summary, and what rulebooks say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aggregator.fixed import format_decimal
from aggregator.margin import Report, evaluate, explain, make_report, to_json
from aggregator.margin.native import Evaluation
from aggregator.margin.report import LevelReport, status_of
from aggregator.margin.rulebooks import book_of
from aggregator.model.errors import ExpiredError
from aggregator.model.policy import Level, Policy
from aggregator.service import provenance
from aggregator.service.accepting import accept
from aggregator.service.library import Case
from aggregator.service.rulebooks import ALL, compare, compare_all, rulebooks_json

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class HealthQuery:
    """What is asked beside the report."""

    rulebooks: str | None = None
    rulebook_paths: tuple[str, ...] = ()
    expired: bool = False


def require_in_force(policy: Policy, now: int) -> None:
    """Raise ExpiredError when the policy is past its end."""
    if policy.expires < now:
        raise ExpiredError(
            f"policy {policy.name} epoch {policy.epoch} ran out {now - policy.expires} s ago; "
            "use the next epoch, or look back with expired=true"
        )


def health(case: Case, query: HealthQuery, now: int) -> Json:
    """The whole answer for an account; without a report when its snapshot is not complete.

    Raises ExpiredError, InputError for a position that the policy does not price or a rulebook that there is not.
    """
    if not query.expired:
        require_in_force(case.policy, now)
    answer: Json = {
        "account": case.row.account,
        "accountId": f"0x{case.snapshot.account_id:064x}",
        "snapshot": case.row.id,
        "policy": case.stored_policy.id,
        "policyRoot": case.stored_policy.root,
        "policyExpired": case.policy.expires < now,
        "report": None,
        "notCounted": [],
        "explanation": [],
        "waterfall": None,
        "greeks": None,
        "greeksMissing": None,
        "rulebooks": [],
        "rulebooksRefused": [],
        **provenance.of_snapshot(case.snapshot),
    }
    if not case.snapshot.complete:
        return answer
    positions = case.positions
    report = make_report(case.policy, positions)
    answer |= {
        "notCounted": list(accept(case.policy, case.snapshot).notes),
        "report": to_json(report),
        "explanation": list(explain(report)),
        "waterfall": {"im": waterfall(report, report.im), "mm": waterfall(report, report.mm)},
    }
    if query.rulebooks is not None:
        book = book_of(case.policy, positions)
        refused: dict[str, str] = {}
        if query.rulebooks == ALL:
            compared, refused = compare_all(query.rulebook_paths, book)
        else:
            compared = compare(query.rulebooks, query.rulebook_paths, book)
        answer["rulebooks"] = rulebooks_json(compared)
        answer["rulebooksRefused"] = [{"name": n, "reason": reason} for n, reason in refused.items()]
    return answer


def waterfall(report: Report, level: LevelReport) -> list[Json]:
    """Steps from the gross assets over equity and requirement to the excess at one level.

    The haircut steps are before rounding up to 1e-6 USD; the requirement and the excess are after it.
    """
    steps: list[Json] = []

    def step(name: str, kind: str, group: str, amount: int, digits: int) -> None:
        steps.append(
            {"name": name, "kind": kind, "group": group, "amountUsd": format_decimal(amount, digits)}
        )

    for chain in report.chains:
        if chain.assets_e20:
            step(chain.chain, "plus", "assets", chain.assets_e20, 20)
    for chain in report.chains:
        if chain.debts_e20:
            step(chain.chain, "minus", "debts", -chain.debts_e20, 20)
    step("equity", "total", "equity", report.equity_e20, 20)
    for one in level.classes:
        if one.scan_risk_e6:
            step(one.name, "minus", "scan", one.scan_risk_e6 * level.scan_factor_e6, 12)
    if level.correlation_credit_e6:
        step("correlation", "plus", "correlation", level.correlation_credit_e6 * level.scan_factor_e6, 12)
    for group in level.groups:
        if group.charge_e6:
            step(group.name, "minus", "haircut", group.charge_e6, 6)
    for position in level.positions:
        if position.addon_e20:
            step(position.instrument.symbol, "minus", "addon", position.addon_e20, 20)
    step("requirement", "total", "requirement", level.requirement_e6, 6)
    step("excess", "total", "excess", level.excess_e6, 6)
    return steps


def summary(policy: Policy, positions: dict[int, int]) -> Json:
    """Equity, requirement, excess and health at both levels."""
    return summary_of(*(evaluate(policy, positions, level) for level in (Level.IM, Level.MM)))


def summary_of(im: Evaluation, mm: Evaluation) -> Json:
    """The summary of two evaluations of one account."""
    return {
        "status": status_of(im, mm).value,
        "equityUsd": format_decimal(im.equity_e20, 20),
        "im": _level(im),
        "mm": _level(mm),
    }


def _level(one: Evaluation) -> Json:
    return {
        "requirementUsd": format_decimal(one.requirement_e6, 6),
        "scanUsd": format_decimal(one.scan_e20, 20),
        "contingencyUsd": format_decimal(one.contingency_e6, 6),
        "addonUsd": format_decimal(one.addon_e20, 20),
        "excessUsd": format_decimal(one.excess_e6, 6),
        "health": None if one.health_e6 is None else format_decimal(one.health_e6, 6),
    }


def decimals(amounts: Sequence[tuple[str, int]], digits: int) -> dict[str, str]:
    """Named amounts as decimal strings."""
    return {name: format_decimal(amount, digits) for name, amount in amounts}
