"""The check of a whole ceremony, from the circuit's source and the powers of tau to the last key, and what follows it.

Nothing in the folder is believed: the circuit is compiled again, the first key is made again, and the last key has to
follow from it by the contributions it names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aggregator.model.errors import FormatError, InputError
from circuits import _native
from circuits.artifacts import ReadyCircuit
from circuits.ceremony.published import UNKNOWN, origin
from circuits.ceremony.record import (
    CIRCUIT_FILE,
    Ceremony,
    blake2b_of,
    encode,
    key_name,
    load,
    private_copy,
    refusals,
    sha256_of,
)
from circuits.ceremony.run import Entry, Progress, beacon_seeds, entries, first_key
from circuits.groth16 import ProvingKey, open_key
from circuits.keys import ceremony_key_path, default_key_directory, record_verified

MIN_PARTICIPANTS: Final = 2
"""A key with one participant is that participant's dev key."""
_SEED_SHARE: Final = 0.1
_FIRST_KEY_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Verified:
    """A ceremony whose every step was checked here."""

    ceremony: Ceremony
    key: Path
    entries: tuple[Entry, ...]

    @property
    def participants(self) -> int:
        """Contributions that are not beacons."""
        return sum(1 for entry in self.entries if entry.iterations is None)

    @property
    def ends_with_beacon(self) -> bool:
        """Whether the last contribution is a beacon, so that the last participant could not choose the key."""
        return bool(self.entries) and self.entries[-1].iterations is not None

    @property
    def beacon(self) -> str | None:
        """The value of the beacon at the end as 0x hex, None without one."""
        return f"0x{self.entries[-1].value.hex()}" if self.ends_with_beacon else None


def verify(
    circuit: ReadyCircuit,
    ptau: Path,
    directory: Path,
    progress: Progress = lambda _: None,
    *,
    beacon: bytes | None = None,
) -> Verified:
    """Checks the ceremony in a folder against the circuit as this version builds it and the powers in `ptau`.

    `beacon` is the value that was announced, when it is to be compared.
    Raises: FormatError naming the file and the reason.
    """
    with tempfile.TemporaryDirectory(prefix="counterfoil-ceremony-") as scratch:
        return _verify(circuit, ptau, directory, Path(scratch), beacon, progress)[0]


def _verify(
    circuit: ReadyCircuit,
    ptau: Path,
    directory: Path,
    scratch: Path,
    beacon: bytes | None,
    progress: Progress,
) -> tuple[Verified, Path]:
    """What was verified, and the copy of the last key that it was verified of."""
    ceremony = load(directory)
    if (ceremony.circuit, ceremony.circuit_digest) != (circuit.size.name, circuit.digest):
        raise FormatError(
            f"the ceremony in {directory} is of {ceremony.circuit} with the digest {ceremony.circuit_digest}, this "
            f"version's is {circuit.size.name} with {circuit.digest}; verify it with the version that began it"
        )
    last = directory / ceremony.keys[-1].file
    for name in ("powers", "key"):
        (scratch / name).mkdir()
    with refusals("restore the folder, and set TMPDIR to one with space for copies"):
        powers, copy = private_copy(ptau, scratch / "powers"), private_copy(last, scratch / "key")
    _files_are_as_recorded(directory, ceremony, ptau, powers, copy)
    circuit_hash, found = entries(copy, last)
    _transcript_is_as_recorded(ceremony, found, last)
    _beacon_is_as_announced(found, last, beacon)
    with refusals("do not use this key; go back to the last sound contribution", copy=copy, of=last):
        _native.check_transcript(copy)
    seeds = beacon_seeds(found, lambda share: progress(share * _SEED_SHARE))
    r1cs, first = scratch / CIRCUIT_FILE, scratch / key_name(0)
    made = first_key(circuit, powers, r1cs, first, _between(progress, _SEED_SHARE, _FIRST_KEY_SHARE), ptau)
    if sha256_of(r1cs) != ceremony.r1cs_sha256:
        raise FormatError(f"{directory / CIRCUIT_FILE} is not this version's circuit; begin a new ceremony")
    if not made == circuit_hash == ceremony.circuit_hash:
        raise FormatError(f"{last} was not made from {ptau.name} and this circuit; begin a new ceremony")
    with refusals("do not use this key; go back to the last sound contribution", copy=copy, of=last):
        _native.verify_ceremony(copy, first, seeds, _between(progress, _FIRST_KEY_SHARE, 1.0))
    return Verified(ceremony, last, tuple(found)), copy


