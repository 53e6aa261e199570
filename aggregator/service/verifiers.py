"""The verifier contract of a proving key, which says of the key what this machine knows and not what somebody types."""

from __future__ import annotations

from chains.contracts import deploy
from circuits.formats.snarkjs import encode_verification_key
from circuits.groth16 import ProvingKey
from circuits.keys import KeyKind, kind_of


def verifier(key: ProvingKey, salt: bytes = bytes(32)) -> deploy.Placement:
    """The placement of the verifier of an opened key; `dev` unless its ceremony was verified on this machine."""
    words = encode_verification_key(key.verification_key)
    return deploy.verifier(words, dev=kind_of(key) is KeyKind.DEV, salt=salt)
