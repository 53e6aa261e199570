"""The demo spec with its haircuts, correlations and surface estimated from files, and those files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np

from aggregator.model.policy import Policy
from aggregator.policy.build import build_policy
from aggregator.policy.derivatives import years_to
from aggregator.policy.resolve import Resolved, resolve
from aggregator.policy.spec import PolicySpec, parse_spec
from aggregator.pricing.surface import Surface, ssvi_slice
from tests.aggregator.histories import closes_of, correlated, csv_of
from tests.aggregator.markets import AS_OF, PRICES_E12, SPECS, prices, rates

HEAD = """
[histories]
ETH = "eth.csv"
BTC = "btc.csv"

[estimated_correlation]
days = 250
towards_one = 0.1

[risk]
benchmark = "BTC"
days = 250
volumes = { ETH = 100_000 }
"""
DYNAMIC = """
[assets.dynamic]
history = "ETH"
confidence = 0.99
horizon_im = 5
horizon_mm = 2
sizes = [500, 5_000]
daily_volume = 2_000_000
floor = 0.02
cap = 0.5
max_rise = 0.05
max_fall = 0.01
"""
QUOTES = """
[classes.quotes]
file = "options.csv"
unit = "volatility"
"""
EXPIRIES = (date(2027, 2, 14), date(2027, 4, 15))


def _cut(text: str, start: str, end: str, put: str) -> str:
    before, _, rest = text.partition(start)
    assert rest, start
    return before + put + end + rest.partition(end)[2]


def spec_text(extra_dynamic: str = "", head: str = HEAD, quotes: str = "") -> str:
    """The demo spec with ETH's haircuts and all correlations estimated, and ETH's smile when `quotes` are given."""
    text = (SPECS / "demo.toml").read_text()
    text = _cut(text, "correlations = ", "\n\n", "")
    if quotes:
        text = _cut(text, "[classes.smile]", "\n\n", quotes)
    asset = text.index('name = "ETH"\nclass = "ETH"')
    kept, rest = text[:asset], text[asset:]
    rest = _cut(rest, "long_tiers = [", "[[assets]]", DYNAMIC + extra_dynamic + "\n")
    first_class = kept.index("[[classes]]")
    return kept[:first_class] + head + "\n" + kept[first_class:] + rest


def option_rows(unit: str = "volatility") -> list[str]:
    """Quotes one volatility point wide around a surface of 64 %, skewed."""
    rows = ["expiry,strike,type,bid,ask"]
    for day in EXPIRIES:
        one = ssvi_slice(years_to(day, AS_OF), 0.64, -0.25, 0.9, 0.5)
        surface = Surface((one,))
        for strike in range(2000, 4600, 250):
            middle = float(surface.volatility(np.log(strike / 3030.0), one.years))
            rows.append(f"{day},{strike},{'C' if strike > 3000 else 'P'},{middle - 0.005},{middle + 0.005}")
    assert unit == "volatility"
    return rows


def files(scale: float = 0.03, **changes: str) -> dict[str, str]:
    """The data files; `changes` replace the text of `eth`, `btc` or `options`."""
    returns = correlated(scale=scale)
    made = {
        "eth.csv": csv_of(closes_of(returns[:, 0], 2000)),
        "btc.csv": csv_of(closes_of(returns[:, 1], 50_000)),
        "options.csv": "\n".join(option_rows()) + "\n",
    }
    return made | {f"{name}.csv": text for name, text in changes.items()}


def resolved(
    text: str | None = None, data: Mapping[str, str] | None = None, previous: Policy | None = None
) -> tuple[PolicySpec, Resolved]:
    """The spec and its estimates."""
    spec = parse_spec(text or spec_text(), "estimated.toml")
    return spec, resolve(spec, data or files(), PRICES_E12, as_of=AS_OF, previous=previous)


def built(
    text: str | None = None, data: Mapping[str, str] | None = None, previous: Policy | None = None
) -> Policy:
    """The policy that comes of them."""
    spec, made = resolved(text, data, previous)
    return build_policy(made.applied(spec), prices(), rates(), as_of=AS_OF, epoch=1)
