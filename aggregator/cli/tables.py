"""Tables and numbers as a person reads them. Rounding for reading is against the holder, as everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aggregator.fixed import format_decimal, format_down, format_up
from aggregator.model.units import E20_PER_USD_E6

if TYPE_CHECKING:
    from rich.console import RenderableType

USD_DIGITS = 6
VALUE_DIGITS = 20
QUANTITY_DIGITS = 8
PRICE_DIGITS = 12
LAST_MOMENT = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
SHORT_HEX_HEAD = 6
SHORT_HEX_TAIL = 4


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text. A column name that starts with ">" is right-aligned; the last `total` rows stand apart."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    total: int = 0

    def draw(self) -> RenderableType:
        """The table for a rich console, under its title: a title of rich's own wraps at the table's width."""
        from rich import box
        from rich.console import Group
        from rich.table import Table as RichTable
        from rich.text import Text

        made = RichTable(
            box=box.SIMPLE_HEAD,
            show_header=any(self.columns),
            padding=(0, 1, 0, 0),
        )
        for name in self.columns:
            if name.startswith(">"):
                made.add_column(name[1:], justify="right", overflow="fold")
            else:
                made.add_column(name, overflow="fold")
        before_total = len(self.rows) - self.total - 1 if self.total else None
        for n, row in enumerate(self.rows):
            made.add_row(*(Text(cell) for cell in row), end_section=n == before_total)
        return Group(Text(self.title, style="bold"), made) if self.title else made


def usd_down(value_e6: int, places: int = 2) -> str:
    """1e-6 USD rounded down: what the holder has."""
    return format_down(value_e6, USD_DIGITS, places)


def usd_up(value_e6: int, places: int = 2) -> str:
    """1e-6 USD rounded up: what is required of the holder."""
    return format_up(value_e6, USD_DIGITS, places)


def value_down(value_e20: int, places: int = 2) -> str:
    """A value in 1e-20 USD rounded down."""
    return format_down(value_e20, VALUE_DIGITS, places)


def value_up(value_e20: int, places: int = 2) -> str:
    """A charge in 1e-20 USD rounded up."""
    return format_up(value_e20, VALUE_DIGITS, places)


def value_e6_up(value_e20: int) -> int:
    """A charge in 1e-20 USD as 1e-6 USD, rounded up."""
    return -(-value_e20 // E20_PER_USD_E6)


def quantity(quantity_e8: int) -> str:
    """A quantity in 1e-8 units, exact."""
    return format_decimal(quantity_e8, QUANTITY_DIGITS)


def price(price_e12: int) -> str:
    """A price in 1e-12 USD with four decimals, rounded down."""
    return format_down(price_e12, PRICE_DIGITS, 4)


def health(health_e6: int | None) -> str:
    """Equity over requirement, rounded down; nothing required is no limit."""
    return "no requirement" if health_e6 is None else format_down(health_e6, 6, 3)


def rate(rate_e6: int) -> str:
    """A rate in 1e-6, exact."""
    return format_decimal(rate_e6, USD_DIGITS)


def moment(timestamp: int) -> str:
    """Unix seconds as UTC; beyond the calendar's last year as they are."""
    if timestamp >= LAST_MOMENT:
        return f"second {timestamp}"
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: int) -> str:
    """A length of time as one number and its unit, cut down; what is negative counts as none."""
    for unit, length, least in (("d", 86_400, 2), ("h", 3600, 2), ("min", 60, 2)):
        if seconds >= least * length:
            return f"{seconds // length} {unit}"
    return f"{max(seconds, 0)} s"


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: 1 chain, 2 chains; `plural` when it is not formed with s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def sentence_case(text: str) -> str:
    """The text with its first letter capital and the rest as it is."""
    return text[:1].upper() + text[1:]


def short(hex_text: str) -> str:
    """A long 0x string as its first and last digits."""
    if len(hex_text) <= SHORT_HEX_HEAD + SHORT_HEX_TAIL + 2:
        return hex_text
    return f"{hex_text[:SHORT_HEX_HEAD]}..{hex_text[-SHORT_HEX_TAIL:]}"
