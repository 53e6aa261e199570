"""Who owns an address: an EIP-712 link signed by the address itself, or by a contract account (EIP-1271)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eth_abi.abi import encode as abi_encode
from eth_account.signers.local import LocalAccount

from aggregator.model.errors import ChainError, ProofRefusedError
from chains.multicall import BlockRef
from chains.rpc import Chain, RpcError
from chains.rpc.values import encode_data, parse_data
from chains.typed_data import LINK, digest, recover, signable

EIP1271_MAGIC: Final = bytes.fromhex("1626ba7e")
"""isValidSignature(bytes32,bytes): both its selector and the answer that means yes (EIP-1271)."""
MAX_CONTRACT_SIGNATURE: Final = 4096
MAX_CLOCK_SKEW_S: Final = 300


@dataclass(frozen=True, slots=True)
class Link:
    """An address's statement that it belongs to an account. `owner` is lower-case 0x, `issued_at` Unix seconds."""

    account_id: int
    owner: str
    issued_at: int

    def _message(self) -> dict[str, object]:
        return {"accountId": self.account_id, "owner": self.owner, "issuedAt": self.issued_at}

    def digest(self) -> bytes:
        """The 32 bytes the owner signs."""
        return digest(signable(LINK, self._message()))

    def sign(self, account: LocalAccount) -> bytes:
        """The owner's signature, 65 bytes. Raises ProofRefusedError when `account` is not the owner."""
        if account.address.lower() != self.owner:
            raise ProofRefusedError(
                f"the key of {account.address.lower()} cannot link {self.owner}; use that address's key"
            )
        return bytes(account.sign_message(signable(LINK, self._message())).signature)


def verify_link(link: Link, signature: bytes, now: int) -> None:
    """Accepts the link of an externally owned address by returning.

    Raises: ProofRefusedError when the signature is not canonical or not the owner's, or the link is from the future.
    """
    _check_time(link, now)
    signer = recover(signable(LINK, link._message()), signature)
    if signer != link.owner:
        raise ProofRefusedError(
            f"the link of {link.owner} is signed by {signer}; have the address itself sign it"
        )


async def verify_contract_link(
    chain: Chain, link: Link, signature: bytes, now: int, block: BlockRef | str = "latest"
) -> None:
    """Accepts the link of a contract account by returning, asking the contract on `chain` (EIP-1271).

    Every endpoint of the chain's quorum has to give the same answer. `block` may pin the question to an anchor. The
    answer holds on this chain only: the same address on another one may be somebody else's.
    Raises: ProofRefusedError when the contract says no; ChainError when it cannot be asked.
    """
    _check_time(link, now)
    if len(signature) > MAX_CONTRACT_SIGNATURE:
        raise ProofRefusedError(
            f"the signature that links {link.owner} has {len(signature)} bytes; at most 4096 are read"
        )
    data = EIP1271_MAGIC + abi_encode(["bytes32", "bytes"], [link.digest(), signature])
    try:
        answer = await chain.call_agreed("eth_call", [{"to": link.owner, "data": encode_data(data)}, block])
        word = parse_data(answer, "isValidSignature")
    except RpcError as error:
        if not error.reverted:
            raise
        word = b""
    if len(word) != 32 or word[:4] != EIP1271_MAGIC:
        raise ProofRefusedError(
            f"the contract {link.owner} on {chain.name} does not confirm the link; sign with its owners and try again"
        )


async def is_contract(chain: Chain, address: str) -> bool:
    """Whether code is deployed at an address. Raises ChainError when the chain cannot say."""
    code = parse_data(await chain.call_agreed("eth_getCode", [address, "latest"]), "eth_getCode")
    if len(code) > 1 << 20:
        raise ChainError(
            f"{chain.name} reports {len(code)} bytes of code at {address}; the endpoint is faulty"
        )
    return bool(code)


def _check_time(link: Link, now: int) -> None:
    if link.issued_at > now + MAX_CLOCK_SKEW_S:
        raise ProofRefusedError(
            f"the link of {link.owner} is issued in the future; check the clock of its signer"
        )
