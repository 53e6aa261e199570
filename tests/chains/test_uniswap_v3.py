"""Uniswap v3 with its own contracts: every position of an owner, proven, and valued at outside prices."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.model.errors import ChainError, StateProofError
from aggregator.model.snapshot import Method, Reading, Snapshot, encode_snapshot, parse_snapshot
from chains.balances import require_described, take_snapshot_with_evidence, verify_evidence
from chains.balances.concentrated import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    Position,
    amounts_of,
    fair_sqrt_price,
    fair_value_e12,
    sqrt_price_at,
)
from chains.balances.evidence import Evidence
from chains.balances.holdings import at_prices
from chains.devnet import Devnet
from tests.chains.faults import faulty_node
from tests.chains.scenes import network, token
from tests.chains.uniswap_v3_market import SPACING, Pool, deploy_pool

ALICE = "0x00000000000000000000000000000000000a11ce"
FULL = MAX_TICK // SPACING * SPACING
onchain = [pytest.mark.anvil, pytest.mark.node]


async def read(pool: Pool, owner: str, **options: Any) -> tuple[Snapshot, Evidence]:
    settings = {"positions": (pool.described,), **options}
    snapshot, evidence = await take_snapshot_with_evidence(
        [network(pool.net, **settings)],
        account_id=7,
        addresses=(owner.lower(),),
        cut=int(time.time()) + 60,
        env={},
    )
    verify_evidence(snapshot, evidence)
    return snapshot, evidence


def held(snapshot: Snapshot) -> dict[str, Reading]:
    return {r.detail["tokenId"]: r for r in snapshot.readings if r.kind == "uniswap-v3"}


class TestOnChain:
    """With factory, manager, router and pool as they are published."""

    pytestmark = onchain

    async def test_amounts_and_fees_are_the_contracts_own_to_the_last_unit(self, net: Devnet) -> None:
        """Full range, around the price, below it, above it and without liquidity, after trades in both directions."""
        pool = await deploy_pool(net, tick=37)
        owner = net.accounts[0].address
        ranges = [(-FULL, FULL), (-600, 600), (600, 1200), (-1200, -600), (-60, 60)]
        ids = [await pool.mint(owner, *ticks, 10**18 + n) for n, ticks in enumerate(ranges)]
        for amount, up in ((10**17, True), (3 * 10**17 + 7, False), (10**17 + 1, True), (10**18, True)):
            await pool.swap(amount, up=up)
        liquidity = int((await pool.manager.read("positions", ids[4]))[7])
        await pool.manager.send("decreaseLiquidity", (ids[4], liquidity, 0, 0, 1 << 40), gas=2_000_000)
        snapshot, _ = await read(pool, owner)
        assert snapshot.complete, snapshot.missing
        readings = held(snapshot)
        assert [int(number) for number in readings] == ids
        for reading in readings.values():
            number, state = int(reading.detail["tokenId"]), Position.of(reading.detail)
            price = int(reading.detail["sqrtPriceX96"])
            assert (reading.method, reading.raw, reading.quantity_e8) == (Method.PROVEN, 1, 10**8)
            assert (state.owed0, state.owed1) == await pool.collection(number)
            principal = amounts_of(state.liquidity, price, state.tick_lower, state.tick_upper)
            assert principal == await pool.removal(number, state.liquidity)
        assert any(Position.of(r.detail).owed0 for r in readings.values())
        assert readings[str(ids[4])].detail["liquidity"] == "0"
        require_described(snapshot, [network(net, positions=(pool.described,))])

    async def test_the_pools_own_rounding_is_subtracted(self, net: Devnet) -> None:
        """Positions at the same ticks share one in the pool, which rounds at every touch and pays no more than that."""
        pool = await deploy_pool(net)
        owner = net.accounts[0].address
        ids = [await pool.mint(owner, -600, 600, 10**6 + 7 * n) for n in range(3)]
        for n in range(6):
            await pool.swap(10_001 + 17 * n, up=bool(n % 2))
            await pool.manager.send("collect", (ids[0], owner, (1 << 128) - 1, (1 << 128) - 1), gas=2_000_000)
        await pool.swap(1_000, up=True)
        for last in ids[1:]:
            readings = held((await read(pool, owner))[0])
            for number in ids:
                state = Position.of(readings[str(number)].detail)
                assert (state.owed0, state.owed1) == await pool.collection(number)
            everything = ((1 << 128) - 1, (1 << 128) - 1)
            await pool.manager.send("collect", (last, owner, *everything), gas=2_000_000)

    async def test_an_answer_that_hides_a_position_is_refuted(self, net: Devnet) -> None:
        """The endpoint says one where the proven list has two, and shows the first one truly."""
        pool = await deploy_pool(net)
        for _ in range(2):
            await pool.mint(ALICE, -600, 600)
        question = "70a08231" + ALICE[2:].rjust(64, "0")

        def hide(method: str, params: list[Any], answer: Any) -> Any:
            if method == "eth_call" and question in params[0].get("data", params[0].get("input", "")):
                assert answer.endswith("05000102")
                return answer.removesuffix("02") + "01"
            return answer

        async with faulty_node(net.url) as liar:
            liar.tamper = hide
            snapshot, _ = await read(pool, ALICE, endpoints=(liar.url,))
        assert not held(snapshot)
        assert "the contract's answer is positions 1 and the proven storage is 2" in snapshot.missing[0]

    async def test_forged_positions_are_refused_by_their_evidence(self, net: Devnet) -> None:
        pool = await deploy_pool(net)
        number = await pool.mint(ALICE, -600, 600)
        snapshot, evidence = await read(pool, ALICE)
        text = encode_snapshot(snapshot).decode()
        detail = held(snapshot)[str(number)].detail
        for key, lie, reason in (
            ("liquidity", "9" * 20, "does not say liquidity"),
            ("owed0", "9", "does not say owed0"),
            ("tickUpper", "1200", "not in the evidence|does not say tickUpper"),
            ("pool", "0x" + "77" * 20, "not in the evidence"),
            ("factory", "0x" + "77" * 20, "not the factory's"),
            ("token0", "0x" + "77" * 20, "not the factory's"),
            ("fee", "500", "not the factory's"),
            ("index", "1", "not in the evidence|in the state of"),
            ("index", "-0", "not a whole number"),
        ):
            forged = text.replace(f'"{key}":"{detail[key]}"', f'"{key}":"{lie}"')
            assert forged != text
            with pytest.raises(StateProofError, match=reason):
                verify_evidence(parse_snapshot(forged), evidence)
        own = network(net, positions=(replace(pool.described, factory="0x" + "77" * 20),))
        with pytest.raises(StateProofError, match="factory"):
            require_described(snapshot, [own])
        other = text.replace(f"UNI-V3-{number}@", f"UNI-V3-{number + 1}@")
        with pytest.raises(StateProofError, match="which no network file"):
            require_described(parse_snapshot(other), [network(net, positions=(pool.described,))])

    async def test_positions_count_as_their_tokens_at_outside_prices(self, net: Devnet) -> None:
        """With both tokens in the network file it is amounts of them; otherwise it is named and counts for nothing."""
        pool = await deploy_pool(net)
        number = await pool.mint(ALICE, -600, 600)
        await pool.swap(10**17, up=True)
        tokens = (token(pool.token0, "ONE", 18), token(pool.token1, "TWO", 18))
        described = network(net, *tokens, positions=(pool.described,))
        snapshot, _ = await read(pool, ALICE, tokens=tokens)
        require_described(snapshot, [described])
        usd = 10**12
        prices = {"ONE@eip155:101": usd, "TWO@eip155:101": usd}
        holdings = at_prices(snapshot.readings, prices)
        assert not holdings.notes
        made = [r for r in holdings.readings if r.kind == "uniswap-v3"]
        state = Position.of(held(snapshot)[str(number)].detail)
        assert {r.instrument: r.raw for r in made} == dict(zip(prices, state.amounts(1 << 96), strict=True))
        assert all(r.method is Method.PROVEN and r.quantity_e8 == r.raw // 10**10 for r in made)
        assert len(holdings.readings) == len(snapshot.readings) + 1

        lacking = at_prices(snapshot.readings, {"ONE@eip155:101": usd})
        assert "counts for nothing: TWO@eip155:101 has no price" in lacking.notes[0]
        bare, _ = await read(pool, ALICE, tokens=tokens[:1])
        stranger = at_prices(bare.readings, prices)
        assert "is in no network file" in stranger.notes[0]
        assert "uniswap-v3" not in {r.kind for r in stranger.readings}
        for tokens_there, reason in ((tokens[:1], "with instrument1"), (tokens[::-1], "")):
            other = replace(described, tokens=tokens_there)
            if reason:
                lone = replace(
                    snapshot, readings=tuple(r for r in snapshot.readings if r.kind == "uniswap-v3")
                )
                with pytest.raises(StateProofError, match=reason):
                    require_described(lone, [other])
            else:
                require_described(snapshot, [other])
        forged = encode_snapshot(bare).replace(b'"instrument0":"ONE', b'"instrument0":"TWO')
        with pytest.raises(StateProofError, match="with instrument0"):
            require_described(
                parse_snapshot(forged), [network(net, *tokens[:1], positions=(pool.described,))]
            )

    async def test_a_list_with_a_position_left_out_is_not_described(self, net: Devnet) -> None:
        """Each position proves how long the list is, so one that was dropped from the snapshot is missed."""
        pool = await deploy_pool(net)
        for _ in range(3):
            await pool.mint(ALICE, -600, 600)
        snapshot, evidence = await read(pool, ALICE)
        own = [network(net, positions=(pool.described,))]
        require_described(snapshot, own)
        without = [
            tuple(r for r in snapshot.readings if r.detail.get("tokenId") != str(n)) for n in (1, 2, 3)
        ]
        for readings in without:
            with pytest.raises(StateProofError, match="has 3 positions behind"):
                require_described(replace(snapshot, readings=readings), own)
        stolen = encode_snapshot(snapshot).decode().replace(ALICE, ALICE.replace("a11ce", "00b0b"))
        with pytest.raises(StateProofError, match="not in the evidence"):
            verify_evidence(parse_snapshot(stolen), evidence)

    async def test_two_owners_are_read_together_and_too_many_positions_are_missing(
        self, net: Devnet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One owner with two positions, one with one, one with none; beyond the bound nobody's list is cut short."""
        pool = await deploy_pool(net)
        bob, carol = net.accounts[3].address.lower(), net.accounts[4].address.lower()
        for owner in (ALICE, bob, ALICE):
            await pool.mint(owner, -600, 600)
        for most, expected in ((2, {"1": ALICE, "2": bob, "3": ALICE}), (1, {"2": bob})):
            monkeypatch.setattr("chains.balances.uniswap_v3.MAX_POSITIONS", most)
            snapshot, evidence = await take_snapshot_with_evidence(
                [network(net, positions=(pool.described,))],
                account_id=7,
                addresses=(ALICE, bob, carol),
                cut=int(time.time()) + 60,
                env={},
            )
            assert {number: r.address for number, r in held(snapshot).items()} == expected
            assert verify_evidence(snapshot, evidence).proven == 3 + len(expected)
        assert "there are 2 positions in UNI-V3, more than 1" in snapshot.missing[0]

    async def test_another_factory_than_the_managers_is_refused(self, net: Devnet) -> None:
        pool = await deploy_pool(net)
        await pool.mint(ALICE, -600, 600)
        wrong = replace(pool.described, factory=pool.router.address)
        snapshot, _ = await read(pool, ALICE, positions=(wrong,))
        assert "names the factory" in snapshot.missing[0]

    async def test_an_owner_without_positions_costs_one_round(self, net: Devnet) -> None:
        pool = await deploy_pool(net)
        snapshot, _ = await read(pool, ALICE)
        assert snapshot.complete
        assert not held(snapshot)

    async def test_a_trade_against_the_pool_does_not_raise_the_fair_value(self, net: Devnet) -> None:
        """A trade through the whole range: at the pool's own price the position seems worth more, fairly it is not."""
        pool = await deploy_pool(net)
        number = str(await pool.mint(ALICE, -6000, 6000))
        before = Position.of(held((await read(pool, ALICE))[0])[number].detail)
        usd = 10**12
        fair = fair_value_e12(before, usd, usd, 18, 18)
        assert 2 * usd * 999 // 1000 < fair <= 2 * usd
        await pool.swap(10**19, up=True)
        reading = held((await read(pool, ALICE))[0])[number]
        after, price = Position.of(reading.detail), int(reading.detail["sqrtPriceX96"])
        amount0, amount1 = after.amounts(price)
        spot = (amount0 * (price**2 >> 96) >> 96) + amount1
        assert spot > 2 * 10**18 * 105 // 100
        fees = (after.owed0 + after.owed1) * usd // 10**18
        assert fair_value_e12(after, usd, usd, 18, 18) <= fair + fees + 1


