"""An account beside the spec and quotes its policy is built from, so that markets can be moved and all re-valued.

A moved market is a new policy: marks, smiles, risk arrays, haircuts and add-ons are built again, nothing is scaled by
hand. Only what the account holds is built, with strikes and expiries held still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from aggregator.fixed import div_ceil, div_floor
from aggregator.margin.native import Evaluation, evaluate, positions_by_id
from aggregator.margin.rulebooks.base import Holding, holding_of
from aggregator.model.errors import InputError
from aggregator.model.policy import InstrumentKind, Level, Policy
from aggregator.model.units import PRICE_BOUND, RATE_SCALE
from aggregator.policy.build import build_policy, market_of
from aggregator.policy.derivatives import YEAR_S, expiry_dates, years_to
from aggregator.policy.quotes import PriceQuote, RateQuote
from aggregator.policy.spec import ClassSpec, Expiries, OptionSpec, PolicySpec, Strikes
from aggregator.pricing.sabr import SabrSlice
from aggregator.pricing.surface import SviSlice
from aggregator.risk.market import Market

LARGEST_POSITION_USD: Final = 10**15
"""A moved price must not push a holding over the spec's position limit: the limit is for opening, not for stress."""
MAX_SKEW: Final = 0.99


@dataclass(frozen=True)
class Moves:
    """A state of the market against the quotes, exact in 1e-6.

    `spot_e6` are relative moves by the name of a price; "*" moves the price of every risk class not named, and no
    stable coin. `volatility_e6` is relative, `skew_e6` is added to the smile's rho, `basis_e6` to the annual carry.
    `correlation_e6` is the share of the way each correlation goes to 1. `rates_e6` are relative moves of the rates of
    wrappers by the name of a rate: what a staking token or a vault share is worth in its asset.
    """

    spot_e6: Mapping[str, int]
    volatility_e6: int = 0
    skew_e6: int = 0
    basis_e6: int = 0
    correlation_e6: int = 0
    rates_e6: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, move in (*self.spot_e6.items(), *self.rates_e6.items()):
            if move <= -RATE_SCALE:
                raise InputError(f"the spot move of {name} takes it to zero or below; use one above -1")
        if self.volatility_e6 <= -RATE_SCALE:
            raise InputError("the volatility move leaves no volatility; use one above -1")
        if not 0 <= self.correlation_e6 <= RATE_SCALE:
            raise InputError("the correlation move is a share of 0..1; correct it")


STILL: Final = Moves({})


