"""Shares of pools: worth to the digit, and never a way to a lower requirement."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import isqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.margin.native import evaluate, positions_by_id
from aggregator.model.errors import PolicyError, PriceError
from aggregator.model.policy import Level, Policy
from aggregator.policy import check_policy
from aggregator.policy.build import build_policy
from aggregator.policy.quotes import PriceQuote, RateQuote
from aggregator.policy.spec import PolicySpec
from tests.aggregator.markets import AS_OF, E8, E12, prices, rates
from tests.aggregator.test_claims import CHAIN, POOLS, build, rules


def test_a_pool_share_is_worth_the_roots_of_its_tokens() -> None:
    """2 x sqrt(1 x 3,000): 109.544511501033 USD, half of ETH's moves.

    Half nets as 0.018258 ETH. The other half pays the last tier of USDC (3 % and 2 %), so 1.5 % and 1 % of the share;
    beside it the pool's 5 % and 3 % and the add-ons of the worse token, which is USDC with 0.1 % and 0.05 %.
    """
    share = build().by_symbol[f"UNI-USDC-WETH@{CHAIN}"]
    mark = share.mark_e12
    assert mark == 109_544_511_501_033 == isqrt(4 * 3000 * E12**2)
    assert (share.unit_e6, share.group_id, share.class_id) == (18_258, 1, 1)
    half = -(-mark // 2)
    assert share.addon_im.long_e12 == -(-mark * 51_000 // 10**6) + -(-half * 30_000 // 10**6)
    assert share.addon_mm.long_e12 == -(-mark * 30_500 // 10**6) + -(-half * 20_000 // 10**6)
    eth = build().by_symbol[f"ETH@{CHAIN}"]
    for mine, whole in zip(share.risk_e12, eth.risk_e12, strict=True):
        assert abs(mine) <= abs(whole) * share.mark_e12 // eth.mark_e12
    names = build().scenarios
    down = share.risk_e12[names.index("spot -3/3, vol up")]
    assert abs(down - round(share.mark_e12 * (0.84**0.5 - 1))) <= 1000


def test_a_pool_of_one_class_moves_as_a_whole() -> None:
    """WETH and wstETH fall together: -16 % is -16 % of the share."""
    share = build().by_symbol[f"UNI-WETH-wstETH@{CHAIN}"]
    down = share.risk_e12[build().scenarios.index("spot -3/3, vol up")]
    assert abs(down + share.mark_e12 * 16 // 100) <= 1000
    assert share.class_id == 1


def test_a_pool_of_two_classes_is_charged_its_worst_loss_without_netting() -> None:
    """ETH -16 % and BTC -13 %, three times over at 35 %: the worst scenario, times the scan factor, on the gross.

    WETH nets; the half in WBTC pays its last tier of 10 % and 8 %.
    """
    built = build()
    share = built.by_symbol[f"UNI-WBTC-WETH@{CHAIN}"]
    assert (share.class_id, share.group_id, set(share.risk_e12)) == (0, 1, {0})
    whole = 1 - (0.84 * 0.87) ** 0.5
    extreme = 0.35 * (1 - (0.52 * 0.61) ** 0.5)
    worst = max(whole, extreme)
    rate = share.addon_im.long_e12 / share.mark_e12
    assert rate == pytest.approx(0.10 + 0.05 + 1.2 * worst, abs=2e-6)
    assert share.addon_mm.long_e12 / share.mark_e12 == pytest.approx(0.06 + 0.04 + worst, abs=2e-6)


def test_a_pool_of_other_tokens_than_the_spec_says_is_refused() -> None:
    """The contract names its tokens; a spec that prices it by others would be wrong by any factor."""
    wrong = POOLS | {"UNI-USDC-WETH": RateQuote(2 * E12, AS_OF, tokens=("SHIB", "WETH"))}
    with pytest.raises(PolicyError, match="holds SHIB and WETH and the spec says USDC and WETH"):
        build(pools=wrong)
    with pytest.raises(PolicyError, match="holds unknown tokens"):
        build(pools=POOLS | {"UNI-USDC-WETH": RateQuote(2 * E12, AS_OF)})
    with pytest.raises(PriceError, match="the rate of UNI-USDC-WETH is missing"):
        build(pools={})
    assert build(pools={}, zero=True).by_symbol[f"UNI-USDC-WETH@{CHAIN}"].mark_e12 == 0


OTHER = "eip155:31337002"
BRIDGED = f"""
liquidity_im = 0.05
liquidity_mm = 0.04
bridges = {{ "{OTHER}" = {{ addon_im = 0.10, addon_mm = 0.09 }} }}
short_tiers = [{{ up_to = 100, im = 0.02, mm = 0.02 }}, {{ im = 0.09, mm = 0.07 }}]
"""
ON_TWO_CHAINS = """
[[wrappers]]
name = "WETH"
asset = "ETH"
fixed_rate = 1
chains = ["eip155:31337001", "eip155:31337002"]
addon_im = 0.0
addon_mm = 0.0
""" + "".join(
    f"""
