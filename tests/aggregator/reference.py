"""M1-M7 in exact fractions, written from DESIGN.md and not from the engine: what the integers are compared
with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from aggregator.model.policy import Level, Policy


@dataclass(frozen=True)
class Exact:
    """Unrounded USD amounts. `radicand` is R squared, because R itself is irrational."""

    equity: Fraction
    scan: dict[int, Fraction]
    contingency: dict[int, Fraction]
    addon: Fraction


def exact(policy: Policy, positions: Mapping[int, int], level: Level) -> Exact:
    """Every term in USD without any rounding."""
    held = [(Fraction(q, 10**8), policy.by_id[i]) for i, q in positions.items()]
    equity = sum((q * Fraction(i.mark_e12, 10**12) for q, i in held), Fraction(0))
    scan = {}
    for k in range(1, len(policy.classes) + 1):
        mine = [(q, i) for q, i in held if i.class_id == k]
        losses = [
            -sum((q * Fraction(i.risk_e12[s], 10**12) for q, i in mine), Fraction(0))
            for s in range(len(policy.scenarios))
        ]
        scan[k] = max(Fraction(0), *losses)
    contingency = {}
    for group in policy.groups:
        net = sum((q * Fraction(i.unit_e6, 10**6) for q, i in held if i.group_id == group.id), Fraction(0))
        heights = [
            Fraction(line.slope_e12, 10**12) * net + Fraction(line.intercept_e26, 10**26)
            for line in group.lines(level)
        ]
        contingency[group.id] = max(Fraction(0), *heights)
    addon = Fraction(0)
    for q, i in held:
        rates = i.addon(level)
        addon += abs(q) * Fraction(rates.long_e12 if q > 0 else rates.short_e12, 10**12)
    return Exact(equity, scan, contingency, addon)


def radicand(policy: Policy, claims: Mapping[int, Fraction]) -> Fraction:
    """sum rho_kl L_k L_l in USD^2."""
    total = Fraction(0)
    for k, left in claims.items():
        for m, right in claims.items():
            total += Fraction(policy.correlation_e6[k - 1][m - 1], 10**6) * left * right
    return total
