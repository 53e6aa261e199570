"""The rules file: the shipped one says what it says, and every mistake is named by its key."""

from __future__ import annotations

import re
import tomllib

import pytest

from aggregator.liquidation.rules import Among, Law, Order, Settlement, parse_rules
from aggregator.model.errors import ConfigError
from tests.aggregator.liquidation.rules import FILE, shipped

TEXT = FILE.read_text()


def test_the_shipped_file() -> None:
    found = shipped()
    assert (found.name, found.target_e6, found.order) == ("standard", 1_100_000, Order.RELIEF)
    assert found.penalty.at(1_000_000) == 15_000
    assert found.close_factor.at(950_000) == 687_500
    assert (found.fund_e6, found.among) == (10**12, Among.PROFITABLE)
    assert found.auction.settlement is Settlement.BATCH
    assert [(one.price, one.law) for one in found.markets] == [
        ("ETH", Law.SQUARE_ROOT),
        ("BTC", Law.SQUARE_ROOT),
    ]


def test_every_key_is_explained() -> None:
    """Each key of the shipped file stands on a line with a comment, or right below one."""
    lines = TEXT.splitlines()
    table = tomllib.loads(TEXT)
    keys = {*table, *table["fund"], *table["auction"], *table["markets"][0]} - {"schema"}
    for key in keys - {"fund", "auction", "markets"}:
        n = next(n for n, line in enumerate(lines) if re.match(rf"{key} =", line))
        assert "#" in lines[n] or lines[n - 1].startswith("#"), key


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("liquidation/1", "liquidation/2", "schema is not"),
        ("target_health = 1.10", "target_health = 0.9", "target_health is below 1"),
        ("step_usd = 10 ", "step_usd = 0 ", "step_usd or fund.usd is 0"),
        ('order = "relief"', 'order = "luck"', "order is 'luck'; use one of relief, liquid, slice"),
        ("liquidator_share = 0.8", "liquidator_share = 1.8", "liquidator_share is above 1"),
        (
            "health = 0.95, rate = 0.03",
            "health = 0.95, rate = 0.3",
            "penalty is no curve: point 1 has a higher",
        ),
        ("health = 0.95, rate", "health = 0.5, rate", "penalty is no curve: point 1 has no more health"),
        ("{ health = 0.98, rate = 0.5 }", "{ health = 0.98, rate = 0.0 }", "close_factor falls to 0"),
        ("usd = 1_000_000", "usd = -1", "fund.usd is negative"),
        ('"profitable"  ', '"rich"  ', "losses_among is 'rich'"),
        ("floor = 0.60", "floor = 0.0", "auction.floor is 0 or above start"),
        ("step_s = 60", "step_s = 6000", "auction.step_s makes no step"),
        ("cut = 0.01", "cut = 0.0", "auction.cut is 0 or 1"),
        ("daily_volume = 500_000", "daily_volume = 0", "daily_volume is not above 0"),
        ("daily_volatility = 0.034", "daily_volatility = 64", "daily_volatility is not inside 0..1"),
        ('price = "BTC"', 'price = "ETH"', "markets names one price twice"),
        ("duration_s = 3600", "duration = 3600", "lacks the key 'duration_s'"),
        ("name = ", "nam = ", "lacks the key 'name'"),
    ],
)
def test_a_mistake_is_named(old: str, new: str, part: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError, match=re.escape(part)):
        parse_rules(TEXT.replace(old, new, 1), "rules.toml")
