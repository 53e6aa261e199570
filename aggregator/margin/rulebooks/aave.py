"""Aave v3 account data with e-mode: what may be borrowed, and the health factor, to the last unit.

Amounts are integers in a token's own decimals, prices in the oracle's base currency (1e-8 USD), loan-to-value and
thresholds in basis points, the health factor in 1e-18. Percentages round half up, as `percentMul` and `wadDiv` do.

Source: aave/aave-v3-core, GenericLogic.calculateUserAccountData and calculateAvailableBorrows, EModeLogic,
PercentageMath and WadRayMath, restated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.model.errors import ConfigError, InputError

BPS: Final = 10_000
WAD: Final = 10**18


@dataclass(frozen=True, slots=True)
class EMode:
    """An efficiency mode: its loan-to-value and threshold replace those of its members; a price of 0 means none."""

    category: int
    ltv_bps: int
    threshold_bps: int
    price_e8: int = 0


@dataclass(frozen=True, slots=True)
class Reserve:
    """A reserve and what the account has in it; `collateral` says whether the supply is enabled as collateral."""

    name: str
    decimals: int
    price_e8: int
    ltv_bps: int
    threshold_bps: int
    supplied: int = 0
    debt: int = 0
    collateral: bool = True
    category: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.ltv_bps <= self.threshold_bps <= BPS:
            raise ConfigError(f"Aave reserve {self.name} needs 0 <= ltv <= threshold <= 1; correct its rates")
        if self.price_e8 < 0 or self.supplied < 0 or self.debt < 0:
            raise InputError(f"Aave reserve {self.name} has a negative price or amount; correct it")


@dataclass(frozen=True, slots=True)
class AccountData:
    """As `getUserAccountData` returns it; `health_e18` is None without a debt (the contract gives 2^256 - 1)."""

    collateral_e8: int
    debt_e8: int
    available_e8: int
    threshold_bps: int
    ltv_bps: int
    health_e18: int | None


def percent_mul(value: int, bps: int) -> int:
    """value x bps / 1e4, rounded half up; both >= 0."""
    return (value * bps + BPS // 2) // BPS


def wad_div(a: int, b: int) -> int:
    """a x 1e18 / b, rounded half up; a >= 0, b > 0."""
    return (a * WAD + b // 2) // b


def account_data(reserves: Sequence[Reserve], mode: EMode | None = None) -> AccountData:
    """Totals and health factor of an account over `reserves`, in the efficiency mode `mode` or in none.

    Raises InputError for a debt outside the category while a mode is on: the venue refuses such an account.
    """
    collateral = debt = ltv_sum = threshold_sum = 0
    for one in reserves:
        member = mode is not None and one.category == mode.category
        price = mode.price_e8 if mode is not None and member and mode.price_e8 else one.price_e8
        if one.supplied and one.collateral and one.threshold_bps:
            value = one.supplied * price // 10**one.decimals
            collateral += value
            ltv = mode.ltv_bps if mode is not None and member else one.ltv_bps
            ltv_sum += value * (ltv if one.ltv_bps else 0)
            threshold_sum += value * (
                mode.threshold_bps if mode is not None and member else one.threshold_bps
            )
        if one.debt:
            if mode is not None and not member:
                raise InputError(
                    f"a debt in {one.name} is outside Aave e-mode {mode.category}; repay it or leave the mode"
                )
            debt += one.debt * price // 10**one.decimals
    ltv = ltv_sum // collateral if collateral else 0
    threshold = threshold_sum // collateral if collateral else 0
    return AccountData(
        collateral_e8=collateral,
        debt_e8=debt,
        available_e8=max(0, percent_mul(collateral, ltv) - debt),
        threshold_bps=threshold,
        ltv_bps=ltv,
        health_e18=wad_div(percent_mul(collateral, threshold), debt) if debt else None,
    )
