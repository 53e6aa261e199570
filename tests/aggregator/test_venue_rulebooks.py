"""Aave, Drift, dYdX, Synthetix and SPAN: the numbers these venues and texts publish, to the last unit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.margin.rulebooks import aave, drift, dydx, span, synthetix
from aggregator.margin.rulebooks.wad import WAD
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.policy import Level

USD_E8 = 10**8

STABLES = aave.EMode(1, 9800, 9800)
DAI = aave.Reserve("DAI", 18, USD_E8, 7500, 8000, supplied=100 * WAD, category=1)
USDC = aave.Reserve("USDC", 6, USD_E8, 8000, 8500, debt=98 * 10**6, category=1)
WETH = aave.Reserve("WETH", 18, 2000 * USD_E8, 8000, 8250, supplied=WAD, category=2)


def test_aave_e_mode_lets_98_of_100_be_borrowed() -> None:
    """aave-v3-core test-suites/emode.spec.ts: 98 USDC on 100 DAI in the stablecoin mode, refused outside it."""
    inside = aave.account_data([DAI, USDC], STABLES)
    assert (inside.ltv_bps, inside.available_e8, inside.debt_e8) == (9800, 0, 98 * USD_E8)
    assert aave.account_data([DAI], STABLES).available_e8 == 98 * USD_E8
    assert inside.health_e18 == WAD
    outside = aave.account_data([DAI, USDC])
    assert outside.health_e18 is not None
    assert outside.health_e18 < WAD


def test_aave_numbers_round_as_the_contract() -> None:
    """percentMul and wadDiv round half up; averages truncate; a debt outside the category is refused."""
    assert [aave.percent_mul(n, 5000) for n in (1, 2, 3)] == [1, 1, 2]
    assert aave.wad_div(1, 3) == 333333333333333333
    assert aave.wad_div(2, 3) == 666666666666666667
    both = aave.account_data([DAI, WETH, replace(USDC, debt=1000 * 10**6)])
    assert both.threshold_bps == (100 * 8000 + 2000 * 8250) // 2100
    assert both.health_e18 == aave.wad_div(aave.percent_mul(2100 * USD_E8, both.threshold_bps), 1000 * USD_E8)
    assert aave.account_data([DAI]).health_e18 is None
    with pytest.raises(InputError, match="e-mode 2"):
        aave.account_data([WETH, USDC], aave.EMode(2, 9800, 9800))
    with pytest.raises(ConfigError, match="ltv"):
        replace(DAI, ltv_bps=9000)


@given(st.integers(0, 10**24), st.integers(0, 10**24), st.integers(1, 10**12))
def test_aave_more_collateral_never_lowers_health(less: int, more: int, debt: int) -> None:
    """Health is monotone in the supply of the only collateral."""
    low, high = sorted((less, more))
    owed = replace(USDC, debt=debt)
    first, second = (
        aave.account_data([replace(DAI, supplied=n), owed], STABLES).health_e18 for n in (low, high)
    )
    assert first is not None
    assert second is not None
    assert first <= second


QUOTE = 10**6
SPOT = drift.SpotMarket("TOKEN", 6, QUOTE, 9000, 10000, 11000, 10000)
"""protocol-v2 margin/tests.rs leaves maintenance weights at their default; 1 and 1 here, which IM does not read."""


@pytest.mark.parametrize(
    ("imf", "size", "asset", "liability"),
    [
        (0, 1000 * QUOTE, 9000, 11000),
        (10, 1000 * QUOTE, 9000, 11000),
        (10, 1000 * QUOTE * 10**6, 8357, None),
        (10_000, 1000 * QUOTE, 8357, 11962),
        (100_000, 1000 * QUOTE, 2642, 40422),
    ],
)
def test_drift_weights_match_the_programs_own_test(
    imf: int, size: int, asset: int, liability: int | None
) -> None:
    """protocol-v2 margin/tests.rs, spot_market_asset_weight."""
    market = replace(SPOT, imf_e6=imf)
    assert market.asset_weight(size, Level.IM) == asset
    if liability is not None:
        assert market.liability_weight(size, Level.IM) == liability


def test_drift_weights_by_level_and_deposits() -> None:
    """The same test's second market, and spot_market_scale_initial_asset_weight."""
    second = drift.SpotMarket("TOKEN", 6, QUOTE // 2, 1500, 7500, 15000, 12500)
    size = 100_000 * QUOTE
    assert [second.asset_weight(size, level) for level in (Level.IM, Level.MM)] == [1500, 7500]
    grown = replace(second, imf_e6=100_000)
    assert [grown.asset_weight(size, level) for level in (Level.IM, Level.MM)] == [337, 337]
    sol = drift.SpotMarket("SOL", 9, 25 * QUOTE, 9000, 10000, 11000, 10000, scale_start_e6=500_000 * QUOTE)
    for deposits, weight in ((1, 9000), (20_000, 9000), (40_000, 4500), (60_000, 3000)):
        assert replace(sol, deposits_e6=deposits * 25 * QUOTE).asset_weight(0, Level.IM) == weight


BTC = drift.PerpMarket("BTC-PERP", 22050 * QUOTE, 1000, 500, imf_e6=1000, pnl_imf_e6=1000)


def test_drift_perp_margin_matches_the_programs_own_test() -> None:
    """margin/tests.rs, calculate_user_equity_value_tests: 6.147 BTC short from 25,000, at 22,050."""
    assert BTC.pnl_weight(22699050905, Level.IM) == 9559
    position = drift.PerpPosition(BTC, -(12295081967 // 2), 153688524588)
    result = drift.margin([], [position], Level.IM)
    assert result.requirement_e6 == 13555327867
    for pnl, weight in ((24282786896, 9516), (242827868960, 7368), (2428278689600, 4299)):
        assert BTC.pnl_weight(pnl, Level.IM) == weight


def test_drift_gains_of_a_perp_count_up_to_100_dollars_at_initial_margin() -> None:
    """The same test goes on: 22.7 and 24.3 thousand of gains are 100; at 21,050 the requirement is 12940.573769."""
    for price, requirement in ((22050, 13555327867), (21050, 12940573769)):
        short = drift.PerpPosition(replace(BTC, price_e6=price * QUOTE), -(12295081967 // 2), 153688524588)
        result = drift.margin([], [short], Level.IM)
        assert (result.collateral_e6, result.requirement_e6) == (100 * QUOTE, requirement)
    kept = drift.margin([], [drift.PerpPosition(BTC, -(12295081967 // 2), 153688524588)], Level.MM)
    assert kept.collateral_e6 == 18135245913
    crowded = replace(BTC, max_imbalance_e6=10**6, net_pnl_e6=4 * 10**6)
    assert crowded.pnl_weight(1, Level.IM) == 2500
    for pnl, weight in ((24282786896000, 1855), (242827868960000, 663), (19426229516800000, 78)):
        assert BTC.pnl_weight(pnl, Level.IM) == weight


SOL = drift.SpotMarket("SOL", 9, 100 * QUOTE, 8000, 9000, 12000, 11000)
SOL_PERP = drift.PerpMarket("SOL-PERP", 100 * QUOTE, 1000, 500, pnl_weight_im=0, pnl_weight_mm=0)
DOLLAR = drift.SpotMarket("USDC", 6, QUOTE, 10000, 10000, 10000, 10000, quote=True)
SOLS = 10**9


@pytest.mark.parametrize(
    ("spots", "level", "collateral", "requirement"),
    [
        (((DOLLAR, 10_000 * QUOTE), (SOL, 0, 500 * SOLS, 0, 1)), Level.IM, 50_000_000_000, 50_000_010_000),
        (((DOLLAR, 10_000 * QUOTE), (SOL, 0, 0, -500 * SOLS, 1)), Level.IM, 60_000_000_000, 60_000_010_000),
        (((SOL, 500 * SOLS, 0, -3000 * SOLS, 1),), Level.IM, 300_000_000_000, 300_000_010_000),
        (
            (
                (replace(DOLLAR, twap_e6=900_000), 10_000 * QUOTE),
                (replace(SOL, twap_e6=110 * QUOTE), -100 * SOLS),
            ),
            Level.MM,
            9_000_000_000,
            12_100_000_000,
        ),
        (((replace(DOLLAR, price_e6=990_000), QUOTE),), Level.IM, 990_000, 0),
        (((replace(DOLLAR, price_e6=990_000, twap_e6=950_000), QUOTE),), Level.IM, 950_000, 0),
        (((replace(DOLLAR, price_e6=1_010_000, twap_e6=1_020_000), -QUOTE),), Level.IM, 0, 1_020_000),
    ],
)
def test_drift_orders_and_strict_prices_match_the_programs_own_tests(
    spots: tuple[tuple[Any, ...], ...], level: Level, collateral: int, requirement: int
) -> None:
    """margin/tests.rs: usdc_deposit_and_5x_sol_bid, .._ask, sol_deposit_and_5x_sol_ask, strict_maintenance,
    usdc_less_than_1_with_deposit, usdc_more_than_1_with_borrow."""
    result = drift.margin([drift.SpotPosition(*spot) for spot in spots], [], level)
    assert (result.collateral_e6, result.requirement_e6) == (collateral, requirement)
    assert sum(amount for _, amount in result.parts) == collateral - requirement


@pytest.mark.parametrize(
    ("twap", "collateral", "requirement"),
    [
        (1_010_000, 10_100_000, 10_100_000),
        (1_050_000, 10_100_000, 10_500_000),
        (950_000, 9_500_000, 10_100_000),
    ],
)
def test_drift_perps_are_charged_at_the_dearer_dollar(twap: int, collateral: int, requirement: int) -> None:
    """margin/tests.rs, usdc_not_1_with_perp_position: 10 DOLLAR at 1.01 and one SOL at 100."""
    dollar = replace(DOLLAR, price_e6=1_010_000, twap_e6=twap)
    held, perp = drift.SpotPosition(dollar, 10 * QUOTE), drift.PerpPosition(SOL_PERP, SOLS, 0)
    result = drift.margin([held], [perp], Level.IM, quote=dollar)
    assert (result.collateral_e6, result.requirement_e6) == (collateral, requirement)


def test_drift_custom_ratios_match_the_programs_own_tests() -> None:
    """user_perp_positions_custom_margin_ratio, 100 SOL at 2 and then at 4; user_custom_margin_ratio."""
    perp = drift.PerpPosition(SOL_PERP, 100 * SOLS, 0, custom_ratio=20_000)
    assert drift.margin([], [perp], Level.IM).requirement_e6 == 20_000_000_000
    assert drift.margin([], [perp], Level.IM, drift.User(40_000)).requirement_e6 == 40_000_000_000
    assert drift.margin([], [perp], Level.MM, drift.User(40_000)).requirement_e6 == 500_000_000
    both = [drift.SpotPosition(SOL, -100 * SOLS)], [drift.PerpPosition(SOL_PERP, 100 * SOLS, 0)]
    assert drift.margin(*both, Level.IM, drift.User(20_000)).requirement_e6 == 50_000_000_000
    assert drift.margin(*both, Level.IM, drift.User(10_000)).requirement_e6 == 30_000_000_000
    assert drift.margin(*both, Level.IM, drift.User(5_000)).requirement_e6 == 20_000_000_000
    assert drift.margin(*both, Level.MM, drift.User(5_000)).requirement_e6 == 11_500_000_000
    held = [drift.SpotPosition(SOL, 100 * SOLS)]
    assert drift.margin(held, [], Level.IM, drift.User(5_000)).collateral_e6 == 5_000_000_000


def test_drift_high_leverage_ratios_match_the_programs_own_test() -> None:
    """state/perp_market/tests.rs, new_hlm_imf_size."""
    market = replace(SOL_PERP, imf_e6=50, high_im=100, high_mm=50)
    assert market.margin_ratio(10**6 * SOLS, Level.IM) == 1300
    for size, ratio in ((SOLS // 10, 100), (SOLS, 100), (10 * SOLS, 104), (3000 * SOLS, 221)):
        assert market.margin_ratio(size, Level.IM, high_leverage=True) == ratio
    for size, ratio in ((3000 * SOLS, 67), (300_000 * SOLS, 313)):
        assert market.margin_ratio(size, Level.MM, high_leverage=True) == ratio
    plain = replace(SOL_PERP, high_im=200, high_mm=100)
    assert plain.margin_ratio(SOLS, Level.IM, high_leverage=True) == 200
    assert plain.margin_ratio(SOLS, Level.MM, high_leverage=True) == 100
    assert plain.margin_ratio(SOLS, Level.IM) == 1000


def test_drift_prediction_markets_and_dust_match_the_programs_own_tests() -> None:
    """calculate_perp_position_value_and_pnl_prediction_market: 0.75 either way; user_dust_borrow rounds up."""
    market = drift.PerpMarket("BET", 250_000, 10_000, 9_999, pnl_weight_im=0, prediction=True)
    cases = (
        drift.PerpPosition(market, -SOLS, 750_000),
        drift.PerpPosition(replace(market, price_e6=750_000), SOLS, -250_000),
    )
    for position in cases:
        im, mm = (drift.margin([], [position], level) for level in (Level.IM, Level.MM))
        assert (im.requirement_e6, im.collateral_e6) == (750_000, 0)
        assert (mm.requirement_e6, mm.collateral_e6) == (749_925, 500_000)
    dust = drift.margin([drift.SpotPosition(replace(SOL, price_e6=1), -1)], [], Level.MM)
    assert dust.requirement_e6 == 1, "a debt below a millionth of a dollar still counts as one"
    trigger = drift.margin([], [drift.PerpPosition(SOL_PERP, 0, 0, orders=1)], Level.IM)
    assert trigger.requirement_e6 == QUOTE // 100
    with pytest.raises(InputError, match="average 0"):
        replace(SOL, twap_e6=0)


def test_drift_account() -> None:
    """Deposits count less, borrows and perps ask, losses count in full; wrong weights are refused."""
    dollars = drift.SpotMarket("USDC", 6, QUOTE, 10000, 10000, 10000, 10000, quote=True)
    account = [drift.SpotPosition(dollars, 5000 * QUOTE), drift.SpotPosition(SPOT, -1000 * QUOTE)]
    result = drift.margin(account, [drift.PerpPosition(BTC, 10**8, -2305 * QUOTE)], Level.IM)
    assert result.collateral_e6 == (5000 - 100) * QUOTE
    assert result.requirement_e6 == 1100 * QUOTE + 2205 * QUOTE * BTC.margin_ratio(10**8, Level.IM) // 10_000
    assert sum(amount for _, amount in result.parts) == result.collateral_e6 - result.requirement_e6
    with pytest.raises(ConfigError, match="weights"):
        replace(SPOT, asset_im=11000)


@pytest.mark.parametrize(
    ("initial", "lower", "upper", "interest", "notional", "margin"),
    [
        (200_000, 0, 0, 0, 500_000, 100_000),
        (500_000, 0, 0, 0, 1_000_000, 500_000),
        (100_000, 0, 0, 0, 1, 1),
        (567_243, 0, 0, 0, 123_456, 70_030),
        (200_000, 0, 0, 1_500_000_000_000, 500_000, 100_000),
        (200_000, 10**12, 2 * 10**12, 1_500_000_000_000, 500_000, 300_000),
        (200_000, 25 * 10**12, 50 * 10**12, 80 * 10**12, 500_000, 500_000),
        (200_000, 25 * 10**12, 50 * 10**12, 25 * 10**12, 500_000, 100_000),
        (200_000, 25 * 10**12, 60 * 10**12, 28_123_456_789_123, 500_000, 135_697),
    ],
)
def test_dydx_initial_margin_matches_the_chains_own_test(
    initial: int, lower: int, upper: int, interest: int, notional: int, margin: int
) -> None:
    """v4-chain liquidity_tier_test.go, TestGetInitialMarginQuoteQuantums."""
    tier = dydx.LiquidityTier(initial, 500_000, lower, upper)
    assert tier.initial_margin(notional, interest) == margin
    account = dydx.margin(10**6, [dydx.PerpPosition("BTC-USD", -notional, interest, tier)], Level.IM)
    assert (account.collateral, account.requirement) == (10**6 - notional, margin)


@pytest.mark.parametrize(
    ("initial", "fraction", "maintenance"),
    [
        (150_000, 800_000, 120_000),
        (450_000, 770_000, 346_500),
        (637_239, 289_284, 184_343),
        (1_000_000, 1_000_000, 1_000_000),
        (1_000_000, 0, 0),
    ],
)
def test_dydx_maintenance_margin_matches_the_chains_own_test(
    initial: int, fraction: int, maintenance: int
) -> None:
    """v4-chain liquidity_tier_test.go, TestLiquidityTierGetMaintenanceMarginPpm."""
    assert dydx.LiquidityTier(initial, fraction).maintenance_ppm == maintenance


@pytest.mark.parametrize(
    ("initial", "fraction", "notional", "interest", "caps", "margins"),
    [
        (
            200_000,
            500_000,
            12345678912300000,
            10**30,
            (10**12, 2 * 10**12),
            (12345678912300000, 1234567891230000),
        ),
        (250_000, 600_000, 9_200_311_488, 0, (0, 0), (2_300_077_872, 1_380_046_724)),
        (50_000, 600_000, 9_200_311_488, 0, (0, 0), (460_015_575, 276_009_345)),
        (200_000, 500_000, 441_000_000, 14_999_999_988_750, (10**13, 2 * 10**13), (264_599_559, 44_100_000)),
        (200_000, 500_000, 441_000_000, 36_750_000_000_000, (10**13, 2 * 10**13), (441_000_000, 44_100_000)),
        (
            *(200_000, 500_000, 441_000_000, 41_287_036_995_750),
            *((25 * 10**12, 50 * 10**12), (318_042_585, 44_100_000)),
        ),
    ],
)
def test_dydx_margins_match_the_chains_own_test(
    initial: int,
    fraction: int,
    notional: int,
    interest: int,
    caps: tuple[int, int],
    margins: tuple[int, int],
) -> None:
    """v4-chain lib_test.go, TestGetMarginRequirementsInQuoteQuantums and .._2: the fraction is truncated to a
    millionth, and the maintenance margin is a share of the rounded initial one."""
    tier = dydx.LiquidityTier(initial, fraction, *caps)
    assert (tier.initial_margin(notional, interest), tier.maintenance_margin(notional)) == margins


@pytest.mark.parametrize(
    ("interest", "ppm"),
    [
        (0, 200_000),
        (1_500_000, 600_000),
        (1_234_567, 387_653),
        (10**6, 200_000),
        (2 * 10**6, 10**6),
        (2_500_000, 10**6),
    ],
)
def test_dydx_fractions_match_the_chains_own_test(interest: int, ppm: int) -> None:
    """v4-chain liquidity_tier_test.go, TestGetAdjustedInitialMarginPpm."""
    assert dydx.LiquidityTier(200_000, 500_000, 10**6, 2 * 10**6).effective_initial_ppm(interest) == ppm


def test_dydx_notionals_and_margins_match_the_chains_own_test() -> None:
    """v4-chain lib_test.go: TestGetNetNotionalInQuoteQuantums, and pairs of .._2 from base quantums and prices on."""
    assert dydx.net_notional(10**12, -16, 123_456_789_123, -5) == 123_456_789
    assert dydx.net_notional(-(10**12), -16, 123_456_789_123, -5) == -123_456_789
    for base, resolution, price, exponent, initial, fraction, margins in (
        (1, 4, 123_456_789_123, -5, 200_000, 500_000, (2469135782460000, 1234567891230000)),
        (7_000, -4, 55_550, -1, 10_000, 500_000, (38_885_000, 19_442_500)),
        (-5_000, -6, 42_000_000, -2, 10_000, 500_000, (21_000_000, 10_500_000)),
        (7_000, -6, 55_550, -1, 1_000_000, 1_000_000, (38_885_000, 38_885_000)),
        (7_000, -6, 55_550, -1, 0, 1_000_000, (0, 0)),
        (-7_000, -6, 0, -1, 100, 1_000_000, (0, 0)),
        (2**64 - 1, -6, 2**64 - 1, -1, 100, 1_000_000, (3402823669209384634264811192843492,) * 2),
    ):
        notional = abs(dydx.net_notional(base, resolution, price, exponent))
        tier = dydx.LiquidityTier(initial, fraction)
        assert (tier.initial_margin(notional, 0), tier.maintenance_margin(notional)) == margins


def test_dydx_edges_of_the_caps_and_the_holders_own_fraction() -> None:
    """At the lower cap nothing scales, also where both caps are one; a chosen fraction counts where it is higher."""
    tier = dydx.LiquidityTier(200_000, 500_000, 10**12, 10**12)
    assert [tier.effective_initial_ppm(10**12 + n) for n in (-1, 0, 1)] == [200_000, 200_000, 10**6]
    assert tier.initial_margin(1000, 0, 500_000) == 500
    assert tier.initial_margin(1000, 0, 100_000) == 200


def test_dydx_refuses_what_the_chain_refuses() -> None:
    """Fractions above one, a lower cap above the upper one, a negative open interest."""
    for wrong in ((1_000_001, 0), (0, 1_000_001), (0, 0, 2, 1), (0, 0, 1, 0)):
        with pytest.raises(ConfigError, match="dYdX"):
            dydx.LiquidityTier(*wrong)
    with pytest.raises(InputError, match="open interest"):
        dydx.margin(0, [dydx.PerpPosition("BTC-USD", 1, -1, dydx.LiquidityTier(1, 1))], Level.IM)


SNX_BTC = synthetix.Collateral(
    "snxBTC", 12 * WAD, 20_000 * WAD, 100 * WAD, 15 * WAD // 10, WAD // 100, WAD // 20
)
SNX_ETH = synthetix.Collateral("snxETH", 700 * WAD, 2000 * WAD, 10_000 * WAD, 2 * WAD, WAD // 100, WAD // 20)
SNX_PERP = synthetix.PerpMarket("ETH", 2000 * WAD, 1000 * WAD, 2 * WAD, WAD // 100, WAD // 2, 500 * WAD)


def test_synthetix_discounts_match_the_markets_own_test() -> None:
    """synthetix-v3 Margins.multiCollateral.test.ts: 240,000 USD of snxBTC and 1,400,000 of snxETH, 5 % off each.

    Its 50 ETH position needs 11,500 USD by hand: (50/1000 x 2 + 1 %) of 100,000 and the minimum of 500.
    """
    held = [SNX_BTC, SNX_ETH]
    assert sum(one.value for one in held) == 1_640_000 * WAD
    assert [one.discount for one in held] == [WAD // 20, WAD // 20]
    position = synthetix.PerpPosition(SNX_PERP, 50 * WAD)
    result = synthetix.margin(held, [position], Level.IM)
    assert (result.available, result.requirement) == (1_558_000 * WAD, 11_500 * WAD)
    assert synthetix.margin(held, [position], Level.MM).requirement == 6000 * WAD


def test_synthetix_requires_the_liquidation_reward() -> None:
    """PerpsAccount.getPossibleLiquidationReward by hand: bounds below and above, the larger of flag and collateral,
    and each window after the first at its own least reward."""
    market = synthetix.PerpMarket(
        "ETH-PERP",
        1000 * WAD,
        0,
        0,
        WAD // 50,
        WAD // 2,
        flag_reward_ratio=WAD // 1000,
        max_liquidation=4 * WAD,
    )
    position = synthetix.PerpPosition(market, -10 * WAD)
    terms = synthetix.KeeperTerms(5 * WAD, 2 * WAD, 10 * WAD, WAD // 5, 500 * WAD, WAD // 100, WAD // 10_000)
    windows = 2 * 12 * WAD
    assert terms.possible_reward([position], 10_000 * WAD) == 17 * WAD + windows, (
        "10 USD flagging and 7 of cost"
    )
    small = replace(position, size=WAD)
    assert terms.possible_reward([small], 10_000 * WAD) == 17 * WAD, (
        "at least 10 USD above cost, in one window"
    )
    assert terms.possible_reward([small], 200_000 * WAD) == 27 * WAD, "20 USD for the collateral"
    assert terms.possible_reward([small], 1_000 * WAD) == 10 * WAD, "at most 1 % of the collateral"
    assert terms.possible_reward([small], 10**8 * WAD) == 500 * WAD, "at most 500 USD"
    dollars = synthetix.Collateral("snxUSD", 10_000 * WAD, WAD)
    for level in Level:
        plain = synthetix.margin([dollars], [position], level)
        kept = synthetix.margin([dollars], [position], level, keeper=terms)
        assert kept.requirement - plain.requirement == 17 * WAD + windows
    assert synthetix.margin([dollars], [], Level.IM, keeper=terms).requirement == 0


def test_synthetix_discount_grows_between_its_limits() -> None:
    """Lower limit, the part in between, upper limit; none without a skew scale."""
    amounts = {100: WAD // 50, 10: WAD // 100, 5000: WAD // 20}
    for amount, discount in amounts.items():
        assert replace(SNX_ETH, amount=amount * WAD).discount == discount
    assert replace(SNX_ETH, skew_scale=0).discounted_value == SNX_ETH.value
    with pytest.raises(ConfigError, match="limit"):
        replace(SNX_ETH, upper_limit=0)


def usd(*amounts: int) -> tuple[int, ...]:
    return tuple(amount * 10**6 for amount in amounts)


CALL = span.Contract(
    "S&P Dec 410 call",
    tuple(
        -gain
        for gain in usd(
            *(460, -610, 2640, 1730, -1270, -2340, 5210, 4540),
            *(-2540, -3430, 8060, 7640, -3380, -3990, 3130, -1500),
        )
    ),
    5 * 10**7,
    is_option=True,
)
ONE = 10**8


def test_span_covered_write_matches_the_published_arrays() -> None:
    """McMillan, Options as a Strategic Investment, chapter 34: long future 10,000, long call 3,990, both 6,620."""
    stock = span.future("S&P Dec", 10_000 * 10**6)
    alone = span.margin([span.CombinedCommodity("S&P", ((stock, ONE),))])
    assert (alone.risk_e6, alone.commodities[0].scenario) == (
        10_000 * 10**6,
        "price down 3/3, volatility up",
    )
    assert stock.losses_e6[14:] == usd(-7000, 7000)
    call = span.margin([span.CombinedCommodity("S&P", ((CALL, ONE),))]).commodities[0]
    assert (call.scan_risk_e6, call.scenario) == (3990 * 10**6, "price down 3/3, volatility down")
    write = span.margin([span.CombinedCommodity("S&P", ((stock, ONE), (CALL, -ONE)))]).commodities[0]
    assert (write.scan_risk_e6, write.scenario) == (6620 * 10**6, "price down 3/3, volatility up")


def test_span_spreads_and_the_short_option_minimum() -> None:
    """A calendar spread pays its charge only, a matched pair is credited, a worthless short still asks."""
    near, far = span.future("near", 9000 * 10**6), span.future("far", 9000 * 10**6, tier=2)
    spread = span.CombinedCommodity(
        "CL", ((near, 2 * ONE), (far, -2 * ONE)), (span.IntraSpread(1, 2, 500 * 10**6),)
    )
    assert span.margin([spread]).risk_e6 == 1000 * 10**6
    other = span.CombinedCommodity("HO", ((span.future("HO", 6000 * 10**6), -ONE),))
    long = span.CombinedCommodity("CL", ((near, ONE),))
    legs = (span.Leg("CL", ONE, 1), span.Leg("HO", ONE, -1))
    credited = span.margin([long, other], [span.InterSpread(legs, 600_000)])
    assert [one.requirement_e6 for one in credited.commodities] == list(usd(3600, 2400))
    same_side = replace(other, positions=((span.future("HO", 6000 * 10**6), ONE),))
    assert span.margin([long, same_side], [span.InterSpread(legs, 600_000)]).risk_e6 == 15_000 * 10**6
    cheap = span.Contract("far out", (0,) * 16, 0, is_option=True, option_value_e6=10**6)
    shorts = span.CombinedCommodity("CL", ((cheap, -3 * ONE),), short_option_minimum_e6=20 * 10**6)
    assert span.margin([shorts]).requirement_e6 == 63 * 10**6
    with pytest.raises(InputError, match="twice"):
        span.margin([long, long])
    with pytest.raises(InputError, match="16"):
        span.Contract("short array", (0,) * 15, 0)
    with pytest.raises(ConfigError, match="each side"):
        span.InterSpread((legs[0], legs[0]), 1)
