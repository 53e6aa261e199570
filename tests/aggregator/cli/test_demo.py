"""The demo as a newcomer runs it: every step, every refusal, exit code 0; and 1 when something is not as said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aggregator.cli.demo import refusals
from aggregator.cli.demo.config import DEFAULT_FILE, load_demo
from aggregator.cli.demo.stage import DemoFailedError, Stage
from aggregator.cli.framework import Settings
from aggregator.fixed import parse_decimal
from aggregator.model.errors import CannotProveError, ConfigError, ProofRefusedError
from aggregator.policy.build import build_policy
from aggregator.policy.quotes import PriceQuote, RateQuote
from tests.aggregator.cli.conftest import Invoke

REFUSED = [
    ("the second venue pledges", 6, "over all venues"),
    ("by the verifier native", 4, "does not hold"),
    ("by the verifier py-ecc", 4, "does not hold"),
    ("by the verifier solidity", 4, "does not accept"),
    ("by the registry", 4, "does not verify"),
    ("after the crash", 5, "less than the"),
    ("incomplete snapshot", 3, "lacks chain eip155:31337002"),
]


@pytest.mark.anvil
@pytest.mark.slow
def test_the_demo_goes_as_it_says(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("demo", "--json", "--keep", tmp_path / "kept")
    assert result.code == 0, result.err
    assert result.data["ok"] is True
    happened = [refusal for step in result.data["steps"] for refusal in step["refusals"]]
    for (what, code, reason), refusal in zip(REFUSED, happened, strict=True):
        assert what in refusal["what"]
        assert refusal["exitCode"] == code
        assert reason in refusal["reason"]
    verified = invoke("proof", "verify", "main", "--home", tmp_path / "kept", "--json")
    assert verified.data["statement"] == {"amountUsd": "170000", "level": "IM"}


@pytest.mark.anvil
@pytest.mark.slow
def test_the_demo_shows_the_tables_and_fails_when_a_bundle_is_not_refused(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "raised", lambda bundle: bundle)
    result = invoke("demo")
    assert result.code == 1
    assert "error: the altered bundle, by the verifier native was not refused" in result.err
    assert "Done." not in result.out
    for title in ("Anchors", "Readings", "By chain", "By asset", "By risk class", "Margin", "Registry"):
        assert re.search(rf"^ *{title}", result.out, re.MULTILINE), title
    assert re.search(r"eip155:31337001 .* ETH .* proven", result.out)
    assert re.search(r"ETH-PERP .* called", result.out)
    assert "\x1b[" not in result.out


def test_a_demo_over_midnight_keeps_its_instruments() -> None:
    """Loaded five seconds before midnight UTC, built after it: every position is still listed."""
    midnight = 1_800_057_600
    assert midnight % 86_400 == 0
    config = load_demo(DEFAULT_FILE, midnight - 5)
    prices = {n: PriceQuote(parse_decimal(p, 12), midnight) for n, p in config.prices.items()}
    rates = {n: RateQuote(parse_decimal(r, 12), midnight) for n, r in config.rates.items()}
    built = [
        build_policy(config.spec, prices, rates, as_of=at, epoch=1) for at in (midnight - 5, midnight + 5)
    ]
    assert built[0].by_symbol.keys() == built[1].by_symbol.keys()
    assert all(position.market in built[1].by_symbol for position in config.positions)
    assert len([p for p in config.positions if p.market.count("-") > 1]) == 2


def test_a_refusal_for_another_reason_is_a_failure() -> None:
    stage = Stage(Settings())
    with (
        pytest.raises(DemoFailedError, match="for another reason"),
        stage.refused("x", ProofRefusedError, "a"),
    ):
        raise ProofRefusedError("b")
    with pytest.raises(DemoFailedError, match="was not refused"), stage.refused("x", ProofRefusedError):
        pass
    with pytest.raises(CannotProveError), stage.refused("x", ProofRefusedError):
        raise CannotProveError("c")
    with pytest.raises(DemoFailedError, match="expected that it holds"):
        stage.confirm(False, "it holds")


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('level = "IM"', 'level = "XM"', "level is 'XM'"),
        ('amount_usd = "170000"', 'amount_usd = "0"', "amount_usd"),
        ("threshold = 2", "threshold = 4", "threshold is 4, outside 1..3"),
        ("wallet = 2", "wallet = 3", "wallet is 3"),
        ("chain_id = 31337002", "chain_id = 31337001", "two different chains"),
        ("lifetime_s = 900", "", "lacks the field 'lifetime_s'"),
        ("[prices]", "[prices", "is not TOML"),
    ],
)
def test_a_malformed_configuration_is_named(tmp_path: Path, old: str, new: str, part: str) -> None:
    text = DEFAULT_FILE.read_text()
    assert text.count(old) == 1
    path = tmp_path / "demo.toml"
    path.write_text(text.replace(old, new).replace('"policies/', f'"{DEFAULT_FILE.parent}/policies/'))
    with pytest.raises(ConfigError, match=re.escape(part)):
        load_demo(path, 0)


def test_dates_of_positions_count_from_today() -> None:
    markets = [position.market for position in load_demo(DEFAULT_FILE, 0).positions]
    assert "ETH-19700131-2500-P" in markets
