"""Venue files: what one venue accepts, as TOML, read strictly. Every key is explained in docs/cli.md."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from aggregator.fixed import parse_decimal
from aggregator.model.anchors import parse_chain_id, trust_field
from aggregator.model.errors import ConfigError, FormatError, InputError
from aggregator.model.policy import Level
from aggregator.model.strictjson import JsonObject, load_json
from aggregator.model.units import TOTAL_BOUND, USD_SCALE
from aggregator.policy import parse_policy
from aggregator.service.venue import AcceptedKey, VenueRules
from aggregator.store import naming, read_whole
from circuits.bundle import PolicyHeader
from circuits.formats.snarkjs import parse_verification_key
from circuits.keys import KeyKind, verification_key_id
from circuits.policy_tree import build_tree

USD_DECIMALS: Final = 6
DAY_S: Final = 86_400
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_WORD: Final = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_FIELDS: Final = (
    "venue",
    "chain_id",
    "registry",
    "amount_usd",
    "level",
    "attestors",
    "threshold",
    "max_age_s",
    "coverages",
    "chains",
    "least_trust",
    "accept_dev_keys",
    "verification_keys",
    "policies",
)


def load_venue(path: Path) -> VenueRules:
    """A venue file and the verification keys it names (paths relative to the file).

    Raises ConfigError naming the file and the key.
    """
    try:
        raw: dict[str, Any] = tomllib.loads(read_whole(path, "the venue file").decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not TOML ({error}); correct it") from error
    fields = JsonObject(raw, str(path), _FIELDS, error=ConfigError)
    level = fields.text("level")
    if level not in Level.__members__:
        fields.fail("level", f"is {level!r}; use IM or MM")
    attestors = tuple(
        _address(fields, f"attestors[{n}]", text) for n, text in enumerate(fields.texts("attestors"))
    )
    if len(set(attestors)) != len(attestors):
        fields.fail("attestors", "names one attestor twice; keep one")
    if not attestors:
        fields.fail("attestors", "is empty, and a proof nobody attested says nothing; name at least one")
    return VenueRules(
        venue=_address(fields, "venue", fields.text("venue")),
        chain_id=fields.number("chain_id", 1),
        registry=_address(fields, "registry", fields.text("registry")),
        amount_e6=_amount(fields),
        level=Level[level],
        attestors=attestors,
        threshold=fields.number("threshold", 1, len(attestors)),
        coverages=_coverages(fields),
        policies=_policies(fields, path.parent),
        verification_keys=_keys(fields, path.parent),
        max_age_s=fields.number("max_age_s", 1, 30 * DAY_S),
        chains=_chains(fields),
        least_trust=trust_field(fields, "least_trust"),
        accept_dev_keys=fields.boolean("accept_dev_keys"),
    )


def _address(fields: JsonObject, key: str, text: str) -> str:
    if _ADDRESS.fullmatch(text) is None:
        fields.fail(key, f"is {text[:60]!r}, not a 20-byte address; correct it")
    return text.lower()


def parse_usd(text: str) -> int:
    """A positive amount of USD in 1e-6; raises InputError."""
    amount = parse_decimal(text, USD_DECIMALS, signed=False)
    if not 0 < amount < TOTAL_BOUND:
        most = TOTAL_BOUND // USD_SCALE
        raise InputError(f"the amount {text} USD is not above 0 and at most {most}; give one that is")
    return amount


def _amount(fields: JsonObject) -> int:
    try:
        return parse_usd(fields.text("amount_usd"))
    except InputError as error:
        raise ConfigError(f"{fields.where}.amount_usd: {error}") from error


def _chains(fields: JsonObject) -> tuple[str, ...]:
    try:
        return tuple(parse_chain_id(text) for text in fields.texts("chains"))
    except FormatError as error:
        raise ConfigError(f"{fields.where}.chains: {error}") from error


def _coverages(fields: JsonObject) -> tuple[str, ...]:
    coverages = fields.texts("coverages")
    for n, text in enumerate(coverages):
        if _WORD.fullmatch(text) is None:
            fields.fail(
                f"coverages[{n}]", "is not 32 bytes as lower-case 0x hex; copy it from an attestation"
            )
    return coverages


def _policies(fields: JsonObject, folder: Path) -> dict[int, PolicyHeader]:
    """Each policy document is checked against W1-W7 here: its root is only worth what its numbers are."""
    headers: dict[int, PolicyHeader] = {}
    for name in fields.texts("policies"):
        data = read_whole(folder / name, "the policy")
        with naming(folder / name):
            policy = parse_policy(data)
        headers[build_tree(policy).root] = PolicyHeader(
            policy.name, policy.publisher, policy.epoch, policy.as_of, policy.expires
        )
    return headers


def _keys(fields: JsonObject, folder: Path) -> dict[str, AcceptedKey]:
    keys: dict[str, AcceptedKey] = {}
    for n, item in enumerate(fields.list("verification_keys")):
        where = f"{fields.where}.verification_keys[{n}]"
        entry = JsonObject(item, where, ("file", "kind", "circuit", "circuit_digest"), error=ConfigError)
        kind = entry.text("kind")
        if kind not in set(KeyKind):
            entry.fail("kind", f"is {kind!r}; use one of {', '.join(KeyKind)}")
        key = read_verification_key(folder / entry.text("file", max_length=1000))
        circuit, digest = entry.text("circuit"), entry.hex("circuit_digest", 32)
        keys[verification_key_id(key)] = AcceptedKey(key, KeyKind(kind), circuit, digest)
    return keys


def read_verification_key(path: Path) -> bytes:
    """A verification key in iden3's JSON, as bytes; raises InputError or FormatError naming the file."""
    data = read_whole(path, "the verification key")
    with naming(path):
        return parse_verification_key(load_json(data))
