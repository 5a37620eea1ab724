"""The lab with a proxy in front of every API server: one set of clusters and one set of proxies for a whole run.

Our process knows the hub, and each member, by its proxy's address only; the test, kubectl and the observer go past the
proxies. Proxies, observer and direct clients share one event loop in a thread; the test's own thread starts and ends
processes and waits. Nothing of the journal or the observed state is touched but in that loop (`look`).
"""

import asyncio
import base64
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from federation.kube.client import Client
from federation.kube.credentials import Credentials
from federation.kube.errors import NotFound
from federation.kube.resource import (
    CLUSTERS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    PROPAGATION_POLICIES,
    RESOURCE_BINDINGS,
    Resource,
)
from federation.kube.transport import AioTransport
from hack.lab.pki import Authority
from tests.e2e.lab import Lab
from tests.faults.journal import Entry, Journal, Manifest, Observer, State, line_of
from tests.faults.proxy import Proxy
from tests.faults.rules import Rules

Result = TypeVar("Result")
US = "federation-hub"
"""The service account of our process, on the hub and in the members."""
KINDS = {
    one.kind: one for one in (CLUSTERS, CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, PODS, PROPAGATION_POLICIES, RESOURCE_BINDINGS)
}  # fmt: skip
ON_HUB = (DEPLOYMENTS, CONFIG_MAPS, RESOURCE_BINDINGS, CLUSTERS)
IN_MEMBER = (DEPLOYMENTS, CONFIG_MAPS, NAMESPACES, PODS)
STEP = 0.02
"""Seconds between two looks of a wait; a look costs no request."""


