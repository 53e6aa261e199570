"""What a transaction offers to pay (EIP-1559)."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low
from typing import Any, Final

from web3 import AsyncWeb3

from aggregator.model.errors import ChainError, TransactionError

GWEI: Final = 10**9
HISTORY_BLOCKS: Final = 10
REPLACEMENT_PERCENT: Final = 113
"""Nodes want a replacement to raise both fields, by 10 % (geth: PriceBump 10) or 12.5 % (others): 13 % satisfies
both, and of a field so small that this is less than a wei, one wei."""


@dataclass(frozen=True)
class Fees:
    """Wei per gas: the most we pay in all, and the part the block's proposer keeps."""

    max_fee_wei: int
    priority_fee_wei: int

    def raised(self) -> Fees:
        """The least offer that replaces a transaction with these fees: both parts rise, rounded up."""
        return Fees(_raised_up(self.max_fee_wei), _raised_up(self.priority_fee_wei))

    def at_least(self, other: Fees) -> Fees:
        """The larger of both offers, part by part."""
        return Fees(
            max(self.max_fee_wei, other.max_fee_wei), max(self.priority_fee_wei, other.priority_fee_wei)
        )


@dataclass(frozen=True)
class FeeLimits:
    """The most that is ever offered, wei per gas."""

    max_fee_wei: int = 200 * GWEI
    priority_fee_wei: int = 5 * GWEI

    def allow(self, fees: Fees) -> bool:
        """Whether `fees` are within the limits."""
        return fees.max_fee_wei <= self.max_fee_wei and fees.priority_fee_wei <= self.priority_fee_wei


async def suggest_fees(w3: AsyncWeb3[Any], limits: FeeLimits) -> Fees:
    """Twice the base fee plus the median tip of the last blocks, within `limits`.

    Twice the base fee stays valid through six full blocks (1.125^6 = 2.03; EIP-1559).

    Raises:
        TransactionError: the chain's present price is above the limit.
        ChainError: the chain has no base fee.
    """
    head = await w3.eth.get_block("latest")
    base = head.get("baseFeePerGas")
    if base is None:
        raise ChainError("the chain reports no base fee (EIP-1559); it is not supported")
    history = await w3.eth.fee_history(HISTORY_BLOCKS, "latest", [50.0])
    rewards = [int(row[0]) for row in history.get("reward") or [] if row]
    tip = median_low(rewards) if rewards else int(await w3.eth.max_priority_fee)
    tip = min(tip, limits.priority_fee_wei)
    if base + tip > limits.max_fee_wei:
        raise TransactionError(
            f"gas costs {_gwei(base + tip)} gwei now and the limit is {_gwei(limits.max_fee_wei)} gwei; "
            "wait, or raise the limit (max_fee_gwei of the network file, or --max-fee-gwei)"
        )
    return Fees(min(2 * base + tip, limits.max_fee_wei), tip)


def _raised_up(wei: int) -> int:
    return max(-(-wei * REPLACEMENT_PERCENT // 100), wei + 1)


def _gwei(wei: int) -> str:
    return f"{wei // GWEI}.{wei % GWEI // 10**6:03d}"
