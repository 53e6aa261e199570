"""ISDA SIMM delta margin of one risk class, with the user's own parameters: none are shipped, they are licensed.

WS_k = RW_k s_k CR_b;  K_b = sqrt(sum WS_k^2 + sum rho_kl f_kl WS_k WS_l), f_kl = min(CR) / max(CR);
S_b = clamp(sum WS_k, -K_b, K_b);  margin = sqrt(sum K_b^2 + sum gamma_bc S_b S_c) + K of the residual bucket.
CR = max(1, sqrt(abs(sum s) / T)) is the concentration risk factor of a name. Money is in 1e-6 USD, rates in 1e-6;
every root and product rounds away from the holder.

Source: ISDA, "SIMM Methodology", paragraphs on delta margin for equity and commodity risk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.fixed import div_away, div_ceil, isqrt_up
from aggregator.margin.rulebooks.base import (
    CASH,
    Book,
    Holding,
    LevelResult,
    RulebookResult,
    level_result,
    refuse_uncovered,
    usd,
)
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.policy import InstrumentKind, Level
from aggregator.pricing.wad import delta_wad, implied_volatility_wad

RATE: Final = 1_000_000
ONE_PERCENT: Final = 100
WAD: Final = 10**18


@dataclass(frozen=True, slots=True)
class Factor:
    """One risk factor: its bucket (None: residual), risk weight and concentration threshold (1e-6 USD; 0: none)."""

    name: str
    bucket: str | None
    weight_e6: int
    threshold_e6: int = 0


@dataclass(frozen=True)
class SimmParameters:
    """Factors by name, `rho_e6` within each bucket, `gamma_e6` between two buckets in either order."""

    factors: Mapping[str, Factor]
    rho_e6: Mapping[str, int]
    gamma_e6: Mapping[tuple[str, str], int]
    residual_rho_e6: int = 0

    def __post_init__(self) -> None:
        for name, rho in (*self.rho_e6.items(), *(("-".join(k), v) for k, v in self.gamma_e6.items())):
            if not -RATE <= rho <= RATE:
                raise ConfigError(f"the SIMM correlation of {name} is outside -1..1; correct it")
        for factor in self.factors.values():
            if factor.bucket is not None and factor.bucket not in self.rho_e6:
                raise ConfigError(f"SIMM bucket {factor.bucket} has no correlation; add it")


@dataclass(frozen=True, slots=True)
class BucketResult:
    """K and S of a bucket in 1e-6 USD, with the weighted sensitivities and concentration factors (1e-6)."""

    bucket: str | None
    k_e6: int
    s_e6: int
    weighted_e6: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class SimmResult:
    """Delta margin of the risk class in 1e-6 USD."""

    margin_e6: int
    buckets: tuple[BucketResult, ...]


def _bucket(bucket: str | None, rows: Sequence[tuple[str, int, int]], rho_e6: int) -> BucketResult:
    total = sum(weighted**2 for _, weighted, _ in rows)
    cross = 0
    for n, (_, left, left_cr) in enumerate(rows):
        for _, right, right_cr in rows[n + 1 :]:
            low, high = sorted((left_cr, right_cr))
            cross += div_ceil(2 * rho_e6 * left * right * low, RATE * high)
    k = isqrt_up(max(0, total + cross))
    s = max(-k, min(k, sum(weighted for _, weighted, _ in rows)))
    return BucketResult(bucket, k, s, tuple(rows))


def delta_margin(sensitivities_e6: Mapping[str, int], parameters: SimmParameters) -> SimmResult:
    """Delta margin of net sensitivities (1e-6 USD for a move of 1 %) by factor.

    Raises InputError for a factor without parameters.
    """
    rows: dict[str | None, list[tuple[str, int, int]]] = {}
    for name, amount in sorted(sensitivities_e6.items()):
        factor = parameters.factors.get(name)
        if factor is None:
            raise InputError(f"SIMM has no risk weight for {name}; add it to your parameter file")
        cr = RATE
        if factor.threshold_e6:
            cr = max(RATE, isqrt_up(div_ceil(abs(amount) * RATE**2, factor.threshold_e6)))
        rows.setdefault(factor.bucket, []).append(
            (name, div_away(amount * factor.weight_e6 * cr, RATE**2), cr)
        )
    residual = _bucket(None, rows.pop(None, []), parameters.residual_rho_e6)
    buckets = [
        _bucket(name, held, parameters.rho_e6[name]) for name, held in rows.items() if name is not None
    ]
    total = sum(one.k_e6**2 for one in buckets)
    for n, left in enumerate(buckets):
        for right in buckets[n + 1 :]:
            a, b = str(left.bucket), str(right.bucket)
            gamma = parameters.gamma_e6.get((a, b), parameters.gamma_e6.get((b, a), 0))
            total += div_ceil(2 * gamma * left.s_e6 * right.s_e6, RATE)
    everything = (*buckets, residual) if residual.weighted_e6 else tuple(buckets)
    return SimmResult(isqrt_up(max(0, total)) + residual.k_e6, everything)


def sensitivity_e6(book: Book, one: Holding) -> int:
    """What a move of 1 % of the underlying changes, in 1e-6 USD: delta x price x quantity / 100."""
    if one.option is None:
        return div_away(one.value_e20, 10**14 * ONE_PERCENT)
    stem = one.symbol.rsplit("-", 1)[0]
    pair = [book.policy.by_symbol.get(f"{stem}-{side}") for side in ("C", "P")]
    strike = one.option.strike_e8 * 10**10
    forward = book.index_e12(one.underlying) * 10**6
    if pair[0] is not None and pair[1] is not None:
        forward = strike + (pair[0].mark_e12 - pair[1].mark_e12) * 10**6
    volatility = implied_volatility_wad(
        one.price_e12 * 10**6, one.seconds, forward, strike, one.option.is_call
    )
    delta = delta_wad(one.seconds, volatility, forward, strike, one.option.is_call)
    return div_away(one.quantity_e8 * delta * forward, 10**8 * 10**30 * ONE_PERCENT)


@dataclass(frozen=True)
class Simm:
    """SIMM delta margin over a book: sensitivities by underlying; assets in `cash` have none. IM and MM are one."""

    name: str
    parameters: SimmParameters
    cash: tuple[str, ...]

    def evaluate(self, book: Book) -> RulebookResult:
        """Delta margin against the book's equity; what has no factor is ignored, or refused when it is owed."""
        net: dict[str, int] = {}
        ignored: list[str] = []
        counted = 0
        for one in book.holdings:
            plain = one.kind in (InstrumentKind.SPOT, InstrumentKind.DEBT)
            if (one.asset == CASH or one.asset in self.cash) and plain:
                counted += one.value_e20
            elif one.underlying in self.parameters.factors:
                counted += one.value_e20
                net[one.underlying] = net.get(one.underlying, 0) + sensitivity_e6(book, one)
            else:
                ignored.append(refuse_uncovered(self.name, one))
        found = delta_margin(net, self.parameters)
        lines = tuple(
            f"bucket {one.bucket or 'residual'}: K {usd(one.k_e6, 10**6)}, S {usd(one.s_e6, 10**6)}"
            for one in found.buckets
        )
        top = max(found.buckets, key=lambda one: one.k_e6, default=None)
        binding = f"bucket {top.bucket or 'residual'}" if top is not None else "nothing is required"

        def level(at: Level) -> LevelResult:
            return level_result(at, counted, found.margin_e6 * 10**14, 10**20, binding, lines)

        return RulebookResult(self.name, level(Level.IM), level(Level.MM), tuple(ignored))
