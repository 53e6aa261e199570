"""Compiled contracts that ship with the package (made by `node chains/contracts/compile.mjs`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, cast

from aggregator.model.errors import FormatError

SCHEMA_KEYS: Final = {"contractName", "abi", "bytecode", "deployedBytecode", "immutables", "solc"}


@dataclass(frozen=True)
class Artifact:
    """One compiled contract.

    `bytecode` is the creation code without constructor arguments; `deployed_bytecode` has zeros where the
    constructor writes immutables, at the (start, length) of `immutables`, in bytes. Both are empty for an interface or
    an abstract contract.
    """

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    deployed_bytecode: bytes
    solc: str
    immutables: tuple[tuple[int, int], ...] = ()

    def is_code(self, code: bytes) -> bool:
        """Whether this is the contract as deployed, whatever its constructor wrote as immutables."""
        masked = bytearray(code)
        for start, length in self.immutables:
            masked[start : start + length] = bytes(length)
        return bool(code) and bytes(masked) == self.deployed_bytecode


@cache
def artifact(name: str) -> Artifact:
    """The artifact of the contract called `name`, for example "SolvencyRegistry".

    Raises:
        FormatError: the package holds no such artifact, or the file is damaged.
    """
    folder = files("chains.contracts") / "artifacts"
    path = folder / f"{name}.json"
    if not name.isidentifier() or not path.is_file():
        known = ", ".join(sorted(p.name.removesuffix(".json") for p in folder.iterdir()))
        raise FormatError(f"there is no contract artifact {name!r}; the package holds {known}")
    try:
        raw = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
        if set(raw) != SCHEMA_KEYS:
            raise FormatError(f"the artifact {name} has keys {sorted(raw)}; run node compile.mjs again")
        return Artifact(
            name=raw["contractName"],
            abi=raw["abi"],
            bytecode=bytes.fromhex(raw["bytecode"].removeprefix("0x")),
            deployed_bytecode=bytes.fromhex(raw["deployedBytecode"].removeprefix("0x")),
            immutables=tuple((int(start), int(length)) for start, length in raw["immutables"]),
            solc=raw["solc"],
        )
    except ValueError as error:
        raise FormatError(f"the artifact {name} is damaged ({error}); run node compile.mjs again") from error
