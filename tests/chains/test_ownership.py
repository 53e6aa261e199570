"""Contract accounts link themselves by EIP-1271, asked on a real chain."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from eth_abi.abi import encode as abi_encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.address import to_checksum_address

from aggregator.model.errors import ChainError, ProofRefusedError, QuorumError
from chains.contracts import Artifact
from chains.devnet import Deployed, Devnet
from chains.devnet.local import encode_function
from chains.ownership import (
    ERC6492_SUFFIX,
    MAX_CONTRACT_SIGNATURE,
    NO_FACTORY,
    Link,
    is_contract,
    is_counterfactual,
    verify_contract_statement,
    verify_statement,
)
from chains.ownership_messages import DAY_S
from chains.rpc import Chain, Endpoint
from tests.chains.faults import faulty_node
from tests.chains.protocols import published

pytestmark = pytest.mark.anvil

NOW = 1_790_000_000


def link_of(account_id: int, owner: str, issued_at: int = NOW) -> Link:
    return Link(account_id=account_id, owner=owner, issued_at=issued_at, expiry=issued_at + 90 * DAY_S)


async def account_that_signs(net: Devnet, digest: bytes) -> str:
    """A contract that confirms exactly one digest, whatever the signature bytes are."""
    magic = "1626ba7e"
    runtime = bytes.fromhex(f"600435 7f{digest.hex()} 14 602d57 5f5ffd 5b 63{magic} 60e01b 5f52 60205ff3")
    runtime = runtime.replace(bytes.fromhex("602d57"), bytes([0x60, runtime.index(b"\x5b\x63"), 0x57]))
    init = bytes([0x60, len(runtime), 0x80, 0x60, 0x0A, 0x5F, 0x39, 0x5F, 0xF3, 0x00]) + runtime
    return (await net.deploy_code(init)).lower()


async def test_a_contract_confirms_its_own_link_and_no_other(net: Devnet) -> None:
    """The address is known before the digest, so the account is made for the link of its future address."""
    probe = await account_that_signs(net, bytes(32))
    link = link_of(77, probe)
    runtime_for = await account_that_signs(net, link.digest())
    await net.set_code(probe, await code_of(net, runtime_for))
    async with Chain(101, [Endpoint(net.url)]) as chain:
        assert await is_contract(chain, probe)
        await verify_contract_statement(chain, link, b"anything", NOW)
        head = {"blockHash": (await net.head())["hash"], "requireCanonical": True}
        await verify_contract_statement(chain, link, b"anything", NOW, head)
        with pytest.raises(ProofRefusedError, match="does not confirm the link"):
            await verify_contract_statement(chain, link_of(78, probe), b"anything", NOW)
        with pytest.raises(ProofRefusedError, match="at most 4096"):
            await verify_contract_statement(chain, link, bytes(MAX_CONTRACT_SIGNATURE + 1), NOW)
        with pytest.raises(ProofRefusedError, match="future"):
            await verify_contract_statement(chain, link_of(77, probe, NOW + 1000), b"x", NOW)


async def code_of(net: Devnet, address: str) -> bytes:
    return bytes.fromhex(str(await net.endpoint.call("eth_getCode", [address, "latest"]))[2:])


async def test_an_address_without_code_confirms_nothing(net: Devnet) -> None:
    """An empty answer is not a yes, and a plain key is asked for its own signature instead."""
    key = Account.from_key(net.accounts[1].key)
    link = link_of(77, key.address.lower())
    async with Chain(101, [Endpoint(net.url)]) as chain:
        assert not await is_contract(chain, link.owner)
        with pytest.raises(ProofRefusedError, match="does not confirm"):
            await verify_contract_statement(chain, link, link.sign(key), NOW)
    verify_statement(link, link.sign(key), NOW)


async def test_one_lying_endpoint_cannot_confirm_a_link(net: Devnet) -> None:
    owner = await account_that_signs(net, bytes(32))
    async with faulty_node(net.url) as liar:
        liar.forced = {"eth_call": "0x" + "00" * 31 + "01"}
        async with Chain(101, [Endpoint(liar.url)]) as chain:
            await verify_contract_statement(chain, link_of(77, owner), b"x", NOW)
        async with Chain(101, [Endpoint(liar.url), Endpoint(net.url)], quorum=2) as chain:
            with pytest.raises(QuorumError, match="disagree on eth_call"):
                await verify_contract_statement(chain, link_of(77, owner), b"x", NOW)
        for answer, words in (("0x" + "00" * 31 + "07", "answered 7"), ("0x01", "1 bytes instead of 32")):
            liar.forced = {"eth_call": answer}
            async with Chain(101, [Endpoint(liar.url)]) as chain:
                with pytest.raises(ChainError, match=words):
                    await verify_contract_statement(chain, link_of(77, owner), b"x", NOW)


def _safe(path: str) -> Artifact:
    return published(f"@safe-global/safe-contracts/build/artifacts/contracts/{path}")


@dataclass(frozen=True)
class FutureSafe:
    """A Safe with one owner that its factory would deploy at `address`, and what deploys it."""

    factory: Deployed
    preparation: bytes
    address: str


async def future_safe(net: Devnet, salt: int) -> FutureSafe:
    singleton = await net.deploy_artifact(_safe("Safe.sol/Safe.json"))
    factory = await net.deploy_artifact(_safe("proxies/SafeProxyFactory.sol/SafeProxyFactory.json"))
    handler = await net.deploy_artifact(
        _safe("handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler.json")
    )
    owners = [net.accounts[1].address]
    setup = encode_function(
        singleton.artifact.abi, "setup", (owners, 1, NO_FACTORY, b"", handler, NO_FACTORY, 0, NO_FACTORY)
    )
    preparation = encode_function(factory.artifact.abi, "createProxyWithNonce", (singleton, setup, salt))
    answer = await net.endpoint.call(
        "eth_call", [{"to": factory.address, "data": "0x" + preparation.hex()}, "latest"]
    )
    return FutureSafe(factory, preparation, "0x" + str(answer)[-40:])


def sign_as_owner(net: Devnet, safe: str, digest: bytes, signer: int = 1) -> bytes:
    """The owner's signature of a digest as Safe wants it: wrapped in its own typed message."""
    message = encode_typed_data(
        domain_data={"chainId": net.chain_id, "verifyingContract": to_checksum_address(safe)},
        message_types={"SafeMessage": [{"name": "message", "type": "bytes"}]},
        message_data={"message": digest},
    )
    return bytes(Account.from_key(net.accounts[signer].key).sign_message(message).signature)


