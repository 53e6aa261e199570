"""Which storage slots a call reads, from whichever method the endpoints have.

eth_createAccessList first; where it is refused, debug_traceCall with the prestate tracer; where that is not known
either, debug_traceCall with plain steps. Each is one HTTP round trip for all calls that are still open. An answer is
only a hint: a slot that is missing in it hides a layout, and one too many fails the experiment that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from aggregator.model.errors import ChainError
from chains.anchors import Anchored
from chains.rpc import Chain, Request, RpcError
from chains.rpc.values import encode_data, parse_array, parse_data, parse_object


class View(NamedTuple):
    """A call of a view function: contract (20 bytes) and call data."""

    contract: bytes
    data: bytes

    def plain(self) -> dict[str, str]:
        """As JSON-RPC has it."""
        return {"to": encode_data(self.contract), "data": encode_data(self.data)}


_PRESTATE: Final = {"tracer": "prestateTracer"}
_STEPS: Final = {"disableStorage": True, "enableMemory": False}


async def touched_slots(
    chain: Chain, anchored: Anchored, views: Sequence[View]
) -> dict[View, set[bytes] | None]:
    """The slots of each view's contract that it reads; None where no method says.

    Raises:
        ChainUnreachableError: no endpoint answers.
    """
    found: dict[View, set[bytes] | None] = dict.fromkeys(views)
    for method, options, parse in _METHODS:
        open_ = [view for view in views if found[view] is None]
        if not open_:
            break
        requests = [Request(method, [view.plain(), anchored.ref, *options]) for view in open_]
        for view, answer in zip(open_, await chain.batch(requests), strict=True):
            found[view] = _parsed(view.contract, answer, parse)
    return found


async def touched_words(
    chain: Chain, anchored: Anchored, views: Sequence[View]
) -> dict[View, set[tuple[bytes, bytes]]]:
    """The words (contract, slot) that each view reads anywhere, in at most two HTTP round trips.

    Raises:
        ChainUnreachableError: no endpoint answers.
        ChainError: no method says it of some view.
    """
    found: dict[View, set[tuple[bytes, bytes]]] = {}
    for method, options, parse in (
        ("eth_createAccessList", (), _listed),
        ("debug_traceCall", (_PRESTATE,), _state),
    ):
        open_ = [view for view in views if view not in found]
        if not open_:
            return found
        requests = [Request(method, [view.plain(), anchored.ref, *options]) for view in open_]
        for view, answer in zip(open_, await chain.batch(requests), strict=True):
            if not isinstance(answer, RpcError):
                with suppress(ChainError):
                    found[view] = parse(parse_object(answer, "which words a call reads"))
    if len(found) < len(set(views)):
        raise ChainError("the endpoint does not say which storage a call reads")
    return found


def _parsed(
    contract: bytes, answer: object, parse: Callable[[bytes, Mapping[str, object]], set[bytes]]
) -> set[bytes] | None:
    if isinstance(answer, RpcError):
        return None
    try:
        return parse(contract, parse_object(answer, "which slots a call reads"))
    except ChainError:
        return None


def _access_list(contract: bytes, answer: Mapping[str, object]) -> set[bytes]:
    return {slot for address, slot in _listed(answer) if address == contract}


def _listed(answer: Mapping[str, object]) -> set[tuple[bytes, bytes]]:
    """The words of an access list."""
    words: set[tuple[bytes, bytes]] = set()
    for item in parse_array(answer.get("accessList"), "an access list"):
        entry = parse_object(item, "an access list entry")
        address = parse_data(entry.get("address"), "an address", 20)
        keys = parse_array(entry.get("storageKeys"), "storage keys")
        words |= {(address, parse_data(key, "a storage key", 32)) for key in keys}
    return words


def _state(answer: Mapping[str, object]) -> set[tuple[bytes, bytes]]:
    """The words of a prestate."""
    words: set[tuple[bytes, bytes]] = set()
    for key, account in answer.items():
        storage = parse_object(account, "an account of the prestate").get("storage", {})
        address = parse_data(key, "an address", 20)
        words |= {(address, parse_data(s, "a storage key", 32)) for s in parse_object(storage, "its storage")}
    return words


def _prestate(contract: bytes, answer: Mapping[str, object]) -> set[bytes]:
    """Slots by account. A node that leaves slots of value zero out has to be asked for the steps."""
    account = parse_object(answer.get(encode_data(contract)), "an account of the prestate")
    storage = parse_object(account.get("storage"), "the storage of the prestate")
    return {parse_data(key, "a storage key", 32) for key in storage}


def _steps(contract: bytes, answer: Mapping[str, object]) -> set[bytes]:
    """What lies on top of the stack at every SLOAD, of whichever contract."""
    slots: set[bytes] = set()
    for item in parse_array(answer.get("structLogs"), "the steps of a call"):
        step = parse_object(item, "a step")
        if step.get("op") == "SLOAD":
            slots.add(_word(parse_array(step.get("stack"), "a stack")[-1:]))
    return slots


def _word(top: Sequence[object]) -> bytes:
    """The last entry of a stack: hex of any length, with or without 0x."""
    text = str(top[0]).removeprefix("0x") if top else ""
    try:
        return int(text, 16).to_bytes(32, "big")
    except (ValueError, OverflowError) as error:
        raise ChainError("a stack has an entry that is not a word; the endpoint is faulty") from error


_METHODS: Final = (
    ("eth_createAccessList", (), _access_list),
    ("debug_traceCall", (_PRESTATE,), _prestate),
    ("debug_traceCall", (_STEPS,), _steps),
)
