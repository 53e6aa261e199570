"""The headers and trie nodes behind a snapshot, kept so that anyone can check its proven readings again, offline.

Schema `counterfoil/evidence/1` (docs/collateral.md, evidence):

    {"schema", "chains": [{"chain": "eip155:1", "header": "0x..", "nodes": ["0x..", ..]}]}

`header` is the RLP of the anchor's block and hashes to the anchor's hash. `nodes` holds each trie node once, sorted,
and none that no proven reading needs. What the evidence cannot show is that a layout is the one the token's code
uses: it was found by experiment or configured, and the report lists it beside the proven hash of that code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from eth_utils.crypto import keccak

from aggregator.model.anchors import BlockAnchor, ChainId, chain_field
from aggregator.model.errors import StateProofError
from aggregator.model.snapshot import Method, Reading, Snapshot
from aggregator.model.strictjson import JsonObject, canonical_json, load_json
from chains.balances.forms import Stated, Word, form_named
from chains.verified import Account, Header, decode_header, stored_account, stored_word
from chains.verified.trie import MAX_NODE_BYTES

EVIDENCE_SCHEMA: Final = "counterfoil/evidence/1"
MAX_HEADER_BYTES: Final = 8192


@dataclass(frozen=True, slots=True)
class ChainEvidence:
    """A block's RLP, and trie nodes in ascending order, each once."""

    chain: ChainId
    header: bytes
    nodes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One entry per chain on which something is proven, in order of chain."""

    chains: tuple[ChainEvidence, ...]


@dataclass(frozen=True, slots=True)
class CheckedLayout:
    """A storage layout that readings of a token rest on, who named it, and the hash of the code it was found in."""

    chain: ChainId
    token: str
    layout: str
    origin: str
    code_hash: str


@dataclass(frozen=True, slots=True)
class EvidenceReport:
    """What was proven again. `unproven` are the readings that the snapshot itself calls `called` or `reported`.

    That the tokens and pools are those they are called is compared with network files by `require_described`.
    """

    proven: int
    unproven: tuple[Reading, ...]
    layouts: tuple[CheckedLayout, ...]


def make_evidence(snapshot: Snapshot, blocks: Mapping[ChainId, tuple[bytes, Sequence[bytes]]]) -> Evidence:
    """The evidence of `snapshot` out of each chain's header and all nodes seen, without what no reading needs.

    Raises:
        StateProofError: they do not prove what the snapshot calls proven.
    """
    kept: list[ChainEvidence] = []
    for anchor, readings in _proven_by_chain(snapshot):
        header, nodes = blocks.get(anchor.chain, (b"", ()))
        state = _State(anchor, header, nodes)
        for reading in readings:
            _check_reading(state, reading)
        kept.append(ChainEvidence(anchor.chain, header, tuple(sorted(state.used))))
    return Evidence(tuple(kept))


def verify_evidence(snapshot: Snapshot, evidence: Evidence) -> EvidenceReport:
    """Prove every `proven` reading of `snapshot` again, from nothing but its anchors' hashes and `evidence`.

    Raises:
        StateProofError: a header does not hash to its anchor, a node is missing, altered or superfluous, or a reading
            says another amount than the state under its anchor.
    """
    given = {entry.chain: entry for entry in evidence.chains}
    proven = 0
    layouts: dict[CheckedLayout, None] = {}
    for anchor, readings in _proven_by_chain(snapshot):
        entry = given.pop(anchor.chain, None)
        if entry is None:
            raise StateProofError(f"the evidence has nothing about {anchor.chain}; ask for all of it")
        state = _State(anchor, entry.header, entry.nodes)
        for reading in readings:
            words = _check_reading(state, reading)
            if "layout" in reading.detail:
                layouts[_layout(state, reading, words)] = None
            proven += 1
        if idle := len(entry.nodes) - len(state.used):
            raise StateProofError(f"the evidence of {anchor.chain} has {idle} nodes that prove nothing here")
    if given:
        raise StateProofError(f"the evidence is about {min(given)}, where the snapshot proves nothing")
    unproven = tuple(r for r in snapshot.readings if r.method is not Method.PROVEN)
    return EvidenceReport(proven, unproven, tuple(layouts))


def encode_evidence(evidence: Evidence) -> bytes:
    """Canonical bytes (RFC 8785)."""
    chains = [
        {"chain": e.chain, "header": "0x" + e.header.hex(), "nodes": ["0x" + n.hex() for n in e.nodes]}
        for e in evidence.chains
    ]
    return canonical_json({"schema": EVIDENCE_SCHEMA, "chains": chains})


def parse_evidence(document: bytes | str | dict[str, object]) -> Evidence:
    """Untrusted JSON into evidence; raises FormatError naming the field."""
    value = document if isinstance(document, dict) else load_json(document)
    fields = JsonObject(value, "evidence", ("schema", "chains"))
    fields.schema(EVIDENCE_SCHEMA)
    chains = fields.children("chains", _parse_chain)
    names = [entry.chain for entry in chains]
    if names != sorted(set(names)):
        fields.fail("chains", "is not one entry per chain in ascending order; sort it")
    return Evidence(chains)


def _parse_chain(value: object, where: str) -> ChainEvidence:
    fields = JsonObject(value, where, ("chain", "header", "nodes"))
    header = _hex(fields, "header", fields.value["header"], MAX_HEADER_BYTES)
    nodes = tuple(_hex(fields, f"nodes[{n}]", v, MAX_NODE_BYTES) for n, v in enumerate(fields.list("nodes")))
    if list(nodes) != sorted(set(nodes)):
        fields.fail("nodes", "is not sorted or repeats a node; sort it")
    return ChainEvidence(chain_field(fields, "chain"), header, nodes)


def _hex(fields: JsonObject, key: str, value: object, most: int) -> bytes:
    """1 to `most` bytes as lower-case 0x hex."""
    try:
        data = bytes.fromhex(value[2:]) if isinstance(value, str) else b""
    except ValueError:
        data = b""
    if not data or value != "0x" + data.hex() or len(data) > most:
        fields.fail(key, f"is not 1 to {most} bytes as lower-case 0x hex; correct it")
    return data


def _proven_by_chain(snapshot: Snapshot) -> Iterable[tuple[BlockAnchor, list[Reading]]]:
    for anchor in snapshot.anchors:
        readings = [r for r in snapshot.readings if r.chain == anchor.chain and r.method is Method.PROVEN]
        if readings:
            yield anchor, readings


class _State:
    """The state under one anchor, as far as some nodes show it. `used` collects those that were needed."""

    def __init__(self, anchor: BlockAnchor, header: bytes, nodes: Iterable[bytes]) -> None:
        self.anchor = anchor
        self.used: set[bytes] = set()
        self._nodes = _Recorder({keccak(node): node for node in nodes}, self.used)
        self._accounts: dict[bytes, Account] = {}
        self._root = _checked_header(anchor, header).state_root

    def account(self, address: bytes) -> Account:
        """The account at `address`; raises StateProofError."""
        if address not in self._accounts:
            self._accounts[address] = stored_account(self._root, address, self._nodes)
        return self._accounts[address]

    def word(self, word: Word) -> int:
        """The word's value; raises StateProofError."""
        address, slot = word
        account = self.account(address)
        return account.balance if slot is None else stored_word(account.storage_root, slot, self._nodes)


