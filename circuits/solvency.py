"""The solvency statement as constraints (docs/protocol.md, S1-S11 and M1-M7).

Public: accountId, commitment, policyRoot, requirementAndLevel, context. The prover knows a holder key, slots, policy
leaves with paths, and claimed bounds L_k, C_g, R, such that the account's excess under the policy is at least the
public amount at the public level. Claims are never computed, only shown to dominate every line they must.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.model.units import (
    E20_PER_USD_E6,
    E26_PER_USD_E6,
    INTERCEPT_BOUND,
    LINES_PER_GROUP,
    MAX_CLASSES,
    MAX_INSTRUMENTS,
    POSITION_VALUE_BOUND,
    PRICE_BOUND,
    RATE_SCALE,
    SCENARIOS,
    UNIT_BOUND,
)
from circuits.gadgets.poseidon import poseidon, poseidon_chain
from circuits.gadgets.select import choose, member, point
from circuits.hashing import COMMITMENT_ARITY, POLICY_ARITY, TAG_ACCOUNT, TAG_COMMITMENT
from circuits.r1cs import Builder, CompiledCircuit, Lc

QUANTITY_BITS: Final = 80
CLAIM_BITS: Final = 76
TOTAL_BITS: Final = 80
ID_BITS: Final = 12
LANE_BITS: Final = 126
LANES: Final = 2
RISK_WORDS: Final = SCENARIOS // LANES
FANOUT: Final = 8
BLOCKS: Final = 64
EXCESS_BITS: Final = 126
CONTINGENCY_BITS: Final = 144
SQUARE_BITS: Final = 181
F_PER_E20: Final = 10**8


@dataclass(frozen=True, slots=True)
class Size:
    """How many positions, risk classes and netting groups one account may hold in a circuit."""

    slots: int
    classes: int
    groups: int

    @property
    def name(self) -> str:
        """The circuit's name, as bundles carry it."""
        return f"solvency-{self.slots}"

    def cell_ids(self, cell: int) -> range:
        """The class ids that class cell `cell` can stand for when all cells differ and increase.

        One id when there is a cell for each class.
        """
        return range(cell + 1, cell + 2 + MAX_CLASSES - self.classes)


SMALL: Final = Size(slots=16, classes=4, groups=5)
LARGE: Final = Size(slots=64, classes=8, groups=16)
SIZES: Final = {size.name: size for size in (SMALL, LARGE)}


@dataclass(frozen=True, slots=True)
class _ClassCell:
    """The class id a cell stands for, and the flag of each id it can stand for."""

    id: Lc
    flags: dict[int, Lc]


@dataclass(slots=True)
class _Leaf:
    """One opened policy leaf, as wires with the intervals the policy rules give them."""

    id: Lc
    class_id: Lc
    group_hash: Lc
    mark: Lc
    unit: Lc
    max_quantity: Lc
    addon_long: Lc
    addon_short: Lc
    risk: list[Lc]


@dataclass(slots=True)
class _Totals:
    """What the slots add up to."""

    equity: list[Lc]
    addons: list[Lc]
    lanes: list[list[list[Lc]]]
    nets: list[list[Lc]]


def build(size: Size) -> CompiledCircuit:
    """Builds the statement for accounts of `size`."""
    b = Builder(size.name)
    public = {
        n: b.public(n) for n in ("accountId", "commitment", "policyRoot", "requirementAndLevel", "context")
    }
    private = {name: b.private(name, count) for name, count in _private_inputs(size)}
    amount, level = _public_bounds(b, public, private)
    _account(b, public, private)
    tree, factor, correlation = _policy_header(b, public, private, level)
    blocks = _blocks(b, private, tree)
    classes = _class_cells(b, size, private)
    groups = _group_cells(b, size, private)
    totals = _slots(b, size, public, private, blocks, [c.id for c in classes], [g[0] for g in groups])
    scan = _scan_risk(b, size, private, totals)
    total_risk = _across_classes(b, size, private, classes, correlation, scan)
    contingencies = _contingencies(b, size, private, groups, totals)
    _excess(b, totals, factor, total_risk, contingencies, amount)
    return b.compile()


