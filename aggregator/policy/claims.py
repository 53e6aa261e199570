"""Instruments that stand for others: wrappers and debts in them, lending deposits, and shares of pools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from aggregator.fixed import mul_div_down, mul_div_up
from aggregator.model.errors import PolicyError
from aggregator.model.units import PRICE_SCALE
from aggregator.policy.collateral import NOTHING, Place, collateral_price, held, owed, owed_price
from aggregator.policy.draft import Draft
from aggregator.policy.holdings import DepositSpec, WrapperSpec
from aggregator.policy.pools import Leg, pool_drafts
from aggregator.policy.quotes import Quotes
from aggregator.policy.rates import LevelRates
from aggregator.policy.spec import PolicySpec


@dataclass(frozen=True, slots=True)
class Underlying:
    """What one unit of a name is worth, and how much of its asset it counts as.

    `price_e12` is 0 where it may not value collateral; `owed_e12` is what a debt in it is valued at, None without any
    price; `rate_e12` is in 1e-12 of the asset; `addon` is its own. `depegged`: its own market is below its rate.
    """

    place: Place
    price_e12: int
    owed_e12: int | None
    rate_e12: int
    addon: LevelRates
    depegged: bool = False


@dataclass(frozen=True, slots=True)
class Claims:
    """Makes the drafts of one spec; `places` are by asset."""

    spec: PolicySpec
    quotes: Quotes
    places: Mapping[str, Place]
    _wrappers: dict[str, WrapperSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._wrappers.update({wrapper.name: wrapper for wrapper in self.spec.wrappers})

    def drafts(self) -> Iterator[Draft | None]:
        """All of them: each wrapper with its debts, then the deposits, then the pools."""
        for wrapper in self.spec.wrappers:
            under = self.under(wrapper.name)
            for chain in wrapper.chains:
                yield self._held(wrapper.name, chain, under, NOTHING)
            yield from self._debts(wrapper, under)
        for deposit in self.spec.deposits:
            yield from self._deposits(deposit)
        for pool in self.spec.pools:
            yield from pool_drafts(
                pool, self._leg(pool.tokens[0]), self._leg(pool.tokens[1]), self.spec, self.quotes
            )

    def under(self, name: str) -> Underlying:
        """What an asset or a wrapper is worth."""
        if name in self._wrappers:
            return self._wrapper(self._wrappers[name])
        place = self.places[name]
        price, debt = collateral_price(place.asset, self.quotes), owed_price(place.asset, self.quotes)
        return Underlying(place, price, debt, PRICE_SCALE, NOTHING)

    def _leg(self, name: str) -> Leg:
        under = self.under(name)
        return Leg(under.place, under.price_e12, under.rate_e12, under.addon, under.depegged)

    def _wrapper(self, wrapper: WrapperSpec) -> Underlying:
        """Collateral: the lowest rate x asset, rounded down, or its own market where that is lower.

        A debt: the highest rate x asset, rounded up, or its own market where that is higher.
        """
        place = self.places[wrapper.asset]
        rate = wrapper.fixed_rate_e12
        if rate is None:
            rate = self.quotes.fresh_rate(wrapper.rate) or 0
            self._check_asset(wrapper)
        full = price = mul_div_down(collateral_price(place.asset, self.quotes), rate, PRICE_SCALE)
        if wrapper.price is not None:
            price = min(price, self.quotes.fresh_price(wrapper.price) or 0)
        return Underlying(place, price, self._owed(wrapper), rate, wrapper.addon, price < full)

    def _owed(self, wrapper: WrapperSpec) -> int | None:
        """What a debt in it is valued at, raised where its own market is missing; None without a price or a rate."""
        rate, price = self._debt_rate(wrapper), owed_price(self.places[wrapper.asset].asset, self.quotes)
        if price is None or rate is None:
            return None
        debt = mul_div_up(price, rate, PRICE_SCALE)
        if wrapper.price is None:
            return debt
        own = self.quotes.debt_price(wrapper.price)
        return self.quotes.raised(debt) if own is None else max(debt, own)

    def _debt_rate(self, wrapper: WrapperSpec) -> int | None:
        fixed = wrapper.fixed_rate_e12
        return fixed if fixed is not None else self.quotes.debt_rate(wrapper.rate)

    def _check_asset(self, wrapper: WrapperSpec) -> None:
        """Refuse a vault of another asset than the spec says; PolicyError. A staked token does not say what it holds.

        A vault may also hold a plain form of the asset: a wrapper of it at the fixed rate 1, with neither a market nor
        an add-on of its own, as WETH is of ETH.
        """
        quote = self.quotes.rates.get(wrapper.rate)
        tokens = () if quote is None else quote.tokens
        plain = {wrapper.asset} | {
            one.name
            for one in self.spec.wrappers
            if one.asset == wrapper.asset
            and (one.fixed_rate_e12, one.price, one.addon) == (PRICE_SCALE, None, NOTHING)
        }
        if tokens and (len(tokens) > 1 or tokens[0] not in plain):
            raise PolicyError(
                f"the wrapper {wrapper.name} holds {' and '.join(tokens)} and the spec says {wrapper.asset}; "
                "correct one of them"
            )

    def _held(self, name: str, chain: str, under: Underlying, more: LevelRates) -> Draft:
        asset = under.place.asset
        rates = self.spec.chains[chain] + asset.bridges.get(chain, NOTHING) + asset.liquidity
        return held(
            f"{name}@{chain}",
            under.place,
            under.price_e12,
            under.rate_e12,
            rates + under.addon + more,
            under.owed_e12,
            depegged=under.depegged,
        )

    def _debts(self, wrapper: WrapperSpec, under: Underlying) -> Iterator[Draft | None]:
        """One debt per chain; None (no such instrument) when there never was a price or a rate."""
        fixed = wrapper.fixed_rate_e12
        least = fixed if fixed is not None else self.quotes.low_rate(wrapper.rate)
        for chain in wrapper.debt_chains:
            rate = self._debt_rate(wrapper)
            if under.owed_e12 is None or rate is None:
                yield None
                continue
            yield owed(f"{wrapper.name}-DEBT@{chain}", under.place, under.owed_e12, rate, least)

    def _deposits(self, deposit: DepositSpec) -> Iterator[Draft]:
        for name in deposit.of:
            under = self.under(name)
            for chain in deposit.chains:
                yield self._held(f"{deposit.prefix}{name}", chain, under, deposit.addon)
