"""Rebalance plans: the same collateral on another chain, or unwrapped, where its add-ons are lower or it is needed.

Nothing is sold. A move keeps the quantity of its token; unwrapping keeps what the token stands for, rounded down. Costs
are paid in USD. Every move is judged by the exact engine with the moves before it made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from aggregator.fixed import mul_div_up
from aggregator.model.errors import InputError
from aggregator.model.policy import Instrument, InstrumentKind, Level, Policy
from aggregator.model.units import USD_SCALE
from aggregator.optimise.plan import Account, Costs, Plan, Step, amount, usd_down, usd_up

MOVING: Final = Costs(ppm=100, fixed_e6=5 * USD_SCALE)
"""The default cost of a move: 0.01 % of the amount for a bridge, and 5 USD for gas on both chains."""
LOT_E8: Final = 100
"""What a part of a holding is a multiple of: 1e-6 of a token, which every token can be divided into."""
MOST_TARGETS: Final = 64
_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True)
class RebalanceRules:
    """The owner's limits.

    `limit_e20` is the most to move in all, in 1e-20 USD at the marks. `instruments` are the symbols that may give or
    take; None allows all. `wrappers` also allows a token to be changed, on its chain, into another that stands for the
    same asset. `targets` are quantities (1e-8 by symbol) that are reached, whether or not that pays, and then kept.
    """

    costs: Costs = MOVING
    limit_e20: int | None = None
    instruments: tuple[str, ...] | None = None
    wrappers: bool = False
    targets: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if self.limit_e20 is not None and self.limit_e20 < 0:
            raise InputError("the limit is below 0; use a limit of at least 0")
        if (
            len({symbol for symbol, _ in self.targets}) < len(self.targets)
            or len(self.targets) > MOST_TARGETS
        ):
            raise InputError(
                f"the targets name an instrument twice, or more than {MOST_TARGETS}; correct them"
            )
        if any(quantity < 0 for _, quantity in self.targets):
            raise InputError("a target is below 0; use quantities of at least 0")


NO_LIMITS: Final = RebalanceRules()


def rebalance_plan(
    policy: Policy,
    positions: Mapping[int, int],
    rules: RebalanceRules = NO_LIMITS,
    movable: Mapping[int, int] | None = None,
) -> Plan:
    """The moves within `rules`: first those that reach its targets, then those that save more than they cost.

    `positions` maps instrument ids to quantities in 1e-8, `movable` says how much of each is free to leave (all of it
    when None). The order of either does not matter. No quantity of a token becomes negative, and none leaves the
    account below maintenance margin that was above it.

    Raises InputError for a name that is no token of the policy on a chain, and as `evaluate` does.
    """
    account = Account(policy, positions)
    for symbol in (*(rules.instruments or ()), *(symbol for symbol, _ in rules.targets)):
        _token_named(policy, symbol)
    if account.cash is None:
        return account.nothing(f"The policy {policy.name} lists no USD that the costs could be paid in.")
    moves = _Moves(account, rules, movable)
    missed = [text for symbol, quantity in sorted(rules.targets) if (text := moves.reach(symbol, quantity))]
    moves.save()
    return account.plan(moves.steps, _reason(account, moves, missed), moves.held)


def _reason(account: Account, moves: _Moves, missed: list[str]) -> str:
    parts = []
    if moves.steps:
        plan = account.plan(moves.steps, "", moves.held)
        saved = account.im.requirement_e6 - plan.after_im.requirement_e6
        way = "falls" if saved >= 0 else "rises"
        shown = usd_down(saved) if saved >= 0 else usd_up(-saved)
        parts.append(f"The IM requirement {way} by {shown} USD; the moves cost {usd_up(plan.cost_e6)} USD.")
    elif not any(moves.free(i) for i in account.positions):
        parts.append("The account holds no token that is free to be moved.")
    elif not missed:
        parts.append("No move saves more IM add-on than it costs, within the limit.")
    return " ".join((*parts, *missed))


def is_token(one: Instrument) -> bool:
    """Whether an instrument is a token on a chain that nets with others of its asset."""
    return (
        one.kind is InstrumentKind.SPOT
        and "@" in one.symbol
        and one.group_id != 0
        and one.unit_e6 > 0
        and one.mark_e12 > 0
    )


def _token_named(policy: Policy, symbol: str) -> Instrument:
    found = policy.by_symbol.get(symbol)
    if found is None or not is_token(found):
        raise InputError(
            f"{symbol[:60]!r} is no token on a chain that the policy {policy.name} prices; write it like ETH@eip155:1"
        )
    return found


def _name(one: Instrument) -> str:
    return one.symbol.partition("@")[0]


def _chain(one: Instrument) -> str:
    return one.symbol.partition("@")[2]


def _addon_rate(one: Instrument) -> Fraction:
    """The IM add-on of a holding as a share of its value."""
    return Fraction(one.addon(Level.IM).long_e12, one.mark_e12)


class _Moves:
    """The moves so far, and the quantities that they lead to."""

    def __init__(self, account: Account, rules: RebalanceRules, movable: Mapping[int, int] | None) -> None:
        self.account, self.rules = account, rules
        self.policy = account.policy
        self.held = dict(account.positions)
        self.steps: list[Step] = []
        self.spent_e20 = 0
        self._movable = dict(account.positions if movable is None else movable)
        self._targets = {self.policy.by_symbol[symbol].id: quantity for symbol, quantity in rules.targets}
        allowed = None if rules.instruments is None else set(rules.instruments)
        self._tokens = sorted(
            (
                one
                for one in self.policy.instruments
                if is_token(one) and (allowed is None or one.symbol in allowed)
            ),
            key=lambda one: one.symbol,
        )

    def free(self, instrument_id: int) -> int:
        """How much of a holding may leave: what is free of it and above its target."""
        one = self.policy.by_id[instrument_id]
        if not is_token(one):
            return 0
        held = self.held.get(instrument_id, 0)
        return max(0, min(self._movable.get(instrument_id, 0), held - self._targets.get(instrument_id, 0)))

    def reach(self, symbol: str, quantity: int) -> str:
        """Move until `symbol` has at least `quantity`; what is missing, in words, else empty."""
        target = self.policy.by_symbol[symbol]
        sources = [one for one in self._tokens if self._leads(one, target) and self.free(one.id)]
        sources.sort(key=lambda one: (-_addon_rate(one), -self.free(one.id) * one.mark_e12, one.symbol))
        for source in sources:
            lacking = quantity - self.held.get(target.id, 0)
            if lacking <= 0:
                break
            wanted = self._needed(source, target, lacking)
            self._try(source, target, min(wanted, self._most(source, target)), must_pay=False)
        lacking = quantity - self.held.get(target.id, 0)
        if lacking <= 0:
            return ""
        short = f"{symbol} stays {amount(lacking)} short of {amount(quantity)}"
        return f"{short}: no more can be moved there within the limit."

    def save(self) -> None:
        """Change tokens on their chains, then move them between chains, while that pays."""
        for _ in range(_ROUNDS):
            before = len(self.steps)
            for same_chain in (True, False):
                for source, target in self._cheaper(same_chain=same_chain):
                    self._try(source, target, self._most(source, target), must_pay=True)
            if len(self.steps) == before:
                return

    def _cheaper(self, *, same_chain: bool) -> list[tuple[Instrument, Instrument]]:
        """Every holding with the place where its add-on is lowest, what saves most of its value first."""
        pairs = []
        for source in self._tokens:
            places = self._cheaper_places(source, same_chain=same_chain) if self.free(source.id) else []
            if places:
                pairs.append((source, min(places, key=lambda one: (_addon_rate(one), one.symbol))))
        return sorted(pairs, key=lambda pair: (_addon_rate(pair[1]) - _addon_rate(pair[0]), pair[0].symbol))

    def _cheaper_places(self, source: Instrument, *, same_chain: bool) -> list[Instrument]:
        return [
            one
            for one in self._tokens
            if self._leads(source, one)
            and (_chain(one) == _chain(source)) is same_chain
            and _addon_rate(one) < _addon_rate(source)
            and self.held.get(one.id, 0) >= 0
        ]

    def _leads(self, source: Instrument, target: Instrument) -> bool:
        """Whether a token can become another: the same on another chain, or the same asset on the same chain."""
        if source.id == target.id or source.group_id != target.group_id:
            return False
        if _name(source) == _name(target):
            return (source.mark_e12, source.unit_e6) == (target.mark_e12, target.unit_e6)
        return self.rules.wrappers and _chain(source) == _chain(target)

    def _received(self, source: Instrument, target: Instrument, quantity: int) -> int:
        """What arrives, rounded down: neither worth more nor standing for more than what leaves."""
        if _name(source) == _name(target):
            return quantity
        by_mark = quantity * source.mark_e12 // target.mark_e12
        return min(by_mark, quantity * source.unit_e6 // target.unit_e6)

    def _needed(self, source: Instrument, target: Instrument, received: int) -> int:
        """What has to leave so that `received` arrives."""
        if _name(source) == _name(target):
            return received
        by_mark = mul_div_up(received, target.mark_e12, source.mark_e12)
        return max(by_mark, mul_div_up(received, target.unit_e6, source.unit_e6))

    def _most(self, source: Instrument, target: Instrument) -> int:
        """The most that may go: what is free, what the target can take, and what the limit leaves."""
        free = self.free(source.id)
        most = free
        room = max(0, target.max_quantity_e8 - self.held.get(target.id, 0))
        if self._received(source, target, most) > room:
            most = min(
                most, room * target.mark_e12 // source.mark_e12, room * target.unit_e6 // source.unit_e6
            )
        if self.rules.limit_e20 is not None:
            most = min(most, (self.rules.limit_e20 - self.spent_e20) // source.mark_e12)
        return most if most == free else most - most % LOT_E8

    def _try(self, source: Instrument, target: Instrument, quantity: int, *, must_pay: bool) -> None:
        """Make a move when it may be made and, with `must_pay`, raises the IM excess."""
        received = self._received(source, target, quantity)
        if quantity <= 0 or received <= 0:
            return
        cost = self.rules.costs.of(quantity * source.mark_e12)
        after = self.account.changed(self.held, {source.id: -quantity, target.id: received}, cost)
        excess = self.account.im_excess_e6(after)
        if after is None or excess is None:
            return
        if must_pay:
            current = self.account.im_excess_e6(self.held)
            if current is not None and excess <= current:
                return
        self.held = after
        self.spent_e20 += quantity * source.mark_e12
        self._movable[source.id] = self._movable.get(source.id, 0) - quantity
        self._movable[target.id] = self._movable.get(target.id, 0) + received
        self.steps.append(_step(source, target, quantity, received, cost))


def _step(source: Instrument, target: Instrument, quantity: int, received: int, cost: int) -> Step:
    if _name(source) == _name(target):
        text = f"Move {amount(quantity)} {_name(source)} from {_chain(source)} to {_chain(target)}"
    else:
        text = f"Change {amount(quantity)} {_name(source)} into {amount(received)} {_name(target)} on {_chain(source)}"
    return Step(text, _name(source), source.symbol, target.symbol, quantity, received, cost)
