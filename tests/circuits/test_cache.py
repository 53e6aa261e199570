"""The cache of compiled circuits gives back what was compiled, and nothing else."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from circuits import artifacts
from circuits import cache as circuit_cache
from circuits.artifacts import to_native
from circuits.cache import cache_path, load, sources, store
from circuits.r1cs import CompiledCircuit, Matrix
from circuits.solvency import SIZES, Size, build
from tests.circuits.malformed import spliced

SIZE = Size(slots=2, classes=1, groups=1)
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def compiled() -> CompiledCircuit:
    return build(SIZE)


@pytest.fixture
def kept(compiled: CompiledCircuit, tmp_path: Path) -> Path:
    store(compiled, compiled.digest(), tmp_path)
    return cache_path(compiled.name, tmp_path)


def test_what_is_kept_is_what_was_compiled(compiled: CompiledCircuit, kept: Path) -> None:
    found = load(compiled.name, kept.parent)
    assert found is not None
    circuit, digest = found
    assert digest == compiled.digest() == circuit.digest()
    for name in ("a", "b", "c", "h"):
        for one, other in zip(
            getattr(circuit, name).buffers(), getattr(compiled, name).buffers(), strict=True
        ):
            assert one == other
    assert np.array_equal(circuit.program, compiled.program)
    for name in (
        "n_wires",
        "n_public",
        "n_inputs",
        "coefs",
        "row_labels",
        "op_labels",
        "assumptions",
        "input_names",
    ):
        assert getattr(circuit, name) == getattr(compiled, name)
    assert to_native(circuit).n_constraints == compiled.n_constraints


def test_another_circuit_under_the_digest_is_as_good_as_none(
    compiled: CompiledCircuit, tmp_path: Path
) -> None:
    """One coefficient of C differs: the file says the right digest and its checksum is good."""
    coef = compiled.c.coef.copy()
    coef[len(coef) // 2] = (coef[len(coef) // 2] + 1) % len(compiled.coefs)
    weak = dataclasses.replace(compiled, c=Matrix(compiled.c.ptr, compiled.c.idx, coef))
    assert weak.digest() != compiled.digest()
    store(weak, compiled.digest(), tmp_path)
    assert cache_path(compiled.name, tmp_path).exists()
    assert load(compiled.name, tmp_path) is None
    store(weak, weak.digest(), tmp_path)
    cache_path(compiled.name, tmp_path).rename(cache_path("another", tmp_path))
    assert load("another", tmp_path) is None


def test_a_damaged_file_is_as_good_as_none(compiled: CompiledCircuit, kept: Path) -> None:
    data = kept.read_bytes()
    for at in (0, 7, 8, 39, 40, 44, 100, len(data) // 2, len(data) - 1):
        kept.write_bytes(spliced(data, at, bytes([data[at] ^ 1])))
        assert load(compiled.name, kept.parent) is None
    for length in (0, 3, 8, 40, 43, len(data) - 1):
        kept.write_bytes(data[:length])
        assert load(compiled.name, kept.parent) is None
    kept.write_bytes(data + b"\0")
    assert load(compiled.name, kept.parent) is None
    kept.write_bytes(data)
    assert load(compiled.name, kept.parent) is not None


def test_a_circuit_of_other_sources_is_not_read(
    compiled: CompiledCircuit, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_cache, "source_digest", lambda: "0" * 64)
    assert load(compiled.name, kept.parent) is None
    store(compiled, compiled.digest(), kept.parent)
    assert [path.name for path in kept.parent.iterdir()] == [f"{compiled.name}-{'0' * 16}.circuit"]


def test_every_source_that_a_circuit_is_compiled_from_counts() -> None:
    code = (
        "import sys, circuits.solvency\n"
        "ours = [m for n, m in sys.modules.items() if n.split('.')[0] in ('aggregator', 'circuits')]\n"
        "print(*(m.__file__ for m in ours), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {Path(line) for line in done.stdout.splitlines() if line != "None"}
    assert loaded >= {ROOT / "circuits" / "solvency.py"}
    assert {path for path in loaded if path.suffix == ".py"} <= set(sources())


def test_a_cache_that_cannot_be_written_or_read_only_costs_time(
    compiled: CompiledCircuit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    store(compiled, compiled.digest(), tmp_path / "file")
    assert load(compiled.name, tmp_path / "file") is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setitem(SIZES, "solvency-2", SIZE)
    ready = artifacts.ready.__wrapped__("solvency-2")
    assert ready.digest == compiled.digest()


def test_the_second_process_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(SIZES, "solvency-2", SIZE)
    first = artifacts.ready.__wrapped__("solvency-2")
    monkeypatch.setattr(artifacts, "build", None)
    second = artifacts.ready.__wrapped__("solvency-2")
    assert second.digest == first.digest
    assert second.compiled.digest() == first.digest