def wrap(factory: str, preparation: bytes, own: bytes) -> bytes:
    return abi_encode(["address", "bytes", "bytes"], [factory, preparation, own]) + ERC6492_SUFFIX


async def test_an_account_that_is_not_deployed_yet_links_itself(net: Devnet) -> None:
    """A Safe's owner signs before the Safe exists, and again after it does; nothing is deployed by asking."""
    safe = await future_safe(net, 7)
    link = link_of(77, safe.address)
    own = sign_as_owner(net, safe.address, link.digest())
    wrapped = wrap(safe.factory.address, safe.preparation, own)
    assert is_counterfactual(wrapped)
    assert not is_counterfactual(own)
    async with Chain(101, [Endpoint(net.url)]) as chain:
        await verify_contract_statement(chain, link, wrapped, NOW)
        assert not await is_contract(chain, safe.address)
        stranger = wrap(
            safe.factory.address, safe.preparation, sign_as_owner(net, safe.address, link.digest(), 2)
        )
        other = await future_safe(net, 8)
        for signature, words in (
            (own, "there is no contract at"),
            (stranger, "does not confirm the link; sign with its owners"),
            (wrap(other.factory.address, other.preparation, own), "there is no contract at"),
            (wrap(safe.factory.address, safe.preparation[:-40], own), "the factory of"),
            (wrap(safe.factory.address, safe.preparation, own)[32:], "is not \\(factory, data, signature\\)"),
        ):
            with pytest.raises(ProofRefusedError, match=words):
                await verify_contract_statement(chain, link, signature, NOW)
        with pytest.raises(ProofRefusedError, match="does not confirm the link"):
            await verify_contract_statement(chain, link_of(78, safe.address), wrapped, NOW)

        await net.send(safe.factory.address, safe.preparation)
        assert await is_contract(chain, safe.address)
        await verify_contract_statement(chain, link, wrapped, NOW)
        await verify_contract_statement(chain, link, own, NOW)
        with pytest.raises(ProofRefusedError, match="sign with its owners"):
            await verify_contract_statement(chain, link, stranger, NOW)


async def test_a_deployed_account_is_not_prepared_before_it_is_asked(net: Devnet) -> None:
    """What a stranger's factory could do inside the call changes nothing for an account that exists."""
    owner = await account_that_signs(net, bytes(32))
    link = link_of(77, owner)
    async with Chain(101, [Endpoint(net.url)]) as chain:
        with pytest.raises(ProofRefusedError, match="sign with its owners"):
            await verify_contract_statement(chain, link, wrap(owner, b"\x00" * 4, b"x"), NOW)
