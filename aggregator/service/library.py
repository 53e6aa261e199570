"""Parsed documents by id, kept while they are in use: a document never changes under its id."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final, Generic, TypeVar

from aggregator.margin import positions_by_id
from aggregator.model.policy import Policy
from aggregator.model.snapshot import Snapshot, parse_snapshot
from aggregator.policy import parse_policy
from aggregator.service.accepting import accepted_positions
from aggregator.store.everything import AllRecords
from aggregator.store.listing import SnapshotRow, StoredPolicy

T = TypeVar("T")
POLICIES: Final = 16
SNAPSHOTS: Final = 256


class Kept(Generic[T]):
    """The values used last, at most `size` of them; safe between threads."""

    def __init__(self, size: int) -> None:
        """Empty at first."""
        self._size = size
        self._values: OrderedDict[str, T] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> T | None:
        """The value of `key` if it is kept."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: str, value: T) -> T:
        """Keep a value and return it."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        return value

    def made(self, key: str, make: Callable[[], T]) -> T:
        """The value of `key`, made when it is not kept."""
        value = self.get(key)
        return self.put(key, make()) if value is None else value


@dataclass(frozen=True, slots=True)
class Case:
    """A snapshot of an account beside the policy to value it under."""

    row: SnapshotRow
    snapshot: Snapshot
    stored_policy: StoredPolicy
    policy: Policy

    @property
    def accepted(self) -> Mapping[str, int]:
        """Quantities in 1e-8 by symbol, as the policy counts the snapshot's readings."""
        return accepted_positions(self.policy, self.snapshot)

    @property
    def positions(self) -> dict[int, int]:
        """Quantities in 1e-8 by instrument id; raises InputError for one that the policy does not price."""
        return positions_by_id(self.policy, self.accepted)


@dataclass(frozen=True, slots=True)
class Found:
    """A stored snapshot and policy, each parsed when it was known; else the snapshot's document beside `row`."""

    row: SnapshotRow
    snapshot: Snapshot | bytes
    stored: StoredPolicy
    policy: Policy | None

    @property
    def known(self) -> bool:
        """Whether nothing is left to parse."""
        return isinstance(self.snapshot, Snapshot) and self.policy is not None


class Library:
    """Parses each stored document once."""

    def __init__(self) -> None:
        """Empty at first."""
        self._policies: Kept[Policy] = Kept(POLICIES)
        self._snapshots: Kept[Snapshot] = Kept(SNAPSHOTS)

    def policy(self, stored: StoredPolicy) -> Policy:
        """The policy of a stored document, checked against W1-W7 once."""
        return self._policies.made(stored.id, lambda: parse_policy(stored.document))

    def find_policy(self, records: AllRecords, key: str) -> tuple[StoredPolicy, Policy]:
        """The policy of an id or a name; its document is only read when it is not known. Raises NotFoundError."""
        stored = records.find_policy(key, document=False)
        parsed = self._policies.get(stored.id)
        return stored, self.policy(records.find_policy(stored.id)) if parsed is None else parsed

    def snapshot(self, key: str, records: AllRecords) -> Snapshot:
        """The snapshot of an id."""
        return self._snapshots.made(key, lambda: parse_snapshot(records.snapshot(key).document))

    def find(self, records: AllRecords, account: str, snapshot: str | None, policy: str | None) -> Found:
        """An account's snapshot (its newest unless named) and a policy (the newest unless named), as they are stored.

        Documents that were parsed before are not read again. Raises NotFoundError.
        """
        records.account(account)
        row = records.snapshot_row(account, snapshot)
        stored = records.find_policy(policy, document=False)
        parsed = self._policies.get(stored.id)
        if parsed is None:
            stored = records.find_policy(stored.id)
        return Found(row, self._snapshots.get(row.id) or records.snapshot(row.id).document, stored, parsed)

    def case(self, found: Found) -> Case:
        """The case of what was found; unless it is `known` this parses, which may take a while."""
        snapshot, policy = found.snapshot, found.policy
        if isinstance(snapshot, bytes):
            snapshot = self._snapshots.put(found.row.id, parse_snapshot(snapshot))
        return Case(found.row, snapshot, found.stored, policy or self.policy(found.stored))
