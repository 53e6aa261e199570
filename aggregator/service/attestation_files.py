"""The two files that pass between a holder and an attestor, as canonical JSON.

The request shows the attestor the positions and the blinding that opens their commitment; it is written for the
owner's eyes only (mode 0600). The attestation that comes back is public.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aggregator.model.anchors import parse_chain_id
from aggregator.model.errors import InputError
from aggregator.model.snapshot import parse_snapshot, snapshot_json
from aggregator.model.strictjson import JsonObject, canonical_json, load_json
from aggregator.policy import parse_policy, policy_json
from aggregator.service.attestor import AttestationRequest
from aggregator.service.linking import parse_caip10
from aggregator.store import Link, naming, read_whole
from circuits.bundle import BundleAttestation
from circuits.field import MODULUS
from circuits.solvency import SIZES

REQUEST_SCHEMA: Final = "counterfoil/attestation-request/1"
ATTESTATION_SCHEMA: Final = "counterfoil/attestation/1"
MAX_SIGNATURE_CHARS: Final = 2 + 2 * 4096
_SIGNATURE: Final = re.compile(r"0x(?:[0-9a-f]{2})+", re.ASCII)
_REQUEST_FIELDS: Final = (
    "schema",
    "links",
    "snapshot",
    "policy",
    "circuit",
    "blinding",
    "commitment",
    "registry",
)


@dataclass(frozen=True, slots=True)
class RequestFile:
    """A request, and the links by which the account owns the snapshot's addresses."""

    request: AttestationRequest
    links: tuple[Link, ...]


def encode_request(file: RequestFile) -> bytes:
    """Canonical bytes of a request; they hold the blinding."""
    request = file.request
    return canonical_json(
        {
            "schema": REQUEST_SCHEMA,
            "links": [
                {
                    "address": link.address,
                    "chain": link.chain,
                    "issuedAt": link.issued_at,
                    "expiry": link.expiry,
                    "signature": link.signature,
                }
                for link in file.links
            ],
            "snapshot": snapshot_json(request.snapshot),
            "policy": policy_json(request.policy),
            "circuit": request.circuit,
            "blinding": str(request.blinding),
            "commitment": str(request.commitment),
            "registry": request.home,
        }
    )


def parse_request(data: bytes) -> RequestFile:
    """Untrusted bytes into a request; raises FormatError or PolicyError. Says nothing about the links' signatures."""
    fields = JsonObject(load_json(data), "request", _REQUEST_FIELDS)
    fields.schema(REQUEST_SCHEMA)
    circuit = fields.text("circuit")
    if circuit not in SIZES:
        fields.fail("circuit", f"is {circuit!r}; use one of {', '.join(SIZES)}")
    chain_id, registry = _registry(fields)
    request = AttestationRequest(
        snapshot=parse_snapshot(_object(fields, "snapshot")),
        policy=parse_policy(_object(fields, "policy")),
        circuit=circuit,
        blinding=_element(fields, "blinding"),
        commitment=_element(fields, "commitment"),
        chain_id=chain_id,
        registry=registry,
    )
    return RequestFile(request, fields.children("links", _parse_link))


def _parse_link(value: object, where: str) -> Link:
    fields = JsonObject(value, where, ("address", "chain", "issuedAt", "expiry", "signature"))
    chain = fields.value["chain"]
    return Link(
        address=fields.hex("address", 20),
        account="",
        issued_at=fields.number("issuedAt"),
        expiry=fields.number("expiry"),
        signature=fields.text("signature", _SIGNATURE, max_length=MAX_SIGNATURE_CHARS),
        chain=parse_chain_id(fields.text("chain")) if chain else "",
    )


def _object(fields: JsonObject, key: str) -> dict[str, object]:
    value = fields.value[key]
    if not isinstance(value, dict):
        fields.fail(key, "is not a JSON object; make the request again")
    return value


def _registry(fields: JsonObject) -> tuple[int, str]:
    try:
        return parse_caip10(fields.text("registry"))
    except InputError as error:
        fields.fail("registry", f"is no registry ({error})")


def _element(fields: JsonObject, key: str) -> int:
    value = fields.amount(key)
    if not 0 <= value < MODULUS:
        fields.fail(key, "is not a field element; make the request again")
    return value


def attestation_json(attestation: BundleAttestation) -> dict[str, object]:
    """The JSON value of an attestation, as bundles hold it, with its schema."""
    return {
        "schema": ATTESTATION_SCHEMA,
        "attestor": attestation.attestor,
        "expiry": attestation.expiry,
        "coverage": attestation.coverage,
        "signature": attestation.signature,
    }


def parse_attestation(data: bytes) -> BundleAttestation:
    """Untrusted bytes into an attestation; raises FormatError. Says nothing about whether the signature holds."""
    fields = JsonObject(
        load_json(data), "attestation", ("schema", "attestor", "expiry", "coverage", "signature")
    )
    fields.schema(ATTESTATION_SCHEMA)
    return BundleAttestation(
        attestor=fields.hex("attestor", 20),
        expiry=fields.number("expiry"),
        coverage=fields.hex("coverage", 32),
        signature=fields.hex("signature", 65),
    )


def read_attestation(path: Path) -> BundleAttestation:
    """The attestation in a file; raises InputError or FormatError naming the file."""
    data = read_whole(path, "the attestation")
    with naming(path):
        return parse_attestation(data)
