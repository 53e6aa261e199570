"""Who pays for an account that owes more than it has: the insurance fund until it is empty, then the other accounts.

Amounts are 1e-6 USD. What is paid and what is left add up to the loss, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aggregator.model.errors import InputError


@dataclass(frozen=True, slots=True)
class Cover:
    """What the fund pays of a deficit, what it has left, and what nobody has paid yet."""

    paid_e6: int
    fund_e6: int
    uncovered_e6: int


def cover(deficit_e6: int, fund_e6: int) -> Cover:
    """The fund pays what it can and is never below zero. InputError for a negative amount."""
    if deficit_e6 < 0 or fund_e6 < 0:
        raise InputError(
            f"a deficit of {deficit_e6}e-6 USD and a fund of {fund_e6}e-6 USD are not both at least 0; correct them"
        )
    paid = min(deficit_e6, fund_e6)
    return Cover(paid, fund_e6 - paid, deficit_e6 - paid)


def socialise(loss_e6: int, weights_e6: Mapping[int, int]) -> dict[int, int]:
    """A loss shared pro rata over weights (1e-6 USD, by account): what each account pays, zeros left out.

    Each pays `loss x weight / all weights`, rounded down; the units left over go one each to the largest remainders, of
    equal ones to the lower account number. So the sum is the loss, no account pays more than one unit above its share,
    and none pays more than its weight. A loss above all weights together takes the weights and no more.

    Source: the method of largest remainders (Hamilton). Raises InputError for a negative loss or weight.
    """
    if loss_e6 < 0 or any(weight < 0 for weight in weights_e6.values()):
        raise InputError("a loss or a weight is below 0; share losses over what accounts have")
    total = sum(weights_e6.values())
    shared = min(loss_e6, total)
    if shared == 0:
        return {}
    parts = {account: divmod(shared * weight, total) for account, weight in weights_e6.items()}
    left = shared - sum(whole for whole, _ in parts.values())
    first = set(sorted(parts, key=lambda account: (-parts[account][1], account))[:left])
    paid = {account: whole + (account in first) for account, (whole, _) in parts.items()}
    return {account: amount for account, amount in sorted(paid.items()) if amount}
