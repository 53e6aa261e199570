"""Who owns an address: an EIP-712 link signed by the address itself, or confirmed by a contract account.

A contract account is asked by EIP-1271, and one that is not deployed yet by ERC-6492: both in one eth_call that
deploys nothing (chains/contracts/src/SignatureReader.sol).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError
from eth_account.signers.local import LocalAccount

from aggregator.model.errors import ChainError, ProofRefusedError
from chains.contracts import artifact
from chains.multicall import BlockRef
from chains.rpc import Chain
from chains.rpc.values import encode_data, parse_data
from chains.typed_data import LINK, digest, recover, signable

ERC6492_SUFFIX: Final = bytes.fromhex("6492" * 16)
NO_FACTORY: Final = "0x" + "00" * 20
MAX_CONTRACT_SIGNATURE: Final = 4096
MAX_CLOCK_SKEW_S: Final = 300


_SIGNED: Final = 1
_REFUSALS: Final = {
    2: "the contract {owner} on {chain} does not confirm the link; sign with its owners and try again",
    3: "there is no contract at {owner} on {chain}, so it does not confirm the link; deploy it, or sign with its key",
    4: "the factory of {owner} on {chain} does not deploy it, so it does not confirm the link; check the wallet",
}
"""What chains/contracts/src/SignatureReader.sol answers."""


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


def is_counterfactual(signature: bytes) -> bool:
    """Whether a signature carries what deploys its account: it ends in ERC-6492's suffix."""
    return len(signature) > len(ERC6492_SUFFIX) and signature.endswith(ERC6492_SUFFIX)


async def verify_contract_link(
    chain: Chain, link: Link, signature: bytes, now: int, block: BlockRef | str = "latest"
) -> None:
    """Accepts the link of a contract account by returning, asking the contract on `chain` (EIP-1271).

    A signature with ERC-6492's suffix speaks for an account that may not be deployed yet: its factory is called inside
    the same eth_call, and then the account is asked. An account that is deployed is asked as it is.

    Every endpoint of the chain's quorum has to give the same answer. `block` may pin the question to an anchor. The
    answer holds on this chain only: the same address on another one may be somebody else's.
    Raises: ProofRefusedError when the contract says no; ChainError when it cannot be asked.
    """
    _check_time(link, now)
    if len(signature) > MAX_CONTRACT_SIGNATURE:
        raise ProofRefusedError(
            f"the signature that links {link.owner} has {len(signature)} bytes; at most 4096 are read"
        )
    factory, preparation, own = _unwrap(link, signature)
    arguments = (link.owner, link.digest(), own, factory, preparation)
    types = ["address", "bytes32", "bytes", "address", "bytes"]
    code = artifact("SignatureReader").bytecode + abi_encode(types, arguments)
    answer = await chain.call_agreed("eth_call", [{"data": encode_data(code)}, block])
    word = int.from_bytes(parse_data(answer, "isValidSignature", 32), "big")
    if word == _SIGNED:
        return
    if word not in _REFUSALS:
        raise ChainError(f"{chain.name} answered {word} about a signature; the endpoint is faulty")
    raise ProofRefusedError(f"{_REFUSALS[word].format(owner=link.owner, chain=chain.name)}")


def _unwrap(link: Link, signature: bytes) -> tuple[str, bytes, bytes]:
    """Factory, its call data and the account's own signature, as ERC-6492 packs them; no factory for a plain one."""
    if not is_counterfactual(signature):
        return NO_FACTORY, b"", signature
    try:
        factory, preparation, own = abi_decode(
            ["address", "bytes", "bytes"], signature[: -len(ERC6492_SUFFIX)], strict=True
        )
    except (DecodingError, ValueError, OverflowError) as error:
        raise ProofRefusedError(
            f"the signature that links {link.owner} ends like ERC-6492 and is not (factory, data, signature); "
            "sign again"
        ) from error
    return str(factory), bytes(preparation), bytes(own)


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
