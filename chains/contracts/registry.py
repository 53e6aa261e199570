"""Typed calls of `SolvencyRegistry`.

Writing is call data only (`submit_call`, `pledge_call`, ...), which `chains.relayer` sends; reading goes through
`Registry`, an `AsyncWeb3` and an address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from eth_typing import ChecksumAddress
from eth_utils.address import is_address, to_checksum_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3 import AsyncWeb3
from web3.exceptions import ContractLogicError
from web3.types import BlockIdentifier, TxParams

from aggregator.model.errors import ChainError, FormatError, ProofRefusedError
from aggregator.model.policy import Level
from aggregator.model.units import TOTAL_BOUND
from chains.contracts.calldata import context_of, proof_words, signature_words
from chains.contracts.coding import call_data, decode_result
from chains.contracts.reverts import refusal

NAME: Final = "SolvencyRegistry"
_UINT64: Final = 1 << 64
_UINT256: Final = 1 << 256


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What `SolvencyRegistry.submit` takes: everything of a bundle that the chain checks.

    Attributes:
        circuit_id: 32 bytes, the circuit's digest.
        proof: 256 bytes, little-endian coordinates as the prover returns them.
        account_id, commitment, policy_root: public inputs 0 to 2.
        amount_usd_e6, level: packed into public input 3.
        venue, expiry, anchors_hash, cut_time: hashed with chain and registry into public input 4.
        attestation_expiry, coverage: the rest of what the attestors signed.
        signatures: 65 bytes each (r s v), by ascending signer address.
    """

    circuit_id: bytes
    proof: bytes
    account_id: int
    commitment: int
    policy_root: int
    amount_usd_e6: int
    level: Level
    venue: str
    expiry: int
    anchors_hash: bytes
    cut_time: int
    attestation_expiry: int
    coverage: bytes
    signatures: tuple[bytes, ...]

    def __post_init__(self) -> None:
        for name in ("circuit_id", "anchors_hash", "coverage"):
            if len(getattr(self, name)) != 32:
                raise FormatError(f"{name} of the submission is not 32 bytes; make the bundle again")
        for name, bound in (
            ("account_id", _UINT256),
            ("commitment", _UINT256),
            ("policy_root", _UINT256),
            ("amount_usd_e6", TOTAL_BOUND),
            ("expiry", _UINT64),
            ("cut_time", _UINT64),
            ("attestation_expiry", _UINT64),
        ):
            if not 0 <= getattr(self, name) < bound:
                raise FormatError(f"{name} of the submission is out of range; make the bundle again")
        if not is_address(self.venue):
            raise FormatError(f"the venue {self.venue!r} is not an address; make the bundle again")
        proof_words(self.proof)
        for signature in self.signatures:
            signature_words(signature)

    def context(self, chain_id: int, registry: str) -> int:
        """Public input 4 when this is submitted to `registry` on `chain_id`."""
        return context_of(
            chain_id=chain_id,
            registry=registry,
            venue=self.venue,
            expiry=self.expiry,
            anchors_hash=self.anchors_hash,
            cut_time=self.cut_time,
        )

    def replay_key(self, chain_id: int, registry: str) -> str:
        """The key under which chain and journal hold this statement once: hex, never made of proof bytes."""
        words = (
            chain_id,
            int(registry, 16),
            self.account_id,
            self.context(chain_id, registry),
            self.cut_time,
        )
        return keccak(b"".join(word.to_bytes(32, "big") for word in words)).hex()


@dataclass(frozen=True)
class AccountState:
    """What an account has proven at its latest cut (Unix seconds, 1e-6 USD)."""

    cut_time: int
    initial_until: int
    initial_usd_e6: int
    called: bool
    maintenance_until: int
    maintenance_usd_e6: int
    pledged_usd_e6: int


@dataclass(frozen=True)
class VenueRecord:
    """The last proof addressed to one venue (Unix seconds, 1e-6 USD). All zero when there was none."""

    cut_time: int
    until: int
    amount_usd_e6: int
    level: Level


class Status(IntEnum):
    """How an account stands: see `SolvencyRegistry.Status`."""

    COVERED = 0
    SHORT = 1
    CALLED = 2
    FAILED = 3


@dataclass(frozen=True)
class AccountStatus:
    """Whether what is proven covers the pledges (1e-6 USD, Unix seconds).

    Attributes:
        firm_usd_e6: proven, fresh and under nothing revoked.
        counted_usd_e6: the same, with what was revoked and is within its grace period.
        deadline: until when a margin call is to be met; 0 when there is none.
    """

    status: Status
    firm_usd_e6: int
    counted_usd_e6: int
    pledged_usd_e6: int
    deadline: int


