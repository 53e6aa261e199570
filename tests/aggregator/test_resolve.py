"""Estimates wired into a policy: what the integers are, how fast they move, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from aggregator.model.errors import PolicyError
from aggregator.model.policy import Line, Policy
from aggregator.policy.build import build_policy
from aggregator.policy.inputs import PolicyInputs, encode_inputs, parse_inputs
from aggregator.policy.resolve import NOTHING, previous_rates_e6
from aggregator.policy.spec import parse_spec
from aggregator.pricing.sabr import SabrSlice
from aggregator.pricing.surface import Surface
from aggregator.risk.correlation import check_correlation, ledoit_wolf
from aggregator.risk.depth import SquareRootImpact
from aggregator.risk.desk import Desk, Moves
from aggregator.risk.haircuts import VolatilityForecast, tier_rates_e6
from aggregator.risk.stress import stress
from aggregator.risk.volatility import ewma_variance
from tests.aggregator.estimated import DYNAMIC, HEAD, QUOTES, built, files, option_rows, resolved, spec_text
from tests.aggregator.histories import closes_of, correlated, csv_of
from tests.aggregator.markets import AS_OF, PRICES_E12, policy, prices, rates

QUOTED = spec_text(quotes=QUOTES)
SIZES = (500 * 10**8, 5_000 * 10**8)


def _rates(made: Policy, lines: str = "lines_im") -> list[int | None]:
    return previous_rates_e6(made, "ETH", lines, 1, SIZES)


def test_the_haircuts_of_the_policy_are_the_model_s_rounded_up() -> None:
    """lambda 0.94, 99 %, five days at IM and two at MM: the lines hold exactly those rates."""
    made = built()
    volatility = VolatilityForecast(ewma_variance(correlated()[:, 0]))
    depth = SquareRootImpact(1.0, 2_000_000)
    for lines, days in (("lines_im", 5), ("lines_mm", 2)):
        expected = tier_rates_e6(volatility, days, 0.99, depth, [500.0, 5000.0], short=False)
        assert _rates(made, lines)[:2] == expected
        assert _rates(made, lines)[2] == 500_000, "the open tier is at the cap"
    assert 0.10 < (_rates(made)[0] or 0) / 1e6 < 0.25


def test_the_rates_of_a_policy_are_read_back_from_its_lines() -> None:
    """demo.toml: 3 %, 6 % and 15 % at IM with ends at 500 and 5,000."""
    assert _rates(policy()) == [30_000, 60_000, 150_000]
    assert previous_rates_e6(policy(), "ETH", "lines_im", 1, (400 * 10**8, 900 * 10**8)) == [
        30_000,
        60_000,
        150_000,
    ]
    assert previous_rates_e6(policy(), "ETH", "lines_im", 1, (6_000 * 10**8,)) == [150_000, 150_000]
    assert previous_rates_e6(policy(), "ETH", "lines_im", -1, SIZES) == [None, None, None]
    assert previous_rates_e6(policy(), "XYZ", "lines_im", 1, SIZES) == [None, None, None]
    assert previous_rates_e6(None, "ETH", "lines_im", 1, SIZES) == [None, None, None]


def test_haircuts_rise_fast_and_fall_slowly_from_epoch_to_epoch() -> None:
    """Against demo.toml's 3 % and 6 %: at most 5 points up; back down at most one point an epoch."""
    first = built(previous=policy())
    assert _rates(first)[:2] == [80_000, 110_000]
    assert _rates(first)[2] == 200_000
    second = built(data=files(scale=0.06), previous=first)
    assert _rates(second)[:2] == [130_000, 160_000]
    calm = built(data=files(scale=0.001), previous=second)
    assert _rates(calm)[:2] == [120_000, 150_000]
    assert _rates(built(data=files(scale=0.001)))[0] == 20_000, "without an epoch before: the floor"


def test_im_is_never_below_mm_when_the_speed_limit_holds_mm_back() -> None:
    tight = spec_text(extra_dynamic="").replace("max_rise = 0.05", "max_rise = 0.0")
    crossed = policy()
    lines = tuple(Line(line.slope_e12, line.intercept_e26) for line in crossed.groups[0].lines_im)
    before = replace(crossed, groups=(replace(crossed.groups[0], lines_mm=lines), *crossed.groups[1:]))
    made = built(tight, previous=before)
    assert all((im or 0) >= (mm or 0) for im, mm in zip(_rates(made), _rates(made, "lines_mm"), strict=True))


