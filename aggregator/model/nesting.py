"""Bounds how deep JSON from strangers nests, before a parser recurses into it.

`json.loads` recurses per level, and py_ecc raises Python's recursion limit to 100,000 when it is imported, which is
past the C stack: 100 kB of "[" would then end the process instead of raising RecursionError.
"""

from __future__ import annotations

import re
from typing import Final

MAX_DEPTH: Final = 64
"""Our documents nest about 6 deep, JSON-RPC answers too."""

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_OPENING: Final = frozenset(b"[{")


def require_shallow(body: bytes) -> None:
    """Returns when JSON text nests at most `MAX_DEPTH` levels; raises ValueError when it nests deeper."""
    depth = 0
    for bracket in _STRING.sub(b"", body).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        if depth > MAX_DEPTH:
            raise ValueError(f"it nests deeper than {MAX_DEPTH} levels")
