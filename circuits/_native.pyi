"""The proving core (Rust, `circuits/native`). Field elements in buffers are 32 bytes, little-endian, below r."""

def poseidon(arity: int, data: bytes) -> bytes:
    """Hash consecutive groups of `arity` (1..16) elements: n * arity * 32 bytes in, n * 32 bytes out.

    Raises: ValueError when the buffer does not divide into groups or holds an element not below r.
    """
