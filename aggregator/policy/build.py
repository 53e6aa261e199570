"""From a spec and prices to a policy: the floats of the models end here, rounded once.

Instrument ids follow the order of the spec (cash, tokens and debts by asset, wrappers and debts in them,
deposits, pools, perps, futures, options). An
instrument that cannot be priced keeps its id reserved, so the others keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from aggregator.model.errors import PolicyError
from aggregator.model.policy import Instrument, NettingGroup, Policy
from aggregator.model.units import INTERCEPT_BOUND, PRICE_SCALE, QUANTITY_SCALE
from aggregator.policy.check import check_policy, largest_quantity_e8, position_factor_e12
from aggregator.policy.claims import Claims
from aggregator.policy.collateral import Place, cash, debt_drafts, netting_group, spot_drafts
from aggregator.policy.derivatives import future_drafts, option_drafts, perp_drafts
from aggregator.policy.draft import ClassContext, Draft
from aggregator.policy.marginal import worth_holding
from aggregator.policy.quotes import FREE, PriceQuote, Quotes, RateQuote
from aggregator.policy.slopes import slopes_of
from aggregator.policy.spec import ClassSpec, PolicySpec
from aggregator.pricing.forward import ForwardCurve
from aggregator.pricing.surface import Surface, ssvi_slice
from aggregator.risk.market import Market

DAYS_PER_YEAR = 365


def market_of(one: ClassSpec, price_e12: int) -> Market:
    """The market of a class at a spot price; raises PolicyError when its smile admits arbitrage."""
    surface = Surface(one.slices) if one.slices else None
    if one.smile is not None:
        smile = one.smile
        surface = Surface(
            tuple(ssvi_slice(d / DAYS_PER_YEAR, v, smile.rho, smile.eta, smile.gamma) for d, v in smile.atm)
        )
    knots = tuple((days / DAYS_PER_YEAR, rate) for days, rate in one.carry)
    return Market(one.name, ForwardCurve(price_e12 / PRICE_SCALE, knots), surface, one.shocks)


def _contexts(spec: PolicySpec, quotes: Quotes) -> dict[str, ClassContext]:
    contexts = {}
    for class_id, one in enumerate(spec.classes, start=1):
        price = quotes.fresh_price(one.price)
        markets = None
        if price is not None:
            high = quotes.debt_price(one.price) or price
            low_market = market_of(one, price)
            markets = (low_market, low_market if high == price else market_of(one, high))
        contexts[one.name] = ClassContext(
            one.name, class_id, one.shocks, spec.scenarios, spec.scan_factor, markets
        )
    return contexts


def _drafts(
    spec: PolicySpec, quotes: Quotes, groups: Sequence[NettingGroup], as_of: int
) -> Iterator[Draft | None]:
    contexts = _contexts(spec, quotes)
    places = {
        asset.name: Place(
            asset, contexts[asset.class_name] if asset.class_name else None, group.id, slopes_of(group)
        )
        for asset, group in zip(spec.assets, groups, strict=True)
    }
    expires = as_of + spec.lifetime_s
    yield cash()
    for place in places.values():
        yield from spot_drafts(spec, place, quotes)
        yield from debt_drafts(place, quotes)
    yield from Claims(spec, quotes, places).drafts()
    for perp in spec.perps:
        yield from perp_drafts(perp, contexts[perp.class_name], quotes)
    for future in spec.futures:
        yield from future_drafts(future, contexts[future.class_name], as_of, expires)
    for option in spec.options:
        yield from option_drafts(option, contexts[option.class_name], as_of, expires)


def _instrument(instrument_id: int, draft: Draft, max_position_usd: int) -> Instrument:
    """A draft with its id and the position limit: the USD limit at its price, within W1 and W3."""
    instrument = Instrument(
        id=instrument_id,
        symbol=draft.symbol,
        kind=draft.kind,
        underlying=draft.underlying,
        class_id=draft.class_id,
        group_id=draft.group_id,
        mark_e12=draft.mark_e12,
        unit_e6=draft.unit_e6,
        max_quantity_e8=0,
        risk_e12=draft.risk_e12,
        addon_im=draft.addon_im,
        addon_mm=draft.addon_mm,
    )
    largest = largest_quantity_e8(position_factor_e12(instrument))
    if draft.limit_price_e12:
        largest = min(largest, max_position_usd * PRICE_SCALE * QUANTITY_SCALE // draft.limit_price_e12)
    return replace(instrument, max_quantity_e8=largest)


def limit_groups(instruments: Iterable[Instrument], groups: Iterable[NettingGroup]) -> tuple[Instrument, ...]:
    """Position limits lowered where a group could otherwise reach the bound of W1: an equal share for each member."""
    kept = list(instruments)
    for group in groups:
        steepest = max(abs(line.slope_e12) for line in (*group.lines_im, *group.lines_mm))
        members = [n for n, i in enumerate(kept) if i.group_id == group.id and i.unit_e6]
        for n in members if steepest else ():
            share = (INTERCEPT_BOUND - 1) // (steepest * kept[n].unit_e6 * len(members))
            kept[n] = replace(kept[n], max_quantity_e8=min(kept[n].max_quantity_e8, share))
    return tuple(kept)


def build_policy(
    spec: PolicySpec,
    prices: Mapping[str, PriceQuote],
    rates: Mapping[str, RateQuote],
    *,
    as_of: int,
    epoch: int,
    zero_stale_collateral: bool = False,
    zeroed: dict[str, str] | None = None,
) -> Policy:
    """A policy that keeps W1-W7.

    prices, rates: quotes by the names the spec uses; as_of: Unix seconds; epoch: >= 0, raised by the publisher with
    every policy. With `zero_stale_collateral`, collateral whose price or rate is stale or missing counts as zero, a
    debt keeps its last price raised by the spec's margin, and derivatives on it are left out; `zeroed`, when given,
    receives each such price or rate with the reason.

    Raises PriceError for a stale or missing quote otherwise, and PolicyError when the result breaks a bound.
    """
    if spec.estimates.needed:
        raise PolicyError(
            f"the spec {spec.name} estimates numbers from data files; resolve it before it is built"
        )
    quotes = Quotes(
        prices,
        rates,
        zero_stale_collateral,
        spec.stale_debt_margin_e6,
        as_of,
        demands={asset.price: asset.demand for asset in spec.assets if asset.demand != FREE},
        zeroed={} if zeroed is None else zeroed,
    )
    groups = tuple(netting_group(n, asset, quotes) for n, asset in enumerate(spec.assets, start=1))
    instruments = [
        _instrument(instrument_id, worth_holding(draft, groups, spec, quotes), spec.max_position_usd)
        for instrument_id, draft in enumerate(_drafts(spec, quotes, groups, as_of), start=1)
        if draft is not None
    ]
    policy = Policy(
        name=spec.name,
        publisher=spec.publisher,
        epoch=epoch,
        as_of=as_of,
        expires=as_of + spec.lifetime_s,
        classes=tuple(one.name for one in spec.classes),
        scenarios=tuple(s.name for s in spec.scenarios),
        scan_factor_im_e6=spec.scan_factor.im_e6,
        scan_factor_mm_e6=spec.scan_factor.mm_e6,
        correlation_e6=spec.correlation_e6,
        groups=groups,
        instruments=limit_groups(instruments, groups),
        acceptance=spec.acceptance,
    )
    check_policy(policy)
    return policy
