"""A hand-written circuit of a few rows that uses every operation of the witness program, built without the builder.

wire 0 = 1, public: 1 product, 2 tag (in no row), private: 3 x, 4 y, computed: 5..
row 0        x y = w5                         MUL
row 1        (w5 - product) 1 = 0
rows 2..9    b_j (b_j - 1) = 0                BITS, wires 6..13 hold the bits of x
row 10       (sum 2^j b_j) 1 = x
row 11       x w14 = 1                        INV
row 12       (x + y) 1 = w15                  LIN
row 13       x x = w16 + 2 y                  SOLVE
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from circuits import _native
from circuits.field import MODULUS, encode

MUL, BITS, LIN, INV, SOLVE = 1, 2, 3, 4, 5
Row = dict[int, int]
Csr = tuple[bytes, bytes, bytes]
N_BITS = 8


def u32(values: Sequence[int]) -> bytes:
    """Little-endian uint32 words."""
    return struct.pack(f"<{len(values)}I", *values)


@dataclass(frozen=True)
class Spec:
    """Arguments of the native circuit, readable, so that tests can change one."""

    n_wires: int = 17
    n_public: int = 2
    n_inputs: int = 4
    coefs: list[int] = field(default_factory=lambda: [*[1 << j for j in range(N_BITS)], MODULUS - 1])
    rows: list[tuple[Row, Row, Row]] = field(default_factory=list)
    hints: list[Row] = field(default_factory=lambda: [{3: 1}, {3: 1, 4: 1}])
    program: list[int] = field(
        default_factory=lambda: [MUL, 0, 5, 1, BITS, 0, 6, N_BITS, INV, 0, 14, LIN, 1, 15, SOLVE, 13, 16]
    )

    def csr(self, rows: Sequence[Row]) -> Csr:
        """One matrix in CSR form over `coefs`."""
        pointers, wires, coefs = [0], [], []
        for row in rows:
            wires += list(row)
            coefs += [self.coefs.index(c % MODULUS) for c in row.values()]
            pointers.append(len(wires))
        return u32(pointers), u32(wires), u32(coefs)

    def arguments(self) -> tuple[int, int, int, bytes, Csr, Csr, Csr, Csr, bytes]:
        """What `_native.Circuit` takes."""
        a, b, c = (self.csr([row[side] for row in self.rows]) for side in range(3))
        coefs, program = encode(self.coefs), u32(self.program)
        return self.n_wires, self.n_public, self.n_inputs, coefs, a, b, c, self.csr(self.hints), program

    def build(self) -> _native.Circuit:
        """The native circuit."""
        return _native.Circuit(*self.arguments())


def tiny() -> Spec:
    """The circuit above."""
    rows: list[tuple[Row, Row, Row]] = [({3: 1}, {4: 1}, {5: 1}), ({5: 1, 1: -1}, {0: 1}, {})]
    rows += [({6 + j: 1}, {6 + j: 1, 0: -1}, {}) for j in range(N_BITS)]
    rows += [
        ({6 + j: 1 << j for j in range(N_BITS)}, {0: 1}, {3: 1}),
        ({3: 1}, {14: 1}, {0: 1}),
        ({3: 1, 4: 1}, {0: 1}, {15: 1}),
        ({3: 1}, {3: 1}, {16: 1, 4: 2}),
    ]
    return Spec(rows=rows)


def expected_witness(product: int, tag: int, x: int, y: int) -> list[int]:
    """The wires as the docstring above says, for 0 < x < 256."""
    bits = [x >> j & 1 for j in range(N_BITS)]
    return [
        1,
        product,
        tag,
        x,
        y,
        x * y % MODULUS,
        *bits,
        pow(x, -1, MODULUS),
        (x + y) % MODULUS,
        (x * x - 2 * y) % MODULUS,
    ]


def changed(**values: object) -> Spec:
    """The circuit with some arguments replaced."""
    return replace(tiny(), **values)  # type: ignore[arg-type]
