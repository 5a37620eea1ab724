"""Roles, wiring and signals of `federation hub`: one process, one event loop, one TaskGroup; kopf in a thread of its own.

Start: credentials, hub identity, whether it may be a hub, CRDs, caches, leases, controllers. Every replica reads
everything; what leads starts with the lead. Stop on SIGTERM: no new work, what is in flight ends or is cut off by a
deadline, leases are released, sessions close. A second signal ends the process at once. A crash of a task or a lost lease
ends the process: the supervisor restarts it, and a restart is a pure read.
"""

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import click

from federation.admission import Admission, url_problem, withdraw
from federation.health import HealthServer
from federation.hub.brake_window import Limits
from federation.hub.caches import HubCaches
from federation.hub.clusters.controller import Clusters
from federation.hub.collect.controller import Collect
from federation.hub.detect.controller import Detect
from federation.hub.eligible import NotAHub, check_hub
from federation.hub.execute.controller import Execute
from federation.hub.fleet import Connect, Fleet
from federation.hub.history import History
from federation.hub.install import CrdsMissing, install_crds
from federation.hub.kinds import Kinds
from federation.hub.ownership import Ownership
from federation.hub.rebalance.controller import Rebalances
from federation.hub.record import hub_identity
from federation.hub.schedule.controller import Schedule
from federation.hub.settings import Settings
from federation.hub.shards import Shards, shard_count
from federation.kube.client import Client
from federation.kube.credentials import Credentials, CredentialsError
from federation.kube.errors import ApiError
from federation.kube.fence import FencedTransport
from federation.kube.lease import HubWentBack, LeaseLost
from federation.kube.resource import NAMESPACES
from federation.kube.transport import AioTransport
from federation.logs import configure_logs, unhandled
from federation.operator import OperatorSettings, run_operator

log = logging.getLogger("federation")

OPERATOR_STOP = 5.0
"""Seconds that the operator gets to end what it is doing when the process stops."""
LEADING = ("detect", "schedule", "collect", "clusters", "operator")
"""Roles of the leader alone; they go together."""
ROLES = (*LEADING, "execute")
ENDING = 2.0
"""Seconds that a process without its lease has to end by itself: less than between the renew deadline and the end of it."""