def _between(progress: Progress, start: float, end: float) -> Progress:
    return lambda share: progress(start + share * (end - start))


def _beacon_is_as_announced(found: list[Entry], last: Path, beacon: bytes | None) -> None:
    """A beacon ends a ceremony and comes nowhere else; `beacon`, when it is given, is its value."""
    if early := [n for n, entry in enumerate(found[:-1], start=1) if entry.iterations is not None]:
        raise FormatError(
            f"{last} has a beacon as contribution {early[0]}, where one only ends a ceremony; go back to the key before"
        )
    ends = bool(found) and found[-1].iterations is not None
    if beacon is not None and not (ends and found[-1].value == beacon):
        value = f"0x{found[-1].value.hex()}" if ends else "missing"
        raise FormatError(
            f"{last}: the beacon is {value}, not 0x{beacon.hex()}; do not use this key, and ask the coordinator for "
            "one that ends with the announced value"
        )


def _files_are_as_recorded(directory: Path, ceremony: Ceremony, ptau: Path, powers: Path, last: Path) -> None:
    """`powers` and `last` are the copies of the powers file and of the last key."""
    with refusals("restore the folder"):
        digest = blake2b_of(powers)
        if digest != ceremony.powers.blake2b:
            raise FormatError(f"{ptau} is not the powers file that the ceremony began with; give that one")
        if origin(digest) != ceremony.powers.origin:
            raise FormatError(
                f"{ptau} is not {ceremony.powers.origin}, as the transcript says; restore the transcript"
            )
        if sha256_of(directory / CIRCUIT_FILE) != ceremony.r1cs_sha256:
            raise FormatError(f"{directory / CIRCUIT_FILE} was changed since the ceremony began; restore it")
        if sha256_of(last) != ceremony.keys[-1].sha256:
            raise FormatError(f"{directory / last.name} was changed since it was received; restore it")
        for key in ceremony.keys[:-1]:
            path = directory / key.file
            # Keys in between may be deleted: the last one proves all contributions.
            if path.exists() and sha256_of(path) != key.sha256:
                raise FormatError(f"{path} was changed since it was received; restore it")


def _transcript_is_as_recorded(ceremony: Ceremony, found: list[Entry], last: Path) -> None:
    recorded = [(key.name, key.contribution) for key in ceremony.keys[1:]]
    if recorded != [(entry.name, entry.contribution) for entry in found]:
        raise FormatError(
            f"{last} does not have the contributions that the transcript lists; restore the transcript"
        )


def finish(
    circuit: ReadyCircuit,
    ptau: Path,
    directory: Path,
    keys: Path | None = None,
    *,
    accept_unknown_powers: bool = False,
    beacon: bytes | None = None,
    progress: Progress = lambda _: None,
) -> tuple[Verified, ProvingKey]:
    """Verifies a ceremony and installs its key: from then on this machine proves with it and calls it `ceremony`.

    `beacon` is the value that was announced, when it is to be compared.
    Raises: FormatError as `verify`; InputError when too few took part, no beacon ended it, or nobody knows who made
    the powers of tau and `accept_unknown_powers` is not given.
    """
    if load(directory).powers.origin == UNKNOWN and not accept_unknown_powers:
        raise InputError(
            f"{ptau.name} is no published powers file, and whoever made it alone could forge proofs; use a published "
            "one, or vouch for it with --accept-unknown-powers"
        )
    target = ceremony_key_path(circuit, keys)
    with tempfile.TemporaryDirectory(prefix="counterfoil-ceremony-") as scratch:
        verified, copy = _verify(circuit, ptau, directory, Path(scratch), beacon, progress)
        _require_enough(verified)
        with refusals("set COUNTERFOIL_KEYS to a folder that can be written"):
            key = _install(circuit, copy, target)
            transcript = hashlib.sha256(encode(verified.ceremony)).hexdigest()
            record_verified(circuit, key, transcript, keys or default_key_directory())
    return verified, key


def _require_enough(verified: Verified) -> None:
    if verified.participants < MIN_PARTICIPANTS:
        raise InputError(
            f"the ceremony has {verified.participants} participants, and one alone could forge proofs; "
            f"collect at least {MIN_PARTICIPANTS} contributions"
        )
    if not verified.ends_with_beacon:
        raise InputError("the ceremony has no beacon at its end; run: counterfoil ceremony beacon")


def _install(circuit: ReadyCircuit, copy: Path, target: Path) -> ProvingKey:
    """Puts the verified copy in its place."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    partial = Path(name)
    try:
        shutil.copyfile(copy, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return open_key(target, circuit.native)
