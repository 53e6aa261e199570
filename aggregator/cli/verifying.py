"""Three verifiers for one proof: the Rust core, py-ecc, and the contract on a local chain."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from aggregator.model.errors import InputError, ProofRefusedError
from aggregator.service.venue import AcceptedKey, require_named
from aggregator.service.venue_file import read_verification_key
from circuits.artifacts import ready
from circuits.bundle import Bundle
from circuits.formats.snarkjs import encode_verification_key
from circuits.keys import KeyKind, ceremony_key_path, dev_key_path, open_own_key, verification_key_id
from circuits.solvency import SIZES

if TYPE_CHECKING:
    from chains.devnet import Devnet


def accepted_key(bundle: Bundle, path: Path | None) -> tuple[bytes, KeyKind | None]:
    """The verification key to check a bundle with, and how it was made as far as this machine knows.

    It is the file's, of which nothing more is known (None), else that of this machine's ceremony or dev key.
    Raises InputError when there is neither, ProofRefusedError when the bundle names another key, or calls the key or
    its circuit something else than they are.
    """
    own = None
    if path is not None:
        key = read_verification_key(path)
    else:
        if bundle.circuit not in SIZES:
            raise ProofRefusedError(
                f"the bundle names the circuit {bundle.circuit!r}, which this version does not have; "
                "ask for a proof of a circuit it has"
            )
        circuit = ready(bundle.circuit)
        finished = ceremony_key_path(circuit)
        found = finished if finished.exists() else dev_key_path(circuit)
        if not found.exists():
            raise InputError(
                f"this machine has no key of {bundle.circuit}; give the one to trust with --verification-key"
            )
        own = AcceptedKey.own(circuit, open_own_key(found, circuit))
        key = own.key
    if verification_key_id(key) != bundle.verification_key_id:
        raise ProofRefusedError(
            f"the proof is made with the key {bundle.verification_key_id}, and the trusted one is "
            f"{verification_key_id(key)}; ask for a proof with that key, or trust the other"
        )
    if own is None:
        return key, None
    require_named(bundle, own)
    return key, own.kind


def verify_with(verifier: str, key: bytes, bundle: Bundle) -> None:
    """Accept the proof by returning, with the verifier "native", "py-ecc" or "solidity".

    Raises ProofRefusedError with the reason; ToolMissingError when a local chain is needed and cannot start.
    """
    if verifier == "native":
        from circuits.verifiers import native

        native.verify(key, bundle.public, bundle.proof)
    elif verifier == "py-ecc":
        from circuits.verifiers import pyecc

        pyecc.verify(key, bundle.public, bundle.proof)
    else:
        asyncio.run(_verify_on_a_local_chain(key, bundle))


async def _verify_on_a_local_chain(key: bytes, bundle: Bundle) -> None:
    from chains.devnet import devnet

    async with devnet(bundle.context.chain_id) as net:
        address = await deploy_verifier(net, key)
        await verify_on_chain(net, address, bundle)


async def deploy_verifier(net: Devnet, key: bytes, kind: KeyKind = KeyKind.DEV) -> str:
    """Deploy the Groth16 verifier contract of a verification key to a local chain; returns its address."""
    from chains.contracts.calldata import verifying_key_words
    from chains.contracts.coding import creation_code

    words = verifying_key_words(encode_verification_key(key))
    return await net.deploy_code(creation_code("Groth16Verifier", words, kind is KeyKind.DEV))


async def verify_on_chain(net: Devnet, verifier: str, bundle: Bundle) -> None:
    """Accept the proof by returning when the contract at `verifier` says yes; else ProofRefusedError."""
    from chains.contracts.calldata import proof_words
    from chains.contracts.coding import call_data, decode_result
    from chains.rpc.values import encode_data, parse_data

    data = call_data("Groth16Verifier", "verify", proof_words(bundle.proof), bundle.public)
    answer = await net.endpoint.call("eth_call", [{"to": verifier, "data": encode_data(data)}, "latest"])
    (accepted,) = decode_result("Groth16Verifier", "verify", parse_data(answer, "verify"))
    if not accepted:
        raise ProofRefusedError("the verifier contract does not accept the proof: the proof is refused")
