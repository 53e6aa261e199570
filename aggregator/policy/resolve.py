"""Estimates into numbers: haircut tiers, correlations and fitted surfaces of a spec, from the data files it names.

This is where the floats of these models end, except for the slices of a surface, which are one more input of the marks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np

from aggregator.model.errors import PolicyError
from aggregator.model.policy import Instrument, InstrumentKind, Line, Policy
from aggregator.model.units import PRICE_SCALE, QUANTITY_SCALE, RATE_SCALE
from aggregator.policy.estimates import CorrelationModel, HaircutModel, QuoteFile
from aggregator.policy.haircut import Tier, check_tiers
from aggregator.policy.spec import AssetSpec, ClassSpec, PolicySpec
from aggregator.pricing.black76 import Floats
from aggregator.pricing.fit import fit_svi
from aggregator.pricing.forward import ForwardCurve
from aggregator.pricing.option_quotes import parse_option_quotes, volatility_quotes
from aggregator.pricing.sabr import SabrSlice, fit_sabr
from aggregator.pricing.surface import Surface, SviSlice
from aggregator.risk.correlation import beta, ledoit_wolf, margin_correlation_e6, worst_window_correlation
from aggregator.risk.haircuts import VolatilityForecast, bounded_rates_e6, forecast, tier_rates_e6
from aggregator.risk.history import History, parse_history

DAYS_PER_YEAR: Final = 365


@dataclass(frozen=True, slots=True)
class Tiers:
    """Haircut tiers of one asset, as in `AssetSpec`."""

    long_im: tuple[Tier, ...]
    long_mm: tuple[Tier, ...]
    short_im: tuple[Tier, ...]
    short_mm: tuple[Tier, ...]


@dataclass(frozen=True)
class Resolved:
    """What was estimated: tiers by asset, correlations (None: those of the spec), slices by class; betas to the
    benchmark by the name of a price, in 1e-6, and notes for a person."""

    tiers: Mapping[str, Tiers]
    correlation_e6: tuple[tuple[int, ...], ...] | None
    slices: Mapping[str, tuple[SviSlice | SabrSlice, ...]]
    betas_e6: Mapping[str, int]
    notes: tuple[str, ...] = ()

    def applied(self, spec: PolicySpec) -> PolicySpec:
        """The spec with the estimates in their places, ready to be built.

        Raises PolicyError when something that the spec estimates is missing here.
        """
        wanted = spec.estimates
        missing = [f"haircuts of {name}" for name in wanted.haircuts if name not in self.tiers]
        missing += [f"the surface of {name}" for name in wanted.surfaces if name not in self.slices]
        if wanted.correlation is not None and self.correlation_e6 is None:
            missing.append("the correlations")
        if missing:
            raise PolicyError(f"estimates are missing: {', '.join(missing)}; build the policy again")
        return replace(
            spec,
            classes=tuple(replace(one, slices=self.slices.get(one.name, ())) for one in spec.classes),
            assets=tuple(_with_tiers(one, self.tiers.get(one.name)) for one in spec.assets),
            correlation_e6=self.correlation_e6 or spec.correlation_e6,
            estimates=replace(wanted, haircuts={}, correlation=None, surfaces={}),
        )


NOTHING: Final = Resolved({}, None, {}, {})


def _with_tiers(asset: AssetSpec, tiers: Tiers | None) -> AssetSpec:
    if tiers is None:
        return asset
    return replace(
        asset,
        long_im=tiers.long_im,
        long_mm=tiers.long_mm,
        short_im=tiers.short_im,
        short_mm=tiers.short_mm,
    )


def _text(files: Mapping[str, str], name: str, where: str) -> str:
    if name not in files:
        raise PolicyError(f"{where} names the file {name}, which was not read; put it beside the spec")
    return files[name]


def _price_of_group(previous: Policy, group_id: int) -> int | None:
    members = (
        one
        for one in previous.instruments
        if one.group_id == group_id and one.unit_e6 == RATE_SCALE and one.mark_e12 > 0
    )
    ordered: list[Instrument] = sorted(members, key=lambda one: one.kind is not InstrumentKind.SPOT)
    return ordered[0].mark_e12 if ordered else None


def _rates_of_lines(lines: Sequence[Line], price_e12: int, sign: int) -> list[tuple[Fraction, int]]:
    """(start in units of 1e-14, rate in 1e-6) of each tier that the lines of one side were made from."""
    side = [line for line in lines if line.slope_e12 * sign > 0]
    found: list[tuple[Fraction, int]] = []
    for n, line in enumerate(side):
        slope = line.slope_e12 * sign
        start = Fraction(0)
        if n:
            before = side[n - 1]
            rise = slope - before.slope_e12 * sign
            if rise == 0:
                continue
            start = Fraction(before.intercept_e26 - line.intercept_e26, rise)
        found.append((start, slope * RATE_SCALE // price_e12))
    return found


def previous_rates_e6(
    previous: Policy | None, asset: str, lines: str, sign: int, sizes_e8: Sequence[int]
) -> list[int | None]:
    """The rates (1e-6) that a policy charged on tiers ending at `sizes_e8`, and on the open tier; None without one.

    Where the earlier tiers ended elsewhere, a tier has the rate that was charged at its end.
    lines: "lines_im" or "lines_mm"; sign: 1 for holdings, -1 for debts.
    """
    nothing: list[int | None] = [None] * (len(sizes_e8) + 1)
    if previous is None:
        return nothing
    group = next((one for one in previous.groups if one.name == asset), None)
    price = _price_of_group(previous, group.id) if group is not None else None
    if group is None or price is None:
        return nothing
    tiers = _rates_of_lines(getattr(group, lines), price, sign)
    if not tiers:
        return nothing
    ends = [Fraction(size * RATE_SCALE) for size in sizes_e8]
    at_ends: list[int | None] = [[rate for start, rate in tiers if start < end][-1] for end in ends]
    return [*at_ends, tiers[-1][1]]


def _side(
    model: HaircutModel, asset: str, volatility: VolatilityForecast, previous: Policy | None, *, short: bool
) -> tuple[tuple[Tier, ...], tuple[Tier, ...]]:
    """Tiers of one side at IM and MM; IM is raised where MM, held by its speed limit, would be above it."""
    ends = [size / QUANTITY_SCALE for size in model.sizes_e8]
    rates = {}
    for lines, days in (("lines_im", model.horizon_im), ("lines_mm", model.horizon_mm)):
        wanted = tier_rates_e6(volatility, days, model.confidence, model.depth, ends, short=short)
        before = previous_rates_e6(previous, asset, lines, -1 if short else 1, model.sizes_e8)
        rates[lines] = bounded_rates_e6(wanted, before, model.bounds)
    up_to: list[int | None] = [*model.sizes_e8, None]
    im = tuple(
        Tier(end, max(at_im, at_mm))
        for end, at_im, at_mm in zip(up_to, rates["lines_im"], rates["lines_mm"], strict=True)
    )
    mm = tuple(Tier(end, at_mm) for end, at_mm in zip(up_to, rates["lines_mm"], strict=True))
    check_tiers(im, model.where)
    check_tiers(mm, model.where)
    return im, mm


def _tiers(
    model: HaircutModel, asset: str, history: History, previous: Policy | None
) -> tuple[Tiers, VolatilityForecast]:
    try:
        volatility = forecast(history.returns(model.days), model.model, model.decay)
    except PolicyError as error:
        raise PolicyError(f"{model.where}: {history.where}: {error}") from error
    long_im, long_mm = _side(model, asset, volatility, previous, short=False)
    short_im, short_mm = _side(model, asset, volatility, previous, short=True) if model.short else ((), ())
    return Tiers(long_im, long_mm, short_im, short_mm), volatility


def _aligned(histories: Sequence[History], days: int) -> Floats:
    """The latest returns of all histories side by side; PolicyError when they end on different days."""
    for one in histories:
        if one.last != histories[0].last:
            raise PolicyError(
                f"{one.where} ends on {one.last} and {histories[0].where} on {histories[0].last}; end them on one day"
            )
    return np.stack([one.returns(days) for one in histories], axis=1)


def _correlation(
    model: CorrelationModel, classes: Sequence[ClassSpec], histories: Mapping[str, History]
) -> tuple[tuple[tuple[int, ...], ...], str]:
    names = [one.name for one in classes]
    try:
        returns = _aligned([histories[one.price] for one in classes], model.days)
        estimate, intensity = ledoit_wolf(returns, names)
        window = model.stress.worst_window
        worst = worst_window_correlation(returns, names, window) if window else None
        return margin_correlation_e6(estimate, names, model.stress, worst), f"{intensity:.3f}"
    except PolicyError as error:
        raise PolicyError(f"{model.where}: {error}") from error


def _slices(
    quotes: QuoteFile, one: ClassSpec, text: str, price_e12: int, as_of: int
) -> tuple[SviSlice | SabrSlice, ...]:
    curve = ForwardCurve(
        price_e12 / PRICE_SCALE, tuple((days / DAYS_PER_YEAR, rate) for days, rate in one.carry)
    )
    rows = parse_option_quotes(text, quotes.file)
    found = volatility_quotes(rows, quotes.file, curve, as_of, in_usd=quotes.unit == "usd")
    try:
        slices: tuple[SviSlice | SabrSlice, ...] = (
            fit_sabr(found, quotes.beta) if quotes.model == "sabr" else fit_svi(found)
        )
        Surface(slices)
    except PolicyError as error:
        raise PolicyError(f"{quotes.where}: {quotes.file}: {error}") from error
    return slices


def resolve(
    spec: PolicySpec,
    files: Mapping[str, str],
    spots_e12: Mapping[str, int],
    *,
    as_of: int,
    previous: Policy | None = None,
) -> Resolved:
    """The estimates of `spec`.

    files: text by the name that the spec uses; spots_e12: prices in 1e-12 USD that quotes in USD are inverted at;
    previous: the policy of the epoch before, which speed limits count from.

    Raises PolicyError naming file, line and field for bad data, or the spec's key for a model that finds no answer.
    """
    wanted = spec.estimates
    histories = {}
    for name, file in wanted.histories.files.items():
        history = parse_history(_text(files, file, f"histories.{name}"), file)
        history.check_age(as_of, wanted.histories.max_age_days)
        histories[name] = history
    notes, tiers = [], {}
    for asset, model in wanted.haircuts.items():
        tiers[asset], volatility = _tiers(model, asset, histories[model.history], previous)
        annual = volatility.daily * DAYS_PER_YEAR**0.5
        rates = ", ".join(f"{tier.rate_e6 / RATE_SCALE:.2%}" for tier in tiers[asset].long_im)
        notes.append(f"{asset}: volatility {annual:.1%} a year ({model.model}), haircuts at IM {rates}")
    correlation = None
    if wanted.correlation is not None:
        correlation, intensity = _correlation(wanted.correlation, spec.classes, histories)
        notes.append(f"correlations: {wanted.correlation.days} days, shrinkage {intensity}")
    slices = {}
    for one in spec.classes:
        quotes = wanted.surfaces.get(one.name)
        if quotes is None:
            continue
        if one.price not in spots_e12:
            raise PolicyError(
                f"{quotes.where} needs the price of {one.price}, which is missing; refresh its feed"
            )
        text = _text(files, quotes.file, quotes.where)
        slices[one.name] = _slices(quotes, one, text, spots_e12[one.price], as_of)
        notes.append(f"{one.name}: a surface of {len(slices[one.name])} expiries fitted to {quotes.file}")
    return Resolved(tiers, correlation, slices, _betas(spec, histories), tuple(notes))


def _betas(spec: PolicySpec, histories: Mapping[str, History]) -> dict[str, int]:
    risk = spec.estimates.risk
    if risk is None:
        return {}
    found = {}
    for name, history in histories.items():
        returns = _aligned([histories[risk.benchmark], history], risk.days)
        found[name] = round(Fraction(beta(returns[:, 1], returns[:, 0])) * RATE_SCALE)
    return found
