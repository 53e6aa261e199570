"""Makes the proofs of a batch: keys and circuits loaded once, good bundles kept, failures named and the rest made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aggregator.model.errors import CounterfoilError
from aggregator.model.policy import Policy
from aggregator.service.attestation_files import read_attestation
from aggregator.service.batch_file import BatchEntry
from aggregator.service.pipeline import pipeline
from aggregator.service.proving import (
    Request,
    Statement,
    Tell,
    check_attestations,
    finish_statement,
    prepare_statement,
    proving_key,
    state,
)
from aggregator.service.venue import AcceptedKey, require_named
from aggregator.store import Account, StoredSnapshot, read_whole, write_whole
from circuits.artifacts import ReadyCircuit, ready
from circuits.bundle import Bundle, encode_bundle, parse_bundle
from circuits.groth16 import ProvingKey
from circuits.keys import verification_key_id
from circuits.policy_tree import PolicyTree, build_tree
from circuits.prover import Prepared, prove_prepared
from circuits.verifiers import native

ENDING: Final = ".bundle.json"
LEAST_LEFT: Final = 2
"""A bundle is kept while at least 1/2 of the lifetime asked for is left."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the store has of one entry."""

    stored: StoredSnapshot
    account: Account


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one entry: its bundle (`kept` when it was there already), or why there is none."""

    entry: BatchEntry
    bundle: Bundle | None = None
    kept: bool = False
    error: CounterfoilError | None = None


@dataclass
class Batch:
    """One run. `policies` by the names that entries use, `find` reads the store, on the caller's thread."""

    policies: Mapping[str, Policy]
    find: Callable[[BatchEntry], Held]
    folder: Path
    now: Callable[[], int]
    key_path: Path | None = None
    tell: Tell = lambda _: None
    _keys: dict[str, tuple[ReadyCircuit, ProvingKey]] = field(default_factory=dict)
    _trees: dict[str, PolicyTree] = field(default_factory=dict)

    def path(self, entry: BatchEntry) -> Path:
        """Where the bundle of an entry goes."""
        return self.folder / f"{entry.name}{ENDING}"

    def run(self, entries: Sequence[BatchEntry]) -> Iterator[Outcome]:
        """The outcome of each entry as it is done, first those that need no proof.

        A bundle is written whole, so an interrupted run leaves only good ones and the next one goes on from there.
        """
        due: list[tuple[BatchEntry, Statement]] = []
        for entry in entries:
            try:
                statement = self._state(entry)
                present = self._present(entry, statement)
            except CounterfoilError as error:
                yield Outcome(entry, error=error)
                continue
            if present is not None:
                yield Outcome(entry, bundle=present, kept=True)
            else:
                due.append((entry, statement))
        for place, result in pipeline(due, self._prepare, self._prove):
            entry = due[place][0]
            if isinstance(result, CounterfoilError):
                yield Outcome(entry, error=result)
            else:
                yield Outcome(entry, bundle=result)

    def _state(self, entry: BatchEntry) -> Statement:
        now = self.now()
        held = self.find(entry)
        attestations = [read_attestation(path) for path in entry.attestations]
        request = Request(
            held.stored,
            held.account,
            entry.level,
            entry.amount_e6,
            entry.audience,
            now + entry.lifetime_s,
            attestations,
        )
        statement = state(request, self.policies[entry.policy], now)
        if entry.policy not in self._trees:
            self._trees[entry.policy] = build_tree(self.policies[entry.policy])
        name = statement.circuit_name
        if name not in self._keys:
            circuit = ready(name)
            self._keys[name] = (circuit, proving_key(circuit, self.key_path, self.tell))
        return statement

    def _present(self, entry: BatchEntry, statement: Statement) -> Bundle | None:
        """The bundle in the folder when it is what would be made now, but for the expiry; None otherwise."""
        path = self.path(entry)
        if not path.exists():
            return None
        try:
            bundle = parse_bundle(read_whole(path, "the bundle"))
            own = AcceptedKey.own(*self._keys[statement.circuit_name])
            wanted, found = statement.context, bundle.context
            same = (
                (found.venue, found.chain_id, found.registry, found.cut_time, found.anchors_hash)
                == (wanted.venue, wanted.chain_id, wanted.registry, wanted.cut_time, wanted.anchors_hash)
                and (bundle.amount_e6, bundle.level) == (entry.amount_e6, entry.level)
                and bundle.policy_root == self._trees[entry.policy].root
                and bundle.attestations == tuple(statement.request.attestations)
                and bundle.account_id == statement.request.account.account_id
                and bundle.verification_key_id == verification_key_id(own.key)
            )
            left = found.expiry - self.now()
            if not same or left * LEAST_LEFT < entry.lifetime_s:
                return None
            require_named(bundle, own)
            check_attestations(bundle)
            native.verify(own.key, bundle.public, bundle.proof)
        except CounterfoilError:
            # Whatever is wrong with what lies there, it is made again.
            return None
        return bundle

    def _prepare(self, item: tuple[BatchEntry, Statement]) -> tuple[BatchEntry, Statement, Prepared]:
        entry, statement = item
        circuit, _ = self._keys[statement.circuit_name]
        return entry, statement, prepare_statement(statement, circuit, self._trees[entry.policy])

    def _prove(self, item: tuple[BatchEntry, Statement, Prepared]) -> Bundle:
        entry, statement, prepared = item
        circuit, key = self._keys[statement.circuit_name]
        bundle = finish_statement(statement, circuit, key, prove_prepared(key, prepared))
        write_whole(self.path(entry), encode_bundle(bundle) + b"\n")
        return bundle