def test_debts_get_tiers_as_well_when_asked() -> None:
    made = built(spec_text(extra_dynamic="short = true\n"))
    shorts = previous_rates_e6(made, "ETH", "lines_im", -1, SIZES)
    assert all((short or 0) >= (long or 0) for short, long in zip(shorts, _rates(made), strict=True)), (
        "a rise has no bound, a fall has"
    )


def test_a_depth_profile_stands_in_for_the_impact_law() -> None:
    flat = spec_text().replace(
        "daily_volume = 2_000_000",
        "depth = [{ quantity = 500, slippage = 0.01 }, { quantity = 4500, slippage = 0.05 }]",
    )
    market = _rates(built(spec_text().replace("daily_volume", "impact = 0\ndaily_volume")))[0] or 0
    found = _rates(built(flat))
    assert (found[0] or 0) - market in (10_000, 10_001)
    assert (found[1] or 0) - market in (50_000, 50_001)


def test_garch_is_a_model_too() -> None:
    made = built(spec_text(extra_dynamic='model = "garch"\n'))
    assert _rates(made) != _rates(built())
    with pytest.raises(PolicyError, match=r"eth\.csv: 200 returns are too few for GARCH"):
        built(spec_text(extra_dynamic='model = "garch"\ndays = 200\n'))


def test_the_correlations_of_the_policy_are_the_shrunk_ones_rounded_up() -> None:
    made = built()
    estimate, _ = ledoit_wolf(correlated()[-250:], ["ETH", "BTC"])
    expected = estimate[0, 1] + (1 - estimate[0, 1]) * 0.1
    rho = made.correlation_e6[0][1]
    assert rho == made.correlation_e6[1][0]
    assert expected <= rho / 1e6 < expected + 3e-6
    check_correlation(np.array(made.correlation_e6) / 1e6, made.classes)


def test_marks_come_from_the_fitted_surface() -> None:
    """The fit goes through quotes one point wide, so marks lie within half a point of volatility of the quotes' own."""
    spec, made = resolved(QUOTED)
    surface = Surface(made.slices["ETH"])
    for row in option_rows()[1:]:
        _, strike, _, bid, ask = row.split(",")
        years = made.slices["ETH"][0 if row.startswith("2027-02") else 1].years
        forward = 3000 * math.exp(np.interp(years, [0, 180 / 365], [0.05, 0.06]) * years)
        fitted = float(surface.volatility(np.log(float(strike) / forward), years))
        assert float(bid) - 0.002 < fitted < float(ask) + 0.002
    under = build_policy(made.applied(spec), prices(), rates(), as_of=AS_OF, epoch=1)
    smile = policy().by_symbol["ETH-20270214-3000-C"].mark_e12
    fit = under.by_symbol["ETH-20270214-3000-C"].mark_e12
    assert fit != smile
    assert abs(fit - smile) < smile // 20
    assert min(under.by_symbol["ETH-20270214-3000-C"].risk_e12) < 0
    assert made.applied(spec).estimates.needed is False


def test_quotes_in_usd_are_inverted_first() -> None:
    """The same options by price: the surface that comes out is the one that went in."""
    from datetime import date

    from aggregator.policy.derivatives import years_to
    from aggregator.pricing import black76

    rows = ["expiry,strike,type,bid,ask"]
    for row in option_rows()[1:]:
        day, strike, side, bid, ask = row.split(",")
        years = years_to(date.fromisoformat(day), AS_OF)
        forward = 3000 * math.exp(float(np.interp(years, [0, 180 / 365], [0.05, 0.06])) * years)
        low, high = (
            float(black76.value(forward, float(strike), years, float(v), side == "C")) for v in (bid, ask)
        )
        rows.append(f"{day},{strike},{side},{low!r},{high!r}")
    text = spec_text(quotes=QUOTES.replace('"volatility"', '"usd"'))
    by_price = built(text, files(options="\n".join(rows)))
    by_volatility = built(QUOTED)
    for one in by_volatility.instruments:
        assert abs(by_price.by_symbol[one.symbol].mark_e12 - one.mark_e12) <= one.mark_e12 // 10**5 + 10


