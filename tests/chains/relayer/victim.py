"""A relayer process that kills itself (SIGKILL) at a named step: python -m tests.chains.relayer.victim JOB.json.

The hooks are put around a real `Relayer` from outside; nothing in the product knows of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from eth_account import Account

from chains.relayer import Call, Finality, Journal, LocalSigner, Relayer, RelayerSettings, cancel
from chains.rpc import Endpoint
from chains.rpc.provider import web3_on

KILL_AT: Final = "COUNTERFOIL_TEST_KILL_AT"
STEPS: Final = {
    "before intent": ("intend", "before"),
    "after intent": ("intend", "after"),
    "before signing": ("sign", "before"),
    "signed, not committed": ("_write_attempt", "after"),
    "after signing": ("sign", "after"),
    "before sending": ("send", "before"),
    "after sending": ("send", "after"),
    "after broadcast": ("broadcast", "after"),
    "before included": ("included", "before"),
    "after included": ("included", "after"),
    "before final": ("settle", "before"),
    "after final": ("settle", "after"),
}
STUCK_STEPS: Final = {
    "replacement signed, not committed": ("_write_attempt", "second"),
    "replacement signed, not sent": ("replace", "after"),
    "replacement sent": ("send", "second"),
}
"""These need a chain that takes nothing into blocks."""
CANCEL_STEPS: Final = {
    "before the cancel is signed": ("replace", "before"),
    "cancel signed, not committed": ("_write_attempt", "after"),
    "cancel signed, not sent": ("replace", "after"),
    "before the cancel is sent": ("send", "before"),
    "cancel sent": ("send", "after"),
    "cancel sent, before it is noted": ("sent", "before"),
    "cancel in a block": ("included", "after"),
    "before the cancel is final": ("settle", "before"),
    "after the cancel is final": ("settle", "after"),
}
ABANDON_STEPS: Final = {
    "before it is abandoned": ("abandon", "before"),
    "after it is abandoned": ("abandon", "after"),
}
EXPIRY_STEPS: Final = {
    "expired, before it is given up": ("replace", "before"),
    "expired, signed, not committed": ("_write_attempt", "after"),
    "expired, signed, not sent": ("replace", "after"),
    "expired, given up, sent": ("send", "second"),
}
GAP_STEPS: Final = {
    "filler written down": ("intend", "second"),
    "before the filler is signed": ("sign", "before"),
    "filler signed, not sent": ("sign", "after"),
    "filler sent": ("broadcast", "gap"),
}
ALL_STEPS: Final = {
    **STEPS,
    **STUCK_STEPS,
    **CANCEL_STEPS,
    **ABANDON_STEPS,
    **EXPIRY_STEPS,
    **GAP_STEPS,
}


def die() -> None:
    """No cleaning up, no flushing."""
    os.kill(os.getpid(), signal.SIGKILL)


def around(function: Callable[..., Any], moment: str) -> Callable[..., Any]:
    """`function`, with death before it, after it, after its second call, or after one about a gap's filler."""
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        if moment == "before":
            die()
        calls += 1
        result = function(*args, **kwargs)
        if moment == "after" or (moment == "second" and calls == 2):
            die()
        if moment == "gap" and args[0].key.startswith("gap:"):
            die()
        return result

    return wrapped


def arm(relayer: Relayer, step: str) -> None:
    """Put the hook of `step` in place."""
    name, moment = ALL_STEPS[step]
    if name != "send":
        setattr(relayer.journal, name, around(getattr(relayer.journal, name), moment))
        return
    calls, send = 0, relayer.w3.eth.send_raw_transaction

    async def sending(raw: Any) -> Any:
        nonlocal calls
        calls += 1
        if moment == "before":
            die()
        result = await send(raw)
        if moment == "after" or calls == 2:
            die()
        return result

    relayer.w3.eth.send_raw_transaction = sending  # type: ignore[method-assign]


async def main(job: dict[str, Any]) -> None:
    """Relay one call, give it up, or go on with what is there, as a new process would."""
    endpoint = Endpoint(job["url"])
    settings = RelayerSettings(
        finality=Finality(confirmations=1),
        poll_s=0.02,
        timeout_s=20.0,
        rebroadcast_s=job.get("rebroadcast_s", 30.0),
        bump_s=job["bump_s"],
    )
    signer = LocalSigner(Account.from_key(os.environ["COUNTERFOIL_TEST_KEY"]))
    location = job["journal"]
    with Journal(location if "://" in location else Path(location)) as journal:
        relayer = Relayer(web3_on(endpoint), job["chain_id"], signer, journal, settings)
        if step := os.environ.get(KILL_AT):
            arm(relayer, step)
        match job.get("work", "relay"):
            case "cancel":
                await cancel(relayer, job["key"])
            case "resume":
                await relayer.resume()
            case _:
                call = Call(job["key"], job["to"], bytes.fromhex(job["data"]), "pledge")
                await relayer.relay(call, yes=True)
    await endpoint.close()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
