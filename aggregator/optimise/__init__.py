"""Plans within limits that the owner sets: hedging trades and moves of collateral, before and after.

The search may use floats. What a plan says is computed by the exact engine, before and after.
"""

from aggregator.optimise.hedge import HedgeRules, hedge_plan
from aggregator.optimise.plan import Costs, Plan, Step
from aggregator.optimise.rebalance import RebalanceRules, rebalance_plan

__all__ = ["Costs", "HedgeRules", "Plan", "RebalanceRules", "Step", "hedge_plan", "rebalance_plan"]
