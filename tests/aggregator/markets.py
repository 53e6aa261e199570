"""The shipped specs with fixed quotes: the policies that the tests of building, desks and reports share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from aggregator.margin.native import Evaluation, evaluate, positions_by_id
from aggregator.model.policy import Level, Policy
from aggregator.policy.build import build_policy
from aggregator.policy.quotes import PriceQuote, RateQuote
from aggregator.policy.spec import PolicySpec, parse_spec

E8 = 10**8
E12 = 10**12
AS_OF = 1_800_000_000
"""2027-01-15 08:00 UTC: the demo's options expire on 2027-02-14 and 2027-04-15."""
SPECS = Path(__file__).parents[2] / "configs" / "policies"

PRICES_E12: Mapping[str, int] = {
    "ETH": 3000 * E12,
    "BTC": 60_000 * E12,
    "USDC": E12,
    "USDT": E12,
    "DAI": E12,
    "POL": E12 // 2,
    "WBTC": 60_000 * E12,
    "cbBTC": 60_000 * E12,
    "stETH": 3000 * E12,
    "wstETH": 3704 * E12,
    "cbETH": 3300 * E12,
}
RATES_E12: Mapping[str, int] = {
    "wstETH": 1_234_567_890_123,
    "cbETH": 1_100_000_000_000,
    "sUSDC": 1_050_000_000_000,
    "sDAI": 1_150_000_000_000,
}
VAULTS: Mapping[str, tuple[str, ...]] = {"sUSDC": ("USDC",), "sDAI": ("DAI",)}
"""What a vault says that it holds."""


def prices(**changes: PriceQuote | None) -> dict[str, PriceQuote]:
    """All prices fresh, changed or (None) removed by name."""
    quotes: dict[str, PriceQuote | None] = {n: PriceQuote(p, AS_OF) for n, p in PRICES_E12.items()}
    return {name: quote for name, quote in {**quotes, **changes}.items() if quote is not None}


def rates(**changes: RateQuote | None) -> dict[str, RateQuote]:
    """All rates fresh, changed or (None) removed by name."""
    quotes: dict[str, RateQuote | None] = {
        n: RateQuote(r, AS_OF, tokens=VAULTS.get(n, ())) for n, r in RATES_E12.items()
    }
    return {name: quote for name, quote in {**quotes, **changes}.items() if quote is not None}


@cache
def spec(name: str = "demo") -> PolicySpec:
    """A shipped spec."""
    return parse_spec((SPECS / f"{name}.toml").read_text(), f"{name}.toml")


@cache
def policy(name: str = "demo") -> Policy:
    """A shipped spec at the fixed quotes."""
    return build_policy(spec(name), prices(), rates(), as_of=AS_OF, epoch=1)


def health(
    positions: Mapping[str, float], level: Level = Level.IM, under: Policy | None = None
) -> Evaluation:
    """Evaluate positions in whole units (exact multiples of 1e-8) under the demo policy."""
    rules = under or policy()
    return evaluate(rules, positions_by_id(rules, {s: round(q * E8) for s, q in positions.items()}), level)
