"""The bounds a policy must keep (docs/protocol.md, W1-W7). The circuit relies on them for every leaf it
opens.

W1  Values. max_quantity x max(abs(mark), abs(risk entry), add-on) < 2^118 for every instrument, and for every
    group and level max(abs(slope)) x sum(max_quantity x unit of its instruments) < 2^142, so that no product of an
    account within its position limits can leave the range the circuit's sums are laid out for.
W2  Identity. Instrument ids are 1..4095 and unique, symbols are unique; class ids are 0..number of classes
    (at most 8); a group id is 0 or that of a group present; group ids are 1..4095 and unique.
W3  Ranges. Marks, risk entries and slopes are below 2^80 in absolute value, add-ons also non-negative; units
    are 0..2^40-1, quantity bounds 0..2^80-1; exactly 32 scenarios, and 32 risk entries per instrument, all
    zero in class 0.
W4  Lines. Each group has exactly 6 lines per level; the first intercept is 0, every intercept is at or below
    zero and above -2^142. The contingency is the largest of the lines, so it is convex without a further
    condition.
W5  Correlations and scan factors. The matrix is symmetric, one row per class, 0 <= rho <= 1, with 1 on the
    diagonal; scan factors are 0..10.
W6  Header. Names are not empty and not repeated; epoch >= 0; 0 <= as_of < expires < 2^53.
W7  Levels. MM never asks more than IM: f_MM <= f_IM, every MM add-on is at most its IM add-on, and the MM
    contingency of a group is at most its IM contingency at every net quantity within the position limits. So an
    excess proven at IM also holds at MM.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Final, NoReturn

from aggregator.fixed import div_floor, format_decimal
from aggregator.model.errors import PolicyError
from aggregator.model.policy import Instrument, Line, NettingGroup, Policy
from aggregator.model.strictjson import MAX_SAFE_INTEGER
from aggregator.model.units import (
    INTERCEPT_BOUND,
    LINES_PER_GROUP,
    MAX_CLASSES,
    MAX_INSTRUMENTS,
    POSITION_VALUE_BOUND,
    PRICE_BOUND,
    QUANTITY_BOUND,
    RATE_SCALE,
    SCENARIOS,
    UNIT_BOUND,
)
from aggregator.policy.levels import contingency_above

MAX_SCAN_FACTOR_E6: Final = 10 * RATE_SCALE
MAX_NAME_CHARS: Final = 200


def _fail(rule: str, where: str, reason: str) -> NoReturn:
    raise PolicyError(f"policy {where} {reason} ({rule})")


def _in_range(rule: str, where: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        _fail(rule, where, f"is {value}, outside {low}..{high}; correct it")


def _names(where: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for n, name in enumerate(names):
        if not name or len(name) > MAX_NAME_CHARS:
            _fail("W6", f"{where}[{n}]", f"is not a text of 1 to {MAX_NAME_CHARS} characters; name it")
        if name in seen:
            _fail("W6", f"{where}[{n}]", f"repeats {name!r}; names are unique")
        seen.add(name)


def position_factor_e12(instrument: Instrument) -> int:
    """The largest USD-per-unit number of an instrument that a quantity is multiplied by (W1)."""
    addons = (instrument.addon_im, instrument.addon_mm)
    return max(
        abs(instrument.mark_e12),
        *(abs(r) for r in instrument.risk_e12),
        *(abs(a) for addon in addons for a in (addon.long_e12, addon.short_e12)),
    )


def largest_quantity_e8(factor_e12: int) -> int:
    """Largest quantity that W1 and W3 allow beside `factor_e12` (see `position_factor_e12`)."""
    bound = QUANTITY_BOUND - 1
    return bound if factor_e12 == 0 else min(bound, (POSITION_VALUE_BOUND - 1) // factor_e12)


def group_reach_e14(policy: Policy, group_id: int) -> int:
    """The largest net asset quantity, either sign, that position limits allow in a group (W1)."""
    return sum(i.max_quantity_e8 * i.unit_e6 for i in policy.instruments if i.group_id == group_id)


def _check_reach(policy: Policy) -> None:
    for n, group in enumerate(policy.groups):
        steepest = max(abs(line.slope_e12) for line in (*group.lines_im, *group.lines_mm))
        value = steepest * group_reach_e14(policy, group.id)
        if value >= INTERCEPT_BOUND:
            reason = f"allows a contingency of {value}e-26 USD; lower max_quantity_e8 of its instruments"
            _fail("W1", f"groups[{n}]", reason)


def _check_header(policy: Policy) -> None:
    _names("header", [policy.name])
    _names("header", [policy.publisher])
    _in_range("W6", "epoch", policy.epoch, 0, MAX_SAFE_INTEGER)
    _in_range("W6", "as_of", policy.as_of, 0, MAX_SAFE_INTEGER)
    _in_range("W6", "expires", policy.expires, 0, MAX_SAFE_INTEGER)
    if policy.expires <= policy.as_of:
        _fail("W6", "expires", f"is {policy.expires}, not after as_of {policy.as_of}; set a later expiry")
    _names("classes", policy.classes)
    _names("scenarios", policy.scenarios)
    if len(policy.classes) > MAX_CLASSES:
        _fail("W2", "classes", f"has {len(policy.classes)} entries; at most {MAX_CLASSES} classes exist")
    if len(policy.scenarios) != SCENARIOS:
        _fail("W3", "scenarios", f"has {len(policy.scenarios)} entries instead of {SCENARIOS}; pad the table")


def _check_correlation(policy: Policy) -> None:
    for level, factor in (("im", policy.scan_factor_im_e6), ("mm", policy.scan_factor_mm_e6)):
        _in_range("W5", f"scan_factor_{level}_e6", factor, 0, MAX_SCAN_FACTOR_E6)
    size = len(policy.classes)
    rho = policy.correlation_e6
    if len(rho) != size or any(len(row) != size for row in rho):
        _fail("W5", "correlation_e6", f"is not {size} x {size}; give one row and one column per class")
    for k, m in product(range(size), repeat=2):
        where = f"correlation_e6[{k}][{m}]"
        _in_range("W5", where, rho[k][m], 0, RATE_SCALE)
        if k == m and rho[k][k] != RATE_SCALE:
            _fail(
                "W5", where, f"is {rho[k][k]}, but a class correlates fully with itself; write {RATE_SCALE}"
            )
        if rho[k][m] != rho[m][k]:
            _fail("W5", where, f"is {rho[k][m]}, but its mirror is {rho[m][k]}; make the matrix symmetric")


def _check_lines(where: str, lines: tuple[Line, ...]) -> None:
    if len(lines) != LINES_PER_GROUP:
        _fail("W4", where, f"has {len(lines)} lines instead of {LINES_PER_GROUP}; pad with zero lines")
    for n, line in enumerate(lines):
        _in_range("W3", f"{where}[{n}].slope_e12", line.slope_e12, 1 - PRICE_BOUND, PRICE_BOUND - 1)
        _in_range("W4", f"{where}[{n}].intercept_e26", line.intercept_e26, 1 - INTERCEPT_BOUND, 0)
    if lines[0].intercept_e26 != 0:
        _fail(
            "W4", f"{where}[0].intercept_e26", f"is {lines[0].intercept_e26}; the first line has intercept 0"
        )


def _check_groups(groups: tuple[NettingGroup, ...]) -> None:
    seen: set[int] = set()
    for n, group in enumerate(groups):
        where = f"groups[{n}]"
        _in_range("W2", f"{where}.id", group.id, 1, MAX_INSTRUMENTS - 1)
        if group.id in seen:
            _fail("W2", f"{where}.id", f"repeats {group.id}; group ids are unique")
        seen.add(group.id)
        _check_lines(f"{where}.lines_im", group.lines_im)
        _check_lines(f"{where}.lines_mm", group.lines_mm)
    _names("groups", (group.name for group in groups))


def _check_levels(policy: Policy) -> None:
    im, mm = policy.scan_factor_im_e6, policy.scan_factor_mm_e6
    if mm > im:
        _fail("W7", "scan_factor_mm_e6", f"is {mm}, above the {im} of scan_factor_im_e6; lower it")
    for n, group in enumerate(policy.groups):
        net = contingency_above(group.lines_mm, group.lines_im, group_reach_e14(policy, group.id))
        if net is not None:
            at = format_decimal(div_floor(net.numerator, net.denominator), 14)
            reason = f"charges more than lines_im at a net quantity of {at} {group.name}; lower its lines"
            _fail("W7", f"groups[{n}].lines_mm", reason)
    for n, instrument in enumerate(policy.instruments):
        held, kept = instrument.addon_im, instrument.addon_mm
        for side, low, high in (
            ("long", kept.long_e12, held.long_e12),
            ("short", kept.short_e12, held.short_e12),
        ):
            if low > high:
                where = f"instruments[{n}] ({instrument.symbol}).addon_mm.{side}_e12"
                _fail("W7", where, f"is {low}, above the {high} of addon_im; lower it")


def _check_instrument(where: str, instrument: Instrument, policy: Policy) -> None:
    _in_range("W2", f"{where}.id", instrument.id, 1, MAX_INSTRUMENTS - 1)
    _in_range("W2", f"{where}.class_id", instrument.class_id, 0, len(policy.classes))
    if instrument.group_id != 0 and instrument.group_id not in policy.group_by_id:
        _fail(
            "W2",
            f"{where}.group_id",
            f"is {instrument.group_id}, which is no group of the policy; add it or use 0",
        )
    _names(f"{where}.underlying", [instrument.underlying])
    _in_range("W3", f"{where}.mark_e12", instrument.mark_e12, 1 - PRICE_BOUND, PRICE_BOUND - 1)
    _in_range("W3", f"{where}.unit_e6", instrument.unit_e6, 0, UNIT_BOUND - 1)
    _in_range("W3", f"{where}.max_quantity_e8", instrument.max_quantity_e8, 0, QUANTITY_BOUND - 1)
    for name, addon in (("addon_im", instrument.addon_im), ("addon_mm", instrument.addon_mm)):
        _in_range("W3", f"{where}.{name}.long_e12", addon.long_e12, 0, PRICE_BOUND - 1)
        _in_range("W3", f"{where}.{name}.short_e12", addon.short_e12, 0, PRICE_BOUND - 1)
    if len(instrument.risk_e12) != SCENARIOS:
        _fail(
            "W3",
            f"{where}.risk_e12",
            f"has {len(instrument.risk_e12)} entries instead of {SCENARIOS}; fill it",
        )
    for s, risk in enumerate(instrument.risk_e12):
        _in_range("W3", f"{where}.risk_e12[{s}]", risk, 1 - PRICE_BOUND, PRICE_BOUND - 1)
        if instrument.class_id == 0 and risk != 0:
            _fail(
                "W3",
                f"{where}.risk_e12[{s}]",
                f"is {risk}, but class 0 has no scenarios; write 0 or set a class",
            )
    value = instrument.max_quantity_e8 * position_factor_e12(instrument)
    if value >= POSITION_VALUE_BOUND:
        largest = largest_quantity_e8(position_factor_e12(instrument))
        _fail(
            "W1",
            f"{where}.max_quantity_e8",
            f"allows a value of {value}e-20 USD; lower it to {largest} or less",
        )


def check_policy(policy: Policy) -> None:
    """Refuse a policy that breaks any of W1-W7.

    Raises PolicyError: one sentence naming the field, the value, the rule and what to change.
    """
    _check_header(policy)
    _check_correlation(policy)
    _check_groups(policy.groups)
    seen: set[int] = set()
    symbols: set[str] = set()
    for n, instrument in enumerate(policy.instruments):
        where = f"instruments[{n}]"
        if instrument.id in seen:
            _fail("W2", f"{where}.id", f"repeats {instrument.id}; instrument ids are unique")
        if not instrument.symbol or instrument.symbol in symbols:
            _fail("W2", f"{where}.symbol", f"is {instrument.symbol!r}, empty or repeated; symbols are unique")
        seen.add(instrument.id)
        symbols.add(instrument.symbol)
        _check_instrument(f"{where} ({instrument.symbol})", instrument, policy)
    _check_reach(policy)
    _check_levels(policy)
