"""Operations about the service itself: info, probes, metrics, the document."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from aiohttp import web

from aggregator.model.errors import CounterfoilError
from aggregator.service.http.metrics import CONTENT_TYPE
from aggregator.service.http.operations import document_bytes
from aggregator.service.http.requests import JSON, json_answer
from aggregator.service.http.service import Service


async def get_info(service: Service, _request: web.Request) -> web.Response:
    """What this process is set up to do."""
    settings = service.settings
    return json_answer(
        {
            "name": "counterfoil",
            "version": version("counterfoil"),
            "networks": [{"name": n.name, "chain": n.chain} for n in service.networks],
            "features": {
                "accounts": True,
                "attestor": bool(settings.text("attestor", "key_file")),
                "relayer": bool(settings.text("relayer", "signer")),
                "proving": True,
                "scheduledSnapshots": settings.number("background", "snapshot_every_s") > 0,
                "priceTicks": settings.number("background", "price_every_s") > 0,
                "registryWatch": settings.number("background", "registry_every_s") > 0,
            },
            "keysRequired": not settings.flag("http", "without_keys"),
        }
    )


async def get_live(_service: Service, _request: web.Request) -> web.Response:
    """The process runs."""
    return json_answer({"ready": True, "checks": []})


async def get_ready(service: Service, _request: web.Request) -> web.Response:
    """The store can be used and no shutdown is under way."""
    checks = [
        {
            "name": "running",
            "passed": not service.stopping,
            "detail": "shutting down" if service.stopping else "running",
        }
    ]
    try:
        await service.store.read(lambda records: records.last_event())
        checks.append({"name": "store", "passed": True, "detail": service.store.dialect})
    except CounterfoilError:
        checks.append({"name": "store", "passed": False, "detail": "the store cannot be read"})
    broken = sorted(name for name, task in service.tasks.items() if _broke(task))
    checks.append(
        {
            "name": "tasks",
            "passed": not broken,
            "detail": f"{', '.join(broken)} broke; see the log" if broken else "all run",
        }
    )
    ready = all(check["passed"] for check in checks)
    return json_answer({"ready": ready, "checks": checks}, status=200 if ready else 503)


def _broke(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


async def get_metrics(service: Service, _request: web.Request) -> web.Response:
    """Prometheus text."""
    return web.Response(body=service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def get_openapi(_service: Service, _request: web.Request) -> web.Response:
    """The document."""
    return web.Response(body=document_bytes(), content_type=JSON)
