"""From a stored snapshot to a bundle: what `proof make`, `attestation request` and the demo share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aggregator.margin import Evaluation, evaluate, positions_by_id
from aggregator.model.anchors import anchors_hash
from aggregator.model.errors import CounterfoilError, ExpiredError, ProofRefusedError
from aggregator.model.policy import Level, Policy
from aggregator.model.snapshot import Snapshot, parse_snapshot
from aggregator.service.accepting import accepted_positions
from aggregator.service.attestor import AttestationRequest
from aggregator.service.venue import attestations_of
from aggregator.store import Account, StoredSnapshot, read_holder_key
from chains.attestation import Attestation
from circuits.artifacts import ReadyCircuit, ready
from circuits.assignment import Holder, commitment
from circuits.bundle import Bundle, BundleAttestation, make_bundle
from circuits.context import Context
from circuits.groth16 import ProvingKey, open_key
from circuits.keys import ceremony_key_path, ensure_dev_key, open_own_key
from circuits.policy_tree import PolicyTree, build_tree, document_hash
from circuits.prover import Prepared, Proof, prepare, prove_prepared, size_for

Tell = Callable[[str], object]
Making = Callable[[str, float], object]


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a proof is for: a venue, and the registry it will be submitted to. Addresses are lower-case 0x."""

    venue: str
    chain_id: int
    registry: str


def evaluate_snapshot(policy: Policy, snapshot: Snapshot, level: Level, now: int) -> Evaluation:
    """The account of a complete snapshot, valued under a policy in force.

    Raises IncompleteSnapshotError, ExpiredError for a policy past its end, InputError for a position that the
    policy does not price.
    """
    snapshot.require_complete()
    if policy.expires < now:
        raise ExpiredError(
            f"policy {policy.name} epoch {policy.epoch} ran out {now - policy.expires} s ago; use the next epoch"
        )
    return evaluate(policy, positions_by_id(policy, accepted_positions(policy, snapshot)), level)


def attestation_request(
    stored: StoredSnapshot, policy: Policy, chain_id: int, registry: str, now: int
) -> AttestationRequest:
    """What the holder shows an attestor for proofs to one registry: the snapshot, and what opens the commitment that a
    proof will carry."""
    snapshot = parse_snapshot(stored.document)
    size = size_for(evaluate_snapshot(policy, snapshot, Level.IM, now))
    opened = commitment(
        size,
        document_hash(policy),
        stored.blinding,
        positions_by_id(policy, accepted_positions(policy, snapshot)),
    )
    return AttestationRequest(snapshot, policy, size.name, stored.blinding, opened, chain_id, registry)


def proving_key(
    circuit: ReadyCircuit, path: Path | None, tell: Tell, making: Making | None = None
) -> ProvingKey:
    """The key in `path`, else the one of a finished ceremony, else this machine's dev key, made at first use.

    `making` is called with what is made and the share that is done, 0..1; without it `tell` is told.
    """
    finished = ceremony_key_path(circuit)
    if path is not None:
        return open_key(path, circuit.native)
    if finished.exists():
        return open_own_key(finished, circuit)
    what = "Making the dev key, once per machine"

    def progress(share: float) -> object:
        return tell(f"{what}, {share:.0%}") if making is None else making(what, share)

    return ensure_dev_key(circuit, progress=progress)


@dataclass(frozen=True, slots=True)
class Request:
    """One proof to be made: whose account, how much, for whom, until when (Unix seconds), attested by whom."""

    stored: StoredSnapshot
    account: Account
    level: Level
    amount_e6: int
    audience: Audience
    expiry: int
    attestations: Sequence[BundleAttestation]


@dataclass(frozen=True, slots=True)
class Statement:
    """What a request comes to: the account valued, the context its proof is bound to, and the circuit it fits."""

    request: Request
    policy: Policy
    snapshot: Snapshot
    evaluation: Evaluation
    context: Context

    @property
    def circuit_name(self) -> str:
        """The smallest circuit that the account fits."""
        return size_for(self.evaluation).name


