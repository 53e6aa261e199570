"""Groth16 over BN254 on the native core: keys and proofs, with the errors of this distribution."""

from __future__ import annotations

from circuits.groth16.keys import ProvingKey, open_key, setup_dev
from circuits.groth16.proofs import prove

__all__ = ["ProvingKey", "open_key", "prove", "setup_dev"]
