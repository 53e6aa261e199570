"""Every file under configs/ is read by what reads it, and the examples mean what their comments say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aggregator.cli.demo.config import load_demo
from aggregator.liquidation.rules import parse_rules
from aggregator.margin.rulebooks import parse_rulebook
from aggregator.model.anchors import Trust
from aggregator.policy import check_policy, encode_policy
from aggregator.policy.build import build_policy
from aggregator.policy.quotes import PriceQuote, RateQuote
from aggregator.policy.spec import parse_spec
from aggregator.risk.stress_file import parse_stress
from aggregator.service.settings import load_settings
from aggregator.service.venue_file import load_venue
from chains.networks import load_network
from circuits.artifacts import ready
from circuits.formats.snarkjs import encode_verification_key
from circuits.keys import ensure_dev_key
from circuits.solvency import SMALL
from tests.aggregator.markets import AS_OF, E12, prices, rates
from tests.circuits.books import fixed_policy

CONFIGS = Path(__file__).parents[1] / "configs"
FILES = sorted(path.relative_to(CONFIGS) for path in CONFIGS.rglob("*.toml"))
CHAIN = "eip155:1"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_is_whole(path: Path, tmp_path: Path) -> None:
    """By the loader of its folder; a folder that nobody reads fails."""
    full = CONFIGS / path
    match path.parts[0]:
        case "demo.toml":
            load_demo(full, AS_OF)
        case "service.toml":
            load_settings(full)
        case "liquidation":
            parse_rules(full.read_text(), str(path))
        case "networks":
            load_network(full)
        case "policies":
            parse_spec(full.read_text(), str(path))
        case "rulebooks":
            parse_rulebook(full.read_text(), str(path))
        case "stress":
            parse_stress(full.read_text(), str(path))
        case "venues":
            (tmp_path / "policy.json").write_bytes(encode_policy(fixed_policy()))
            key = ensure_dev_key(ready(SMALL.name)).verification_key
            (tmp_path / "verification_key.json").write_text(json.dumps(encode_verification_key(key)))
            rules = load_venue(Path(shutil.copy(full, tmp_path)))
            assert rules.least_trust is Trust.RPC_QUORUM
            assert 2 * rules.threshold > len(rules.attestors)
            assert not rules.accept_dev_keys
        case other:
            pytest.fail(f"nothing reads configs/{other}")


def test_the_wide_policy_prices_what_the_readers_read() -> None:
    """Aave, Compound, Lido, a fund and a pair, each under its instrument; TBILL only with its reserve proven."""
    spec = parse_spec((CONFIGS / "policies" / "wide.toml").read_text(), "wide.toml")
    two = PriceQuote(3000 * E12, AS_OF, sources=2)
    fund = PriceQuote(1_050_000_000_000, AS_OF, reserved=True)
    quotes = prices(ETH=two, TBILL=fund, stETH=PriceQuote(2_970 * E12, AS_OF))
    pool = RateQuote(2 * E12, AS_OF, tokens=("USDC", "WETH"))
    made = build_policy(spec, quotes, {**rates(), "UNI-USDC-WETH": pool}, as_of=AS_OF, epoch=1)
    check_policy(made)
    marks = {i.symbol: i.mark_e12 for i in made.instruments}
    assert marks[f"TBILL@{CHAIN}"] == 1_050_000_000_000
    assert marks[f"stETH@{CHAIN}"] == 2_970 * E12
    assert marks[f"aWETH@{CHAIN}"] == marks[f"cWETH@{CHAIN}"] == marks[f"WETH-DEBT@{CHAIN}"] == 3000 * E12
    assert marks[f"cwstETH@{CHAIN}"] == marks[f"wstETH@{CHAIN}"] == 3_703_703_670_369_000
    assert marks[f"UNI-USDC-WETH@{CHAIN}"] == 109_544_511_501_033
    assert made.acceptance.haircuts_e6 == (("called", 50_000), ("single-rpc", 100_000))
    zeroed: dict[str, str] = {}
    bare = build_policy(
        spec,
        prices(TBILL=PriceQuote(E12, AS_OF), stETH=two, USDC=PriceQuote(970_000_000_000, AS_OF)),
        {**rates(), "UNI-USDC-WETH": pool},
        as_of=AS_OF,
        epoch=1,
        zero_stale_collateral=True,
        zeroed=zeroed,
    )
    assert set(zeroed) == {"the price of ETH", "the price of TBILL", "the price of USDC"}
    assert all(i.mark_e12 == 0 for i in bare.instruments if "DEBT" not in i.symbol and i.symbol != "USD")
    assert bare.by_symbol[f"USDC-DEBT@{CHAIN}"].mark_e12 == 980_000_000_000
    assert bare.by_symbol[f"ETH-DEBT@{CHAIN}"].mark_e12 == 3300 * E12
