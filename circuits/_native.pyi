"""The proving core (Rust, `circuits/native`). Field elements in buffers are 32 bytes, little-endian, below r.

Malformed input raises ValueError with one sentence that names the thing and the reason; a file that cannot be
read or written raises OSError; RuntimeError means a bug in the core. Long work releases the interpreter lock.
"""

from collections.abc import Callable
from os import PathLike
from typing import final

_Csr = tuple[bytes, bytes, bytes]
_Path = str | PathLike[str]

def poseidon(arity: int, data: bytes) -> bytes:
    """Hash consecutive groups of `arity` (1..16) elements: n * arity * 32 bytes in, n * 32 bytes out."""

@final
class Circuit:
    """A constraint system (A z)(B z) = C z with the program that computes z from the inputs.

    Wire 0 is 1, wires 1..n_public are the public inputs, up to n_inputs the private inputs, and the rest is
    computed in order by the program. A matrix is (row pointers, wires, coefficient positions) as little-endian
    uint32 arrays in CSR form; H holds rows that only the program reads. The program is a stream of uint32:

        1 MUL row wire n   z[wire+i] = <A[row+i], z> <B[row+i], z>, i < n, where C[row+i] is that wire
        2 BITS h wire n    z[wire+j] = bit j of <H[h], z>, refused when it is 2^n or more
        3 LIN h wire       z[wire] = <H[h], z>
        4 INV h wire       z[wire] = 1 / <H[h], z>, or 0
        5 SOLVE row wire   z[wire] = <A[row], z> <B[row], z> - the rest of C[row], where that wire has coefficient 1

    Every index, and that each wire is computed once from known ones, is checked here.
    """

    def __new__(
        cls,
        n_wires: int,
        n_public: int,
        n_inputs: int,
        coefs: bytes,
        a: _Csr,
        b: _Csr,
        c: _Csr,
        h: _Csr,
        program: bytes,
    ) -> Circuit: ...
    @staticmethod
    def read_r1cs(path: _Path) -> Circuit:
        """Read a `.r1cs` file. The circuit has no program; outputs count as public inputs."""

    def write_r1cs(self, path: _Path) -> None:
        """Write the `.r1cs` file, by way of a temporary file."""

    def witness(self, inputs: bytes) -> bytes:
        """All n_wires wires from the n_inputs inputs.

        Raises: ValueError "range check at op N: ..." when a BITS operation fails, the N-th of the program from 0.
        """

    def tampered(self, inputs: bytes, wires: list[int], values: bytes) -> tuple[bytes, list[int]]:
        """What a dishonest prover would get, and every row that refuses it; for tests of the circuits.

        The given computed wires are forced to the given values; everything after them follows from them, and a value
        that does not fit its bits passes with its low ones.
        """

    def first_violation(self, witness: bytes) -> int | None:
        """The first row that the witness does not satisfy, or None."""

    @property
    def n_wires(self) -> int: ...
    @property
    def n_public(self) -> int: ...
    @property
    def n_inputs(self) -> int: ...
    @property
    def n_constraints(self) -> int: ...
    @property
    def n_terms(self) -> int: ...
    @property
    def domain_size(self) -> int: ...

def write_wtns(path: _Path, witness: bytes) -> None:
    """Write a `.wtns` file, by way of a temporary file."""

def read_wtns(path: _Path) -> bytes:
    """The witness in a `.wtns` file."""

def setup_dev(circuit: Circuit, path: _Path, progress: Callable[[float], object] | None = None) -> None:
    """Make a proving key from this machine's randomness and write it as a `.zkey`, by way of a temporary file.

    Whoever runs this could keep the trapdoor: good for development, never for a venue. `progress` is called with
    0..1; an exception it raises stops the work and comes out here.
    """

class MalformedKeyError(ValueError):
    """A proving key is malformed, or changed while it was used."""

@final
class ProvingKey:
    """A Groth16 `.zkey`, memory-mapped. Its structure, verification key and coefficients are checked by `open`."""

    @staticmethod
    def open(path: _Path) -> ProvingKey: ...
    def prove(self, witness: bytes, check: bool = True) -> bytes:
        """A proof, 256 bytes: A.x A.y B.x.c0 B.x.c1 B.y.c0 B.y.c1 C.x C.y. Two proofs of one witness differ.

        Raises: MalformedKeyError when the key is at fault; ValueError when the witness is malformed, or when `check`
        and the proof does not verify: the witness does not satisfy the circuit, or the key was damaged.
        """

    def matches(self, circuit: Circuit) -> bool:
        """Whether the key's A and B are those of `circuit` (compared at a random point). C is not in a key's terms.

        So this finds a key that was mixed up, and is no reason to trust one.
        """

    def verifying_key(self) -> bytes:
        """The verification key: alpha (64), beta, gamma, delta (128 each), IC (64 for each of n_public + 1)."""

    @property
    def n_wires(self) -> int: ...
    @property
    def n_public(self) -> int: ...
    @property
    def domain_size(self) -> int: ...
    @property
    def contributions(self) -> int:
        """Number of ceremony contributions; 0 for a key from `setup_dev`."""

def verify(vk: bytes, public: bytes, proof: bytes) -> bool:
    """Whether the proof is good for the public inputs.

    Raises: ValueError when a part is malformed: a length, a public input not below r, a coordinate not below q, a
    point at infinity, not on the curve, or not in the subgroup of order r.
    """

def verify_batch(vk: bytes, public: bytes, proofs: bytes) -> bool:
    """Whether n proofs are all good: n * 256 bytes of proofs, and the public inputs of one after those of another.

    A false proof passes with probability 2^-128, whatever the others are.
    Raises: ValueError "item N: ..." when the N-th is malformed, and as `verify` for the key.
    """