def test_sabr_is_a_surface_too() -> None:
    """The same quotes, another model: marks within the quotes' width of each other, and the desk moves it."""
    text = spec_text(quotes=QUOTES + 'model = "sabr"\n')
    spec, made = resolved(text)
    assert all(isinstance(one, SabrSlice) for one in made.slices["ETH"])
    inputs = PolicyInputs(text, made, prices(), rates(), AS_OF, 1, zero_stale=False)
    assert parse_inputs(encode_inputs(inputs)).resolved.slices == made.slices
    sabr = build_policy(made.applied(spec), prices(), rates(), as_of=AS_OF, epoch=1)
    svi = built(QUOTED)
    for strike in (2500, 3000, 3500):
        one, other = (p.by_symbol[f"ETH-20270214-{strike}-C"].mark_e12 for p in (sabr, svi))
        assert abs(one - other) < 5 * 10**12
    desk = Desk(made.applied(spec), prices(), rates(), AS_OF, {"ETH-20270214-3000-C": 10**8})
    risen = stress(desk, "vol", Moves({}, volatility_e6=250_000))
    assert 50 * 10**20 < risen.pnl_e20 < 65 * 10**20, "16 points more on a vega of 3.4"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ('model = "heston"', "model is 'heston'"),
        ("beta = 0.5", "beta belongs to sabr"),
        ('model = "sabr"\nbeta = 2', "beta is above 1"),
    ],
)
def test_a_bad_surface_model_is_refused(key: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        parse_spec(spec_text(quotes=f"{QUOTES}{key}\n"), "spec")


BAD_QUOTES = [
    ("2027-02-14,3000,C,0.7,0.6", "line 2: the quote is crossed, bid 0.7 above ask 0.6"),
    ("2027-02-14,3000,C,nan,0.6", "line 2: bid is 'nan'"),
    ("2027-02-14,3000,C,0.5,-0.6", "line 2: ask is '-0.6'"),
    ("2027-02-14,0,C,0.5,0.6", "line 2: strike is '0'"),
    ("2027-02-14,3000,X,0.5,0.6", "line 2: type is 'X'"),
    ("2027-01-15,3000,C,0.5,0.6", "line 2: the option expires on 2027-01-15, past or within the hour"),
    ("2026-02-14,3000,C,0.5,0.6", "line 2: the option expires on 2026-02-14"),
    ("soon,3000,C,0.5,0.6", "line 2: expiry is 'soon'"),
    ("2027-02-14,3000,C,0.5", "line 2: has 4 fields"),
    ("2027-02-14,3000,C,0.5,0.6\n2027-02-14,3000,C,0.5,0.6", "line 3: 2027-02-14 3000 C is quoted twice"),
    ("", "has no quotes"),
    (
        "\n".join(f"2027-02-14,{strike},C,60,65" for strike in range(2000, 4000, 250)),
        "has the ask 65, above 20; write 64 % as 0.64",
    ),
    ("2027-02-14,3000,C,0.5,0.6", "has 1 volatility quotes"),
]


@pytest.mark.parametrize(("rows", "message"), BAD_QUOTES)
def test_bad_option_quotes_are_refused_by_their_line(rows: str, message: str) -> None:
    with pytest.raises(PolicyError, match=r"options\.csv") as caught:
        built(QUOTED, data=files(options="\n".join(["expiry,strike,type,bid,ask", *filter(None, [rows])])))
    assert message in str(caught.value)


def test_a_price_no_volatility_gives_is_refused() -> None:
    text = spec_text(quotes=QUOTES.replace('"volatility"', '"usd"'))
    rows = "expiry,strike,type,bid,ask\n2027-02-14,2000,C,500,600"
    with pytest.raises(PolicyError, match="line 2: bid 500 USD is no price of this option"):
        built(text, files(options=rows))
    with pytest.raises(PolicyError, match="line 1: the header"):
        built(QUOTED, files(options="strike,expiry\n"))


def test_the_data_has_to_be_there_fresh_and_aligned() -> None:
    data = files()
    with pytest.raises(PolicyError, match=r"names the file btc\.csv, which was not read"):
        resolved(data={name: text for name, text in data.items() if name != "btc.csv"})
    with pytest.raises(PolicyError, match=r"btc\.csv has 100 daily returns and 250"):
        resolved(data=files(btc=csv_of(closes_of(correlated(100)[:, 1], 1.0))))
    behind = "\n".join(data["btc.csv"].splitlines()[:-2])
    with pytest.raises(PolicyError, match=r"estimated_correlation: btc\.csv ends on"):
        resolved(data=files(btc=behind))
    stale = "\n".join(data["eth.csv"].splitlines()[:-30])
    with pytest.raises(PolicyError, match=r"eth\.csv ends on .* 31 days before"):
        resolved(data=files(eth=stale))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('history = "ETH"', 'history = "XYZ"'), "history names XYZ, which is not among"),
        (("sizes = [500, 5_000]", "sizes = [500, 500]"), "sizes is not a rising list"),
        (("sizes = [500, 5_000]", "sizes = [1, 2, 3, 4, 5, 6]"), "more than 6 tiers"),
        (("confidence = 0.99", "confidence = 1"), "confidence is not inside"),
        (("horizon_mm = 2", "horizon_mm = 9"), "horizon_mm is above horizon_im"),
        (("floor = 0.02", "floor = 0.9"), "0 <= floor <= cap"),
        (("daily_volume = 2_000_000", ""), "depth and daily_volume are both absent"),
        (("daily_volume = 2_000_000", "daily_volume = 0"), "the daily volume is 0"),
        (('benchmark = "BTC"', 'benchmark = "SOL"'), "benchmark names SOL"),
        (('BTC = "btc.csv"', ""), "names BTC, which is not among"),
        (('unit = "volatility"', 'unit = "eth"'), "unit is 'eth'"),
        (("horizon_mm = 2", "horizon_mm = 2\nspeed = 1"), "speed is not a known key"),
    ],
)
def test_a_bad_spec_is_refused_by_its_key(change: tuple[str, str], message: str) -> None:
    text = QUOTED
    assert change[0] in text
    with pytest.raises(PolicyError) as caught:
        parse_spec(text.replace(*change), "spec")
    assert message in str(caught.value)


