"""The policy root: recomputed here from docs/protocol.md with the reference hash, and moved by every number."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from aggregator.model.policy import Addon, Level, Line, Policy
from circuits.field import MODULUS
from circuits.policy_tree import PolicyTree, build_tree
from circuits.poseidon import poseidon
from tests.circuits.books import fixed_policy

POLICY = fixed_policy()


@cache
def tree() -> PolicyTree:
    return build_tree(POLICY)


def _reduce(values: list[int]) -> list[int]:
    return [v % MODULUS for v in values]


def _leaf(instrument_id: int, level: Level) -> int:
    """The leaf by the formula of docs/protocol.md, section 2."""
    i = POLICY.by_id[instrument_id]
    risk = poseidon(_reduce([i.risk_e12[2 * j] + 2**126 * i.risk_e12[2 * j + 1] for j in range(16)]))
    group_hash = 0
    if i.group_id:
        lines = POLICY.group_by_id[i.group_id].lines(level)
        row = [i.group_id, *(x.slope_e12 for x in lines), *(x.intercept_e26 for x in lines[1:])]
        group_hash = poseidon(_reduce(row))
    addon = i.addon(level)
    fields = [
        i.id,
        i.class_id,
        group_hash,
        i.mark_e12,
        i.unit_e6,
        i.max_quantity_e8,
        addon.long_e12,
        addon.short_e12,
    ]
    return poseidon(_reduce([risk, *fields]))


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("instrument_id", [1, 2, 10, 40, 4095])
def test_a_leaf_opens_to_the_root(level: Level, instrument_id: int) -> None:
    opening = tree().open(level, instrument_id)
    node = _leaf(instrument_id, level)
    assert opening.siblings0[instrument_id % 8] == node
    node = poseidon(opening.siblings0)
    assert opening.siblings1[instrument_id // 8 % 8] == node
    node = poseidon(opening.siblings1)
    blocks = tree().blocks(level)
    assert blocks[instrument_id // 64] == node
    top = poseidon([poseidon(blocks[8 * j : 8 * j + 8]) for j in range(8)])
    assert top == tree().tree(level)


def test_the_root_is_the_chain_of_the_header() -> None:
    t = tree()
    rho = [0] * 28
    rho[0] = POLICY.correlation_e6[0][1]
    header = [t.document_hash, t.tree(Level.IM), t.tree(Level.MM)]
    header += [POLICY.scan_factor_im_e6, POLICY.scan_factor_mm_e6, *rho]
    state = poseidon(header[:14])
    state = poseidon([state, *header[14:27]])
    state = poseidon([state, *header[27:], *[0] * 7])
    assert t.root == state


def _with_instrument(**change: object) -> Policy:
    first, *others = POLICY.instruments
    return replace(POLICY, instruments=(replace(first, **change), *others))  # type: ignore[arg-type]


def _with_line(line: Line) -> Policy:
    group, *others = POLICY.groups
    return replace(POLICY, groups=(replace(group, lines_mm=(*group.lines_mm[:5], line)), *others))


@pytest.mark.parametrize(
    "policy",
    [
        _with_instrument(mark_e12=1),
        _with_instrument(unit_e6=1),
        _with_instrument(max_quantity_e8=1),
        _with_instrument(class_id=1),
        _with_instrument(symbol="EUR"),
        _with_instrument(class_id=2, risk_e12=(*[0] * 31, 1)),
        _with_instrument(addon_mm=Addon(0, 1)),
        _with_line(Line(1, 0)),
        _with_line(Line(0, -1)),
        replace(POLICY, scan_factor_mm_e6=1),
        replace(POLICY, correlation_e6=((10**6, 1), (1, 10**6))),
        replace(POLICY, expires=POLICY.expires + 1),
        replace(POLICY, publisher="somebody else"),
    ],
)
def test_every_number_moves_the_root(policy: Policy) -> None:
    assert build_tree(policy).root != tree().root


@pytest.mark.parametrize(
    "policy",
    [
        _with_instrument(symbol="EUR"),
        _with_instrument(mark_e12=1),
        replace(POLICY, acceptance=replace(POLICY.acceptance, pool_range_e6=1)),
        replace(POLICY, epoch=POLICY.epoch + 1),
    ],
)
def test_another_policy_is_another_commitment_domain(policy: Policy) -> None:
    assert build_tree(policy).document_hash != tree().document_hash
