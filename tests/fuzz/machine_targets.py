"""Files that a machine keeps or is set up with: settings, data beside a spec, caches, records; and proof batches."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path

from aggregator.policy.inputs import PolicyInputs, encode_inputs, parse_inputs
from aggregator.policy.quotes import PriceQuote, RateQuote
from aggregator.policy.resolve import resolve
from aggregator.policy.spec import parse_spec
from aggregator.pricing.option_quotes import parse_option_quotes
from aggregator.risk.history import parse_history
from aggregator.service.settings import load_settings
from circuits import _native
from circuits import cache as circuit_cache
from circuits.field import encode
from circuits.keys import DEV_SCHEMA, VERIFIED_SCHEMA, read_record
from tests.aggregator.markets import PRICES_E12, RATES_E12, SPECS
from tests.circuits.rehearsal import square
from tests.circuits.tiny import tiny
from tests.fuzz.mutate import mutate_bytes, mutate_json, mutate_toml
from tests.fuzz.target import Target, scratch

NOW = 1_790_000_000
KEY_ID = "0x" + "cd" * 32
PUBLIC = encode([35, 777])
PROOF_BYTES = 256
CHECKSUM_END = len(circuit_cache.MAGIC) + 32

_HISTORY = b"date,close\n2026-01-01,3000.5\n2026-01-02,3100\n2026-01-03,2.5e3\n"
_HISTORY_JSON = json.dumps(
    [{"date": "2026-01-01", "close": 3000.5}, {"date": "2026-01-02", "close": 3100}]
).encode()
_OPTIONS = b"expiry,strike,type,bid,ask\n2026-12-25,3000,C,0.05,0.06\n2026-12-25,3000,P,0.04,0.05\n"
_SETTINGS = b"""
[http]
port = 8080

[background]
snapshot_every_s = 60
"""


def _path(name: str) -> Path:
    path = scratch() / f"{os.getpid()}-{name}"
    path.unlink(missing_ok=True)
    return path


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _settings(data: bytes) -> None:
    path = _path("service.toml")
    path.write_bytes(data)
    load_settings(path)


def _history(data: bytes) -> None:
    text = _text(data)
    if text is not None:
        found = parse_history(text, "history")
        assert len(found.closes) >= 2
        assert all(0 < close < float("inf") for close in found.closes)


def _option_quotes(data: bytes) -> None:
    text = _text(data)
    if text is not None:
        assert all(0 < quote.bid <= quote.ask for quote in parse_option_quotes(text, "options"))


def _inputs_seeds(_: Path) -> list[bytes]:
    text = (SPECS / "demo.toml").read_text()
    resolved = resolve(parse_spec(text, "demo.toml"), {}, dict(PRICES_E12), as_of=NOW, previous=None)
    prices = {name: PriceQuote(price, NOW) for name, price in PRICES_E12.items()}
    rates = {name: RateQuote(rate, NOW) for name, rate in RATES_E12.items()}
    return [encode_inputs(PolicyInputs(text, resolved, prices, rates, NOW, 1, False))]


def _inputs(data: bytes) -> None:
    found = parse_inputs(data)
    assert parse_inputs(encode_inputs(found)) == found


@cache
def _compiled() -> bytes:
    """The file of a compiled circuit."""
    circuit = square()
    circuit_cache.store(circuit.compiled, circuit.digest, scratch() / "circuits")
    return circuit_cache.cache_path("square", scratch() / "circuits").read_bytes()


def _circuit(data: bytes) -> None:
    """With a checksum that is good, as whoever can write the file would give it: it is that circuit, or none."""
    body = data[CHECKSUM_END:]
    folder = scratch() / f"circuits-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    path = circuit_cache.cache_path("square", folder)
    path.write_bytes(circuit_cache.MAGIC + hashlib.sha256(body).digest() + body)
    found = circuit_cache.load("square", folder)
    if found is not None:
        circuit, digest = found
        assert circuit.digest() == digest


_RECORDS = [
    json.dumps({"schema": schema, "verificationKeyId": KEY_ID, "circuitDigest": "0x" + "ab" * 32}).encode()
    for schema in (DEV_SCHEMA, VERIFIED_SCHEMA)
]


def _record(data: bytes) -> None:
    """Nothing but a record of this key is one."""
    path = _path("record.json")
    path.write_bytes(data)
    for schema in (DEV_SCHEMA, VERIFIED_SCHEMA):
        if read_record(path, schema, KEY_ID) is not None:
            document = json.loads(data)
            assert (document["schema"], document["verificationKeyId"]) == (schema, KEY_ID)


@cache
def _batch() -> tuple[bytes, bytes]:
    """A verification key, and three proofs of one statement."""
    path, circuit = scratch() / "batch.zkey", tiny().build()
    _native.setup_dev(circuit, path)
    key = _native.ProvingKey.open(path)
    witness = circuit.witness(encode([35, 777, 5, 7]))
    return key.verifying_key(), b"".join(key.prove(witness) for _ in range(3))


def _batch_seeds(_: Path) -> list[bytes]:
    return [_batch()[1]]


def _batch_proofs(data: bytes) -> None:
    """A batch holds exactly when each of its proofs does, and the bad ones are found."""
    key, count = _batch()[0], len(data) // PROOF_BYTES
    public = PUBLIC * count
    held = _native.verify_batch(key, public, data)
    bad = {position for position, _ in _native.find_bad_proofs(key, public, data)}
    one_by_one = set()
    for position in range(count):
        proof = data[position * PROOF_BYTES : (position + 1) * PROOF_BYTES]
        try:
            good = _native.verify(key, PUBLIC, proof)
        except ValueError:
            good = False
        if not good:
            one_by_one.add(position)
    assert held == (not bad)
    assert bad == one_by_one


TARGETS = (
    Target("service-settings", lambda _: [_SETTINGS], _settings, mutate_toml),
    Target("price-history", lambda _: [_HISTORY], _history, mutate_bytes),
    Target("price-history-json", lambda _: [_HISTORY_JSON], _history, mutate_json),
    Target("option-quotes", lambda _: [_OPTIONS], _option_quotes, mutate_bytes),
    Target("policy-inputs", _inputs_seeds, _inputs, mutate_json, weight=3),
    Target("compiled-circuit", lambda _: [_compiled()], _circuit, mutate_bytes, weight=5),
    Target("key-record", lambda _: _RECORDS, _record, mutate_json, weight=5),
    Target("proof-batch", _batch_seeds, _batch_proofs, mutate_bytes, (ValueError,), weight=2),
)
