"""Who owns an address: what it states is signed by the address itself (EIP-712), or confirmed by a contract account.

A contract account is asked by EIP-1271, and one that is not deployed yet by ERC-6492: both in one eth_call that
deploys nothing (chains/contracts/src/SignatureReader.sol).
"""

from __future__ import annotations

from typing import Final

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError

from aggregator.model.errors import ChainError, ProofRefusedError
from chains.contracts import artifact
from chains.multicall import BlockRef
from chains.ownership_messages import Link, Statement, Unlink
from chains.rpc import Chain
from chains.rpc.values import encode_data, parse_data

__all__ = [
    "ERC6492_SUFFIX",
    "MAX_CONTRACT_SIGNATURE",
    "NO_FACTORY",
    "Link",
    "Statement",
    "Unlink",
    "is_contract",
    "is_counterfactual",
    "verify_contract_statement",
    "verify_statement",
]

ERC6492_SUFFIX: Final = bytes.fromhex("6492" * 16)
NO_FACTORY: Final = "0x" + "00" * 20
MAX_CONTRACT_SIGNATURE: Final = 4096


_SIGNED: Final = 1
_REFUSALS: Final = {
    2: "the contract {owner} on {chain} does not confirm the {what}; sign with its owners and try again",
    3: "there is no contract at {owner} on {chain}, so it does not confirm the {what}; deploy it, or sign with its key",
    4: "the factory of {owner} on {chain} does not deploy it, so it does not confirm the {what}; check the wallet",
}
"""What chains/contracts/src/SignatureReader.sol answers."""


def verify_statement(statement: Statement, signature: bytes, now: int) -> None:
    """Accepts what an externally owned address states by returning.

    Raises: ProofRefusedError when the signature is not canonical or not the owner's, or the statement is from the
    future; ExpiredError when it ran out.
    """
    statement.check_time(now)
    signer = statement.signer(signature)
    if signer != statement.owner:
        raise ProofRefusedError(
            f"the {statement.name} of {statement.owner} is signed by {signer}; have the address itself sign it"
        )


def is_counterfactual(signature: bytes) -> bool:
    """Whether a signature carries what deploys its account: it ends in ERC-6492's suffix."""
    return len(signature) > len(ERC6492_SUFFIX) and signature.endswith(ERC6492_SUFFIX)


async def verify_contract_statement(
    chain: Chain, statement: Statement, signature: bytes, now: int, block: BlockRef | str = "latest"
) -> None:
    """Accepts what a contract account states by returning, asking the contract on `chain` (EIP-1271).

    A signature with ERC-6492's suffix speaks for an account that may not be deployed yet: its factory is called inside
    the same eth_call, and then the account is asked. An account that is deployed is asked as it is.

    Every endpoint of the chain's quorum has to give the same answer. `block` may pin the question to an anchor. The
    answer holds on this chain only: the same address on another one may be somebody else's.
    Raises: ProofRefusedError when the contract says no; ChainError when it cannot be asked.
    """
    statement.check_time(now)
    if len(signature) > MAX_CONTRACT_SIGNATURE:
        raise ProofRefusedError(
            f"the signature of the {statement.name} of {statement.owner} has {len(signature)} bytes; "
            f"at most {MAX_CONTRACT_SIGNATURE} are read"
        )
    factory, preparation, own = _unwrap(statement, signature)
    arguments = (statement.owner, statement.digest(), own, factory, preparation)
    types = ["address", "bytes32", "bytes", "address", "bytes"]
    code = artifact("SignatureReader").bytecode + abi_encode(types, arguments)
    answer = await chain.call_agreed("eth_call", [{"data": encode_data(code)}, block])
    word = int.from_bytes(parse_data(answer, "isValidSignature", 32), "big")
    if word == _SIGNED:
        return
    if word not in _REFUSALS:
        raise ChainError(f"{chain.name} answered {word} about a signature; the endpoint is faulty")
    raise ProofRefusedError(
        f"{_REFUSALS[word].format(owner=statement.owner, what=statement.name, chain=chain.name)}"
    )


def _unwrap(statement: Statement, signature: bytes) -> tuple[str, bytes, bytes]:
    """Factory, its call data and the account's own signature, as ERC-6492 packs them; no factory for a plain one."""
    if not is_counterfactual(signature):
        return NO_FACTORY, b"", signature
    try:
        factory, preparation, own = abi_decode(
            ["address", "bytes", "bytes"], signature[: -len(ERC6492_SUFFIX)], strict=True
        )
    except (DecodingError, ValueError, OverflowError) as error:
        raise ProofRefusedError(
            f"the signature of the {statement.name} of {statement.owner} ends like ERC-6492 and is not "
            "(factory, data, signature); sign again"
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
