"""An anvil process that cannot outlive its parent."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

from aggregator.model.errors import ToolMissingError

START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 5.0
_PR_SET_PDEATHSIG: Final = 1


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux, a hook for the child that has the kernel kill it when its parent dies; elsewhere None."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def hook() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return hook


async def _listening_port(process: asyncio.subprocess.Process) -> int:
    """The port from anvil's "Listening on 127.0.0.1:PORT"."""
    last = ""
    if process.stdout is not None:
        async for raw in process.stdout:
            line = raw.decode(errors="replace").strip()
            if line.startswith("Listening on "):
                return int(line.rpartition(":")[2])
            last = line or last
    raise ToolMissingError(
        f"anvil ended before it listened ({last or 'no output'}); run it by hand to see why"
    )


async def _await_port(process: asyncio.subprocess.Process, binary: Path) -> int:
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            return await _listening_port(process)
    except TimeoutError as error:
        raise ToolMissingError(
            f"{binary} did not listen within {START_TIMEOUT_S:g} s; run it by hand to see why"
        ) from error


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(1 << 16):
        pass


@contextlib.asynccontextmanager
async def anvil_process(binary: Path, arguments: Sequence[str]) -> AsyncIterator[int]:
    """Run anvil on a port the system chooses; yields that port, ends the process on leaving.

    Raises:
        ToolMissingError: it cannot be started or does not listen within `START_TIMEOUT_S`.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            str(binary),
            *("--host", "127.0.0.1", "--port", "0"),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=_die_with_parent(),
        )
    except OSError as error:
        raise ToolMissingError(f"{binary} cannot be started ({error.strerror}); reinstall anvil") from error
    drain: asyncio.Task[None] | None = None
    try:
        port = await _await_port(process, binary)
        if process.stdout is not None:
            drain = asyncio.create_task(_drain(process.stdout))
        yield port
    finally:
        await _stop(process)
        if drain is not None:
            await drain


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
