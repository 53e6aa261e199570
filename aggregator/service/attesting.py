"""Attests as a service, and asks attestor services for a holder."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp
from eth_account import Account as EthAccount

from aggregator.model.errors import ChainUnreachableError, ConfigError, FormatError, ProofRefusedError
from aggregator.model.policy import Policy
from aggregator.service.attestation_files import (
    RequestFile,
    encode_request,
    parse_attestation,
)
from aggregator.service.attestor import attest
from aggregator.service.http.service import Service
from aggregator.service.linking import require_signed
from aggregator.service.proving import Audience, attestation_request
from aggregator.store import StoredSnapshot, read_secret
from chains.balances import take_snapshot
from chains.rpc.text import mask_url
from circuits.bundle import BundleAttestation

ASK_FOR_S: Final = 60.0
LARGEST_ANSWER: Final = 65_536


async def attest_request(service: Service, file: RequestFile) -> BundleAttestation:
    """Re-read the account of a request at its cut, and sign when everything is as it says.

    Raises ConfigError when this service is no attestor, ProofRefusedError, ChainError.
    """
    key_file = service.settings.text("attestor", "key_file")
    if not key_file:
        raise ConfigError("this service is no attestor; set attestor.key_file, or ask another")
    asked = file.request
    now = service.now()
    for link in file.links:
        await require_signed(asked.snapshot.account_id, link, now, service.networks)
    await service.store.write(lambda records: records.note_links(asked.snapshot.account_id, file.links))
    own = await take_snapshot(
        service.networks,
        account_id=asked.snapshot.account_id,
        sub_account=asked.snapshot.sub_account,
        addresses=[link.holder for link in file.links],
        cut=asked.snapshot.cut_time,
    )
    lifetime = service.settings.number("attestor", "lifetime_s")

    def sign() -> BundleAttestation:
        key = read_secret(Path(key_file), "attestor key")
        attestor = EthAccount.from_key(key.to_bytes(32, "big"))
        return attest(asked, own, attestor, lifetime, service.networks)

    signed = await service.compute(sign)
    await service.store.write(
        lambda records: records.claim_attested(
            own.account_id, asked.home, file.links, until=signed.expiry, now=service.now()
        )
    )
    return signed


async def make_request(
    service: Service, stored: StoredSnapshot, policy: Policy, chain_id: int, registry: str
) -> RequestFile:
    """What an attestor is shown for a stored snapshot and one registry."""
    links = await service.store.read(lambda records: records.links(stored.account))
    now = service.now()
    made = await service.compute(lambda: attestation_request(stored, policy, chain_id, registry, now))
    return RequestFile(made, tuple(links))


async def gather_attestations(
    service: Service, stored: StoredSnapshot, policy: Policy, audience: Audience, tell: Callable[[str], None]
) -> list[BundleAttestation]:
    """Attestations from every configured attestor, or from this service itself when it is one and none is configured.

    Raises ProofRefusedError when an attestor refuses or there is none, ChainUnreachableError when one does not answer.
    """
    file = await make_request(service, stored, policy, audience.chain_id, audience.registry)
    asked = service.settings.texts("proving", "attestors")
    if not asked and service.settings.text("attestor", "key_file"):
        tell("reading again as the attestor")
        return [await attest_request(service, file)]
    if not asked:
        raise ProofRefusedError(
            "no attestation was given and no attestor is configured, and a proof over numbers nobody attested says "
            "nothing; give attestations, or set proving.attestors"
        )
    tell(f"asking {len(asked)} attestors")
    variable = service.settings.text("proving", "attestor_key_variable")
    headers = {"Content-Type": "application/json"}
    if variable:
        if not (key := os.environ.get(variable, "")):
            raise ConfigError(
                f"the variable {variable} of proving.attestor_key_variable is not set; put the key there"
            )
        headers["Authorization"] = f"Bearer {key}"
    body = encode_request(file)
    timeout = aiohttp.ClientTimeout(total=ASK_FOR_S)
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
        return list(await asyncio.gather(*(_ask(session, url, body) for url in asked)))


async def _ask(session: aiohttp.ClientSession, url: str, body: bytes) -> BundleAttestation:
    where = mask_url(url)
    try:
        to = f"{url.rstrip('/')}/v1/attestations"
        async with session.post(to, data=body, allow_redirects=False) as answer:
            data = await answer.content.read(LARGEST_ANSWER)
            status = answer.status
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ChainUnreachableError(
            f"the attestor {where} does not answer ({type(error).__name__}); ask again later"
        ) from error
    if status != 200:
        raise ProofRefusedError(
            f"the attestor {where} refused with status {status}: {_detail(data)}; see its log"
        )
    try:
        return parse_attestation(data)
    except FormatError as error:
        raise ProofRefusedError(f"the attestor {where} answered with no attestation ({error})") from error


def _detail(data: bytes) -> str:
    text = data[:500].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in text)
