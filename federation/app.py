"""Roles, wiring and signals of `federation hub`: one process, one event loop, one TaskGroup; kopf in a thread of its own.

Start: credentials, hub identity, whether it may be a hub, CRDs, caches, controllers. Stop on SIGTERM: no new work, what
is in flight ends or is cut off by a deadline, sessions close. A second signal ends the process at once. A crash of a task
ends the process: the supervisor restarts it, and a restart is a pure read.
"""

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import click

from federation.health import HealthServer
from federation.hub.caches import HubCaches
from federation.hub.clusters.controller import Clusters
from federation.hub.collect.controller import Collect
from federation.hub.detect.controller import Detect
from federation.hub.eligible import NotAHub, check_hub
from federation.hub.execute.controller import Execute
from federation.hub.fleet import Fleet
from federation.hub.install import CrdsMissing, install_crds
from federation.hub.kinds import Kinds
from federation.hub.schedule.controller import Schedule
from federation.hub.settings import Settings
from federation.kube.client import Client
from federation.kube.credentials import Credentials, CredentialsError
from federation.kube.errors import ApiError
from federation.kube.resource import NAMESPACES
from federation.kube.transport import AioTransport
from federation.logs import configure_logs, unhandled
from federation.operator import OperatorSettings, run_operator

log = logging.getLogger("federation")

OPERATOR_STOP = 5.0
"""Seconds that the operator gets to end what it is doing when the process stops."""
ROLES = ("detect", "schedule", "execute", "collect", "clusters", "operator")


@dataclass(slots=True, kw_only=True)
class HubProcess:
    """One hub process: `run()` until `stop` is set. Used by the command and by tests."""

    credentials: Credentials
    settings: Settings = field(default_factory=Settings)
    roles: frozenset[str] = frozenset(ROLES)
    port: int = 0
    renew_fraction: float = 0.5
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Serve until `stop`; raises what a controller raised."""
        client = Client(AioTransport(self.credentials), name="hub")
        try:
            async with HealthServer(port=self.port, is_ready=self.ready.is_set) as health:
                log.info("serving /healthz /readyz /metrics on 127.0.0.1:%d", health.port)
                hub_id = (await client.get(NAMESPACES, "kube-system"))["metadata"]["uid"]
                await check_hub(client, hub_id)
                await install_crds(client)
                await self._serve(client, hub_id)
        finally:
            await client.close()

    async def _serve(self, client: Client, hub_id: str) -> None:
        caches = HubCaches(client, hub_id=hub_id)
        kinds = Kinds(caches, self.settings)
        fleet = Fleet(caches, self.settings)
        controllers: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "detect": Detect(caches, self.settings).run,
            "schedule": Schedule(caches, fleet, self.settings).run,
            "execute": Execute(caches, fleet, self.settings).run,
            "collect": Collect(caches, self.settings).run,
            "clusters": Clusters(caches, fleet, self.settings).run,
        }
        operator_stop = threading.Event()
        async with asyncio.TaskGroup() as group:
            shared = {"caches": caches.run, "kinds": kinds.run, "fleet": fleet.run}
            tasks = [group.create_task(run(), name=name) for name, run in shared.items()]
            tasks += [group.create_task(run(), name=role) for role, run in controllers.items() if role in self.roles]
            if "operator" in self.roles:
                tasks.append(group.create_task(self._operator(operator_stop), name="operator"))
            await caches.synced()
            _freeze()
            self.ready.set()
            log.info("ready: hub %s, roles %s", hub_id, ", ".join(sorted(self.roles)))
            await self.stop.wait()
            log.info("stopping")
            operator_stop.set()
            for task in tasks:
                if task.get_name() != "operator":
                    task.cancel()

    async def _operator(self, stop: threading.Event) -> None:
        """Kopf runs in a thread with a loop of its own (it cancels every task of the loop that it ends in).

        A daemon thread: a `leave` that waits for a member must not hold up the stop; the next start takes it up again.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        settings = OperatorSettings(renew_fraction=self.renew_fraction)

        def end(error: Exception | None) -> None:
            if not ended.done():
                ended.set_exception(error) if error is not None else ended.set_result(None)

        def serve() -> None:
            failure: Exception | None = None
            try:
                run_operator(credentials=self.credentials, stop=stop, settings=settings)
            except Exception as error:  # noqa: BLE001 - whatever ended the thread ends the process
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(end, failure)

        threading.Thread(target=serve, name="operator", daemon=True).start()
        stopping = asyncio.ensure_future(self.stop.wait())
        either: tuple[asyncio.Future[Any], ...] = (ended, stopping)
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not stop.is_set() and not self.stop.is_set():
            await ended
            raise RuntimeError("the cluster life-cycle operator ended by itself")
        stop.set()
        await asyncio.wait({ended}, timeout=OPERATOR_STOP)
        if not ended.done():
            log.info("the operator is still at work; the next start goes on with it")


