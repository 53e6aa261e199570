"""Call data, creation code and results by the ABI of a shipped contract."""

from __future__ import annotations

from typing import Any, cast

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_typing import ABIFunction
from eth_utils.abi import (
    abi_to_signature,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
    get_abi_input_types,
    get_abi_output_types,
)
from eth_utils.crypto import keccak

from aggregator.model.errors import ChainError, InputError
from chains.contracts.compiled import artifact


def creation_code(name: str, *arguments: object) -> bytes:
    """Data of the transaction that deploys the contract `name`.

    Raises:
        InputError: the arguments are not what its constructor takes.
    """
    compiled = artifact(name)
    constructor = next((e for e in compiled.abi if e["type"] == "constructor"), None)
    if not compiled.bytecode:
        raise InputError(f"{name} is an interface and cannot be deployed; name a contract")
    types = get_abi_input_types(cast(ABIFunction, constructor)) if constructor else []
    return compiled.bytecode + _encode(types, arguments, f"the constructor of {name}")


def call_data(name: str, function: str, *arguments: object) -> bytes:
    """Data of a call to `function` of the contract `name`.

    Raises:
        InputError: there is no such function, or the arguments are not what it takes.
    """
    abi = _function(name, function)
    return function_abi_to_4byte_selector(abi) + _encode(
        get_abi_input_types(abi), arguments, f"{name}.{function}"
    )


def decode_result(name: str, function: str, data: bytes) -> tuple[Any, ...]:
    """What `function` of the contract `name` returned. A struct is a tuple of its fields.

    Raises:
        ChainError: the data is not of the function's type, so the address holds another contract or none.
    """
    try:
        return decode(get_abi_output_types(_function(name, function)), data)
    except (DecodingError, ValueError, OverflowError) as error:
        raise ChainError(
            f"{name}.{function} returned {len(data)} bytes of another type; is {name} deployed there?"
        ) from error


def error_selectors(name: str) -> dict[bytes, dict[str, Any]]:
    """The custom errors of the contract `name`, by selector."""
    errors = (entry for entry in artifact(name).abi if entry["type"] == "error")
    return {keccak(abi_to_signature(cast(Any, e)).encode("ascii"))[:4]: e for e in errors}


def event_topic(name: str, event: str) -> bytes:
    """Topic 0 of an event of the contract `name`."""
    found = [e for e in artifact(name).abi if e["type"] == "event" and e["name"] == event]
    if len(found) != 1:
        raise InputError(f"{name} has no event {event}; check its ABI")
    return event_abi_to_log_topic(cast(Any, found[0]))


def _function(name: str, function: str) -> ABIFunction:
    found = [e for e in artifact(name).abi if e["type"] == "function" and e["name"] == function]
    if len(found) != 1:
        raise InputError(f"{name} has no single function {function}; check its ABI")
    return cast(ABIFunction, found[0])


def _encode(types: list[str], arguments: tuple[object, ...], what: str) -> bytes:
    try:
        return encode(types, arguments)
    except (EncodingError, ValueError, TypeError) as error:
        raise InputError(f"{what} takes ({', '.join(types)}): {error}") from error
