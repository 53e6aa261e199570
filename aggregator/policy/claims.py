"""Instruments that stand for others: wrappers and debts in them, lending deposits, and shares of pools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil, isqrt

from aggregator.fixed import div_ceil, mul_div_down, mul_div_up
from aggregator.model.errors import PolicyError
from aggregator.model.policy import InstrumentKind
from aggregator.model.units import PRICE_SCALE, RATE_SCALE
from aggregator.policy.collateral import NOTHING, held, owed
from aggregator.policy.draft import NO_RISK, ClassContext, Draft, addon_of, to_risk_e12
from aggregator.policy.holdings import DepositSpec, PoolSpec, WrapperSpec
from aggregator.policy.quotes import Quotes
from aggregator.policy.rates import LevelRates
from aggregator.policy.spec import AssetSpec, PolicySpec
from aggregator.risk.arrays import product_array


@dataclass(frozen=True, slots=True)
class Underlying:
    """What one unit of a name is worth as collateral, and how much of its asset it counts as.

    `price_e12` is 0 where it may not value collateral; `unit_e6` is in 1e-6 of the asset; `addon` is its own.
    """

    asset: AssetSpec
    price_e12: int
    unit_e6: int
    addon: LevelRates


@dataclass(frozen=True, slots=True)
class Claims:
    """Makes the drafts of one spec. `contexts` are the risk classes and `group_ids` the netting groups by asset."""

    spec: PolicySpec
    quotes: Quotes
    contexts: Mapping[str, ClassContext | None]
    group_ids: Mapping[str, int]
    _assets: dict[str, AssetSpec] = field(default_factory=dict)
    _wrappers: dict[str, WrapperSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._assets.update({asset.name: asset for asset in self.spec.assets})
        self._wrappers.update({wrapper.name: wrapper for wrapper in self.spec.wrappers})

    def drafts(self) -> Iterator[Draft | None]:
        """All of them: each wrapper with its debts, then the deposits, then the pools."""
        for wrapper in self.spec.wrappers:
            under = self._wrapper(wrapper)
            for chain in wrapper.chains:
                yield self._held(wrapper.name, chain, under, NOTHING)
            yield from self._debts(wrapper)
        for deposit in self.spec.deposits:
            yield from self._deposits(deposit)
        for pool in self.spec.pools:
            yield from self._pool(pool)

    def under(self, name: str) -> Underlying:
        """What an asset or a wrapper is worth."""
        if name in self._wrappers:
            return self._wrapper(self._wrappers[name])
        asset = self._assets[name]
        return Underlying(asset, self.quotes.fresh_price(asset.price) or 0, RATE_SCALE, NOTHING)

    def _wrapper(self, wrapper: WrapperSpec) -> Underlying:
        """Rate x asset, or its own market price where that is lower.

        The price is rounded down. The unit that counts in the netting group is rounded up, so that the haircut of a
        net holding is never understated.
        """
        asset = self._assets[wrapper.asset]
        fixed = wrapper.fixed_rate_e12
        rate = fixed if fixed is not None else self.quotes.fresh_rate(wrapper.rate) or 0
        price = mul_div_down(self.quotes.fresh_price(asset.price) or 0, rate, PRICE_SCALE)
        if wrapper.price is not None:
            price = min(price, self.quotes.fresh_price(wrapper.price) or 0)
        return Underlying(asset, price, _unit_e6(rate), wrapper.addon)

    def _held(self, name: str, chain: str, under: Underlying, more: LevelRates) -> Draft:
        asset = under.asset
        rates = self.spec.chains[chain] + asset.bridges.get(chain, NOTHING) + asset.liquidity
        return held(
            f"{name}@{chain}",
            asset,
            self.contexts[asset.name],
            self.group_ids[asset.name],
            under.price_e12,
            under.unit_e6,
            rates + under.addon + more,
        )

    def _debts(self, wrapper: WrapperSpec) -> Iterator[Draft | None]:
        """One debt per chain at rate x asset rounded up, or at its own market price where that is higher."""
        if not wrapper.debt_chains:
            return
        asset = self._assets[wrapper.asset]
        fixed = wrapper.fixed_rate_e12
        rate = fixed if fixed is not None else self.quotes.debt_rate(wrapper.rate)
        price = self.quotes.debt_price(asset.price)
        if price is not None and rate is not None:
            price = mul_div_up(price, rate, PRICE_SCALE)
            if wrapper.price is not None:
                price = max(price, self.quotes.debt_price(wrapper.price) or 0)
        for chain in wrapper.debt_chains:
            if price is None or rate is None:
                yield None
                continue
            yield owed(
                f"{wrapper.name}-DEBT@{chain}",
                asset,
                self.contexts[asset.name],
                self.group_ids[asset.name],
                price,
                _unit_e6(rate),
            )

    def _deposits(self, deposit: DepositSpec) -> Iterator[Draft]:
        for name in deposit.of:
            under = self.under(name)
            for chain in deposit.chains:
                yield self._held(f"{deposit.prefix}{name}", chain, under, deposit.addon)

    def _pool(self, pool: PoolSpec) -> Iterator[Draft]:
        """Shares at 2 sqrt(x p y q) over the supply, p and q being what the tokens are worth as collateral.

        They are in no netting group: the add-on is their haircut. They move with the class of their tokens; where the
        two are in different classes, with none, and the worst loss that the scenarios give is charged in full.
        """
        first, second = (self.under(name) for name in pool.tokens)
        rate = self.quotes.fresh_rate(pool.rate)
        if rate is not None and set(tokens := self.quotes.rates[pool.rate].tokens) != set(pool.tokens):
            raise PolicyError(
                f"the pool {pool.name} holds {' and '.join(tokens) or 'unknown tokens'} and the spec says "
                f"{' and '.join(pool.tokens)}; correct one of them"
            )
        price = isqrt((rate or 0) ** 2 * first.price_e12 * second.price_e12) // PRICE_SCALE
        contexts = [self.contexts[under.asset.name] for under in (first, second)]
        classes = {context.class_id: context for context in contexts if context is not None}
        shocks = [context.shocks for context in contexts if context is not None]
        risk = product_array(price / PRICE_SCALE, shocks, self.spec.scenarios) if shocks else None
        extra, class_id = NOTHING, 0
        if len(classes) == 1:
            class_id = next(iter(classes))
        elif risk is not None:
            worst = max(0.0, -float(product_array(1.0, shocks, self.spec.scenarios).min()))
            factor = self.spec.scan_factor
            extra = LevelRates(_whole(worst * factor.im_e6), _whole(worst * factor.mm_e6))
        legs = first.addon + second.addon
        for chain in pool.chains:
            addon = addon_of(price, self.spec.chains[chain] + legs + pool.addon + extra, NOTHING)
            yield Draft(
                symbol=f"{pool.name}@{chain}",
                kind=InstrumentKind.SPOT,
                underlying=pool.name,
                class_id=class_id,
                group_id=0,
                mark_e12=price,
                unit_e6=0,
                risk_e12=NO_RISK if risk is None or not class_id else to_risk_e12(risk),
                addon_im=addon[0],
                addon_mm=addon[1],
                limit_price_e12=price,
            )


def _unit_e6(rate_e12: int) -> int:
    return div_ceil(rate_e12, PRICE_SCALE // RATE_SCALE)


def _whole(rate_e6: float) -> int:
    return min(RATE_SCALE, ceil(rate_e6))
