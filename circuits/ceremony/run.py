"""The steps of a ceremony: a first key, contributions by participants, what the coordinator takes from them, a beacon.

Every step reads one key and writes the next; the coordinator's folder holds them with `ceremony.json`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aggregator.model.errors import FormatError, InputError
from circuits import _native
from circuits.artifacts import ReadyCircuit, to_native
from circuits.ceremony import beacons, published
from circuits.ceremony.record import (
    CIRCUIT_FILE,
    FILE_NAME,
    Ceremony,
    KeyFile,
    Powers,
    blake2b_of,
    key_name,
    load,
    private_copy,
    refusals,
    save,
    sha256_of,
)
from circuits.solvency import SIZES, build

MAX_NAME_BYTES: Final = 64
Progress = Callable[[float], object]


@dataclass(frozen=True, slots=True)
class Entry:
    """One contribution as a key tells of it."""

    name: str
    contribution: str
    iterations: int | None
    value: bytes


def entries(path: Path, of: Path | None = None) -> tuple[str, list[Entry]]:
    """The circuit's hash and the contributions in a key; `of` is the file that `path` is a copy of.

    Raises: FormatError naming file, section and reason; InputError when the file cannot be read.
    """
    with refusals("fetch the key again", copy=path, of=of or path):
        circuit_hash, found = _native.read_transcript(path)
    if odd := [name for name, _, _ in found if not name.isprintable()]:
        raise FormatError(
            f"{of or path}: the name {odd[0]!r} of a contribution is not all printable; ask for one with another name"
        )
    return circuit_hash.hex(), [
        Entry(name, digest.hex(), beacon[0] if beacon else None, beacon[1] if beacon else b"")
        for name, digest, beacon in found
    ]


def compile_again(name: str) -> ReadyCircuit:
    """A circuit compiled from its source, whatever is cached. Raises KeyError for an unknown name."""
    size = SIZES[name]
    compiled = build(size)
    return ReadyCircuit(size, compiled, to_native(compiled), compiled.digest())


def read_powers(path: Path, of: Path | None = None) -> Powers:
    """What a `.ptau` is, by its header and digest; `of` is the file that `path` is a copy of.

    Its points are checked when a key is made from them.
    """
    with refusals("fetch the file again", copy=path, of=of or path):
        power, _, _, contributions = _native.read_powers(path)
        digest = blake2b_of(path)
    return Powers(path.name, digest, power, contributions, published.origin(digest))


@contextmanager
def copied(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """A private copy of a file, in a folder of its own under `folder` or where temporary files go."""
    with ExitStack() as stack:
        with refusals("give a file that can be read, and a folder (TMPDIR) with space for a copy"):
            scratch = stack.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix=".counterfoil-"))
            copy = private_copy(path, Path(scratch))
        yield copy


def first_key(
    circuit: ReadyCircuit, ptau: Path, r1cs: Path, key: Path, progress: Progress, of: Path | None = None
) -> str:
    """Writes a circuit's `.r1cs` and the ceremony's first key; returns the circuit's hash.

    `of` is the file that `ptau` is a copy of.

    The constraints are read back from the file, so that the key has them in the file's order, as snarkjs would.
    """
    with refusals(
        "choose a sound .ptau that is large enough, and a folder with space", copy=ptau, of=of or ptau
    ):
        circuit.native.write_r1cs(r1cs)
        return _native.setup_first_key(_native.Circuit.read_r1cs(r1cs), ptau, key, progress).hex()


def init(circuit: ReadyCircuit, ptau: Path, directory: Path, progress: Progress = lambda _: None) -> Ceremony:
    """Makes a folder with the first key of a circuit from the powers in `ptau`.

    The folder is made beside its place and moved there, so that one that failed is not in the way of the next.
    Raises: InputError when the folder is in use, FormatError when the powers are not sound.
    """
    with refusals("choose another folder"):
        directory.parent.mkdir(parents=True, exist_ok=True)
        if directory.exists() and any(directory.iterdir()):
            raise InputError(f"{directory} is not empty; choose a new folder for the ceremony")
    parent = directory.resolve().parent
    with copied(ptau, parent) as copy, refusals("choose another folder"):
        made = copy.parent / "made"
        made.mkdir()
        ceremony = _begin(circuit, copy, ptau, made, progress)
        if directory.exists():
            for name in (CIRCUIT_FILE, key_name(0), FILE_NAME):
                (made / name).rename(directory / name)
        else:
            made.rename(directory)
    return ceremony


def _begin(circuit: ReadyCircuit, copy: Path, ptau: Path, folder: Path, progress: Progress) -> Ceremony:
    powers = read_powers(copy, ptau)
    r1cs, key = folder / CIRCUIT_FILE, folder / key_name(0)
    circuit_hash = first_key(circuit, copy, r1cs, key, progress, ptau)
    ceremony = Ceremony(
        circuit=circuit.size.name,
        circuit_digest=circuit.digest,
        r1cs_sha256=sha256_of(r1cs),
        circuit_hash=circuit_hash,
        powers=powers,
        keys=(KeyFile(key.name, sha256_of(key), "", ""),),
    )
    save(folder, ceremony)
    return ceremony


def contribute(
    key: Path, out: Path, name: str, text: bytes = b"", progress: Progress = lambda _: None
) -> KeyFile:
    """A participant's step: the key in `key` with a fresh secret, which is forgotten, as `out`.

    The secret is from the operating system; `text` can only add to it.
    """
    _check_name(name)
    if out.exists():
        raise InputError(f"{out} exists; choose another name, so that no contribution is lost")
    with copied(key) as copy:
        entries(copy, key)
        with refusals("fetch the key again, or choose another folder", copy=copy, of=key):
            digest = _native.contribute(copy, out, name, text, progress)
    return KeyFile(out.name, sha256_of(out), name, digest.hex())


def apply_beacon(
    directory: Path, value: bytes, iterations: int, name: str = "beacon", progress: Progress = lambda _: None
) -> KeyFile:
    """The coordinator's last step: a secret that everyone can compute, from a value nobody could foresee."""
    _check_name(name)
    ceremony = load(directory)
    last = directory / ceremony.keys[-1].file
    out = directory / key_name(len(ceremony.keys))
    with copied(last) as copy:
        _is_unchanged(copy, last, ceremony.keys[-1])
        if any(entry.iterations is not None for entry in entries(copy, last)[1]):
            raise InputError(f"{last} ends with a beacon already; run: counterfoil ceremony finish")
        with refusals("go back to the last sound contribution", copy=copy, of=last):
            _native.check_transcript(copy)
        seed = beacons.seed(value, iterations, lambda share: progress(share / 2))
        with refusals("choose another folder or beacon", copy=copy, of=last):
            digest = _native.apply_beacon(
                copy, out, name, value, iterations, seed, lambda share: progress((1 + share) / 2)
            )
    made = KeyFile(out.name, sha256_of(out), name, digest.hex())
    save(directory, replace(ceremony, keys=(*ceremony.keys, made)))
    return made


