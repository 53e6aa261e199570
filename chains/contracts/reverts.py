"""Why a contract refused, as one plain sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import get_abi_input_names, get_abi_input_types
from eth_utils.address import to_checksum_address

from aggregator.model.errors import CounterfoilError, ExpiredError, ProofRefusedError, TransactionError
from aggregator.model.units import USD_SCALE
from chains.contracts.coding import error_selectors

CONTRACTS: Final = ("SolvencyRegistry", "Groth16Verifier", "RegistryTimelock")
_ERROR_STRING: Final = bytes.fromhex("08c379a0")
_PANIC: Final = bytes.fromhex("4e487b71")
_PANIC_CODES: Final = {0x01: "an assertion failed", 0x11: "an addition or subtraction overflowed"}
_KEY_POINTS: Final = ("alpha", "beta", "gamma", "delta")

Values = Mapping[str, Any]


def _usd(amount_usd_e6: int) -> str:
    whole, rest = divmod(amount_usd_e6, USD_SCALE)
    cents = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{whole:,}.{cents} USD"


def _time(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"second {seconds}"


def _short(account_id: int) -> str:
    return f"{account_id:#066x}"[:12] + ".."


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


_SENTENCES: Final[dict[str, Callable[[Values], str]]] = {
    # The submission itself.
    "UnknownLevel": lambda v: f"the level {v['level']} is neither MM (0) nor IM (1); make the bundle again",
    "AmountTooLarge": lambda v: (
        f"the amount {v['amount']} (1e-6 USD) is not below 2^80; ask for a smaller amount"
    ),
    "ZeroAmount": lambda _: "the amount is zero; give a positive amount",
    "ZeroVenue": lambda _: "the proof is addressed to no venue; make it for the venue's address",
    "ProofExpired": lambda v: (
        f"the proof expired at {_time(v['expiry'])} and the chain's time is {_time(v['time'])}; make a new proof"
    ),
    "AttestationExpired": lambda v: (
        f"the attestation expired at {_time(v['expiry'])} and the chain's time is {_time(v['time'])}; "
        "have the snapshot attested again"
    ),
    "CutInFuture": lambda v: (
        f"the snapshot's cut {_time(v['cutTime'])} is after the chain's time {_time(v['time'])}; "
        "check the clock, or wait a block"
    ),
    "CutTooOld": lambda v: (
        f"the snapshot's cut {_time(v['cutTime'])} is older than the registry accepts "
        f"({_time(v['oldestAccepted'])}); take a new snapshot"
    ),
    "CutSuperseded": lambda v: (
        f"the account was already proven at the later cut {_time(v['latest'])}, this one is of "
        f"{_time(v['cutTime'])}; take a new snapshot"
    ),
    "NotNewer": lambda v: (
        f"this statement of account {_short(v['accountId'])} at cut {_time(v['cutTime'])}, or one to the same venue "
        "that expires no earlier, is already recorded; nothing needs to be done, or prove with a later expiry"
    ),
    "ProofRejected": lambda v: (
        f"the proof does not verify for circuit {_hex(v['circuitId'])} with these public inputs; "
        "the bundle was altered, or made for another venue, chain, registry or policy"
    ),
    # What the registry accepts.
    "UnknownCircuit": lambda v: (
        f"the registry has no verifier for circuit {_hex(v['circuitId'])}; use a circuit that it lists"
    ),
    "PolicyNotInForce": lambda v: (
        f"the policy root {v['policyRoot']:#066x} is not accepted by this registry; use a policy that is"
        if v["until"] == 0
        else f"the policy root {v['policyRoot']:#066x} was accepted until {_time(v['until'])} and the chain's "
        f"time is {_time(v['time'])}; use the policy in force"
    ),
    "CoverageNotAccepted": lambda v: (
        f"the registry does not accept attestations of coverage {_hex(v['coverage'])}; "
        "have every chain and kind that it asks for attested"
    ),
    "TooFewSignatures": lambda v: (
        f"the bundle has {v['given']} attestor signatures and the registry needs {v['needed']}; "
        "ask more attestors"
    ),
    "MalformedSignature": lambda v: (
        f"attestor signature {v['index']} is malformed (no key signs so, or its s is not in the lower half); "
        "ask for it again"
    ),
    "NotAnAttestor": lambda v: (
        f"attestor signature {v['index']} is by {to_checksum_address(v['signer'])}, which is no attestor of this "
        "registry, or signs another statement; ask an attestor that the registry lists"
    ),
    "SignersNotAscending": lambda v: (
        f"attestor signature {v['index']} by {to_checksum_address(v['signer'])} is a repeat or out of order; "
        "give one per attestor, by ascending address"
    ),
    # Pledges.
    "NoFreshProof": lambda v: (
        f"account {_short(v['accountId'])} has shown venue {to_checksum_address(v['venue'])} no proof; "
        "ask the holder for a bundle made for this venue"
        if v["until"] == 0
        else f"the proof that account {_short(v['accountId'])} gave venue {to_checksum_address(v['venue'])} ran out "
        f"at {_time(v['until'])}; ask the holder for a new bundle"
    ),
    "NotInitialMargin": lambda v: (
        f"account {_short(v['accountId'])} gave venue {to_checksum_address(v['venue'])} a maintenance-margin proof; "
        "a new pledge needs an initial-margin proof"
    ),
    "PledgeAboveProof": lambda v: (
        f"the pledges of venue {to_checksum_address(v['venue'])} would be {_usd(v['wanted'])} and the proof addressed "
        f"to it is for {_usd(v['proven'])}; pledge less, or ask the holder for a larger proof"
    ),
    "OverPledged": lambda v: (
        f"the pledges on account {_short(v['accountId'])} would be {_usd(v['wanted'])} over all venues and "
        f"{_usd(v['proven'])} is proven and fresh; pledge less, or wait for a release or a new proof"
    ),
    "ReleaseAbovePledge": lambda v: (
        f"venue {to_checksum_address(v['venue'])} has pledged {_usd(v['pledged'])} and cannot release "
        f"{_usd(v['amount'])}; release less"
    ),
    "StillCovered": lambda v: (
        f"the pledges of {_usd(v['pledged'])} on account {_short(v['accountId'])} are covered by "
        f"{_usd(v['proven'])}; there is nothing to call"
    ),
    "TransferToSelf": lambda v: (
        f"venue {to_checksum_address(v['venue'])} would hand its pledge to itself; name another venue"
    ),
    "RankWouldDrop": lambda v: (
        f"the pledge that venue {to_checksum_address(v['venue'])} has on account {_short(v['accountId'])} would rank "
        "later with what is handed over; have it release its own first, or hand over to a venue without a pledge"
    ),
    "RankBroken": lambda v: (
        f"venue {v['index']} of the list, {to_checksum_address(v['venue'])}, has no live pledge or is out of rank; "
        "list the pledged venues by time of their last increase, then by address"
    ),
    "VenuesMissing": lambda v: (
        f"the listed venues have pledged {_usd(v['listed'])} of {_usd(v['pledged'])} on account "
        f"{_short(v['accountId'])}; list every venue with a live pledge"
    ),
    "EnforcedPause": lambda _: (
        "the registry is paused and takes no pledge; wait until its owner ends the pause, "
        "release and transfer go on"
    ),
    "AlreadyCalled": lambda v: (
        f"account {_short(v['accountId'])} is already called; wait for its next proof or a release"
    ),
    # Administration.
    "NotAContract": lambda v: (
        f"{to_checksum_address(v['account'])} holds no contract; deploy the verifier first"
    ),
    "DevVerifierRefused": lambda v: (
        f"the verifier {to_checksum_address(v['verifier'])} has a development key and this is a production registry; "
        "use a key from a ceremony"
    ),
    "BadThreshold": lambda v: (
        f"the threshold {v['threshold']} does not fit {v['attestors']} attestors; give 1 to {v['attestors']}"
    ),
    "TooManyAttestors": lambda v: (
        f"a set of {v['attestors']} attestors is too large; name at most {v['most']}"
    ),
    "AttestorsNotAscending": lambda v: (
        f"attestor {v['index']} is a repeat, zero, or out of order; list distinct addresses in ascending order"
    ),
    "BadWindow": lambda v: (
        f"the policy window {_time(v['from'])} to {_time(v['until'])} is empty or begins after the year 2106; "
        "give a window that ends after it begins"
    ),
    "GraceTooLong": lambda v: (
        f"a grace period of {v['seconds_']} seconds is above 30 days; give at most 2592000 seconds"
    ),
    "NotPublisher": lambda v: (
        f"{to_checksum_address(v['account'])} may not publish or revoke the policy root {v['policyRoot']:#066x}; "
        "send it from its publisher or the owner"
    ),
    "NotGuardian": lambda v: (
        f"{to_checksum_address(v['account'])} is neither guardian nor owner of this registry; "
        "send it from one of them"
    ),
    "OwnerNeeded": lambda _: (
        "the registry keeps an owner, without whom nothing could be revoked; hand it over to another owner instead"
    ),
    "ExpectedPause": lambda _: "the registry is not paused; there is nothing to end",
    "BadKeyPoint": lambda v: (
        f"the point {_key_point(v['index'])} of the verifying key is infinity or not in its group; export the key again"
    ),
    "GammaEqualsDelta": lambda _: (
        "the verifying key has gamma = delta: its second phase was skipped and anyone could forge proofs; "
        "finish the ceremony"
    ),
    "OwnableUnauthorizedAccount": lambda v: (
        f"{to_checksum_address(v['account'])} is not the owner of this registry; send it from the owner"
    ),
    "OwnableInvalidOwner": lambda v: (
        f"{to_checksum_address(v['owner'])} cannot own the registry; name another owner"
    ),
    # The timelock.
    "AccessControlUnauthorizedAccount": lambda v: (
        f"{to_checksum_address(v['account'])} does not have the role {_hex(v['neededRole'])} of the timelock; "
        "send it from an account that does"
    ),
    "AccessControlBadConfirmation": lambda _: (
        "a role of the timelock can be given up by its holder only; send it from the holder"
    ),
    "TimelockInsufficientDelay": lambda v: (
        f"the delay of {v['delay']} s is below the timelock's {v['minDelay']} s; schedule it with at least that"
    ),
    "TimelockInvalidOperationLength": lambda v: (
        f"the batch has {v['targets']} targets, {v['payloads']} payloads and {v['values']} values; "
        "give as many of each"
    ),
    "TimelockUnauthorizedCaller": lambda v: (
        f"{to_checksum_address(v['caller'])} cannot change the timelock's delay; schedule it through the timelock"
    ),
    "TimelockUnexecutedPredecessor": lambda v: (
        f"the operation waits for {_hex(v['predecessorId'])}; execute that one first"
    ),
    "TimelockUnexpectedOperationState": lambda v: (
        f"the timelock's operation {_hex(v['operationId'])} is not in the state this needs; "
        "check whether it is scheduled, due or done"
    ),
    "FailedCall": lambda _: (
        "the call that the timelock made failed without a reason; check its target and data"
    ),
}

_EXPIRED: Final = frozenset({"ProofExpired", "AttestationExpired", "CutTooOld", "CutSuperseded"})
_REFUSED: Final = frozenset(
    {
        *("UnknownLevel", "AmountTooLarge", "ZeroVenue", "CutInFuture", "ProofRejected", "UnknownCircuit"),
        *("PolicyNotInForce", "CoverageNotAccepted", "TooFewSignatures", "MalformedSignature"),
        *("NotAnAttestor", "SignersNotAscending"),
    }
)


def _key_point(index: int) -> str:
    return _KEY_POINTS[index] if index < len(_KEY_POINTS) else f"IC {index - len(_KEY_POINTS)}"


def known_errors() -> frozenset[str]:
    """Names of the custom errors that have a sentence."""
    return frozenset(_SENTENCES)


def error_name(data: bytes) -> str | None:
    """The name of the custom error in revert data, or None when it is none of ours."""
    for contract in CONTRACTS:
        if entry := error_selectors(contract).get(data[:4]):
            return str(entry["name"])
    return None


def explain_revert(data: bytes) -> str:
    """One sentence for the revert data of a call: which rule refused, with its values, and what to do.

    Unknown data never raises: the sentence then says what can be said.
    """
    if not data:
        return "the contract refused without a reason; check the address, the call data and the gas limit"
    head, body = data[:4], data[4:]
    try:
        if head == _ERROR_STRING:
            (text,) = decode(["string"], body)
            return f'the contract refused: "{_printable(text)}"'
        if head == _PANIC:
            (code,) = decode(["uint256"], body)
            return f"the contract failed: {_PANIC_CODES.get(code, f'panic {code:#x}')}; report this"
        for contract in CONTRACTS:
            if entry := error_selectors(contract).get(head):
                abi = cast(Any, entry)
                values = decode(get_abi_input_types(abi), body)
                names = [str(name) for name in get_abi_input_names(abi)]
                return _SENTENCES[entry["name"]](dict(zip(names, values, strict=True)))
    except (DecodingError, ValueError, OverflowError):
        pass
    return f"the contract refused with unknown data {_hex(data[:36])}; is it the contract you meant?"


def refusal(data: bytes) -> CounterfoilError:
    """The error for the revert data of a call: expired, refused proof, or refused transaction."""
    name = error_name(data)
    sentence = explain_revert(data)
    if name in _EXPIRED:
        return ExpiredError(sentence)
    if name in _REFUSED:
        return ProofRefusedError(sentence)
    return TransactionError(sentence)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:200])
