"""Poseidon in constraints: three rows per S-box, linear layers free.

The permutation is compiled once per width into a template whose rows are, per S-box with input x (a combination):

    x2 = x * x ,  x4 = x2 * x2 ,  x5 = x4 * x

S-boxes of constants are folded. The last row of the last S-box names the output h of the last linear layer instead of
its own x5:

    (m_0 x4) * x = h - sum_{j>0} m_j x5_j

Source: Grassi et al., "Poseidon: A New Hash Function for Zero-Knowledge Proof Systems" (USENIX Security 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from circuits.field import MODULUS
from circuits.poseidon import parameters
from circuits.r1cs import Builder, Lc, Pairs, Template

_Combination = dict[int, int]


@cache
def _template(arity: int) -> Template:
    """The permutation of width arity + 1 with capacity zero, over local wires."""
    t = arity + 1
    full, partial, constants, mds = parameters(t)
    rows: list[tuple[Pairs, Pairs]] = []

    def define(a: _Combination, b: _Combination) -> _Combination:
        rows.append((tuple(a.items()), tuple(b.items())))
        return {arity + len(rows): 1}

    def sbox(x: _Combination) -> _Combination:
        if x.keys() <= {0}:
            return {0: pow(x.get(0, 0), 5, MODULUS)}
        x2 = define(x, x)
        x4 = define(x2, x2)
        return define(x4, x)

    state: list[_Combination] = [{}] + [{i + 1: 1} for i in range(arity)]
    rounds = full + partial
    for index in range(rounds):
        is_full = not full // 2 <= index < full // 2 + partial
        shifted = [_add_constant(x, c) for x, c in zip(state, constants[index * t :], strict=False)]
        if index == rounds - 1:
            break
        boxed = [sbox(x) if is_full or i == 0 else x for i, x in enumerate(shifted)]
        state = [_mix(row, boxed) for row in mds]
    others = [sbox(x) for x in shifted[1:]]
    x2 = define(shifted[0], shifted[0])
    x4 = define(x2, x2)
    define(dict.fromkeys(x4, mds[0][0]), shifted[0])
    rest = _mix(mds[0][1:], others)
    return Template(arity, tuple(rows), tuple((wire, MODULUS - coef) for wire, coef in rest.items()))


def _add_constant(x: _Combination, constant: int) -> _Combination:
    return {**x, 0: (x.get(0, 0) + constant) % MODULUS}


def _mix(row: Sequence[int], state: Sequence[_Combination]) -> _Combination:
    """One output of the MDS layer."""
    total: _Combination = {}
    for m, x in zip(row, state, strict=True):
        for wire, coef in x.items():
            total[wire] = total.get(wire, 0) + m * coef
    return {wire: coef % MODULUS for wire, coef in total.items()}


def poseidon(b: Builder, inputs: Sequence[Lc]) -> Lc:
    """Poseidon of 1..16 inputs, as `circuits.poseidon.poseidon`; the output is one wire."""
    return b.place(_template(len(inputs)), inputs)[-1]


def poseidon_chain(b: Builder, arity: int, elements: Sequence[Lc]) -> Lc:
    """H(...H(H(e_0..e_{a-1}), e_a..e_{2a-2})...), zero-padded: `circuits.hashing.chain` in constraints."""
    state = poseidon(b, [*elements[:arity], *_zeros(b, arity - len(elements))])
    for start in range(arity, len(elements), arity - 1):
        part = elements[start : start + arity - 1]
        state = poseidon(b, [state, *part, *_zeros(b, arity - 1 - len(part))])
    return state


def _zeros(b: Builder, count: int) -> list[Lc]:
    return [b.wire(Lc.constant(0))] * count if count > 0 else []
