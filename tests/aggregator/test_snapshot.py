"""Snapshots: documents round-trip, and one that contradicts itself is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from aggregator.model.anchors import (
    BlockAnchor,
    Finality,
    Trust,
    anchors_hash,
    anchors_json,
    eip155,
    parse_anchors,
    parse_chain_id,
)
from aggregator.model.errors import FormatError, IncompleteSnapshotError
from aggregator.model.snapshot import (
    FailedChain,
    Method,
    Reading,
    Snapshot,
    encode_snapshot,
    make_snapshot,
    parse_snapshot,
    quantity_from_raw,
)

ALICE = "0x" + "a1" * 20
BOB = "0x" + "b0" * 20


def anchor(chain: int, timestamp: int = 1000, trust: Trust = Trust.RPC_QUORUM) -> BlockAnchor:
    return BlockAnchor(
        eip155(chain), 7, "0x" + "11" * 32, "0x" + "22" * 32, timestamp, Finality.FINALIZED, trust
    )


def reading(chain: int = 1, address: str = ALICE, raw: int = 10**18, **changes: object) -> Reading:
    fields: dict[str, Any] = {
        "chain": eip155(chain),
        "address": address,
        "instrument": f"ETH@eip155:{chain}",
        "kind": "native",
        "token": "native",
        "raw": raw,
        "decimals": 18,
        "quantity_e8": quantity_from_raw(raw, 18),
        "trust": Trust.RPC_QUORUM,
        "method": Method.PROVEN,
        "detail": {"slot": "0x0"},
    }
    return Reading(**{**fields, **changes})


def snapshot(**changes: Any) -> Snapshot:
    fields: dict[str, Any] = {
        "cut_time": 1012,
        "taken_at": 1020,
        "account_id": 12345,
        "sub_account": 0,
        "addresses": [BOB, ALICE],
        "anchors": [anchor(8453, 1010), anchor(1)],
        "readings": [reading(8453), reading(1, BOB, 3), reading(1)],
    }
    return make_snapshot(**{**fields, **changes})


def test_totals_order_and_skew_follow_from_the_readings() -> None:
    """Quantities of two addresses add up per instrument; 3 wei are nothing; anchors are sorted."""
    taken = snapshot()
    assert taken.positions == {"ETH@eip155:1": 10**8, "ETH@eip155:8453": 10**8}
    assert [a.chain for a in taken.anchors] == ["eip155:1", "eip155:8453"]
    assert taken.addresses == (ALICE, BOB)
    assert taken.time_skew_s == 10
    assert taken.complete
    taken.require_complete()


@given(st.integers(-(2**120), 2**120), st.integers(0, 30))
def test_quantities_are_rounded_against_the_holder(raw: int, decimals: int) -> None:
    """Never above the exact amount, and less than one unit below it: assets down, debts up."""
    exact = Fraction(raw * 10**8, 10**decimals)
    assert quantity_from_raw(raw, decimals) <= exact < quantity_from_raw(raw, decimals) + 1


def test_a_debt_is_rounded_away_from_zero() -> None:
    """One base unit of debt in an 18-decimal token is a whole 1e-8."""
    assert quantity_from_raw(-1, 18) == -1
    assert quantity_from_raw(1, 18) == 0


raws = st.integers(0, 10**27)


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 8453]), st.sampled_from([ALICE, BOB]), raws), unique_by=lambda t: t[:2]
    )
)
def test_encoding_round_trips(rows: list[tuple[int, str, int]]) -> None:
    """parse(encode(s)) = s, and the bytes are canonical."""
    taken = snapshot(readings=[reading(*row) for row in rows])
    document = encode_snapshot(taken)
    assert parse_snapshot(document) == taken
    assert encode_snapshot(parse_snapshot(document)) == document


def test_a_failed_chain_is_named_and_makes_the_snapshot_incomplete() -> None:
    """There is no total without `complete` and what is missing."""
    dead = snapshot(failed_chains=[FailedChain(eip155(10), "no endpoint answered")])
    assert not dead.complete
    with pytest.raises(IncompleteSnapshotError, match=r"lacks chain eip155:10 \(no endpoint answered\)"):
        dead.require_complete()
    two = snapshot(failed_chains=[FailedChain(eip155(n), f"reason {n}") for n in (10, 137)])
    with pytest.raises(
        IncompleteSnapshotError,
        match=r"lacks chains eip155:10 \(reason 10\), eip155:137 \(reason 137\); .*they",
    ):
        two.require_complete()
    partial = snapshot(missing=["USDC@eip155:1 of 0xb0.."])
    with pytest.raises(IncompleteSnapshotError, match="lacks USDC@eip155:1"):
        partial.require_complete()


def edited(change: Callable[[dict[str, Any]], object], taken: Snapshot | None = None) -> bytes:
    value = json.loads(encode_snapshot(taken or snapshot()))
    change(value)
    return json.dumps(value).encode()


REFUSED: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("snapshot.complete is false", lambda s: s.update(complete=False)),
    ("snapshot.complete is true", lambda s: s.update(missing=["x"])),
    ("snapshot.complete is true", lambda s: s.update(failedChains=[{"chain": "eip155:9", "reason": "down"}])),
    ("snapshot.complete is not true or false", lambda s: s.update(complete=1)),
    (
        "positions['ETH@eip155:1'] is 100000001",
        lambda s: s["positions"].update({"ETH@eip155:1": "100000001"}),
    ),
    ("positions['ETH@eip155:1'] is 0", lambda s: s["positions"].pop("ETH@eip155:1")),
    ("positions['USDC'] is 5", lambda s: s["positions"].update(USDC="5")),
    ("readings[0].quantityE8 is 100000001", lambda s: s["readings"][0].update(quantityE8="100000001")),
    ("readings[1].quantityE8 is 1, but 3", lambda s: s["readings"][1].update(quantityE8="1")),
    ("readings[1] reads ETH@eip155:1", lambda s: s["readings"].insert(0, s["readings"][0])),
    ("readings[0].address is 0xcc", lambda s: s["readings"][0].update(address="0x" + "cc" * 20)),
    (
        "readings[0].chain is eip155:5, which has no anchor",
        lambda s: s["readings"][0].update(chain="eip155:5"),
    ),
    ("readings[0].trust is l1-finalized, above", lambda s: s["readings"][0].update(trust="l1-finalized")),
    ("readings[0].method is reported, but", lambda s: s["readings"][0].update(method="reported")),
    ("readings[0].trust is 'self'", lambda s: s["readings"][0].update(trust="self")),
    ("readings[0].quantityE8 is positive, but a debt", lambda s: s["readings"][0].update(kind="debt")),
    (
        "readings[0].quantityE8 is negative, but only a debt",
        lambda s: s["readings"][0].update(raw="-1", quantityE8="-1"),
    ),
    ("readings[0].decimals is 78", lambda s: s["readings"][0].update(decimals=78)),
    (
        "not below 2^80",
        lambda s: s["readings"][0].update(raw=str(2**80), decimals=8, quantityE8=str(2**80)),
    ),
    ("readings[0].raw: '1e18'", lambda s: s["readings"][0].update(raw="1e18")),
    ("readings[0].detail is not", lambda s: s["readings"][0].update(detail={"slot": 1})),
    ("readings[0].kind is 'ERC 20'", lambda s: s["readings"][0].update(kind="ERC 20")),
    ("anchors is not one anchor per chain", lambda s: s["anchors"].reverse()),
    ("anchors is not one anchor per chain", lambda s: s["anchors"].insert(0, s["anchors"][0])),
    ("anchors[0].hash is not 32 bytes", lambda s: s["anchors"][0].update(hash="0x11")),
    ("anchors[0].hash is not 32 bytes", lambda s: s["anchors"][0].update(hash="0x" + "AA" * 32)),
    ("anchors[0].finality is 'pending'", lambda s: s["anchors"][0].update(finality="pending")),
    ("anchors[0].trust is 'reported'", lambda s: s["anchors"][0].update(trust="reported")),
    ("anchors[0].number is -1", lambda s: s["anchors"][0].update(number="-1")),
    ("anchors[0].chain is 'ethereum'", lambda s: s["anchors"][0].update(chain="ethereum")),
    ("eip155:8453 is from 1010, after the cut 1005", lambda s: s.update(cutTime=1005)),
    ("timeSkewSeconds is 0", lambda s: s.update(timeSkewSeconds=0)),
    ("addresses is not sorted", lambda s: s["addresses"].reverse()),
    ("addresses[0] is '0xA1", lambda s: s["addresses"].__setitem__(0, "0xA1" + "a1" * 19)),
    ("accountId is not a field element", lambda s: s["account"].update(accountId=str(2**254))),
    ("lacks the field 'missing'", lambda s: s.pop("missing")),
    ("unknown field 'total'", lambda s: s.update(total="1")),
    ("schema is 'counterfoil/snapshot/2'", lambda s: s.update(schema="counterfoil/snapshot/2")),
]


@pytest.mark.parametrize(("message", "change"), REFUSED, ids=[f"{n}-{m}" for n, (m, _) in enumerate(REFUSED)])
def test_a_contradiction_is_refused(message: str, change: Callable[[dict[str, Any]], object]) -> None:
    """One sentence names the field that is wrong."""
    with pytest.raises(FormatError) as caught:
        parse_snapshot(edited(change))
    assert message in str(caught.value)


def test_encoding_refuses_what_parsing_refuses() -> None:
    """A snapshot that was changed by hand cannot be written either."""
    with pytest.raises(FormatError, match="complete is false"):
        encode_snapshot(replace(snapshot(), complete=False))


def test_reported_positions_need_no_anchor_and_may_be_short() -> None:
    """A venue's report of a short perp stands beside what was read, and says that it is a report."""
    short = reading(
        99, instrument="ETH-PERP", kind="perp", token="venue", raw=-5 * 10**18, quantity_e8=-5 * 10**8,
        trust=Trust.REPORTED, method=Method.REPORTED,
    )  # fmt: skip
    assert snapshot(readings=[short]).positions == {"ETH-PERP": -5 * 10**8}


