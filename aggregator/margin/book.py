"""A book: many accounts under one policy, valued exactly on every tick (docs/book.md).

The numbers are those of `aggregator.margin.native.evaluate`, which stays the reference: the tests compare the two
account by account. Accounts are numbered from 0 in the order in which they are added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aggregator.margin.book_words import (
    group_words,
    header,
    id_words,
    instrument_words,
    integers,
    position_words,
)
from aggregator.margin.native import Evaluation, evaluate
from aggregator.model.errors import InputError
from aggregator.model.policy import Level, Policy
from aggregator.native import BookKernel

NO_SCENARIO: Final = 255
"""What `Book.worst_scenario` holds where no scenario loses."""
NOTHING_REQUIRED: Final = 2**63 - 1
"""What `Book.health_e6` holds where nothing is required."""
WIDE: Final = np.dtype([("low", "<u8"), ("high", "<i8")])
"""An integer of 128 bits: high x 2^64 + low."""


class Status(IntEnum):
    """How an account was valued, or why it has no value."""

    VALUED = 0
    EXACT_PATH = 1
    """Valued, by the slow path for amounts beyond 64 bits or very many positions."""
    UNPRICED = 2
    """It holds an instrument that the policy does not list."""
    OVER_LIMIT = 3
    """A quantity is beyond the policy's limit."""
    BEYOND = 4
    """A result is beyond the bounds of `aggregator.model.units`, or the equity beyond 2^127e-20 USD."""


def _starts(lengths: Iterable[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.fromiter(lengths, dtype=np.int64))]).astype(np.int64)


