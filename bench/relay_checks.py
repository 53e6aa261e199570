"""What the chains say about what the soak's relayers say: which effects there are, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chains.contracts.coding import event_topic
from chains.relayer import Call
from tests.chains.contracts.world import World

FIRST_ACCOUNT = 1000
"""Of those that are submitted; lower ones are the venues' own, made before."""


@dataclass(frozen=True)
class Task:
    """One submission or pledge by one sender. `doomed` names why it must fail; `account_id` is 0 for a pledge."""

    chain: int
    sender: int
    call: Call
    account_id: int = 0
    doomed: str = ""


async def recorded(world: World) -> Counter[int]:
    """How often the registry recorded each account."""
    topic = "0x" + event_topic("SolvencyRegistry", "Recorded").hex()
    logs: Any = await world.net.endpoint.call(
        "eth_getLogs", [{"fromBlock": "0x0", "address": world.registry, "topics": [topic]}]
    )
    accounts = Counter(int(log["topics"][1], 16) for log in logs)
    return Counter({account: n for account, n in accounts.items() if account >= FIRST_ACCOUNT})


async def transactions(world: World) -> Counter[tuple[str, str]]:
    """How many transactions blocks hold, by sender and call data; what fills a nonce has none."""
    found: Counter[tuple[str, str]] = Counter()
    for number in range(int(str((await world.net.head())["number"]), 16) + 1):
        block: Any = await world.net.endpoint.call("eth_getBlockByNumber", [hex(number), True])
        found.update((tx["from"].lower(), tx["input"]) for tx in block["transactions"] if tx["input"] != "0x")
    return found


def ended_of(group: list[Task], reasons: dict[int, str]) -> list[tuple[Task, str]]:
    """Tasks with why they failed, empty for those that are final."""
    return [(task, reasons[index]) for index, task in enumerate(group)]


async def judged(worlds: Mapping[int, World], ended: list[tuple[Task, str]]) -> dict[str, Any]:
    """What the chains say about what the relayers say."""
    recordings = {chain: await recorded(world) for chain, world in worlds.items()}
    mined = {chain: await transactions(world) for chain, world in worlds.items()}
    doomed = {task.call.key for task, _ in ended if task.doomed}
    final, pledges, unexplained, missing, twice = 0, 0, 0, 0, 0
    reasons = Counter[str]()
    landed: set[tuple[int, int]] = set()
    for task, reason in ended:
        sender = worlds[task.chain].net.accounts[task.sender].address.lower()
        times = mined[task.chain][sender, "0x" + task.call.data.hex()]
        twice += times > 1
        if reason:
            explained = task.call.key in doomed
            unexplained += not explained
            reasons["expired" if "expired" in reason else "already recorded"] += explained
            continue
        missing += times == 0 or task.doomed == "expired"
        pledges += task.account_id == 0
        if task.account_id:
            final += 1
            landed.add((task.chain, task.account_id))
    on_chain = {(chain, account) for chain, counts in recordings.items() for account in counts}
    asked, pledged = Counter[tuple[int, int]](), {}
    for task, reason in ended:
        if task.account_id == 0 and not reason:
            asked[task.chain, task.sender] += 1 + int(task.call.key.partition(":")[2])
    for chain, sender in asked:
        world = worlds[chain]
        pledged[chain, sender] = await world.reader.pledge_of(sender, world.net.accounts[sender].address)
    return {
        "recordedExactlyOnce": final,
        "pledgedExactlyOnce": pledges,
        "failedWithReason": dict(sorted(reasons.items())),
        "recordedTwice": sum(times > 1 for counts in recordings.values() for times in counts.values()),
        "minedTwice": twice,
        "saidFinalAndNotMined": missing + len(landed ^ on_chain),
        "pledgedOtherwiseThanSaid": sum(pledged[key] != amount for key, amount in asked.items()),
        "unexplained": unexplained,
    }