class _Recorder(dict[bytes, bytes]):
    """Nodes by hash, noting which are asked for."""

    def __init__(self, nodes: Mapping[bytes, bytes], used: set[bytes]) -> None:
        super().__init__(nodes)
        self._used = used

    def get(self, key: bytes, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        """As in a dict."""
        node = super().get(key)
        if node is None:
            return default
        self._used.add(node)
        return node


def _checked_header(anchor: BlockAnchor, encoded: bytes) -> Header:
    """The header that the anchor names; raises StateProofError."""
    if "0x" + keccak(encoded).hex() != anchor.hash:
        raise StateProofError(
            f"the header of {anchor.chain} does not hash to its anchor: this evidence belongs to another snapshot; "
            "give its own"
        )
    header = decode_header(encoded)
    stated = (anchor.number, anchor.state_root, anchor.timestamp)
    if (header.number, "0x" + header.state_root.hex(), header.timestamp) != stated:
        raise StateProofError(
            f"the anchor of {anchor.chain} states another number, state root or time than its block; it is refused"
        )
    return header


def _check_reading(state: _State, reading: Reading) -> tuple[Word, ...]:
    """The words the reading follows from; raises StateProofError when they say something else."""
    address = bytes.fromhex(reading.address[2:])
    stated = Stated(address, reading.token, reading.detail, state.anchor.timestamp)
    form = form_named(reading.detail.get("proof", ""))
    words = form.words(stated)
    values = [state.word(word) for word in words]
    if reading.raw not in (expected := form.raw(stated, values)):
        raise StateProofError(
            f"{reading.instrument} of {reading.address} is {reading.raw} in the snapshot and "
            f"{min(expected)} in the state of {reading.chain}; the snapshot is refused"
        )
    for key, text in form.remarks(stated, values).items():
        if reading.detail.get(key) != text:
            raise StateProofError(
                f"{reading.instrument} of {reading.address} does not say {key} {text!r}, which the state shows; "
                "the snapshot is refused"
            )
    return words


def _layout(state: _State, reading: Reading, words: Sequence[Word]) -> CheckedLayout:
    code_hash = state.account(words[0][0]).code_hash
    origin = reading.detail.get("layoutFrom", "")
    return CheckedLayout(
        reading.chain, reading.token, reading.detail["layout"], origin, "0x" + code_hash.hex()
    )
