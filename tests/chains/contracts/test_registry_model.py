"""Long random call sequences: contract and model agree after each call, and what must never happen does not."""

from __future__ import annotations

import random
from typing import Any

import pytest
from eth_utils.crypto import keccak

from aggregator.model.policy import Level
from chains.contracts.administration import (
    pause_call,
    publish_policy_call,
    revoke_policy_call,
    set_grace_period_call,
    set_publisher_call,
    unpause_call,
)
from chains.contracts.coding import creation_code
from chains.contracts.registry import (
    Submission,
    pledge_call,
    poke_call,
    release_call,
    set_attestors_call,
    set_policy_call,
    set_verifier_call,
    submit_call,
    transfer_call,
)
from tests.chains.contracts.model import Model, Rules, Statement
from tests.chains.contracts.world import (
    ACCOUNT_ID,
    CIRCUIT,
    MAX_AGE,
    POLICY_ROOT,
    World,
)

pytestmark = pytest.mark.anvil
STEPS = 300
ALWAYS = bytes.fromhex("600160005260206000f3")
"""A contract that answers every call with 1: each verification passes."""
GAS = 1_000_000
ACCOUNTS = (ACCOUNT_ID, ACCOUNT_ID + 1)
ACTIONS = (
    *["submit"] * 30,
    *["pledge"] * 25,
    *["release"] * 12,
    *["transfer"] * 15,
    *["poke"] * 8,
    *("replay", "wait", "policy", "window", "attestors", "verifier", "pause", "grace"),
)


