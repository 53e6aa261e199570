"""The parsers of what chains say: RLP, headers, state proofs, RPC answers, contract results, signatures, evidence."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path

import rlp
from eth_account import Account
from eth_utils.crypto import keccak
from trie import HexaryTrie

from aggregator.model.anchors import BlockAnchor, Finality, Trust, eip155
from aggregator.model.errors import CounterfoilError
from aggregator.model.snapshot import (
    Method,
    Reading,
    encode_snapshot,
    make_snapshot,
    parse_snapshot,
    quantity_from_raw,
)
from chains.attestation import Attestation
from chains.balances import encode_evidence, parse_evidence, verify_evidence
from chains.balances.evidence import ChainEvidence, Evidence
from chains.balances.layouts import Layout
from chains.contracts.reverts import explain_revert, refusal
from chains.multicall import _unpack
from chains.rpc.abi import decode_result
from chains.rpc.bounded_json import load_bounded
from chains.rpc.endpoint import Endpoint, Request, RpcSettings
from chains.rpc.errors import EndpointError, RpcError
from chains.rpc.transport import Reply
from chains.verified import decode_header, parse_header, require_rebuilt, verify_get_proof
from chains.verified.strict_rlp import decode
from tests.fuzz.mutate import mutate_bytes, mutate_json
from tests.fuzz.target import Target

HOLDER = bytes.fromhex("00000000000000000000000000000000000a11ce")
TOKEN = bytes.fromhex("00000000000000000000000000000000000c0123")
LAYOUT = Layout("solidity", 2)
BALANCE = 3 * 10**18
TOKENS = 5_000_000
TIME = 1_790_000_000


@cache
def _state() -> tuple[HexaryTrie, HexaryTrie]:
    """A state with a holder and a token, and the token's storage."""
    storage: HexaryTrie = HexaryTrie({})
    for n in range(40):
        storage[keccak(LAYOUT.key(n.to_bytes(20, "big")))] = rlp.encode(n + 1)
    storage[keccak(LAYOUT.key(HOLDER))] = rlp.encode(TOKENS)
    state: HexaryTrie = HexaryTrie({})
    empty, no_code = keccak(rlp.encode(b"")), keccak(b"")
    for n in range(40):
        state[keccak(n.to_bytes(20, "big"))] = rlp.encode([n, n + 1, empty, no_code])
    state[keccak(HOLDER)] = rlp.encode([1, BALANCE, empty, no_code])
    state[keccak(TOKEN)] = rlp.encode([1, 0, storage.root_hash, keccak(b"code")])
    return state, storage


def _nodes(trie: HexaryTrie, key: bytes) -> list[bytes]:
    return [rlp.encode(node) for node in trie.get_proof(keccak(key))]


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _header_fields() -> list[bytes]:
    state, _ = _state()
    fields = [
        b"\1" * 32,
        b"\2" * 32,
        b"\3" * 20,
        state.root_hash,
        b"\4" * 32,
        b"\5" * 32,
        bytes(256),
        b"",
        b"\7",
    ]
    return [
        *fields,
        b"\x01\xc9\xc3\x80",
        b"\x52\x08",
        TIME.to_bytes(4, "big"),
        b"x",
        b"\6" * 32,
        bytes(8),
        b"\x3b",
    ]


@cache
def _header() -> bytes:
    return bytes(rlp.encode(_header_fields()))


@cache
def _proof_answer() -> bytes:
    state, storage = _state()
    account = rlp.decode(state[keccak(TOKEN)])
    answer = {
        "address": _hex(TOKEN),
        "accountProof": [_hex(n) for n in _nodes(state, TOKEN)],
        "balance": "0x0",
        "nonce": "0x1",
        "codeHash": _hex(account[3]),
        "storageHash": _hex(account[2]),
        "storageProof": [
            {
                "key": _hex(LAYOUT.key(HOLDER)),
                "value": hex(TOKENS),
                "proof": [_hex(n) for n in _nodes(storage, LAYOUT.key(HOLDER))],
            }
        ],
    }
    return json.dumps(answer).encode()


