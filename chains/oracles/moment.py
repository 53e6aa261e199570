"""When a chain was read, and how old a price may be then.

A policy speaks of one cut for all chains, so age is counted at the cut. Between the anchored block and the cut nothing
can be read, because that part of the chain is not final yet: this much is forgiven, and no more than the network's
`finality_lag_s`. What a chain lags beyond it counts as age like any other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moment:
    """The time of the anchored block and the cut (Unix seconds), and what finality takes at most on this chain."""

    block_time: int
    cut: int
    finality_lag_s: int

    @property
    def lag_s(self) -> int:
        """From the block to the cut, at least 0."""
        return max(0, self.cut - self.block_time)

    @property
    def forgiven_s(self) -> int:
        """The part of the lag that finality explains."""
        return min(self.lag_s, self.finality_lag_s)

    @property
    def is_late(self) -> bool:
        """True when finality does not explain the lag."""
        return self.lag_s > self.finality_lag_s
