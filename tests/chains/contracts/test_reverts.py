"""Every refusal of a contract becomes a sentence, whatever its values."""

from __future__ import annotations

from typing import Any, cast

import pytest
from eth_abi.abi import encode
from eth_utils.abi import abi_to_signature, get_abi_input_types
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from aggregator.model.errors import ChainError, FormatError, InputError
from chains.contracts import artifact
from chains.contracts.coding import call_data, creation_code, decode_result, error_selectors
from chains.contracts.registry import Registry
from chains.contracts.reverts import CONTRACTS, error_name, explain_revert, known_errors, refusal

# Of the signature library: our contracts never raise them, they use its variants that return an error instead.
NEVER_RAISED = {"ECDSAInvalidSignature", "ECDSAInvalidSignatureLength", "ECDSAInvalidSignatureS"}
ERRORS = [(c, e) for c in CONTRACTS for e in error_selectors(c).values() if e["name"] not in NEVER_RAISED]


def sample(kind: str, high: bool) -> object:
    """The smallest or largest value of an ABI type."""
    if kind == "address":
        return "0x" + 40 * ("f" if high else "0")
    if kind == "bytes32":
        return bytes([255 if high else 0]) * 32
    bits = int(kind.removeprefix("uint"))
    return 2**bits - 1 if high else 0


@pytest.mark.parametrize(("contract", "entry"), ERRORS, ids=lambda x: x if isinstance(x, str) else x["name"])
@pytest.mark.parametrize("high", [False, True])
def test_every_error_has_a_sentence(contract: str, entry: dict[str, Any], high: bool) -> None:
    """One sentence with the thing and the next step, at the smallest and the largest values."""
    assert contract
    abi = cast(Any, entry)
    types = get_abi_input_types(abi)
    data = keccak(abi_to_signature(abi).encode())[:4] + encode(types, [sample(t, high) for t in types])
    assert error_name(data) == entry["name"]
    sentence = explain_revert(data)
    assert "unknown data" not in sentence
    assert ";" in sentence
    assert "\n" not in sentence
    assert str(refusal(data)) == sentence


def test_no_sentence_is_left_over() -> None:
    """A sentence without an error would never be read."""
    assert known_errors() == {e["name"] for _, e in ERRORS}


def test_reverts_of_the_language_are_explained() -> None:
    text = bytes.fromhex("08c379a0") + encode(["string"], ["no\x1b[31m way"])
    assert explain_revert(text) == 'the contract refused: "no?[31m way"'
    assert "overflowed" in explain_revert(bytes.fromhex("4e487b71") + encode(["uint256"], [0x11]))
    assert "without a reason" in explain_revert(b"")


@given(st.binary(max_size=100))
def test_any_data_is_explained(data: bytes) -> None:
    """Unknown or truncated data never raises, also behind a known selector."""
    assert explain_revert(data)
    for entry in list(error_selectors("SolvencyRegistry"))[:5]:
        assert explain_revert(entry + data)


def test_wrong_calls_are_refused_in_python() -> None:
    with pytest.raises(InputError, match="no single function"):
        call_data("SolvencyRegistry", "nothing")
    with pytest.raises(InputError, match=r"SolvencyRegistry\.pledge takes"):
        call_data("SolvencyRegistry", "pledge", 1, -1)
    with pytest.raises(InputError, match="constructor of SolvencyRegistry takes"):
        creation_code("SolvencyRegistry")
    with pytest.raises(InputError, match="cannot be deployed"):
        creation_code("IProofVerifier")
    with pytest.raises(ChainError, match="is SolvencyRegistry deployed there"):
        decode_result("SolvencyRegistry", "pledged", b"")
    with pytest.raises(FormatError, match="is not an address"):
        Registry(cast(Any, None), "0x12")


def test_contracts_fit_the_code_size_limit() -> None:
    """EIP-170: 24,576 bytes."""
    for name in ("SolvencyRegistry", "Groth16Verifier"):
        assert 0 < len(artifact(name).deployed_bytecode) <= 24_576
