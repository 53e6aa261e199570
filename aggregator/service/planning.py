"""Plans as the service and the command line ask for them: limits in words into rules, and plans into JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aggregator.fixed import format_decimal, parse_decimal
from aggregator.margin import positions_by_id
from aggregator.model.errors import InputError
from aggregator.model.policy import Policy
from aggregator.model.snapshot import Method, Snapshot
from aggregator.model.strictjson import JsonObject
from aggregator.model.units import E20_PER_USD_E6
from aggregator.optimise import Costs, HedgeRules, Plan, RebalanceRules, Step, hedge_plan, rebalance_plan
from aggregator.optimise.hedge import MOST_INSTRUMENTS, TRADING
from aggregator.optimise.plan import MOST_PPM
from aggregator.optimise.rebalance import MOST_TARGETS, MOVING
from aggregator.policy.acceptance import accept_readings
from aggregator.service.accepting import accepted_positions
from aggregator.service.valuing import Json, summary_of

HEDGE: Final = "hedge"
REBALANCE: Final = "rebalance"
KINDS: Final = (HEDGE, REBALANCE)
FIELDS: Final = ("limitUsd", "instruments", "costPpm", "feeUsd", "wrappers", "targets")
FREE_KINDS: Final = frozenset({"native", "erc20", "erc4626", "staked", "steth"})
"""Kinds of reading that lie in a wallet. What backs a loan or lies with a venue is not moved."""
_USD_DIGITS: Final = 6
_QUANTITY_DIGITS: Final = 8
_MOST_TEXT: Final = 60


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What a plan is asked to be. Amounts in 1e-6 USD; None stands for the default of the kind.

    `wrappers` and `targets` (symbol, quantity in 1e-8) are for a rebalance.
    """

    kind: str
    limit_e6: int | None = None
    instruments: tuple[str, ...] | None = None
    cost_ppm: int | None = None
    fee_e6: int | None = None
    wrappers: bool = False
    targets: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"the kind of plan is {self.kind[:20]!r}; use one of {', '.join(KINDS)}")
        if self.kind == HEDGE and (self.wrappers or self.targets):
            raise InputError("wrappers and targets are for a rebalance; leave them out of a hedge")

    @property
    def limit_e20(self) -> int | None:
        """The limit in 1e-20 USD."""
        return None if self.limit_e6 is None else self.limit_e6 * E20_PER_USD_E6

    def costs(self, default: Costs) -> Costs:
        """The costs asked for, or else those of `default`."""
        return Costs(
            default.ppm if self.cost_ppm is None else self.cost_ppm,
            default.fixed_e6 if self.fee_e6 is None else self.fee_e6,
        )


def usd_e6(text: str, where: str) -> int:
    """An amount of USD of at least 0 in 1e-6; raises InputError."""
    amount = parse_decimal(text, _USD_DIGITS, signed=False)
    if amount < 0:
        raise InputError(f"{where} is {text}; use an amount of at least 0")
    return amount


def quantity_e8(text: str) -> int:
    """A quantity in 1e-8; raises InputError."""
    return parse_decimal(text, _QUANTITY_DIGITS)


def parse_request(body: JsonObject) -> PlanRequest:
    """The request in a body, whose fields are `kind` and maybe those of `FIELDS`; raises InputError."""
    given = body.value

    def usd(name: str) -> int | None:
        return usd_e6(body.text(name, max_length=_MOST_TEXT), f"body.{name}") if name in given else None

    instruments = body.texts("instruments") if "instruments" in given else None
    if instruments is not None and not 0 < len(instruments) <= MOST_INSTRUMENTS:
        body.fail("instruments", f"names {len(instruments)} instruments; name 1 to {MOST_INSTRUMENTS}")
    targets = body.children("targets", _target) if "targets" in given else ()
    if len(targets) > MOST_TARGETS:
        body.fail("targets", f"has {len(targets)} entries; give at most {MOST_TARGETS}")
    return PlanRequest(
        kind=body.text("kind"),
        limit_e6=usd("limitUsd"),
        instruments=instruments,
        cost_ppm=body.number("costPpm", 0, MOST_PPM) if "costPpm" in given else None,
        fee_e6=usd("feeUsd"),
        wrappers=body.boolean("wrappers") if "wrappers" in given else False,
        targets=targets,
    )


def _target(value: object, where: str) -> tuple[str, int]:
    fields = JsonObject(value, where, ("symbol", "quantity"), error=InputError)
    return fields.text("symbol"), quantity_e8(fields.text("quantity", max_length=_MOST_TEXT))


def make_plan(policy: Policy, snapshot: Snapshot, request: PlanRequest) -> Plan:
    """The plan for the account of a complete snapshot; nothing is traded or moved.

    Raises IncompleteSnapshotError, and InputError for an instrument that a plan of this kind cannot use.
    """
    snapshot.require_complete()
    positions = positions_by_id(policy, accepted_positions(policy, snapshot))
    if request.kind == HEDGE:
        rules = HedgeRules(request.costs(TRADING), request.limit_e20, request.instruments)
        return hedge_plan(policy, positions, rules)
    return rebalance_plan(
        policy,
        positions,
        RebalanceRules(
            request.costs(MOVING),
            request.limit_e20,
            request.instruments,
            request.wrappers,
            request.targets,
        ),
        movable(policy, snapshot),
    )


def movable(policy: Policy, snapshot: Snapshot) -> Mapping[int, int]:
    """What lies in the account's own wallets (1e-8 by instrument id), as the policy counts it."""
    free = [r for r in snapshot.readings if r.kind in FREE_KINDS and r.method is not Method.REPORTED]
    counted = accept_readings(policy.acceptance, free).positions
    return {policy.by_symbol[symbol].id: q for symbol, q in counted.items() if symbol in policy.by_symbol}


def plan_json(plan: Plan) -> Json:
    """A plan as JSON: amounts and quantities are decimal strings."""
    return {
        "steps": [step_json(step) for step in plan.steps],
        "reason": plan.reason,
        "costUsd": format_decimal(plan.cost_e6, _USD_DIGITS),
        "before": summary_of(plan.before_im, plan.before_mm),
        "after": summary_of(plan.after_im, plan.after_mm),
    }


def step_json(step: Step) -> Json:
    """One step as JSON."""
    received = step.received_e8
    return {
        "text": step.text,
        "symbol": step.symbol,
        "from": step.source,
        "to": step.target,
        "quantity": format_decimal(step.quantity_e8, _QUANTITY_DIGITS),
        "received": None if received is None else format_decimal(received, _QUANTITY_DIGITS),
        "costUsd": format_decimal(step.cost_e6, _USD_DIGITS),
    }
