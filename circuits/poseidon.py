"""Poseidon over the scalar field of BN254 with circomlib's constants: the reference of the Rust permutation.

The constants are generated, not stored: the Grain LFSR of the Poseidon paper, run with the parameters that
circomlib chose.

Source: Grassi, Khovratovich, Rechberger, Roy, Schofnegger, "Poseidon: A New Hash Function for Zero-Knowledge
Proof Systems" (USENIX Security 2021), section 4 and appendix E (Grain LFSR); circomlib
`circuits/poseidon.circom` for the number of partial rounds per width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from circuits.field import MODULUS

MAX_ARITY = 16
ROUNDS_FULL = 8
ROUNDS_PARTIAL = (56, 57, 56, 60, 60, 63, 64, 63, 60, 66, 60, 65, 70, 60, 64, 68)
"""Partial rounds for width t = 2..17 (arity 1..16), from circomlib."""

Parameters = tuple[int, int, tuple[int, ...], tuple[tuple[int, ...], ...]]

_FIELD_BITS = 254
_STATE_BITS = 80
_STEP_BITS = 80 - 62
_STEP_MASK = (1 << _STEP_BITS) - 1
_WARM_UP_BITS = 160


class _Grain:
    """The self-shrinking Grain LFSR: b[i+80] = b[i+62] + b[i+51] + b[i+38] + b[i+23] + b[i+13] + b[i].

    The nearest tap is 18 bits back, so 18 new bits are computed at a time. Bit i of `_state` is b[i].
    """

    def __init__(self, t: int, rounds_full: int, rounds_partial: int) -> None:
        fields = ((1, 2), (0, 4), (_FIELD_BITS, 12), (t, 12), (rounds_full, 10), (rounds_partial, 10))
        bits = "".join(format(value, f"0{width}b") for value, width in fields) + "1" * 30
        self._state = int(bits[::-1], 2)
        self._raw: list[int] = []
        self._next = 0
        for _ in range(_WARM_UP_BITS):
            self._raw_bit()

    def _raw_bit(self) -> int:
        if self._next == len(self._raw):
            s = self._state
            new = (s >> 62 ^ s >> 51 ^ s >> 38 ^ s >> 23 ^ s >> 13 ^ s) & _STEP_MASK
            self._state = s >> _STEP_BITS | new << (_STATE_BITS - _STEP_BITS)
            self._raw = [new >> i & 1 for i in range(_STEP_BITS)]
            self._next = 0
        bit = self._raw[self._next]
        self._next += 1
        return bit

    def _bit(self) -> int:
        while self._raw_bit() == 0:
            self._raw_bit()
        return self._raw_bit()

    def integer(self) -> int:
        """The next 254 bits, most significant first."""
        value = 0
        for _ in range(_FIELD_BITS):
            value = value << 1 | self._bit()
        return value

    def field_element(self) -> int:
        """The next integer below r; larger ones are skipped."""
        while (value := self.integer()) >= MODULUS:
            pass
        return value


@cache
def parameters(t: int) -> Parameters:
    """Constants of the permutation of width `t`.

    Parameters: t, the state width (arity + 1), 2..17.
    Returns: rounds_full, rounds_partial, round_constants (t per round, in order of use), mds (t rows of t).
    Raises: ValueError for another width.
    """
    if not 2 <= t <= MAX_ARITY + 1:
        raise ValueError(f"Poseidon width {t} is not supported: use 2 to {MAX_ARITY + 1}")
    rounds_partial = ROUNDS_PARTIAL[t - 2]
    grain = _Grain(t, ROUNDS_FULL, rounds_partial)
    constants = tuple(grain.field_element() for _ in range((ROUNDS_FULL + rounds_partial) * t))
    while True:
        points = [grain.integer() % MODULUS for _ in range(2 * t)]
        xs, ys = points[:t], points[t:]
        sums = [(x + y) % MODULUS for x in xs for y in ys]
        if len(set(points)) == 2 * t and 0 not in sums:
            break
    mds = tuple(tuple(pow(x + y, -1, MODULUS) for y in ys) for x in xs)
    return ROUNDS_FULL, rounds_partial, constants, mds


def permute(state: Sequence[int]) -> list[int]:
    """The permutation: per round add constants, take x^5 of all elements or the first, multiply by `mds`."""
    t = len(state)
    rounds_full, rounds_partial, constants, mds = parameters(t)
    half = rounds_full // 2
    out = list(state)
    for index in range(rounds_full + rounds_partial):
        out = [(x + c) % MODULUS for x, c in zip(out, constants[index * t :], strict=False)]
        full = index < half or index >= half + rounds_partial
        boxed = t if full else 1
        out[:boxed] = [pow(x, 5, MODULUS) for x in out[:boxed]]
        out = [sum(m * x for m, x in zip(row, out, strict=True)) % MODULUS for row in mds]
    return out


def poseidon(inputs: Sequence[int]) -> int:
    """Hash of 1 to 16 field elements, equal to circomlibjs `poseidon(inputs)`.

    Parameters: inputs, integers in 0..r-1.
    Returns: an integer in 0..r-1.
    Raises: ValueError for another number of inputs or one that is not below r.
    """
    if not 1 <= len(inputs) <= MAX_ARITY:
        raise ValueError(f"Poseidon takes 1 to {MAX_ARITY} inputs, got {len(inputs)}")
    for position, value in enumerate(inputs):
        if not 0 <= value < MODULUS:
            raise ValueError(f"Poseidon input {position} is not in 0..r-1: reduce it first")
    return permute([0, *inputs])[0]