def test_published_ends_of_the_tick_range() -> None:
    """MIN_SQRT_RATIO and MAX_SQRT_RATIO of TickMath, and one at tick 0."""
    assert sqrt_price_at(-MAX_TICK) == 4_295_128_739
    assert sqrt_price_at(MAX_TICK) == MAX_SQRT_PRICE
    assert sqrt_price_at(0) == 1 << 96
    for tick in (MAX_TICK + 1, -MAX_TICK - 1):
        with pytest.raises(ChainError, match="no such tick"):
            sqrt_price_at(tick)


STATED = {"liquidity": "5", "tickLower": "-60", "tickUpper": "60", "owed0": "0", "owed1": "0"}


@pytest.mark.parametrize(
    "changed",
    [
        {"liquidity": "-1"},
        {"liquidity": str(1 << 128)},
        {"liquidity": ""},
        {"owed0": "1.5"},
        {"owed1": "-1"},
        {"tickLower": "60"},
        {"tickLower": "-887273"},
        {"tickUpper": "9" * 80},
    ],
)
def test_a_position_that_cannot_be_is_refused(changed: dict[str, str]) -> None:
    """A snapshot from strangers may say anything; it never gets as far as an amount."""
    assert Position.of(STATED) == Position(5, -60, 60, 0, 0)
    with pytest.raises(ChainError):
        Position.of({**STATED, **changed})


