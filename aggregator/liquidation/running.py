"""An account's MM margin while parts of it are closed: M1-M6 to the last digit, only what changes computed again.

`aggregator.margin.native.evaluate` stays the reference: a liquidation begins and ends with it, and the tests compare
the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aggregator.fixed import div_ceil, div_floor
from aggregator.margin.native import correlated_risk_e6, group_charge
from aggregator.model.policy import Instrument, Level, Policy
from aggregator.model.units import E20_PER_USD_E6, RATE_SCALE, SCENARIOS

NOTHING = (0,) * SCENARIOS


def _addon(one: Instrument, quantity: int) -> int:
    addon = one.addon_mm
    return abs(quantity) * (addon.long_e12 if quantity > 0 else addon.short_e12)


@dataclass(frozen=True, slots=True)
class Running:
    """Quantities, and what M1-M5 are summed from: P&L by scenario and scan risk by class, net and charge by group."""

    policy: Policy
    held: Mapping[int, int]
    equity_e20: int
    requirement_e20: int
    pnl_e20: tuple[tuple[int, ...], ...]
    scan_e6: tuple[int, ...]
    nets_e14: Mapping[int, int]
    charges_e6: Mapping[int, int]
    addon_e20: int

    @classmethod
    def of(cls, policy: Policy, positions: Mapping[int, int]) -> Running:
        """The state of an account that `evaluate` has valued under the policy."""
        count = len(policy.classes)
        return cls(policy, {}, 0, 0, (NOTHING,) * count, (0,) * count, {}, {}, 0).after(positions)

    @property
    def health_e6(self) -> int | None:
        """Equity over requirement rounded down, None where nothing is required."""
        required = self.requirement_e20
        return div_floor(self.equity_e20 * RATE_SCALE, required) if required else None

    def after(self, changes: Mapping[int, int]) -> Running:
        """The state after signed quantities (1e-8) are added, by instrument id."""
        by_id = self.policy.by_id
        held, pnl, nets = dict(self.held), list(self.pnl_e20), dict(self.nets_e14)
        equity, addon = self.equity_e20, self.addon_e20
        classes, groups = set(), set()
        for i, change in changes.items():
            one = by_id[i]
            before = held.get(i, 0)
            now = before + change
            held[i] = now
            equity += change * one.mark_e12
            addon += _addon(one, now) - _addon(one, before)
            if one.class_id:
                at = one.class_id - 1
                pnl[at] = tuple([p + change * r for p, r in zip(pnl[at], one.risk_e12, strict=True)])
                classes.add(at)
            if one.group_id:
                nets[one.group_id] = nets.get(one.group_id, 0) + change * one.unit_e6
                groups.add(one.group_id)
        scan = list(self.scan_e6)
        for at in classes:
            scan[at] = max(0, div_ceil(-min(pnl[at]), E20_PER_USD_E6))
        charges = dict(self.charges_e6)
        for group in groups:
            charges[group] = group_charge(self.policy, group, nets[group], Level.MM).charge_e6
        joint = correlated_risk_e6(self.policy.correlation_e6, tuple(scan))
        scanned = self.policy.scan_factor_mm_e6 * joint * (E20_PER_USD_E6 // RATE_SCALE)
        requirement = scanned + sum(charges.values()) * E20_PER_USD_E6 + addon
        return Running(self.policy, held, equity, requirement, tuple(pnl), tuple(scan), nets, charges, addon)