@dataclass(frozen=True)
class VenueStanding:
    """What a venue asks before it relies on an account, read at one block."""

    good: bool
    record: VenueRecord
    own_pledge_usd_e6: int
    pledged_usd_e6: int
    available_usd_e6: int


@dataclass(frozen=True)
class RegistryRules:
    """What a registry asks of everybody, and who may change it; addresses are lower-case, 0x0.. for nobody."""

    production: bool
    paused: bool
    owner: str
    pending_owner: str
    guardian: str
    attestors: tuple[str, ...]
    threshold: int
    max_age_s: int
    grace_period_s: int


def order_signatures(signed: Sequence[tuple[str, bytes]]) -> tuple[bytes, ...]:
    """Signatures in the order the contract wants, from (signer address, signature) pairs.

    Raises:
        ProofRefusedError: one signer signed twice.
    """
    by_signer = sorted((int(signer, 16), signature) for signer, signature in signed)
    if len({signer for signer, _ in by_signer}) != len(by_signer):
        raise ProofRefusedError("one attestor signed twice; give one signature per attestor")
    return tuple(signature for _, signature in by_signer)


def submit_call(submission: Submission) -> bytes:
    """Call data of `submit`."""
    s = submission
    return call_data(
        NAME,
        "submit",
        (
            s.account_id,
            s.commitment,
            s.policy_root,
            s.amount_usd_e6,
            int(s.level),
            s.venue,
            s.expiry,
            s.anchors_hash,
            s.cut_time,
            s.attestation_expiry,
            s.coverage,
            s.circuit_id,
            proof_words(s.proof),
            [signature_words(signature) for signature in s.signatures],
        ),
    )


def pledge_call(account_id: int, amount_usd_e6: int) -> bytes:
    """Call data of `pledge`, to be sent by the venue."""
    return call_data(NAME, "pledge", account_id, amount_usd_e6)


def release_call(account_id: int, amount_usd_e6: int) -> bytes:
    """Call data of `release`, to be sent by the venue."""
    return call_data(NAME, "release", account_id, amount_usd_e6)


def transfer_call(account_id: int, to: str, amount_usd_e6: int) -> bytes:
    """Call data of `transfer` of a pledge to the venue `to`, to be sent by the venue that has it."""
    return call_data(NAME, "transfer", account_id, to, amount_usd_e6)


def poke_call(account_id: int) -> bytes:
    """Call data of `poke`, which anyone may send."""
    return call_data(NAME, "poke", account_id)


def set_verifier_call(circuit_id: bytes, verifier: str) -> bytes:
    """Call data of `setVerifier`, to be sent by the owner."""
    return call_data(NAME, "setVerifier", circuit_id, verifier)


def set_attestors_call(attestors: Sequence[str], threshold: int) -> bytes:
    """Call data of `setAttestors`, to be sent by the owner. The order of `attestors` does not matter."""
    return call_data(NAME, "setAttestors", sorted(attestors, key=lambda a: int(a, 16)), threshold)


def set_policy_call(policy_root: int, until: int) -> bytes:
    """Call data of `setPolicy`, to be sent by the owner."""
    return call_data(NAME, "setPolicy", policy_root, until)


def set_coverage_call(coverage: bytes, accepted: bool) -> bytes:
    """Call data of `setCoverage`, to be sent by the owner."""
    return call_data(NAME, "setCoverage", coverage, accepted)