ticks = st.integers(-FULL // SPACING, FULL // SPACING).map(lambda n: n * SPACING)
ranges = st.tuples(ticks, ticks).filter(lambda two: two[0] != two[1]).map(sorted)
prices = st.integers(10**6, 10**18)
positions = st.builds(
    lambda liquidity, two, owed0, owed1: Position(liquidity, two[0], two[1], owed0, owed1),
    st.integers(0, 1 << 100),
    ranges,
    st.integers(0, 1 << 80),
    st.integers(0, 1 << 80),
)


@given(ranges, st.integers(0, 1 << 100), st.integers(-MAX_TICK, MAX_TICK - 1))
def test_amounts_move_one_way_with_the_price(two: list[int], liquidity: int, tick: int) -> None:
    """A higher price never leaves more of token0 nor less of token1, and outside the range one of them is nothing."""
    low0, low1 = amounts_of(liquidity, sqrt_price_at(tick), *two)
    high0, high1 = amounts_of(liquidity, sqrt_price_at(tick + 1), *two)
    assert low0 >= high0 >= 0
    assert 0 <= low1 <= high1
    assert tick > two[0] or low1 == 0
    assert tick < two[1] or low0 == 0


@given(
    positions, prices, prices, st.integers(-MAX_TICK, MAX_TICK), st.sampled_from([(18, 18), (6, 18), (18, 8)])
)
def test_the_fair_value_is_the_least_over_all_prices_of_the_pool(
    position: Position, price0: int, price1: int, tick: int, decimals: tuple[int, int]
) -> None:
    """Wherever a trade moves the pool, what the position is there is worth no less at the outside prices.

    One base unit of either token is lost to rounding.
    """
    fair = fair_value_e12(position, price0, price1, *decimals)
    amount0, amount1 = position.amounts(sqrt_price_at(tick))
    there = (amount0 + 1) * price0 // 10 ** decimals[0] + (amount1 + 1) * price1 // 10 ** decimals[1]
    assert fair <= there + 2


@given(positions)
def test_a_token_worth_nothing_leaves_only_the_fees_of_the_other(position: Position) -> None:
    """A stale price counts as zero: the pool would then be full of that token."""
    usd = 10**12
    assert fair_value_e12(position, 0, usd, 18, 18) == position.owed1 * usd // 10**18
    assert fair_value_e12(position, usd, 0, 18, 18) == position.owed0 * usd // 10**18
    assert fair_value_e12(position, 0, 0, 18, 18) == 0
    with pytest.raises(ChainError, match="negative"):
        fair_sqrt_price(-1, 1, 18, 18)
