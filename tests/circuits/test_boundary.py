"""The Python boundary of the Rust core: nothing that is passed in ends the process, and no panic crosses it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from circuits import _native
from circuits.field import encode
from tests.circuits.conftest import TinyProof
from tests.circuits.tiny import tiny

ROOT = Path(__file__).parent.parent.parent
NATIVE = ROOT / "circuits" / "native"
HOSTILE: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        1,
        2**32,
        2**64,
        2**70,
        1.5,
        "",
        "text",
        "\x00",
        "\ud800",
        b"",
        b"\xff",
        b"\xff" * 32,
    ),
    *(
        bytes(31),
        bytes(32),
        bytes(33),
        bytes(64),
        bytes(4096),
        bytearray(64),
        memoryview(bytes(64)),
        [],
        [-1],
        [2**40],
    ),
    *(
        [1, "x"],
        (),
        (b"", b"", b""),
        (b"\0" * 4, b"", b""),
        {},
        object(),
        Path("/"),
        Path("/dev/null"),
        Path("none"),
    ),
)
REFUSALS = (ValueError, TypeError, OverflowError, OSError, BufferError)


def _entries() -> dict[str, Callable[..., Any]]:
    """Every function and method of the module, and the constructors."""
    circuit = tiny().build()
    found: dict[str, Callable[..., Any]] = {}
    for name, value in vars(_native).items():
        if name.startswith("__"):
            continue
        if isinstance(value, type):
            found[name] = value
            for method, function in vars(value).items():
                if callable(function) and not method.startswith("__"):
                    is_static = isinstance(vars(value)[method], staticmethod)
                    if is_static or name == "Circuit":
                        found[f"{name}.{method}"] = getattr(value if is_static else circuit, method)
        elif callable(value):
            found[name] = value
    return found


def _positional(name: str) -> int:
    """The most arguments that the stub gives the entry."""
    stub = (ROOT / "circuits" / "_native.pyi").read_text()
    short = name.rpartition(".")[2]
    pattern = r"def __new__\((.*?)\) ->" if name == "Circuit" else rf"def {short}\((.*?)\) ->"
    match = re.search(pattern, stub, re.DOTALL)
    return len([p for p in match[1].split(",") if ":" in p]) if match else 3


@pytest.mark.parametrize("name", sorted(_entries()))
def test_hostile_arguments_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong types, sizes and ranges in each place, the others filled with each hostile value in turn."""
    monkeypatch.chdir(tmp_path)
    entry = _entries()[name]
    count = min(_positional(name), 9)
    for value in HOSTILE:
        for other in (b"", 1, "name", [], HOSTILE[count]):
            for place in range(count):
                arguments = [other] * count
                arguments[place] = value
                try:
                    entry(*arguments)
                except REFUSALS:
                    continue


def test_no_device_or_pipe_is_written_over(tiny_proof: TinyProof, tmp_path: Path) -> None:
    """A file that is moved into place would take the place of /dev/null too."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for write in (
        lambda: _native.write_wtns(pipe, tiny_proof.witness),
        lambda: tiny_proof.circuit.write_r1cs(pipe),
        lambda: _native.setup_dev(tiny_proof.circuit, pipe),
    ):
        with pytest.raises(OSError, match="something other than a file"):
            write()
    assert pipe.is_fifo()


def test_every_entry_runs_behind_the_guard() -> None:
    """Whatever computes is inside `guard`; what is not only reads a field."""
    outside = []
    for path in sorted((NATIVE / "src").glob("python*.rs")):
        source = path.read_text().split("#[cfg(test)]")[0]
        for chunk in re.split(r"\n\s*#\[(?=pyfunction|getter|new|staticmethod|pyo3)|\n    fn |\nfn ", source):
            name, _, body = chunk.strip().partition("(")
            name = name.split("<")[0].split()[-1] if name.split() else ""
            if "PyResult" in body.split("{")[0] and "guard(" not in body:
                outside.append(name)
    assert outside == ["_native"] or set(outside) <= {"_native", "register"}


def test_a_panic_unwinds() -> None:
    """`guard` can only catch a panic that unwinds."""
    for profile in tomllib.loads((ROOT / "Cargo.toml").read_text())["profile"].values():
        assert profile.get("panic", "unwind") == "unwind"


def _in_a_child(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )


def test_a_key_that_is_cut_off_while_in_use_is_refused(tiny_proof: TinyProof, tmp_path: Path) -> None:
    """Reading a mapped file past its end is a signal, not an error; so the length is checked before each use."""
    copy = tmp_path / "copy.zkey"
    copy.write_bytes(tiny_proof.key_path.read_bytes())
    done = _in_a_child(
        """
        import sys
        from circuits import _native
        from circuits.field import encode
        from tests.circuits.tiny import tiny
        key, circuit = _native.ProvingKey.open(sys.argv[1]), tiny().build()
        witness = circuit.witness(encode([35, 777, 5, 7]))
        key.prove(witness)
        open(sys.argv[1], "r+b").truncate(100)
        for use in (lambda: key.prove(witness), lambda: key.matches(circuit)):
            try:
                use()
            except ValueError as error:
                print(error)
        """,
        str(copy),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("was cut off while in use, 100 of") == 2


def test_a_key_that_is_replaced_while_in_use_still_proves(tiny_proof: TinyProof, tmp_path: Path) -> None:
    copy = tmp_path / "copy.zkey"
    copy.write_bytes(tiny_proof.key_path.read_bytes())
    key = _native.ProvingKey.open(copy)
    _native.setup_dev(tiny_proof.circuit, copy)
    proof = key.prove(tiny_proof.witness)
    assert _native.verify(key.verifying_key(), encode(tiny_proof.public), proof)
    assert _native.ProvingKey.open(copy).verifying_key() != key.verifying_key()


def test_many_threads_share_a_key_and_a_circuit(tiny_proof: TinyProof) -> None:
    results: list[bool] = []

    def work() -> None:
        for _ in range(5):
            witness = tiny_proof.circuit.witness(encode([*tiny_proof.public, 5, 7]))
            proof = tiny_proof.key.native.prove(witness)
            results.append(_native.verify(tiny_proof.key.verification_key, encode(tiny_proof.public), proof))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 30


@pytest.mark.parametrize("work", ["setup", "prove"])
def test_ctrl_c_stops_the_work(tiny_proof: TinyProof, tmp_path: Path, work: str) -> None:
    """An interrupt ends long work with KeyboardInterrupt, and leaves no half file."""
    code = """
        import signal, sys
        from circuits.groth16 import open_key, prove, setup_dev
        from tests.circuits.tiny import tiny
        from circuits.field import encode
        circuit = tiny().build()
        key = open_key(sys.argv[2])
        witness = circuit.witness(encode([35, 777, 5, 7]))
        # A shell starts what is in its background with interrupts ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            print("ready", flush=True)
            while True:
                setup_dev(circuit, sys.argv[1]) if sys.argv[3] == "setup" else prove(key, witness)
        except KeyboardInterrupt:
            print("interrupted")
    """
    made = tmp_path / "made.zkey"
    command = [sys.executable, "-c", textwrap.dedent(code), str(made), str(tiny_proof.key_path), work]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        try:
            out, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out) == (0, "interrupted\n"), errors
    assert [name for name in os.listdir(tmp_path) if name.endswith(".part")] == []
