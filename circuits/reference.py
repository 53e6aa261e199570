"""The Python reference of the Rust witness runner and checker: slow, plain, compared with it in the tests."""

from __future__ import annotations

from collections.abc import Sequence

from circuits.field import MODULUS
from circuits.r1cs import OP_BITS, OP_MUL, OP_SOLVE, CompiledCircuit, Matrix


class WitnessRefusedError(ValueError):
    """A BITS operation met a value that does not fit: the claimed inputs are not a solution."""


def _dot(circuit: CompiledCircuit, matrix: Matrix, row: int, z: Sequence[int]) -> int:
    return sum(circuit.coefs[c] * z[w] for w, c in matrix.row(row)) % MODULUS


def run(circuit: CompiledCircuit, inputs: Sequence[int], strict: bool = True) -> list[int]:
    """Runs the witness program.

    Parameters: inputs, the public and private inputs in wire order; strict=False lets a value that does not fit pass
    with its low bits, as a malicious prover would, so that the rows have to refuse it.
    Returns: all wires, wire 0 being 1.
    Raises: WitnessRefusedError naming the operation's equation.
    """
    z = [1, *(x % MODULUS for x in inputs)] + [0] * (circuit.n_wires - 1 - len(inputs))
    words = circuit.program.tolist()
    at, op = 0, 0
    while at < len(words):
        code = words[at]
        if code == OP_MUL:
            row, wire, n = words[at + 1 : at + 4]
            for i in range(n):
                z[wire + i] = (
                    _dot(circuit, circuit.a, row + i, z) * _dot(circuit, circuit.b, row + i, z) % MODULUS
                )
            at += 4
        elif code == OP_BITS:
            h, wire, n = words[at + 1 : at + 4]
            value = _dot(circuit, circuit.h, h, z)
            if strict and value >> n:
                raise WitnessRefusedError(f"{circuit.op_labels[op]}: the value does not fit {n} bits")
            for j in range(n):
                z[wire + j] = value >> j & 1
            at += 4
        elif code == OP_SOLVE:
            row, wire = words[at + 1 : at + 3]
            z[wire] = 0
            product = _dot(circuit, circuit.a, row, z) * _dot(circuit, circuit.b, row, z)
            z[wire] = (product - _dot(circuit, circuit.c, row, z)) % MODULUS
            at += 3
        else:
            raise ValueError(f"the witness program has an unknown operation {code} at word {at}")
        op += 1
    return z


def first_violation(circuit: CompiledCircuit, z: Sequence[int]) -> int | None:
    """The first row with (A.z)(B.z) != C.z, or None."""
    for row in range(circuit.n_constraints):
        a, b = _dot(circuit, circuit.a, row, z), _dot(circuit, circuit.b, row, z)
        if a * b % MODULUS != _dot(circuit, circuit.c, row, z):
            return row
    return None
