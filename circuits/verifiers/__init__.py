"""Independent verifiers of one proof: `native` (arkworks, milliseconds) and `pyecc` (pure Python, about a second).

Each has `verify(verification_key, public, proof)`, which returns nothing or raises ProofRefusedError with the reason.
"""

from __future__ import annotations
