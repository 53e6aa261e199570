"""Published examples of Derive's margin systems, restated: inputs and expected results as decimal texts.

Source: derivexyz/v2-core, test/risk-managers/unit-tests (PMRM_2/portfolio_cases, PMRM, StandardManager).
"""

from __future__ import annotations

from typing import Any

PMRM2_SCENARIOS = """
1.18 up 1
1.135 down 1
1.135 none 1
1.135 up 1
1.09 down 1
1.09 none 1
1.09 up 1
1.045 down 1
1.045 none 1
1.045 up 1
1 down 1
1 none 1
1 up 1
0.955 down 1
0.955 none 1
0.955 up 1
0.91 down 1
0.91 none 1
0.91 up 1
0.865 down 1
0.865 none 1
0.865 up 1
0.8200000000000001 up 1
0.33999999999999997 up 0.054545454545454536
0.6699999999999999 up 0.10909090909090907
1.5 up 0.072
2 up 0.036
3 up 0.018
4 up 0.011999999999999999
1 linear 1
1 abs 1
"""

PMRM2_PARAMETERS = {
    "im_factor": "1",
    "mm_factor": "0.8",
    "short_rate_multiple": "0.5",
    "long_rate_multiple": "1",
    "short_rate_add": "0.08",
    "long_rate_add": "0.08",
    "short_static_discount": "1.04",
    "long_static_discount": "0.95",
    "vol_range_up": "0.5",
    "vol_range_down": "0.275",
    "short_term_power": "0.3",
    "long_term_power": "0.13",
    "dte_floor": "86400",
    "min_vol_up": "0.45",
    "basis_spot_up": "1.045",
    "basis_spot_down": "0.955",
    "basis_add": "0.5",
    "basis_multiple": "2",
    "peg_loss_threshold": "0.98",
    "peg_loss_factor": "2",
    "confidence_threshold": "0.55",
    "confidence_factor": "1",
    "mm_perp": "0.015",
    "im_perp": "0.005000000000000001",
    "mm_option": "0.003",
    "im_option": "0.002",
    "linear_cap": "0.15",
    "linear_slope": "-0.05",
    "abs_cap": "0.15",
    "abs_slope": "-0.05",
    "min_k_star": "0.01",
    "width_scale": "4",
    "vol_static": "0.6",
    "vol_scale": "-0.1",
}

