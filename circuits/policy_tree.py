"""The commitment to a policy: one Poseidon tree per margin level, and the root that binds the whole document.

Equations S4, S5 and S8 of docs/protocol.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eth_utils.crypto import keccak

from aggregator.model.policy import Instrument, Level, NettingGroup, Policy
from aggregator.model.units import MAX_CLASSES, MAX_INSTRUMENTS, SCENARIOS
from aggregator.policy import encode_policy
from circuits.field import MODULUS
from circuits.hashing import POLICY_ARITY, chain, hash_many

FANOUT: Final = 8
DEPTH: Final = 4
LANE_SHIFT: Final = 126


@dataclass(frozen=True, slots=True)
class LeafOpening:
    """A leaf's fields and its path, as the circuit takes them."""

    fields: tuple[int, ...]
    """id, class, group hash, mark, unit, limit, long add-on, short add-on."""
    risk_words: tuple[int, ...]
    siblings0: tuple[int, ...]
    siblings1: tuple[int, ...]


@dataclass(frozen=True)
class PolicyTree:
    """The committed policy. `levels[level][depth]` are the nodes, leaves first."""

    root: int
    document_hash: int
    levels: dict[Level, tuple[tuple[int, ...], ...]]
    _fields: dict[Level, dict[int, tuple[int, ...]]]
    _risk_words: dict[int, tuple[int, ...]]

    def tree(self, level: Level) -> int:
        """Root of the tree of one margin level."""
        return self.levels[level][DEPTH][0]

    def blocks(self, level: Level) -> tuple[int, ...]:
        """The 64 nodes two levels below the root."""
        return self.levels[level][DEPTH - 2]

    def open(self, level: Level, instrument_id: int) -> LeafOpening:
        """Opens the leaf of an instrument; id 0 is the null instrument.

        Raises: KeyError for an id that is not in the policy.
        """
        nodes = self.levels[level]
        first0 = instrument_id // FANOUT * FANOUT
        first1 = instrument_id // FANOUT // FANOUT * FANOUT
        return LeafOpening(
            fields=self._fields[level][instrument_id],
            risk_words=self._risk_words[instrument_id],
            siblings0=nodes[0][first0 : first0 + FANOUT],
            siblings1=nodes[1][first1 : first1 + FANOUT],
        )


def risk_words(risk_e12: tuple[int, ...]) -> tuple[int, ...]:
    """Two scenarios to a field element: r[2j] + 2^126 r[2j+1]."""
    return tuple(
        (risk_e12[2 * j] + (risk_e12[2 * j + 1] << LANE_SHIFT)) % MODULUS for j in range(SCENARIOS // 2)
    )


def group_row(group: NettingGroup, level: Level) -> tuple[int, ...]:
    """What a group's hash covers: id, six slopes, intercepts 1..5."""
    lines = group.lines(level)
    return (group.id, *(line.slope_e12 for line in lines), *(line.intercept_e26 for line in lines[1:]))


def document_hash(policy: Policy) -> int:
    """Hash of the whole canonical policy document.

    A commitment binds it, so what an attestor counted under one policy (its ids, what it accepts, the marks by which
    it takes liquidity positions apart) cannot be proven under another.
    """
    return int.from_bytes(keccak(encode_policy(policy)), "big") >> 8


def correlations(policy: Policy) -> tuple[int, ...]:
    """rho_12, rho_13, .. rho_78 in 1e-6, zero for classes the policy does not have."""
    n = len(policy.classes)
    return tuple(
        policy.correlation_e6[k][m] if m < n else 0
        for k in range(MAX_CLASSES)
        for m in range(k + 1, MAX_CLASSES)
    )


def build_tree(policy: Policy) -> PolicyTree:
    """Commits to a policy that `check_policy` has passed."""
    words = {0: (0,) * (SCENARIOS // 2), **{i.id: risk_words(i.risk_e12) for i in policy.instruments}}
    ids = sorted(words)
    risk_hashes = dict(zip(ids, hash_many(SCENARIOS // 2, [words[i] for i in ids]), strict=True))
    levels, fields = {}, {}
    for level in Level:
        rows = [group_row(group, level) for group in policy.groups]
        group_hashes = {0: 0}
        if rows:
            group_hashes |= dict(
                zip((g.id for g in policy.groups), hash_many(len(rows[0]), rows), strict=True)
            )
        fields[level] = {0: (0,) * 8} | {
            i.id: _leaf_fields(i, group_hashes[i.group_id], level) for i in policy.instruments
        }
        leaves = [0] * MAX_INSTRUMENTS
        hashed = hash_many(9, [(risk_hashes[i], *fields[level][i]) for i in ids])
        for instrument_id, leaf in zip(ids, hashed, strict=True):
            leaves[instrument_id] = leaf
        levels[level] = _fold(leaves)
    document = document_hash(policy)
    header = [
        document,
        levels[Level.IM][DEPTH][0],
        levels[Level.MM][DEPTH][0],
        policy.scan_factor_im_e6,
        policy.scan_factor_mm_e6,
        *correlations(policy),
    ]
    return PolicyTree(chain(POLICY_ARITY, header), document, levels, fields, words)


def _leaf_fields(instrument: Instrument, group_hash: int, level: Level) -> tuple[int, ...]:
    addon = instrument.addon(level)
    return (
        instrument.id,
        instrument.class_id,
        group_hash,
        instrument.mark_e12,
        instrument.unit_e6,
        instrument.max_quantity_e8,
        addon.long_e12,
        addon.short_e12,
    )


def _fold(leaves: list[int]) -> tuple[tuple[int, ...], ...]:
    nodes = [tuple(leaves)]
    while len(nodes[-1]) > 1:
        below = nodes[-1]
        rows = [below[i : i + FANOUT] for i in range(0, len(below), FANOUT)]
        nodes.append(tuple(hash_many(FANOUT, rows)))
    return tuple(nodes)