@dataclass(frozen=True)
class Desk:
    """`positions` by symbol in 1e-8; spec, quotes and `zero_stale` as for `build_policy`."""

    spec: PolicySpec
    prices: Mapping[str, PriceQuote]
    rates: Mapping[str, RateQuote]
    as_of: int
    positions: Mapping[str, int]
    zero_stale: bool = False

    @cached_property
    def _full(self) -> Policy:
        return self._build(self.spec, self.prices, self.rates)

    def _build(
        self, spec: PolicySpec, prices: Mapping[str, PriceQuote], rates: Mapping[str, RateQuote]
    ) -> Policy:
        return build_policy(
            spec, prices, rates, as_of=self.as_of, epoch=0, zero_stale_collateral=self.zero_stale
        )

    @cached_property
    def holdings(self) -> tuple[Holding, ...]:
        """The positions with their terms; InputError for a symbol the policy does not price."""
        ids = positions_by_id(self._full, self.positions)
        return tuple(holding_of(self._full.by_id[i], quantity, self.as_of) for i, quantity in ids.items())

    def _options(self) -> tuple[OptionSpec, ...]:
        """Option specs cut down to the strikes and expiries held, which no longer follow the index."""
        kept = []
        for one in self.spec.options:
            options = [h for h in self.holdings if h.option and h.underlying == one.class_name]
            held = {h.option.strike_e8 for h in options if h.option}
            times = {h.seconds for h in options}
            dates = tuple(
                day
                for day in expiry_dates(one.expiries, self.as_of)
                if round(years_to(day, self.as_of) * YEAR_S) in times
            )
            index = self._price_e12(self._class(one.class_name).price)
            strikes = tuple(k for k in one.strikes.at(index) if k in held)
            if strikes:
                kept.append(replace(one, strikes=Strikes(strikes, (), 0), expiries=Expiries(dates, ())))
        return tuple(kept)

    def _class(self, name: str) -> ClassSpec:
        return next(c for c in self.spec.classes if c.name == name)

    def _price_e12(self, name: str) -> int:
        quote = self.prices.get(name)
        if quote is None:
            raise InputError(f"there is no price {name!r}; use one of {', '.join(sorted(self.prices))}")
        return quote.price_e12

    @cached_property
    def _held(self) -> PolicySpec:
        dated = {h.underlying for h in self.holdings if h.kind is InstrumentKind.FUTURE}
        return replace(
            self.spec,
            max_position_usd=LARGEST_POSITION_USD,
            options=self._options(),
            futures=tuple(f for f in self.spec.futures if f.class_name in dated),
        )

    def price_e12(self, name: str) -> int:
        """The quote called `name`; InputError when there is none."""
        return self._price_e12(name)

    def market(self, name: str) -> Market:
        """The market of the class called `name`, unmoved."""
        one = self._class(name)
        return market_of(one, self._price_e12(one.price))

    def moved_prices(self, moves: Moves) -> dict[str, int]:
        """The prices (1e-12 USD, rounded down) that `moves` touch: those of every class, and those it names."""
        spots = {c.price: moves.spot_e6.get("*", 0) for c in self.spec.classes} | {
            name: move for name, move in moves.spot_e6.items() if name != "*"
        }
        return {
            name: div_floor(self._price_e12(name) * (RATE_SCALE + move), RATE_SCALE)
            for name, move in spots.items()
        }

    def policy(self, moves: Moves = STILL) -> Policy:
        """The policy of a moved market; PolicyError when the moved smile admits arbitrage."""
        return self.policy_at(self.moved_prices(moves), moves)

    def policy_at(self, prices_e12: Mapping[str, int], moves: Moves = STILL) -> Policy:
        """The policy with these prices (1e-12 USD) in place of the quotes, and the other moves applied."""
        for name, price in prices_e12.items():
            self._price_e12(name)
            if not 0 < price < PRICE_BOUND:
                raise InputError(f"the price {price}e-12 of {name} is not above zero and below the bound")
        quotes = dict(self.prices) | {
            name: _moved_quote(self.prices[name], price) for name, price in prices_e12.items()
        }
        spec = replace(
            self._held,
            classes=tuple(_moved_class(one, moves) for one in self._held.classes),
            correlation_e6=tuple(
                tuple(rho + (RATE_SCALE - rho) * moves.correlation_e6 // RATE_SCALE for rho in row)
                for row in self._held.correlation_e6
            ),
        )
        return self._build(spec, quotes, self._moved_rates(moves))

    def _moved_rates(self, moves: Moves) -> dict[str, RateQuote]:
        rates = dict(self.rates)
        for name, move in moves.rates_e6.items():
            if name not in rates:
                raise InputError(
                    f"there is no rate {name!r}; use one of {', '.join(sorted(rates)) or 'none'}"
                )
            quote = rates[name]
            moved = div_floor(quote.rate_e12 * (RATE_SCALE + move), RATE_SCALE)
            high = div_ceil(quote.high_e12 * (RATE_SCALE + move), RATE_SCALE)
            rates[name] = replace(quote, rate_e12=moved, high_e12=high)
        return rates

    def evaluate(self, policy: Policy, level: Level) -> Evaluation:
        """The account under a policy of this desk."""
        return evaluate(policy, positions_by_id(policy, self.positions), level)


def _moved_quote(quote: PriceQuote, price_e12: int) -> PriceQuote:
    """The quote at another price; what debts are valued at moves with it."""
    high = div_ceil(quote.high_e12 * price_e12, quote.price_e12)
    return replace(quote, price_e12=price_e12, high_e12=high)


def _moved_slice(one: SviSlice | SabrSlice, factor: float, skew: float) -> SviSlice | SabrSlice:
    """A fitted slice with its volatility times `factor` and its rho moved.

    A SABR slice takes the factor in alpha and nu, which moves all volatilities by it up to the term in time.
    """
    rho = max(-MAX_SKEW, min(MAX_SKEW, one.rho + skew))
    if isinstance(one, SabrSlice):
        return replace(one, alpha=one.alpha * factor, nu=one.nu * factor, rho=rho)
    return replace(one, a=one.a * factor**2, b=one.b * factor**2, rho=rho)


def _moved_class(one: ClassSpec, moves: Moves) -> ClassSpec:
    carry = tuple((days, rate + moves.basis_e6 / RATE_SCALE) for days, rate in one.carry)
    factor = (RATE_SCALE + moves.volatility_e6) / RATE_SCALE
    if one.smile is None:
        slices = tuple(_moved_slice(s, factor, moves.skew_e6 / RATE_SCALE) for s in one.slices)
        return replace(one, carry=carry, slices=slices)
    rho = max(-MAX_SKEW, min(MAX_SKEW, one.smile.rho + moves.skew_e6 / RATE_SCALE))
    smile = replace(one.smile, rho=rho, atm=tuple((days, vol * factor) for days, vol in one.smile.atm))
    return replace(one, carry=carry, smile=smile)
