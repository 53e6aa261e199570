"""How long until an account falls below maintenance when all risk classes drift at a steady rate: no chance in it.

Prices follow S (1 + drift)^days. The excess is not monotone along that way, so the first crossing of a scan is taken
and narrowed by bisection with the exact engine, as for liquidation prices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.liquidation.drivers import Driver
from aggregator.liquidation.excess_table import excess_at
from aggregator.model.errors import InputError
from aggregator.model.units import RATE_SCALE
from aggregator.risk.desk import Desk

DAY_S: Final = 86_400
FURTHEST: Final = 3.0
"""Log moves beyond this, prices twenty times higher or lower, are not looked at."""
POINTS: Final = 60
MAX_DAYS: Final = 365


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """At this drift a day (1e-6) the account falls below after `seconds` (rounded down), None within the days looked
    at.
    """

    drift_e6: int
    seconds: int | None
    looked_s: int


def time_left(desk: Desk, drivers: Sequence[Driver], drift_e6: int) -> TimeLeft:
    """When an account falls below at a drift of all drivers; 0 when it is below now.

    Two crossings between neighbouring points of the scan are not seen. Raises InputError for a drift of 0 or of -1 or
    less.
    """
    if drift_e6 == 0 or drift_e6 <= -RATE_SCALE:
        raise InputError(f"a drift of {drift_e6}e-6 a day leads nowhere; use one above -1 that is not 0")
    rate = math.log(1 + drift_e6 / RATE_SCALE)
    days = min(float(MAX_DAYS), FURTHEST / abs(rate))

    def stands(day: float) -> bool:
        return excess_at(desk, drivers, [rate * day] * len(drivers)) >= 0

    low = 0.0
    if not stands(low):
        return TimeLeft(drift_e6, 0, int(days * DAY_S))
    for n in range(1, POINTS + 1):
        high = days * n / POINTS
        if not stands(high):
            while (high - low) * DAY_S > 1:
                middle = (low + high) / 2
                low, high = (middle, high) if stands(middle) else (low, middle)
            return TimeLeft(drift_e6, int(low * DAY_S), int(days * DAY_S))
        low = high
    return TimeLeft(drift_e6, None, int(days * DAY_S))
