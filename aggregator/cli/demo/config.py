"""The parameters of the demo (configs/demo.toml), read strictly."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from aggregator.fixed import parse_decimal
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.policy import Level
from aggregator.model.strictjson import JsonObject
from aggregator.policy.derivatives import with_dates
from aggregator.policy.spec import PolicySpec, parse_spec
from aggregator.service.venue_file import parse_usd
from aggregator.store import read_whole

DEFAULT_FILE: Final = Path(__file__).resolve().parents[3] / "configs" / "demo.toml"
WALLETS: Final = 2
MAX_ATTESTORS: Final = 3
_DAYS: Final = re.compile(r"\{([0-9]{1,4})\}")
_FIELDS: Final = (
    "policy",
    "level",
    "amount_usd",
    "first_pledge_usd",
    "second_pledge_usd",
    "lifetime_s",
    "attestors",
    "threshold",
    "crash_percent",
    "prices",
    "rates",
    "chains",
    "positions",
)


@dataclass(frozen=True, slots=True)
class ChainSetup:
    """One local chain and what its wallet (1 or 2) holds there, by symbol in whole units."""

    chain_id: int
    name: str
    wallet: int
    holdings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PositionSetup:
    """One derivatives position: a signed size in 1e-8, and the cash leg in 1e-8 USD."""

    market: str
    size_e8: int
    cash_e8: int


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """Everything the demo sets up and asks for. Amounts in 1e-6 USD, prices and rates in whole units."""

    spec_file: Path
    spec: PolicySpec
    level: Level
    amount_e6: int
    first_pledge_e6: int
    second_pledge_e6: int
    lifetime_s: int
    attestors: int
    threshold: int
    crash_percent: int
    prices: Mapping[str, str]
    rates: Mapping[str, str]
    chains: tuple[ChainSetup, ...]
    positions: tuple[PositionSetup, ...]


def load_demo(path: Path, now: int) -> DemoConfig:
    """The demo's parameters; dates of positions and of the policy count from the UTC day of `now`.

    They are fixed here, once, so that a demo that runs over midnight keeps its instruments. Raises ConfigError.
    """
    try:
        raw = tomllib.loads(read_whole(path, "the demo's configuration").decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not TOML ({error}); correct it") from error
    fields = JsonObject(raw, str(path), _FIELDS, error=ConfigError)
    level = fields.text("level")
    if level not in Level.__members__:
        fields.fail("level", f"is {level!r}; use IM or MM")
    spec_path = path.parent / fields.text("policy")
    attestors = fields.number("attestors", 1, MAX_ATTESTORS)
    chains = fields.children("chains", _chain)
    if len({chain.chain_id for chain in chains}) != len(chains) or len(chains) < WALLETS:
        fields.fail("chains", "does not name at least two different chains; correct it")

    def position(value: object, where: str) -> PositionSetup:
        return _position(value, where, now)

    return DemoConfig(
        spec_file=spec_path,
        spec=with_dates(parse_spec(read_whole(spec_path, "the policy spec").decode(), str(spec_path)), now),
        level=Level[level],
        amount_e6=_usd(fields, "amount_usd"),
        first_pledge_e6=_usd(fields, "first_pledge_usd"),
        second_pledge_e6=_usd(fields, "second_pledge_usd"),
        lifetime_s=fields.number("lifetime_s", 60, 86_400),
        attestors=attestors,
        threshold=fields.number("threshold", 1, attestors),
        crash_percent=fields.number("crash_percent", 1, 99),
        prices=_decimals(fields, "prices"),
        rates=_decimals(fields, "rates"),
        chains=chains,
        positions=fields.children("positions", position),
    )


def _usd(fields: JsonObject, key: str) -> int:
    try:
        return parse_usd(fields.text(key))
    except InputError as error:
        raise ConfigError(f"{fields.where}.{key}: {error}") from error


def _decimals(fields: JsonObject, key: str) -> dict[str, str]:
    """A table of symbol -> decimal string."""
    value = fields.value[key]
    names = [str(name) for name in value] if isinstance(value, dict) else []
    inner = JsonObject(value, f"{fields.where}.{key}", names, error=ConfigError)
    return {name: inner.text(name) for name in names}


def _chain(value: object, where: str) -> ChainSetup:
    fields = JsonObject(value, where, ("chain_id", "name", "wallet", "holdings"), error=ConfigError)
    return ChainSetup(
        chain_id=fields.number("chain_id", 1),
        name=fields.text("name"),
        wallet=fields.number("wallet", 1, WALLETS),
        holdings=_decimals(fields, "holdings"),
    )


def _position(value: object, where: str, now: int) -> PositionSetup:
    fields = JsonObject(value, where, ("market", "size", "entry_usd"), error=ConfigError)
    today = datetime.fromtimestamp(now, UTC).date()

    def dated(match: re.Match[str]) -> str:
        return f"{today + timedelta(days=int(match[1])):%Y%m%d}"

    size = parse_decimal(fields.text("size"), 8)
    entry = parse_decimal(fields.text("entry_usd"), 8)
    return PositionSetup(_DAYS.sub(dated, fields.text("market")), size, -size * entry // 10**8)
