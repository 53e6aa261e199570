"""Size-tiered haircuts of one asset as the six signed lines of its netting group (M4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aggregator.fixed import mul_div_up
from aggregator.model.errors import PolicyError
from aggregator.model.policy import Line
from aggregator.model.units import LINES_PER_GROUP, RATE_SCALE


@dataclass(frozen=True, slots=True)
class Tier:
    """The rate on the part of a net quantity up to `up_to_e8` (None: without end) and above the tier before."""

    up_to_e8: int | None
    rate_e6: int


def check_tiers(tiers: Sequence[Tier], where: str) -> None:
    """Raise PolicyError unless sizes and rates rise from tier to tier and only the last has no end.

    Falling rates would make a large holding cheaper per unit, which the largest of the lines cannot express.
    """
    for n, tier in enumerate(tiers):
        last = n == len(tiers) - 1
        if (tier.up_to_e8 is None) != last:
            raise PolicyError(
                f"{where}[{n}] must {'not ' if last else ''}have up_to; only the last tier has no end"
            )
        before = tiers[n - 1] if n else Tier(0, 0)
        if tier.up_to_e8 is not None and before.up_to_e8 is not None and tier.up_to_e8 <= before.up_to_e8:
            raise PolicyError(f"{where}[{n}].up_to is not above the tier before; sort the tiers by size")
        if tier.rate_e6 < before.rate_e6:
            raise PolicyError(
                f"{where}[{n}] has a lower rate than the tier before; larger sizes cannot be cheaper"
            )


def _side(price_e12: int, tiers: Sequence[Tier], sign: int) -> list[Line]:
    lines: list[Line] = []
    slope = intercept = start_e14 = 0
    for tier in tiers:
        steeper = mul_div_up(price_e12, tier.rate_e6, RATE_SCALE)
        intercept -= (steeper - slope) * start_e14
        slope = steeper
        lines.append(Line(sign * slope, intercept))
        start_e14 = (tier.up_to_e8 or 0) * RATE_SCALE
    return lines


def lines_from_tiers(
    price_e12: int,
    long_tiers: Sequence[Tier],
    short_tiers: Sequence[Tier] = (),
    short_price_e12: int | None = None,
) -> tuple[Line, ...]:
    """The lines whose maximum charges each tier's rate on its part of the net quantity's value.

    Slopes are rounded up, so the charge is never below the exact one; adjacent lines meet exactly at the tier's end.
    `short_price_e12` prices the short side when it differs (a stale debt's raised price).
    Raises PolicyError for tiers that do not rise, or more than six of them.
    """
    check_tiers(long_tiers, "long_tiers")
    check_tiers(short_tiers, "short_tiers")
    if len(long_tiers) + len(short_tiers) > LINES_PER_GROUP:
        raise PolicyError(
            f"{len(long_tiers)} long and {len(short_tiers)} short tiers are more than {LINES_PER_GROUP}"
        )
    short_price = price_e12 if short_price_e12 is None else short_price_e12
    lines = [*_side(price_e12, long_tiers, 1), *_side(short_price, short_tiers, -1)]
    return (*lines, *[Line(0, 0)] * (LINES_PER_GROUP - len(lines)))
