"""The native constraint system: it runs the program as documented, finds violations and refuses malformed input."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits import _native
from circuits.field import MODULUS, decode, encode
from tests.circuits.tiny import BITS, INV, LIN, MUL, N_BITS, SOLVE, Spec, changed, expected_witness, tiny, u32

TINY = tiny().build()


@given(st.integers(1, 2**N_BITS - 1), st.integers(0, MODULUS - 1), st.integers(0, MODULUS - 1))
def test_the_witness_is_what_the_program_says(x: int, y: int, tag: int) -> None:
    product = x * y % MODULUS
    witness = TINY.witness(encode([product, tag, x, y]))
    assert decode(witness) == expected_witness(product, tag, x, y)
    assert TINY.first_violation(witness) is None


def test_sizes() -> None:
    assert (TINY.n_wires, TINY.n_public, TINY.n_inputs, TINY.n_constraints) == (17, 2, 4, 14)
    assert TINY.n_terms == sum(len(side) for row in tiny().rows for side in row)


@pytest.mark.parametrize(("rows", "public", "domain"), [(13, 2, 16), (14, 2, 32), (16, 0, 32), (15, 0, 16)])
def test_the_domain_holds_the_rows_and_one_more_per_public_input_and_wire_0(
    rows: int, public: int, domain: int
) -> None:
    spec = Spec(
        n_wires=public + 1,
        n_public=public,
        n_inputs=public,
        rows=[({0: 1}, {0: 1}, {0: 1})] * rows,
        hints=[],
        program=[],
    )
    assert spec.build().domain_size == domain


@pytest.mark.parametrize(
    ("wire", "row"),
    [(1, 1), (5, 0), (6, 2), (13, 9), (3, 0), (14, 11), (15, 12), (16, 13), (4, 0)],
)
def test_the_first_violated_row_is_named(wire: int, row: int) -> None:
    values = decode(TINY.witness(encode([35, 1, 5, 7])))
    values[wire] = (values[wire] + 5) % MODULUS
    assert TINY.first_violation(encode(values)) == row


def test_a_value_that_does_not_fit_its_bits_names_the_operation() -> None:
    """The ordinal counts all operations from 0; MUL is 0 and BITS 1."""
    with pytest.raises(ValueError, match=r"^range check at op 1: the value does not fit 8 bits$"):
        TINY.witness(encode([256, 0, 256, 1]))
    with pytest.raises(ValueError, match="range check at op 1"):
        TINY.witness(encode([0, 0, -1, 0]))


def test_the_inverse_of_zero_is_zero_and_the_row_refuses_it() -> None:
    witness = TINY.witness(encode([0, 0, 0, 3]))
    assert decode(witness)[14] == 0
    assert TINY.first_violation(witness) == 11


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (encode([1, 2, 3]), "3 inputs given, the circuit takes 4"),
        (bytes(127), "multiple of 32"),
        (encode([1, 2, 3]) + MODULUS.to_bytes(32, "little"), "element 3 is not below"),
    ],
)
def test_malformed_inputs_are_refused(inputs: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        TINY.witness(inputs)


@pytest.mark.parametrize(
    ("witness", "reason"),
    [(encode([1]), "1 wires given, the circuit has 17"), (encode([2] * 17), "wire 0 is not 1")],
)
def test_a_witness_of_another_shape_is_refused(witness: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        TINY.first_violation(witness)


def with_program(*words: int) -> Spec:
    return changed(program=list(words))


GOOD = tiny().program


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (changed(n_public=5), "do not fit together"),
        (changed(n_inputs=17), "do not fit together"),
        (changed(n_wires=16), "uses wire 16, there are 16"),
        (changed(n_wires=18), "wire 17 is not computed"),
        (changed(rows=[]), "must be equal and not 0"),
        (with_program(), "wire 5 is not computed"),
        (with_program(9, 0, 0), "op 0 has the unknown code 9"),
        (with_program(MUL, 0, 5), "op 0 is cut off"),
        (with_program(*GOOD[:-1]), "op 4 is cut off"),
        (with_program(MUL, 0, 6, 1), "computes wire 6, the next one is 5"),
        (with_program(MUL, 12, 5, 1), "not the C side of row 12"),
        (with_program(MUL, 14, 5, 1), "rows past the last one"),
        (with_program(MUL, 2**32 - 1, 5, 2**32 - 1), "more wires than the circuit has"),
        (with_program(BITS, 0, 5, 255), "more wires"),
        (with_program(BITS, 2, 5, 8), "hint row 2, there are 2"),
        (with_program(INV, 7, 5), "hint row 7"),
        (with_program(LIN, 2**32 - 1, 5), "hint row"),
        (with_program(SOLVE, 14, 5), "row 14, past the last one"),
        (with_program(SOLVE, 10, 5), "before it is computed"),
        (with_program(SOLVE, 1, 5), "before it is computed"),
        (with_program(MUL, 0, 5, 1, MUL, 0, 5, 1), "computes wire 5, the next one is 6"),
        (changed(hints=[{3: 1}, {16: 1}]), "op 3 reads wire 16 before it is computed"),
        (changed(hints=[{6: 1}, {4: 1}]), "op 1 reads wire 6 before it is computed"),
    ],
)
def test_a_malformed_circuit_is_refused(spec: Spec, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        spec.build()


def test_more_bits_than_the_field_has_are_refused() -> None:
    spec = Spec(n_wires=257, n_public=0, n_inputs=1, rows=[({0: 1}, {0: 1}, {0: 1})], hints=[{1: 1}])
    with pytest.raises(ValueError, match="255 bits, at most 254"):
        changed(**{**spec.__dict__, "program": [BITS, 0, 2, 255]}).build()


Arguments = list[object]


def _replace_matrix(part: int, data: bytes) -> Callable[[Arguments], None]:
    def apply(arguments: Arguments) -> None:
        matrix = arguments[4]
        assert isinstance(matrix, tuple)
        arguments[4] = tuple(data if i == part else old for i, old in enumerate(matrix))

    return apply


def _replace(position: int, value: object) -> Callable[[Arguments], None]:
    def apply(arguments: Arguments) -> None:
        arguments[position] = value

    return apply


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_replace_matrix(0, b""), "row pointers must start at 0"),
        (_replace_matrix(0, u32([1, 2])), "row pointers must start at 0"),
        (_replace_matrix(0, u32([0, 99])), "row pointers must start at 0 and end at"),
        (_replace_matrix(0, u32([0, 9, 3, 23])), "row 1 ends before it starts"),
        (_replace_matrix(0, u32([0, 23])), r"have \[1, 14, 14\] rows"),
        (_replace_matrix(0, b"\0\0\0"), "not a multiple of 4"),
        (_replace_matrix(1, b""), "0 wires but 23 coefficients"),
        (_replace_matrix(1, u32([17] * 23)), "term 0 uses wire 17, there are 17"),
        (_replace_matrix(2, u32([0] * 22 + [9])), "term 22 uses coefficient 9, there are 9"),
        (_replace(3, bytes(33)), "coefficients: 33 bytes"),
        (_replace(3, b"\xff" * 32), "element 0 is not below"),
        (_replace(8, b"\1"), "words have 1 bytes"),
    ],
)
def test_malformed_buffers_are_refused(change: Callable[[Arguments], None], reason: str) -> None:
    arguments: Arguments = list(tiny().arguments())
    change(arguments)
    with pytest.raises(ValueError, match=reason):
        _native.Circuit(*arguments)  # type: ignore[arg-type]


def test_random_programs_and_matrices_never_panic() -> None:
    """Whatever the bytes, construction gives a circuit or a ValueError, and a built circuit runs."""
    rng = random.Random(7)
    built = 0
    for _ in range(3000):
        arguments: Arguments = list(tiny().arguments())
        for _ in range(rng.randint(1, 3)):
            position = rng.choice([4, 5, 6, 7, 8])
            part = rng.randrange(3)
            value = arguments[position]
            data = bytearray(value[part] if isinstance(value, tuple) else value)  # type: ignore[arg-type]
            if data:
                at = rng.randrange(len(data) // 4) * 4
                data[at : at + 4] = u32([rng.choice([0, 1, 3, 5, 8, 14, 17, 2**31, 2**32 - 1])])
            new = bytes(data)
            if isinstance(value, tuple):
                arguments[position] = tuple(new if i == part else old for i, old in enumerate(value))
            else:
                arguments[position] = new
        try:
            circuit = _native.Circuit(*arguments)  # type: ignore[arg-type]
        except ValueError:
            continue
        built += 1
        with contextlib.suppress(ValueError):
            circuit.first_violation(circuit.witness(encode([35, 1, 5, 7])))
    assert built > 50


def test_an_r1cs_file_round_trips(tmp_path: Path) -> None:
    path = tmp_path / "tiny.r1cs"
    TINY.write_r1cs(path)
    again = _native.Circuit.read_r1cs(path)
    assert [again.n_wires, again.n_public, again.n_inputs] == [17, 2, 4]
    assert again.n_constraints == TINY.n_constraints
    good = TINY.witness(encode([35, 1, 5, 7]))
    assert again.first_violation(good) is None
    assert again.first_violation(TINY.witness(encode([36, 1, 5, 7]))) == 1
    again.write_r1cs(tmp_path / "again.r1cs")
    assert (tmp_path / "again.r1cs").read_bytes() == path.read_bytes()
    with pytest.raises(ValueError, match="no witness program"):
        again.witness(encode([35, 1, 5, 7]))


def test_a_wire_named_twice_in_a_row_is_written_once(tmp_path: Path) -> None:
    """snarkjs keeps only the last coefficient of a wire: (x + x) 1 = 2 x must not read as x."""
    spec = Spec(
        n_wires=3, n_public=0, n_inputs=2, rows=[({1: 1, 0: 1}, {0: 1}, {2: 1})], hints=[], program=[]
    )
    arguments: Arguments = list(spec.arguments())
    _replace_matrix(1, u32([1, 1]))(arguments)
    circuit = _native.Circuit(*arguments)  # type: ignore[arg-type]
    assert circuit.first_violation(encode([1, 21, 42])) is None
    circuit.write_r1cs(tmp_path / "twice.r1cs")
    again = _native.Circuit.read_r1cs(tmp_path / "twice.r1cs")
    assert again.n_terms == 3
    assert again.first_violation(encode([1, 21, 42])) is None
    assert again.first_violation(encode([1, 21, 21])) == 0


def test_a_wtns_file_round_trips(tmp_path: Path) -> None:
    witness = TINY.witness(encode([35, 1, 5, 7]))
    _native.write_wtns(tmp_path / "tiny.wtns", witness)
    assert _native.read_wtns(tmp_path / "tiny.wtns") == witness


def test_a_witness_that_is_not_of_the_field_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="element 0 is not below"):
        _native.write_wtns(tmp_path / "bad.wtns", b"\xff" * 32)
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_opened_say_so(tmp_path: Path) -> None:
    for call in (
        lambda: _native.Circuit.read_r1cs(tmp_path / "none.r1cs"),
        lambda: _native.read_wtns(tmp_path / "none.wtns"),
        lambda: TINY.write_r1cs(tmp_path / "no-folder" / "x.r1cs"),
    ):
        with pytest.raises(FileNotFoundError):
            call()
