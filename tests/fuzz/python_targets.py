"""The Python parsers of documents: bundles, policies, snapshots, evidence, attestations, configuration, secrets."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from eth_account import Account

from aggregator.cli.demo.config import load_demo
from aggregator.fixed import parse_decimal, parse_decimal_down, parse_decimal_up
from aggregator.liquidation.auction import parse_bids
from aggregator.liquidation.book_file import parse_book
from aggregator.liquidation.rules import parse_rules
from aggregator.margin.rulebooks import parse_rulebook
from aggregator.model.anchors import anchors_hash, parse_chain_id
from aggregator.model.errors import CounterfoilError
from aggregator.model.policy import Level
from aggregator.model.snapshot import encode_snapshot, parse_snapshot
from aggregator.model.strictjson import canonical_json, load_json
from aggregator.policy import check_policy, encode_policy, parse_policy
from aggregator.policy.spec import parse_spec
from aggregator.service.attestation_files import (
    RequestFile,
    attestation_json,
    encode_request,
    parse_attestation,
    parse_request,
)
from aggregator.service.attestor import AttestationRequest
from aggregator.service.batch_file import load_batch
from aggregator.service.linking import parse_address, parse_caip10
from aggregator.service.submission import submission_of
from aggregator.service.venue_file import load_venue, parse_usd, read_verification_key
from aggregator.store import read_secret
from chains.balances.layouts import parse_layout
from chains.networks import load_network
from chains.relayer.signer import load_signer
from circuits import _native
from circuits.assignment import encode_requirement
from circuits.bundle import Bundle, BundleAttestation, PolicyHeader, encode_bundle, parse_bundle
from circuits.ceremony.record import Ceremony, KeyFile, Powers
from circuits.ceremony.record import encode as encode_ceremony
from circuits.ceremony.record import parse as parse_ceremony
from circuits.context import Context
from circuits.field import encode
from circuits.formats.snarkjs import (
    encode_proof,
    encode_public,
    encode_verification_key,
    parse_proof,
    parse_public,
)
from circuits.keys import KeyKind
from tests.aggregator.test_snapshot import anchor, snapshot
from tests.circuits.books import fixed_policy
from tests.circuits.tiny import tiny
from tests.fuzz.mutate import mutate_bytes, mutate_json, mutate_toml
from tests.fuzz.target import Target, scratch

ROOT = Path(__file__).parent.parent.parent
NOW = 1_790_000_000


def _file(data: bytes, name: str) -> Path:
    path = scratch() / f"{os.getpid()}-{name}"
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def _seed(data: bytes) -> Callable[[Path], list[bytes]]:
    return lambda _: [data]


def _configs(*patterns: str) -> Callable[[Path], list[bytes]]:
    return lambda _: [
        p.read_bytes() for pattern in patterns for p in sorted((ROOT / "configs").glob(pattern))
    ]


def _text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    """For parsers of text: bytes that are none do not reach them."""

    def run(data: bytes) -> object:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return None
        return parse(text)

    return run


@cache
def _proof() -> tuple[bytes, bytes]:
    path = scratch() / "tiny.zkey"
    circuit = tiny().build()
    _native.setup_dev(circuit, path)
    key = _native.ProvingKey.open(path)
    return key.prove(circuit.witness(encode([35, 777, 5, 7]))), key.verifying_key()


def _bundle_seeds(_: Path) -> list[bytes]:
    anchors = (anchor(1), anchor(10))
    context = Context(8453, "0x" + "11" * 20, "0x" + "fe" * 20, NOW, anchors_hash(anchors), NOW - 9)
    return [
        encode_bundle(
            Bundle(
                circuit="solvency-16",
                circuit_digest="0x" + "ab" * 32,
                key_kind=KeyKind.DEV,
                verification_key_id="0x" + "cd" * 32,
                public=(1, 2, 3, encode_requirement(250_000_123_456, Level.IM), context.signal()),
                proof=_proof()[0],
                context=context,
                policy=PolicyHeader("fixed", "tests", 1, NOW - 99, NOW + 99),
                anchors=anchors,
                attestations=(BundleAttestation("0x" + "aa" * 20, NOW, "0x" + "cc" * 32, "0x" + "1b" * 65),),
            )
        )
    ]


def _bundle(data: bytes) -> None:
    bundle = parse_bundle(data)
    assert parse_bundle(encode_bundle(bundle)) == bundle
    submission_of(bundle)


def _policy(data: bytes) -> None:
    policy = parse_policy(data)
    check_policy(policy)
    assert parse_policy(encode_policy(policy)) == policy


def _snapshot(data: bytes) -> None:
    taken = parse_snapshot(data)
    assert parse_snapshot(encode_snapshot(taken)) == taken


def _request_seeds(_: Path) -> list[bytes]:
    return [
        encode_request(
            RequestFile(
                AttestationRequest(snapshot(), fixed_policy(), "solvency-16", 5, 6, 1, "0x" + "09" * 20), ()
            )
        )
    ]


def _request(data: bytes) -> None:
    parse_request(data)


def _attestation(data: bytes) -> None:
    found = parse_attestation(data)
    assert parse_attestation(canonical_json(attestation_json(found))) == found


_ATTESTATION = canonical_json(
    attestation_json(BundleAttestation("0x" + "aa" * 20, NOW, "0x" + "cc" * 32, "0x" + "1b" * 65))
)


def _verification_key(data: bytes) -> None:
    key = read_verification_key(_file(data, "verification_key.json"))
    try:
        _native.alpha_beta(key)
    except ValueError:
        return


def _proof_json(data: bytes) -> None:
    found = parse_proof(load_json(data))
    assert parse_proof(encode_proof(found)) == found


def _public_json(data: bytes) -> None:
    found = parse_public(load_json(data))
    assert parse_public(encode_public(found)) == found


def _network(data: bytes) -> None:
    load_network(_file(data, "network.toml"))


_VENUE = f"""
venue = "0x{"Aa" * 20}"
chain_id = 8453
registry = "0x{"bb" * 20}"
amount_usd = "250000.5"
level = "MM"
attestors = ["0x{"01" * 20}", "0x{"02" * 20}"]
threshold = 2
max_age_s = 900
coverages = ["0x{"0c" * 32}"]
chains = ["eip155:1"]
least_trust = "rpc-quorum"
accept_dev_keys = false
policies = []

