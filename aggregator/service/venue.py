"""A venue's check of a bundle: every condition listed, each passed or failed with its reason.

The checks need no chain: bundle, the venue's own rules, the policy it accepts and the clock. Whether margin is still
free is for the registry (`chains.contracts.registry`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from aggregator.fixed import format_usd
from aggregator.model.anchors import Finality, Trust
from aggregator.model.errors import CounterfoilError, ExpiredError, ProofRefusedError, WrongAudienceError
from aggregator.model.policy import Level
from chains.attestation import Attestation, SignedAttestation, check_m_of_n
from circuits.artifacts import ReadyCircuit
from circuits.bundle import Bundle, PolicyHeader
from circuits.groth16 import ProvingKey
from circuits.keys import KeyKind, kind_of, verification_key_id
from circuits.verifiers import native

MAX_CLOCK_SKEW_S = 60


@dataclass(frozen=True, slots=True)
class AcceptedKey:
    """A verification key a venue accepts, of which circuit it is, and how it was made, as far as the venue knows."""

    key: bytes
    kind: KeyKind
    circuit: str
    circuit_digest: str

    @classmethod
    def own(cls, circuit: ReadyCircuit, key: ProvingKey) -> AcceptedKey:
        """The verification key of a proving key on this machine."""
        return cls(key.verification_key, kind_of(key), circuit.size.name, circuit.digest)


@dataclass(frozen=True, slots=True)
class VenueRules:
    """What a venue accepts. Addresses are lower-case 0x.

    `policies` maps each accepted root to the header the venue knows it by, `verification_keys` each accepted key's id
    to the key: what a bundle says of either is believed only when it agrees.
    """

    venue: str
    chain_id: int
    registry: str
    amount_e6: int
    level: Level
    attestors: tuple[str, ...]
    threshold: int
    coverages: tuple[str, ...]
    policies: Mapping[int, PolicyHeader]
    verification_keys: Mapping[str, AcceptedKey]
    max_age_s: int
    chains: tuple[str, ...] = ()
    least_trust: Trust = Trust.SINGLE_RPC
    accept_dev_keys: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of a bundle. `passed` is None when it could not be asked; `error` is set unless it passed."""

    name: str
    passed: bool | None
    detail: str
    error: CounterfoilError | None = None


def check_bundle(bundle: Bundle, rules: VenueRules, now: int) -> tuple[Check, ...]:
    """Runs every check; none is skipped because an earlier one failed.

    `now` is Unix seconds.
    """
    conditions: Sequence[tuple[str, Callable[[], str]]] = (
        ("audience", lambda: _audience(bundle, rules)),
        ("expiry", lambda: _expiry(bundle, now)),
        ("freshness", lambda: _freshness(bundle, rules, now)),
        ("anchors", lambda: _anchors(bundle, rules)),
        ("policy", lambda: _policy(bundle, rules, now)),
        ("attestations", lambda: _attestations(bundle, rules, now)),
        ("amount", lambda: _amount(bundle, rules)),
        ("key", lambda: _key(bundle, rules)),
        ("proof", lambda: _proof(bundle, rules)),
    )
    return tuple(_run(name, condition) for name, condition in conditions)


def require(checks: Sequence[Check]) -> None:
    """Returns when every check passed, else raises the error of the first that did not."""
    for check in checks:
        if check.error is not None:
            raise check.error


def require_named(bundle: Bundle, accepted: AcceptedKey) -> None:
    """Returns when a bundle calls its circuit and its key what they are; raises ProofRefusedError."""
    for what, called, known in (
        ("circuit", bundle.circuit, accepted.circuit),
        ("circuit's digest", bundle.circuit_digest, accepted.circuit_digest),
        ("key", f"a {bundle.key_kind} key", f"a {accepted.kind} key"),
    ):
        if called != known:
            raise ProofRefusedError(
                f"the bundle calls its {what} {called}, but by the verification key it is {known}; "
                "it has been altered: do not rely on it; ask the holder for a new one"
            )


def attestations_of(bundle: Bundle) -> tuple[SignedAttestation, ...]:
    """The bundle's signatures, each over what it says about this account."""
    return tuple(
        SignedAttestation(
            Attestation(
                account_id=bundle.account_id,
                commitment=bundle.commitment,
                anchors_hash=bundle.context.anchors_hash,
                cut_time=bundle.context.cut_time,
                expiry=a.expiry,
                coverage=a.coverage,
                chain_id=bundle.context.chain_id,
                registry=bundle.context.registry,
            ),
            a.attestor,
            bytes.fromhex(a.signature[2:]),
        )
        for a in bundle.attestations
    )


def attested_alike(bundle: Bundle) -> tuple[SignedAttestation, ...]:
    """The largest set of signatures over one and the same attestation, in order of attestor: what a registry takes."""

    def same(item: SignedAttestation) -> tuple[int, str]:
        return item.attestation.expiry, item.attestation.coverage

    groups = [tuple(group) for _, group in groupby(sorted(attestations_of(bundle), key=same), key=same)]
    largest = max(groups, key=len, default=())
    return tuple(sorted(largest, key=lambda item: item.attestor))


def _run(name: str, condition: Callable[[], str]) -> Check:
    try:
        return Check(name, True, condition())
    except CounterfoilError as error:
        return Check(name, False, str(error), error)


