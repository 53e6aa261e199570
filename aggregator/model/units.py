"""Units and bounds of every number that leaves the float world (docs/protocol.md, section 1).

Suffixes state the scale: `_e6` is 1e-6, `_e8` 1e-8, `_e12` 1e-12, `_e20` 1e-20. A quantity (`_e8`) times a
price (`_e12`) is a value (`_e20`). A quantity times `unit_e6` is a net asset quantity (`_e14`), which times
a slope (`_e12`) is a contingency (`_e26`).
"""

from __future__ import annotations

from typing import Final

QUANTITY_SCALE: Final = 10**8
PRICE_SCALE: Final = 10**12
RATE_SCALE: Final = 10**6
USD_SCALE: Final = 10**6
VALUE_SCALE: Final = 10**20
E20_PER_USD_E6: Final = 10**14
E26_PER_USD_E6: Final = 10**20

QUANTITY_BOUND: Final = 1 << 80
"""abs(quantity_e8) is below this."""
PRICE_BOUND: Final = 1 << 80
"""abs of a price, risk-array entry, contingency or slope (all `_e12`) is below this."""
POSITION_VALUE_BOUND: Final = 1 << 118
"""abs(quantity x mark), abs(quantity x risk entry) of one position (`_e20`) is below this: 3.3e15 USD."""
CLAIM_BOUND: Final = 1 << 76
"""A class's scan risk and a group's contingency (`_e6`) are below this: 7.5e16 USD."""
TOTAL_BOUND: Final = 1 << 80
"""R, requirement, excess and the public amount (`_e6`) are below this."""
UNIT_BOUND: Final = 1 << 40
"""unit_e6 of an instrument is below this."""
INTERCEPT_BOUND: Final = 1 << 142
"""abs(intercept_e26), and slope x net of any account, are below this: 5.5e16 USD."""

SCENARIOS: Final = 32
MAX_CLASSES: Final = 8
LINES_PER_GROUP: Final = 6
MAX_INSTRUMENTS: Final = 4096
"""Instrument ids are 1..4095; id 0 is the null instrument of unused slots."""