def _freeze() -> None:
    """Take what start-up built out of the collector's sight: full collections over caches would pause the loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _run(process: HubProcess) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(unhandled)

    def on_signal() -> None:
        if process.stop.is_set():
            os._exit(1)
        process.stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    # Where a process that does not answer stands: kill -USR1 prints the stacks of all threads.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    running = asyncio.ensure_future(process.run())
    stopping = asyncio.ensure_future(process.stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stopping.done() and not running.done():
        # Start-up may be waiting for an API server that does not answer.
        await asyncio.wait({running}, timeout=10)
        running.cancel()
    stopping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


@click.group()
def main() -> None:
    """Federation control plane processes."""


@main.command()
@click.option(
    "--kubeconfig",
    type=click.Path(dir_okay=False),
    help="Hub kubeconfig; default: in-cluster credentials, else as kubectl.",
)
@click.option("--context", help="Context of the kubeconfig.")
@click.option("--roles", default=",".join(ROLES), show_default=True, help="Roles to run, separated by commas.")
@click.option(
    "--port", default=8080, show_default=True, help="Port of /healthz, /readyz and /metrics (0: any free one)."
)
@click.option("--probe-seconds", default=10.0, show_default=True, help="Seconds between two health probes of a member.")
@click.option(
    "--failure-seconds", default=30.0, show_default=True, help="A member fails this long before it is not ready."
)
@click.option(
    "--success-seconds", default=10.0, show_default=True, help="A member answers this long before it is ready again."
)
@click.option(
    "--token-renew-fraction", default=0.5, show_default=True, help="Renew member tokens at this part of their life."
)
@click.option("--brake-objects", default=5, show_default=True, help="Deletes and shrinks a window may always hold.")
@click.option(
    "--brake-percent", default=10.0, show_default=True, help="Or this part of all copies, where that is more."
)
@click.option("--brake-seconds", default=60.0, show_default=True, help="Length of that window.")
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
def hub(
    kubeconfig: str | None, context: str | None, roles: str, port: int, probe_seconds: float, failure_seconds: float,
    success_seconds: float, token_renew_fraction: float, brake_objects: int, brake_percent: float, brake_seconds: float,
    log_level: str,
) -> None:  # fmt: skip
    """Run the control plane against a hub API server until SIGTERM."""
    configure_logs(log_level)
    chosen = frozenset(part.strip() for part in roles.split(",") if part.strip())
    unknown = chosen - set(ROLES)
    if unknown:
        raise click.UsageError(f"--roles: unknown role {', '.join(sorted(unknown))}; known are {', '.join(ROLES)}")
    settings = Settings(
        probe_period=probe_seconds, failure_threshold=failure_seconds, success_threshold=success_seconds,
        brake_objects=brake_objects, brake_percent=brake_percent, brake_seconds=brake_seconds,
    )  # fmt: skip
    try:
        credentials = _credentials(kubeconfig, context)
        process = HubProcess(
            credentials=credentials, settings=settings, roles=chosen, port=port, renew_fraction=token_renew_fraction
        )
        _new_loop_run(process)
    except (CredentialsError, CrdsMissing, NotAHub) as error:
        click.echo(f"federation hub: {error}", err=True)
        sys.exit(1)
    except ApiError as error:
        click.echo(f"federation hub: the hub API server does not answer as needed: {error}", err=True)
        sys.exit(1)


def _credentials(kubeconfig: str | None, context: str | None) -> Credentials:
    if kubeconfig is None and context is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return Credentials.in_cluster()
    return Credentials.from_kubeconfig(kubeconfig, context)


def _new_loop_run(process: HubProcess) -> None:
    try:
        import uvloop  # noqa: PLC0415 - optional: absent on Windows
    except ImportError:
        asyncio.run(_run(process))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(process))


if __name__ == "__main__":
    main()
