"""Stress: an account in moved markets, and which move, class and instrument made the difference.

The moves are applied one after the other (spot, volatility, skew, basis, correlation); the profit and loss of each
step is exact, and the steps add up to the whole change of equity.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from aggregator.margin.native import Evaluation
from aggregator.model.policy import Level, Policy
from aggregator.risk.desk import STILL, Desk, Moves

FACTORS: Final = ("spot", "volatility", "skew", "basis", "correlation")


@dataclass(frozen=True, slots=True)
class Attribution:
    """Profit and loss of one instrument by factor, in 1e-20 USD; `class_name` is empty for one without a class."""

    symbol: str
    class_name: str
    by_factor: tuple[tuple[str, int], ...]

    @property
    def pnl_e20(self) -> int:
        """Over all factors."""
        return sum(pnl for _, pnl in self.by_factor)


@dataclass(frozen=True)
class StressResult:
    """An account before and after: `pnl_e20` is the change of equity, the sum of all attributions.

    `requirement_steps_e6` is the change of the MM requirement by each move; correlation has only this effect.
    """

    name: str
    before_im: Evaluation
    before_mm: Evaluation
    after_im: Evaluation
    after_mm: Evaluation
    instruments: tuple[Attribution, ...]
    requirement_steps_e6: tuple[tuple[str, int], ...]

    @property
    def pnl_e20(self) -> int:
        """Change of equity."""
        return self.after_im.equity_e20 - self.before_im.equity_e20

    @property
    def liquidated(self) -> bool:
        """Whether the account is below maintenance margin after the stress."""
        return self.after_mm.excess_e6 < 0

    def by_factor(self) -> dict[str, int]:
        """Profit and loss of each move."""
        return {f: sum(dict(one.by_factor)[f] for one in self.instruments) for f in FACTORS}

    def by_class(self) -> dict[str, int]:
        """Profit and loss of each risk class."""
        totals: dict[str, int] = {}
        for one in self.instruments:
            totals[one.class_name] = totals.get(one.class_name, 0) + one.pnl_e20
        return totals


def _stages(desk: Desk, moves: Moves) -> Iterable[Policy]:
    stage = STILL
    yield desk.policy(stage)
    for changes in (
        {"spot_e6": moves.spot_e6, "rates_e6": moves.rates_e6},
        {"volatility_e6": moves.volatility_e6},
        {"skew_e6": moves.skew_e6},
        {"basis_e6": moves.basis_e6},
        {"correlation_e6": moves.correlation_e6},
    ):
        stage = replace(stage, **changes)
        yield desk.policy(stage)


def stress(desk: Desk, name: str, moves: Moves) -> StressResult:
    """The account of `desk` under `moves`.

    Raises InputError for a price nobody quotes, PolicyError when a moved smile admits arbitrage (a smaller move
    helps).
    """
    policies = list(_stages(desk, moves))
    instruments = []
    for symbol, quantity in sorted(desk.positions.items()):
        marks = [policy.by_symbol[symbol].mark_e12 for policy in policies]
        steps = tuple(
            (factor, quantity * (after - before))
            for factor, before, after in zip(FACTORS, marks[:-1], marks[1:], strict=True)
        )
        class_id = policies[0].by_symbol[symbol].class_id
        class_name = policies[0].classes[class_id - 1] if class_id else ""
        instruments.append(Attribution(symbol, class_name, steps))
    first, last = policies[0], policies[-1]
    required = [desk.evaluate(policy, Level.MM).requirement_e6 for policy in policies]
    return StressResult(
        name=name,
        before_im=desk.evaluate(first, Level.IM),
        before_mm=desk.evaluate(first, Level.MM),
        after_im=desk.evaluate(last, Level.IM),
        after_mm=desk.evaluate(last, Level.MM),
        instruments=tuple(instruments),
        requirement_steps_e6=tuple(
            (factor, after - before)
            for factor, before, after in zip(FACTORS, required[:-1], required[1:], strict=True)
        ),
    )
