"""eth_getProof and block headers of a real node, taken apart and put together wrongly."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest
import rlp
from eth_utils.crypto import keccak

from aggregator.model.errors import ChainError, StateProofError
from chains.devnet import Devnet, devnet
from chains.verified import EMPTY_ROOT, encode_header, parse_header, require_rebuilt, verify_get_proof

pytestmark = pytest.mark.anvil

HOLDERS = 40


def slot_of(holder: str) -> bytes:
    """The balance slot of `holder` in the TestToken: mapping at slot 0."""
    return keccak(bytes.fromhex(holder[2:]).rjust(32, b"\x00") + bytes(32))


async def fetch(net: Devnet, address: str, slots: list[bytes]) -> tuple[bytes, Any]:
    block = await net.head()
    keys = ["0x" + s.hex() for s in slots]
    answer = await net.endpoint.call("eth_getProof", [address, keys, {"blockHash": block["hash"]}])
    return require_rebuilt(parse_header(block)).state_root, answer


async def test_accounts_words_and_their_absence_on_a_real_node(net: Devnet) -> None:
    """Forty holders' words, absent words, an absent account and an empty account under one header."""
    token = await net.deploy("TestToken", "Coin", "CN", 6)
    holders = [f"0x{n:040x}" for n in range(0x1000, 0x1000 + HOLDERS)]
    for n, holder in enumerate(holders):
        await token.send("mint", holder, 10**n)
    slots = [slot_of(h) for h in [*holders, *(f"0x{n:040x}" for n in range(1, 11))]]
    root, answer = await fetch(net, token.address, slots)
    proven = verify_get_proof(root, bytes.fromhex(token.address[2:]), slots, answer)
    assert proven.words == tuple(10**n for n in range(HOLDERS)) + (0,) * 10

    absent = "0x" + "ab" * 20
    root, answer = await fetch(net, absent, [bytes(32)])
    proven = verify_get_proof(root, bytes.fromhex(absent[2:]), [bytes(32)], answer)
    assert not proven.account.exists
    assert proven.words == (0,)

    root, answer = await fetch(net, net.accounts[3].address, [bytes(32)])
    proven = verify_get_proof(root, bytes.fromhex(net.accounts[3].address[2:]), [bytes(32)], answer)
    assert proven.account.balance == 10_000 * 10**18
    assert proven.words == (0,)


async def test_every_node_cut_or_altered_is_refused(net: Devnet) -> None:
    """For every node of the account and storage proofs of a real answer: drop it, cut after it, flip a bit."""
    token = await net.deploy("TestToken", "Coin", "CN", 6)
    for n in range(60):
        await token.send("mint", f"0x{n + 1:040x}", 5)
    present, absent = slot_of(f"0x{7:040x}"), slot_of(f"0x{999:040x}")
    slots = [present, absent]
    address = bytes.fromhex(token.address[2:])
    root, answer = await fetch(net, token.address, slots)
    assert verify_get_proof(root, address, slots, answer).words == (5, 0)

    def variants(nodes: list[str]) -> list[list[str]]:
        bad: list[list[str]] = [[], [*nodes, nodes[-1]]]
        for n, node in enumerate(nodes):
            flipped = f"{node[:-1]}{int(node[-1], 16) ^ 1:x}"
            bad += [nodes[:n], nodes[:n] + nodes[n + 1 :], [*nodes[:n], flipped, *nodes[n + 1 :]]]
        return bad

    places: list[Callable[[Any], list[str]]] = [
        lambda a: cast("list[str]", a["accountProof"]),
        lambda a: cast("list[str]", a["storageProof"][0]["proof"]),
        lambda a: cast("list[str]", a["storageProof"][1]["proof"]),
    ]
    tried = 0
    for place in places:
        for bad in variants(place(answer)):
            forged = copy.deepcopy(answer)
            place(forged)[:] = bad
            with pytest.raises(StateProofError):
                verify_get_proof(root, address, slots, forged)
            tried += 1
    assert tried > 20


async def test_claims_beside_the_proof_have_to_match_it(net: Devnet) -> None:
    token = await net.deploy("TestToken", "Coin", "CN", 6)
    await token.send("mint", net.accounts[1].address, 5)
    slot = slot_of(net.accounts[1].address)
    address = bytes.fromhex(token.address[2:])
    root, answer = await fetch(net, token.address, [slot])
    lies: list[tuple[str, Any]] = [
        ("balance", "0x1"), ("nonce", "0x7"), ("codeHash", "0x" + "00" * 32), ("storageHash", "0x" + "11" * 32),
        ("address", "0x" + "22" * 20), ("storageProof", []), ("accountProof", None), ("accountProof", ["0x1"]),
    ]  # fmt: skip
    for key, lie in lies:
        with pytest.raises(ChainError):
            verify_get_proof(root, address, [slot], {**answer, key: lie})
    entry = answer["storageProof"][0]
    for key, lie in [("value", "0x6"), ("key", "0x" + "00" * 32)]:
        with pytest.raises(StateProofError):
            verify_get_proof(root, address, [slot], {**answer, "storageProof": [{**entry, key: lie}]})


@pytest.mark.parametrize("hardfork", ["shanghai", "cancun", "prague", "osaka"])
async def test_headers_rebuild_on_every_fork(hardfork: str) -> None:
    """The header's RLP from JSON fields hashes to the block hash, with a transaction in the block and without."""
    async with devnet(7, hardfork=hardfork) as net:
        for _ in range(2):
            header = parse_header(await net.head())
            assert header.rebuilt
            await net.send(net.accounts[1].address, value=1)
        block = await net.head()
        assert len(rlp.decode(encode_header(block))) == {"shanghai": 17, "cancun": 20}.get(hardfork, 21)


def test_the_genesis_header_of_mainnet_rebuilds() -> None:
    """Known value: Ethereum's block 0, the 15 fields of Frontier."""
    empty_list = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
    block = {
        "hash": "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
        "parentHash": "0x" + "00" * 32,
        "sha3Uncles": empty_list,
        "miner": "0x" + "00" * 20,
        "stateRoot": "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544",
        "transactionsRoot": "0x" + EMPTY_ROOT.hex(),
        "receiptsRoot": "0x" + EMPTY_ROOT.hex(),
        "logsBloom": "0x" + "00" * 256,
        "difficulty": "0x400000000",
        "number": "0x0",
        "gasLimit": "0x1388",
        "gasUsed": "0x0",
        "timestamp": "0x0",
        "extraData": "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa",
        "mixHash": "0x" + "00" * 32,
        "nonce": "0x0000000000000042",
    }
    assert parse_header(block).rebuilt


async def test_a_header_with_a_false_field_does_not_rebuild(net: Devnet) -> None:
    block = await net.head()
    for key, lie in [
        ("stateRoot", "0x" + "11" * 32),
        ("timestamp", "0x1"),
        ("extraData", "0x00"),
        ("nonce", "0x"),
    ]:
        header = parse_header({**block, key: lie})
        assert not header.rebuilt
        with pytest.raises(StateProofError, match="does not rebuild"):
            require_rebuilt(header)
    with pytest.raises(ChainError, match="state root"):
        parse_header({**block, "stateRoot": None})
    assert not parse_header({k: v for k, v in block.items() if k != "miner"}).rebuilt
    assert not parse_header({**block, "requestsHash": None}).rebuilt
