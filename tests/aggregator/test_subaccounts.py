"""Sub-accounts: netting inside, ring-fenced outside, and both sides of a move."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.margin.native import positions_by_id
from aggregator.margin.report import Status
from aggregator.margin.subaccounts import move_position
from aggregator.model.errors import InputError
from aggregator.model.policy import Level, Policy
from tests.aggregator.markets import E8, policy
from tests.aggregator.strategies import accounts

CHAIN = "eip155:31337001"
ETH = f"ETH@{CHAIN}"
HEDGED = {ETH: 10.0, "ETH-PERP": -10.0, "USD": 30_000.0}


def ids(positions: dict[str, float]) -> dict[int, int]:
    return positions_by_id(policy(), {symbol: round(q * E8) for symbol, q in positions.items()})


def test_taking_the_hedge_away_costs_both_sides() -> None:
    """The short perp leaves the coins: one side loses its offset, the other is short without collateral."""
    perp = policy().by_symbol["ETH-PERP"].id
    move = move_position(policy(), ids(HEDGED), {}, perp, -10 * E8)
    assert move.giver.after_im.requirement_e6 > move.giver.before_im.requirement_e6
    assert move.taker.excess_change_e6(Level.MM) < 0
    assert move.taker.status is Status.LIQUIDATABLE
    assert not move.allowed
    back = move_position(policy(), {perp: -10 * E8}, ids({ETH: 10.0, "USD": 30_000.0}), perp, -10 * E8)
    assert back.taker.after_im == move.giver.before_im
    assert back.allowed


@given(accounts(max_instruments=4, max_positions=4), st.data())
def test_equity_is_only_moved(account: tuple[Policy, dict[int, int]], data: st.DataObject) -> None:
    """What one side gains in equity the other loses, exactly."""
    rules, giver = account
    movable = [i for i, q in giver.items() if q]
    if not movable:
        return
    chosen = data.draw(st.sampled_from(movable))
    part = data.draw(st.integers(1, abs(giver[chosen]))) * (1 if giver[chosen] > 0 else -1)
    move = move_position(rules, giver, {}, chosen, part)
    equity = [side.after_im.equity_e20 - side.before_im.equity_e20 for side in (move.giver, move.taker)]
    assert equity[0] == -equity[1] == -part * rules.by_id[chosen].mark_e12


@pytest.mark.parametrize("quantity", [0, 11, -1])
def test_only_what_is_held_can_move(quantity: int) -> None:
    """Nothing, more than all, and the wrong sign are refused."""
    with pytest.raises(InputError, match="cannot be moved"):
        move_position(policy(), ids(HEDGED), {}, policy().by_symbol[ETH].id, quantity * E8)
