"""Making proofs."""

from __future__ import annotations

from aggregator.model.errors import CannotProveError, FormatError
from circuits._native import MalformedKeyError
from circuits.groth16.keys import ProvingKey


def prove(key: ProvingKey, witness: bytes) -> bytes:
    """A proof (256 bytes) for a witness, verified before it is returned. Two proofs of one witness differ.

    Raises: FormatError when the key is malformed or changed; CannotProveError when the witness has another size or does
    not satisfy the circuit.
    """
    try:
        return key.native.prove(witness)
    except MalformedKeyError as error:
        raise FormatError(f"{error}: make or fetch the key again") from error
    except ValueError as error:
        raise CannotProveError(f"{error}: prove a true statement with the key of its circuit") from error
