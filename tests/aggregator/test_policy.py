"""Policies: each bound W1-W7 refuses what it must, and documents have one meaning and one encoding."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.margin.native import evaluate
from aggregator.model.errors import PolicyError
from aggregator.model.policy import Addon, Instrument, InstrumentKind, Level, Line, NettingGroup, Policy
from aggregator.model.units import POSITION_VALUE_BOUND
from aggregator.policy import check_policy, encode_policy, parse_policy
from aggregator.policy.levels import contingency_above
from tests.aggregator.strategies import accounts, policies

MILLION = 10**6
LINES = (Line(10**12, 0), Line(2 * 10**12, -(10**26)), Line(-(10**12), 0), Line(0, 0), Line(0, 0), Line(0, 0))
RISK = (-(10**12),) + (0,) * 31
ETH = Instrument(
    id=1,
    symbol="ETH@eip155:1",
    kind=InstrumentKind.SPOT,
    underlying="ETH",
    class_id=1,
    group_id=1,
    mark_e12=3 * 10**15,
    unit_e6=MILLION,
    max_quantity_e8=10**17,
    risk_e12=RISK,
    addon_im=Addon(1, 2),
    addon_mm=Addon(0, 1),
)
POLICY = Policy(
    name="test",
    publisher="tests",
    epoch=3,
    as_of=100,
    expires=200,
    classes=("ETH", "BTC"),
    scenarios=tuple(f"s{s}" for s in range(32)),
    scan_factor_im_e6=1_500_000,
    scan_factor_mm_e6=MILLION,
    correlation_e6=((MILLION, 700_000), (700_000, MILLION)),
    groups=(NettingGroup(1, "ETH", LINES, LINES),),
    instruments=(ETH, replace(ETH, id=4095, symbol="USD", class_id=0, group_id=0, risk_e12=(0,) * 32)),
)


def with_eth(**changes: object) -> Policy:
    return replace(POLICY, instruments=(replace(ETH, **changes), POLICY.instruments[1]))  # type: ignore[arg-type]


def with_lines(*lines: Line) -> Policy:
    return replace(POLICY, groups=(NettingGroup(1, "ETH", LINES, lines),))


def test_the_example_keeps_every_rule() -> None:
    """The policy that the refusals below start from is fine."""
    check_policy(POLICY)


LARGEST = (POSITION_VALUE_BOUND - 1) // (3 * 10**15)

REFUSED: list[tuple[str, str, Policy]] = [
    ("W1", "max_quantity_e8", with_eth(max_quantity_e8=LARGEST + 1)),
    ("W1", "max_quantity_e8", with_eth(mark_e12=0, risk_e12=(-(2**79),) + (0,) * 31, max_quantity_e8=2**39)),
    ("W1", "max_quantity_e8", with_eth(addon_im=Addon(0, 2**79), max_quantity_e8=2**39)),
    ("W1", "max_quantity_e8", with_eth(addon_mm=Addon(2**79, 0), max_quantity_e8=2**39)),
    ("W1", "groups[0]", with_lines(Line(2**79, 0), *LINES[1:])),
    ("W2", "id", with_eth(id=0)),
    ("W2", "id", with_eth(id=4096)),
    ("W2", "id", with_eth(id=4095)),
    ("W2", "symbol", with_eth(symbol="USD")),
    ("W2", "symbol", with_eth(symbol="")),
    ("W2", "class_id", with_eth(class_id=3)),
    ("W2", "class_id", with_eth(class_id=-1)),
    ("W2", "group_id", with_eth(group_id=2)),
    ("W2", "groups[0].id", replace(POLICY, groups=(replace(POLICY.groups[0], id=0),))),
    ("W2", "groups[1].id", replace(POLICY, groups=(POLICY.groups[0], replace(POLICY.groups[0], name="x")))),
    ("W2", "classes", replace(POLICY, classes=tuple("abcdefghi"))),
    ("W3", "mark_e12", with_eth(mark_e12=2**80, max_quantity_e8=1)),
    ("W3", "mark_e12", with_eth(mark_e12=-(2**80), max_quantity_e8=1)),
    ("W3", "unit_e6", with_eth(unit_e6=2**40)),
    ("W3", "unit_e6", with_eth(unit_e6=-1)),
    ("W3", "max_quantity_e8", with_eth(max_quantity_e8=2**80)),
    ("W3", "max_quantity_e8", with_eth(max_quantity_e8=-1)),
    ("W3", "addon_im.long_e12", with_eth(addon_im=Addon(-1, 0))),
    ("W3", "addon_mm.short_e12", with_eth(addon_mm=Addon(0, 2**80))),
    ("W3", "risk_e12", with_eth(risk_e12=(0,) * 31)),
    ("W3", "risk_e12", with_eth(risk_e12=(0,) * 33)),
    ("W3", "risk_e12[31]", with_eth(risk_e12=(0,) * 31 + (2**80,))),
    ("W3", "risk_e12[0]", with_eth(class_id=0)),
    ("W3", "scenarios", replace(POLICY, scenarios=POLICY.scenarios[:31])),
    ("W3", "lines_mm[0].slope_e12", with_lines(Line(2**80, 0), *LINES[1:])),
    ("W4", "lines_mm", with_lines(*LINES[:5])),
    ("W4", "lines_mm", with_lines(*LINES, Line(0, 0))),
    ("W4", "lines_mm[0].intercept_e26", with_lines(Line(1, -1), *LINES[1:])),
    ("W4", "lines_mm[1].intercept_e26", with_lines(LINES[0], Line(1, 1), *LINES[2:])),
    ("W4", "lines_mm[1].intercept_e26", with_lines(LINES[0], Line(1, -(2**142)), *LINES[2:])),
    ("W5", "scan_factor_im_e6", replace(POLICY, scan_factor_im_e6=10 * MILLION + 1)),
    ("W5", "scan_factor_mm_e6", replace(POLICY, scan_factor_mm_e6=-1)),
    ("W5", "correlation_e6", replace(POLICY, correlation_e6=((MILLION,),))),
    ("W5", "correlation_e6", replace(POLICY, correlation_e6=((MILLION, 0), (0,)))),
    ("W5", "correlation_e6[0][1]", replace(POLICY, correlation_e6=((MILLION, 1), (2, MILLION)))),
    ("W5", "correlation_e6[0][1]", replace(POLICY, correlation_e6=((MILLION, -1), (-1, MILLION)))),
    ("W5", "correlation_e6[0][1]", replace(POLICY, correlation_e6=((MILLION, MILLION + 1), (0, MILLION)))),
    ("W5", "correlation_e6[1][1]", replace(POLICY, correlation_e6=((MILLION, 0), (0, MILLION - 1)))),
    ("W7", "scan_factor_mm_e6", replace(POLICY, scan_factor_mm_e6=1_500_001)),
    ("W7", "addon_mm.long_e12", with_eth(addon_mm=Addon(2, 1))),
    ("W7", "addon_mm.short_e12", with_eth(addon_mm=Addon(0, 3))),
    ("W7", "groups[0].lines_mm", with_lines(Line(10**12 + 1, 0), *LINES[1:])),
    ("W7", "groups[0].lines_mm", with_lines(*LINES[:2], Line(-(10**12) - 1, 0), *LINES[3:])),
    ("W7", "groups[0].lines_mm", with_lines(LINES[0], Line(2 * 10**12, 1 - 10**26), *LINES[2:])),
    ("W6", "expires", replace(POLICY, expires=100)),
    ("W6", "epoch", replace(POLICY, epoch=-1)),
    ("W6", "epoch", replace(POLICY, epoch=2**53)),
    ("W6", "header", replace(POLICY, name="")),
    ("W6", "classes[1]", replace(POLICY, classes=("ETH", "ETH"))),
    ("W6", "scenarios[31]", replace(POLICY, scenarios=(*POLICY.scenarios[:31], "s0"))),
    ("W6", "groups[1]", replace(POLICY, groups=(POLICY.groups[0], replace(POLICY.groups[0], id=2)))),
]


@pytest.mark.parametrize(
    ("rule", "field", "policy"), REFUSED, ids=[f"{r}-{f}-{n}" for n, (r, f, _) in enumerate(REFUSED)]
)
def test_each_violation_is_refused_by_name(rule: str, field: str, policy: Policy) -> None:
    """The message names the field and the rule, and encoding refuses as well."""
    with pytest.raises(PolicyError) as caught:
        check_policy(policy)
    assert field in str(caught.value)
    assert str(caught.value).endswith(f"({rule})")
    with pytest.raises(PolicyError):
        encode_policy(policy)


def test_the_bounds_themselves_are_allowed() -> None:
    """One unit below each refusal passes."""
    check_policy(with_eth(max_quantity_e8=LARGEST))
    check_policy(with_eth(unit_e6=2**40 - 1, max_quantity_e8=10**16))
    check_policy(with_eth(mark_e12=2**80 - 1, max_quantity_e8=2**37))
    check_policy(replace(POLICY, scan_factor_im_e6=10 * MILLION))
    steepest = (Line((2**142 - 1) // 10**23, 0), *LINES[1:])
    check_policy(replace(POLICY, groups=(NettingGroup(1, "ETH", steepest, steepest),)))
    check_policy(with_lines(LINES[0], Line(1, 1 - 2**142), *LINES[2:]))
    check_policy(replace(POLICY, expires=101))


def test_maintenance_above_initial_only_beyond_the_limits_is_allowed() -> None:
    """W7 asks about net quantities the position limits allow: a steeper MM line that wins later is fine."""
    reach = ETH.max_quantity_e8 * ETH.unit_e6
    steeper = Line(2 * 10**12 + 1, -(10**26) - reach)
    check_policy(with_lines(*LINES[:3], steeper, *LINES[4:]))
    with pytest.raises(PolicyError, match="W7"):
        check_policy(with_lines(*LINES[:3], replace(steeper, intercept_e26=1 - 10**26 - reach), *LINES[4:]))


@given(st.data())
def test_the_levels_are_compared_exactly(data: st.DataObject) -> None:
    """`contingency_above` finds a net quantity exactly when one of a small range has it, and it is one."""
    line = st.builds(Line, st.integers(-6, 6), st.integers(-12, 0))
    lower, upper = (data.draw(st.lists(line, min_size=1, max_size=3)) for _ in range(2))
    reach = data.draw(st.integers(0, 5))

    def height(lines: list[Line], net: Fraction) -> Fraction:
        return max(Fraction(0), *(one.slope_e12 * net + one.intercept_e26 for one in lines))

    fine = [Fraction(n, 60) for n in range(-60 * reach, 60 * reach + 1)]
    found = contingency_above(lower, upper, reach)
    above = [net for net in fine if height(lower, net) > height(upper, net)]
    if found is None:
        assert above == []
    else:
        assert abs(found) <= reach
        assert height(lower, found) > height(upper, found)


@given(accounts())
def test_maintenance_never_asks_more_than_initial(account: tuple[Policy, dict[int, int]]) -> None:
    """Under W7 every account needs at most as much at MM as at IM."""
    policy, positions = account
    im, mm = (evaluate(policy, positions, level) for level in (Level.IM, Level.MM))
    assert mm.requirement_e20 <= im.requirement_e20


@given(policies(extreme=True))
def test_encoding_round_trips(policy: Policy) -> None:
    """parse(encode(p)) = p, and the bytes are canonical: encoding again gives the same bytes."""
    document = encode_policy(policy)
    again = parse_policy(document)
    assert again == policy
    assert encode_policy(again) == document


def test_spelling_does_not_change_the_canonical_bytes() -> None:
    """Key order and blanks of the input document do not matter."""
    document = encode_policy(POLICY)
    loose = json.dumps(dict(reversed(json.loads(document).items())), indent=2)
    assert encode_policy(parse_policy(loose)) == document


def edit(change: Callable[[dict[str, object]], object]) -> str:
    value = json.loads(encode_policy(POLICY))
    change(value)
    return json.dumps(value)


MALFORMED: list[tuple[str, Callable[[dict], object]]] = [  # type: ignore[type-arg]
    ("lacks the field 'epoch'", lambda p: p.pop("epoch")),
    ("unknown field 'extra'", lambda p: p.update(extra=1)),
    ("policy.schema is 'counterfoil/policy/2'", lambda p: p.update(schema="counterfoil/policy/2")),
    ("policy.epoch is not a JSON integer", lambda p: p.update(epoch="3")),
    ("policy.epoch is not a JSON integer", lambda p: p.update(epoch=True)),
    ("has the number 3.0", lambda p: p.update(epoch=3.0)),
    ("instruments[0].mark_e12 is not a decimal string", lambda p: p["instruments"][0].update(mark_e12=1)),
    ("instruments[0].mark_e12: '01'", lambda p: p["instruments"][0].update(mark_e12="01")),
    ("instruments[0].kind is 'swap'", lambda p: p["instruments"][0].update(kind="swap")),
    ("instruments[1].risk_e12[2]", lambda p: p["instruments"][1]["risk_e12"].__setitem__(2, None)),
    ("instruments[0].addon_im is not a JSON object", lambda p: p["instruments"][0].update(addon_im=[])),
    ("groups[0].lines_im[1] lacks the field", lambda p: p["groups"][0]["lines_im"].__setitem__(1, {})),
    ("correlation_e6[0] is not a list", lambda p: p.update(correlation_e6=["1", "1"])),
    ("classes is not a JSON array", lambda p: p.update(classes="ETH")),
    ("(W5)", lambda p: p.update(scan_factor_im_e6=10_000_001)),
]


@pytest.mark.parametrize(("message", "change"), MALFORMED, ids=[m for m, _ in MALFORMED])
def test_malformed_documents_are_refused(message: str, change: Callable[[dict[str, object]], object]) -> None:
    """One sentence names the path of the field that is wrong."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(edit(change))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"\xff", b"[]", b"null", b'{"a":1,"a":1}', b"[" * 100_000, b'{"epoch":NaN}', b"9" * 10_000],
    ids=["empty", "cut", "not utf-8", "list", "null", "duplicate", "deep", "nan", "long number"],
)
def test_what_is_not_a_policy_document_is_refused(document: bytes) -> None:
    """Broken files end in a PolicyError, never in another exception."""
    with pytest.raises(PolicyError):
        parse_policy(document)
