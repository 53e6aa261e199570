"""Proof and key words for the contracts, from our bytes and from the iden3 JSON."""

from __future__ import annotations

import pytest

from aggregator.model.errors import FormatError
from chains.contracts.calldata import (
    FIELD_Q,
    proof_bytes,
    proof_words,
    signature_words,
    verifying_key_words,
)
from tests.chains.contracts.toxic import Toxic

TOXIC = Toxic.make()


def test_proof_words_round_trip() -> None:
    """Little-endian bytes with the real part first become EVM words with the imaginary part first, and back."""
    raw = b"".join(n.to_bytes(32, "little") for n in range(1, 9))
    assert proof_words(raw) == (1, 2, 4, 3, 6, 5, 7, 8)
    assert proof_bytes(proof_words(raw)) == raw


@pytest.mark.parametrize("raw", [b"", bytes(255), bytes(257), bytes(224) + FIELD_Q.to_bytes(32, "little")])
def test_malformed_proof_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        proof_words(raw)


def test_signatures_are_packed_as_eip_2098_says() -> None:
    """The two test cases of EIP-2098."""
    r = bytes.fromhex("68a020a209d3d56c46f38cc50a33f704f4a9a10a59377f8dd762ac66910e9b90")
    s = bytes.fromhex("7e865ad05c4035ab5792787d4a0297a43617ae897930a6fe4d822b8faea52064")
    assert signature_words(r + s + b"\x1b") == (r, s)
    r = bytes.fromhex("9328da16089fcba9bececa81663203989f2df5fe1faa6291a45381c81bd17f76")
    s = bytes.fromhex("139c6d6b623b42da56557e5e734a43dc83345ddfadec52cbe24d0cc64f550793")
    packed = bytes.fromhex("939c6d6b623b42da56557e5e734a43dc83345ddfadec52cbe24d0cc64f550793")
    assert signature_words(r + s + b"\x1c") == (r, packed)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes(64),
        bytes(32) + bytes(31) + b"\x01" + b"\x1b" + b"\x00",
        bytes(65),
        bytes(32) + bytes(31) + b"\x01" + b"\x00",
        bytes(32) + bytes(31) + b"\x01" + b"\x1d",
        bytes(32) + b"\x7f" + b"\xff" * 31 + b"\x1b",
        bytes(32) + b"\xff" * 32 + b"\x1c",
    ],
)
def test_malformed_signatures_are_refused(signature: bytes) -> None:
    """Another length, another v, s of zero or in the upper half."""
    with pytest.raises(FormatError, match="ask for it again"):
        signature_words(signature)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("protocol", "plonk"),
        ("curve", "bls12381"),
        ("IC", [["1", "2", "1"]]),
        ("vk_alpha_1", ["1", "2", "0"]),
        ("vk_beta_2", [["1", "2"], ["3", "4"], ["0", "0"]]),
        ("vk_gamma_2", "x"),
        ("vk_delta_2", None),
    ],
)
def test_malformed_verifying_keys_are_refused(name: str, value: object) -> None:
    with pytest.raises(FormatError):
        verifying_key_words({**TOXIC.key_json(), name: value})