[[pools]]
name = "UNI-{one}-{two}"
tokens = ["{one}", "{two}"]
chains = ["eip155:31337001", "eip155:31337002"]
addon_im = 0.0
addon_mm = 0.0
"""
    for one, two in (("USDC", "WETH"), ("WBTC", "WETH"), ("WETH", "wstETH"), ("USDC", "sUSDC"))
)
PAIRS = (("USDC", "WETH"), ("WBTC", "WETH"), ("WETH", "wstETH"), ("USDC", "sUSDC"))
BESIDE = (
    "ETH",
    "USDC",
    "WBTC",
    "USDC-DEBT",
    "ETH-PERP",
    "BTC-PERP",
    "ETH-20270214-2500-P",
    "ETH-20270214-3500-C",
)


@cache
def spec_with_bridges() -> PolicySpec:
    """The demo with pools that add nothing of their own, and ETH bridged and illiquid on the second chain."""
    return rules(
        ON_TWO_CHAINS, 'name = "ETH"\nclass = "ETH"\nchains', f'name = "ETH"\nclass = "ETH"{BRIDGED}chains'
    )


@dataclass(frozen=True)
class Scene:
    """A policy, a pool on a chain, a number of its shares, and what is held beside it."""

    policy: Policy
    pair: tuple[str, str]
    chain: str
    shares_e8: int
    beside: dict[str, int]

    def requirement(self, level: Level, *, wrapped: bool) -> tuple[int, int]:
        """Requirement and excess (1e-6 USD) with the shares, or with their two halves as tokens, rounded down."""
        share = self.policy.by_symbol[f"UNI-{'-'.join(self.pair)}@{self.chain}"]
        held = dict(self.beside)
        if wrapped:
            held[share.symbol] = self.shares_e8
        else:
            for token in self.pair:
                instrument = self.policy.by_symbol[f"{token}@{self.chain}"]
                half = Fraction(self.shares_e8 * share.mark_e12, 2 * instrument.mark_e12)
                held[instrument.symbol] = held.get(instrument.symbol, 0) + int(half)
        found = evaluate(self.policy, positions_by_id(self.policy, held), level)
        return found.requirement_e6, found.excess_e6


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    quotes = prices(
        ETH=PriceQuote(draw(st.integers(100 * E12, 9_000 * E12)), AS_OF),
        BTC=PriceQuote(draw(st.integers(5_000 * E12, 200_000 * E12)), AS_OF),
        USDC=PriceQuote(draw(st.integers(E12 * 8 // 10, E12 * 11 // 10)), AS_OF),
    )
    staked = RateQuote(draw(st.integers(E12, 2 * E12)), AS_OF)
    pools = {
        f"UNI-{one}-{two}": RateQuote(draw(st.integers(E12 // 10**6, 10**4 * E12)), AS_OF, tokens=(one, two))
        for one, two in PAIRS
    }
    made = build_policy(spec_with_bridges(), quotes, {**rates(wstETH=staked), **pools}, as_of=AS_OF, epoch=1)
    chain = draw(st.sampled_from([CHAIN, OTHER]))
    pair = draw(st.sampled_from(PAIRS))
    share = made.by_symbol[f"UNI-{'-'.join(pair)}@{chain}"]
    shares = draw(st.integers(1, 3 * 10**7)) * E8 * E12 // share.mark_e12
    beside: dict[str, int] = {}
    for name in draw(st.sets(st.sampled_from(BESIDE), max_size=4)):
        symbol = f"{name}@{chain}" if f"{name}@{chain}" in made.by_symbol else name
        least = 0 if "@" in symbol and "DEBT" not in symbol else -4_000
        most = 0 if "DEBT" in symbol else 4_000
        beside[symbol] = draw(st.integers(least, most)) * E8
    return Scene(made, pair, chain, shares, beside)


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_putting_tokens_into_a_pair_never_lowers_the_requirement(scene: Scene) -> None:
    """Whatever the pair, the chain, the prices and what is held, owed, hedged or written beside it.

    The halves are whole multiples of 1e-8 tokens and claims of 1e-6 USD, so up to these two.
    """
    marks = [scene.policy.by_symbol[f"{token}@{scene.chain}"].mark_e12 for token in scene.pair]
    rounding = 10 + 10 * sum(marks) // (E8 * 10**6)
    for level in Level:
        wrapped, least = scene.requirement(level, wrapped=True)
        plain, most = scene.requirement(level, wrapped=False)
        assert wrapped >= plain - rounding
        assert least <= most + rounding


def test_a_share_on_a_bridged_chain_pays_the_bridge_and_the_thin_market() -> None:
    """ETH adds 10 % for its bridge and 5 % for its market on the second chain, and so does a share with ETH in it."""
    pools = {f"UNI-{a}-{b}": RateQuote(2 * E12, AS_OF, tokens=(a, b)) for a, b in PAIRS}
    built = build_policy(spec_with_bridges(), prices(), {**rates(), **pools}, as_of=AS_OF, epoch=1).by_symbol
    here, there = built[f"UNI-USDC-WETH@{CHAIN}"], built[f"UNI-USDC-WETH@{OTHER}"]
    share = there.mark_e12
    assert here.addon_im.long_e12 / share == pytest.approx(0.05 + 0.015, abs=1e-5)
    assert there.addon_im.long_e12 / share == pytest.approx(0.004 + 0.10 + 0.05 + 0.015, abs=1e-5)
    assert there.addon_mm.long_e12 / share == pytest.approx(0.002 + 0.09 + 0.04 + 0.01, abs=1e-5)


def test_a_share_of_more_of_an_asset_than_a_unit_can_say_pays_both_last_tiers() -> None:
    """A share of 2,000,000 USDC and as much sUSDC: no group, 3 % on either half, on the gross."""
    large = {f"UNI-{a}-{b}": RateQuote(2 * E12, AS_OF, tokens=(a, b)) for a, b in PAIRS}
    large["UNI-USDC-sUSDC"] = RateQuote(4_000_000 * E12, AS_OF, tokens=("USDC", "sUSDC"))
    made = build_policy(spec_with_bridges(), prices(), {**rates(), **large}, as_of=AS_OF, epoch=1)
    check_policy(made)
    share = made.by_symbol[f"UNI-USDC-sUSDC@{CHAIN}"]
    assert (share.group_id, share.unit_e6) == (0, 0)
    assert share.addon_im.long_e12 / share.mark_e12 == pytest.approx(0.01 + 0.001 + 0.03, abs=1e-5)
