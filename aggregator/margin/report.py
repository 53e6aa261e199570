"""A report in which every number explains itself: where it comes from, what decided it, what netting saved.

`make_report` evaluates an account at both margin levels; `aggregator.margin.explain` puts it into words and
`aggregator.margin.report_json` into JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from aggregator.fixed import div_ceil
from aggregator.margin.native import ClassRisk, Evaluation, GroupCharge, PositionValue, evaluate
from aggregator.model.policy import Level, Line, Policy
from aggregator.model.units import E26_PER_USD_E6

OFF_CHAIN = "venue"
"""Where positions without a chain in their symbol are listed: derivatives and the cash leg."""


class Status(StrEnum):
    """What the account may do."""

    GOOD = "good"
    RESTRICTED = "restricted"
    LIQUIDATABLE = "liquidatable"


@dataclass(frozen=True, slots=True)
class ScenarioLoss:
    """One scenario of a class: its P&L in 1e-20 USD."""

    name: str
    pnl_e20: int


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one position makes or loses in a class's binding scenario."""

    symbol: str
    quantity_e8: int
    risk_e12: int
    pnl_e20: int


@dataclass(frozen=True, slots=True)
class ClassReport:
    """Scan risk of one class: all scenarios, the one that decides, and what each position does in it."""

    name: str
    scan_risk_e6: int
    scenarios: tuple[ScenarioLoss, ...]
    binding: str | None
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class TierReport:
    """One line of a group at the account's net quantity; `charge_e6` is 0 where the line is below zero."""

    line: Line
    charge_e6: int
    binding: bool