def _private_inputs(size: Size) -> list[tuple[str, int]]:
    """Private inputs in wire order; `circuits.assignment` fills them by name."""
    n, k, g = size.slots, size.classes, size.groups
    pairs = MAX_CLASSES * (MAX_CLASSES - 1) // 2
    return [
        ("amount", 1),
        ("level", 1),
        ("secretKey", 1),
        ("subAccount", 1),
        ("blinding", 1),
        ("trees", 2),
        ("scanFactors", 2),
        ("documentHash", 1),
        ("correlations", pairs),
        ("blocks", BLOCKS),
        *([("classCells", k * len(size.cell_ids(0)))] if k < MAX_CLASSES else []),
        ("groupGaps", g),
        ("slopes", g * LINES_PER_GROUP),
        ("intercepts", g * (LINES_PER_GROUP - 1)),
        ("quantity", n),
        ("short", n),
        ("unused", n),
        ("leafId", n),
        ("leafClass", n),
        ("leafGroup", n),
        ("leafMark", n),
        ("leafUnit", n),
        ("leafMax", n),
        ("leafLong", n),
        ("leafShort", n),
        ("leafRisk", n * RISK_WORDS),
        ("siblings0", n * FANOUT),
        ("siblings1", n * FANOUT),
        ("classPointers", n * k),
        ("classNone", n),
        ("groupPointers", n * g),
        ("groupNone", n),
        ("scanRisk", k),
        ("contingency", g),
        ("totalRisk", 1),
    ]


def _public_bounds(b: Builder, public: dict[str, Lc], private: dict[str, list[Lc]]) -> tuple[Lc, Lc]:
    # (S1) requirementAndLevel = amount + 2^80 level ,  0 <= amount < 2^80 ,  level in {0, 1}
    b.label("S1 amount and level")
    level = b.boolean(private["level"][0])
    amount = b.range_check(private["amount"][0], TOTAL_BITS, "S1 amount")
    b.equal(amount + level * (1 << TOTAL_BITS), public["requirementAndLevel"])
    # (S2) context^2 is a wire, so that the context is bound by a row of its own
    b.label("S2 context")
    b.mul(public["context"], public["context"])
    return amount, level


def _account(b: Builder, public: dict[str, Lc], private: dict[str, list[Lc]]) -> None:
    # (S3) accountId = P3(tag, sk, sub)
    b.label("S3 account id")
    tag = b.wire(Lc.constant(TAG_ACCOUNT))
    b.equal(poseidon(b, [tag, private["secretKey"][0], private["subAccount"][0]]), public["accountId"])


def _policy_header(
    b: Builder, public: dict[str, Lc], private: dict[str, list[Lc]], level: Lc
) -> tuple[Lc, Lc, list[Lc]]:
    # (S4) policyRoot = chain14(document hash, tree_IM, tree_MM, f_IM, f_MM, rho_12 .. rho_78)
    b.label("S4 policy root")
    trees, factors = private["trees"], private["scanFactors"]
    header = [*private["documentHash"], *trees, *factors, *private["correlations"]]
    b.equal(poseidon_chain(b, POLICY_ARITY, header), public["policyRoot"])
    #      tree = tree_MM + level (tree_IM - tree_MM) ,  f likewise
    tree = choose(b, level, trees[1], trees[0])
    bounded = [b.assume(f, 0, 10 * RATE_SCALE, "W5") for f in factors]
    factor = choose(b, level, bounded[1], bounded[0])
    return tree, factor, [b.assume(rho, 0, RATE_SCALE, "W5") for rho in private["correlations"]]


def _blocks(b: Builder, private: dict[str, list[Lc]], tree: Lc) -> list[Lc]:
    # (S5) the 64 nodes two levels below the root, opened once for all slots: P8(P8(..) x 8) = tree
    b.label("S5 policy blocks")
    blocks = private["blocks"]
    level1 = [poseidon(b, blocks[i : i + FANOUT]) for i in range(0, BLOCKS, FANOUT)]
    b.equal(poseidon(b, level1), tree)
    return blocks


