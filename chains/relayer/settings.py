"""How patient a relayer is, and what it calls final."""

from __future__ import annotations

from dataclasses import dataclass, field

from aggregator.model.errors import ConfigError
from chains.network_fees import OfferLimits
from chains.relayer.fees import GWEI, FeeLimits


@dataclass(frozen=True)
class Finality:
    """When a block counts as final.

    Attributes:
        confirmations: blocks from the one in question to the head, both counted; None for the chain's own
            `finalized` tag.
    """

    confirmations: int | None = None

    def __post_init__(self) -> None:
        if self.confirmations is not None and self.confirmations < 1:
            raise ConfigError(f"{self.confirmations} confirmations are none; give at least 1, or use the tag")


@dataclass(frozen=True)
class RelayerSettings:
    """Settings of one relayer.

    Attributes:
        finality: see `Finality`.
        limits: the most that is offered per gas.
        gas_margin_percent: added to the node's gas estimate.
        poll_s: seconds between looks at the chain.
        timeout_s: seconds after which following ends with an error; the next run goes on from the journal.
        rebroadcast_s: seconds after which a transaction in no block is sent again, the same bytes.
        bump_s: seconds after which a transaction in no block is replaced with higher fees, within `limits`.
    """

    finality: Finality = field(default_factory=Finality)
    limits: FeeLimits = field(default_factory=FeeLimits)
    gas_margin_percent: int = 20
    poll_s: float = 2.0
    timeout_s: float = 1800.0
    rebroadcast_s: float = 30.0
    bump_s: float = 120.0

    @classmethod
    def on(cls, offer: OfferLimits, confirmations: int | None, timeout_s: float) -> RelayerSettings:
        """The settings for a network: `offer` is what its file allows, `confirmations` None for the finalized tag."""
        return cls(
            finality=Finality(confirmations),
            limits=FeeLimits(offer.max_fee_gwei * GWEI, offer.max_tip_gwei * GWEI),
            timeout_s=timeout_s,
            bump_s=float(offer.bump_s),
        )