[[verification_keys]]
file = "verification_key.json"
kind = "dev"
circuit = "solvency-16"
circuit_digest = "0x{"0d" * 32}"
"""


def _venue(data: bytes) -> None:
    path = scratch() / "verification_key.json"
    if not path.exists():
        path.write_text(json.dumps(encode_verification_key(_proof()[1])))
    load_venue(_file(data, "venue.toml"))


_BATCH = f"""
policy = "policy.json"
venue = "0x{"Aa" * 20}"
registry = "eip155:8453:0x{"bb" * 20}"
lifetime_s = 600

[[proofs]]
snapshot = "anna"
amount_usd = "1.5"
attestations = ["a.json"]

[[proofs]]
snapshot = "0xab"
name = "ben"
level = "MM"
amount_usd = "2"
attestations = ["b.json", "c.json"]
"""


def _batch(data: bytes) -> None:
    load_batch(_file(data, "batch.toml"), {"level": "IM"})


def _ceremony_seeds(_: Path) -> list[bytes]:
    keys = (KeyFile("0000.zkey", "ab" * 32, "", ""), KeyFile("0001.zkey", "cd" * 32, "x", "ef" * 64))
    powers = Powers("p.ptau", "01" * 64, 16, 3, "unknown")
    return [encode_ceremony(Ceremony("solvency-16", "0x" + "12" * 32, "34" * 32, "56" * 64, powers, keys))]


def _ceremony(data: bytes) -> None:
    found = parse_ceremony(data, "ceremony.json")
    assert parse_ceremony(encode_ceremony(found), "ceremony.json") == found


def _demo(data: bytes) -> None:
    path = _file(data, "demo.toml")
    folder = path.parent / "policies"
    if not folder.exists():
        folder.symlink_to(ROOT / "configs" / "policies")
    load_demo(path, NOW)


def _secret(data: bytes) -> None:
    read_secret(_file(data, "secret.key"), "holder key")


def _keystore_seeds(_: Path) -> list[bytes]:
    return [
        json.dumps(Account.encrypt("0x" + "07" * 32, "pass", kdf=kdf, iterations=n)).encode()
        for kdf, n in (("pbkdf2", 2), ("scrypt", 2))
    ]


def _keystore(data: bytes) -> None:
    load_signer(f"keystore:{_file(data, 'keystore.json')}", password="env:PASSWORD", env={"PASSWORD": "pass"})


def _signer(text: str) -> None:
    load_signer(text, env={"KEY": "0x" + "07" * 32, "BAD": text})


def _amounts(text: str) -> None:
    exact = parse_decimal(text, 6)
    assert parse_decimal_down(text, 6) == exact == parse_decimal_up(text, 6)
    parse_usd(text)


def _caip(text: str) -> None:
    for parse in (parse_chain_id, parse_caip10, parse_address):
        with contextlib.suppress(CounterfoilError):
            parse(text)


_BIDS = b"""schema = "counterfoil/bids/1"
[[bids]]
bidder = "a"
symbol = "ETH@eip155:1"
at_s = 5
limit = 0.95
quantity = 1.5
"""
_BOOK = b"""{"schema": "counterfoil/book/1",
"accounts": [{"name": "a", "positions": {"ETH@eip155:1": "10.5", "USDC-DEBT@eip155:1": "-20000"}}]}"""


TARGETS = (
    Target("bundle", _bundle_seeds, _bundle, mutate_json),
    Target("policy", lambda _: [encode_policy(fixed_policy())], _policy, mutate_json, weight=3),
    Target("snapshot", lambda _: [encode_snapshot(snapshot())], _snapshot, mutate_json),
    Target("attestation-request", _request_seeds, _request, mutate_json, weight=3),
    Target("attestation", _seed(_ATTESTATION), _attestation, mutate_json, weight=5),
    Target(
        "verification-key",
        lambda _: [json.dumps(encode_verification_key(_proof()[1])).encode()],
        _verification_key,
        mutate_json,
    ),
    Target(
        "proof-json", lambda _: [json.dumps(encode_proof(_proof()[0])).encode()], _proof_json, mutate_json
    ),
    Target("public-json", _seed(b'["1", "2"]'), _public_json, mutate_json, weight=5),
    Target("network", _configs("networks/*.toml"), _network, mutate_toml),
    Target("venue", _seed(_VENUE.encode()), _venue, mutate_toml),
    Target("rulebook", _configs("rulebooks/*.toml"), _text(parse_rulebook), mutate_toml),
    Target("liquidation-rules", _configs("liquidation/*.toml"), _text(parse_rules), mutate_toml, weight=5),
    Target("bids", _seed(_BIDS), _text(parse_bids), mutate_toml, weight=3),
    Target("book", _seed(_BOOK), parse_book, mutate_json, weight=3),
    Target("policy-spec", _configs("policies/*.toml"), _text(parse_spec), mutate_toml),
    Target("batch", _seed(_BATCH.encode()), _batch, mutate_toml),
    Target("ceremony-record", _ceremony_seeds, _ceremony, mutate_json),
    Target("demo", _configs("demo.toml"), _demo, mutate_toml, weight=3),
    Target("secret", _seed(b"0x" + b"07" * 32 + b"\n"), _secret, mutate_bytes, weight=5),
    Target("keystore", _keystore_seeds, _keystore, mutate_json, weight=3),
    Target("signer", _seed(b"env:KEY"), _text(_signer), mutate_bytes, weight=5),
    Target("layout", _seed(b"solidity:9/255"), _text(parse_layout), mutate_bytes, weight=5),
    Target("amount", lambda _: [b"250000.123456", b"-1.5"][:1], _text(_amounts), mutate_bytes, weight=5),
    Target(
        "caip",
        lambda _: [b"eip155:8453", b"eip155:1:0x" + b"aa" * 20, b"0x" + b"aa" * 20],
        _text(_caip),
        mutate_bytes,
        weight=5,
    ),
)
