"""`stress`, `liquidation` and `health --risk`: the figures are the package's own, and every refusal names its file."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aggregator.model.anchors import BlockAnchor, Finality, Trust, eip155
from aggregator.model.errors import PolicyError
from aggregator.model.policy import Level
from aggregator.model.snapshot import Method, Reading, encode_snapshot, make_snapshot
from aggregator.policy import encode_policy
from aggregator.policy.build import build_policy
from aggregator.policy.inputs import PolicyInputs, encode_inputs
from aggregator.policy.quotes import PriceQuote, RateQuote
from aggregator.policy.resolve import resolve
from aggregator.policy.spec import parse_spec
from aggregator.risk.desk import Desk, Moves
from aggregator.risk.exposure import risk_figures
from aggregator.risk.liquidation import liquidation_prices
from aggregator.risk.stress import FACTORS, stress
from aggregator.service.spec_file import read_spec
from aggregator.store import Home
from tests.aggregator.cli.conftest import Invoke
from tests.aggregator.estimated import files, spec_text
from tests.aggregator.histories import csv_of
from tests.aggregator.markets import E8, PRICES_E12, RATES_E12

ROOT = Path(__file__).parents[3]
NOW = int(time.time())
CHAIN = eip155(31337001)
CALL = f"ETH-{datetime.fromtimestamp(NOW, UTC).date() + timedelta(days=30):%Y%m%d}-3000-C"
HELD = {
    f"ETH@{CHAIN}": 10 * E8,
    f"USDC@{CHAIN}": 20_000 * E8,
    "ETH-PERP": -30 * E8,
    "USD": 90_000 * E8,
    CALL: -E8,
}
SCENARIOS = ROOT / "configs" / "stress" / "history.toml"
PRICES = {name: PriceQuote(price, NOW) for name, price in PRICES_E12.items()}
RATES = {name: RateQuote(rate, NOW) for name, rate in RATES_E12.items()}
TEXT = (ROOT / "configs" / "policies" / "demo.toml").read_text()


def _inputs(text: str = TEXT, data: dict[str, str] | None = None) -> PolicyInputs:
    spec = parse_spec(text, "demo.toml")
    made = resolve(spec, data or {}, PRICES_E12, as_of=NOW)
    return PolicyInputs(text, made, PRICES, RATES, NOW, 1, zero_stale=False)


def _reading(symbol: str, quantity_e8: int, token: str) -> Reading:
    return Reading(
        *(
            CHAIN,
            "0x" + "ab" * 20,
            symbol,
            "ledger" if quantity_e8 < 0 or symbol == "USD" else "erc20",
            token,
            quantity_e8,
            8,
            quantity_e8,
        ),
        *(Trust.RPC_QUORUM, Method.CALLED, {}),
    )


@pytest.fixture
def account(tmp_path: Path) -> tuple[object, ...]:
    """SNAPSHOT --policy POLICY --inputs INPUTS, as files."""
    inputs = _inputs()
    made = build_policy(inputs.spec(), PRICES, RATES, as_of=NOW, epoch=1)
    word = "0x" + "01" * 32
    taken = make_snapshot(
        cut_time=NOW - 15,
        taken_at=NOW,
        account_id=7,
        sub_account=0,
        addresses=["0x" + "ab" * 20],
        anchors=[BlockAnchor(CHAIN, 5, word, word, NOW - 20, Finality.FINALIZED, Trust.RPC_QUORUM)],
        readings=[_reading(s, q, "0x" + f"{n:02x}" * 20) for n, (s, q) in enumerate(HELD.items(), 1)],
    )
    (tmp_path / "snapshot.json").write_bytes(encode_snapshot(taken))
    (tmp_path / "policy.json").write_bytes(encode_policy(made))
    (tmp_path / "inputs.json").write_bytes(encode_inputs(inputs))
    return (
        *(tmp_path / "snapshot.json", "--policy", tmp_path / "policy.json"),
        *("--inputs", tmp_path / "inputs.json"),
    )


def _desk() -> Desk:
    return Desk(parse_spec(TEXT, "demo.toml"), PRICES, RATES, NOW, HELD)


def test_stress_shows_what_the_desk_finds(invoke: Invoke, account: tuple[object, ...]) -> None:
    """The shipped replays run on the shipped demo policy; every factor and position adds up to the P&L."""
    answer = invoke("stress", *account, "--scenarios", SCENARIOS, "--json")
    assert answer.code == 0, answer.err
    found = {one["name"]: one for one in answer.data["scenarios"]}
    assert len(found) == 6
    for one in found.values():
        pnl = int(one["pnlE20"])
        assert sum(int(part) for part in one["pnlByFactorE20"].values()) == pnl
        assert sum(int(part["pnlE20"]) for part in one["positions"]) == pnl
        assert list(one["pnlByFactorE20"]) == list(FACTORS)
        steps = sum(int(step) for step in one["requirementByFactorE6"].values())
        assert steps == int(one["after"]["MM"]["requirementE6"]) - int(one["before"]["MM"]["requirementE6"])
        assert one["source"]
    crash = found["19 May 2021"]
    moves = Moves(
        {"*": -460_000, "BTC": -320_000, "ETH": -460_000}, 600_000, -150_000, -200_000, correlation_e6=800_000
    )
    expected = stress(_desk(), "19 May 2021", moves)
    assert crash["pnlE20"] == str(expected.pnl_e20)
    assert crash["after"]["MM"]["excessE6"] == str(expected.after_mm.excess_e6)
    assert int(crash["requirementByFactorE6"]["volatility"]) != 0
    assert found["stETH discount, June 2022"]["notQuoted"] == []
    text = invoke("stress", *account, "--scenarios", SCENARIOS, "--explain").out
    for part in (
        "In moved markets",
        "By move",
        "12 March 2020, by position",
        "requirement MM",
        "Correlation",
    ):
        assert part in text


def test_a_price_that_is_not_quoted_is_named_and_left(
    invoke: Invoke, account: tuple[object, ...], tmp_path: Path
) -> None:
    scenarios = tmp_path / "mine.toml"
    scenarios.write_text(
        'schema = "counterfoil/stress/1"\n[[scenarios]]\nname = "one"\n[scenarios.spot]\nXYZ = -0.5\nETH = -0.1\n'
    )
    one = invoke("stress", *account, "--scenarios", scenarios, "--json").data["scenarios"][0]
    assert one["notQuoted"] == ["XYZ"]
    assert int(one["pnlE20"]) == stress(_desk(), "one", Moves({"ETH": -100_000})).pnl_e20
    assert "does not quote XYZ; left as is" in invoke("stress", *account, "--scenarios", scenarios).out


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("", "scenarios has 0 entries"),
        ('[[scenarios]]\nname = "a"\n[[scenarios]]\nname = "a"\n', "two entries of one name"),
        ('[[scenarios]]\nname = "a"\nvolatility = -1\n', "volatility is finer than 1e-6 or outside"),
        ('[[scenarios]]\nname = "a"\ncorrelation = 2\n', "correlation is above 1"),
        ('[[scenarios]]\nname = "a"\n[scenarios.spot]\nETH = -1\n', "spot.ETH is finer than 1e-6 or outside"),
        ('[[scenarios]]\nname = "a"\n[scenarios.spot]\nETH = nan\n', "spot.ETH is not a number"),
        ('[[scenarios]]\nname = "a"\nspeed = 1\n', "speed is not a known key"),
    ],
)
def test_bad_scenarios_are_refused_by_their_key(
    invoke: Invoke, account: tuple[object, ...], tmp_path: Path, body: str, part: str
) -> None:
    scenarios = tmp_path / "bad.toml"
    scenarios.write_text('schema = "counterfoil/stress/1"\n' + body)
    invoke("stress", *account, "--scenarios", scenarios).refused(2, part)


def test_a_scenarios_file_has_to_be_one(invoke: Invoke, account: tuple[object, ...], tmp_path: Path) -> None:
    scenarios = tmp_path / "bad.toml"
    scenarios.write_text('schema = "counterfoil/stress/9"')
    invoke("stress", *account, "--scenarios", scenarios).refused(2, "schema is not")
    scenarios.write_bytes(b"\xff")
    invoke("stress", *account, "--scenarios", scenarios).refused(2, "not UTF-8")
    invoke("stress", *account, "--scenarios", tmp_path / "none.toml").refused(2, "none.toml")


def test_liquidation_prices_are_the_desk_s(invoke: Invoke, account: tuple[object, ...]) -> None:
    answer = invoke("liquidation", *account, "--price", "ETH", "--frontier", "BTC,ETH", "--json")
    assert answer.code == 0, answer.err
    expected = liquidation_prices(_desk(), "ETH")
    assert expected, "the account of this test has a liquidation price"
    (shown,) = answer.data["prices"]
    assert [one["liquidatesE12"] for one in shown["liquidation"]] == [str(p.bad_e12) for p in expected]
    desk = _desk()
    for one in shown["liquidation"]:
        at = {"ETH": int(one["liquidatesE12"])}
        assert desk.evaluate(desk.policy_at(at), Level.MM).excess_e6 < 0
        at = {"ETH": int(one["standsE12"])}
        assert desk.evaluate(desk.policy_at(at), Level.MM).excess_e6 >= 0
    assert len(answer.data["frontier"]["points"]) == 11
    text = invoke("liquidation", *account, "--price", "ETH").out
    assert "Liquidation prices" in text
    assert "At the present prices the account stands" in text


def test_liquidation_refuses_what_it_cannot_move(invoke: Invoke, account: tuple[object, ...]) -> None:
    invoke("liquidation", *account, "--price", "XYZ").refused(2, "there is no price 'XYZ'")
    invoke("liquidation", *account, "--frontier", "ETH").refused(2, "does not name two prices")
    invoke("liquidation", *account, "--price", "ETH", "--frontier", "ETH,ETH").refused(2, "against itself")


def test_health_shows_greeks_and_concentration(invoke: Invoke, account: tuple[object, ...]) -> None:
    shown = invoke("health", *account, "--risk", "--json").data["risk"]
    assert [one["name"] for one in shown["classes"]] == ["ETH", "BTC"]
    assert sum(int(share) for share in shown["collateral"]["sharesE6"].values()) <= 10**6
    assert shown["benchmark"] is None
    text = invoke("health", *account, "--risk").out
    for part in ("Exposure by risk class", "Gamma per 1 %", "Herfindahl index", "No beta"):
        assert part in text


def test_inputs_are_found_by_their_policy_in_the_home(
    invoke: Invoke, account: tuple[object, ...], home: Path, tmp_path: Path
) -> None:
    """As `policy build` keeps them; those of another policy, or none, are refused."""
    bare = account[:3]
    invoke("liquidation", *bare).refused(2, "is not in this home", "--inputs")
    inputs = _inputs()
    made = build_policy(inputs.spec(), PRICES, RATES, as_of=NOW, epoch=1)
    with Home(home).store() as store:
        key = store.add_policy(encode_policy(made), name=made.name, root=1, now=NOW)
        store.add_policy_inputs(key, encode_inputs(inputs))
    assert invoke("health", *bare, "--risk").code == 0
    path = tmp_path / "inputs.json"
    path.write_bytes(encode_inputs(inputs).replace(b"3000000000000000", b"3100000000000000"))
    invoke("health", *bare, "--risk", "--inputs", path).refused(2, "do not give policy demo")
    path.write_text("{")
    invoke("health", *bare, "--risk", "--inputs", path).refused(2, "policy-inputs", "is not JSON")


def test_beta_and_days_come_from_the_spec_s_histories(tmp_path: Path) -> None:
    """A spec with [risk]: the benchmark's own beta is 1, and the account's is its delta's over its equity."""
    yesterday = datetime.fromtimestamp(NOW, UTC).date() - timedelta(days=1)
    data = {
        name: csv_of([float(row.split(",")[1]) for row in text.split()[1:]], yesterday)
        for name, text in files().items()
        if name != "options.csv"
    }
    inputs = _inputs(spec_text(), data)
    assert inputs.resolved.betas_e6["BTC"] == 1_000_000
    positions = {"WBTC@eip155:31337001": 10**8}
    desk = Desk(inputs.spec(), PRICES, RATES, NOW, positions)
    figures = risk_figures(desk, inputs.resolved.betas_e6)
    assert figures.beta_e6 == 1_000_000, "nothing but the benchmark: beta one"
    assert figures.collateral.herfindahl_e6 == 1_000_000
    eth = Desk(inputs.spec(), PRICES, RATES, NOW, {"ETH@eip155:31337001": 10_000 * 10**8})
    found = risk_figures(eth, inputs.resolved.betas_e6)
    assert found.beta_e6 == inputs.resolved.betas_e6["ETH"]
    assert found.classes[0].days_e6 == 1_000_000, "10,000 at a tenth of 100,000 a day"
    spec = parse_spec(spec_text(), "spec")
    for name, text in data.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "spec.toml").write_text(spec_text())
    text, read, named = read_spec(tmp_path / "spec.toml")
    assert (text, read.name, named) == (spec_text(), spec.name, {n: data[n] for n in ("eth.csv", "btc.csv")})
    (tmp_path / "outside.toml").write_text(spec_text().replace('"eth.csv"', '"../eth.csv"'))
    with pytest.raises(PolicyError, match="in the folder of the spec"):
        read_spec(tmp_path / "outside.toml")
    (tmp_path / "eth.csv").write_bytes(b"\xff")
    with pytest.raises(PolicyError, match="not UTF-8"):
        read_spec(tmp_path / "spec.toml")
