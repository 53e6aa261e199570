"""Random policies and accounts, shared by the tests of the engine, the circuit and the formats.

Risk arrays come from one drawn seed and one drawn amplitude, so that a policy costs few draws and stays
quick.
"""

from __future__ import annotations

import random

from hypothesis import strategies as st

from aggregator.model.policy import Addon, Instrument, InstrumentKind, Line, NettingGroup, Policy
from aggregator.model.units import LINES_PER_GROUP, RATE_SCALE, SCENARIOS
from aggregator.policy.check import check_policy, largest_quantity_e8

ORDINARY_QUANTITY_E8 = 10**17
ORDINARY_PRICE_E12 = 10**17

SCAN_FACTORS_E6 = [
    (im, mm)
    for im in (0, RATE_SCALE, 1_500_000, 10 * RATE_SCALE)
    for mm in (0, 750_001, RATE_SCALE)
    if mm <= im
]

NAMES = st.text("abcdefghijklmnopqrstuvwxyzäöü€中-@ ", min_size=1, max_size=12)


def _risk(seed: int, amplitude: int) -> tuple[int, ...]:
    source = random.Random(seed)
    return tuple(source.randint(-amplitude, amplitude) for _ in range(SCENARIOS))


@st.composite
def lines(draw: st.DrawFn, *, tiers: bool = True) -> tuple[Line, ...]:
    """Six signed lines: the first through the origin, both signs of slope; one slope per side without
    `tiers`."""
    source = random.Random(draw(st.integers(0, 2**32)))
    top = draw(st.sampled_from([0, 1, 10**12, ORDINARY_PRICE_E12]))
    first = Line(source.randint(0, top), 0)
    rest = []
    for n in range(1, LINES_PER_GROUP):
        sign = 1 if n % 2 == 0 else -1
        intercept = -source.randint(0, 10**36) if tiers else 0
        rest.append(Line(sign * source.randint(0, top), intercept))
    return (first, *rest)


