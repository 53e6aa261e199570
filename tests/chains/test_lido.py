"""stETH and wstETH in three versions of Lido's accounting: shares, ether and rate proven from storage.

No npm package has Lido's own contracts: tests/node-protocols/contracts/LocalLido.sol has their words and sums.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.model.errors import StateProofError
from aggregator.model.snapshot import Method, Reading, Snapshot, encode_snapshot, parse_snapshot
from chains.balances import require_described, take_snapshot_with_evidence, verify_evidence
from chains.balances.evidence import Evidence
from chains.balances.lido import VERSIONS
from chains.devnet import Deployed, Devnet
from tests.chains.faults import faulty_node
from tests.chains.protocols import odd_tokens
from tests.chains.scenes import network, token

ALICE = "0x00000000000000000000000000000000000a11ce"
ETH = 10**18
ACCOUNTS = {
    "2": (9 * ETH, 3 * ETH + 5, 288 * ETH + 7, 12, 10),
    "3": ((1 * ETH << 128) + 10 * ETH, (12 << 128) + 3 * ETH + 5, (10 << 128) + 288 * ETH + 7),
    "4": ((1 * ETH << 128) + 10 * ETH, (64 * ETH << 128) + 3 * ETH + 5, (288 * ETH << 128) + 7),
}
"""In each version 355 ether and 12 wei for 9 whole shares."""
onchain = [pytest.mark.anvil, pytest.mark.node]


@dataclass(frozen=True)
class Scene:
    net: Devnet
    steth: Deployed
    wrapped: Deployed

    async def report(self, version: str, words: tuple[int, ...]) -> None:
        known = VERSIONS.get(version)
        slots = list(known.slots()) if known else []
        await self.steth.send("report", int(version), slots, list(words))

    def described(self, **options: Any) -> Any:
        wsteth = token(self.wrapped, "wstETH", 18, "staked", rate="stEthPerToken()", steth=self.steth.address)
        return network(self.net, token(self.steth, "stETH", 18, "steth"), wsteth, **options)

    async def read(self, **options: Any) -> tuple[Snapshot, Evidence]:
        snapshot, evidence = await take_snapshot_with_evidence(
            [self.described(**options)], account_id=7, addresses=(ALICE,), cut=int(time.time()) + 60, env={}
        )
        verify_evidence(snapshot, evidence)
        return snapshot, evidence


def named(snapshot: Snapshot) -> dict[str, Reading]:
    return {r.instrument.partition("@")[0]: r for r in snapshot.readings}


@pytest.fixture
async def scene(net: Devnet) -> Scene:
    """Alice has a third of a share and a wei of it, and two wstETH."""
    steth = await net.deploy_artifact(odd_tokens()["LocalLido"])
    wrapped = await net.deploy_artifact(odd_tokens()["LocalWstETH"], steth)
    await steth.send("mintShares", ALICE, ETH // 3 + 1)
    await wrapped.send("mint", ALICE, 2 * ETH)
    made = Scene(net, steth, wrapped)
    await made.report("3", ACCOUNTS["3"])
    return made


class TestOnChain:
    """Against the contract's own sums."""

    pytestmark = onchain

    @pytest.mark.parametrize("version", ["2", "3", "4"])
    async def test_shares_and_rate_are_proven_to_the_last_wei(self, scene: Scene, version: str) -> None:
        await scene.report(version, ACCOUNTS[version])
        snapshot, _ = await scene.read()
        assert snapshot.complete, snapshot.missing
        steth, wsteth = named(snapshot)["stETH"], named(snapshot)["wstETH"]
        assert steth.raw == (await scene.steth.read("balanceOf", ALICE))[0]
        assert steth.raw == (ETH // 3 + 1) * (355 * ETH + 12) // (9 * ETH)
        assert (steth.kind, steth.method, steth.detail["shares"]) == (
            "steth",
            Method.PROVEN,
            str(ETH // 3 + 1),
        )
        assert steth.detail["layout"] == "solidity:0"
        assert (wsteth.raw, wsteth.kind, wsteth.method) == (2 * ETH, "staked", Method.PROVEN)
        rate = (await scene.wrapped.read("stEthPerToken"))[0]
        assert wsteth.detail["rateE18"] == steth.detail["rateE18"] == str(rate)
        require_described(snapshot, [scene.described()])

    async def test_a_version_that_is_not_known_is_called_and_says_so(self, scene: Scene) -> None:
        """The balance of wstETH is its own and stays proven; the rate beside it is no longer."""
        await scene.report("4", ACCOUNTS["4"])
        await scene.report("5", ())
        readings = named((await scene.read())[0])
        assert readings["stETH"].method is Method.CALLED
        assert readings["stETH"].detail["unproven"] == "version 5 of its accounting is not known"
        assert (readings["wstETH"].method, readings["wstETH"].detail["proof"]) == (Method.PROVEN, "storage")

    async def test_an_upgrade_to_another_version_is_followed(self, scene: Scene) -> None:
        before = named((await scene.read())[0])["stETH"]
        await scene.report("4", ACCOUNTS["4"])
        after = named((await scene.read())[0])["stETH"]
        assert (before.detail["contractVersion"], after.detail["contractVersion"]) == ("3", "4")
        assert before.raw == after.raw

    async def test_a_rate_that_is_answered_higher_is_refuted(self, scene: Scene) -> None:
        true = (355 * ETH + 12) // 9

        def more(method: str, params: list[Any], answer: Any) -> Any:
            if method == "eth_call" and "to" not in params[0]:
                return answer.replace(true.to_bytes(9, "big").hex(), (2 * true).to_bytes(9, "big").hex())
            return answer

        async with faulty_node(scene.net.url) as liar:
            liar.tamper = more
            snapshot, _ = await scene.read(endpoints=(liar.url,))
        assert {"stETH", "wstETH"}.isdisjoint(named(snapshot))
        assert all("rateE18" in missing for missing in snapshot.missing)

    async def test_forged_rates_and_versions_are_refused_by_their_evidence(self, scene: Scene) -> None:
        snapshot, evidence = await scene.read()
        text, detail = encode_snapshot(snapshot).decode(), named(snapshot)["wstETH"].detail
        for key, lie, reason in (
            ("rateE18", "1", "rateE18"),
            ("contractVersion", "2", "not in the evidence|in the state of"),
            ("contractVersion", "9", "not a known version"),
            ("steth", "0x" + "77" * 20, "not in the evidence"),
        ):
            forged = text.replace(f'"{key}":"{detail[key]}"', f'"{key}":"{lie}"')
            assert forged != text
            with pytest.raises(StateProofError, match=reason):
                verify_evidence(parse_snapshot(forged), evidence)

    async def test_another_steth_than_the_network_file_names_is_refused(self, scene: Scene) -> None:
        snapshot, _ = await scene.read()
        other = await scene.net.deploy_artifact(odd_tokens()["LocalLido"])
        wrong = replace(scene.described().tokens[1], steth=other.address)
        own = replace(scene.described(), tokens=(scene.described().tokens[0], wrong))
        with pytest.raises(StateProofError, match="with steth"):
            require_described(snapshot, [own])
        missing, _ = await take_snapshot_with_evidence(
            [own], account_id=7, addresses=(ALICE,), cut=int(time.time()) + 60, env={}
        )
        assert "and the network file says" in missing.missing[0]


halves = st.integers(0, (1 << 100) - 1)


@given(halves, halves, halves, st.integers(0, 1 << 20), st.integers(0, 1 << 20))
def test_the_versions_agree_on_the_same_accounts(
    shares: int, buffered: int, balance: int, seen: int, waiting: int
) -> None:
    """What version 3 packs into three words is what version 2 has in five, and version 4 counts the same ether."""
    plain = VERSIONS["2"].rate((shares, buffered, balance, seen + waiting, seen))
    packed = VERSIONS["3"].rate((shares, (seen + waiting << 128) + buffered, (seen << 128) + balance))
    pending = waiting * 32 * ETH
    assert plain == packed == VERSIONS["4"].rate((shares, (pending << 128) + buffered, balance))
