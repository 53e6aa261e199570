"""Compound v3: base position and collateral together, the principal times its index proven, the rest named as called.

No npm package has the market's own contracts: tests/node-protocols/contracts/LocalComet.sol has its storage and sums.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from aggregator.model.errors import StateProofError
from aggregator.model.snapshot import Method, Reading, Snapshot, encode_snapshot, parse_snapshot
from chains.balances import require_described, take_snapshot_with_evidence, verify_evidence
from chains.balances.evidence import Evidence
from chains.devnet import Deployed, Devnet
from chains.networks import Coin, Comet
from tests.chains.faults import faulty_node
from tests.chains.protocols import odd_tokens
from tests.chains.scenes import network

pytestmark = [pytest.mark.anvil, pytest.mark.node]

_DAY_S = 86_400
_GAS = 1_000_000
_SUPPLY_RATE, _BORROW_RATE = 951_293_759, 1_585_489_599
"""3 and 5 percent a year, in 1e-18 a second."""


@dataclass(frozen=True)
class Scene:
    """A USDC market; the first account has 10 WETH in it and owes USDC, the second lends 100,000 USDC."""

    net: Devnet
    comet: Deployed
    described: Comet

    @property
    def holder(self) -> str:
        return self.net.accounts[0].address

    @property
    def lender(self) -> str:
        return self.net.accounts[1].address

    async def later(self, seconds: int) -> None:
        """Mine a block that much after the last one."""
        await self.net.next_timestamp(int(str((await self.net.head())["timestamp"]), 16) + seconds)
        await self.net.mine()

    async def read(self, holder: str, **options: Any) -> tuple[Snapshot, Evidence]:
        """A snapshot at the head, proven again from its evidence."""
        cut = int(str((await self.net.head())["timestamp"]), 16) + 1
        described = network(self.net, **{"comets": (self.described,), **options})
        snapshot, evidence = await take_snapshot_with_evidence(
            [described], account_id=7, addresses=(holder.lower(),), cut=cut, env={}
        )
        verify_evidence(snapshot, evidence)
        return snapshot, evidence


@pytest.fixture
async def scene(net: Devnet) -> Scene:
    holder, lender = net.accounts[0].address, net.accounts[1].address
    usdc = await net.deploy("TestToken", "USDC", "USDC", 6)
    weth = await net.deploy("TestToken", "WETH", "WETH", 18)
    wbtc = await net.deploy("TestToken", "WBTC", "WBTC", 8)
    code = odd_tokens()["LocalComet"]
    assets = [wbtc.address, weth.address]
    comet = await net.deploy_artifact(code, usdc, _SUPPLY_RATE, _BORROW_RATE, assets)
    for token, owner, amount in ((usdc, lender, 10**11), (weth, holder, 10**19), (wbtc, holder, 10**8)):
        await token.send("mint", owner, amount)
        await token.send("approve", comet, amount, sender=owner)
    await comet.send("supply", usdc, 10**11, sender=lender, gas=_GAS)
    await comet.send("supply", weth, 10**19, gas=_GAS)
    await comet.send("withdraw", 12_345_678_901, gas=_GAS)
    collateral = (Coin("WETH", weth.address, 18), Coin("WBTC", wbtc.address, 8))
    described = Comet("cUSDCv3", comet.address, Coin("USDC", usdc.address, 6), collateral)
    return Scene(net, comet, described)


def parts(snapshot: Snapshot) -> dict[tuple[str, bool], Reading]:
    """By symbol, and whether it is the interest since the last accrual."""
    return {
        (r.instrument.partition("@")[0], "part" in r.detail): r
        for r in snapshot.readings
        if "comet" in r.detail
    }


@pytest.mark.parametrize("seconds", [0, 1, _DAY_S, 3650 * _DAY_S])
async def test_what_is_owed_is_proven_up_to_the_last_accrual_and_called_since(
    scene: Scene, seconds: int
) -> None:
    """Both parts add up to the market's own answer; the collateral says what is owed against it."""
    if seconds:
        await scene.later(seconds)
    snapshot, _ = await scene.read(scene.holder)
    assert snapshot.complete, snapshot.missing
    readings = parts(snapshot)
    owed, since = readings["USDC-DEBT", False], readings["USDC-DEBT", True]
    (total,) = await scene.comet.read("borrowBalanceOf", scene.holder)
    assert owed.raw + since.raw == -total
    principal, index = (
        (await scene.comet.read("userBasic", scene.holder))[0],
        (await scene.comet.read("totalsBasic"))[1],
    )
    assert owed.raw == -(-principal * index // 10**15)
    assert -12_345_678_902 <= owed.raw <= -12_345_678_900
    assert (owed.kind, owed.method) == ("debt", Method.PROVEN)
    assert (since.kind, since.method) == ("debt", Method.CALLED)
    assert since.raw <= 0
    assert since.raw < 0 or seconds == 0
    weth = readings["cWETH", False]
    assert (weth.raw, weth.kind, weth.method) == (10**19, "compound-v3", Method.PROVEN)
    assert weth.detail["principal"] == str(principal)
    assert (weth.detail["assetsIn"], weth.detail["pauseFlags"]) == ("2", "0")
    assert [readings[name, False].raw for name in ("cUSDC", "cWBTC")] == [0, 0]
    require_described(snapshot, [network(scene.net, comets=(scene.described,))])


async def test_what_is_lent_is_proven_up_to_the_last_accrual(scene: Scene) -> None:
    await scene.later(_DAY_S)
    await scene.comet.send("accrueAccount", scene.lender)
    await scene.later(_DAY_S)
    readings = parts((await scene.read(scene.lender))[0])
    lent, since = readings["cUSDC", False], readings["cUSDC", True]
    (total,) = await scene.comet.read("balanceOf", scene.lender)
    assert lent.raw + since.raw == total
    assert 10**11 < lent.raw < total
    assert (lent.method, since.method) == (Method.PROVEN, Method.CALLED)
    assert readings["USDC-DEBT", False].raw == readings["USDC-DEBT", True].raw == 0


async def test_collateral_that_is_not_listed_makes_the_market_missing(scene: Scene) -> None:
    only_wbtc = replace(scene.described, collateral=scene.described.collateral[1:])
    snapshot, _ = await scene.read(scene.holder, comets=(only_wbtc,))
    assert not parts(snapshot)
    assert (
        "collateral lies in asset 1 of cUSDCv3, which the network file does not list" in snapshot.missing[0]
    )


async def test_a_base_token_or_decimals_that_the_market_does_not_have_are_refused(scene: Scene) -> None:
    base, (weth, wbtc) = scene.described.base, scene.described.collateral
    for wrong, reason in (
        (replace(scene.described, base=replace(base, decimals=18)), "has the base token"),
        (replace(scene.described, base=replace(base, asset=weth.asset)), "has the base token"),
        (replace(scene.described, collateral=(replace(weth, decimals=8), wbtc)), "decimals"),
        (replace(scene.described, collateral=(weth, replace(wbtc, asset=base.asset))), "the entry of WBTC"),
    ):
        snapshot, _ = await scene.read(scene.holder, comets=(wrong,))
        assert reason in snapshot.missing[0]
        assert not parts(snapshot)


async def test_an_endpoint_that_hides_a_debt_is_refuted_by_the_proof(scene: Scene) -> None:
    """The principal in the user's word and the debt are answered smaller."""
    (total,) = await scene.comet.read("borrowBalanceOf", scene.holder)
    principal = (await scene.comet.read("userBasic", scene.holder))[0]

    def smaller(method: str, params: list[Any], answer: Any) -> Any:
        if method == "eth_call" and "to" not in params[0]:
            for true, false in ((principal % (1 << 256), -1 % (1 << 256)), (total, 1)):
                width = -(-true.bit_length() // 8)
                answer = answer.replace(true.to_bytes(width, "big").hex(), false.to_bytes(width, "big").hex())
        return answer

    async with faulty_node(scene.net.url) as liar:
        liar.tamper = smaller
        snapshot, _ = await scene.read(scene.holder, endpoints=(liar.url,))
    assert "neither is used" in snapshot.missing[0]
    assert not parts(snapshot)


async def test_evidence_refuses_a_smaller_debt_and_a_debt_left_out_of_the_collateral(scene: Scene) -> None:
    await scene.comet.send("pause", 4)
    snapshot, evidence = await scene.read(scene.holder)
    text = encode_snapshot(snapshot).decode()
    owed = parts(snapshot)["USDC-DEBT", False]
    principal, less = owed.detail["principal"], owed.raw + 1
    assert verify_evidence(parse_snapshot(text), evidence).proven == 5
    for forged, reason in (
        (text.replace(f'"principal":"{principal}"', '"principal":"0"'), "principal"),
        (text.replace('"pauseFlags":"4"', '"pauseFlags":"0"'), "pauseFlags"),
        (
            text.replace(f'"{owed.raw}"', f'"{less}"').replace(f"{owed.raw}00", f"{less}00"),
            "in the state of",
        ),
    ):
        assert forged != text
        with pytest.raises(StateProofError, match=reason):
            verify_evidence(parse_snapshot(forged), evidence)


async def test_another_market_than_the_network_file_names_is_not_described(scene: Scene) -> None:
    snapshot, _ = await scene.read(scene.holder)
    other = replace(scene.described, address="0x" + "77" * 20)
    with pytest.raises(StateProofError, match="with comet"):
        require_described(snapshot, [network(scene.net, comets=(other,))])


async def test_a_snapshot_without_the_debt_beside_its_collateral_is_refused(scene: Scene) -> None:
    """Every reading left is true and proven; the network file tells which one is gone."""
    snapshot, evidence = await scene.read(scene.holder)
    own = [network(scene.net, comets=(scene.described,))]
    require_described(snapshot, own)
    for gone in parts(snapshot).values():
        left = replace(snapshot, readings=tuple(r for r in snapshot.readings if r is not gone))
        with pytest.raises(StateProofError, match=f"none of {gone.instrument}, which is read with them"):
            require_described(left, own)
    require_described(replace(snapshot, readings=snapshot.readings[:1]), own)
    assert verify_evidence(snapshot, evidence).proven == 5
