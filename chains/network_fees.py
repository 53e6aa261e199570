"""The table [fees] of a network file: what a relayer may offer on the chain, and when it offers more."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from aggregator.model.errors import ConfigError
from chains.network_table import DAY_S, NetworkTable

_MOST_GWEI: Final = 10**9
"""A coin per gas."""


@dataclass(frozen=True, slots=True)
class OfferLimits:
    """Limits of one chain.

    Attributes:
        max_fee_gwei: the most that is ever offered per gas in all.
        max_tip_gwei: the most of it that goes to the block's proposer.
        bump_s: seconds after which a transaction in no block is replaced with a higher offer.
    """

    max_fee_gwei: int = 200
    max_tip_gwei: int = 5
    bump_s: int = 120

    def changed(
        self, *, max_fee_gwei: int | None = None, max_tip_gwei: int | None = None, bump_s: int | None = None
    ) -> OfferLimits:
        """The same but for what is given. A lower fee lowers the tip with it; raises ConfigError for a tip above it."""
        fee = self.max_fee_gwei if max_fee_gwei is None else max_fee_gwei
        tip = min(self.max_tip_gwei, fee) if max_tip_gwei is None else max_tip_gwei
        if tip > fee:
            raise ConfigError(f"the tip's limit of {tip} gwei is above the fee's of {fee} gwei; lower it")
        return OfferLimits(fee, tip, self.bump_s if bump_s is None else bump_s)


def parse_fees(value: object, where: str) -> OfferLimits:
    """A decoded table [fees], with the defaults for what it leaves out; raises ConfigError."""
    defaults: dict[str, object] = {field.name: field.default for field in fields(OfferLimits)}
    table = NetworkTable(value, where, (), defaults)
    limits = OfferLimits(
        max_fee_gwei=table.number("max_fee_gwei", 1, _MOST_GWEI),
        max_tip_gwei=table.number("max_tip_gwei", 0, _MOST_GWEI),
        bump_s=table.number("bump_s", 1, DAY_S),
    )
    if limits.max_tip_gwei > limits.max_fee_gwei:
        table.fail("max_tip_gwei", f"is above max_fee_gwei ({limits.max_fee_gwei}); lower it")
    return limits
