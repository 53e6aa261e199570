"""State proofs in one HTTP round trip per chain, verified, with the next endpoint asked where one falls short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aggregator.model.errors import ChainError, StateProofError
from chains.anchors import Anchored
from chains.rpc import Chain, Endpoint, Request, RpcError
from chains.rpc.values import encode_data
from chains.verified import ProvenState, verify_get_proof


class ProofRequest(NamedTuple):
    """An account (20 bytes) and the storage slots (32 bytes each) to prove in it."""

    address: bytes
    slots: tuple[bytes, ...] = ()


async def fetch_proofs(
    chain: Chain, anchored: Anchored, wanted: Sequence[ProofRequest]
) -> list[ProvenState | ChainError]:
    """For each request what was proven under the anchor, or why not.

    A StateProofError in the list means that an endpoint answered and the proof is wrong; any other ChainError, that
    no endpoint offered one. Endpoints are asked in turn for what is still open.
    """
    results: dict[int, ProvenState | ChainError] = {}
    open_: list[int] = list(range(len(wanted)))
    for endpoint in chain.active:
        if not open_:
            break
        for n, result in zip(open_, await _ask(endpoint, anchored, [wanted[i] for i in open_]), strict=True):
            if not (isinstance(results.get(n), StateProofError) and not isinstance(result, ProvenState)):
                results[n] = result
            if isinstance(result, StateProofError):
                endpoint.note(f"gave a wrong state proof: {result}")
        open_ = [n for n in open_ if not isinstance(results[n], ProvenState)]
    return [results[n] for n in range(len(wanted))]


async def _ask(
    endpoint: Endpoint, anchored: Anchored, wanted: Sequence[ProofRequest]
) -> list[ProvenState | ChainError]:
    requests = [
        Request("eth_getProof", [encode_data(r.address), [encode_data(s) for s in r.slots], anchored.ref])
        for r in wanted
    ]
    try:
        answers = await endpoint.batch(requests)
    except ChainError as error:
        return [error for _ in wanted]
    return [_verify(anchored, request, answer) for request, answer in zip(wanted, answers, strict=True)]


def _verify(anchored: Anchored, request: ProofRequest, answer: object) -> ProvenState | ChainError:
    if isinstance(answer, RpcError):
        return answer
    try:
        return verify_get_proof(anchored.state_root, request.address, request.slots, answer)
    except StateProofError as error:
        return error
    except ChainError as error:
        return StateProofError(f"the answer to eth_getProof is malformed: {error}")