class Registry:
    """Reads of one deployed registry."""

    def __init__(self, w3: AsyncWeb3[Any], address: str) -> None:
        if not is_address(address):
            raise FormatError(f"the registry {address!r} is not an address; correct it")
        self.w3 = w3
        self.address: ChecksumAddress = to_checksum_address(address)

    async def call(self, function: str, *arguments: object, block: BlockIdentifier = "latest") -> Any:
        """The single result of a view function; a struct is a tuple.

        Raises:
            TransactionError: it reverted, with the reason as a sentence.
            ChainError: there is another contract, or none.
        """
        data = call_data(NAME, function, *arguments)
        request: TxParams = {"to": self.address, "data": HexBytes(data)}
        try:
            raw = await self.w3.eth.call(request, block)
        except ContractLogicError as error:
            raise refusal(revert_data(error)) from error
        values = decode_result(NAME, function, bytes(raw))
        return values[0] if len(values) == 1 else values

    async def account(self, account_id: int, block: BlockIdentifier = "latest") -> AccountState:
        """What the account has proven and what is pledged on it."""
        return AccountState(*await self.call("accountOf", account_id, block=block))

    async def record(self, account_id: int, venue: str, block: BlockIdentifier = "latest") -> VenueRecord:
        """The last proof addressed to `venue`."""
        cut_time, until, amount, level = await self.call("recordOf", account_id, venue, block=block)
        return VenueRecord(cut_time, until, amount, Level(level))

    async def is_good(self, account_id: int, venue: str, block: BlockIdentifier = "latest") -> bool:
        """Whether the venue holds a fresh proof and every pledge on the account is covered."""
        return bool(await self.call("isGood", account_id, venue, block=block))

    async def pledged(self, account_id: int, block: BlockIdentifier = "latest") -> int:
        """Live pledges of all venues, 1e-6 USD."""
        return int(await self.call("pledged", account_id, block=block))

    async def available(self, account_id: int, block: BlockIdentifier = "latest") -> int:
        """What could still be pledged over all venues, 1e-6 USD."""
        return int(await self.call("available", account_id, block=block))

    async def pledge_of(self, account_id: int, venue: str, block: BlockIdentifier = "latest") -> int:
        """Live pledge of one venue, 1e-6 USD."""
        return int(await self.call("pledgeOf", account_id, venue, block=block))

    async def status(self, account_id: int, block: BlockIdentifier = "latest") -> AccountStatus:
        """Whether the account's pledges are covered, and any margin call."""
        status, firm, counted, pledged, deadline = await self.call("statusOf", account_id, block=block)
        return AccountStatus(Status(status), firm, counted, pledged, deadline)

    async def cover(
        self, account_id: int, venues: Sequence[str], block: BlockIdentifier = "latest"
    ) -> dict[str, int]:
        """How much of each venue's pledge is covered, 1e-6 USD, seniors first.

        Parameters:
            venues: every venue with a live pledge, in any order; others may be among them.

        Raises:
            TransactionError: a venue with a live pledge is missing.
        """
        ranked = []
        for venue in {v.lower(): v for v in venues}.values():
            if await self.pledge_of(account_id, venue, block):
                since = await self.call("pledgedSince", account_id, venue, block=block)
                ranked.append((int(since), int(venue, 16), venue))
        ordered = [venue for _, _, venue in sorted(ranked)]
        covered = await self.call("coverOf", account_id, ordered, block=block)
        return dict(zip(ordered, (int(c) for c in covered), strict=True))

    async def standing(self, account_id: int, venue: str) -> VenueStanding:
        """All that a venue looks at, pinned to the hash of the latest block."""
        head = await self.w3.eth.get_block("latest")
        block = head.get("hash")
        if block is None:
            raise ChainError("the endpoint gave a latest block without a hash; use another endpoint")
        return VenueStanding(
            good=await self.is_good(account_id, venue, block),
            record=await self.record(account_id, venue, block),
            own_pledge_usd_e6=await self.pledge_of(account_id, venue, block),
            pledged_usd_e6=await self.pledged(account_id, block),
            available_usd_e6=await self.available(account_id, block),
        )

    async def rules(self) -> RegistryRules:
        """What it accepts and who may change that, pinned to the hash of the latest block."""
        block: BlockIdentifier = (await self.w3.eth.get_block("latest")).get("hash") or "latest"

        async def read(function: str) -> Any:
            return await self.call(function, block=block)

        return RegistryRules(
            production=bool(await read("production")),
            paused=bool(await read("paused")),
            owner=str(await read("owner")).lower(),
            pending_owner=str(await read("pendingOwner")).lower(),
            guardian=str(await read("guardian")).lower(),
            attestors=tuple(str(a).lower() for a in await read("attestorSet")),
            threshold=int(await read("threshold")),
            max_age_s=int(await read("maxAge")),
            grace_period_s=int(await read("gracePeriod")),
        )

    async def is_submitted(self, submission: Submission) -> bool:
        """Whether this statement, or a newer one addressed to the same venue, is already recorded."""
        s = submission
        return bool(await self.call("isSubmitted", s.account_id, s.venue, s.expiry, s.cut_time))

    async def check(self, submission: Submission, sender: str) -> None:
        """Run `submit` without sending it.

        Raises:
            ProofRefusedError, ExpiredError, TransactionError: the registry would refuse, with its reason.
        """
        request: TxParams = {
            "from": to_checksum_address(sender),
            "to": self.address,
            "data": HexBytes(submit_call(submission)),
        }
        try:
            await self.w3.eth.call(request, "latest")
        except ContractLogicError as error:
            raise refusal(revert_data(error)) from error


def revert_data(error: ContractLogicError) -> bytes:
    """The revert data web3 found, empty when there was none."""
    data = error.data
    if isinstance(data, str) and data.startswith("0x"):
        return bytes(HexBytes(data))
    return b""
