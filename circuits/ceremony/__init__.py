"""A key made by several parties, of whom one honest one is enough (docs/ceremony.md)."""

from __future__ import annotations

from circuits.ceremony.check import Verified, finish, verify
from circuits.ceremony.record import Ceremony, KeyFile, Powers, load
from circuits.ceremony.run import apply_beacon, compile_again, contribute, init, receive

__all__ = [
    "Ceremony",
    "KeyFile",
    "Powers",
    "Verified",
    "apply_beacon",
    "compile_again",
    "contribute",
    "finish",
    "init",
    "load",
    "receive",
    "verify",
]
