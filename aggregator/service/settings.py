"""The service's configuration (TOML), read strictly. Every setting is listed in docs/service.md.

`SETTINGS` is the one list of what there is: the parser, the documentation and its test go by it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aggregator.model.errors import ConfigError
from aggregator.store import read_whole

Value = str | int | bool | tuple[str, ...]
_VENUE_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}", re.ASCII)
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its table and name, what it is when it is not given, its range, and what it does."""

    table: str
    name: str
    default: Value
    text: str
    low: int = 0
    high: int = 2**53 - 1


SETTINGS: Final = (
    Setting("http", "host", "127.0.0.1", "Address to listen on."),
    Setting("http", "port", 8420, "Port to listen on; 0 takes a free one.", 0, 65_535),
    Setting("http", "without_keys", False, "Ask for no API key. Only on a loopback address."),
    Setting("http", "hosts", (), "Host names by which the service is called, beside its own address."),
    Setting("http", "cors_origins", (), "Web origins that may call; none by default."),
    Setting("http", "max_body_bytes", 4_000_000, "Largest request body.", 1_000, 100_000_000),
    Setting("http", "timeout_s", 30, "Longest time for one answer.", 1, 3_600),
    Setting("http", "rate_per_minute", 600, "Requests a minute for callers without a key.", 1, 10_000_000),
    Setting("http", "max_listeners", 2_000, "Most event streams at once.", 1, 100_000),
    Setting("store", "url", "", "PostgreSQL URL; empty for the home's SQLite file."),
    Setting("store", "url_variable", "", "Environment variable that holds the URL instead."),
    Setting("data", "networks", (), "Network files or folders, as --networks."),
    Setting("data", "rulebooks", (), "Rulebook files or folders."),
    Setting("data", "stress", "configs/stress/history.toml", "File of stress replays; empty for none."),
    Setting("workers", "threads", 2, "Threads for proofs and other computing.", 1, 64),
    Setting("workers", "jobs", 2, "Jobs at once.", 1, 64),
    Setting("attestor", "key_file", "", "Attestor's key; with it the service attests."),
    Setting("attestor", "lifetime_s", 3_600, "Seconds after the cut that a signature is good.", 1, DAY_S),
    Setting("relayer", "signer", "", "file:PATH, keystore:PATH or env:NAME; with it the service submits."),
    Setting("relayer", "password", "", "For a keystore: file:PATH or env:NAME."),
    Setting(
        "relayer",
        "journal",
        "",
        "Its journal: a file, or env:NAME for a PostgreSQL URL; empty for the home's.",
    ),
    Setting(
        "relayer", "confirmations", 0, "Blocks after which it is final; 0 for the finalized tag.", 0, 10_000
    ),
    Setting("relayer", "timeout_s", 1_800, "Seconds to follow a transaction.", 1, DAY_S),
    Setting(
        "relayer",
        "resume_every_s",
        60,
        "Go on this often, and at the start, with what the journal has unsettled; 0 for never.",
        0,
        DAY_S,
    ),
    Setting("proving", "key", "", "A .zkey; empty for this machine's dev key."),
    Setting("proving", "attestors", (), "Attestor services that are asked before a proof, by URL."),
    Setting("proving", "attestor_key_variable", "", "Environment variable with the API key for them."),
    Setting("registry", "contract", "", "Registry as CAIP-10; with it pledges and margin calls are shown."),
    Setting("registry", "venues", (), "Venues whose pledges are shown and watched."),
    Setting("background", "snapshot_every_s", 0, "Read every account this often; 0 for never.", 0, DAY_S),
    Setting("background", "policy_spec", "", "Policy spec that price ticks build from."),
    Setting("background", "price_every_s", 0, "Look at the feeds this often; 0 for never.", 0, DAY_S),
    Setting(
        "background",
        "price_move_ppm",
        5_000,
        "Build a policy when a price moved by this share (1e-6).",
        1,
        10**6,
    ),
    Setting("background", "registry_every_s", 0, "Look at the registry this often; 0 for never.", 0, DAY_S),
    Setting(
        "background", "health_below_ppm", 0, "Margin call when MM health is below this (1e-6).", 0, 10**9
    ),
    Setting(
        "background",
        "reprove_before_s",
        0,
        "Prove anew this long before a bundle expires; 0 for never.",
        0,
        DAY_S,
    ),
    Setting("webhooks", "allow_loopback", False, "Let webhooks go to this machine, by http; for tests."),
    Setting("webhooks", "attempts", 8, "Tries before a delivery is given up.", 1, 50),
)
"""All settings; paths are relative to the configuration file."""