def is_ready(state: State, member: str) -> bool:
    """Whether a Cluster is Ready."""
    cluster = state.get("hub", "clusters", "", member)
    conditions = ((cluster or {}).get("status") or {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


class NotQuiet(AssertionError):
    """What a run waits for did not come in time."""


class Rig:
    """Clusters, proxies, observer, journal, and our process behind the proxies."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.process = lab.process
        self.rules = Rules()
        self.journal = Journal()
        self.observer = Observer(self.journal)
        self.proxies: dict[str, Proxy] = {}
        self.clients: dict[str, Client] = {}
        self.identity = f"faults-{os.getpid()}"
        self._directory = directory
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rig", daemon=True)
        self._watching: list[asyncio.Task[None]] = []
        self._faults: list[asyncio.Task[None]] = []
        self._runs = 0
        self._killed = False

    def up(self, *, members: int = 3) -> None:
        """Start proxies and our process, join the members through their proxies, watch everything directly."""
        self._thread.start()
        self.call(self._open())
        self.process.prepare()
        self._through_proxy(self.process.kubeconfig, "hub", json.loads(self.process.kubeconfig.read_text())["users"][0])
        self.start()
        self.call(self._watch())
        names = [f"member{number}" for number in range(1, members + 1)]
        for name in names:
            self.join(name)
        self.until(lambda state: all(is_ready(state, name) for name in names), "all members ready")

    def down(self) -> None:
        """End our process and everything of ours in this one. Raises what ended a watch of the observer."""
        if self.process.running:
            self.process.kill()
        self.call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, Result], *, timeout: float = 60) -> Result:
        """Run something in the loop of the rig."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def look(self, read: Callable[[State], Result]) -> Result:
        """Read the observed state (or anything of the loop's) without a race."""

        async def reading() -> Result:
            return read(self.observer.state)

        return self.call(reading())

    async def _open(self) -> None:
        pki = Authority(self._directory / "pki")
        pki.issue("proxy", user="proxy", hosts=("127.0.0.1", "localhost"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki.directory / "proxy.crt", pki.directory / "proxy.key")
        for name, (client, endpoint, trust) in (await self._servers()).items():
            self.clients[name] = client
            self.proxies[name] = Proxy(
                server=name, upstream=endpoint, rules=self.rules, journal=self.journal, listen_ssl=context,
                upstream_ssl=trust,
            )  # fmt: skip
            await self.proxies[name].start()

    async def _servers(self) -> dict[str, tuple[Client, str, ssl.SSLContext | None]]:
        """A direct client, the address, and what to trust there, of every API server."""
        found: dict[str, tuple[Client, str, ssl.SSLContext | None]] = {}
        for name, cluster in {"hub": self.lab.hub, **self.lab.members}.items():
            credentials = Credentials.from_kubeconfig(str(cluster.kubeconfig))
            client = Client(AioTransport(credentials), name=name, field_manager="test")
            # Not the administrator's context: a client certificate would win over the token that passes through.
            trust = ssl.create_default_context(cadata=(credentials.ca_pem or b"").decode())
            found[name] = client, credentials.endpoint, trust
        return found

    async def _watch(self) -> None:
        for name, client in self.clients.items():
            self._watching += self.observer.watch(client, ON_HUB if name == "hub" else IN_MEMBER)
        await self.observer.synced()

    async def _close(self) -> None:
        for task in self._watching:
            task.cancel()
        ended = await asyncio.gather(*self._watching, return_exceptions=True)
        for proxy in self.proxies.values():
            await proxy.stop()
        for client in self.clients.values():
            await client.close()
        await asyncio.sleep(0.1)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    def _through_proxy(self, file: Path, server: str, user: Manifest) -> Path:
        """A kubeconfig that leads to a proxy."""
        cluster = {"server": self.proxies[server].url, "certificate-authority-data": self._ca()}
        file.touch(mode=0o600)
        file.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": server,
            "contexts": [{"name": server, "context": {"cluster": server, "user": user["name"]}}],
            "clusters": [{"name": server, "cluster": cluster}], "users": [user],
        }))  # fmt: skip
        return file

    def administrator(self, member: str) -> Path:
        """A kubeconfig with all rights in a member, through its proxy: with a token, as certificates end at the proxy."""
        file = self._directory / f"{member}.admin"
        if not file.exists():
            cluster = self.lab.members[member]
            cluster.apply(
                {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "faults-admin", "namespace": "kube-system"}},
                {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "faults-admin"},
                 "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                 "subjects": [{"kind": "ServiceAccount", "name": "faults-admin", "namespace": "kube-system"}]},
            )  # fmt: skip
            token = cluster.run("create", "token", "faults-admin", "-n", "kube-system", "--duration=24h").strip()
            self._through_proxy(file, member, {"name": "admin", "user": {"token": token}})
        return file

    def set_member(self, member: str, *, present: bool) -> None:
        """Make a member join or leave before a run begins, without faults."""
        if present:
            self.join(member)
        elif self.find("hub", "clusters", "", member) is not None:
            self.delete(CLUSTERS, member)
        self.until(
            lambda state: (state.get("hub", "clusters", "", member) is not None) == present,
            f"{member} there: {present}",
        )

    def joining(self, member: str) -> subprocess.Popen[bytes]:
        """`fedctl join` of a member, begun."""
        command = [
            str(Path(sys.executable).parent / "fedctl"), "join", member, "--kubeconfig", str(self.administrator(member)),
            "--wait=60",
        ]  # fmt: skip
        environment = {**os.environ, "KUBECONFIG": str(self.lab.hub.kubeconfig)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def join(self, member: str) -> None:
        """Join a member; one that joined in an earlier session gets the address of this one's proxy."""
        cluster = self.find("hub", "clusters", "", member)
        if cluster is None:
            assert self.joining(member).wait(timeout=90) == 0, f"{member} did not join"
        elif cluster["spec"]["apiEndpoint"] != self.proxies[member].url:
            spec = {"apiEndpoint": self.proxies[member].url, "caBundle": self._ca()}
            self.patch(CLUSTERS, member, None, {"spec": spec})

    def _ca(self) -> str:
        return base64.b64encode((self._directory / "pki" / "ca.crt").read_bytes()).decode()

    def start(self) -> None:
        """Start our process; what an earlier one knew is not known any more."""
        self.note("started")
        self._killed = False
        self.process.start()

    async def kill(self) -> None:
        """SIGKILL for our process, at once; called in the loop, by a fault."""
        self._killed = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)

    def note(self, text: str, server: str = "") -> None:
        """A remark in the journal."""
        self.look(lambda _: self.journal.note(text, server))

    def entries(self) -> list[Entry]:
        """The journal so far."""
        return self.look(lambda _: list(self.journal.entries))

    def begin(self) -> str:
        """A new journal and a namespace of the run's own on the hub; its name."""
        self._runs += 1
        place = f"f-{os.getpid()}-{self._runs}"

        def forget(state: State) -> None:
            self.journal.entries.clear()
            for name in self.proxies:
                for resource in ("deployments", "configmaps"):
                    self.journal.tell(name, resource, "LISTED", None)
            for key, cluster in state.every("clusters", "hub"):
                self.journal.seen(key[0], key[1], "ADDED", cluster)
                self.journal.tell("hub", "clusters", "ADDED", cluster)

        self.look(forget)
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}})
        return place

    def until(self, test: Callable[[State], object], what: str, *, within: float = 40.0, every: float = STEP) -> None:
        """Wait for a state; a process that a fault killed is started again meanwhile. Raises NotQuiet."""
        deadline = time.monotonic() + within
        while not self.look(test):
            if not self.process.running:
                if not self._killed:
                    raise NotQuiet(f"our process ended by itself: {self.process.log.read_text()[-2000:]}")
                self.start()
            if time.monotonic() > deadline:
                last = "\n".join(f"      {line_of(entry)}" for entry in self.entries()[-12:])
                raise NotQuiet(f"not within {within:.0f} s: {what}\n{last}")
            time.sleep(every)

    def find(self, server: str, resource: str, namespace: str, name: str) -> Manifest | None:
        """One object as observed."""
        return self.look(lambda state: state.get(server, resource, namespace, name))

    def apply(self, *manifests: Manifest, server: str = "hub") -> None:
        """Server-side apply past the proxies."""
        for manifest in manifests:
            self.call(self.clients[server].apply(KINDS[manifest["kind"]], manifest))

    def patch(
        self, resource: Resource, name: str, namespace: str | None, patch: Manifest, *, server: str = "hub"
    ) -> None:
        """Merge patch past the proxies."""
        self.call(self.clients[server].merge_patch(resource, name, namespace, patch))

    def delete(self, resource: Resource, name: str, namespace: str | None = None, *, server: str = "hub") -> None:
        """Delete past the proxies; what is gone already is fine."""
        with contextlib.suppress(NotFound):
            self.call(self.clients[server].delete(resource, name, namespace))

    @contextmanager
    def pods_stand_still(self, *members: str) -> Iterator[None]:
        """New pods there stay Pending and old ones Ready: what runs the pods is stopped meanwhile."""
        nodes = [self.lab.clusters.cluster(member).processes["kwok"] for member in members]
        try:
            for process in nodes:
                process.signal(signal.SIGSTOP)
            yield
        finally:
            for process in nodes:
                process.signal(signal.SIGCONT)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a part of a fault beside everything else; called in the loop."""
        self._faults.append(asyncio.create_task(work))

    @contextmanager
    def faults(self) -> Iterator[Rules]:
        """Rules that are in force meanwhile."""
        try:
            yield self.rules
        finally:
            self.faults_over()

    def faults_over(self) -> None:
        """Return once every fault has ended by itself; then no rule is in force any more."""

        async def over() -> None:
            await asyncio.gather(*self._faults)
            self._faults.clear()
            self.rules.clear()

        self.call(over())
