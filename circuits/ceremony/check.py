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
    refusals,
    sha256_of,
)
from circuits.ceremony.run import Entry, Progress, beacon_seeds, entries, first_key
from circuits.groth16 import ProvingKey, open_key
from circuits.keys import ceremony_key_path, default_key_directory, record_verified

MIN_PARTICIPANTS: Final = 2
"""A key with one participant is that participant's dev key."""
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


def verify(
    circuit: ReadyCircuit, ptau: Path, directory: Path, progress: Progress = lambda _: None
) -> Verified:
    """Checks the ceremony in a folder against the circuit as this version builds it and the powers in `ptau`.

    Raises: FormatError naming the file and the reason.
    """
    ceremony = load(directory)
    if (ceremony.circuit, ceremony.circuit_digest) != (circuit.size.name, circuit.digest):
        raise FormatError(
            f"the ceremony in {directory} is of {ceremony.circuit} with the digest {ceremony.circuit_digest}, this "
            f"version's is {circuit.size.name} with {circuit.digest}; verify it with the version that began it"
        )
    _files_are_as_recorded(directory, ceremony, ptau)
    last = directory / ceremony.keys[-1].file
    circuit_hash, found = entries(last)
    _transcript_is_as_recorded(ceremony, found, last)
    with tempfile.TemporaryDirectory(prefix="counterfoil-ceremony-") as scratch:
        r1cs, first = Path(scratch) / CIRCUIT_FILE, Path(scratch) / key_name(0)
        made = first_key(circuit, ptau, r1cs, first, lambda share: progress(share * _FIRST_KEY_SHARE))
        if sha256_of(r1cs) != ceremony.r1cs_sha256:
            raise FormatError(
                f"{directory / CIRCUIT_FILE} is not this version's circuit; begin a new ceremony"
            )
        if not made == circuit_hash == ceremony.circuit_hash:
            raise FormatError(f"{last} was not made from {ptau.name} and this circuit; begin a new ceremony")
        seeds = beacon_seeds(found, lambda _: None)
        with refusals("do not use this key; go back to the last sound contribution"):
            _native.verify_ceremony(
                last, first, seeds, lambda share: progress(_FIRST_KEY_SHARE + share * (1 - _FIRST_KEY_SHARE))
            )
    return Verified(ceremony, last, tuple(found))


def _files_are_as_recorded(directory: Path, ceremony: Ceremony, ptau: Path) -> None:
    with refusals("restore the folder"):
        digest = blake2b_of(ptau)
        if digest != ceremony.powers.blake2b:
            raise FormatError(f"{ptau} is not the powers file that the ceremony began with; give that one")
        if origin(digest) != ceremony.powers.origin:
            raise FormatError(
                f"{ptau} is not {ceremony.powers.origin}, as the transcript says; restore the transcript"
            )
        if sha256_of(directory / CIRCUIT_FILE) != ceremony.r1cs_sha256:
            raise FormatError(f"{directory / CIRCUIT_FILE} was changed since the ceremony began; restore it")
        for key in ceremony.keys:
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
    progress: Progress = lambda _: None,
) -> tuple[Verified, ProvingKey]:
    """Verifies a ceremony and installs its key: from then on this machine proves with it and calls it `ceremony`.

    Raises: FormatError as `verify`; InputError when too few took part, no beacon ended it, or nobody knows who made
    the powers of tau and `accept_unknown_powers` is not given.
    """
    if load(directory).powers.origin == UNKNOWN and not accept_unknown_powers:
        raise InputError(
            f"{ptau.name} is no published powers file, and whoever made it alone could forge proofs; use a published "
            "one, or vouch for it with --accept-unknown-powers"
        )
    verified = verify(circuit, ptau, directory, progress)
    if verified.participants < MIN_PARTICIPANTS:
        raise InputError(
            f"the ceremony has {verified.participants} participants, and one alone could forge proofs; "
            f"collect at least {MIN_PARTICIPANTS} contributions"
        )
    if not verified.ends_with_beacon:
        raise InputError("the ceremony has no beacon at its end; run: counterfoil ceremony beacon")
    target = ceremony_key_path(circuit, keys)
    with refusals("set COUNTERFOIL_KEYS to a folder that can be written"):
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
        partial = Path(name)
        try:
            shutil.copyfile(verified.key, partial)
            if sha256_of(partial) != verified.ceremony.keys[-1].sha256:
                raise FormatError(f"{verified.key} changed while it was verified; run the command again")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        key = open_key(target, circuit.native)
        transcript = hashlib.sha256(encode(verified.ceremony)).hexdigest()
        record_verified(circuit, key, transcript, keys or default_key_directory())
    return verified, key
