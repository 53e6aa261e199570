"""The book kernel against the reference engine: random books, any sequence of ticks and trades, and refusals."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.margin.book import NO_SCENARIO, NOTHING_REQUIRED, WIDE, Book, Status
from aggregator.margin.native import Evaluation, evaluate
from aggregator.model.errors import InputError
from aggregator.model.policy import Addon, Instrument, Level, Line, NettingGroup, Policy
from aggregator.model.units import RATE_SCALE
from tests.aggregator.strategies import policies, positions
from tests.aggregator.test_native import instrument, policy_of

KERNELS = pytest.mark.parametrize("portable", [False, True])


def reference(policy: Policy, held: Mapping[int, int], level: Level) -> Evaluation | None:
    """None where the reference refuses the account."""
    try:
        return evaluate(policy, held, level)
    except InputError:
        return None


def assert_agrees(book: Book, accounts: Sequence[Mapping[int, int]]) -> None:
    """Every result of the book is the reference's."""
    policy = book.policy
    assert len(book) == len(accounts)
    status = book.status()
    worst = {k: book.worst_scenario(k) for k in range(1, len(policy.classes) + 1)}
    scan = {k: book.scan_risk_e6(k) for k in range(1, len(policy.classes) + 1)}
    for level in Level:
        below = set(book.below(level).tolist())
        columns = {
            name: book.exact(name, level)
            for name in ("equity_e20", "requirement_e20", "requirement_e6", "excess_e6")
        }
        truths = [reference(policy, held, level) for held in accounts]
        for n, truth in enumerate(truths):
            if truth is None:
                # An account is refused at both levels as soon as it is at one.
                assert status[n] > Status.EXACT_PATH
            if status[n] > Status.EXACT_PATH:
                assert None in [reference(policy, accounts[n], one) for one in Level]
                assert n not in below
                assert n in book.unvalued()
                continue
            assert truth is not None
            for name, column in columns.items():
                assert column[n] == getattr(truth, name), (n, name)
            assert (n in below) == (truth.excess_e6 < 0)
            for risk in truth.classes:
                assert scan[risk.class_id][n] == min(risk.scan_risk_e6, 2**64 - 1)
                assert worst[risk.class_id][n] == (NO_SCENARIO if risk.binding is None else risk.binding)
        healths = [NOTHING_REQUIRED if t is None or t.health_e6 is None else t.health_e6 for t in truths]
        if all(abs(health) < 2**63 for health in healths):
            for n, health in enumerate(book.health_e6(level).tolist()):
                assert health == (healths[n] if status[n] <= Status.EXACT_PATH else 0)


@KERNELS
@settings(deadline=None)
@given(data=st.data())
def test_every_account_has_the_numbers_of_the_reference(portable: bool, data: st.DataObject) -> None:
    policy = data.draw(policies(extreme=True))
    accounts = [data.draw(positions(policy)) for _ in range(data.draw(st.integers(0, 4)))]
    book = Book(policy, portable=portable)
    assert book.add(accounts) == range(len(accounts))
    assert_agrees(book, accounts)
    book.revalue()
    assert_agrees(book, accounts)


