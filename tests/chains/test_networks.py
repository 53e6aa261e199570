"""Network files: the shipped ones hold together, and every malformed one is refused by file and key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from eth_utils.address import is_checksum_address

from aggregator.model.errors import ConfigError
from chains.balances import assets_of
from chains.networks import OfferLimits, load_network, load_networks, parse_network
from chains.relayer import Fees, RelayerSettings

FOLDER = Path(__file__).parents[2] / "configs" / "networks"
CHAIN_IDS = {"ethereum": 1, "base": 8453, "arbitrum": 42161, "optimism": 10, "polygon": 137}
NATIVE = {"polygon": "POL"}
ROLL_UPS = {"base", "arbitrum", "optimism"}
DECIMALS = {"USDC": 6, "USDT": 6, "WBTC": 8, "cbBTC": 8}
ETHEREUM = tomllib.loads((FOLDER / "ethereum.toml").read_text())


@pytest.mark.parametrize("name", CHAIN_IDS)
def test_shipped_files_hold_together(name: str) -> None:
    """Right ids, checksummed addresses, known decimals, endpoints from the environment only."""
    network = load_network(FOLDER / f"{name}.toml")
    assert network.chain_id == CHAIN_IDS[name]
    assert network.native.symbol == NATIVE.get(name, "ETH")
    assert {"USDC", "DAI", "WETH", "wstETH"} <= {t.symbol for t in network.tokens}
    assert {"ETH/USD", "BTC/USD", "USDC/USD", "USDT/USD", "DAI/USD"} <= {f.pair for f in network.feeds}
    assert (network.sequencer is not None) == (name in ROLL_UPS)
    addresses = [t.address for t in network.tokens] + [f.address for f in network.feeds]
    assert all(is_checksum_address(a) for a in addresses)
    assert len(set(addresses)) == len(addresses)
    for token in network.tokens:
        assert token.decimals == DECIMALS.get(token.symbol, 18)
    for feed in network.feeds:
        assert feed.decimals == (8 if feed.quote in ("USD", "BTC") else 18)
        assert feed.quote == "USD" or f"{feed.quote}/USD" in {f.pair for f in network.feeds}
    variable = name.upper() + "_RPC_URL"
    assert network.endpoints == (f"${{{variable}}}", f"${{{variable}_2}}")
    assert network.quorum == 2
    markets = len(network.lending) + len(network.comets) + len(network.positions)
    assert len(assets_of(network)) == 1 + len(network.tokens) + markets
    described = {token.symbol: token for token in network.tokens}
    for coin in (coin for comet in network.comets for coin in (comet.base, *comet.collateral)):
        other = described.get(coin.symbol)
        assert other is None or (other.address, other.decimals) == (coin.asset, coin.decimals)


def test_the_folder_holds_these_five() -> None:
    assert [n.chain_id for n in load_networks(FOLDER)] == sorted(CHAIN_IDS.values())


def test_every_key_is_explained_in_ethereum_toml() -> None:
    """Each key that the loader knows appears in that file, with a comment on it or above its section."""
    text = (FOLDER / "ethereum.toml").read_text()
    source = (Path(__file__).parents[2] / "chains" / "networks.py").read_text()
    source += (Path(__file__).parents[2] / "chains" / "network_markets.py").read_text()
    source += (Path(__file__).parents[2] / "chains" / "network_feeds.py").read_text()
    source += (Path(__file__).parents[2] / "chains" / "network_fees.py").read_text()
    known = set(
        re.findall(r'table\.(?:text|texts|number|symbol|address|tables|scaled|moment)\("(\w+)"', source)
    )
    known |= set(re.findall(r'top\.(?:text|texts|number|tables)\("(\w+)"', source))
    known |= {"native", "rpc", "fees", "sequencer"}
    assert len(known) > 20
    for key in known:
        assert re.search(rf"\b{key}\b", text), f"{key} is not explained"


def test_fee_limits_are_of_the_network_and_of_the_options() -> None:
    """Polygon's own, above the tip that its validators ask for; an option goes before the file."""
    ethereum, polygon = (load_network(FOLDER / f"{name}.toml").fees for name in ("ethereum", "polygon"))
    assert ethereum == OfferLimits() == OfferLimits(max_fee_gwei=200, max_tip_gwei=5, bump_s=120)
    settings = RelayerSettings.on(polygon, None, 60)
    asked = Fees(max_fee_wei=130 * 10**9, priority_fee_wei=30 * 10**9)
    assert settings.limits.allow(asked.raised().raised())
    assert not RelayerSettings.on(ethereum, None, 60).limits.allow(asked.raised())
    assert ethereum.changed(max_fee_gwei=3) == OfferLimits(max_fee_gwei=3, max_tip_gwei=3, bump_s=120)
    assert ethereum.changed(max_tip_gwei=7, bump_s=1) == OfferLimits(200, 7, 1)
    assert RelayerSettings.on(ethereum.changed(bump_s=9), 3, 60).bump_s == 9.0
    with pytest.raises(ConfigError, match="above the fee's of 3 gwei"):
        ethereum.changed(max_fee_gwei=3, max_tip_gwei=4)