def _get_proof(data: bytes) -> None:
    """What is accepted proves what the trie holds."""
    try:
        answer = load_bounded(data)
    except ValueError:
        return
    state, storage = _state()
    proven = verify_get_proof(state.root_hash, TOKEN, [LAYOUT.key(HOLDER)], answer)
    assert proven.words == (TOKENS,)
    assert proven.account.storage_root == storage.root_hash


def _decode_header(data: bytes) -> None:
    header = decode_header(data)
    assert header.hash == keccak(data)


_BLOCK_FIELDS = (
    *(
        "parentHash",
        "sha3Uncles",
        "miner",
        "stateRoot",
        "transactionsRoot",
        "receiptsRoot",
        "logsBloom",
        "difficulty",
    ),
    *("number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce", "baseFeePerGas"),
)


def _block_seeds(_: Path) -> list[bytes]:
    quantities = {"difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas"}
    block = {
        name: hex(int.from_bytes(field, "big")) if name in quantities else _hex(field)
        for name, field in zip(_BLOCK_FIELDS, _header_fields(), strict=True)
    }
    return [json.dumps({**block, "hash": _hex(keccak(_header()))}).encode()]


def _block(data: bytes) -> None:
    """A header counts as rebuilt only when its fields are those of the hash."""
    try:
        answer = load_bounded(data)
    except ValueError:
        return
    if isinstance(answer, dict):
        header = require_rebuilt(parse_header(answer))
        assert keccak(header.encoded) == header.hash
        assert decode_header(header.encoded) == header


@cache
def _snapshot_and_evidence() -> tuple[bytes, bytes]:
    state, storage = _state()
    chain = eip155(1)
    anchor = BlockAnchor(
        chain, 7, _hex(keccak(_header())), _hex(state.root_hash), TIME, Finality.FINALIZED, Trust.RPC_QUORUM
    )
    slot = LAYOUT.key(HOLDER)

    def reading(kind: str, token: str, raw: int, detail: dict[str, str]) -> Reading:
        symbol = "ETH@eip155:1" if kind == "native" else "USDC@eip155:1"
        decimals = 18 if kind == "native" else 6
        trust, quantity = Trust.RPC_QUORUM, quantity_from_raw(raw, decimals)
        return Reading(
            chain, _hex(HOLDER), symbol, kind, token, raw, decimals, quantity, trust, Method.PROVEN, detail
        )

    storage_detail = {
        "proof": "storage",
        "layout": str(LAYOUT),
        "slot": _hex(slot),
        "layoutFrom": "configured",
    }
    taken = make_snapshot(
        cut_time=TIME + 12,
        taken_at=TIME + 20,
        account_id=7,
        sub_account=0,
        addresses=[_hex(HOLDER)],
        anchors=[anchor],
        readings=[
            reading("native", "native", BALANCE, {"proof": "account"}),
            reading("erc20", _hex(TOKEN), TOKENS, storage_detail),
        ],
    )
    nodes = {*_nodes(state, HOLDER), *_nodes(state, TOKEN), *_nodes(storage, slot)}
    evidence = Evidence((ChainEvidence(chain, _header(), tuple(sorted(nodes))),))
    verify_evidence(taken, evidence)
    return encode_snapshot(taken), encode_evidence(evidence)


def _evidence(data: bytes) -> None:
    """Evidence that is accepted is the evidence: every node of it is needed, and each by its hash."""
    found = parse_evidence(data)
    verify_evidence(parse_snapshot(_snapshot_and_evidence()[0]), found)
    assert encode_evidence(found) == _snapshot_and_evidence()[1]


def _evidenced_snapshot(data: bytes) -> None:
    """A snapshot that the evidence proves holds the balances of the state."""
    taken = parse_snapshot(data)
    verify_evidence(taken, parse_evidence(_snapshot_and_evidence()[1]))
    for reading in taken.readings:
        if reading.method is Method.PROVEN:
            assert reading.raw == (BALANCE if reading.token == "native" else TOKENS)


