"""The EIP-712 domains of the protocol, and the message by which a snapshot is attested.

A link is in the domain {name: "counterfoil", version: "1"}, without a chain or a contract: whose an address is holds
everywhere. An attestation is in the domain of one registry, so that one reading of an account backs pledges in one
place (docs/protocol.md, section 7).
"""

from __future__ import annotations

from typing import Any, Final

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from aggregator.model.errors import ProofRefusedError

DOMAIN: Final = {"name": "counterfoil", "version": "1"}

ATTESTATION: Final = {
    "Attestation": [
        {"name": "accountId", "type": "uint256"},
        {"name": "commitment", "type": "uint256"},
        {"name": "anchorsHash", "type": "bytes32"},
        {"name": "cutTime", "type": "uint64"},
        {"name": "expiry", "type": "uint64"},
        {"name": "coverage", "type": "bytes32"},
    ]
}

SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SIGNATURE_BYTES: Final = 65


def registry_domain(chain_id: int, registry: str) -> dict[str, Any]:
    """The domain of what is said to one registry (its 0x address) on one chain."""
    return {**DOMAIN, "chainId": chain_id, "verifyingContract": registry}


def signable(
    types: dict[str, list[dict[str, str]]], message: dict[str, Any], domain: dict[str, Any] | None = None
) -> SignableMessage:
    """The EIP-712 message ready to sign, in the protocol's domain if none is given."""
    return encode_typed_data(domain_data=domain or dict(DOMAIN), message_types=types, message_data=message)


def digest(message: SignableMessage) -> bytes:
    """The 32 bytes that are signed: keccak256(0x1901, domain separator, struct hash)."""
    return keccak(b"\x19" + message.version + message.header + message.body)


def recover(message: SignableMessage, signature: bytes) -> str:
    """The lower-case address that signed `message`.

    Raises: ProofRefusedError when the signature is not canonical, or belongs to no key at all.
    """
    if not is_canonical_signature(signature):
        raise ProofRefusedError("the signature is not 65 bytes in canonical form; have it signed again")
    try:
        signer: str = Account.recover_message(message, signature=signature).lower()
    except (BadSignature, ValidationError) as error:
        raise ProofRefusedError("the signature is of no key at all; have it signed again") from error
    return signer


def is_canonical_signature(signature: bytes) -> bool:
    """Whether a signature has the one form that the registry accepts: 65 bytes, v 27 or 28, s in the lower half.

    Source: EIP-2; without it every signature has a twin.
    """
    if len(signature) != SIGNATURE_BYTES or signature[64] not in (27, 28):
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return 0 < r < SECP256K1_ORDER and 0 < s <= SECP256K1_ORDER // 2