def _class_cells(b: Builder, size: Size, private: dict[str, list[Lc]]) -> list[_ClassCell]:
    # (S6) class cell k: one of the booleans o_k,c is 1, c = k .. k + 8 - cells ,  id_k = sum_c c o_k,c ,  id_k < id_k+1
    #      with a cell for each class, id_k = k is a constant
    if size.classes == MAX_CLASSES:
        return [_ClassCell(Lc.constant(c), {c: Lc.constant(1)}) for c in range(1, MAX_CLASSES + 1)]
    b.label("S6 class cells")
    cells: list[_ClassCell] = []
    wires = iter(private["classCells"])
    for k in range(size.classes):
        flags = {c: b.boolean(next(wires)) for c in size.cell_ids(k)}
        b.equal(Lc.sum(flags.values()), Lc.constant(1))
        class_id = Lc.sum(flag * c for c, flag in flags.items())
        if k:
            b.range_check(class_id - cells[-1].id - 1, 3, f"S6 order of class cell {k}")
        cells.append(_ClassCell(class_id, flags))
    return cells


def _group_cells(
    b: Builder, size: Size, private: dict[str, list[Lc]]
) -> list[tuple[Lc, list[tuple[Lc, Lc]]]]:
    # (S7) group cell g: hash_g = P12(id_g, slopes, intercepts 1..5) ,  intercept_0 = 0
    #      id_g = id_g-1 + 1 + gap_g ,  0 <= gap_g < 2^12: ids increase strictly
    cells = []
    group_id = Lc.constant(0)
    rest = LINES_PER_GROUP - 1
    for g in range(size.groups):
        b.label("S7 group cells")
        group_id = group_id + 1 + b.range_check(private["groupGaps"][g], ID_BITS, "S7 group order")
        slopes = private["slopes"][g * LINES_PER_GROUP : (g + 1) * LINES_PER_GROUP]
        intercepts = private["intercepts"][g * rest : (g + 1) * rest]
        group_hash = poseidon(b, [group_id, *slopes, *intercepts])
        lines = [
            (
                b.assume(slope, 1 - PRICE_BOUND, PRICE_BOUND - 1, "W3"),
                b.assume(intercept, 1 - INTERCEPT_BOUND, 0, "W4") if intercept.terms else intercept,
            )
            for slope, intercept in zip(slopes, [Lc.constant(0), *intercepts], strict=True)
        ]
        cells.append((group_hash, lines))
    return cells


def _open_leaf(b: Builder, i: int, private: dict[str, list[Lc]], blocks: Sequence[Lc]) -> _Leaf:
    # (S8) leaf_i = P9(P16(risk words), id, class, group hash, mark, unit, max, long, short)
    #      leaf_i in siblings0 ,  P8(siblings0) in siblings1 ,  P8(siblings1) in blocks
    b.label("S8 policy leaf")
    names = ("leafId", "leafClass", "leafGroup", "leafMark", "leafUnit", "leafMax", "leafLong", "leafShort")
    fields = [private[name][i] for name in names]
    risk = private["leafRisk"][i * RISK_WORDS : (i + 1) * RISK_WORDS]
    node = poseidon(b, [poseidon(b, risk), *fields])
    b.label("S8 policy path")
    for name in ("siblings0", "siblings1"):
        siblings = private[name][i * FANOUT : (i + 1) * FANOUT]
        member(b, node, siblings)
        node = poseidon(b, siblings)
    member(b, node, blocks)
    ident, class_id, group_hash, mark, unit, limit, long, short = fields
    leaf = _Leaf(ident, class_id, group_hash, mark, unit, limit, long, short, risk)
    leaf.id = b.assume(leaf.id, 0, MAX_INSTRUMENTS - 1, "W2")
    leaf.mark = b.assume(leaf.mark, 1 - PRICE_BOUND, PRICE_BOUND - 1, "W3")
    leaf.unit = b.assume(leaf.unit, 0, UNIT_BOUND - 1, "W3")
    leaf.max_quantity = b.assume(leaf.max_quantity, 0, (1 << QUANTITY_BITS) - 1, "W3")
    leaf.addon_long = b.assume(leaf.addon_long, 0, PRICE_BOUND - 1, "W3")
    leaf.addon_short = b.assume(leaf.addon_short, 0, PRICE_BOUND - 1, "W3")
    return leaf


