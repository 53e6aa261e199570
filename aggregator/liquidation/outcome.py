"""The whole way of one account: liquidated, its deficit paid by the fund, and the rest left to be shared.

    equity before = equity after + liquidator + fund after - fund before + uncovered,   at the marks, to 1e-20 USD

where the equity after has the deficit paid: `uncovered` is owed by those who share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aggregator.fixed import div_ceil
from aggregator.liquidation.closing import CASH, liquidate
from aggregator.liquidation.losses import Cover, cover
from aggregator.liquidation.rules import Rules
from aggregator.liquidation.steps import E8_PER_USD_E6, Liquidation, State
from aggregator.model.policy import Policy


@dataclass(frozen=True)
class Outcome:
    """A liquidation with its deficit (1e-6 USD, rounded up) and who pays it; `positions` have the deficit paid."""

    liquidation: Liquidation
    deficit_e6: int
    cover: Cover
    positions: Mapping[int, int]


def settle(policy: Policy, positions: Mapping[int, int], rules: Rules, fund_e6: int) -> Outcome:
    """Liquidate an account once; what it then owes beyond what it has is paid, by the fund first.

    The fund takes its part of the penalties before it pays. A deficit arises only when an account is wound down and
    owes USD while nothing is left that could be sold. Raises InputError as `liquidate` does.
    """
    made = liquidate(policy, positions, rules)
    left = dict(made.positions)
    cash = policy.by_symbol[CASH].id if CASH in policy.by_symbol else 0
    owed = -left.get(cash, 0)
    deficit = div_ceil(owed, E8_PER_USD_E6) if made.state is State.WOUND_DOWN and owed > 0 else 0
    if deficit:
        left[cash] += deficit * E8_PER_USD_E6
    paid = cover(deficit, fund_e6 + made.fund_e6)
    return Outcome(made, deficit, paid, {i: quantity for i, quantity in left.items() if quantity})
