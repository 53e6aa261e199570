"""JSON from strangers, with its nesting bounded before the parser recurses into it.

`json.loads` recurses per level, and py_ecc raises Python's recursion limit to 100,000 when it is imported, which
is past the C stack: a body of 100 kB of "[" would then end the process instead of raising RecursionError.
"""

from __future__ import annotations

import json
import re
from typing import Final, NoReturn

MAX_DEPTH: Final = 64
"""JSON-RPC answers nest about 6 deep."""

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_OPENING: Final = frozenset(b"[{")


def load_bounded(body: bytes) -> object:
    """The decoded value; raises ValueError when `body` is not JSON, holds NaN, or nests past `MAX_DEPTH`."""
    depth = 0
    for bracket in _STRING.sub(b"", body).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        if depth > MAX_DEPTH:
            raise ValueError(f"the JSON nests deeper than {MAX_DEPTH} levels")
    value: object = json.loads(body, parse_constant=_refuse_constant)
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"the JSON has the number {text}")