def receive(directory: Path, file: Path, progress: Progress = lambda _: None) -> KeyFile:
    """Takes a participant's key into the folder when it is one sound contribution on the last key.

    Raises: FormatError saying in one sentence what the file is instead.
    """
    ceremony = load(directory)
    first, last = (directory / ceremony.keys[i].file for i in (0, -1))
    target = directory / key_name(len(ceremony.keys))
    with copied(file, directory) as copy:
        made = _only_new(ceremony, copy, file, last)
        with refusals(f"ask its maker for a contribution to {last.name} again", copy=copy, of=file):
            _native.verify_ceremony(copy, first, [], progress)
            copy.chmod(0o644)
            taken = KeyFile(target.name, sha256_of(copy), made.name, made.contribution)
            copy.rename(target)
    save(directory, replace(ceremony, keys=(*ceremony.keys, taken)))
    return taken


def _only_new(ceremony: Ceremony, copy: Path, file: Path, last: Path) -> Entry:
    """The one contribution that a participant's file has beyond the last key; raises FormatError."""
    circuit_hash, found = entries(copy, file)
    if circuit_hash != ceremony.circuit_hash:
        raise FormatError(
            f"{file} is a key of another circuit or ceremony; ask its maker for a contribution to {last.name}"
        )
    _, known = entries(last)
    hashes, expected = [e.contribution for e in found], [e.contribution for e in known]
    if hashes == expected[: len(hashes)]:
        raise FormatError(
            f"{file} has no contribution that is not in {last.name} already; ask its maker for the new file"
        )
    if hashes[: len(expected)] != expected:
        raise FormatError(
            f"{file} was not made on {last.name}; send {last.name} to its maker and ask for a contribution to it"
        )
    if len(hashes) != len(expected) + 1:
        raise FormatError(
            f"{file} has {len(hashes) - len(expected)} new contributions; receive them one by one, in their order"
        )
    if any(entry.iterations is not None for entry in known):
        raise FormatError(f"{last} ends the ceremony with its beacon; nothing comes after it")
    if found[-1].iterations is not None:
        raise FormatError(
            f"{file} adds a beacon and no secret, and a participant could have chosen its value; ask its maker for a "
            "contribution: only `counterfoil ceremony beacon` adds a beacon, at the end"
        )
    return found[-1]


def beacon_seeds(found: list[Entry], progress: Progress) -> list[bytes]:
    """What the beacons among the contributions give, in their order."""
    return [
        beacons.seed(entry.value, entry.iterations, progress)
        for entry in found
        if entry.iterations is not None
    ]


def _is_unchanged(copy: Path, of: Path, recorded: KeyFile) -> None:
    with refusals("restore the folder"):
        if sha256_of(copy) != recorded.sha256:
            raise FormatError(f"{of} is not the file that {FILE_NAME} has the digest of; restore it")


def _check_name(name: str) -> None:
    if not 1 <= len(name.encode()) <= MAX_NAME_BYTES or not name.isprintable():
        raise InputError(
            f"the name {name[:80]!r} does not have 1 to {MAX_NAME_BYTES} printable bytes; choose another"
        )