def find_bad_proofs(vk: bytes, public: bytes, proofs: bytes) -> list[tuple[int, str | None]]:
    """The positions of the proofs that are not good, ascending, each with its reason when it is malformed."""

def alpha_beta(vk: bytes) -> bytes:
    """e(alpha, beta) of a verification key as 12 base field elements: `vk_alphabeta_12` of snarkjs."""

def make_powers(
    path: _Path,
    power: int,
    prepared: bool = True,
    name: str = "",
    progress: Callable[[float], object] | None = None,
) -> None:
    """Make 2^power powers of tau from this machine's randomness and write them as a `.ptau` with one contribution.

    Whoever runs this could keep the trapdoor. `prepared` adds the Lagrange values that phase 2 starts from.
    """

def read_powers(path: _Path) -> tuple[int, int, bool, int]:
    """power, power of the ceremony, whether it is prepared, and number of contributions of a `.ptau`.

    Checks the structure; the points are checked by `setup_first_key`.
    """

def setup_first_key(
    circuit: Circuit, powers: _Path, path: _Path, progress: Callable[[float], object] | None = None
) -> bytes:
    """Make the first key of a ceremony from a `.ptau` and write it as a `.zkey`; returns the circuit's hash (64 bytes).

    Byte for byte what `snarkjs groth16 setup` makes of the same `.r1cs`. Every power that is used is checked to be
    on the curve, in the subgroup and consistent with the others, and every public input to be bound.
    """

def contribute(
    key: _Path, path: _Path, name: str, text: bytes, progress: Callable[[float], object] | None = None
) -> bytes:
    """Add a contribution with a fresh secret to a `.zkey`; returns the contribution's hash (64 bytes).

    The secret is made from the operating system's randomness and `text`, and is forgotten.
    """

def apply_beacon(
    key: _Path,
    path: _Path,
    name: str,
    value: bytes,
    iterations: int,
    seed_bytes: bytes,
    progress: Callable[[float], object] | None = None,
) -> bytes:
    """Add a beacon to a `.zkey`: `seed_bytes` is the value after 2^iterations SHA-256. Returns its hash (64 bytes)."""

def read_transcript(path: _Path) -> tuple[bytes, list[tuple[str, bytes, tuple[int, bytes] | None]]]:
    """The circuit's hash, and name, hash, and a beacon's iterations and value, of each contribution to a `.zkey`."""

def check_transcript(path: _Path) -> None:
    """Check that a key's contributions follow from each other and prove their secrets, without any beacon's seed.

    Raises: ValueError naming file, section and reason.
    """

def verify_ceremony(
    key: _Path, first: _Path, seeds: list[bytes], progress: Callable[[float], object] | None = None
) -> None:
    """Check that a `.zkey` follows from a ceremony's first one by the contributions it names, and by nothing else.

    `seeds` are what the beacons give, in their order. Raises ValueError naming file, section and reason.
    """

_Header = tuple[int, tuple[int, int], list[int]]

@final
class Book:
    """Many accounts under one policy, valued exactly (M1-M7); the interface is `aggregator.margin.book`.

    Numbers of a policy are signed 16-byte little-endian words. `parts` is (number of classes, (f at MM, f at IM),
    correlations row by row). An instrument is 42 words: id, class, group, mark, unit, limit, add-ons (MM long, MM
    short, IM long, IM short) and 32 risk entries. A group is its id and, for MM and then IM, six lines of a slope (one
    word) and an intercept (two words). Instrument ids are uint16, row starts int64, quantities 16-byte words unless
    said otherwise; levels are 0 MM, 1 IM.

    Raises: ValueError naming the account or the number that breaks a bound; nothing has changed then.
    """

    def __new__(cls, parts: _Header, groups: bytes, instruments: bytes, portable: bool = False) -> Book: ...
    def load(self, starts: bytes, ids: bytes, quantities: bytes, wide: bool) -> int:
        """Append accounts and value them; the number of the first. Quantities are int64 unless `wide`."""

    def positions(self, account: int) -> tuple[bytes, bytes]:
        """Ids and quantities of an account, by id."""

    def set(self, account: int, ids: bytes, quantities: bytes) -> None:
        """Replace an account's positions and value it."""

    def trade(self, account: int, ids: bytes, quantities: bytes) -> None:
        """Add to an account's positions and value it."""

    def value(self) -> None:
        """Value every account from its positions."""

    def update(self, parts: _Header | None, groups: bytes, instruments: bytes, removed: bytes) -> int:
        """Change the policy and value what depends on it; the number of accounts holding a changed instrument."""

    def amounts(self, name: str, level: int) -> bytes:
        """16-byte words of equity_e20, requirement_e20, requirement_e6 or excess_e6; 0 without a value."""

    def narrow(self, name: str, level: int) -> bytes:
        """`amounts` as int64; refused when one does not fit."""

    def health(self, level: int) -> bytes:
        """int64: equity over requirement in 1e-6, rounded down; 2^63 - 1 where nothing is required."""

    def statuses(self) -> bytes:
        """uint8: 0 valued, 1 valued on the exact path, 2 unpriced, 3 over a limit, 4 beyond a bound."""

    def below(self, level: int) -> bytes:
        """uint64 numbers of the valued accounts whose equity is below the requirement."""

    def scan_risk(self, class_id: int) -> bytes:
        """uint64: L_k in 1e-6 USD."""

    def worst(self, class_id: int) -> bytes:
        """uint8: the scenario that decides L_k, 255 where none loses."""

    @property
    def accounts(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def kernel(self) -> str:
        """avx512-ifma or portable."""
