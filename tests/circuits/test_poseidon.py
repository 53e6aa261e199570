"""Poseidon: the Python reference, the native batch and circomlibjs agree on every arity."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

from circuits import _native
from circuits.field import MODULUS, decode, encode
from circuits.poseidon import MAX_ARITY, parameters, poseidon

NODE = Path(__file__).parent.parent / "node"
ARITIES = range(1, MAX_ARITY + 1)


def random_inputs(arity: int) -> list[int]:
    return [secrets.randbelow(MODULUS) for _ in range(arity)]


def test_known_values() -> None:
    """Values printed in circomlibjs's own tests."""
    assert poseidon([1, 2]) == 7853200120776062878684798364095072458815029376092732009249414926327459813530
    assert poseidon([1]) == 18586133768512220936620570745912940619677854269274689475585506675881198879027


@pytest.mark.parametrize("arity", ARITIES)
def test_the_native_batch_equals_the_reference(arity: int) -> None:
    edge = [[0] * arity, [MODULUS - 1] * arity]
    rows = [*edge, random_inputs(arity)]
    batch = _native.poseidon(arity, encode(x for row in rows for x in row))
    assert decode(batch) == [poseidon(row) for row in rows]


def test_an_empty_batch_is_empty() -> None:
    assert _native.poseidon(3, b"") == b""


@pytest.mark.node
def test_circomlibjs_agrees_on_every_arity() -> None:
    node = shutil.which("node")
    assert node is not None, "node is not installed"
    rows = [row for arity in ARITIES for row in ([arity - 1] * arity, random_inputs(arity))]
    script = (
        'import { buildPoseidonReference } from "circomlibjs";'
        "const hash = await buildPoseidonReference();"
        "const rows = JSON.parse(process.argv[1]);"
        "console.log(JSON.stringify(rows.map((row) => hash.F.toString(hash(row.map(BigInt))))));"
    )
    done = subprocess.run(
        [node, "--input-type=module", "-e", script, json.dumps([[str(x) for x in row] for row in rows])],
        cwd=NODE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [int(x) for x in json.loads(done.stdout)] == [poseidon(row) for row in rows]


@pytest.mark.parametrize("t", [2, 17])
def test_the_mds_matrix_is_the_cauchy_matrix_of_distinct_points(t: int) -> None:
    """All entries invertible and distinct rows: 1/(x_i + y_j)."""
    rounds_full, rounds_partial, constants, mds = parameters(t)
    assert len(constants) == (rounds_full + rounds_partial) * t
    assert len(set(constants)) == len(constants)
    assert all(0 < entry < MODULUS for row in mds for entry in row)
    inverse = [[pow(entry, -1, MODULUS) for entry in row] for row in mds]
    for i in range(t):
        for j in range(t):
            assert (inverse[i][j] - inverse[0][j] - inverse[i][0] + inverse[0][0]) % MODULUS == 0


@pytest.mark.parametrize("inputs", [[], [0] * 17, [MODULUS], [-1]])
def test_the_reference_refuses_what_it_does_not_hash(inputs: list[int]) -> None:
    with pytest.raises(ValueError, match="Poseidon"):
        poseidon(inputs)


@pytest.mark.parametrize("t", [1, 18])
def test_other_widths_have_no_parameters(t: int) -> None:
    with pytest.raises(ValueError, match="width"):
        parameters(t)


@pytest.mark.parametrize(
    ("arity", "data", "reason"),
    [
        (0, b"", "arity 0"),
        (17, b"", "arity 17"),
        (2, bytes(32), "groups"),
        (1, bytes(31), "multiple of 32"),
        (1, MODULUS.to_bytes(32, "little"), "element 0 is not below"),
        (2, bytes(32) + b"\xff" * 32, "element 1 is not below"),
    ],
)
def test_the_batch_refuses_malformed_input(arity: int, data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        _native.poseidon(arity, data)