def moved_instrument(one: Instrument, policy: Policy, source: random.Random) -> Instrument:
    """The instrument with some of its numbers moved, never beyond what W1 allowed before."""
    eighths = source.randint(0, 8)
    changes: dict[str, object] = source.choice(
        [
            {"mark_e12": one.mark_e12 * eighths // 8},
            {"max_quantity_e8": one.max_quantity_e8 * eighths // 8},
            {"unit_e6": one.unit_e6 * eighths // 8},
            {"risk_e12": tuple(r * eighths // 8 for r in source.sample(one.risk_e12, 32))},
            {"risk_e12": one.risk_e12[::-1], "mark_e12": -one.mark_e12, "addon_im": one.addon_mm},
            {"addon_mm": Addon(one.addon_mm.long_e12 * eighths // 8, one.addon_mm.short_e12)},
            {"class_id": source.randint(1, len(policy.classes)) if policy.classes else 0},
            {"group_id": source.choice([0, *policy.group_by_id])},
        ]
    )
    if not any(one.risk_e12) and "class_id" not in changes:
        changes.pop("risk_e12", None)
    return replace(one, **changes)  # type: ignore[arg-type]


def moved_group(group: NettingGroup, source: random.Random) -> NettingGroup:
    eighths = source.randint(0, 8)
    lines = tuple(Line(line.slope_e12 * eighths // 8, line.intercept_e26) for line in group.lines_im)
    return replace(group, lines_im=lines) if source.random() < 0.5 else replace(group, lines_mm=lines)


def moved(policy: Policy, listed: Policy, source: random.Random) -> Policy:
    """The next tick's policy; `listed` holds every instrument that may come back."""
    kind = source.randrange(8)
    if kind == 0:
        return replace(policy, groups=tuple(moved_group(g, source) for g in policy.groups))
    if kind == 1:
        return replace(policy, scan_factor_im_e6=source.randint(0, 10 * RATE_SCALE))
    if kind == 2 and policy.instruments:
        return replace(policy, instruments=policy.instruments[1:])
    if kind == 3:
        return replace(policy, instruments=listed.instruments)
    changed = tuple(
        moved_instrument(i, policy, source) if source.random() < 0.4 else i for i in policy.instruments
    )
    return replace(policy, instruments=changed)


@KERNELS
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_ticks_and_trades_leave_what_a_fresh_book_has(portable: bool, data: st.DataObject) -> None:
    """Only what depends on a change is valued again, and nothing else has gone stale."""
    listed = data.draw(policies(extreme=True))
    source = random.Random(data.draw(st.integers(0, 2**32)))
    drawn = [data.draw(positions(listed)) for _ in range(3)]
    accounts = [{i: q for i, q in held.items() if q} for held in drawn]
    book = Book(listed, portable=portable)
    book.add(accounts)
    policy = listed
    for _ in range(6):
        policy = moved(policy, listed, source)
        touched = book.tick(policy)
        assert 0 <= touched <= len(accounts)
        assert_agrees(book, accounts)
        if policy.instruments and source.random() < 0.5:
            n, one = source.randrange(3), source.choice(policy.instruments)
            target = source.randint(-one.max_quantity_e8, one.max_quantity_e8)
            present = book.positions(n)
            if all(
                i in policy.by_id and abs(q) <= policy.by_id[i].max_quantity_e8 for i, q in present.items()
            ):
                book.trade(n, {one.id: target - present.get(one.id, 0)})
                accounts[n] = {i: q for i, q in {**present, one.id: target}.items() if q}
                assert_agrees(book, accounts)


def test_a_tick_touches_only_who_holds_what_changed() -> None:
    policy = policy_of(instrument(1, 10**12), instrument(2, 10**12), instrument(3, 10**12))
    book = Book(policy)
    book.add([{1: 5}, {2: 5}, {1: 1, 2: 1}, {}])
    first, *rest = policy.instruments
    after = replace(policy, instruments=(replace(first, mark_e12=2 * 10**12), *rest))
    assert book.tick(after) == 2
    assert book.tick(after) == 0
    assert book.exact("equity_e20", Level.IM) == [10 * 10**12, 5 * 10**12, 3 * 10**12, 0]


@KERNELS
def test_accounts_across_blocks_and_both_ways_of_adding_agree(portable: bool) -> None:
    """Seven hundred accounts, in rows and in maps, with quantities at every size that has its own path."""
    source = random.Random(7)
    lines = (Line(10**11, 0), Line(-(10**11), 0), Line(10**12, -(10**28)), *([Line(0, 0)] * 3))
    made = [
        instrument(
            n,
            source.randint(0, 10**16),
            class_id=n % 3,
            group_id=n % 2,
            max_quantity_e8=2**64,
            risk_e12=tuple(
                source.randint(-(10 ** (11 + n)), 10 ** (11 + n)) if n % 3 else 0 for _ in range(32)
            ),
            addon_im=Addon(n, 2 * n),
        )
        for n in range(1, 7)
    ]
    policy = policy_of(*made, groups=(NettingGroup(1, "ETH", lines, lines),))
    accounts = [
        {
            i: source.randint(-(2**bits), 2**bits)
            for i in source.sample(range(1, 7), source.randint(0, 6))
            for bits in [source.choice([20, 40, 52, 62])]
        }
        for _ in range(700)
    ]
    book = Book(policy, portable=portable)
    starts = np.cumsum([0] + [len(a) for a in accounts[:300]])
    ids = [i for a in accounts[:300] for i in a]
    assert book.add_arrays(starts, ids, [q for a in accounts[:300] for q in a.values()]) == range(300)
    accounts[500] = {1: 2**63, 2: -(2**64)}
    assert book.add(accounts[300:]) == range(300, 700)
    assert_agrees(book, accounts)
    assert book.status()[500] == Status.EXACT_PATH
    assert 100 < np.count_nonzero(book.status() == Status.VALUED) < 600
    assert book.wide("equity_e20", Level.IM).dtype == WIDE
    assert book.memory_bytes > 0
    assert book.evaluation(500, Level.IM).equity_e20 == book.exact("equity_e20", Level.IM)[500]


def test_an_empty_book_and_an_empty_account() -> None:
    book = Book(policy_of(instrument(1, 10**12)))
    assert book.kernel in {"portable", "avx512-ifma"}
    book.revalue()
    assert book.excess_e6(Level.IM).tolist() == []
    assert book.add([]) == range(0)
    assert book.add([{}]) == range(1)
    assert book.excess_e6(Level.IM).tolist() == [0]
    assert book.health_e6(Level.MM).tolist() == [NOTHING_REQUIRED]
    assert book.below(Level.IM).tolist() == []


def test_refusals_name_the_thing_and_change_nothing() -> None:
    policy = policy_of(instrument(1, 10**12, max_quantity_e8=100), instrument(2, 10**12))
    book = Book(policy)
    book.add([{1: 100}])
    with pytest.raises(InputError, match="account 2 holds instrument 9, which is not in the policy"):
        book.add([{1: 1}, {9: 1}])
    with pytest.raises(InputError, match="quantity 101e-8 of instrument 1, beyond"):
        book.add([{1: 101}])
    with pytest.raises(InputError, match="names instrument 1 twice"):
        book.add_arrays([0, 2], [1, 1], [1, 1])
    with pytest.raises(InputError, match="do not rise"):
        book.add_arrays([0, 2], [1], [1])
    with pytest.raises(InputError, match="the rows have no start"):
        book.add_arrays([], [], [])
    with pytest.raises(InputError, match="quantities_e8 is no list of integers"):
        book.add_arrays([0, 1], [1], [1.5])
    with pytest.raises(InputError, match=r"leaves 1\.\.4095"):
        book.add_arrays([0, 1], [-1], [1])
    with pytest.raises(InputError, match="leaves 63 bits"):
        book.add_arrays([0, 1], [1], np.array([2**63], dtype=np.uint64))
    with pytest.raises(InputError, match=r"ids are 1\.\.4095"):
        book.add([{70_000: 1}])
    with pytest.raises(InputError, match="does not fit 128 bits"):
        book.add([{1: 2**127}])
    with pytest.raises(InputError, match="beyond the policy's bound"):
        book.trade(0, {1: 1})
    with pytest.raises(InputError, match="which is not in the policy"):
        book.set_positions(0, {5: 1})
    for account in (-1, 1, 2**64):
        with pytest.raises(InputError, match="is not in the book, which has 1"):
            book.positions(account)
    with pytest.raises(InputError, match=r"its classes are 1\.\.2"):
        book.worst_scenario(3)
    broken = replace(policy, instruments=(instrument(1, 2**80), instrument(2, 7)))
    with pytest.raises(InputError, match="instrument 1 has a mark"):
        book.tick(broken)
    with pytest.raises(InputError, match="instrument 1 has a mark"):
        Book(broken)
    with pytest.raises(InputError, match="not an amount"):
        book.wide("equity", Level.IM)
    assert book.policy is policy
    assert book.positions(0) == {1: 100}
    assert len(book) == 1


def test_an_amount_beyond_64_bits_is_never_cut_off() -> None:
    """The narrow column refuses, the wide one has it."""
    rich = policy_of(instrument(1, 10**12, max_quantity_e8=2**70))
    book = Book(rich)
    book.add([{1: 2**70}])
    with pytest.raises(InputError, match="account 0 does not fit 64 bits"):
        book.excess_e6(Level.IM)
    assert book.exact("excess_e6", Level.IM) == [evaluate(rich, {1: 2**70}, Level.IM).excess_e6]


def test_an_account_that_cannot_be_valued_is_named_and_comes_back() -> None:
    policy = policy_of(instrument(1, 10**12), instrument(2, 10**12))
    book = Book(policy)
    book.add([{1: 500}, {2: -500}])
    only_two = replace(policy, instruments=policy.instruments[1:])
    assert book.tick(only_two) == 1
    assert book.status().tolist() == [Status.UNPRICED, Status.VALUED]
    assert book.unvalued().tolist() == [0]
    assert book.below(Level.MM).tolist() == [1]
    with pytest.raises(InputError, match="instrument 1 is not in policy"):
        book.evaluation(0, Level.MM)
    tight = replace(
        policy, instruments=(replace(policy.instruments[0], max_quantity_e8=499), policy.instruments[1])
    )
    assert book.tick(tight) == 1
    assert book.status().tolist() == [Status.OVER_LIMIT, Status.VALUED]
    assert book.tick(policy) == 1
    assert_agrees(book, [{1: 500}, {2: -500}])


def test_a_scan_risk_beyond_its_bound_is_refused_as_by_the_reference() -> None:
    risky = instrument(1, 0, class_id=1, risk_e12=(-(2**79),) * 32, max_quantity_e8=2**38)
    others = [replace(risky, id=n, symbol=f"R{n}") for n in range(2, 60)]
    policy = policy_of(risky, *others)
    held = {i.id: 2**38 for i in policy.instruments}
    assert reference(policy, held, Level.IM) is None
    book = Book(policy)
    book.add([held])
    assert book.status().tolist() == [Status.BEYOND]
