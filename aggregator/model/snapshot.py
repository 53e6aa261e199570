"""What an account held on every chain at one cut, with evidence (schema `counterfoil/snapshot/1`).

`parse_snapshot` and `make_snapshot` refuse a document that contradicts itself: totals that are not the sum of the
readings, a quantity rounded in the holder's favour, a reading counted twice, or a `complete` that hides something.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aggregator.fixed import mul_div_down
from aggregator.model.anchors import (
    BlockAnchor,
    ChainId,
    Trust,
    anchors_json,
    chain_field,
    parse_anchors,
    time_skew_s,
    trust_field,
)
from aggregator.model.errors import FormatError, IncompleteSnapshotError
from aggregator.model.strictjson import MAX_SAFE_INTEGER, JsonObject, canonical_json, load_json
from aggregator.model.units import QUANTITY_BOUND, QUANTITY_SCALE

SNAPSHOT_SCHEMA: Final = "counterfoil/snapshot/1"
DEBT_KIND: Final = "debt"
"""The kind of a reading of something owed; its raw amount and quantity are negative or zero."""
LEDGER_KIND: Final = "ledger"
"""The kind of a position on a derivatives ledger, and of its cash leg: signed, long or short, gained or owed."""
SIGNED_KINDS: Final = frozenset({DEBT_KIND, LEDGER_KIND})
"""Kinds whose quantity may be negative."""
_DEBT_MARK: Final = "-DEBT@"
"""In the instrument of everything owed on a chain: "USDC-DEBT@eip155:1"."""

_MAX_DECIMALS: Final = 77
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}", re.ASCII)
_KIND: Final = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_READING_FIELDS: Final = (
    "chain",
    "address",
    "instrument",
    "kind",
    "token",
    "raw",
    "decimals",
    "quantityE8",
    "trust",
    "method",
    "detail",
)
_SNAPSHOT_FIELDS: Final = (
    "schema",
    "cutTime",
    "takenAt",
    "timeSkewSeconds",
    "account",
    "addresses",
    "anchors",
    "readings",
    "positions",
    "complete",
    "failedChains",
    "missing",
)


class Method(StrEnum):
    """How a quantity was established."""

    PROVEN = "proven"
    CALLED = "called"
    REPORTED = "reported"


@dataclass(frozen=True, slots=True)
class Reading:
    """One quantity read at one anchored block, or reported by the holder or a venue.

    `raw` is in base units of the token, negative when owed or short; `quantity_e8` is `raw` in 1e-8 units rounded down.
    `token` is "native", a lower-case address, or for a reported quantity the name of its source. `detail` is evidence
    in words and hex, such as the storage slot.
    """

    chain: ChainId
    address: str
    instrument: str
    kind: str
    token: str
    raw: int
    decimals: int
    quantity_e8: int
    trust: Trust
    method: Method
    detail: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FailedChain:
    """A chain that could not be read, and why."""

    chain: ChainId
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every reading of an account at one cut. Times are Unix seconds, positions quantities in 1e-8 by symbol."""

    cut_time: int
    taken_at: int
    time_skew_s: int
    account_id: int
    sub_account: int
    addresses: tuple[str, ...]
    anchors: tuple[BlockAnchor, ...]
    readings: tuple[Reading, ...]
    positions: Mapping[str, int]
    complete: bool
    failed_chains: tuple[FailedChain, ...]
    missing: tuple[str, ...]

    def require_complete(self) -> None:
        """Raise IncompleteSnapshotError unless the snapshot is complete, naming every chain or a reading it lacks."""
        if self.failed_chains:
            named = ", ".join(f"{failed.chain} ({failed.reason})" for failed in self.failed_chains)
            words = ("chain", "it answers") if len(self.failed_chains) == 1 else ("chains", "they answer")
            raise IncompleteSnapshotError(
                f"the snapshot lacks {words[0]} {named}; take it again when {words[1]}"
            )
        if self.missing:
            more = f" and {len(self.missing) - 1} more" if len(self.missing) > 1 else ""
            raise IncompleteSnapshotError(f"the snapshot lacks {self.missing[0]}{more}; take it again")


def quantity_from_raw(raw: int, decimals: int) -> int:
    """`raw` base units in 1e-8 units, rounded against the holder: an asset down, a debt (negative) away from zero."""
    return mul_div_down(raw, QUANTITY_SCALE, 10**decimals)


def net_positions(readings: Iterable[Reading]) -> dict[str, int]:
    """Quantities in 1e-8 by symbol, summed over addresses; symbols that sum to zero are left out."""
    totals: dict[str, int] = {}
    for reading in readings:
        totals[reading.instrument] = totals.get(reading.instrument, 0) + reading.quantity_e8
    return {symbol: totals[symbol] for symbol in sorted(totals) if totals[symbol]}


