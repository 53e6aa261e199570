"""What belongs to stored documents: evidence of snapshots, where policies come from, and valuations."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from aggregator.model.errors import NotFoundError
from aggregator.model.strictjson import JsonObject, canonical_json, load_json
from aggregator.store import schema
from aggregator.store.connected import Connected

_IN_ONE_QUERY: Final = 500


@dataclass(frozen=True, slots=True)
class ChainNodes:
    """The evidence of one chain: a block's RLP and trie nodes, in ascending order."""

    chain: str
    header: bytes
    nodes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Valuation:
    """A snapshot valued under a policy; `document` is the JSON of a point of the account's history."""

    number: int
    account: str
    snapshot: str
    policy: str
    valued_at: int
    document: str


class ArchiveRecords(Connected):
    """Evidence, sources and valuations."""

    def add_evidence(self, snapshot: str, chains: Sequence[ChainNodes]) -> None:
        """Keep what proves a stored snapshot again; a trie node that several snapshots share is kept once."""
        table, listed = schema.evidence_nodes, []
        with self._transaction() as connection:
            known = schema.snapshot_evidence
            if connection.execute(sa.select(known.c.snapshot).where(known.c.snapshot == snapshot)).first():
                return
            for entry in chains:
                nodes = {hashlib.sha256(node).hexdigest(): node for node in entry.nodes}
                wanted = list(nodes)
                stored: set[str] = set()
                for n in range(0, len(wanted), _IN_ONE_QUERY):
                    part = wanted[n : n + _IN_ONE_QUERY]
                    stored.update(connection.scalars(sa.select(table.c.hash).where(table.c.hash.in_(part))))
                fresh = [{"hash": key, "node": nodes[key]} for key in wanted if key not in stored]
                if fresh:
                    connection.execute(table.insert(), fresh)
                listed.append({"chain": entry.chain, "header": entry.header.hex(), "nodes": wanted})
            document = canonical_json({"chains": listed}).decode()
            connection.execute(known.insert().values(snapshot=snapshot, document=document))

    def evidence(self, snapshot: str) -> tuple[ChainNodes, ...]:
        """The evidence of a snapshot; raises NotFoundError when none was kept."""
        table = schema.snapshot_evidence
        row = self._row(sa.select(table.c.document).where(table.c.snapshot == snapshot))
        if row is None:
            raise NotFoundError(f"no evidence is kept of snapshot {snapshot}; take it again to keep some")
        fields = JsonObject(load_json(row["document"]), "evidence", ("chains",))

        def chain(value: object, where: str) -> ChainNodes:
            entry = JsonObject(value, where, ("chain", "header", "nodes"))
            nodes = self._nodes(entry.texts("nodes"))
            return ChainNodes(
                entry.text("chain"), bytes.fromhex(entry.text("header", max_length=1 << 15)), nodes
            )

        return fields.children("chains", chain)

    def has_evidence(self, snapshots: Sequence[str]) -> set[str]:
        """Those of `snapshots` of which evidence is kept."""
        table = schema.snapshot_evidence
        rows = self._rows(sa.select(table.c.snapshot).where(table.c.snapshot.in_(snapshots)))
        return {row["snapshot"] for row in rows}

    def _nodes(self, hashes: Sequence[str]) -> tuple[bytes, ...]:
        table, found = schema.evidence_nodes, {}
        for n in range(0, len(hashes), _IN_ONE_QUERY):
            query = sa.select(table).where(table.c.hash.in_(hashes[n : n + _IN_ONE_QUERY]))
            found.update({row["hash"]: bytes(row["node"]) for row in self._rows(query)})
        return tuple(sorted(found[key] for key in hashes))

    def add_policy_inputs(self, policy: str, document: bytes) -> None:
        """Keep what a stored policy was built from (`aggregator.policy.inputs`); the first one stays."""
        table = schema.policy_inputs
        with self._transaction() as connection:
            if connection.execute(sa.select(table.c.policy).where(table.c.policy == policy)).first() is None:
                connection.execute(table.insert().values(policy=policy, document=document.decode()))

    def policy_inputs(self, policy: str) -> bytes | None:
        """What a policy was built from, None when that was not kept."""
        table = schema.policy_inputs
        row = self._row(sa.select(table.c.document).where(table.c.policy == policy))
        return None if row is None else str(row["document"]).encode()

    def has_inputs(self, policies: Sequence[str]) -> set[str]:
        """Those of `policies` of which it is kept what they were built from."""
        table = schema.policy_inputs
        return {
            r["policy"] for r in self._rows(sa.select(table.c.policy).where(table.c.policy.in_(policies)))
        }

    def add_valuation(self, one: Valuation) -> bool:
        """Keep a valuation (its `number` is given here); False when this snapshot was valued under this policy."""
        table = schema.valuations
        with self._transaction() as connection:
            same = (table.c.snapshot == one.snapshot) & (table.c.policy == one.policy)
            if connection.execute(sa.select(table.c.number).where(same)).first() is not None:
                return False
            connection.execute(
                table.insert().values(
                    account=one.account,
                    snapshot=one.snapshot,
                    policy=one.policy,
                    valued_at=one.valued_at,
                    document=one.document,
                )
            )
        return True

    def valuations(self, account: str, *, before: int | None = None, limit: int = 50) -> list[Valuation]:
        """Valuations of an account, newest first, those numbered below `before`."""
        table = schema.valuations
        query = sa.select(table).where(table.c.account == account).order_by(table.c.number.desc())
        if before is not None:
            query = query.where(table.c.number < before)
        return [Valuation(**row) for row in self._rows(query.limit(limit))]
