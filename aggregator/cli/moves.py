"""Moves, shares and durations as they are written on a command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from aggregator.fixed import parse_decimal
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.units import USD_SCALE

if TYPE_CHECKING:
    from aggregator.liquidation.rules import Rules

_DURATION: Final = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[mhd])", re.ASCII)
_SECONDS: Final = {"m": 60, "h": 3_600, "d": 86_400}


def rules_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --rules to a command."""
    return click.option(
        "--rules",
        "rules_path",
        type=click.Path(path_type=Path),
        required=True,
        help="What is liquidated by (TOML, see configs/liquidation).",
    )(command)


def read_text(path: Path, what: str) -> str:
    """A file as UTF-8 text; raises InputError."""
    from aggregator.store import read_whole

    try:
        return read_whole(path, what).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from error


def read_rules(path: Path) -> Rules:
    """The liquidation rules in a file; raises ConfigError naming the key."""
    from aggregator.liquidation.rules import parse_rules

    return parse_rules(read_text(path, "the liquidation rules"), str(path))


def named_numbers(given: Iterable[str], option: str, example: str) -> dict[str, int]:
    """NAME=NUMBER, each name once, in 1e-6; raises InputError naming the option."""
    found: dict[str, int] = {}
    for text in given:
        name, equals, number = text.rpartition("=")
        if not equals or not name or name in found:
            raise InputError(
                f"{option} {text[:60]!r} names no number or a name twice; write it like {example}, each name once"
            )
        found[name] = parse_decimal(number, 6)
    return found


def seconds(text: str, option: str) -> int:
    """A duration like 90m, 24h or 7d in seconds; raises InputError naming the option."""
    match = _DURATION.fullmatch(text)
    if match is None or not int(match["count"]):
        raise InputError(f"{option} {text[:20]!r} is no duration; write it like 90m, 24h or 7d")
    return int(match["count"]) * _SECONDS[match["unit"]]


def usd_e6(text: str, option: str) -> int:
    """USD of at least 0, with up to 6 decimals, in 1e-6; raises InputError naming the option."""
    amount = parse_decimal(text, 6)
    if not 0 <= amount <= 10**15 * USD_SCALE:
        raise InputError(f"{option} {text[:40]!r} is below 0 or above 10^15 USD; correct it")
    return amount
