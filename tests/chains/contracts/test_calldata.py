"""Proof and key words for the contracts, from our bytes and from the iden3 JSON."""

from __future__ import annotations

import pytest

from aggregator.model.errors import FormatError
from chains.contracts.calldata import FIELD_Q, proof_bytes, proof_words, verifying_key_words
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
