"""What liquidity positions are at outside prices, as readings of their two tokens.

A policy lists tokens and no single position, so a position counts as the amounts that it would be at the policy's
prices (chains.balances.concentrated), with the fees owed. They are as trusted as the position itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from aggregator.model.errors import ChainError
from aggregator.model.snapshot import Reading, quantity_from_raw
from chains.balances.chord import chord_amounts
from chains.balances.concentrated import Position, fair_sqrt_price, whole_number
from chains.balances.uniswap_v3 import PROTOCOL
from chains.networks import MAX_DECIMALS
from chains.rpc import clean_text

_SIDES: Final = ("0", "1")


@dataclass(frozen=True, slots=True)
class Holdings:
    """Readings without positions, and a sentence for each position that counts for nothing."""

    readings: tuple[Reading, ...]
    notes: tuple[str, ...]


def at_prices(readings: Iterable[Reading], prices_e12: Mapping[str, int], range_e6: int = 0) -> Holdings:
    """Replace each position by readings of its tokens at these prices, rounded down.

    Parameters:
        prices_e12: USD of one whole token in 1e-12 by instrument symbol. A position counts for nothing when one of its
            tokens is in no network file or has no price here; a price of zero leaves the fees in the other token.
        range_e6: by how much either token may fall against the other with the amounts still worth no more than the
            position (chains.balances.chord); 0 counts the amounts at these prices alone.

    Raises:
        ChainError: a position is of no possible form, as a snapshot of strangers can be.
    """
    kept: list[Reading] = []
    notes: list[str] = []
    for reading in readings:
        if reading.kind != PROTOCOL:
            kept.append(reading)
        elif reason := _worthless(reading, prices_e12):
            notes.append(f"{reading.instrument} of {reading.address} counts for nothing: {reason}")
        else:
            kept += _tokens(reading, prices_e12, range_e6)
    return Holdings(tuple(kept), tuple(notes))


def _worthless(reading: Reading, prices_e12: Mapping[str, int]) -> str:
    for side in _SIDES:
        symbol = reading.detail.get(f"instrument{side}")
        if symbol is None:
            return f"its token {clean_text(reading.detail.get(f'token{side}', ''), 42)} is in no network file"
        if symbol not in prices_e12:
            return f"{symbol} has no price"
    return ""


def _tokens(reading: Reading, prices_e12: Mapping[str, int], range_e6: int) -> list[Reading]:
    symbols = [reading.detail[f"instrument{side}"] for side in _SIDES]
    decimals = [whole_number(reading.detail, f"decimals{side}") for side in _SIDES]
    if not all(0 <= digits <= MAX_DECIMALS for digits in decimals):
        raise ChainError(
            f"the tokens of {reading.instrument} have no possible decimals; the reading is malformed"
        )
    price = fair_sqrt_price(prices_e12[symbols[0]], prices_e12[symbols[1]], decimals[0], decimals[1])
    amounts = [reading.raw * amount for amount in chord_amounts(Position.of(reading.detail), price, range_e6)]
    return [
        replace(
            reading,
            instrument=symbol,
            raw=raw,
            decimals=digits,
            quantity_e8=quantity_from_raw(raw, digits),
        )
        for symbol, raw, digits in zip(symbols, amounts, decimals, strict=True)
    ]