class _Canned:
    def __init__(self, body: bytes) -> None:
        self.body = body

    async def post(self, body: bytes) -> Reply:
        return Reply(200, self.body, 0.0)

    async def close(self) -> None:
        """Nothing to release."""


_ONE = b'{"jsonrpc": "2.0", "id": 1, "result": {"number": "0x7"}}'
_FAILED = b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "no", "data": "0x08c379a0"}}'
_MANY = b'[{"jsonrpc": "2.0", "id": 1, "result": "0x1"}, {"jsonrpc": "2.0", "id": 2, "error": {"code": 3}}]'


def _answer(data: bytes) -> None:
    async def ask(requests: list[Request]) -> None:
        settings = RpcSettings(attempts=1, backoff_s=0.0)
        endpoint = Endpoint("http://127.0.0.1:1/", settings=settings, transport=_Canned(data))
        try:
            for answer in await endpoint.batch(requests):
                if isinstance(answer, RpcError):
                    str(answer)
        finally:
            await endpoint.close()

    async def both() -> None:
        for requests in ([Request("eth_blockNumber")], [Request("eth_chainId"), Request("eth_call")]):
            try:
                await ask(requests)
            except EndpointError as error:
                str(error)

    asyncio.run(both())


def _results(data: bytes) -> None:
    for types in (
        ["uint256"],
        ["string"],
        ["uint80", "int256", "uint256", "uint256", "uint80"],
        ["bytes[]", "string[]"],
    ):
        try:
            decode_result(types, data, "a result")
        except CounterfoilError:
            continue


_STRING_RESULT = (32).to_bytes(32, "big") + (3).to_bytes(32, "big") + b"ETH".ljust(32, b"\0")


def _outcomes(data: bytes) -> None:
    for outcome in _unpack(data):
        try:
            outcome.unsigned("a balance")
        except CounterfoilError:
            continue


def _revert(data: bytes) -> None:
    explain_revert(data)
    refusal(data)


_ATTESTATION = Attestation(5, 6, "0x" + "07" * 32, TIME, TIME + 9, "0x" + "08" * 32, 1, "0x" + "09" * 20)
_ATTESTOR = Account.from_key(b"\7" * 32)


def _signature(data: bytes) -> None:
    """Nobody makes the attestor's signature by editing it: each signature has one form."""
    if _ATTESTATION.signer(data) == _ATTESTOR.address.lower():
        assert data == _ATTESTATION.sign(_ATTESTOR)


def _rlp(data: bytes) -> None:
    assert rlp.encode(decode(data)) == data


TARGETS = (
    Target("rlp", lambda _: [_header(), *_nodes(_state()[0], HOLDER)], _rlp, mutate_bytes),
    Target("header-rlp", lambda _: [_header()], _decode_header, mutate_bytes),
    Target("block", _block_seeds, _block, mutate_json),
    Target("state-proof", lambda _: [_proof_answer()], _get_proof, mutate_json),
    Target("evidence", lambda _: [_snapshot_and_evidence()[1]], _evidence, mutate_json),
    Target("evidenced-snapshot", lambda _: [_snapshot_and_evidence()[0]], _evidenced_snapshot, mutate_json),
    Target("rpc-answer", lambda _: [_ONE, _FAILED, _MANY], _answer, mutate_json),
    Target("contract-result", lambda _: [_STRING_RESULT, bytes(160)], _results, mutate_bytes),
    Target("batched-read", lambda _: [b"\0\1\1\0\x20" + bytes(32)], _outcomes, mutate_bytes),
    Target(
        "revert",
        lambda _: [
            bytes.fromhex("08c379a0") + _STRING_RESULT,
            bytes.fromhex("4e487b71") + bytes(32),
            bytes(36),
        ],
        _revert,
        mutate_bytes,
        (),
    ),
    Target("signature", lambda _: [_ATTESTATION.sign(_ATTESTOR)], _signature, mutate_bytes, weight=3),
)