def _audience(bundle: Bundle, rules: VenueRules) -> str:
    context = bundle.context
    for what, given, own in (
        ("venue", context.venue, rules.venue),
        ("chain", str(context.chain_id), str(rules.chain_id)),
        ("registry", context.registry, rules.registry),
    ):
        if given != own:
            raise WrongAudienceError(
                f"the proof is for {what} {given}, not {own}; ask the holder for one made for you"
            )
    return f"venue {rules.venue} on chain {rules.chain_id}"


def _expiry(bundle: Bundle, now: int) -> str:
    left = bundle.context.expiry - now
    if left < 0:
        raise ExpiredError(f"the proof expired {-left} s ago; ask the holder for a fresh one")
    return f"{left} s left"


def _freshness(bundle: Bundle, rules: VenueRules, now: int) -> str:
    age = now - bundle.context.cut_time
    if age > rules.max_age_s:
        raise ExpiredError(
            f"the snapshot is {age} s old and {rules.max_age_s} s are accepted; ask for a fresh one"
        )
    if age < -MAX_CLOCK_SKEW_S:
        raise ProofRefusedError(f"the snapshot's cut lies {-age} s in the future; check both clocks")
    return f"cut {max(age, 0)} s ago"


def _anchors(bundle: Bundle, rules: VenueRules) -> str:
    present = {anchor.chain for anchor in bundle.anchors}
    if absent := [chain for chain in rules.chains if chain not in present]:
        raise ProofRefusedError(f"no block of {absent[0]} is anchored; the snapshot did not read that chain")
    for anchor in bundle.anchors:
        if anchor.trust.rank < rules.least_trust.rank:
            raise ProofRefusedError(
                f"the block of {anchor.chain} is vouched for by {anchor.trust}, below {rules.least_trust}; "
                "ask for a snapshot read through more endpoints"
            )
        if anchor.timestamp > bundle.context.cut_time:
            raise ProofRefusedError(
                f"the block of {anchor.chain} is later than the cut; the snapshot is malformed"
            )
    weakest = min((a.trust for a in bundle.anchors), key=lambda t: t.rank, default=Trust.REPORTED)
    tags = {a.finality for a in bundle.anchors}
    tag = "finalized" if tags == {Finality.FINALIZED} else "/".join(sorted(tags))
    return f"{len(bundle.anchors)} chains, {tag}, {weakest} or better"


def _policy(bundle: Bundle, rules: VenueRules, now: int) -> str:
    header = rules.policies.get(bundle.policy_root)
    if header is None:
        raise ProofRefusedError(
            f"the policy root {bundle.policy_root:#x} is not one this venue accepts; ask for a proof under its policy"
        )
    if header != bundle.policy:
        raise ProofRefusedError(
            f"the bundle calls the policy {bundle.policy.name}, epoch {bundle.policy.epoch}, but its root is that of "
            f"{header.name}, epoch {header.epoch}; it has been altered: do not rely on it; "
            "ask the holder for a new one"
        )
    late = now - header.expires
    if late > 0:
        raise ExpiredError(
            f"the policy {header.name} ran out {late} s ago; ask for a proof under the next one"
        )
    return f"{header.name}, epoch {header.epoch}"


def _attestations(bundle: Bundle, rules: VenueRules, now: int) -> str:
    signed = attested_alike(bundle)
    signers = check_m_of_n(signed, rules.attestors, rules.threshold, now)
    covered = signed[0].attestation.coverage
    if covered not in rules.coverages:
        raise ProofRefusedError(
            f"the attestors read the coverage {covered}, which this venue does not accept; "
            "ask for a snapshot of every chain and asset it lists"
        )
    return f"{len(signers)} of {len(rules.attestors)} attestors, {rules.threshold} needed"


def _amount(bundle: Bundle, rules: VenueRules) -> str:
    proven = format_usd(bundle.amount_e6)
    if bundle.level < rules.level:
        raise ProofRefusedError(
            f"the proof is at {bundle.level.name}, not {rules.level.name}; ask for one at that level"
        )
    if bundle.amount_e6 < rules.amount_e6:
        wanted = format_usd(rules.amount_e6)
        raise ProofRefusedError(
            f"the proof is good for {proven} USD, not the {wanted} asked for; ask for a larger one"
        )
    return f"{proven} USD at {bundle.level.name}"


def _key(bundle: Bundle, rules: VenueRules) -> str:
    accepted = _accepted_key(bundle, rules)
    require_named(bundle, accepted)
    if accepted.kind is KeyKind.DEV and not rules.accept_dev_keys:
        raise ProofRefusedError(
            "the proof is made with a dev key, whose maker could forge proofs; ask for one made with the ceremony's key"
        )
    return f"{accepted.circuit}, {accepted.kind} key"


def _accepted_key(bundle: Bundle, rules: VenueRules) -> AcceptedKey:
    accepted = rules.verification_keys.get(bundle.verification_key_id)
    if accepted is None or verification_key_id(accepted.key) != bundle.verification_key_id:
        raise ProofRefusedError(
            f"the verification key {bundle.verification_key_id} is not one this venue accepts; "
            "ask for a proof with an accepted key, or accept this one"
        )
    return accepted


def _proof(bundle: Bundle, rules: VenueRules) -> str:
    native.verify(_accepted_key(bundle, rules).key, bundle.public, bundle.proof)
    return "the statement holds"