def _slots(
    b: Builder,
    size: Size,
    public: dict[str, Lc],
    private: dict[str, list[Lc]],
    blocks: Sequence[Lc],
    class_cells: Sequence[Lc],
    group_cells: Sequence[Lc],
) -> _Totals:
    n_classes, n_groups = size.classes, size.groups
    totals = _Totals(
        equity=[],
        addons=[],
        lanes=[[[] for _ in range(RISK_WORDS)] for _ in range(n_classes)],
        nets=[[] for _ in range(n_groups)],
    )
    words: list[Lc] = []
    previous_id = Lc.constant(0)
    for i in range(size.slots):
        leaf = _open_leaf(b, i, private, blocks)
        # (S9) t = (1 - 2 short) q ,  0 <= t <= max < 2^80 ,  short boolean: t = |q|
        b.label("S9 quantity")
        short = b.boolean(private["short"][i])
        size_of = b.range_check(b.wire(private["quantity"][i]), QUANTITY_BITS, f"S9 quantity of slot {i}")
        b.range_check(leaf.max_quantity - size_of, QUANTITY_BITS, f"S9 position limit of slot {i}")
        quantity = size_of - b.mul(short, size_of) * 2
        quantity = Lc(quantity.terms, (1 - (1 << QUANTITY_BITS), (1 << QUANTITY_BITS) - 1))
        # (S10) ids increase strictly, after the unused slots, whose id and limit are 0:
        #       id_i - id_i-1 - 1 + unused_i >= 0 ,  unused_i id_i = 0
        b.label("S10 slot order")
        unused = b.boolean(private["unused"][i])
        b.enforce(unused, leaf.id, Lc.constant(0))
        b.range_check(leaf.id - previous_id - 1 + unused, ID_BITS, f"S10 order of slot {i}")
        previous_id = leaf.id
        words.append(leaf.id * (1 << 96) + quantity + (1 << QUANTITY_BITS))
        # (M1) E = sum q m          (M5) A = sum |q| a(+/-)
        b.label("M1 equity")
        totals.equity.append(b.mul(quantity, leaf.mark))
        b.label("M5 add-ons")
        totals.addons.append(b.mul(size_of, choose(b, short, leaf.addon_long, leaf.addon_short)))
        # (M2) the slot's class takes q r[s], two scenarios to a word
        b.label("M2 class sums")
        span = slice(i * n_classes, (i + 1) * n_classes)
        pointers = point(
            b, leaf.class_id, class_cells, private["classPointers"][span], private["classNone"][i]
        )
        for k, pointer in enumerate(pointers):
            share = b.mul(pointer, quantity)
            for lane, word in zip(totals.lanes[k], leaf.risk, strict=True):
                lane.append(b.mul(Lc(share.terms, None), word))
        # (M4) the slot's group takes q unit
        b.label("M4 group sums")
        span = slice(i * n_groups, (i + 1) * n_groups)
        pointers = point(
            b, leaf.group_hash, group_cells, private["groupPointers"][span], private["groupNone"][i]
        )
        amount = b.mul(quantity, leaf.unit)
        for g, pointer in enumerate(pointers):
            totals.nets[g].append(b.mul(pointer, amount))
    # (S11) commitment = chain15(tag, blinding, document hash, slot pairs)
    #       slot = 2^96 id + q + 2^80 ,  pair = slot_2j + 2^128 slot_2j+1
    b.label("S11 commitment")
    words += [Lc.constant(0)] * (size.slots % 2)
    pairs = [words[i] + words[i + 1] * (1 << 128) for i in range(0, size.slots, 2)]
    tag = b.wire(Lc.constant(TAG_COMMITMENT))
    opening = [tag, *private["blinding"], *private["documentHash"], *(b.wire(pair) for pair in pairs)]
    b.equal(poseidon_chain(b, COMMITMENT_ARITY, opening), public["commitment"])
    return totals


