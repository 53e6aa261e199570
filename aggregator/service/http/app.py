"""Puts the service together: opens it, serves it, and ends it without losing anything."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp import web

from aggregator.model.errors import ConfigError
from aggregator.service.background import follow, offer_own_keys, routines_of
from aggregator.service.events import Broker
from aggregator.service.http import accounts, health, registry, streams, system, venues, work
from aggregator.service.http.edge import JsonLines, add_headers, edge, log
from aggregator.service.http.operations import BY_ROUTE, Handler, add_routes
from aggregator.service.http.problems import problem_of
from aggregator.service.http.service import SERVICE, Service
from aggregator.service.jobs import JobRunner
from aggregator.service.moving import read_replays
from aggregator.service.networks import chosen_networks
from aggregator.service.settings import ServiceSettings, check_settings
from aggregator.service.webhooks import Deliverer
from aggregator.service.works import works_of
from aggregator.store import Home
from aggregator.store.asynchronous import AsyncStore
from aggregator.web.static_files import add_pages

SHUTDOWN_S: Final = 10.0

HANDLERS: Final[Mapping[str, Handler]] = {
    "getInfo": system.get_info,
    "getLive": system.get_live,
    "getReady": system.get_ready,
    "getMetrics": system.get_metrics,
    "getOpenapi": system.get_openapi,
    "verifyBundle": venues.verify_bundle,
    "listVenues": venues.list_venues,
    "listVerificationKeys": venues.list_keys,
    "listPolicies": venues.list_policies,
    "getPolicy": venues.get_policy,
    "listAccounts": accounts.list_accounts,
    "createAccount": accounts.create_account,
    "getAccount": accounts.get_account,
    "listLinks": accounts.list_links,
    "createLink": accounts.create_link,
    "getLinkMessage": accounts.get_link_message,
    "createUnlink": accounts.create_unlink,
    "getUnlinkMessage": accounts.get_unlink_message,
    "getHealth": health.get_health,
    "whatIf": health.whatif,
    "makePlan": health.plan,
    "listStressReplays": health.list_replays,
    "stress": health.run_stress,
    "getLiquidation": health.get_liquidation,
    "getHistory": work.get_history,
    "getRegistryAccount": registry.get_registry_account,
    "listSnapshots": work.list_snapshots,
    "takeSnapshot": work.take_snapshot,
    "getSnapshot": work.get_snapshot,
    "verifySnapshot": work.verify_snapshot,
    "makeAttestationRequest": work.make_attestation_request,
    "listProofs": work.list_proofs,
    "makeProof": work.make_proof,
    "getBundle": work.get_bundle,
    "attest": work.attest,
    "listIntents": work.list_intents,
    "createIntent": work.create_intent,
    "getIntent": work.get_intent,
    "listJobs": work.list_jobs,
    "getJob": work.get_job,
    "streamEvents": streams.stream_events,
    "listWebhooks": streams.list_webhooks,
    "createWebhook": streams.create_webhook,
    "deleteWebhook": streams.delete_webhook,
}
"""What does each operation of openapi.json."""


def store_url(settings: ServiceSettings, home: Home, environment: Mapping[str, str]) -> tuple[str, str]:
    """The SQLAlchemy URL of the store, and how messages call it (never with a password). Raises ConfigError."""
    url, variable = settings.text("store", "url"), settings.text("store", "url_variable")
    if variable:
        url = environment.get(variable, "")
        if not url:
            raise ConfigError(f"the variable {variable} of store.url_variable is not set; set it")
    if not url:
        return f"sqlite+aiosqlite:///{home.database}", str(home.database)
    scheme, mark, rest = url.partition("://")
    if not mark or scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ConfigError("store.url is not a PostgreSQL URL; write postgresql://user@host/database")
    return f"postgresql+psycopg://{rest}", "of store.url"


@contextlib.asynccontextmanager
async def open_service(settings: ServiceSettings, home: Home) -> AsyncIterator[Service]:
    """A service with its store open; everything is closed at the end. Raises ConfigError and InputError."""
    check_settings(settings)
    home.prepare()
    url, where = store_url(settings, home, os.environ)
    networks = chosen_networks(settings.texts("data", "networks"))
    read_replays(settings.text("data", "stress"))
    store = await AsyncStore.open(url, where)
    threads = ThreadPoolExecutor(settings.number("workers", "threads"), thread_name_prefix="compute")
    try:
        yield Service(settings, home, store, Broker(store), networks, threads)
    finally:
        threads.shutdown(wait=True, cancel_futures=True)
        await store.close()


def make_app(service: Service) -> web.Application:
    """The application that serves `service`."""
    app = web.Application(
        middlewares=[edge], client_max_size=service.settings.number("http", "max_body_bytes")
    )
    app[SERVICE] = service
    app[BY_ROUTE] = {}
    add_routes(app, service, HANDLERS)
    add_pages(app)
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(_working)
    app.on_shutdown.append(_let_listeners_go)
    return app


async def _working(app: web.Application) -> AsyncIterator[None]:
    """Jobs, events, deliveries and routines, for as long as the application runs."""
    service = app[SERVICE]
    settings, metrics = service.settings, service.metrics
    runner = JobRunner(
        service.store,
        service.broker,
        works_of(service),
        problem_of,
        at_once=settings.number("workers", "jobs"),
        ended=lambda kind, state: metrics.jobs.labels(kind, state).inc(),
    )
    await service.broker.begin()
    await runner.resume()
    service.wake_jobs = runner.wake
    deliverer = Deliverer(
        service.store,
        most_attempts=settings.number("webhooks", "attempts"),
        loopback=settings.flag("webhooks", "allow_loopback"),
        tried=lambda result: metrics.deliveries.labels(result).inc(),
    )
    coroutines = {
        "events": service.broker.run(),
        "jobs": runner.run(),
        "webhooks": deliverer.run(),
        "keys": offer_own_keys(service),
        **{routine.name: follow(service, routine) for routine in routines_of(service)},
    }
    service.tasks = {name: asyncio.create_task(one, name=name) for name, one in coroutines.items()}
    for task in service.tasks.values():
        task.add_done_callback(_tell_of_a_death)
    yield
    for task in service.tasks.values():
        task.cancel()
    await asyncio.gather(*service.tasks.values(), return_exceptions=True)


def _tell_of_a_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a task broke", exc_info=error, extra={"fields": {"task": task.get_name()}})


async def _let_listeners_go(app: web.Application) -> None:
    app[SERVICE].stopping = True
    app[SERVICE].broker.end()


async def serve(settings: ServiceSettings, home: Home, ready: asyncio.Future[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is told the base URL.

    Raises ConfigError, InputError, and OSError when the address cannot be listened on.
    """
    async with open_service(settings, home) as service:
        runner = web.AppRunner(make_app(service), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            host = settings.text("http", "host")
            site = web.TCPSite(runner, host, settings.number("http", "port"))
            await site.start()
            base = f"http://{_bracketed(host)}:{runner.addresses[0][1]}"
            if ready is not None:
                ready.set_result(base)
            log.info("listening", extra={"fields": {"url": base}})
            await _until_told_to_end()
            service.stopping = True
            log.info("ending")
        finally:
            await runner.cleanup()


async def _until_told_to_end() -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    try:
        await told.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


LOGGERS: Final = (
    ("counterfoil", logging.INFO),
    ("chains", logging.WARNING),
    ("aiohttp", logging.WARNING),
    ("asyncio", logging.WARNING),
)
"""What is logged while the service runs, from which level on."""


@contextlib.contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Write the service's log as JSON lines; afterwards logging is as it was."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    loggers = [(logging.getLogger(name), level) for name, level in LOGGERS]
    before = [(one, one.handlers[:], one.level, one.propagate) for one, _ in loggers]
    for logger, level in loggers:
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, handlers, level, propagate in before:
            logger.handlers[:] = handlers
            logger.setLevel(level)
            logger.propagate = propagate
