"""Evidence kept with a snapshot: proven again offline, and refused when a bit of it or of the snapshot is changed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from eth_utils.crypto import keccak

from aggregator.model.errors import CounterfoilError, FormatError, StateProofError
from aggregator.model.snapshot import Method, encode_snapshot, parse_snapshot
from chains.balances import (
    encode_evidence,
    parse_evidence,
    take_snapshot_with_evidence,
    verify_evidence,
)
from chains.devnet import Devnet
from tests.chains.scenes import network, token

ALICE = "0x00000000000000000000000000000000000a11ce"
BOB = "0x0000000000000000000000000000000000000b0b"
ALICES_A = 3
"""Index of Alice's first token among the readings; Bob's address is the lower one."""


@pytest.fixture
async def kept(net: Devnet) -> tuple[bytes, bytes]:
    """Coin and two tokens of Alice, nothing of Bob: the two documents, as bytes."""
    one, two = await net.deploy("TestToken", "A", "A", 6), await net.deploy("TestToken", "B", "B", 18)
    for n in range(30):
        await one.send("mint", f"0x{n + 1:040x}", n + 1)
    await one.send("mint", ALICE, 3_000_000)
    await two.send("mint", ALICE, 5 * 10**18)
    await net.send(ALICE, value=10**18)
    snapshot, evidence = await take_snapshot_with_evidence(
        [network(net, token(one, "A", 6), token(two, "B", 18))],
        account_id=7,
        addresses=(ALICE, BOB),
        cut=int(time.time()) + 5,
        env={},
    )
    assert snapshot.complete
    return encode_snapshot(snapshot), encode_evidence(evidence)


@pytest.mark.anvil
async def test_every_proven_reading_is_proven_again_without_a_chain(kept: tuple[bytes, bytes]) -> None:
    """Six balances, two of them zero, from the documents alone; the evidence holds each node once."""
    snapshot, evidence = parse_snapshot(kept[0]), parse_evidence(kept[1])
    assert {r.method for r in snapshot.readings} == {Method.PROVEN}
    report = verify_evidence(snapshot, evidence)
    assert (report.proven, report.unproven) == (6, ())
    assert [(c.layout, c.origin) for c in report.layouts] == [("solidity:0", "probe")] * 2
    assert encode_evidence(evidence) == kept[1]
    (chain,) = evidence.chains
    assert len(set(chain.nodes)) == len(chain.nodes)
    assert len(kept[1]) < 20_000


@pytest.mark.anvil
async def test_any_changed_node_or_header_is_refused(kept: tuple[bytes, bytes]) -> None:
    """One bit of each node in turn, of the header, a node left out, a node too many, a chain too many or too few."""
    snapshot, honest = parse_snapshot(kept[0]), json.loads(kept[1])
    chain = honest["chains"][0]
    variants = []
    for n, node in enumerate(chain["nodes"]):
        changed = node[:-1] + f"{int(node[-1], 16) ^ 1:x}"
        others = [other for other in chain["nodes"] if other != node]
        variants.append({**chain, "nodes": sorted({*others, changed})})
        if n % 4 == 0:
            variants.append({**chain, "nodes": others})
    variants.append({**chain, "nodes": sorted([*chain["nodes"], "0xc0"])})
    variants.append({**chain, "header": chain["header"][:-1] + "f"})
    for variant in variants:
        with pytest.raises(StateProofError):
            verify_evidence(snapshot, parse_evidence({**honest, "chains": [variant]}))
    for chains in ([], [chain, {**chain, "chain": "eip155:999"}]):
        with pytest.raises(StateProofError):
            verify_evidence(snapshot, parse_evidence({**honest, "chains": chains}))


def _raise_balance(s: dict[str, Any]) -> None:
    s["readings"][ALICES_A].update(raw=str(4_000_000), quantityE8=str(4 * 10**8))
    s["positions"]["A@eip155:101"] = str(4 * 10**8)


def _other_slot(s: dict[str, Any]) -> None:
    s["readings"][ALICES_A]["detail"]["slot"] = "0x" + "00" * 32


def _other_layout(s: dict[str, Any]) -> None:
    s["readings"][ALICES_A]["detail"]["layout"] = "solidity:" + "9" * 78


def _unknown_form(s: dict[str, Any]) -> None:
    s["readings"][ALICES_A]["detail"]["proof"] = "trust me"


def _coin_for_token(s: dict[str, Any]) -> None:
    """Alice's coin sold as her token balance."""
    s["readings"][ALICES_A].update(raw=str(10**18), quantityE8=str(10**20))
    s["readings"][ALICES_A]["detail"] = {"proof": "account"}
    s["positions"]["A@eip155:101"] = str(10**20)


def _other_block(s: dict[str, Any]) -> None:
    s["anchors"][0]["hash"] = "0x" + keccak(b"another block").hex()


def _other_root(s: dict[str, Any]) -> None:
    s["anchors"][0]["stateRoot"] = "0x" + keccak(b"another root").hex()


@pytest.mark.anvil
async def test_a_changed_snapshot_is_refused(kept: tuple[bytes, bytes]) -> None:
    evidence = parse_evidence(kept[1])
    changes: list[tuple[Callable[[dict[str, Any]], None], str]] = [
        (_raise_balance, "is 4000000 in the snapshot and 3000000 in the state"),
        (_other_slot, "stated slot"),
        (_other_layout, "layout"),
        (_unknown_form, "not a known form"),
        (_coin_for_token, "is a token"),
        (_other_block, "does not hash to its anchor"),
        (_other_root, "states another number, state root or time"),
    ]
    for change, reason in changes:
        document = json.loads(kept[0])
        change(document)
        with pytest.raises(StateProofError, match=reason):
            verify_evidence(parse_snapshot(document), evidence)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "counterfoil/evidence/2"},
        {"chains": [{"chain": "eip155:1", "header": "0x", "nodes": []}]},
        {"chains": [{"chain": "eip155:1", "header": "0xC0", "nodes": []}]},
        {"chains": [{"chain": "eip155:1", "header": "0xc0", "nodes": ["0x02", "0x01"]}]},
        {"chains": [{"chain": "eip155:1", "header": "0xc0", "nodes": ["0x01", "0x01"]}]},
        {"chains": [{"chain": "eip155:1", "header": "0xc0", "nodes": ["0x" + "00" * 1025]}]},
        {"chains": [{"chain": "eip155:1", "header": "0xc0", "nodes": [7]}]},
        {"chains": [{"chain": "eip155:2", "header": "0xc0", "nodes": []}] * 2},
        {"chains": [], "more": 1},
    ],
)
def test_a_malformed_document_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        parse_evidence({"schema": "counterfoil/evidence/1", "chains": [], **change})
    assert issubclass(FormatError, CounterfoilError)