def test_endpoints_come_from_the_environment_and_keys_never_show() -> None:
    network = load_network(FOLDER / "ethereum.toml")
    env = {"ETHEREUM_RPC_URL": "https://a.example/v2/s3cr3tkey", "ETHEREUM_RPC_URL_2": "https://b.example"}
    assert network.urls(env) == list(env.values())
    assert "s3cr3tkey" not in repr(network.connect(env))
    with pytest.raises(ConfigError) as caught:
        network.urls({"ETHEREUM_RPC_URL": env["ETHEREUM_RPC_URL"]})
    assert "set ETHEREUM_RPC_URL_2, or lower quorum" in str(caught.value)
    assert "s3cr3tkey" not in str(caught.value)
    with pytest.raises(ConfigError, match="one host is one voice"):
        network.connect(dict.fromkeys(env, "https://a.example/v2/s3cr3tkey"))


def changed(*path: str | int, value: Any = None, drop: bool = False) -> dict[str, Any]:
    """The Ethereum file with one key set or dropped."""
    raw = tomllib.loads((FOLDER / "ethereum.toml").read_text())
    place: Any = raw
    for key in path[:-1]:
        place = place[key]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return raw


USDC = ETHEREUM["tokens"][0]

RESERVE = {
    "symbol": "USDC",
    "asset": USDC["address"],
    "decimals": 6,
    "deposit": "0x98C23E9d8f34FEFb1B7BD6a91B7FF122F4e16F5c",
    "debt": "0x72E95b8931767C79bA4EeE721354d6E99a61D004",
}
AAVE = {
    "protocol": "aave-v3",
    "name": "Aave",
    "address": "0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2",
    "reserves": [RESERVE],
}