PATHS: Final = {
    ("data", "networks"),
    ("data", "rulebooks"),
    ("data", "stress"),
    ("attestor", "key_file"),
    ("proving", "key"),
    ("background", "policy_spec"),
}


@dataclass(frozen=True)
class ServiceSettings:
    """All settings by (table, name), and the venue files by the venues' ids."""

    values: Mapping[tuple[str, str], Value]
    venues: Mapping[str, Path]

    def text(self, table: str, name: str) -> str:
        """A text setting."""
        return str(self.values[table, name])

    def number(self, table: str, name: str) -> int:
        """An integer setting."""
        value = self.values[table, name]
        return value if isinstance(value, int) else 0

    def flag(self, table: str, name: str) -> bool:
        """A boolean setting."""
        return self.values[table, name] is True

    def texts(self, table: str, name: str) -> tuple[str, ...]:
        """A setting of several texts."""
        value = self.values[table, name]
        return value if isinstance(value, tuple) else ()

    def changed(self, table: str, name: str, value: Value) -> ServiceSettings:
        """The same with one setting replaced."""
        return ServiceSettings({**self.values, (table, name): value}, self.venues)


def default_settings() -> ServiceSettings:
    """What holds without a configuration file; paths are relative to the working directory."""
    return ServiceSettings({(s.table, s.name): s.default for s in SETTINGS}, {})


def load_settings(path: Path) -> ServiceSettings:
    """The settings of a file; raises ConfigError naming the file and the key."""
    try:
        raw: dict[str, Any] = tomllib.loads(read_whole(path, "the service's configuration").decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not TOML ({error}); correct it") from error
    venues = _venues(raw.pop("venues", []), path)
    known = {(s.table, s.name): s for s in SETTINGS}
    values: dict[tuple[str, str], Value] = {key: s.default for key, s in known.items()}
    for table, entries in raw.items():
        if not isinstance(entries, dict):
            raise ConfigError(f"{path}: {table} is not a table; write [{table}]")
        for name, given in entries.items():
            if (table, name) not in known:
                raise ConfigError(f"{path}: there is no setting {table}.{name}; see docs/service.md")
            values[table, name] = _checked(known[table, name], given, path)
    return ServiceSettings(values, venues)


def check_settings(settings: ServiceSettings) -> None:
    """Refuse what would be open to strangers; raises ConfigError."""
    host = settings.text("http", "host")
    if settings.flag("http", "without_keys") and host not in _LOOPBACK:
        raise ConfigError(
            f"http.without_keys is set and http.host is {host}; listen on 127.0.0.1 or use keys"
        )
    if settings.text("store", "url") and settings.text("store", "url_variable"):
        raise ConfigError("store.url and store.url_variable are both set; keep one")
    if settings.number("background", "price_every_s") and not settings.text("background", "policy_spec"):
        raise ConfigError("background.price_every_s is set without background.policy_spec; name the spec")


def _checked(setting: Setting, given: object, path: Path) -> Value:
    where = f"{path}: {setting.table}.{setting.name}"
    default = setting.default
    if isinstance(default, bool):
        if not isinstance(given, bool):
            raise ConfigError(f"{where} is not true or false; write one of them")
        return given
    if isinstance(default, int):
        if not isinstance(given, int) or isinstance(given, bool):
            raise ConfigError(f"{where} is not an integer; write one")
        if not setting.low <= given <= setting.high:
            raise ConfigError(f"{where} is {given}, outside {setting.low}..{setting.high}; correct it")
        return given
    is_path = (setting.table, setting.name) in PATHS
    if isinstance(default, str):
        if not isinstance(given, str) or len(given) > 2_000:
            raise ConfigError(f"{where} is not a text; write one")
        return str(path.parent / given) if is_path and given else given
    if not isinstance(given, list) or any(not isinstance(one, str) or not one for one in given):
        raise ConfigError(f"{where} is not a list of texts; write [..]")
    return tuple(str(path.parent / one) if is_path else one for one in given)


def _venues(given: object, path: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    if not isinstance(given, list):
        raise ConfigError(f"{path}: venues is not a list of tables; write [[venues]]")
    for entry in given:
        if not isinstance(entry, dict) or set(entry) != {"id", "file"}:
            raise ConfigError(f"{path}: a venue has exactly the keys id and file; correct it")
        name, file = entry["id"], entry["file"]
        if not isinstance(name, str) or _VENUE_ID.fullmatch(name) is None or name in found:
            raise ConfigError(f"{path}: {name!r} cannot be a venue's id, or is one already; choose another")
        if not isinstance(file, str):
            raise ConfigError(f"{path}: the file of venue {name} is not a text; write its path")
        found[name] = path.parent / file
    return found