@dataclass(frozen=True, slots=True)
class GroupReport:
    """Contingency of one netting group on its net quantity (in 1e-14 units of the asset)."""

    name: str
    net_e14: int
    gross_e14: int
    charge_e6: int
    tiers: tuple[TierReport, ...]
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Isolated:
    """What the same positions need one by one (each in an account of its own), and what one account saves."""

    requirement_e6: int
    saved_e6: int
    by_symbol: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class LevelReport:
    """Everything at one margin level. `correlation_credit_e6` is the sum of the scan risks less R."""

    level: Level
    positions: tuple[PositionValue, ...]
    classes: tuple[ClassReport, ...]
    groups: tuple[GroupReport, ...]
    scan_factor_e6: int
    scan_sum_e6: int
    correlated_e6: int
    correlation_credit_e6: int
    scan_e20: int
    contingency_e6: int
    addon_e20: int
    requirement_e20: int
    requirement_e6: int
    excess_e6: int
    health_e6: int | None
    isolated: Isolated


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What lies on one chain: assets, debts (negative) and their sum in 1e-20 USD, and the IM add-ons there."""

    chain: str
    assets_e20: int
    debts_e20: int
    net_e20: int
    addon_im_e20: int


@dataclass(frozen=True, slots=True)
class Report:
    """One account under one policy, at both levels."""

    policy_name: str
    policy_epoch: int
    policy_as_of: int
    policy_expires: int
    class_names: tuple[str, ...]
    correlation_e6: tuple[tuple[int, ...], ...]
    equity_e20: int
    status: Status
    im: LevelReport
    mm: LevelReport
    chains: tuple[ChainReport, ...]


def chain_of(symbol: str) -> str:
    """The CAIP-2 chain in a symbol such as ETH@eip155:1, or `OFF_CHAIN`."""
    _, at, chain = symbol.partition("@")
    return chain if at else OFF_CHAIN


def chain_breakdown(positions: tuple[PositionValue, ...]) -> tuple[ChainReport, ...]:
    """Values per chain, in order of chain id, what is off chain last. The nets add up to the equity."""
    rows: dict[str, list[PositionValue]] = {}
    for position in positions:
        rows.setdefault(chain_of(position.instrument.symbol), []).append(position)
    return tuple(
        ChainReport(
            chain=chain,
            assets_e20=sum(p.value_e20 for p in rows[chain] if p.value_e20 > 0),
            debts_e20=sum(p.value_e20 for p in rows[chain] if p.value_e20 < 0),
            net_e20=sum(p.value_e20 for p in rows[chain]),
            addon_im_e20=sum(p.addon_e20 for p in rows[chain]),
        )
        for chain in sorted(rows, key=lambda chain: (chain == OFF_CHAIN, chain))
    )


def isolated_margin(policy: Policy, positions: Mapping[int, int], level: Level, cross_e6: int) -> Isolated:
    """The requirement of each position alone, their sum, and the sum less the cross requirement.

    The saving is negative where size tiers charge the joint quantity more than the parts.
    """
    alone = [
        (policy.by_id[i].symbol, evaluate(policy, {i: quantity}, level).requirement_e6)
        for i, quantity in sorted(positions.items())
    ]
    total = sum(requirement for _, requirement in alone)
    return Isolated(total, total - cross_e6, tuple(alone))


def _class_report(policy: Policy, risk: ClassRisk, positions: tuple[PositionValue, ...]) -> ClassReport:
    contributions: tuple[Contribution, ...] = ()
    if risk.binding is not None:
        contributions = tuple(
            Contribution(
                symbol=p.instrument.symbol,
                quantity_e8=p.quantity_e8,
                risk_e12=p.instrument.risk_e12[risk.binding],
                pnl_e20=p.quantity_e8 * p.instrument.risk_e12[risk.binding],
            )
            for p in positions
            if p.instrument.class_id == risk.class_id
        )
    scenarios = zip(policy.scenarios, risk.pnl_e20, strict=True)
    return ClassReport(
        name=risk.name,
        scan_risk_e6=risk.scan_risk_e6,
        scenarios=tuple(ScenarioLoss(name, pnl) for name, pnl in scenarios),
        binding=None if risk.binding is None else policy.scenarios[risk.binding],
        contributions=contributions,
    )


def _group_report(
    policy: Policy, charge: GroupCharge, positions: tuple[PositionValue, ...], level: Level
) -> GroupReport:
    members = [p for p in positions if p.instrument.group_id == charge.group_id]
    tiers = tuple(
        TierReport(
            line=line,
            charge_e6=max(0, div_ceil(line.slope_e12 * charge.net_e14 + line.intercept_e26, E26_PER_USD_E6)),
            binding=n == charge.binding,
        )
        for n, line in enumerate(policy.group_by_id[charge.group_id].lines(level))
    )
    return GroupReport(
        name=charge.name,
        net_e14=charge.net_e14,
        gross_e14=sum(abs(p.quantity_e8) * p.instrument.unit_e6 for p in members),
        charge_e6=charge.charge_e6,
        tiers=tiers,
        members=tuple(p.instrument.symbol for p in members),
    )


def _level_report(policy: Policy, positions: Mapping[int, int], result: Evaluation) -> LevelReport:
    scan_sum = sum(c.scan_risk_e6 for c in result.classes)
    return LevelReport(
        level=result.level,
        positions=result.positions,
        classes=tuple(_class_report(policy, c, result.positions) for c in result.classes),
        groups=tuple(_group_report(policy, g, result.positions, result.level) for g in result.groups),
        scan_factor_e6=policy.scan_factor_e6(result.level),
        scan_sum_e6=scan_sum,
        correlated_e6=result.correlated_e6,
        correlation_credit_e6=scan_sum - result.correlated_e6,
        scan_e20=result.scan_e20,
        contingency_e6=result.contingency_e6,
        addon_e20=result.addon_e20,
        requirement_e20=result.requirement_e20,
        requirement_e6=result.requirement_e6,
        excess_e6=result.excess_e6,
        health_e6=result.health_e6,
        isolated=isolated_margin(policy, positions, result.level, result.requirement_e6),
    )


def status_of(im: Evaluation, mm: Evaluation) -> Status:
    """What an account may do, from its excess at each level."""
    if mm.excess_e6 < 0:
        return Status.LIQUIDATABLE
    return Status.RESTRICTED if im.excess_e6 < 0 else Status.GOOD


def make_report(policy: Policy, positions: Mapping[int, int]) -> Report:
    """The account `positions` (instrument id -> quantity in 1e-8) under `policy`, at IM and MM.

    Raises InputError as `evaluate` does.
    """
    im, mm = (evaluate(policy, positions, level) for level in (Level.IM, Level.MM))
    return Report(
        policy_name=policy.name,
        policy_epoch=policy.epoch,
        policy_as_of=policy.as_of,
        policy_expires=policy.expires,
        class_names=policy.classes,
        correlation_e6=policy.correlation_e6,
        equity_e20=im.equity_e20,
        status=status_of(im, mm),
        im=_level_report(policy, positions, im),
        mm=_level_report(policy, positions, mm),
        chains=chain_breakdown(im.positions),
    )