def _scan_risk(b: Builder, size: Size, private: dict[str, list[Lc]], totals: _Totals) -> list[Lc]:
    # (M2) 10^14 L_k + sum_{i in k} q_i r_i[s] >= 0 for every s ,  0 <= L_k < 2^76
    # Both lanes x_0 + 2^126 x_1 are read off one decomposition. By S9 and W1 each |q r| < 2^118, so
    # |x| < slots 2^118 + 2^76 10^14 < 2^125: the one decomposition with x_0 < 2^125 and x_1 < 2^126 is the true one.
    if size.slots * POSITION_VALUE_BOUND + (E20_PER_USD_E6 << CLAIM_BITS) >= 1 << (LANE_BITS - 1):
        raise ValueError(f"{size.name}: the scenario lanes of {size.slots} slots could run into each other")
    scan = []
    for k in range(size.classes):
        b.label("M2 scan risk")
        claim = b.range_check(private["scanRisk"][k], CLAIM_BITS, f"M2 scan risk claim {k}")
        scan.append(claim)
        for j, terms in enumerate(totals.lanes[k]):
            lanes = Lc.sum(terms) + Lc(claim.terms, None) * (E20_PER_USD_E6 * (1 + (1 << LANE_BITS)))
            what = f"M2 scan risk {k} scenarios {LANES * j} and {LANES * j + 1}"
            b.bits(lanes, LANES * LANE_BITS, what, zero_bit=LANE_BITS - 1)
    return scan


def _across_classes(
    b: Builder,
    size: Size,
    private: dict[str, list[Lc]],
    classes: Sequence[_ClassCell],
    correlation: Sequence[Lc],
    scan: Sequence[Lc],
) -> Lc:
    # (M3) 10^6 R^2 >= sum_kl rho_kl L_k L_l ,  rho_kk = 10^6 ,  0 <= R < 2^80
    b.label("M3 across classes")
    total = b.range_check(private["totalRisk"][0], TOTAL_BITS, "M3 total risk claim")
    parts = [b.mul(total, total) * RATE_SCALE]
    for k in range(size.classes):
        parts.append(b.mul(scan[k], scan[k]) * -RATE_SCALE)
        if k == size.classes - 1:
            break
        row = {
            c: _correlation_below(b, classes[k].flags, correlation, c)
            for c in range(k + 2, size.cell_ids(size.classes - 1).stop)
        }
        for m in range(k + 1, size.classes):
            picked = [b.mul(flag, row[c]) for c, flag in classes[m].flags.items()]
            rho = Lc(Lc.sum(picked).terms, (0, RATE_SCALE))
            parts.append(b.mul(rho, b.mul(scan[k], scan[m])) * -2)
    b.range_check(Lc.sum(parts), SQUARE_BITS, "M3 total risk")
    return total


def _correlation_below(b: Builder, flags: dict[int, Lc], correlation: Sequence[Lc], other: int) -> Lc:
    """rho between the class a cell stands for and class `other`, which is that of a later cell and so greater (S6)."""
    terms = []
    for c, flag in flags.items():
        if c < other:
            index = (c - 1) * (2 * MAX_CLASSES - c) // 2 + other - c - 1
            terms.append(b.mul(flag, correlation[index]))
    return Lc(Lc.sum(terms).terms, (0, RATE_SCALE))


def _contingencies(
    b: Builder,
    size: Size,
    private: dict[str, list[Lc]],
    groups: Sequence[tuple[Lc, list[tuple[Lc, Lc]]]],
    totals: _Totals,
) -> list[Lc]:
    # (M4) 10^20 C_g >= slope_t net_g + intercept_t for every line t ,  0 <= C_g < 2^76
    b.label("M4 contingency")
    claims = []
    for g in range(size.groups):
        claim = b.range_check(private["contingency"][g], CLAIM_BITS, f"M4 contingency claim {g}")
        net = Lc.sum(totals.nets[g])
        for t, (slope, intercept) in enumerate(groups[g][1]):
            slack = claim * E26_PER_USD_E6 - b.mul(slope, net) - intercept
            b.range_check(slack, CONTINGENCY_BITS, f"M4 contingency {g} line {t}")
        claims.append(claim)
    return claims


def _excess(
    b: Builder, totals: _Totals, factor: Lc, total_risk: Lc, contingencies: Sequence[Lc], amount: Lc
) -> None:
    # (M6, M7) E - 10^8 f R - 10^14 sum C_g - A - 10^14 amount >= 0
    b.label("M7 excess")
    equity = Lc.sum(totals.equity)
    requirement = Lc.sum(
        [
            b.mul(factor, total_risk) * F_PER_E20,
            *(claim * E20_PER_USD_E6 for claim in contingencies),
            *totals.addons,
        ]
    )
    b.range_check(equity - requirement - amount * E20_PER_USD_E6, EXCESS_BITS, "M7 excess")
