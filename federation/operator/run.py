"""The kopf operator: events of Cluster objects wake one daemon a Cluster; deletion runs `leave` before the finalizer goes.

It runs in a thread with an event loop of its own: kopf takes every task of its loop for its own and cancels them on exit.
"""

import asyncio
import logging
import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import aiohttp
import kopf

from federation.api.meta import CLUSTER_FINALIZER, GROUP, VERSION
from federation.api.naming import short_hash
from federation.hub.record import hub_identity
from federation.kube.client import Client
from federation.kube.credentials import Credentials
from federation.kube.errors import ApiError
from federation.kube.transport import AioTransport
from federation.operator.leave import leave
from federation.operator.lifecycle import RETRY, Lifecycle

log = logging.getLogger(__name__)

LEAVE_RETRY = 2.0
"""Seconds until the next try of a leave that an API server did not let through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """`renew_fraction`: the part of a token's life after which it is renewed."""

    renew_fraction: float = 0.5


def run_operator(*, credentials: Credentials, stop: threading.Event, settings: OperatorSettings) -> None:
    """Serve until `stop`; blocks the calling thread."""
    # It warns at each start that signals are not its business here: they are the process's.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    asyncio.run(_serve(credentials.for_other_loop(), stop, settings))


async def _serve(credentials: Credentials, stop: threading.Event, settings: OperatorSettings) -> None:
    hub = Client(AioTransport(credentials), name="hub")
    try:
        lifecycle = Lifecycle(hub, renew_fraction=settings.renew_fraction)
        registry = _registry(hub, lifecycle, credentials)
        await kopf.operator(registry=registry, settings=_settings(), clusterwide=True, stop_flag=stop, standalone=True)
    finally:
        await hub.close()


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.persistence.finalizer = CLUSTER_FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP, key="last-handled")
    settings.networking.error_backoffs = [0.2, 1, 2, 5]
    # Kopf would kill the whole process ten minutes after a stop that it finds too slow.
    settings.process.ultimate_exiting_timeout = None
    return settings


def _registry(hub: Client, lifecycle: Lifecycle, credentials: Credentials) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    woken: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        ssl = credentials.ssl_context if credentials.ssl_context is not None else True
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=ssl), headers=credentials.headers(), trust_env=False
        )
        return kopf.AiohttpSession(server=credentials.endpoint, aiohttp_session=session)

    seen: dict[str, object] = {}

    # Ids of their own: kopf makes annotation names of them. That of a nested function is no valid one; `leave` would be ours.
    @kopf.on.event(GROUP, VERSION, "clusters", id="wake", registry=registry)
    async def wake(name: str, body: kopf.Body, event: Any, **_: Any) -> None:
        """Heartbeats change a Cluster all the time; only what can change our answer is worth a look."""
        if event["type"] == "DELETED":
            woken.pop(name, None)
            seen.pop(name, None)
            return
        conditions = {one["type"]: one["status"] for one in body.get("status", {}).get("conditions") or ()}
        now = (body["metadata"].get("generation"), conditions, body["metadata"].get("deletionTimestamp"))
        if seen.get(name) != now:
            seen[name] = now
            woken[name].set()

    @kopf.daemon(
        GROUP, VERSION, "clusters", id="keep", registry=registry, cancellation_backoff=0.1, cancellation_timeout=5
    )
    async def keep(name: str, stopped: kopf.DaemonStopped, **_: Any) -> None:
        while not stopped:
            woken[name].clear()
            try:
                delay = await lifecycle.reconcile(name)
            except ApiError as error:
                log.info("cluster %s: %s", name, error)
                delay = RETRY
            if delay is None:
                break
            # Our own status write wakes us too; that look finds nothing to do and asks the hub for two objects.
            waiting = [asyncio.ensure_future(woken[name].wait()), asyncio.ensure_future(stopped.wait())]
            await asyncio.wait(waiting, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            for one in waiting:
                one.cancel()

    @kopf.on.delete(GROUP, VERSION, "clusters", id="depart", registry=registry)
    async def depart(name: str, **_: Any) -> None:
        """Tried again here, not by kopf: it would keep count in an annotation of the Cluster, one more write to lose."""
        while True:
            try:
                await leave(hub, name, hub_label=short_hash(await hub_identity(hub)))
            except ApiError as error:
                log.info("cluster %s does not leave yet: %s", name, error)
                await asyncio.sleep(LEAVE_RETRY)
            else:
                return

    return registry