class Book:
    """Accounts with their positions and results. Every change of a position or of the policy values what it touches.

    `policy` has passed `check_policy`. `portable` forces the loops that any machine has; the results are the same.
    One thread updates a book; others may read it meanwhile. An update that is refused with InputError changes nothing.
    """

    def __init__(self, policy: Policy, *, portable: bool = False) -> None:
        self._policy = policy
        try:
            self._kernel = BookKernel(
                header(policy), group_words(policy.groups), instrument_words(policy.instruments), portable
            )
        except ValueError as error:
            raise InputError(str(error)) from error

    def __len__(self) -> int:
        return self._kernel.accounts

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._policy

    @property
    def kernel(self) -> str:
        """Which loops run: `avx512-ifma` or `portable`."""
        return self._kernel.kernel

    @property
    def memory_bytes(self) -> int:
        """Bytes held for accounts and tables."""
        return self._kernel.memory_bytes

    def add(self, accounts: Iterable[Mapping[int, int]]) -> range:
        """Append accounts, each a map from instrument id to signed quantity in 1e-8; returns their numbers.

        Raises InputError for an instrument the policy does not list or a quantity beyond its limit.
        """
        given = list(accounts)
        words = [position_words(positions) for positions in given]
        starts = _starts(len(positions) for positions in given)
        ids, quantities = b"".join(w[0] for w in words), b"".join(w[1] for w in words)
        return self._load(starts, ids, quantities, wide=True)

    def add_arrays(self, starts: ArrayLike, instrument_ids: ArrayLike, quantities_e8: ArrayLike) -> range:
        """Append accounts given as rows: account n has the entries starts[n] .. starts[n + 1].

        starts: n + 1 integers from 0; instrument_ids, quantities_e8: integers of one length, quantities within 63 bits.

        Raises InputError as `add` does, for a row that names an instrument twice, and for starts that do not rise.
        """
        arrays = [np.asarray(a) for a in (starts, instrument_ids, quantities_e8)]
        for name, array in zip(("starts", "instrument_ids", "quantities_e8"), arrays, strict=True):
            if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
                raise InputError(f"{name} is no list of integers; give one-dimensional integers")
        rows, ids, quantities = arrays
        if ids.size and (int(ids.min()) <= 0 or int(ids.max()) >= 1 << 16):
            raise InputError("instrument_ids leaves 1..4095; use the ids of the policy")
        if quantities.dtype.kind == "u" and quantities.size and int(quantities.max()) >= 1 << 63:
            raise InputError("quantities_e8 leaves 63 bits; use add for such an account")
        return self._load(
            rows.astype("<i8"), ids.astype("<u2").tobytes(), quantities.astype("<i8").tobytes(), wide=False
        )

    def _load(self, starts: NDArray[np.int64], ids: bytes, quantities: bytes, *, wide: bool) -> range:
        try:
            first = self._kernel.load(starts.tobytes(), ids, quantities, wide)
        except ValueError as error:
            raise InputError(str(error)) from error
        return range(first, first + max(len(starts) - 1, 0))

    def positions(self, account: int) -> dict[int, int]:
        """An account's quantities in 1e-8 by instrument id; those of zero are left out."""
        try:
            ids, quantities = self._kernel.positions(self._number(account))
        except ValueError as error:
            raise InputError(str(error)) from error
        return dict(zip(np.frombuffer(ids, dtype="<u2").tolist(), integers(quantities), strict=True))

    def set_positions(self, account: int, positions: Mapping[int, int]) -> None:
        """Give an account other positions; raises InputError as `add` does."""
        try:
            self._kernel.set(self._number(account), *position_words(positions))
        except ValueError as error:
            raise InputError(str(error)) from error

    def trade(self, account: int, changes: Mapping[int, int]) -> None:
        """Add signed quantities to an account: a trade, a deposit, a withdrawal. Raises InputError as `add` does."""
        try:
            self._kernel.trade(self._number(account), *position_words(changes))
        except ValueError as error:
            raise InputError(str(error)) from error

    def _number(self, account: int) -> int:
        if not 0 <= account < len(self):
            raise InputError(f"account {account} is not in the book, which has {len(self)}; add it first")
        return account

    def revalue(self) -> None:
        """Value every account from its positions. Results are the same before and after; this is for measuring."""
        self._kernel.value()

    def tick(self, policy: Policy) -> int:
        """Put `policy` in force and value what depends on what it changes.

        Returns the number of accounts that hold a changed instrument. An account that holds an instrument the policy
        drops, or more than its limit, stays without a value (`status`) until that changes.

        Raises InputError when the policy breaks a bound of W1-W5; the old one stays in force.
        """
        old = self._policy
        changed = [i for i in policy.instruments if i is not old.by_id.get(i.id) and i != old.by_id.get(i.id)]
        groups = [g for g in policy.groups if g != old.group_by_id.get(g.id)]
        removed = [i for i in old.by_id if i not in policy.by_id]
        same = header(policy) == header(old)
        try:
            touched = self._kernel.update(
                None if same else header(policy),
                group_words(groups),
                instrument_words(changed),
                id_words(removed),
            )
        except ValueError as error:
            raise InputError(str(error)) from error
        self._policy = policy
        return touched

    def excess_e6(self, level: Level) -> NDArray[np.int64]:
        """M7 of every account in 1e-6 USD, rounded down; 0 without a value.

        Raises InputError when one does not fit 64 bits (9.2e12 USD); `wide` has it.
        """
        return self._narrow("excess_e6", level)

    def requirement_e6(self, level: Level) -> NDArray[np.int64]:
        """M6 of every account in 1e-6 USD, rounded up; otherwise as `excess_e6`."""
        return self._narrow("requirement_e6", level)

    def _narrow(self, name: str, level: Level) -> NDArray[np.int64]:
        try:
            return np.frombuffer(self._kernel.narrow(name, level), dtype="<i8")
        except ValueError as error:
            raise InputError(str(error)) from error

    def wide(self, name: str, level: Level) -> NDArray[np.void]:
        """`equity_e20`, `requirement_e20`, `requirement_e6` or `excess_e6` of every account as `WIDE` integers."""
        try:
            return np.frombuffer(self._kernel.amounts(name, level), dtype=WIDE)
        except ValueError as error:
            raise InputError(str(error)) from error

    def exact(self, name: str, level: Level) -> list[int]:
        """The same amounts as `wide`, as Python integers."""
        return integers(self.wide(name, level).tobytes())

    def health_e6(self, level: Level) -> NDArray[np.int64]:
        """Equity over requirement in 1e-6, rounded down; `NOTHING_REQUIRED`, or 0 without a value.

        Raises InputError when one does not fit 64 bits.
        """
        try:
            return np.frombuffer(self._kernel.health(level), dtype="<i8")
        except ValueError as error:
            raise InputError(str(error)) from error

    def below(self, level: Level) -> NDArray[np.uint64]:
        """Numbers of the accounts whose equity is below the requirement. Those without a value are in `unvalued`."""
        return np.frombuffer(self._kernel.below(level), dtype="<u8")

    def status(self) -> NDArray[np.uint8]:
        """`Status` of every account."""
        return np.frombuffer(self._kernel.statuses(), dtype=np.uint8)

    def unvalued(self) -> NDArray[np.int64]:
        """Numbers of the accounts without a value; `evaluation` raises the reason."""
        return np.flatnonzero(self.status() > Status.EXACT_PATH)

    def scan_risk_e6(self, class_id: int) -> NDArray[np.uint64]:
        """L_k of every account for a class, in 1e-6 USD; 2^64 - 1 stands for more. InputError for another class."""
        self._class(class_id)
        return np.frombuffer(self._kernel.scan_risk(class_id), dtype="<u8")

    def worst_scenario(self, class_id: int) -> NDArray[np.uint8]:
        """The scenario that decides L_k of every account, or `NO_SCENARIO`. InputError for another class."""
        self._class(class_id)
        return np.frombuffer(self._kernel.worst(class_id), dtype=np.uint8)

    def _class(self, class_id: int) -> None:
        count = len(self._policy.classes)
        if not 1 <= class_id <= count:
            raise InputError(f"class {class_id} is not in the policy; its classes are 1..{count}")

    def evaluation(self, account: int, level: Level) -> Evaluation:
        """One account by the reference engine, with every number that explains it; raises what `evaluate` raises."""
        return evaluate(self._policy, self.positions(account), level)
