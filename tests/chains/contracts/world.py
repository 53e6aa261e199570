"""A registry on a local chain with everything it needs around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from eth_abi.abi import decode
from eth_account import Account
from eth_utils.abi import get_abi_input_names, get_abi_input_types
from eth_utils.crypto import keccak

from aggregator.model.policy import Level
from chains.contracts import artifact
from chains.contracts.calldata import requirement_and_level
from chains.contracts.coding import call_data, creation_code, event_topic
from chains.contracts.registry import (
    Registry,
    Submission,
    order_signatures,
    set_coverage_call,
    set_policy_call,
    set_verifier_call,
    submit_call,
)
from chains.contracts.reverts import error_name, explain_revert
from chains.devnet import DevAccount, Devnet
from chains.rpc import RpcError
from chains.rpc.provider import web3_on
from tests.chains.contracts.toxic import Toxic, g1, g2

CIRCUIT = keccak(b"a circuit")
COVERAGE = keccak(b"a coverage")
ANCHORS = keccak(b"the anchors")
POLICY_ROOT = 777
ACCOUNT_ID = 12345
COMMITMENT = 999
MAX_AGE = 3600
USD = 10**6
FAR = 10**6
EMPTY_PROOF = b"".join(word.to_bytes(32, "little") for word in (*g1(1), *g2(1), *g1(2)))
ATTESTATION_TYPES = {
    "Attestation": [
        {"name": "accountId", "type": "uint256"},
        {"name": "commitment", "type": "uint256"},
        {"name": "anchorsHash", "type": "bytes32"},
        {"name": "cutTime", "type": "uint64"},
        {"name": "expiry", "type": "uint64"},
        {"name": "coverage", "type": "bytes32"},
    ]
}
DOMAIN = {"name": "counterfoil", "version": "1"}


class RefusedError(Exception):
    """A contract refused; `name` is the custom error, `sentence` what a person reads."""

    def __init__(self, data: bytes) -> None:
        self.name = error_name(data)
        self.sentence = explain_revert(data)
        super().__init__(f"{self.name}: {self.sentence}")


@dataclass(frozen=True)
class Event:
    """One decoded log of the registry."""

    name: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Receipt:
    """What a test looks at after a transaction."""

    gas: int
    events: tuple[Event, ...]

    def only(self, name: str) -> dict[str, Any]:
        """The values of the single event called `name`."""
        (found,) = [e.values for e in self.events if e.name == name]
        return found

    @property
    def names(self) -> list[str]:
        """Event names in order."""
        return [e.name for e in self.events]


def sign_attestation(key: str, s: Submission, domain: dict[str, Any]) -> bytes:
    """An attestor's EIP-712 signature, made by eth-account from the typed data."""
    message = {
        "accountId": s.account_id,
        "commitment": s.commitment,
        "anchorsHash": s.anchors_hash,
        "cutTime": s.cut_time,
        "expiry": s.attestation_expiry,
        "coverage": s.coverage,
    }
    signed = Account.sign_typed_data(
        key, domain_data=domain, message_types=ATTESTATION_TYPES, message_data=message
    )
    return bytes(signed.signature)


