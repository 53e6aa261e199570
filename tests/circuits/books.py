"""A small fixed policy and accounts for circuit tests, with numbers that touch every term of M1-M7."""

from __future__ import annotations

from aggregator.model.policy import Addon, Instrument, InstrumentKind, Line, NettingGroup, Policy
from aggregator.model.units import LINES_PER_GROUP, SCENARIOS

E8 = 10**8
E12 = 10**12


def lines(*pairs: tuple[int, int]) -> tuple[Line, ...]:
    """Lines padded to six."""
    return tuple(Line(s, i) for s, i in pairs) + (Line(0, 0),) * (LINES_PER_GROUP - len(pairs))


def linear_risk(unit_value_e12: int) -> tuple[int, ...]:
    """P&L of a linear instrument: spot moves from -16 % to +15 % in 32 steps."""
    return tuple(unit_value_e12 * (s - 16) // 100 for s in range(SCENARIOS))


def _instrument(
    ident: int,
    symbol: str,
    kind: InstrumentKind,
    class_id: int,
    group_id: int,
    price: int,
    unit_e6: int = 10**6,
) -> Instrument:
    mark = price * E12 // 100
    risk = linear_risk(mark) if class_id else (0,) * SCENARIOS
    return Instrument(
        id=ident,
        symbol=symbol,
        kind=kind,
        underlying=symbol.split("@")[0].split("-")[0],
        class_id=class_id,
        group_id=group_id,
        mark_e12=mark,
        unit_e6=unit_e6 if group_id else 0,
        max_quantity_e8=10**6 * E8,
        risk_e12=risk,
        addon_im=Addon(mark // 100, mark // 50),
        addon_mm=Addon(mark // 200, mark // 100),
    )


def fixed_policy() -> Policy:
    """ETH and BTC classes, three haircut groups, a perp, an option and cash."""
    spot, debt, perp, option = (
        InstrumentKind.SPOT,
        InstrumentKind.DEBT,
        InstrumentKind.PERP,
        InstrumentKind.OPTION,
    )
    eth, btc = 3000 * E12, 60000 * E12
    breakpoint_e14 = 100 * E8 * 10**6
    step = (eth // 10 - eth // 20) * breakpoint_e14
    groups = (
        NettingGroup(
            1, "ETH", lines((eth // 20, 0), (eth // 10, -step), (-eth // 10, 0)), lines((eth // 40, 0))
        ),
        NettingGroup(
            2, "BTC", lines((btc // 20, 0), (-btc // 20, 0)), lines((btc // 40, 0), (-btc // 40, 0))
        ),
        NettingGroup(
            5, "USDC", lines((E12 // 100, 0), (-E12 // 100, 0)), lines((E12 // 200, 0), (-E12 // 200, 0))
        ),
    )
    call = _instrument(40, "ETH-20261225-3000-C", option, 1, 0, 20000)
    curved = tuple((max(0, 3000 + 30 * (s - 16) - 3000) - 200) * E12 for s in range(SCENARIOS))
    call = Instrument(**{f: getattr(call, f) for f in call.__slots__} | {"risk_e12": curved})
    instruments = (
        _instrument(1, "USD", spot, 0, 0, 100),
        _instrument(2, "ETH@eip155:1", spot, 1, 1, 300000),
        _instrument(3, "wstETH@eip155:8453", spot, 1, 1, 354000, 1_180_000),
        _instrument(9, "USDC@eip155:8453", spot, 0, 5, 100),
        _instrument(10, "USDC-DEBT@eip155:1", debt, 0, 5, 100),
        _instrument(30, "ETH-PERP", perp, 1, 0, 300000),
        _instrument(31, "BTC-PERP", perp, 2, 0, 6000000),
        call,
        _instrument(4095, "WBTC@eip155:1", spot, 2, 2, 6000000),
    )
    return Policy(
        name="fixed",
        publisher="tests",
        epoch=1,
        as_of=1_790_000_000,
        expires=1_800_000_000,
        classes=("ETH", "BTC"),
        scenarios=tuple(f"spot {s - 16:+d} %" for s in range(SCENARIOS)),
        scan_factor_im_e6=1_300_000,
        scan_factor_mm_e6=1_000_000,
        correlation_e6=((10**6, 700_000), (700_000, 10**6)),
        groups=groups,
        instruments=instruments,
    )


ACCOUNT = {
    1: -5_000 * E8,
    2: 150 * E8 + 12345,
    3: 20 * E8,
    9: 250_000 * E8,
    10: -40_000 * E8,
    30: -30 * E8,
    40: -5 * E8,
    4095: 2 * E8,
}
"""Positions that are long, short, netted, capped by a second tier and at the last id."""