PMRM2_CASES: list[dict[str, Any]] = [
    {
        "name": "12_risk_cancelling_naked_short_call",
        "spot": "95663.50604855",
        "stable": "1.00019088635",
        "cash": "0",
        "spot_confidence": "1",
        "expiries": [
            (
                794852,
                "95776.67392708939",
                "0.15000000000000002",
                "0",
                "1",
                "0.95",
                [
                    ("100000", "C", "-1", "0.453803924321583"),
                ],
            ),
        ],
        "collaterals": [],
        "perp": None,
        "im": "-14604.048120144837",
        "mm": "-11824.858703959073",
        "binding": "spot x1.18, volatility up",
    },
    {
        "name": "18_structures_OTM_call_spread",
        "spot": "2681.6029850999994",
        "stable": "1.00019088635",
        "cash": "0",
        "spot_confidence": "1",
        "expiries": [
            (
                794852,
                "2682.9997436016715",
                "0.15000000000000002",
                "0",
                "1",
                "0.95",
                [
                    ("4000", "C", "-1", "0.8795543651099665"),
                    ("4200", "C", "1", "0.8833255402190362"),
                ],
            ),
        ],
        "collaterals": [],
        "perp": None,
        "im": "-35.75844560967082",
        "mm": "-25.96404757080802",
        "binding": "spot x1.18, volatility up",
    },
    {
        "name": "23_structures_short_box",
        "spot": "95663.50604855",
        "stable": "1.00019088635",
        "cash": "0",
        "spot_confidence": "1",
        "expiries": [
            (
                18938852,
                "100374.61000117072",
                "0.4",
                "0",
                "1",
                "0.95",
                [
                    ("100000", "C", "-1", "0.5543377511787965"),
                    ("110000", "C", "1", "0.5592157396329432"),
                    ("100000", "P", "1", "0.5543377511787965"),
                    ("110000", "P", "-1", "0.5592157396329432"),
                ],
            ),
        ],
        "collaterals": [],
        "perp": None,
        "im": "-9676.886038210592",
        "mm": "-9314.420325934587",
        "binding": "spot x0.865, volatility none",
    },
    {
        "name": "24_structures_short_box_capped",
        "parameters": {"short_rate_multiple": "3", "short_rate_add": "5"},
        "spot": "95663.50604855",
        "stable": "1.00019088635",
        "cash": "0",
        "spot_confidence": "1",
        "expiries": [
            (
                18938852,
                "100374.61000117072",
                "0.1",
                "0",
                "1",
                "0.95",
                [
                    ("100000", "C", "-1", "0.5543377511787965"),
                    ("110000", "C", "1", "0.5592157396329432"),
                    ("100000", "P", "1", "0.5543377511787965"),
                    ("110000", "P", "-1", "0.5592157396329432"),
                ],
            ),
        ],
        "collaterals": [],
        "perp": None,
        "im": "-10000.000000000004",
        "mm": "-9883.426030148392",
        "binding": "spot x0.865, volatility none",
    },
    {
        "name": "6_collateral_general_multi_collat_with_oracle_cont",
        "spot": "2000",
        "stable": "0.1",
        "cash": "-3000",
        "spot_confidence": "0.12",
        "expiries": [],
        "collaterals": [
            ("RSWETH", "250000", "0.03", "0.010000000000000002", True, "0.2"),
            ("ETH", "320000", "0.015", "0.005000000000000001", True, "0.12"),
            ("BTC", "1725000", "0.25", "0.04999999999999999", False, "0.4"),
            ("CBBTC", "14400000", "0.35", "0.10000000000000003", False, "0.253"),
            ("SDAI", "269671.61635687120823", "0.12", "0.03", False, "1"),
            ("USDE", "190000", "0.2", "0.04999999999999999", False, "0.01"),
            ("WEETH", "20000", "0.05", "0.009999999999999995", True, "0.2"),
        ],
        "perp": None,
        "im": "-5359102.148490705",
        "mm": "11531801.022394048",
        "binding": "spot x0.82, volatility up",
    },
    {
        "name": "30_perps_basic_perp_low_confidence",
        "spot": "3000",
        "stable": "1.00019088635",
        "cash": "0",
        "spot_confidence": "0.2",
        "expiries": [],
        "collaterals": [],
        "perp": ("1", "2500", "-610", "0.1"),
        "im": "-3820.0",
        "mm": "-1015.0",
        "binding": "spot x0.82, volatility up",
    },
    {
        "name": "32_perps_perp_hedging",
        "spot": "100000",
        "stable": "1.00019088635",
        "cash": "0",
        "spot_confidence": "0.2",
        "expiries": [],
        "collaterals": [
            ("LBTC", "99980.915008064450356506", "0.03", "0.015", True, "1"),
        ],
        "perp": ("-1", "100000", "0", "0.1"),
        "im": "-76506.39347229843",
        "mm": "95478.73931898379",
        "binding": "spot x1.18, volatility up",
    },
    {
        "name": "41_skews_linear_as_worst_case_simple",
        "scenarios": PMRM2_SCENARIOS.replace("linear 1", "linear 2"),
        "parameters": {"linear_cap": "9.5", "width_scale": "5", "vol_static": "4.5", "vol_scale": "4.9"},
        "spot": "2681.6029850999994",
        "stable": "1.00019088635",
        "cash": "0",
        "spot_confidence": "1",
        "expiries": [
            (
                3214052,
                "2695.7814942763334",
                "0.21000000000000002",
                "0",
                "1",
                "0.95",
                [
                    ("5500", "C", "-15", "0.8843198050170489"),
                ],
            ),
        ],
        "collaterals": [],
        "perp": None,
        "im": "-1809.9435682106216",
        "mm": "-1413.5868439463693",
        "binding": "spot x1, volatility linear",
    },
    {
        "name": "42_skews_abs_as_worst_case_simple",
        "scenarios": PMRM2_SCENARIOS.replace("abs 1", "abs 2"),
        "parameters": {"abs_cap": "9.5", "width_scale": "4.9", "vol_static": "3.5", "vol_scale": "-0.3"},
        "spot": "2681.6029850999994",
        "stable": "1.00019088635",
        "cash": "0",
        "spot_confidence": "1",
        "expiries": [
            (
                18938852,
                "2801.18485249767",
                "0.29",
                "0",
                "1",
                "0.95",
                [
                    ("6000", "C", "10", "0.7390799803804741"),
                ],
            ),
        ],
        "collaterals": [],
        "perp": None,
        "im": "-2529.3068592312366",
        "mm": "-1859.683585366735",
        "binding": "spot x1, volatility abs",
    },
    {
        "name": "11_collateral_usdc_depeg_only_cash",
        "spot": "2681.6029850999994",
        "stable": "0.52",
        "cash": "1000",
        "spot_confidence": "1",
        "expiries": [],
        "collaterals": [],
        "perp": None,
        "im": "1000.0",
        "mm": "1000.0",
        "binding": "basis contingency",
    },
    {
        "name": "60_settlement_near_expiry",
        "parameters": {"min_vol_up": "1"},
        "spot": "2681.6029850999994",
        "stable": "1.00019088635",
        "cash": "0",
        "spot_confidence": "1",
        "expiries": [
            (
                1,
                "2682.9997436016715",
                "0.15000000000000002",
                "2681.509188188559460277",
                "1",
                "0.95",
                [
                    ("2700", "C", "-1", "0.6360190705815766"),
                ],
            ),
        ],
        "collaterals": [],
        "perp": None,
        "im": "-13.408014925499998",
        "mm": "-8.044808955299999",
        "binding": "basis contingency",
    },
]
