"""JSON answers of strangers, with their nesting bounded and without NaN."""

from __future__ import annotations

import json
from typing import NoReturn

from aggregator.model.nesting import require_shallow


def load_bounded(body: bytes) -> object:
    """The decoded value; raises ValueError when `body` is not JSON, holds NaN, or nests too deep."""
    require_shallow(body)
    value: object = json.loads(body, parse_constant=_refuse_constant)
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"the JSON has the number {text}")