def state(request: Request, policy: Policy, now: int) -> Statement:
    """Values the account of a request.

    Raises ProofRefusedError when there is no attestation, ExpiredError for an expiry in the past, and what
    `evaluate_snapshot` raises.
    """
    snapshot = parse_snapshot(request.stored.document)
    if not request.attestations:
        raise ProofRefusedError(
            "no attestation was given, and a proof over numbers nobody attested says nothing; "
            "run: counterfoil attestation request"
        )
    if request.expiry <= now:
        raise ExpiredError(
            f"the proof would have expired {now - request.expiry} s ago; give a longer lifetime"
        )
    evaluation = evaluate_snapshot(policy, snapshot, request.level, now)
    context = Context(
        chain_id=request.audience.chain_id,
        registry=request.audience.registry,
        venue=request.audience.venue,
        expiry=request.expiry,
        anchors_hash=anchors_hash(snapshot.anchors),
        cut_time=snapshot.cut_time,
    )
    return Statement(request, policy, snapshot, evaluation, context)


def prepare_statement(statement: Statement, circuit: ReadyCircuit, tree: PolicyTree) -> Prepared:
    """The witness of a statement; reads the holder's key file."""
    request = statement.request
    key = read_holder_key(Path(request.account.key_file))
    holder = Holder(key, request.account.sub_account, request.stored.blinding)
    return prepare(
        circuit,
        statement.policy,
        tree,
        statement.evaluation,
        holder,
        request.amount_e6,
        statement.context.signal(),
    )


def finish_statement(statement: Statement, circuit: ReadyCircuit, key: ProvingKey, proof: Proof) -> Bundle:
    """The bundle of a proven statement; raises ProofRefusedError when an attestation is about something else."""
    bundle = make_bundle(
        circuit,
        key,
        statement.policy,
        proof,
        statement.context,
        statement.snapshot.anchors,
        statement.request.attestations,
    )
    check_attestations(bundle)
    return bundle


def make_proof(
    stored: StoredSnapshot,
    account: Account,
    policy: Policy,
    level: Level,
    amount_e6: int,
    audience: Audience,
    expiry: int,
    attestations: Sequence[BundleAttestation],
    *,
    now: int,
    key: ProvingKey | Path | None = None,
    tell: Tell = lambda _: None,
    making: Making | None = None,
) -> Bundle:
    """A bundle that shows `audience` an excess of at least `amount_e6` (1e-6 USD) at `level`, until `expiry`.

    `key` is an opened proving key, the path of one, or None for this machine's key.

    Raises CannotProveError when the excess is smaller, ProofRefusedError when an attestation is not about this
    account and snapshot or there is none, and what `evaluate_snapshot` and the key files raise.
    """
    request = Request(stored, account, level, amount_e6, audience, expiry, attestations)
    statement = state(request, policy, now)
    tell("building the circuit")
    circuit = ready(statement.circuit_name)
    tell("opening the key")
    opened = key if isinstance(key, ProvingKey) else proving_key(circuit, key, tell, making)
    tell("computing the witness")
    prepared = prepare_statement(statement, circuit, build_tree(policy))
    tell("computing the proof")
    return finish_statement(statement, circuit, opened, prove_prepared(opened, prepared))


def attested_snapshot(
    candidates: Iterable[StoredSnapshot],
    policy: Policy,
    audience: Audience,
    attestations: Sequence[BundleAttestation],
    now: int,
) -> StoredSnapshot | None:
    """The first of `candidates` that every attestation is over, under `policy` and for the audience's registry; None
    when there is none.
    """
    for stored in candidates:
        try:
            asked = attestation_request(stored, policy, audience.chain_id, audience.registry, now)
        except CounterfoilError:
            continue
        snapshot = asked.snapshot
        stated = (
            (
                Attestation(
                    snapshot.account_id,
                    asked.commitment,
                    anchors_hash(snapshot.anchors),
                    snapshot.cut_time,
                    one.expiry,
                    one.coverage,
                    asked.chain_id,
                    asked.registry,
                ),
                one,
            )
            for one in attestations
        )
        if all(over.signer(bytes.fromhex(one.signature[2:])) == one.attestor for over, one in stated):
            return stored
    return None


def check_attestations(bundle: Bundle) -> None:
    """Returns when every attestation of a bundle is over its statement; raises ProofRefusedError."""
    for item in attestations_of(bundle):
        if (signer := item.attestation.signer(item.signature)) != item.attestor:
            raise ProofRefusedError(
                f"the attestation of {item.attestor} is not over this account, snapshot, policy and registry "
                f"(it recovers to {signer}); have this snapshot attested under this policy"
            )
