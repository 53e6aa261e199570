"""A book as a file (schema `counterfoil/book/1`, JSON): accounts with their names and positions, for cascades.

    {"schema": "counterfoil/book/1",
     "accounts": [{"name": "a", "positions": {"ETH@eip155:1": "10.5", "USDC-DEBT@eip155:1": "-20000"}}]}

Quantities are decimal strings with at most 8 decimals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aggregator.fixed import parse_decimal
from aggregator.model.errors import FormatError, InputError
from aggregator.model.strictjson import JsonObject, load_json
from aggregator.model.units import QUANTITY_BOUND

BOOK_SCHEMA: Final = "counterfoil/book/1"
MAX_ACCOUNTS: Final = 100_000
QUANTITY_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class BookAccount:
    """One account: its name, and quantities in 1e-8 by symbol."""

    name: str
    positions: Mapping[str, int]


def _quantity(row: JsonObject, symbol: str) -> int:
    try:
        quantity = parse_decimal(row.text(symbol), QUANTITY_DIGITS)
    except InputError as error:
        row.fail(symbol, f"is no quantity: {error}")
    if abs(quantity) >= QUANTITY_BOUND:
        row.fail(symbol, "is beyond the bound of a quantity; split the account")
    return quantity


def _account(value: object, where: str) -> BookAccount:
    row = JsonObject(value, where, ("name", "positions"), error=FormatError)
    held = JsonObject(row.value["positions"], f"{where}.positions", (), error=FormatError, open_ended=True)
    return BookAccount(row.text("name"), {symbol: _quantity(held, symbol) for symbol in held.value})


def parse_book(document: bytes | str) -> tuple[BookAccount, ...]:
    """Untrusted JSON into accounts, in order; FormatError naming the field, or for a name twice."""
    row = JsonObject(load_json(document), "book", ("schema", "accounts"), error=FormatError)
    row.schema(BOOK_SCHEMA)
    found = tuple(row.children("accounts", _account))
    if not 0 < len(found) <= MAX_ACCOUNTS:
        row.fail("accounts", f"has {len(found)} entries; give 1 to {MAX_ACCOUNTS}")
    if len({one.name for one in found}) != len(found):
        row.fail("accounts", "has two accounts of one name; rename one")
    return found