class Driver:
    """Does the same random thing to the contract and to the model."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.rng, self.net = world, random.Random(seed), world.net
        self.rules = Rules(MAX_AGE)
        self.models = {account: Model(self.rules) for account in ACCOUNTS}
        self.now = 0
        self.sent: list[tuple[int, Submission, Statement]] = []
        self.done: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.signers = 0
        self.circuits = (CIRCUIT, keccak(b"second circuit"))
        self.verifiers: list[str] = []

    async def begin(self) -> None:
        """Rules in force on both sides."""
        for _ in range(3):
            at = await self.net.deploy_code(creation_code("TestAcceptingVerifier"))
            await self.net.set_code(at, ALWAYS)
            self.verifiers.append(at)
        self.now = await self.world.now() + 1
        await self.rule(set_publisher_call(self.world.owner, True))
        await self.rule(set_attestors_call([a.address for a in self.world.net.accounts[1:3]], 2))
        self.rules.enact("attestors")
        self.rules.enact("attestors by 0")
        for circuit in (0, 1):
            await self.set_verifier(circuit, self.verifiers[circuit])
        for root in (0, 1):
            await self.set_window(root, 0, self.now + 10**6)
        self.circuit_at = dict(enumerate(self.verifiers[:2]))

    async def send(self, data: bytes, sender: str) -> bool:
        """One transaction in a block of the model's present second; whether it went through."""
        await self.net.next_timestamp(self.now)
        request = {"from": sender, "to": self.world.registry, "data": "0x" + data.hex(), "gas": hex(GAS)}
        sent = await self.net.endpoint.call("eth_sendTransaction", [request])
        receipt: Any = None
        while receipt is None:
            receipt = await self.net.endpoint.call("eth_getTransactionReceipt", [sent])
        return bool(receipt["status"] == "0x1")

    async def rule(self, data: bytes) -> None:
        """What the owner does always goes through; each in a second of its own."""
        self.now = max(self.now, await self.world.now() + 1)
        assert await self.send(data, self.world.owner)

    async def set_verifier(self, circuit: int, verifier: str | None) -> None:
        """Another verifier of a circuit, or none."""
        await self.rule(set_verifier_call(self.circuits[circuit], verifier or "0x" + 40 * "0"))
        self.rules.revoke(f"circuit {circuit}", self.now)
        if verifier:
            self.rules.enact(f"circuit {circuit}")

    async def set_window(self, root: int, start: int, end: int) -> None:
        """A policy's window."""
        data = publish_policy_call(POLICY_ROOT + root, start, end)
        await self.rule(data if start else set_policy_call(POLICY_ROOT + root, end))
        self.rules.windows[root] = (start, end)
        if f"policy {root}" not in self.rules.ids:
            self.rules.enact(f"policy {root}")

    async def step(self) -> None:
        """One random action."""
        rng = self.rng
        account = rng.choice(ACCOUNTS[:1] * 3 + ACCOUNTS)
        model = self.models[account]
        action = "pause" if self.rules.paused and rng.random() < 0.2 else rng.choice(ACTIONS)
        self.now += rng.choice([0, 1, 1, 5, 40])
        self.now = max(self.now, await self.world.now() + 1)
        venue, other = rng.choice(self.world.venues), rng.choice(self.world.venues)
        free = max(0, model.firm(Level.IM, self.now) - model.pledged)
        own = model.line(venue).pledged
        room = max(0, model.line(other).amount - model.line(other).pledged)
        edge = rng.choice([free, free + 1, own, own + 1, min(own, room), max(1, own // 2)])
        amount = rng.choice([0, 1, edge, edge, rng.randrange(1, 900), *(rng.randrange(1, 100) for _ in "ab")])
        if action in {"submit", "replay"}:
            done, expected = await self.submit(account, venue, again=action == "replay")
        elif action == "pledge":
            expected = model.pledge(venue, amount, self.now)
            done = await self.send(pledge_call(account, amount), venue)
        elif action == "release":
            expected = model.release(venue, amount, self.now)
            done = await self.send(release_call(account, amount), venue)
        elif action == "transfer":
            expected = model.transfer(venue, other, amount, self.now)
            done = await self.send(transfer_call(account, other, amount), venue)
        elif action == "poke":
            expected = model.poke(self.now)
            done = await self.send(poke_call(account), self.world.net.accounts[9].address)
        else:
            expected = done = True
            await self.change(action)
        assert done == expected, (action, venue, amount)
        counts = self.done if done else self.refused
        counts[action] = counts.get(action, 0) + 1

    async def submit(self, account: int, venue: str, *, again: bool) -> tuple[bool, bool]:
        """A new statement, or one that was sent before."""
        rng = self.rng
        if again and self.sent:
            account, submission, statement = rng.choice(self.sent[-6:])
        else:
            base = max(self.models[account].cut, self.now - 60)
            statement = Statement(
                venue=venue,
                amount=rng.randrange(1, 1200),
                level=rng.choice([*[Level.IM] * 5, Level.MM]),
                cut=base + rng.choice([*[0] * 8, 1, 3, -1, -MAX_AGE, 200]),
                expiry=self.now + rng.choice([-1, 0, 100, *[900] * 5]) + rng.randrange(4),
                policy=rng.randrange(2),
                attestors=rng.choice([*[self.signers] * 9, 1 - self.signers]),
                circuit=rng.randrange(2),
            )
            submission = await self.world.submission(
                account_id=account,
                venue=venue,
                amount_usd_e6=statement.amount,
                level=statement.level,
                cut_time=statement.cut,
                expiry=statement.expiry,
                attestation_expiry=self.now + 10**5,
                policy_root=POLICY_ROOT + statement.policy,
                circuit_id=self.circuits[statement.circuit],
            )
            signers = (
                self.world.net.accounts[1:3] if statement.attestors == 0 else self.world.net.accounts[2:4]
            )
            submission = self.world.attested(submission, signers)
            self.sent.append((account, submission, statement))
        expected = self.models[account].submit(statement, self.now)
        return await self.send(submit_call(submission), self.world.owner), expected

    async def change(self, action: str) -> None:
        """Time, or what is accepted."""
        rng, rules = self.rng, self.rules
        root, circuit = rng.randrange(2), rng.randrange(2)
        if action == "wait":
            self.now += rng.choice([100, 600, 2000])
        elif action == "policy":
            await self.rule(revoke_policy_call(POLICY_ROOT + root))
            rules.revoke(f"policy {root}", self.now)
            rules.windows.pop(root, None)
            self.now += 1
            await self.set_window(root, 0, self.now + 10**6)
        elif action == "window":
            await self.set_window(
                root, self.now + rng.choice([-9, 0, 30]), self.now + rng.choice([50, 10**6])
            )
        elif action == "attestors":
            rules.revoke("attestors", self.now)
            rules.enact("attestors")
            del rules.ids[f"attestors by {self.signers}"]
            self.signers = rng.randrange(2)
            rules.enact(f"attestors by {self.signers}")
            pair = self.world.net.accounts[1:3] if self.signers == 0 else self.world.net.accounts[2:4]
            await self.rule(set_attestors_call([a.address for a in pair], 2))
        elif action == "verifier":
            free = [v for v in self.verifiers if v not in self.circuit_at.values()]
            choice = rng.choice([None, *free])
            await self.set_verifier(circuit, choice)
            self.circuit_at[circuit] = choice or ""
            if choice is None:
                self.now += 1
                await self.set_verifier(circuit, free[0])
                self.circuit_at[circuit] = free[0]
        elif action == "pause":
            await self.rule(unpause_call() if rules.paused else pause_call())
            rules.paused = not rules.paused
        else:
            seconds = rng.choice([0, 50, 500])
            await self.rule(set_grace_period_call(seconds))
            rules.grace = seconds

    async def compare(self) -> None:
        """Every read of the contract, against the model, at the block's time."""
        now = await self.world.now()
        for account, model in self.models.items():
            await self.compare_account(account, model, now)

    async def compare_account(self, account: int, model: Model, now: int) -> None:
        """The reads of one account."""
        reader = self.world.reader
        pledges = {v: model.line(v).pledged for v in self.world.venues}
        status, firm, counted, pledged, deadline = await reader.call("statusOf", account, block="latest")
        # A view runs at the latest block's time.
        assert (firm, counted) == (max(model.firm(x, now) for x in Level), model.counted(now))
        assert (pledged, deadline) == (model.pledged, model.deadline)
        short = pledged > firm
        assert status == (0 if not short else 1 if not deadline else 2 if now <= deadline else 3)
        free = model.firm(Level.IM, now)
        assert await reader.call("available", account) == max(0, free - pledged)
        ranked = model.cover(now)
        covered = await reader.call("coverOf", account, [v for v, _ in ranked])
        assert list(covered) == [amount for _, amount in ranked]
        for venue, own in pledges.items():
            assert await reader.call("pledgeOf", account, venue) == own
            assert await reader.call("isGood", account, venue) == model.good(venue, now)
        # The invariant: what is pledged is proven, or called, or can be called by anyone right now.
        assert pledged == sum(pledges.values())
        if short and not deadline:
            request = {
                "from": self.world.owner,
                "to": self.world.registry,
                "data": "0x" + poke_call(account).hex(),
            }
            await self.net.endpoint.call("eth_call", [request, "latest"])

    async def everybody_leaves(self) -> None:
        """Nothing is stuck: from any state, paused or not, each venue releases all it has."""
        for account, model in self.models.items():
            for venue in self.world.venues:
                self.now += 1
                if own := model.line(venue).pledged:
                    assert model.release(venue, own, self.now)
                    assert await self.send(release_call(account, own), venue)
            assert await self.world.reader.pledged(account) == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_contract_and_model_agree(world: World, seed: int) -> None:
    """Every call with random values and times; nothing recorded twice, nothing stuck at the end."""
    driver = Driver(world, seed)
    await driver.begin()
    for _ in range(STEPS):
        await driver.step()
        await driver.compare()
    for action in ("submit", "pledge", "release", "transfer"):
        assert driver.done.get(action, 0) >= 2, (action, driver.done)
        assert driver.refused.get(action, 0) >= 2, driver.refused
    assert "replay" not in driver.done or driver.refused["replay"]
    await driver.everybody_leaves()


async def test_the_comparison_notices_a_difference(world: World) -> None:
    """A model that forgets one rule is caught."""
    driver = Driver(world, 1)
    driver.models[ACCOUNT_ID].pledge = lambda *_: True  # type: ignore[method-assign]
    await driver.begin()

    async def run() -> None:
        for _ in range(STEPS):
            await driver.step()
            await driver.compare()

    with pytest.raises(AssertionError):
        await run()
