"""Venues' margin rules as reports beside the provable one, from configuration (docs/rulebooks.md)."""

from aggregator.margin.rulebooks.base import (
    Book,
    LevelResult,
    Rulebook,
    RulebookResult,
    book_of,
    isolated_requirement_e6,
)
from aggregator.margin.rulebooks.config import KINDS, parse_rulebook

__all__ = [
    "KINDS",
    "Book",
    "LevelResult",
    "Rulebook",
    "RulebookResult",
    "book_of",
    "isolated_requirement_e6",
    "parse_rulebook",
]