@dataclass
class World:
    """A registry, its owner, three attestors of which two must sign, and venues."""

    net: Devnet
    registry: str
    verifier: str

    @property
    def owner(self) -> str:
        """Deployer and owner."""
        return self.net.accounts[0].address

    @property
    def attestors(self) -> tuple[DevAccount, ...]:
        """The three attestors."""
        return self.net.accounts[1:4]

    @property
    def venues(self) -> tuple[str, ...]:
        """Three venues."""
        return tuple(a.address for a in self.net.accounts[5:8])

    @property
    def reader(self) -> Registry:
        """The Python reader under test."""
        return Registry(web3_on(self.net.endpoint), self.registry)

    @classmethod
    async def make(cls, net: Devnet, *, production: bool = False, toxic: Toxic | None = None) -> World:
        """Deploy and configure; with `toxic` behind a real Groth16 verifier."""
        attestors = sorted((a.address for a in net.accounts[1:4]), key=lambda a: int(a, 16))
        registry = await net.deploy_code(
            creation_code("SolvencyRegistry", net.accounts[0].address, production, MAX_AGE, attestors, 2)
        )
        code = (
            creation_code("Groth16Verifier", toxic.key_words(), not production)
            if toxic
            else creation_code("TestAcceptingVerifier")
        )
        world = cls(net, registry, await net.deploy_code(code))
        now = await world.now()
        await world.send(set_verifier_call(CIRCUIT, world.verifier))
        await world.send(set_policy_call(POLICY_ROOT, now + FAR))
        await world.send(set_coverage_call(COVERAGE, True))
        return world

    @property
    def domain(self) -> dict[str, Any]:
        """The EIP-712 domain of what is attested to the registry."""
        return {**DOMAIN, "chainId": self.net.chain_id, "verifyingContract": self.registry}

    def attested(self, s: Submission, attestors: Sequence[DevAccount]) -> Submission:
        """The submission with the signatures of `attestors`."""
        signed = [(a.address, sign_attestation(a.key, s, self.domain)) for a in attestors]
        return replace(s, signatures=order_signatures(signed))

    async def now(self) -> int:
        """Timestamp of the latest block."""
        return int(str((await self.net.head())["timestamp"]), 16)

    async def travel(self, seconds: int) -> None:
        """Mine a block `seconds` later."""
        await self.net.next_timestamp(await self.now() + seconds)
        await self.net.mine()

    async def submission(self, **changes: Any) -> Submission:
        """A good submission of 1000 USD at IM to the first venue, with `changes` before it is attested."""
        now = await self.now()
        s = Submission(
            circuit_id=CIRCUIT,
            proof=EMPTY_PROOF,
            account_id=ACCOUNT_ID,
            commitment=COMMITMENT,
            policy_root=POLICY_ROOT,
            amount_usd_e6=1000 * USD,
            level=Level.IM,
            venue=self.venues[0],
            expiry=now + 1000,
            anchors_hash=ANCHORS,
            cut_time=now - 10,
            attestation_expiry=now + 2000,
            coverage=COVERAGE,
            signatures=(),
        )
        return self.attested(replace(s, **changes), self.attestors[:2])

    def inputs(self, s: Submission) -> tuple[int, ...]:
        """The five public inputs that a proof for `s` has."""
        return (
            s.account_id,
            s.commitment,
            s.policy_root,
            requirement_and_level(s.amount_usd_e6, s.level),
            s.context(self.net.chain_id, self.registry),
        )

    async def prove(self, s: Submission) -> None:
        """Have the test verifier accept the inputs of `s`."""
        await self.send(call_data("TestAcceptingVerifier", "expect", self.inputs(s)), to=self.verifier)

    async def submit(self, s: Submission) -> Receipt:
        """Send `s` as it is."""
        return await self.send(submit_call(s), sender=self.net.accounts[9].address)

    async def prove_and_submit(self, s: Submission) -> Receipt:
        """Send `s` after the verifier was told to accept it."""
        await self.prove(s)
        return await self.submit(s)

    async def send(self, data: bytes, *, sender: str | None = None, to: str | None = None) -> Receipt:
        """Send a transaction; raises RefusedError with the decoded reason when it would revert."""
        request = {"from": sender or self.owner, "to": to or self.registry, "data": "0x" + data.hex()}
        try:
            estimate = await self.net.endpoint.call("eth_estimateGas", [request])
        except RpcError as error:
            raise RefusedError(bytes.fromhex(str(error.data or "0x")[2:])) from error
        gas = hex(int(str(estimate), 16) * 5 // 4)
        tx_hash = await self.net.endpoint.call("eth_sendTransaction", [{**request, "gas": gas}])
        receipt: Any = None
        while receipt is None:
            receipt = await self.net.endpoint.call("eth_getTransactionReceipt", [tx_hash])
        assert receipt["status"] == "0x1"
        events = tuple(decode_event(log) for log in receipt["logs"])
        return Receipt(int(receipt["gasUsed"], 16), events)


def decode_event(log: Any) -> Event:
    """A log by the ABI of the registry or its timelock."""
    topic = bytes.fromhex(log["topics"][0][2:])
    for contract in ("SolvencyRegistry", "RegistryTimelock"):
        for entry in artifact(contract).abi:
            if entry["type"] == "event" and event_topic(contract, entry["name"]) == topic:
                data = bytes.fromhex(log["data"][2:])
                plain = [i for i in entry["inputs"] if not i["indexed"]]
                indexed = [i for i in entry["inputs"] if i["indexed"]]
                decoded = decode([i["type"] for i in plain], data)
                values = dict(zip([i["name"] for i in plain], decoded, strict=True))
                for item, raw in zip(indexed, log["topics"][1:], strict=True):
                    (values[item["name"]],) = decode([item["type"]], bytes.fromhex(raw[2:]))
                return Event(entry["name"], values)
    raise AssertionError(f"unknown event {topic.hex()}")


def submit_raw(s: Submission, **changes: object) -> bytes:
    """Call data of `submit` with values that `Submission` would refuse, by Solidity field name."""
    abi = next(e for e in artifact("SolvencyRegistry").abi if e.get("name") == "submit")
    names = [c["name"] for c in abi["inputs"][0]["components"]]
    (types,) = get_abi_input_types(abi)
    assert len(names) == len(fields(Submission))
    assert get_abi_input_names(abi) == ["s"]
    (values,) = decode([types], submit_call(s)[4:])
    merged = {**dict(zip(names, values, strict=True)), **changes}
    return call_data("SolvencyRegistry", "submit", tuple(merged.values()))
