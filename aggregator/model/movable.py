"""How much of a reading its holder can take out: what is locked or blocked secures nothing.

The reading itself stays what the contract holds for the address. Only collateral is limited, never a debt.
"""

from __future__ import annotations

from typing import Final

from aggregator.model.snapshot import Reading, quantity_from_raw

BLOCKED: Final = "blocked"
"""The detail that says whether the token lets its holder move anything: "true" or "false"."""
MAX_REDEEM: Final = "maxRedeem"
"""The detail with the shares that a vault would give out now, in base units."""
VAULT_KIND: Final = "erc4626"
_FLAGGED_LAYOUT: Final = "/255"
"""A balance of 255 bits leaves one bit of its word: the blocklist of FiatToken 2.2 (USDC, EURC, cbBTC).

Source: circlefin/stablecoin-evm, contracts/v2/FiatTokenV2_2.sol, `_setBlacklistState`.
"""
_MAX_DIGITS: Final = 78


def movable_e8(reading: Reading) -> tuple[int, str]:
    """The part of a positive quantity that can be moved, in 1e-8, and why it is less; "" when it is all of it."""
    detail = reading.detail
    if detail.get(BLOCKED, "false") != "false" or _flagged(reading):
        return 0, "the token lets its holder move nothing"
    if reading.kind != VAULT_KIND:
        return reading.quantity_e8, ""
    text = detail.get(MAX_REDEEM, "")
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        return 0, "what the vault would redeem was not read"
    most = quantity_from_raw(int(text), reading.decimals)
    if most >= reading.quantity_e8:
        return reading.quantity_e8, ""
    return most, f"the vault redeems {text} of {reading.raw} shares now"


def _flagged(reading: Reading) -> bool:
    return reading.detail.get("layout", "").endswith(_FLAGGED_LAYOUT) and "besideBalance" in reading.detail