COIN = {"symbol": "USDC", "asset": USDC["address"], "decimals": 6}
COMET = {"name": "cUSDCv3", "address": AAVE["address"], "base": COIN, "collateral": []}
MANAGER = {
    "protocol": "uniswap-v3",
    "name": "UNI-V3",
    "address": "0xC36442b4a4522E871399CD717aBDD847Ab11FE88",
    "factory": "0x1F98431c8aD98523631AE4a59f267346ea31F984",
}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (changed("chain_id", drop=True), "lacks the field 'chain_id'"),
        (changed("chain_id", value="1"), "chain_id is not a JSON integer"),
        (changed("chain_id", value=0), "chain_id is 0, outside"),
        (changed("chain_id", value=True), "chain_id"),
        (changed("qourum", value=2), "unknown field 'qourum'"),
        (changed("quorum", value=3), "quorum is 3, but there are 2 endpoints"),
        (changed("quorum", value=0), "quorum is 0"),
        (changed("endpoints", value=[]), "endpoints is empty"),
        (changed("endpoints", value=["x", "x"]), "endpoints names 'x' twice"),
        (changed("endpoints", value=[1]), "endpoints[0]"),
        (changed("finality", value="final"), "finality is 'final'"),
        (changed("max_lag_s", value=1.5), "max_lag_s"),
        (changed("native", value="ETH"), "native is not"),
        (changed("native", "symbol", value="E@H"), "native.symbol"),
        (changed("native", "decimals", value=31), "native.decimals is 31"),
        (changed("rpc", "timeout", value=3), "rpc has the unknown field 'timeout'"),
        (changed("rpc", "timeout_s", value=0), "rpc.timeout_s is 0"),
        (changed("fees", value={"max_fee_gwei": 0}), "fees.max_fee_gwei is 0"),
        (changed("fees", value={"max_tip_gwei": 201}), "fees.max_tip_gwei is above max_fee_gwei (200)"),
        (changed("fees", value={"bump_s": 0}), "fees.bump_s is 0"),
        (changed("fees", value={"tip": 1}), "fees has the unknown field 'tip'"),
        (changed("tokens", value={}), "tokens is not"),
        (changed("tokens", 0, "address", value=USDC["address"].lower()), "tokens[0].address"),
        (changed("tokens", 0, "address", value=USDC["address"][:-1]), "tokens[0].address"),
        (changed("tokens", 1, "decimals", drop=True), "tokens[1] lacks the field 'decimals'"),
        (changed("tokens", 1, "kind", value="erc721"), "tokens[1].kind is 'erc721'"),
        (changed("tokens", 1, "rate", value="rate()"), "tokens[1].rate is for the kind 'staked'"),
        (changed("tokens", 6, "rate", value="rate(uint256)"), "tokens[6].rate"),
        (changed("tokens", 1, "blocked", value="isFrozen()"), "tokens[1].blocked"),
        (changed("tokens", 6, "rate", drop=True), "tokens[6].rate"),
        (changed("tokens", 1, "layout", value="solidity"), "tokens[1].layout"),
        (changed("tokens", 1, "symbol", value="USDC"), "tokens names 'USDC' twice"),
        (changed("tokens", 1, "symbol", value="ETH"), "tokens names 'ETH' twice"),
        (changed("tokens", 1, "address", value=USDC["address"]), "token addresses names"),
        (changed("feeds", 0, "heartbeat_s", value=0), "feeds[0].heartbeat_s is 0"),
        (changed("feeds", 0, "base", value="BTC"), "feeds names 'chainlink BTC/USD' twice"),
        (changed("feeds", 0, "descriptions", value=[""]), "feeds[0].descriptions"),
        (changed("sequencer", value={"grace_s": 5}), "sequencer lacks the field 'address'"),
        (changed("tokens", 1, "layout", value="solidity:9/260"), "tokens[1].layout"),
        (changed("lending", value=[{**AAVE, "protocol": "aave"}]), "lending[0].protocol is 'aave'"),
        (changed("tokens", 1, "steth", value=USDC["address"]), "tokens[1].steth is for the kind 'staked'"),
        (changed("comets", value=[{**COMET, "collateral": [COIN]}]), "comets[0].collateral names a symbol"),
        (changed("comets", value=[{**COMET, "base": {**COIN, "asset": "0x12"}}]), "comets[0].base.asset"),
        (changed("comets", value=[{**COMET, "base": 1}]), "comets[0].base"),
        (changed("comets", value=[COMET, COMET]), "comets names 'USDC' twice"),
        (changed("positions", value=[{**MANAGER, "protocol": "v4"}]), "positions[0].protocol is 'v4'"),
        (changed("positions", value=[{**MANAGER, "factory": ""}]), "positions[0].factory"),
        (changed("positions", value=[MANAGER, MANAGER]), "positions names 'UNI-V3' twice"),
        (changed("positions", value=[{**MANAGER, "address": USDC["address"]}]), "token addresses names"),
        (changed("lending", value=[{**AAVE, "reserves": []}]), "lending[0].reserves is empty"),
        (changed("lending", value=[{**AAVE, "address": "0x12"}]), "lending[0].address"),
        (
            changed("lending", value=[{**AAVE, "reserves": [{**RESERVE, "debt": "0x12"}]}]),
            "reserves[0].debt",
        ),
        (changed("lending", value=[{**AAVE, "reserves": [RESERVE, RESERVE]}]), "lending names 'USDC' twice"),
        (
            changed("lending", value=[{**AAVE, "reserves": [{**RESERVE, "deposit": USDC["address"]}]}]),
            "token addresses names",
        ),
        (
            changed("ledgers", value=[{"name": "v", "address": USDC["address"], "markets": []}]),
            "markets is empty",
        ),
        (
            changed("ledgers", value=[{"name": "v", "address": USDC["address"], "markets": ["a@b"]}]),
            "ledgers[0].markets[0]",
        ),
        (
            changed("ledgers", value=[{"name": "v", "address": USDC["address"], "markets": ["A" * 33]}]),
            "ledgers[0].markets[0]",
        ),
    ],
)
def test_a_malformed_file_is_refused_by_file_and_key(raw: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_network(raw, "networks/x.toml")
    assert str(caught.value).startswith("networks/x.toml")
    assert words in str(caught.value)


def test_unreadable_files_and_double_chains_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_network(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_text("name = ")
    with pytest.raises(ConfigError, match=r"a\.toml is not TOML"):
        load_network(tmp_path / "a.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"a\.toml is not TOML"):
        load_network(tmp_path / "a.toml")
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_bytes((FOLDER / "base.toml").read_bytes())
    with pytest.raises(ConfigError, match="both describe chain 8453"):
        load_networks(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no network file"):
        load_networks(tmp_path / "empty")


def test_a_lending_market_is_one_asset_with_all_its_reserves() -> None:
    network = parse_network(changed("lending", value=[AAVE]), "x.toml")
    (market,) = network.lending
    assert market.reserves[0].stable_debt == ""
    plain = parse_network(changed("lending", value=[]), "x.toml")
    assert len(assets_of(network)) == len(assets_of(plain)) + 1