def _check_reading(
    reading: Reading, where: str, anchors: Mapping[ChainId, BlockAnchor], owned: set[str]
) -> None:
    expected = quantity_from_raw(reading.raw, reading.decimals)
    if reading.quantity_e8 != expected:
        raise FormatError(
            f"{where}.quantityE8 is {reading.quantity_e8}, but {reading.raw} with {reading.decimals} decimals "
            f"rounded against the holder is {expected}; read the snapshot again"
        )
    if abs(reading.quantity_e8) >= QUANTITY_BOUND:
        raise FormatError(f"{where}.quantityE8 is {reading.quantity_e8}, not below 2^80; split the account")
    if reading.address not in owned:
        raise FormatError(
            f"{where}.address is {reading.address}, which is not among the addresses; link it first"
        )
    if (reading.method is Method.REPORTED) != (reading.trust is Trust.REPORTED):
        raise FormatError(
            f"{where}.method is {reading.method}, but trust is {reading.trust}; correct one of them"
        )
    if reading.kind == DEBT_KIND and reading.quantity_e8 > 0:
        raise FormatError(
            f"{where}.quantityE8 is positive, but a debt is negative; write what is owed as negative"
        )
    if reading.method is not Method.REPORTED and reading.kind not in SIGNED_KINDS and reading.quantity_e8 < 0:
        raise FormatError(
            f"{where}.quantityE8 is negative, but only a debt or a ledger position is; "
            f"use the kind {DEBT_KIND!r} or {LEDGER_KIND!r}"
        )
    if reading.quantity_e8 < 0 and "@" in reading.instrument and _DEBT_MARK not in reading.instrument:
        raise FormatError(
            f"{where}.quantityE8 is negative, but {reading.instrument} is a token that is held; "
            f"what is owed in it is an instrument of its own, with {_DEBT_MARK!r} in its name"
        )
    if reading.method is Method.REPORTED:
        return
    anchor = anchors.get(reading.chain)
    if anchor is None:
        raise FormatError(
            f"{where}.chain is {reading.chain}, which has no anchor; add the block it was read at"
        )
    if reading.trust.rank > anchor.trust.rank:
        raise FormatError(f"{where}.trust is {reading.trust}, above its anchor's {anchor.trust}; lower it")


def check_snapshot(snapshot: Snapshot) -> None:
    """Refuse a snapshot that contradicts itself; raises FormatError naming the field."""
    anchors = {anchor.chain: anchor for anchor in snapshot.anchors}
    for anchor in snapshot.anchors:
        if anchor.timestamp > snapshot.cut_time:
            raise FormatError(
                f"snapshot.anchors: the block of {anchor.chain} is from {anchor.timestamp}, "
                f"after the cut {snapshot.cut_time}; anchor at or before the cut"
            )
    if snapshot.time_skew_s != (skew := time_skew_s(snapshot.anchors)):
        raise FormatError(
            f"snapshot.timeSkewSeconds is {snapshot.time_skew_s}, but the anchors lie {skew} s apart"
        )
    owned = set(snapshot.addresses)
    seen: set[tuple[str, ...]] = set()
    for n, reading in enumerate(snapshot.readings):
        where = f"snapshot.readings[{n}]"
        _check_reading(reading, where, anchors, owned)
        key = (reading.chain, reading.address, reading.instrument, reading.token)
        if key in seen:
            raise FormatError(f"{where} reads {reading.instrument} of {reading.address} twice; keep one")
        seen.add(key)
    if dict(snapshot.positions) != (net := net_positions(snapshot.readings)):
        wrong = sorted(
            s for s in net.keys() | snapshot.positions.keys() if net.get(s) != snapshot.positions.get(s)
        )
        raise FormatError(
            f"snapshot.positions[{wrong[0]!r}] is {snapshot.positions.get(wrong[0], 0)}, "
            f"but its readings add up to {net.get(wrong[0], 0)}; take the snapshot again"
        )
    if snapshot.complete != (not snapshot.failed_chains and not snapshot.missing):
        raise FormatError(
            f"snapshot.complete is {str(snapshot.complete).lower()}, but {len(snapshot.failed_chains)} chains failed "
            f"and {len(snapshot.missing)} readings are missing; take the snapshot again"
        )


def make_snapshot(
    *,
    cut_time: int,
    taken_at: int,
    account_id: int,
    sub_account: int,
    addresses: Iterable[str],
    anchors: Iterable[BlockAnchor],
    readings: Iterable[Reading],
    failed_chains: Iterable[FailedChain] = (),
    missing: Iterable[str] = (),
) -> Snapshot:
    """A snapshot whose order, totals, time skew and completeness follow from what was read.

    Raises FormatError when the readings contradict each other.
    """
    kept = tuple(sorted(readings, key=lambda r: (r.chain, r.address, r.instrument, r.token)))
    blocks = tuple(sorted(anchors, key=lambda a: a.chain))
    failed = tuple(sorted(failed_chains, key=lambda f: f.chain))
    absent = tuple(sorted(set(missing)))
    snapshot = Snapshot(
        cut_time=cut_time,
        taken_at=taken_at,
        time_skew_s=time_skew_s(blocks),
        account_id=account_id,
        sub_account=sub_account,
        addresses=tuple(sorted(set(addresses))),
        anchors=blocks,
        readings=kept,
        positions=net_positions(kept),
        complete=not failed and not absent,
        failed_chains=failed,
        missing=absent,
    )
    return parse_snapshot(encode_snapshot(snapshot))