@st.composite
def line_pairs(draw: st.DrawFn, *, tiers: bool = True) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """Lines at IM and, never above them, at MM: each line flatter and, with `tiers`, lowered."""
    im = draw(lines(tiers=tiers))
    eighths = draw(st.integers(0, 8))
    lower = draw(st.sampled_from([0, 1, 10**30])) if tiers else 0
    mm = [
        Line(line.slope_e12 * eighths // 8 + (line.slope_e12 < 0 and line.slope_e12 * eighths % 8 != 0), i)
        for line, i in zip(im, (0, *(line.intercept_e26 - lower for line in im[1:])), strict=True)
    ]
    return im, tuple(mm)


@st.composite
def addon_pairs(draw: st.DrawFn) -> tuple[Addon, Addon]:
    """Long and short add-ons, zero included, at IM and, never above them, at MM."""
    rate = st.sampled_from([0, 1, 10**9]) | st.integers(0, 10**15)
    im = Addon(draw(rate), draw(rate))
    eighths = draw(st.integers(0, 8))
    return im, Addon(im.long_e12 * eighths // 8, im.short_e12 * eighths // 8)


@st.composite
def instruments(
    draw: st.DrawFn, instrument_id: int, classes: int, group_ids: tuple[int, ...], *, extreme: bool = False
) -> Instrument:
    """One instrument; with `extreme` and no group its quantity bound is the largest that W1 allows."""
    class_id = draw(st.integers(0, classes))
    group_id = draw(st.sampled_from((0, *group_ids)))
    amplitude = draw(st.sampled_from([0, 1, 10**12, 10**16])) if class_id else 0
    mark = draw(st.sampled_from([0, 1, 10**12]) | st.integers(0, ORDINARY_PRICE_E12))
    addon_im, addon_mm = draw(addon_pairs())
    risk = _risk(draw(st.integers(0, 2**32)), amplitude)
    factor = max(
        mark,
        *(abs(r) for r in risk),
        *(a for addon in (addon_im, addon_mm) for a in (addon.long_e12, addon.short_e12)),
    )
    bound = largest_quantity_e8(factor)
    if not extreme or group_id:
        bound = min(bound, draw(st.sampled_from([0, 1, 10**8, ORDINARY_QUANTITY_E8])))
    return Instrument(
        id=instrument_id,
        symbol=f"T{instrument_id}@eip155:{draw(st.integers(1, 3))}",
        kind=draw(st.sampled_from(list(InstrumentKind))),
        underlying=draw(NAMES),
        class_id=class_id,
        group_id=group_id,
        mark_e12=mark,
        unit_e6=draw(st.sampled_from([0, RATE_SCALE]) | st.integers(0, 2 * RATE_SCALE)),
        max_quantity_e8=bound,
        risk_e12=risk,
        addon_im=addon_im,
        addon_mm=addon_mm,
    )


@st.composite
def correlations(draw: st.DrawFn, size: int) -> tuple[tuple[int, ...], ...]:
    """A symmetric matrix in 1e-6 with 1 on the diagonal and anything in 0..1 beside it."""
    rows = [[RATE_SCALE] * size for _ in range(size)]
    for k in range(size):
        for m in range(k):
            rows[k][m] = rows[m][k] = draw(st.sampled_from([0, RATE_SCALE]) | st.integers(0, RATE_SCALE))
    return tuple(tuple(row) for row in rows)


@st.composite
def policies(
    draw: st.DrawFn,
    *,
    max_classes: int = 4,
    max_groups: int = 3,
    max_instruments: int = 6,
    tiers: bool = True,
    extreme: bool = False,
) -> Policy:
    """A small policy that keeps W1-W7."""
    classes = draw(st.integers(0, max_classes))
    group_ids = tuple(sorted(draw(st.sets(st.integers(1, 4095), max_size=max_groups))))
    ids = sorted(draw(st.sets(st.integers(1, 4095), min_size=1, max_size=max_instruments)))
    as_of = draw(st.integers(0, 2**40))
    factor_im, factor_mm = draw(st.sampled_from(SCAN_FACTORS_E6))
    policy = Policy(
        name=draw(NAMES),
        publisher=draw(NAMES),
        epoch=draw(st.integers(0, 2**53 - 1)),
        as_of=as_of,
        expires=as_of + draw(st.integers(1, 2**30)),
        classes=tuple(f"class {k}" for k in range(1, classes + 1)),
        scenarios=tuple(f"scenario {s}" for s in range(SCENARIOS)),
        scan_factor_im_e6=factor_im,
        scan_factor_mm_e6=factor_mm,
        correlation_e6=draw(correlations(classes)),
        groups=tuple(NettingGroup(g, f"group {g}", *draw(line_pairs(tiers=tiers))) for g in group_ids),
        instruments=tuple(draw(instruments(i, classes, group_ids, extreme=extreme)) for i in ids),
    )
    check_policy(policy)
    return policy


def quantities(bound: int) -> st.SearchStrategy[int]:
    """A signed quantity up to the bound, the bound itself included."""
    return st.sampled_from([bound, -bound]) | st.integers(-bound, bound)


@st.composite
def positions(draw: st.DrawFn, policy: Policy, *, max_positions: int = 6) -> dict[int, int]:
    """Positions in instruments of `policy`, within their bounds, zero included; in a drawn order."""
    held = draw(st.lists(st.sampled_from(policy.instruments), unique=True, max_size=max_positions))
    return {i.id: draw(quantities(i.max_quantity_e8)) for i in held}


@st.composite
def accounts(
    draw: st.DrawFn,
    *,
    max_instruments: int = 6,
    max_positions: int = 6,
    tiers: bool = True,
    extreme: bool = False,
) -> tuple[Policy, dict[int, int]]:
    """A policy and an account under it."""
    policy = draw(policies(max_instruments=max_instruments, tiers=tiers, extreme=extreme))
    return policy, draw(positions(policy, max_positions=max_positions))
