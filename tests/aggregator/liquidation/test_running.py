"""The margin kept while closing is the reference engine's, to the last digit, on random policies and accounts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.liquidation.running import Running
from aggregator.margin.native import evaluate
from aggregator.model.policy import Level, Policy
from tests.aggregator.strategies import accounts, positions


@settings(deadline=None)
@given(accounts(), st.data())
def test_it_is_the_reference(account: tuple[Policy, dict[int, int]], data: st.DataObject) -> None:
    """From nothing to an account, and from there to any other."""
    policy, first = account
    state = Running.of(policy, first)
    for held in (first, data.draw(positions(policy)), {}):
        changes = {i: held.get(i, 0) - state.held.get(i, 0) for i in {*held, *state.held}}
        state = state.after(changes)
        expected = evaluate(policy, held, Level.MM)
        assert state.equity_e20 == expected.equity_e20
        assert state.requirement_e20 == expected.requirement_e20
        assert state.health_e6 == expected.health_e6
        assert {i: q for i, q in state.held.items() if q} == {i: q for i, q in held.items() if q}