def _reading_json(reading: Reading) -> dict[str, object]:
    return {
        "chain": reading.chain,
        "address": reading.address,
        "instrument": reading.instrument,
        "kind": reading.kind,
        "token": reading.token,
        "raw": str(reading.raw),
        "decimals": reading.decimals,
        "quantityE8": str(reading.quantity_e8),
        "trust": reading.trust.value,
        "method": reading.method.value,
        "detail": dict(reading.detail),
    }


def snapshot_json(snapshot: Snapshot) -> dict[str, object]:
    """The JSON value of a snapshot; raises FormatError when it contradicts itself."""
    check_snapshot(snapshot)
    return {
        "schema": SNAPSHOT_SCHEMA,
        "cutTime": snapshot.cut_time,
        "takenAt": snapshot.taken_at,
        "timeSkewSeconds": snapshot.time_skew_s,
        "account": {"accountId": str(snapshot.account_id), "subAccount": snapshot.sub_account},
        "addresses": list(snapshot.addresses),
        "anchors": anchors_json(snapshot.anchors),
        "readings": [_reading_json(reading) for reading in snapshot.readings],
        "positions": {symbol: str(quantity) for symbol, quantity in snapshot.positions.items()},
        "complete": snapshot.complete,
        "failedChains": [{"chain": f.chain, "reason": f.reason} for f in snapshot.failed_chains],
        "missing": list(snapshot.missing),
    }


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Canonical bytes (RFC 8785); raises FormatError when the snapshot contradicts itself."""
    return canonical_json(snapshot_json(snapshot))


def _parse_reading(value: object, where: str) -> Reading:
    fields = JsonObject(value, where, _READING_FIELDS)
    method = fields.text("method")
    if method not in set(Method):
        fields.fail("method", f"is {method!r}; use one of {', '.join(Method)}")
    detail = fields.value["detail"]
    if not isinstance(detail, dict) or any(not isinstance(v, str) for v in detail.values()):
        fields.fail("detail", "is not an object of texts; write numbers as decimal strings")
    return Reading(
        chain=chain_field(fields, "chain"),
        address=fields.text("address", _ADDRESS),
        instrument=fields.text("instrument"),
        kind=fields.text("kind", _KIND),
        token=fields.text("token"),
        raw=fields.amount("raw"),
        decimals=fields.number("decimals", 0, _MAX_DECIMALS),
        quantity_e8=fields.amount("quantityE8"),
        trust=trust_field(fields, "trust"),
        method=Method(method),
        detail=detail,
    )


def _parse_failed(value: object, where: str) -> FailedChain:
    fields = JsonObject(value, where, ("chain", "reason"))
    return FailedChain(chain_field(fields, "chain"), fields.text("reason", max_length=1000))


def _parse_positions(value: object) -> dict[str, int]:
    symbols = [str(symbol) for symbol in value] if isinstance(value, dict) else []
    fields = JsonObject(value, "snapshot.positions", symbols)
    return {symbol: fields.amount(symbol) for symbol in symbols}


def parse_snapshot(document: bytes | str | dict[str, object]) -> Snapshot:
    """Untrusted JSON (text, or a value already loaded) into a snapshot that does not contradict itself.

    Raises FormatError naming the field.
    """
    value = document if isinstance(document, dict) else load_json(document)
    fields = JsonObject(value, "snapshot", _SNAPSHOT_FIELDS)
    fields.schema(SNAPSHOT_SCHEMA)
    account = fields.child("account", ("accountId", "subAccount"))
    account_id = account.amount("accountId")
    if not 0 <= account_id < 2**254:
        account.fail("accountId", "is not a field element; it is the number that `account create` shows")
    addresses = fields.texts("addresses")
    for n, address in enumerate(addresses):
        if _ADDRESS.fullmatch(address) is None:
            fields.fail(f"addresses[{n}]", f"is {address[:60]!r}, not a lower-case 0x address; correct it")
    if list(addresses) != sorted(set(addresses)):
        fields.fail("addresses", "is not sorted or repeats an address; sort it")
    snapshot = Snapshot(
        cut_time=fields.number("cutTime"),
        taken_at=fields.number("takenAt"),
        time_skew_s=fields.number("timeSkewSeconds"),
        account_id=account_id,
        sub_account=account.number("subAccount", 0, MAX_SAFE_INTEGER),
        addresses=addresses,
        anchors=parse_anchors(fields.value["anchors"], "snapshot.anchors"),
        readings=fields.children("readings", _parse_reading),
        positions=_parse_positions(fields.value["positions"]),
        complete=fields.boolean("complete"),
        failed_chains=fields.children("failedChains", _parse_failed),
        missing=fields.texts("missing"),
    )
    check_snapshot(snapshot)
    return snapshot
