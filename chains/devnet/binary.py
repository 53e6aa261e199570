"""Where the anvil binary is.

It comes in the npm package `@foundry-rs/anvil` (pinned in chains/contracts/package.json) as one executable
per platform, and runs without Node.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aggregator.model.errors import ToolMissingError

ENVIRONMENT_VARIABLE: Final = "COUNTERFOIL_ANVIL"
_CONTRACTS: Final = Path(__file__).resolve().parents[1] / "contracts"
_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "arm64": "arm64", "aarch64": "arm64"}


def anvil_binary(env: Mapping[str, str] = os.environ) -> Path:
    """$COUNTERFOIL_ANVIL, else the installed npm package's binary, else `anvil` on the PATH.

    Raises:
        ToolMissingError: there is none, or the one that $COUNTERFOIL_ANVIL names cannot be run.
    """
    if chosen := env.get(ENVIRONMENT_VARIABLE):
        path = Path(chosen)
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise ToolMissingError(
                f"${ENVIRONMENT_VARIABLE} names {path}, which is not a program; correct it"
            )
        return path
    system = {"win32": "win32", "darwin": "darwin"}.get(sys.platform, "linux")
    machine = _MACHINES.get(platform.machine().lower(), platform.machine().lower())
    suffix = ".exe" if system == "win32" else ""
    folder = _CONTRACTS / "node_modules" / "@foundry-rs" / f"anvil-{system}-{machine}" / "bin"
    packaged = folder / f"anvil{suffix}"
    if packaged.is_file():
        return packaged
    if found := shutil.which("anvil", path=env.get("PATH")):
        return Path(found)
    raise ToolMissingError(
        f"anvil is not installed; run `npm ci` in {_CONTRACTS}, or set ${ENVIRONMENT_VARIABLE} to its path"
    )
