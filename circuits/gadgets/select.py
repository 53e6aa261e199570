"""Choosing without branching: membership by a vanishing product, pointers by orthogonality, selection by a bit."""

from __future__ import annotations

from collections.abc import Sequence

from circuits.r1cs import Builder, Lc


def member(b: Builder, x: Lc, candidates: Sequence[Lc]) -> None:
    """x is one of the candidates: product_j (c_j - x) = 0. len - 1 rows."""
    product = candidates[0] - x
    for candidate in candidates[1:-1]:
        product = b.mul(product, candidate - x)
    b.enforce(product, candidates[-1] - x, Lc.constant(0))


def point(b: Builder, key: Lc, cells: Sequence[Lc], pointers: Sequence[Lc], none: Lc) -> list[Lc]:
    """The unit vector that points at the cell equal to `key`, or at none when key = 0.

    pointer_j (key - cell_j) = 0 ,  none key = 0 ,  none + sum_j pointer_j = 1.

    The cells must be distinct: then at most one factor is zero, that pointer is 1 and the others are 0. A key in no
    cell has no witness.
    """
    zero = Lc.constant(0)
    for cell, pointer in zip(cells, pointers, strict=True):
        b.enforce(pointer, key - cell, zero)
    b.enforce(none, key, zero)
    b.equal(Lc.sum([none, *pointers]), Lc.constant(1))
    return [Lc(pointer.terms, (0, 1)) for pointer in pointers]


def choose(b: Builder, bit: Lc, zero: Lc, one: Lc) -> Lc:
    """zero + bit (one - zero). `bit` must be boolean."""
    out = zero + b.mul(bit, one - zero)
    if zero.interval is None or one.interval is None:
        return out
    return Lc(out.terms, (min(zero.interval[0], one.interval[0]), max(zero.interval[1], one.interval[1])))
