"""Proving keys: made locally for development, or opened from a ceremony's `.zkey`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aggregator.model.errors import FormatError, InputError
from circuits import _native


@dataclass(frozen=True, slots=True)
class ProvingKey:
    """An opened `.zkey`. `is_dev` says that one machine made it alone: never accept its proofs for real margin."""

    path: Path
    n_wires: int
    n_public: int
    domain_size: int
    contributions: int
    verification_key: bytes = field(repr=False)
    native: _native.ProvingKey = field(repr=False, compare=False)

    @property
    def is_dev(self) -> bool:
        """Whether nobody contributed randomness after the key was made."""
        return self.contributions == 0


def setup_dev(
    circuit: _native.Circuit,
    path: str | os.PathLike[str],
    progress: Callable[[float], object] | None = None,
) -> None:
    """Makes a development key for `circuit` and writes it as a `.zkey`; a killed run leaves no half file.

    Parameters: progress, called with the share of the work that is done, 0..1.
    Raises: InputError when the circuit has no valid key or the file cannot be written.
    """
    try:
        _native.setup_dev(circuit, path, progress)
    except ValueError as error:
        raise InputError(f"{error}: fix the circuit and make the key again") from error
    except OSError as error:
        raise InputError(f"the key {path} cannot be written ({error}): choose another folder") from error


def open_key(path: str | os.PathLike[str], circuit: _native.Circuit | None = None) -> ProvingKey:
    """Opens a `.zkey` and checks its structure, its verification key and every coefficient.

    Parameters: circuit, when given, is compared with the key's A and B at a random point. A key has no terms of C, so
    this finds a key that was mixed up, and is no reason to trust one: records say which key is of which circuit.
    Raises: FormatError naming file, section and reason; InputError when the file cannot be read.
    """
    try:
        native = _native.ProvingKey.open(path)
        if circuit is not None and not native.matches(circuit):
            raise FormatError(
                f"{path}: this key was made for another circuit (A or B differ): make or fetch the one for this version"
            )
    except ValueError as error:
        raise FormatError(f"{error}: make or fetch the key again") from error
    except OSError as error:
        raise InputError(f"the key {path} cannot be read ({error}): make it or correct the path") from error
    return ProvingKey(
        path=Path(path),
        n_wires=native.n_wires,
        n_public=native.n_public,
        domain_size=native.domain_size,
        contributions=native.contributions,
        verification_key=native.verifying_key(),
        native=native,
    )
