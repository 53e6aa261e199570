"""Headers of `.r1cs`, `.wtns` and `.zkey` files, read without loading the file.

For telling a user what a file is and why it cannot be used. The native core reads the contents.
Source: iden3 `r1csfile` (doc/r1cs_bin_format.md), snarkjs `wtns_utils.js`, `zkey_utils.js`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from aggregator.model.errors import FormatError
from circuits.field import MODULUS
from circuits.formats.layout import BASE_FIELD_ORDER, WORD_BYTES

GROTH16: Final = 1
_MAX_SECTIONS: Final = 1024
_MAX_VERSION: Final = {"r1cs": 1, "wtns": 2, "zkey": 1}


@dataclass(frozen=True, slots=True)
class R1csHeader:
    """Numbers of a constraint system. Wires include the constant one."""

    n_wires: int
    n_outputs: int
    n_public_inputs: int
    n_private_inputs: int
    n_labels: int
    n_constraints: int


@dataclass(frozen=True, slots=True)
class WtnsHeader:
    """Number of values of a witness, the constant one included."""

    n_wires: int


@dataclass(frozen=True, slots=True)
class ZkeyHeader:
    """Numbers of a Groth16 proving key. A locally made key has no contributions."""

    n_wires: int
    n_public: int
    domain_size: int
    contributions: int


def read_r1cs_header(path: str | os.PathLike[str]) -> R1csHeader:
    """Reads section 1 of a `.r1cs`.

    Raises: FormatError naming file, section and reason; OSError when the file cannot be read.
    """
    with _File(Path(path), "r1cs") as file:
        section = file.section(1, "header")
        section.prime(MODULUS, "the prime")
        header = R1csHeader(*(section.integer(width) for width in (4, 4, 4, 4, 8, 4)))
        section.end()
        file.section(2, "constraints")
        return header


def read_wtns_header(path: str | os.PathLike[str]) -> WtnsHeader:
    """Reads section 1 of a `.wtns`.

    Raises: FormatError naming file, section and reason; OSError when the file cannot be read.
    """
    with _File(Path(path), "wtns") as file:
        section = file.section(1, "header")
        section.prime(MODULUS, "the prime")
        header = WtnsHeader(section.integer(4))
        section.end()
        file.section(2, "values").has_size(header.n_wires * WORD_BYTES)
        return header


def read_zkey_header(path: str | os.PathLike[str]) -> ZkeyHeader:
    """Reads sections 1, 2 and 10 of a Groth16 `.zkey`.

    Raises: FormatError naming file, section and reason; OSError when the file cannot be read.
    """
    with _File(Path(path), "zkey") as file:
        protocol = file.section(1, "protocol")
        if protocol.integer(4) != GROTH16:
            raise FormatError(f"{protocol.label} does not say Groth16: use a key made for Groth16")
        section = file.section(2, "header")
        section.prime(BASE_FIELD_ORDER, "the base field")
        section.prime(MODULUS, "the scalar field")
        n_wires, n_public, domain_size = (section.integer(4) for _ in range(3))
        ceremony = file.section(10, "contributions")
        ceremony.skip(64)
        header = ZkeyHeader(n_wires, n_public, domain_size, ceremony.integer(4))
        for number, what, size in (
            (3, "IC", (n_public + 1) * 64),
            (5, "points A", n_wires * 64),
            (6, "points B1", n_wires * 64),
            (7, "points B2", n_wires * 128),
            (8, "points C", (n_wires - n_public - 1) * 64),
            (9, "points H", domain_size * 64),
        ):
            file.section(number, what).has_size(size)
        return header


class _File:
    """The section table of an iden3 binary file."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        self._kind = kind
        self._sections: dict[int, tuple[int, int]] = {}

    def __enter__(self) -> _File:
        self._stream: BinaryIO = self._path.open("rb")
        try:
            self._scan()
        except BaseException:
            self._stream.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def _scan(self) -> None:
        total = os.fstat(self._stream.fileno()).st_size
        head = self._stream.read(12)
        if head[:4] != self._kind.encode():
            raise FormatError(
                f'{self._path}: not a .{self._kind} file, it does not start with "{self._kind}"'
            )
        if len(head) < 12:
            raise FormatError(f"{self._path}: the file ends inside its first 12 bytes: it is truncated")
        version, count = int.from_bytes(head[4:8], "little"), int.from_bytes(head[8:12], "little")
        if not 1 <= version <= _MAX_VERSION[self._kind]:
            raise FormatError(f"{self._path}: .{self._kind} version {version} is not supported")
        if count > _MAX_SECTIONS:
            raise FormatError(f"{self._path}: {count} sections are more than any .{self._kind} file has")
        position = 12
        for index in range(count):
            self._stream.seek(position)
            head = self._stream.read(12)
            if len(head) < 12:
                raise FormatError(
                    f"{self._path}: the file ends before the header of section number {index + 1}"
                )
            number, size = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:], "little")
            position += 12
            if size > total - position:
                raise FormatError(
                    f"{self._path}: section {number} is truncated: it should have {size} bytes,"
                    f" {total - position} are left"
                )
            if number in self._sections:
                raise FormatError(f"{self._path}: section {number} comes twice")
            self._sections[number] = (position, size)
            position += size
        if position != total:
            raise FormatError(f"{self._path}: {total - position} bytes follow the last section")

    def section(self, number: int, what: str) -> _Section:
        label = f"{self._path}: section {number} ({what})"
        if number not in self._sections:
            raise FormatError(f"{label} is missing: the file is incomplete")
        start, size = self._sections[number]
        return _Section(self._stream, label, start, size)


class _Section:
    """A cursor over one section."""

    def __init__(self, stream: BinaryIO, label: str, start: int, size: int) -> None:
        self.label = label
        self._stream = stream
        self._position = start
        self._left = size
        self._size = size

    def _take(self, count: int) -> bytes:
        if count > self._left:
            raise FormatError(f"{self.label} ends too early: {count} bytes expected, {self._left} left")
        self._stream.seek(self._position)
        self.skip(count)
        return self._stream.read(count)

    def skip(self, count: int) -> None:
        if count > self._left:
            raise FormatError(f"{self.label} ends too early: {count} bytes expected, {self._left} left")
        self._position += count
        self._left -= count

    def integer(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little")

    def prime(self, expected: int, what: str) -> None:
        if self.integer(4) != WORD_BYTES or self.integer(WORD_BYTES) != expected:
            raise FormatError(f"{self.label}: {what} is not that of BN254")

    def has_size(self, size: int) -> None:
        if self._size != size:
            raise FormatError(f"{self.label} should have {size} bytes, it has {self._size}")

    def end(self) -> None:
        if self._left:
            raise FormatError(f"{self.label} has {self._left} bytes too many")