def test_two_ways_of_saying_one_thing_are_refused() -> None:
    text = spec_text().replace("scan_factor_mm = 1.0", "scan_factor_mm = 1.0\ncorrelations = []")
    with pytest.raises(PolicyError, match="stands beside correlations"):
        parse_spec(text, "spec")
    both = DYNAMIC.replace("[assets.dynamic]", "long_tiers = [{ im = 0.1, mm = 0.1 }]\n[assets.dynamic]")
    with pytest.raises(PolicyError, match="stands beside long_tiers"):
        parse_spec(spec_text().replace(DYNAMIC, both), "spec")


def test_an_unresolved_spec_cannot_be_built() -> None:
    """Without its estimates the correlations would be zero, which is the least margin."""
    spec = parse_spec(QUOTED, "spec")
    with pytest.raises(PolicyError, match="resolve it before it is built"):
        build_policy(spec, prices(), rates(), as_of=AS_OF, epoch=1)
    with pytest.raises(PolicyError, match="haircuts of ETH, the surface of ETH, the correlations"):
        NOTHING.applied(spec)
    assert HEAD in spec_text()


@cache
def _inputs() -> PolicyInputs:
    _, made = resolved(QUOTED)
    return PolicyInputs(QUOTED, made, prices(), rates(), AS_OF, 1, zero_stale=False)


def test_inputs_survive_their_document_and_give_the_policy_again() -> None:
    inputs = _inputs()
    again = parse_inputs(encode_inputs(inputs))
    assert again == replace(inputs, resolved=replace(inputs.resolved, notes=()))
    of = build_policy(again.spec(), prices(), rates(), as_of=AS_OF, epoch=1)
    again.check_are_of(of)
    with pytest.raises(PolicyError, match="do not give policy demo"):
        again.check_are_of(replace(of, correlation_e6=policy().correlation_e6))
    assert again.resolved.betas_e6["BTC"] == 1_000_000
    with pytest.raises(PolicyError, match="do not give policy demo"):
        again.check_are_of(policy())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("schema",), "counterfoil/policy-inputs/9", "schema is"),
        (("prices", "ETH", "price_e12"), 5, "price_e12 is not a decimal string"),
        (("prices", "ETH", "colour"), "red", "colour is not a field"),
        (("prices", "ETH", "stale"), "no", "stale is not true or false"),
        (("tiers", "ETH", "long_im"), [], None),
        (("slices", "ETH"), [{}], "lacks the field"),
        (("correlation_e6",), [["a"]], "not a list of integers"),
        (("betas_e6", "ETH"), 1, "not a decimal string"),
        (("tiers",), [], "is not a JSON object"),
    ],
)
def test_malformed_inputs_are_refused_by_their_field(
    path: tuple[str, ...], value: object, message: str | None
) -> None:
    document = json.loads(encode_inputs(_inputs()))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    if message is None:
        with pytest.raises(PolicyError):
            parse_inputs(json.dumps(document)).check_are_of(built())
        return
    with pytest.raises(PolicyError) as caught:
        parse_inputs(json.dumps(document))
    assert message in str(caught.value)


def test_a_number_of_a_slice_has_to_be_finite() -> None:
    document = json.loads(encode_inputs(_inputs()))
    document["slices"]["ETH"][0]["b"] = "nan"
    with pytest.raises(PolicyError, match=r"slices\[0\]\.b is not a finite number"):
        parse_inputs(json.dumps(document))
    assert PRICES_E12
