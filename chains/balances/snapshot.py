"""A snapshot: every address of an account on every chain, all chains at once, what failed named."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Final

from eth_utils.address import is_checksum_address

from aggregator.model.anchors import ChainId, parse_chain_id
from aggregator.model.errors import ChainError, ConfigError, InputError
from aggregator.model.snapshot import FailedChain, Snapshot, make_snapshot
from chains.balances.book import LayoutBook
from chains.balances.evidence import Evidence, make_evidence
from chains.balances.reader import ChainReadings, read_chain
from chains.networks import Network
from chains.rpc import clean_text

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_REASON_LENGTH: Final = 900


def parse_holder(text: str) -> tuple[ChainId | None, bytes]:
    """ "0x.." (an address on every chain) or CAIP-10 "eip155:1:0x.." (on that chain only).

    A contract account belongs to its owner only on the chain where the owner deployed it, so its link names a chain.

    Raises:
        InputError: it is neither, or mixes upper and lower case with a wrong EIP-55 checksum.
    """
    chain, _, address = text.rpartition(":")
    if _ADDRESS.fullmatch(address) is None:
        raise InputError(f"{text[:60]!r} is not an address; write 0x and 40 hex digits, or eip155:N:0x..")
    digits = address[2:]
    if digits not in (digits.lower(), digits.upper()) and not is_checksum_address(address):
        raise InputError(f"{text[:60]!r} has a wrong checksum; copy the address again")
    return parse_chain_id(chain) if chain else None, bytes.fromhex(digits)


async def take_snapshot(
    networks: Sequence[Network],
    *,
    account_id: int,
    sub_account: int = 0,
    addresses: Sequence[str],
    cut: int,
    env: Mapping[str, str] = os.environ,
    book: LayoutBook | None = None,
) -> Snapshot:
    """Read `addresses` (see `parse_holder`) on all `networks` at the Unix second `cut`.

    See `take_snapshot_with_evidence`.
    """
    snapshot, _ = await take_snapshot_with_evidence(
        networks,
        account_id=account_id,
        sub_account=sub_account,
        addresses=addresses,
        cut=cut,
        env=env,
        book=book,
    )
    return snapshot


async def take_snapshot_with_evidence(
    networks: Sequence[Network],
    *,
    account_id: int,
    sub_account: int = 0,
    addresses: Sequence[str],
    cut: int,
    env: Mapping[str, str] = os.environ,
    book: LayoutBook | None = None,
) -> tuple[Snapshot, Evidence]:
    """Read `addresses` (see `parse_holder`) on all `networks` at the Unix second `cut`, and keep what proves it.

    Every chain is anchored, also one that none of the addresses is on. A chain that is dead, slow, stuck,
    misconfigured or contradicts itself is in `failed_chains` with the reason, and an asset that could not be read in
    `missing`; neither is ever counted as zero.

    Parameters:
        env: fills in the variables of the endpoints.
        book: storage layouts to reuse and to add to.

    Raises:
        InputError: an address is malformed, there is none, or two networks describe one chain.
    """
    holders = [parse_holder(text) for text in addresses]
    if not holders or not networks:
        raise InputError("a snapshot needs an address and a network; link an address or add a network file")
    chains = [network.chain for network in networks]
    if twice := sorted({c for c in chains if chains.count(c) > 1}):
        raise ConfigError(f"two network files describe {twice[0]}; keep one")
    if strangers := sorted({c for c, _ in holders if c is not None} - set(chains)):
        raise InputError(f"an address is on {strangers[0]}, which no network file describes; add the file")
    layouts = book or LayoutBook()
    work = [(network, _holders_on(network.chain, holders)) for network in networks]
    results = await asyncio.gather(*(_read(network, on, cut, env, layouts) for network, on in work))
    read = [r for r in results if isinstance(r, ChainReadings)]
    snapshot = make_snapshot(
        cut_time=cut,
        taken_at=int(time.time()),
        account_id=account_id,
        sub_account=sub_account,
        addresses={"0x" + address.hex() for _, address in holders},
        anchors=[r.anchor for r in read],
        readings=[reading for r in read for reading in r.readings],
        failed_chains=[r for r in results if isinstance(r, FailedChain)],
        missing=[clean_text(m, _REASON_LENGTH) for r in read for m in r.missing],
    )
    return snapshot, make_evidence(snapshot, {r.anchor.chain: (r.header, r.nodes) for r in read})


def _holders_on(chain: ChainId, holders: Sequence[tuple[ChainId | None, bytes]]) -> list[bytes]:
    return sorted({address for only, address in holders if only in (None, chain)})


async def _read(
    network: Network, holders: Sequence[bytes], cut: int, env: Mapping[str, str], book: LayoutBook
) -> ChainReadings | FailedChain:
    """One chain within its deadline, or why not."""
    try:
        async with asyncio.timeout(network.deadline_s), network.connect(env) as chain:
            return await read_chain(network, chain, holders, cut, book)
    except TimeoutError:
        reason = f"it was not read within its deadline of {network.deadline_s} s; use a faster endpoint"
    except (ChainError, ConfigError) as error:
        reason = str(error)
    return FailedChain(network.chain, clean_text(reason, _REASON_LENGTH))
