"""Contract accounts link themselves by EIP-1271, asked on a real chain."""

from __future__ import annotations

import pytest
from eth_account import Account

from aggregator.model.errors import ChainUnreachableError, ProofRefusedError
from chains.devnet import Devnet
from chains.ownership import MAX_CONTRACT_SIGNATURE, Link, is_contract, verify_contract_link, verify_link
from chains.rpc import Chain, Endpoint
from tests.chains.faults import faulty_node

pytestmark = pytest.mark.anvil

NOW = 1_790_000_000


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
    link = Link(account_id=77, owner=probe, issued_at=NOW)
    runtime_for = await account_that_signs(net, link.digest())
    await net.set_code(probe, await code_of(net, runtime_for))
    async with Chain(101, [Endpoint(net.url)]) as chain:
        assert await is_contract(chain, probe)
        await verify_contract_link(chain, link, b"anything", NOW)
        head = {"blockHash": (await net.head())["hash"], "requireCanonical": True}
        await verify_contract_link(chain, link, b"anything", NOW, head)
        with pytest.raises(ProofRefusedError, match="does not confirm the link"):
            await verify_contract_link(chain, Link(78, probe, NOW), b"anything", NOW)
        with pytest.raises(ProofRefusedError, match="at most 4096"):
            await verify_contract_link(chain, link, bytes(MAX_CONTRACT_SIGNATURE + 1), NOW)
        with pytest.raises(ProofRefusedError, match="future"):
            await verify_contract_link(chain, Link(77, probe, NOW + 1000), b"x", NOW)


async def code_of(net: Devnet, address: str) -> bytes:
    return bytes.fromhex(str(await net.endpoint.call("eth_getCode", [address, "latest"]))[2:])


async def test_an_address_without_code_confirms_nothing(net: Devnet) -> None:
    """An empty answer is not a yes, and a plain key is asked for its own signature instead."""
    key = Account.from_key(net.accounts[1].key)
    link = Link(77, key.address.lower(), NOW)
    async with Chain(101, [Endpoint(net.url)]) as chain:
        assert not await is_contract(chain, link.owner)
        with pytest.raises(ProofRefusedError, match="does not confirm"):
            await verify_contract_link(chain, link, link.sign(key), NOW)
    verify_link(link, link.sign(key), NOW)


async def test_one_lying_endpoint_cannot_confirm_a_link(net: Devnet) -> None:
    owner = await account_that_signs(net, bytes(32))
    async with faulty_node(net.url) as liar:
        liar.forced = {"eth_call": "0x1626ba7e" + "00" * 28}
        async with Chain(101, [Endpoint(liar.url)]) as chain:
            await verify_contract_link(chain, Link(77, owner, NOW), b"x", NOW)
        async with Chain(101, [Endpoint(liar.url), Endpoint(net.url)], quorum=2) as chain:
            with pytest.raises(ChainUnreachableError, match="1 of the 2 endpoints"):
                await verify_contract_link(chain, Link(77, owner, NOW), b"x", NOW)
