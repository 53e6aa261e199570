"""Everything a venue needs in one file: proof, public signals, anchors, attestations and the policy's header.

A bundle is canonical JSON (RFC 8785). What it says twice, once in words and once in a public signal, must agree to the
letter: `parse_bundle` refuses one that contradicts itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aggregator.fixed import format_decimal
from aggregator.model.anchors import BlockAnchor, anchors_hash, anchors_json, parse_anchors
from aggregator.model.errors import FormatError, ProofRefusedError
from aggregator.model.policy import Level, Policy
from aggregator.model.strictjson import JsonObject, canonical_json, load_json
from aggregator.model.units import TOTAL_BOUND
from circuits.artifacts import ReadyCircuit
from circuits.assignment import LEVEL_SHIFT, PUBLIC_NAMES
from circuits.context import Context
from circuits.field import MODULUS
from circuits.formats.snarkjs import encode_proof, parse_proof
from circuits.groth16 import ProvingKey
from circuits.keys import KeyKind, kind_of, verification_key_id
from circuits.prover import Proof

BUNDLE_SCHEMA: Final = "counterfoil/bundle/1"
USD_DECIMALS: Final = 6
MAX_ATTESTATIONS: Final = 64
_MAX_UINT64: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class BundleAttestation:
    """An attestor's signature over this bundle's account, commitment, anchors and cut (docs/protocol.md, section 7)."""

    attestor: str
    expiry: int
    coverage: str
    signature: str


@dataclass(frozen=True, slots=True)
class PolicyHeader:
    """Which policy the statement is made under; the root is a public signal."""

    name: str
    publisher: str
    epoch: int
    as_of: int
    expires: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """A proof and its surroundings. `public` are the five signals in protocol order, `proof` 256 bytes."""

    circuit: str
    circuit_digest: str
    key_kind: KeyKind
    verification_key_id: str
    public: tuple[int, ...]
    proof: bytes
    context: Context
    policy: PolicyHeader
    anchors: tuple[BlockAnchor, ...]
    attestations: tuple[BundleAttestation, ...]

    @property
    def account_id(self) -> int:
        """The account the statement is about."""
        return self.public[0]

    @property
    def commitment(self) -> int:
        """The commitment to its positions."""
        return self.public[1]

    @property
    def policy_root(self) -> int:
        """Root of the policy it is valued under."""
        return self.public[2]

    @property
    def amount_e6(self) -> int:
        """The amount proven, in 1e-6 USD."""
        return self.public[3] % TOTAL_BOUND

    @property
    def level(self) -> Level:
        """The margin level proven."""
        return Level(self.public[3] >> LEVEL_SHIFT)


_FIELDS: Final = (
    "schema",
    "circuit",
    "statement",
    "public",
    "proof",
    "context",
    "policy",
    "anchors",
    "attestations",
)


def bundle_json(bundle: Bundle) -> dict[str, object]:
    """The bundle as a JSON value (schema `counterfoil/bundle/1`, docs/formats.md)."""
    return {
        "schema": BUNDLE_SCHEMA,
        "circuit": {
            "name": bundle.circuit,
            "digest": bundle.circuit_digest,
            "key": bundle.key_kind.value,
            "verificationKey": bundle.verification_key_id,
        },
        "statement": {
            "amountUsd": format_decimal(bundle.amount_e6, USD_DECIMALS),
            "level": bundle.level.name,
        },
        "public": {name: str(value) for name, value in zip(PUBLIC_NAMES, bundle.public, strict=True)},
        "proof": encode_proof(bundle.proof),
        "context": {
            "chainId": bundle.context.chain_id,
            "registry": bundle.context.registry,
            "venue": bundle.context.venue,
            "expiry": bundle.context.expiry,
            "anchorsHash": bundle.context.anchors_hash,
            "cutTime": bundle.context.cut_time,
        },
        "policy": {
            "name": bundle.policy.name,
            "publisher": bundle.policy.publisher,
            "epoch": bundle.policy.epoch,
            "asOf": bundle.policy.as_of,
            "expires": bundle.policy.expires,
        },
        "anchors": anchors_json(bundle.anchors),
        "attestations": [
            {"attestor": a.attestor, "expiry": a.expiry, "coverage": a.coverage, "signature": a.signature}
            for a in bundle.attestations
        ],
    }


def encode_bundle(bundle: Bundle) -> bytes:
    """Canonical JSON bytes."""
    return canonical_json(bundle_json(bundle))


def parse_bundle(data: bytes | str) -> Bundle:
    """Untrusted bytes into a bundle whose words agree with its signals. Says nothing about whether the proof holds.

    Raises: FormatError naming the field that is malformed; ProofRefusedError when the words are not those of the
    signals, so that somebody altered one of the two.
    """
    fields = JsonObject(load_json(data), "bundle", _FIELDS)
    fields.schema(BUNDLE_SCHEMA)
    circuit = fields.child("circuit", ("name", "digest", "key", "verificationKey"))
    kind = circuit.text("key")
    if kind not in set(KeyKind):
        circuit.fail("key", f"is {kind!r}; use one of {', '.join(KeyKind)}")
    bundle = Bundle(
        circuit=circuit.text("name"),
        circuit_digest=circuit.hex("digest", 32),
        key_kind=KeyKind(kind),
        verification_key_id=circuit.hex("verificationKey", 32),
        public=_parse_public(fields),
        proof=_parse_proof(fields),
        context=_parse_context(fields),
        policy=_parse_policy(fields),
        anchors=parse_anchors(fields.value["anchors"], "bundle.anchors"),
        attestations=fields.children("attestations", _parse_attestation),
    )
    if len(bundle.attestations) > MAX_ATTESTATIONS:
        fields.fail(
            "attestations", f"has {len(bundle.attestations)} entries; at most {MAX_ATTESTATIONS} are read"
        )
    _check_agreement(fields, bundle)
    return bundle


def _parse_public(fields: JsonObject) -> tuple[int, ...]:
    public = fields.child("public", PUBLIC_NAMES)
    values = tuple(public.amount(name) for name in PUBLIC_NAMES)
    for name, value in zip(PUBLIC_NAMES, values, strict=True):
        if not 0 <= value < MODULUS:
            public.fail(name, "is not in 0..r-1; the only spelling of a signal is the canonical one")
    if values[3] >> LEVEL_SHIFT > 1:
        public.fail("requirementAndLevel", "is above 2^81; it is amount + 2^80 x level")
    return values


def _parse_proof(fields: JsonObject) -> bytes:
    try:
        return parse_proof(fields.value["proof"], f"{fields.where}.proof")
    except FormatError as error:
        raise FormatError(f"{error}; ask the holder for the bundle again") from error


def _parse_context(fields: JsonObject) -> Context:
    context = fields.child("context", ("chainId", "registry", "venue", "expiry", "anchorsHash", "cutTime"))
    return Context(
        chain_id=context.number("chainId", 1),
        registry=context.hex("registry", 20),
        venue=context.hex("venue", 20),
        expiry=context.number("expiry"),
        anchors_hash=context.hex("anchorsHash", 32),
        cut_time=context.number("cutTime"),
    )


def _parse_policy(fields: JsonObject) -> PolicyHeader:
    policy = fields.child("policy", ("name", "publisher", "epoch", "asOf", "expires"))
    return PolicyHeader(
        name=policy.text("name"),
        publisher=policy.text("publisher"),
        epoch=policy.number("epoch"),
        as_of=policy.number("asOf"),
        expires=policy.number("expires"),
    )


def _parse_attestation(value: object, where: str) -> BundleAttestation:
    fields = JsonObject(value, where, ("attestor", "expiry", "coverage", "signature"))
    return BundleAttestation(
        attestor=fields.hex("attestor", 20),
        expiry=fields.number("expiry"),
        coverage=fields.hex("coverage", 32),
        signature=fields.hex("signature", 65),
    )


def _check_agreement(fields: JsonObject, bundle: Bundle) -> None:
    """What the words say has to be what `encode_bundle` writes for the signals, to the letter."""
    statement = fields.child("statement", ("amountUsd", "level"))
    amount, level = statement.text("amountUsd"), statement.text("level")
    if level not in Level.__members__:
        statement.fail("level", f"is {level!r}; use IM or MM")
    proven = format_decimal(bundle.amount_e6, USD_DECIMALS)
    if (amount, level) != (proven, bundle.level.name):
        raise _altered(
            f"the bundle states {amount} USD at {level}, but its public signal says {proven} at {bundle.level.name}"
        )
    if anchors_hash(bundle.anchors) != bundle.context.anchors_hash:
        raise _altered("the bundle's anchors do not hash to its context's anchorsHash")
    if bundle.context.signal() != bundle.public[4]:
        raise _altered(
            "the bundle's context (venue, chain, registry, expiry, anchors, cut) is not the one its proof is bound to",
            "altered or made for somebody else",
        )


def _altered(what: str, how: str = "altered") -> ProofRefusedError:
    return ProofRefusedError(f"{what}; it has been {how}: do not rely on it; ask the holder for a new one")


def make_bundle(
    circuit: ReadyCircuit,
    key: ProvingKey,
    policy: Policy,
    proof: Proof,
    context: Context,
    anchors: Iterable[BlockAnchor],
    attestations: Iterable[BundleAttestation] = (),
) -> Bundle:
    """Puts a proof and its surroundings together, checked as a reader would.

    Raises: ProofRefusedError when the parts do not belong together.
    """
    bundle = Bundle(
        circuit=circuit.size.name,
        circuit_digest=circuit.digest,
        key_kind=kind_of(key),
        verification_key_id=verification_key_id(key.verification_key),
        public=proof.public,
        proof=proof.proof,
        context=context,
        policy=PolicyHeader(policy.name, policy.publisher, policy.epoch, policy.as_of, policy.expires),
        anchors=tuple(anchors),
        attestations=tuple(attestations),
    )
    return parse_bundle(encode_bundle(bundle))