@pytest.mark.parametrize("kind", ["venue", "debt", "ledger", "erc20"])
def test_a_token_is_never_negative_whoever_says_so(kind: str) -> None:
    """A policy values a token that is held at nothing while its price is stale, which would erase what is owed."""
    owed = reading(
        1, kind=kind, token="venue", raw=-5 * 10**18, quantity_e8=-5 * 10**8,
        trust=Trust.REPORTED, method=Method.REPORTED,
    )  # fmt: skip
    symbol, _, chain = owed.instrument.partition("@")
    with pytest.raises(FormatError, match="is a token that is held"):
        snapshot(readings=[owed])
    debt = replace(owed, instrument=f"{symbol}-DEBT@{chain}")
    assert snapshot(readings=[debt]).positions == {f"{symbol}-DEBT@{chain}": -5 * 10**8}


def test_anchors_hash_is_keccak_of_the_canonical_list() -> None:
    """The order of reading does not matter; every field does."""
    anchors = [anchor(8453), anchor(1)]
    expected = (
        '[{"chain":"eip155:1","finality":"finalized","hash":"0x' + "11" * 32 + '","number":"7","stateRoot":"0x'
        + "22" * 32 + '","timestamp":"1000","trust":"rpc-quorum"},{"chain":"eip155:8453","finality":"finalized",'
        '"hash":"0x' + "11" * 32 + '","number":"7","stateRoot":"0x' + "22" * 32
        + '","timestamp":"1000","trust":"rpc-quorum"}]'
    )  # fmt: skip
    assert anchors_hash(anchors) == anchors_hash(reversed(anchors)) == "0x" + keccak(expected.encode()).hex()
    changes: list[dict[str, Any]] = [
        {"number": 8}, {"hash": "0x" + "33" * 32}, {"state_root": "0x" + "33" * 32}, {"timestamp": 1},
        {"finality": Finality.SAFE}, {"trust": Trust.SINGLE_RPC}, {"chain": eip155(2)},
    ]  # fmt: skip
    hashes = {anchors_hash([replace(anchors[0], **change), anchors[1]]) for change in changes}
    assert len(hashes | {anchors_hash(anchors)}) == len(changes) + 1


def test_anchors_round_trip() -> None:
    """A list of anchors parses to what was written."""
    anchors = (anchor(1), anchor(8453))
    assert parse_anchors(anchors_json(anchors)) == anchors


@pytest.mark.parametrize(
    "text", ["", "1", "eip155", "eip155:", "EIP155:1", "eip155:1 ", "eip155:" + "1" * 33]
)
def test_chain_ids_are_caip2(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(FormatError, match="CAIP-2"):
        parse_chain_id(text)


def test_trust_is_ordered() -> None:
    """A reported number is the worst, one final on Ethereum the best."""
    ranks = [
        Trust(t).rank for t in ("reported", "single-rpc", "rpc-quorum", "sequencer-signed", "l1-finalized")
    ]
    assert ranks == sorted(ranks)
