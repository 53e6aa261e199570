"""Links and attestations: the right signature is accepted, and no other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from aggregator.model.errors import ExpiredError, ProofRefusedError
from chains.attestation import Attestation, SignedAttestation, check_m_of_n
from chains.ownership import Link, Unlink, verify_statement
from chains.ownership_messages import DAY_S, MAX_LINK_DAYS
from chains.typed_data import SECP256K1_ORDER, is_canonical_signature

NOW = 1_790_000_100
KEYS: list[LocalAccount] = [Account.from_key(n.to_bytes(32, "big")) for n in (11, 22, 33, 44)]
ADDRESSES = [key.address.lower() for key in KEYS]
REGISTRY = "0x" + "a1" * 20
ATTESTATION = Attestation(
    5, 6, "0x" + "ab" * 32, 1_790_000_000, 1_790_003_600, "0x" + "cd" * 32, 8453, REGISTRY
)


def _signed(key: LocalAccount, attestation: Attestation = ATTESTATION) -> SignedAttestation:
    return SignedAttestation(attestation, key.address.lower(), attestation.sign(key))


def test_the_digest_is_eip_712_by_hand() -> None:
    def word(value: int) -> bytes:
        return value.to_bytes(32, "big")

    domain = keccak(
        keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
        + keccak(b"counterfoil")
        + keccak(b"1")
        + word(8453)
        + word(int(REGISTRY, 16))
    )
    kind = keccak(
        b"Attestation(uint256 accountId,uint256 commitment,bytes32 anchorsHash,"
        b"uint64 cutTime,uint64 expiry,bytes32 coverage)"
    )
    fields = word(5) + word(6) + b"\xab" * 32 + word(1_790_000_000) + word(1_790_003_600) + b"\xcd" * 32
    assert ATTESTATION.digest() == keccak(b"\x19\x01" + domain + keccak(kind + fields))


def test_m_of_n_accepts_enough_distinct_attestors() -> None:
    signed = [_signed(key) for key in KEYS[:3]]
    assert check_m_of_n(signed, ADDRESSES[:3], 2, NOW) == tuple(sorted(ADDRESSES[:3]))


def test_one_attestor_twice_is_one_attestor() -> None:
    with pytest.raises(ProofRefusedError, match="1 of the 2 attestations"):
        check_m_of_n([_signed(KEYS[0])] * 2, ADDRESSES, 2, NOW)


def test_a_stranger_does_not_count_and_is_named() -> None:
    with pytest.raises(ProofRefusedError, match=f"not accepted: {ADDRESSES[3]}"):
        check_m_of_n([_signed(KEYS[0]), _signed(KEYS[3])], ADDRESSES[:3], 2, NOW)


def test_an_expired_attestation_is_refused() -> None:
    with pytest.raises(ExpiredError, match="1 s ago"):
        check_m_of_n([_signed(KEYS[0])], ADDRESSES, 1, ATTESTATION.expiry + 1)
    assert check_m_of_n([_signed(KEYS[0])], ADDRESSES, 1, ATTESTATION.expiry)


@pytest.mark.parametrize(
    "change",
    [
        {"account_id": 6},
        {"commitment": 7},
        {"anchors_hash": "0x" + "ac" * 32},
        {"cut_time": 1},
        {"expiry": 1_790_003_601},
        {"coverage": "0x" + "ce" * 32},
    ],
)
def test_an_altered_attestation_is_refused(change: dict[str, object]) -> None:
    item = _signed(KEYS[0])
    altered = replace(item, attestation=replace(ATTESTATION, **change))  # type: ignore[arg-type]
    with pytest.raises(ProofRefusedError, match="altered"):
        check_m_of_n([altered], ADDRESSES, 1, NOW)


def _twin(signature: bytes) -> bytes:
    """The other valid signature of the same message: s -> n - s."""
    s = SECP256K1_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


def test_only_the_canonical_form_of_a_signature_is_accepted() -> None:
    signature = ATTESTATION.sign(KEYS[0])
    assert is_canonical_signature(signature)
    for other in (
        _twin(signature),
        signature[:64],
        signature + b"\0",
        signature[:64] + b"\1",
        b"\0" * 64 + b"\x1b",
    ):
        assert not is_canonical_signature(other)
        with pytest.raises(ProofRefusedError, match="canonical"):
            ATTESTATION.signer(other)


def test_a_signature_of_no_key_is_refused() -> None:
    """r = 5 is the abscissa of no curve point; 65 well-formed bytes, and still nobody signed."""
    nobody = (5).to_bytes(32, "big") + (5).to_bytes(32, "big") + b"\x1b"
    assert is_canonical_signature(nobody)
    with pytest.raises(ProofRefusedError, match="no key at all"):
        ATTESTATION.signer(nobody)
    with pytest.raises(ProofRefusedError, match="no key at all"):
        verify_statement(link_of(), nobody, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"commitment": 7},
        {"anchors_hash": "0x" + "ac" * 32},
        {"cut_time": 1},
        {"coverage": "0x" + "ce" * 32},
        {"chain_id": 1},
        {"registry": "0x" + "a2" * 20},
    ],
)
def test_attestors_that_state_different_things_do_not_add_up(change: dict[str, object]) -> None:
    other = replace(ATTESTATION, **change)  # type: ignore[arg-type]
    with pytest.raises(ProofRefusedError, match="state different things"):
        check_m_of_n([_signed(KEYS[0]), _signed(KEYS[1], other)], ADDRESSES, 2, NOW)
    later = replace(ATTESTATION, expiry=ATTESTATION.expiry + 60)
    assert len(check_m_of_n([_signed(KEYS[0]), _signed(KEYS[1], later)], ADDRESSES, 2, NOW)) == 2


def test_a_threshold_that_cannot_be_met_is_refused() -> None:
    for threshold in (0, 3):
        with pytest.raises(ProofRefusedError, match="cannot be met"):
            check_m_of_n([_signed(KEYS[0])], ADDRESSES[:2], threshold, NOW)


def link_of(issued_at: int = NOW, days: int = 90) -> Link:
    return Link(account_id=77, owner=ADDRESSES[0], issued_at=issued_at, expiry=issued_at + days * DAY_S)


def test_an_address_links_itself_and_nobody_else() -> None:
    link = link_of()
    verify_statement(link, link.sign(KEYS[0]), NOW)
    with pytest.raises(ProofRefusedError, match="cannot sign the link"):
        link.sign(KEYS[1])
    with pytest.raises(ProofRefusedError, match=f"is signed by {ADDRESSES[1]}"):
        verify_statement(link, _sign_as(link, KEYS[1]), NOW)


def _sign_as(link: Link, key: LocalAccount) -> bytes:
    return bytes(Account.unsafe_sign_hash(link.digest(), key.key).signature)


def test_a_link_to_another_account_does_not_carry_over() -> None:
    link = link_of()
    with pytest.raises(ProofRefusedError, match="is signed by"):
        verify_statement(replace(link, account_id=78), link.sign(KEYS[0]), NOW)


def test_a_link_from_the_future_is_refused() -> None:
    link = link_of(NOW + 301)
    with pytest.raises(ProofRefusedError, match="future"):
        verify_statement(link, link.sign(KEYS[0]), NOW)


def test_a_link_runs_out_and_is_signed_for_a_year_at_most() -> None:
    """It holds to its last second; what is signed for longer, or for no time, never holds."""
    link = link_of()
    verify_statement(link, link.sign(KEYS[0]), link.expiry)
    with pytest.raises(ExpiredError, match="ran out 1 s ago"):
        verify_statement(link, link.sign(KEYS[0]), link.expiry + 1)
    year = link_of(days=MAX_LINK_DAYS)
    verify_statement(year, year.sign(KEYS[0]), NOW)
    for expiry in (year.expiry + 1, NOW, NOW - 1, 2**63):
        other = replace(year, expiry=expiry)
        with pytest.raises(ProofRefusedError, match="does not run out between"):
            verify_statement(other, other.sign(KEYS[0]), NOW)
    with pytest.raises(ProofRefusedError, match="is signed by"):
        verify_statement(replace(link, expiry=link.expiry + DAY_S), link.sign(KEYS[0]), NOW)


def test_a_revocation_is_the_addresss_own_and_no_link() -> None:
    ended = Unlink(owner=ADDRESSES[0], issued_at=NOW)
    verify_statement(ended, ended.sign(KEYS[0]), NOW + 10**9)
    link = link_of()
    assert ended.digest() != link.digest()
    for statement, signature in ((ended, link.sign(KEYS[0])), (link, ended.sign(KEYS[0]))):
        with pytest.raises(ProofRefusedError, match="is signed by"):
            verify_statement(statement, signature, NOW)
    with pytest.raises(ProofRefusedError, match="cannot sign the revocation"):
        ended.sign(KEYS[1])
    with pytest.raises(ProofRefusedError, match=r"the revocation of .* is issued in the future"):
        verify_statement(replace(ended, issued_at=NOW + 301), ended.sign(KEYS[0]), NOW)


def test_wallets_sign_what_is_verified() -> None:
    """The typed data that a wallet is shown has the digest that is checked."""
    for statement in (link_of(), Unlink(owner=ADDRESSES[0], issued_at=NOW)):
        signed = KEYS[0].sign_typed_data(full_message=statement.typed_data())
        verify_statement(statement, bytes(signed.signature), NOW)
