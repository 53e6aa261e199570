"""Compiled circuits in memory: read from the cache or compiled, once per process, and handed to the native core."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from aggregator.model.errors import CannotProveError
from circuits import _native
from circuits.cache import load, store
from circuits.field import encode
from circuits.r1cs import CompiledCircuit
from circuits.solvency import SIZES, Size, build


@dataclass(frozen=True)
class ReadyCircuit:
    """A circuit with its native twin and its digest."""

    size: Size
    compiled: CompiledCircuit
    native: _native.Circuit
    digest: str

    def witness(self, inputs: bytes) -> bytes:
        """Runs the witness program and checks every row.

        Raises: CannotProveError naming the equation that the inputs do not satisfy.
        """
        try:
            witness = self.native.witness(inputs)
        except ValueError as error:
            raise _false(self._operation(str(error))) from error
        row = self.native.first_violation(witness)
        if row is not None:
            raise _false(self.compiled.label_of_row(row))
        return witness

    def _operation(self, message: str) -> str:
        """The label of the operation that the native runner names by its ordinal."""
        prefix = "range check at op "
        if not message.startswith(prefix):
            return message
        op = int(message[len(prefix) :].split(":")[0])
        return self.compiled.op_labels.get(op, f"operation {op}")


def _false(equation: str) -> CannotProveError:
    return CannotProveError(
        f"the statement is false for this account: {equation} does not hold; ask for a smaller amount"
    )


def to_native(circuit: CompiledCircuit) -> _native.Circuit:
    """Hands a compiled circuit to the Rust core."""
    return _native.Circuit(
        circuit.n_wires,
        circuit.n_public,
        circuit.n_inputs,
        encode(circuit.coefs),
        circuit.a.buffers(),
        circuit.b.buffers(),
        circuit.c.buffers(),
        circuit.h.buffers(),
        circuit.program.tobytes(),
    )


@cache
def ready(name: str) -> ReadyCircuit:
    """The circuit called `name` ("solvency-16", "solvency-64"). Raises KeyError for another name."""
    size = SIZES[name]
    found = load(name)
    if found is None:
        compiled = build(size)
        found = (compiled, compiled.digest())
        store(*found)
    return ReadyCircuit(size, found[0], to_native(found[0]), found[1])