@dataclass(slots=True, kw_only=True)
class HubProcess:
    """One hub process: `run()` until `stop` is set. Used by the command and by tests."""

    credentials: Credentials
    settings: Settings = field(default_factory=Settings)
    roles: frozenset[str] = frozenset(ROLES)
    bind: str = "127.0.0.1"
    port: int = 0
    renew_fraction: float = 0.5
    admission_url: str = ""
    """Where API servers reach the admission server; without it there is none."""
    admission_port: int = 0
    identity: str = "hub"
    connect: Connect = AioTransport
    on_lost: Callable[[], None] = lambda: None
    """Called when a lease is lost, before anything is ended."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Serve until `stop`; raises what a controller raised, and LeaseLost."""
        transport = self.connect(self.credentials)
        client = Client(transport, name="hub")
        try:
            async with HealthServer(port=self.port, is_ready=self.ready.is_set, host=self.bind) as health:
                log.info("serving /healthz /readyz /metrics on %s:%d", self.bind, health.port)
                await check_hub(client, (await client.get(NAMESPACES, "kube-system"))["metadata"]["uid"])
                await install_crds(client)
                ownership = Ownership(shards=await shard_count(client))
                # What is late on the hub proves what it replaces and fails; so no margin is asked for.
                fenced = FencedTransport(transport, held_for=ownership.certain_for, timeout=0)
                await self._serve(client, Client(fenced, name="hub"), ownership, await hub_identity(client))
        finally:
            await client.close()

    async def _serve(self, unfenced: Client, client: Client, ownership: Ownership, hub_id: str) -> None:
        caches = HubCaches(client, hub_id=hub_id)
        kinds = Kinds(caches, self.settings)
        fleet = Fleet(caches, self.settings, connect=self.connect, ownership=ownership)
        shards = Shards(
            unfenced, ownership, self.settings, identity=self.identity, leads=bool(self.roles & set(LEADING)),
            executes="execute" in self.roles, busy=fleet.busy,
        )  # fmt: skip
        clusters = Clusters(caches, fleet, self.settings)
        history = History(caches, fleet, revision=lambda: ownership.revision)
        leading = (
            Detect(caches, self.settings), Schedule(caches, fleet, self.settings), Collect(caches, self.settings),
            Rebalances(caches),
        )  # fmt: skip
        admission = self._admission(caches, fleet)
        operator_stop = threading.Event()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run()) for run in (caches.run, kinds.run, fleet.run, clusters.run)]
            await caches.synced()
            await history.check()  # before anything is written, and before any Lease is taken (decision 0005)
            tasks.append(group.create_task(self._hold(history.run), name="history"))
            if "execute" in self.roles:
                tasks.append(group.create_task(Execute(caches, fleet, self.settings, history).run(), name="execute"))
            if admission is not None:
                tasks.append(group.create_task(admission.serve(), name="admission"))
            _freeze()
            holding = group.create_task(self._hold(shards.run), name="leases")
            self.ready.set()
            log.info("ready: hub %s, identity %s, roles %s", hub_id, self.identity, ", ".join(sorted(self.roles)))
            operator: list[asyncio.Task[None]] = []
            if await self._leads(ownership):
                tasks += [group.create_task(one.run(), name=type(one).__name__.lower()) for one in leading]
                keep = admission.keep() if admission is not None else withdraw(client)
                tasks.append(group.create_task(keep, name="admission-keep"))
                if "operator" in self.roles:
                    operator = [group.create_task(self._operator(operator_stop), name="operator")]
                await self.stop.wait()
            log.info("stopping")
            operator_stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.wait([*tasks, *operator])
            holding.cancel()
            await asyncio.wait([holding])
            await shards.release()

    def _admission(self, caches: HubCaches, fleet: Fleet) -> Admission | None:
        if not self.admission_url:
            return None
        return Admission(
            caches, url=self.admission_url, host=self.bind, port=self.admission_port, limits=Limits.of(self.settings),
            managed=lambda: fleet.held,
        )  # fmt: skip

    async def _leads(self, ownership: Ownership) -> bool:
        """True once this process leads, False when it stops before that."""
        waiting = [asyncio.ensure_future(event.wait()) for event in (ownership.leading, self.stop)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
        return ownership.leads and not self.stop.is_set()

    async def _hold(self, run: Callable[[], Awaitable[None]]) -> None:
        """Hold the leases, and the place in the hub's history. Without them the process ends, before anybody takes over."""
        try:
            await run()
        except* (LeaseLost, HubWentBack) as errors:
            for error in errors.exceptions:
                log.warning("ending: %s", error)
            self.on_lost()
            raise

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


def default_identity() -> str:
    """The pod's name where there is one: a restarted container takes its leases back at once. Else a name of its own."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}-{secrets.token_hex(3)}"


def _freeze() -> None:
    """Take what start-up built out of the collector's sight: full collections over caches would pause the loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _end_soon() -> None:
    """End in time even if a task or a thread hangs."""
    watchdog = threading.Timer(ENDING, os._exit, (1,))
    watchdog.daemon = True
    watchdog.start()


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
    "--identity",
    help="Name among the replicas, of one process at a time; default: $POD_NAME, else host name and a random end.",
)
@click.option(
    "--port", default=8080, show_default=True, help="Port of /healthz, /readyz and /metrics (0: any free one)."
)
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address that they are served on.")
@click.option(
    "--admission-url",
    default="",
    help="https URL at which the hub's API server reaches this process; without it no admission.",
)
@click.option("--admission-port", default=9443, show_default=True, help="Port, on the same address, that it leads to.")
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
    "--ledger",
    default="",
    metavar="DIR",
    help="Keep every decision with its inputs here, for fedctl replay; up to 256 MiB.",
)
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
def hub(
    kubeconfig: str | None, context: str | None, roles: str, identity: str | None, port: int, bind: str,
    admission_url: str, admission_port: int, probe_seconds: float, failure_seconds: float, success_seconds: float,
    token_renew_fraction: float, brake_objects: int, brake_percent: float, brake_seconds: float, ledger: str, log_level: str,
) -> None:  # fmt: skip
    """Run the control plane against a hub API server until SIGTERM."""
    chosen = frozenset(part.strip() for part in roles.split(",") if part.strip())
    unknown = chosen - set(ROLES)
    if unknown:
        raise click.UsageError(f"--roles: unknown role {', '.join(sorted(unknown))}; known are {', '.join(ROLES)}")
    if chosen & set(LEADING) and not chosen >= set(LEADING):
        missing = ", ".join(role for role in LEADING if role not in chosen)
        raise click.UsageError(f"--roles: {', '.join(LEADING)} go together, one leader has them all; add {missing}")
    problem = url_problem(admission_url)
    if problem:
        raise click.UsageError(f"--admission-url: {problem}")
    configure_logs(log_level)
    settings = Settings(
        probe_period=probe_seconds, failure_threshold=failure_seconds, success_threshold=success_seconds,
        brake_objects=brake_objects, brake_percent=brake_percent, brake_seconds=brake_seconds,
        ledger=ledger,
    )  # fmt: skip
    try:
        credentials = _credentials(kubeconfig, context)
        process = HubProcess(
            credentials=credentials, settings=settings, roles=chosen, bind=bind, port=port,
            renew_fraction=token_renew_fraction, admission_url=admission_url, admission_port=admission_port,
            identity=identity or default_identity(), on_lost=_end_soon,
        )  # fmt: skip
        _new_loop_run(process)
    except (CredentialsError, CrdsMissing, NotAHub) as error:
        click.echo(f"federation hub: {error}", err=True)
        sys.exit(1)
    except ApiError as error:
        click.echo(f"federation hub: the hub API server does not answer as needed: {error}", err=True)
        sys.exit(1)
    except BaseExceptionGroup as group:
        if group.subgroup((LeaseLost, HubWentBack)) is None:
            raise
        sys.exit(1)  # as logged; the supervisor starts it again


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
