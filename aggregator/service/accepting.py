"""An account's positions as a policy counts them: liquidity as its tokens, collateral cut by trust and method."""

from __future__ import annotations

from collections.abc import Mapping

from aggregator.model.policy import Policy
from aggregator.model.snapshot import Snapshot
from aggregator.policy.acceptance import Accepted, accept_readings
from chains.balances.holdings import at_prices


def accept(policy: Policy, snapshot: Snapshot) -> Accepted:
    """The snapshot's positions under the policy, and a sentence for everything that counts for less or nothing.

    A liquidity position counts as amounts of its two tokens at the policy's marks. Whoever has the same snapshot and
    policy comes to the same quantities, so an attestor signs the commitment to them.
    Raises ChainError for a position of no possible form.
    """
    marks = {instrument.symbol: instrument.mark_e12 for instrument in policy.instruments}
    holdings = at_prices(snapshot.readings, marks, policy.acceptance.pool_range_e6)
    found = accept_readings(policy.acceptance, holdings.readings)
    return Accepted(found.positions, (*holdings.notes, *found.notes))


def accepted_positions(policy: Policy, snapshot: Snapshot) -> Mapping[str, int]:
    """The positions that `accept` gives."""
    return accept(policy, snapshot).positions
