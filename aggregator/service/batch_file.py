"""Batch files: which proofs to make, as TOML, read strictly. Every key is explained in docs/cli.md."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aggregator.model.errors import ConfigError, InputError
from aggregator.model.policy import Level
from aggregator.model.strictjson import JsonObject
from aggregator.service.linking import parse_address, parse_caip10
from aggregator.service.proving import Audience
from aggregator.service.venue_file import parse_usd
from aggregator.store import read_whole

MAX_PROOFS: Final = 10_000
MAX_LIFETIME_S: Final = 366 * 86_400
SHARED: Final[tuple[str, ...]] = ("policy", "venue", "registry", "level", "lifetime_s")
"""Keys that an entry takes from the top of the file, or from the command line, when it does not say them itself."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """One proof of a batch. `name` is that of its bundle, without the ending."""

    name: str
    snapshot: str
    amount_e6: int
    policy: str
    level: Level
    audience: Audience
    lifetime_s: int
    attestations: tuple[Path, ...]


def load_batch(path: Path, given: Mapping[str, object]) -> tuple[BatchEntry, ...]:
    """The entries of a batch file, or of every `*.toml` in a folder, in order.

    `given` holds what the command line says of `SHARED`; paths are relative to the file.
    Raises ConfigError naming the file and the key; InputError when it cannot be read.
    """
    if path.is_dir():
        files = sorted(path.glob("*.toml"))
        if not files:
            raise ConfigError(f"{path} holds no batch file (*.toml); check the path")
    else:
        files = [path]
    entries = [entry for file in files for entry in _load(file, given)]
    names: set[str] = set()
    for entry in entries:
        if entry.name in names:
            raise ConfigError(f"{path} names two proofs {entry.name!r}; give one of them another `name`")
        names.add(entry.name)
    if len(entries) > MAX_PROOFS:
        raise ConfigError(f"{path} asks for {len(entries)} proofs; split it into batches of {MAX_PROOFS}")
    return tuple(entries)


def _load(path: Path, given: Mapping[str, object]) -> list[BatchEntry]:
    try:
        raw: dict[str, Any] = tomllib.loads(read_whole(path, "the batch file").decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML ({error}); correct it") from error
    shared = {key: raw.pop(key) for key in SHARED if key in raw}
    top = JsonObject(raw, str(path), ("proofs",), error=ConfigError)
    defaults: dict[str, object] = {"level": "IM", **given, **shared}
    return [
        _entry(item, f"{path}.proofs[{n}]", defaults, path.parent)
        for n, item in enumerate(top.list("proofs"))
    ]


def _entry(item: object, where: str, defaults: Mapping[str, object], folder: Path) -> BatchEntry:
    own = ("snapshot", "amount_usd", "attestations")
    said = JsonObject(item, where, own, error=ConfigError, open_ended=True).value
    whole: dict[str, object] = {**defaults, "name": said["snapshot"], **said}
    fields = JsonObject(whole, where, (*own, "name", *SHARED), error=ConfigError)
    level = fields.text("level")
    if level not in Level.__members__:
        fields.fail("level", f"is {level!r}; use IM or MM")
    attestations = fields.texts("attestations")
    if not attestations:
        fields.fail("attestations", "is empty, and a proof nobody attested says nothing; name at least one")
    try:
        chain_id, registry = parse_caip10(fields.text("registry"))
        audience = Audience(parse_address(fields.text("venue")), chain_id, registry)
        amount_e6 = parse_usd(fields.text("amount_usd"))
    except ConfigError:
        raise
    except InputError as error:
        raise ConfigError(f"{where}: {error}") from error
    return BatchEntry(
        name=fields.text("name", _NAME),
        snapshot=fields.text("snapshot"),
        amount_e6=amount_e6,
        policy=fields.text("policy", max_length=1000),
        level=Level[level],
        audience=audience,
        lifetime_s=fields.number("lifetime_s", 1, MAX_LIFETIME_S),
        attestations=tuple(folder / name for name in attestations),
    )
