"""The whole federation in this process: the controllers as `federation hub` wires them, a sandbox hub, sandbox members.

The members' workloads settle by themselves a few milliseconds after each change; `works` says which pods become ready.
Only kopf is left out: a Cluster is written as the life-cycle operator leaves it, joined. `leave` marks it as going.
"""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from federation.api.lines import parse_line
from federation.api.meta import CLUSTER_FINALIZER, LEAVE_ANNOTATION, SYSTEM_NAMESPACE, Manifest
from federation.api.naming import binding_name
from federation.hub.caches import HubCaches
from federation.hub.clusters.controller import Clusters
from federation.hub.collect.controller import Collect
from federation.hub.detect.controller import Detect
from federation.hub.execute.controller import Execute
from federation.hub.fleet import Fleet
from federation.hub.history import History
from federation.hub.install import install_crds
from federation.hub.kinds import Kinds
from federation.hub.rebalance.controller import Rebalances
from federation.hub.record import hub_identity
from federation.hub.schedule.controller import Schedule
from federation.hub.settings import Settings
from federation.kube.client import Client
from federation.kube.credentials import Credentials
from federation.kube.errors import AlreadyExists, NotFound
from federation.kube.resource import (
    CLUSTER_OVERRIDE_POLICIES,
    CLUSTER_PROPAGATION_POLICIES,
    CLUSTERS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    OVERRIDE_POLICIES,
    PODS,
    PROPAGATION_POLICIES,
    RESOURCE_BINDINGS,
    SECRETS,
    Resource,
)
from federation.kube.transport import Transport
from federation.sandbox import ApiServer, Member
from tests.e2e.manifests import API

JOBS = Resource("batch", "v1", "jobs", "Job", namespaced=True)
RESOURCES: dict[str, Resource] = {
    "Deployment": DEPLOYMENTS, "ConfigMap": CONFIG_MAPS, "Pod": PODS, "PropagationPolicy": PROPAGATION_POLICIES, "Namespace": NAMESPACES,
    "Job": JOBS, "ClusterPropagationPolicy": CLUSTER_PROPAGATION_POLICIES, "OverridePolicy": OVERRIDE_POLICIES,
    "ClusterOverridePolicy": CLUSTER_OVERRIDE_POLICIES,
}  # fmt: skip
PLACE = "shop"
"""The namespace of the tests; it exists on the hub."""


async def eventually(test: Callable[[], Any], *, within: float = 5.0) -> Any:
    """The first truthy answer of `test`."""
    end = time.monotonic() + within
    while not (answer := test()):
        assert time.monotonic() < end, f"not within {within} s; last answer: {answer!r}"
        await asyncio.sleep(0.005)
    return answer


async def always(test: Callable[[], Any], *, seconds: float) -> None:
    """`test` stays truthy for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert test()
        await asyncio.sleep(0.005)


class Federation:
    """A hub, its members and the controllers; `start` and `stop` (or `kill`) the latter as often as needed."""

    def __init__(self, members: int = 3, *, settings: Settings | None = None) -> None:
        self.settings = settings or Settings(
            probe_period=0.05, failure_threshold=0.2, success_threshold=0.05, window_first=0.02, window_last=0.1,
            brake_objects=10_000,
        )  # fmt: skip
        self.hub = ApiServer("hub")
        self.members = {f"member{number}": Member(f"member{number}") for number in range(1, members + 1)}
        for name, member in self.members.items():
            member.add_node(f"{name}-node", cpu="64", memory="256Gi")
        self.works: Callable[[str, Manifest], bool] = lambda _cluster, _workload: True
        """(cluster, workload) -> whether its pods become ready."""
        self.client = self.hub.client(field_manager="user")
        self.patience = 0.3
        """Seconds that a start waits for members that do not answer."""
        self._running: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """CRDs, namespaces, and every member joined."""
        await install_crds(self.hub.client())
        for name in (SYSTEM_NAMESPACE, PLACE):
            await self.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for name in self.members:
            await self.join(name)

    async def join(self, name: str, **spec: Any) -> None:
        """A Cluster and its Secret as `fedctl join` and the operator leave them."""
        token = base64.b64encode(b"token").decode()
        metadata = {"name": f"cluster-{name}", "namespace": SYSTEM_NAMESPACE}
        await self.client.apply(
            SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"token": token}}
        )
        reference = {"namespace": SYSTEM_NAMESPACE, "name": f"cluster-{name}"}
        created = await self.client.create(CLUSTERS, {
            "apiVersion": API, "kind": "Cluster",
            "metadata": {"name": name, "labels": {"name": name}, "finalizers": [CLUSTER_FINALIZER]},
            "spec": {"syncMode": "Push", "apiEndpoint": f"http://{name}.test", "secretRef": reference, **spec},
        })  # fmt: skip
        joined = {"type": "Joined", "status": "True", "reason": "Joined", "message": ""}
        await self.client.merge_patch(
            CLUSTERS, created["metadata"]["name"], None, {"status": {"conditions": [joined]}}, subresource="status"
        )

    async def leave(self, name: str, mode: str = "remove") -> None:
        """Delete a Cluster as `fedctl leave` does; it stays, terminating, until `gone`."""
        await self.client.merge_patch(CLUSTERS, name, None, {"metadata": {"annotations": {LEAVE_ANNOTATION: mode}}})
        await self.client.delete(CLUSTERS, name)

    async def gone(self, name: str) -> None:
        """Take the operator's finalizer off a leaving Cluster."""
        await self.client.merge_patch(CLUSTERS, name, None, {"metadata": {"finalizers": None}})

    async def start(self) -> None:
        """Start the controllers; returns once they are ready."""
        ready = asyncio.Event()
        self._running = asyncio.create_task(self._serve(ready))
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle())
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({waiting, self._running}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.is_set():
            waiting.cancel()
            await self._running

    @property
    def running(self) -> bool:
        """Whether the controllers run."""
        return self._running is not None and not self._running.done()

    async def kill(self) -> None:
        """End the controllers at once, wherever they are."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    async def close(self) -> None:
        """End everything."""
        await self.kill()
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)

    def connect(self, credentials: Credentials) -> Transport:
        """The transport to the member behind an endpoint."""
        return self.members[credentials.endpoint.removeprefix("http://").removesuffix(".test")].transport()

    async def _serve(self, ready: asyncio.Event) -> None:
        client = Client(self.hub.transport(), name="hub")
        caches = HubCaches(client, hub_id=await hub_identity(client))
        kinds = Kinds(caches, self.settings)
        fleet = Fleet(caches, self.settings, connect=self.connect)
        history = History(caches, fleet, patience=self.patience, period=0.05)
        runs = [
            history.run, Detect(caches, self.settings).run, Schedule(caches, fleet, self.settings).run, Rebalances(caches).run,
            Execute(caches, fleet, self.settings, history).run, Collect(caches, self.settings).run,
            Clusters(caches, fleet, self.settings).run,
        ]  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for run in (caches.run, kinds.run, fleet.run):
                group.create_task(run())
            await caches.synced()
            await history.check()
            for run in runs:
                group.create_task(run())
            ready.set()

    async def _settle(self) -> None:
        while True:
            for name, member in self.members.items():
                member.settle(works=lambda workload, name=name: self.works(name, workload))
            await asyncio.sleep(0.005)

    async def quiet(self, *, seconds: float = 0.5, within: float = 20.0) -> None:
        """Return once nothing but reads, Leases and the status of clusters went to the hub for a while."""
        end, since, seen = time.monotonic() + within, time.monotonic(), self._writes()
        while time.monotonic() - since < seconds:
            assert time.monotonic() < end, self.hub.requests[-20:]
            await asyncio.sleep(0.02)
            if self._writes() != seen:
                since, seen = time.monotonic(), self._writes()

    def _writes(self) -> int:
        apart = ("/leases/", "/clusters/")
        return sum(one.method != "GET" and not any(word in one.path for word in apart) for one in self.hub.requests)

    async def apply(self, *manifests: Manifest) -> None:
        """Create or update objects on the hub, as a user."""
        for manifest in manifests:
            resource = RESOURCES[manifest["kind"]]
            try:
                await self.client.create(resource, manifest)
            except AlreadyExists:
                await self.client.apply(resource, manifest)

    async def scale(self, name: str, replicas: int) -> None:
        """Scale a Deployment."""
        await self.client.merge_patch(DEPLOYMENTS, name, PLACE, {"spec": {"replicas": replicas}})

    async def delete(self, kind: str, name: str, propagation: str = "Background") -> None:
        """Delete an object of the hub, if it is there."""
        resource = RESOURCES[kind]
        try:
            await self.client.delete(resource, name, PLACE if resource.namespaced else None, propagation=propagation)
        except NotFound:
            return

    def copy(self, cluster: str, kind: str, name: str) -> Manifest | None:
        """An object in a member."""
        api_version = RESOURCES[kind].api_version
        found = self.members[cluster].server.objects(api_version, kind, PLACE)
        return next((one for one in found if one["metadata"]["name"] == name), None)

    def replicas(self, name: str) -> dict[str, int]:
        """spec.replicas of a Deployment in every member that has it."""
        found = {cluster: self.copy(cluster, "Deployment", name) for cluster in self.members}
        return {cluster: one["spec"]["replicas"] for cluster, one in found.items() if one is not None}

    def binding(self, kind: str, name: str) -> Manifest | None:
        """The binding of a template."""
        key = binding_name(RESOURCES[kind].group, kind, PLACE, name)
        found = self.hub.objects(RESOURCE_BINDINGS.api_version, "ResourceBinding", PLACE)
        return next((one for one in found if one["metadata"]["name"] == key), None)

    def claimed_by(self, kind: str, name: str) -> str:
        """Name of the policy that claims a template; empty for none."""
        return (((self.binding(kind, name) or {}).get("spec") or {}).get("policy") or {}).get("name", "")

    def policy_status(self, kind: str, name: str) -> Manifest:
        """The status of a policy; empty before there is one, or while it is that of an older generation."""
        resource = RESOURCES[kind]
        found = self.hub.objects(resource.api_version, kind, PLACE if resource.namespaced else "")
        policy = next((one for one in found if one["metadata"]["name"] == name), {"metadata": {}})
        status = policy.get("status") or {}
        return status if status.get("observedGeneration") == policy["metadata"].get("generation") else {}

    def member_writes(self) -> list[str]:
        """What we wrote to members, namespaces apart."""
        return [
            f"{name} {one.method} {one.path}"
            for name, member in self.members.items() for one in member.server.requests
            if one.method != "GET" and "/namespaces/" in one.path
        ]  # fmt: skip

    def decision(self, kind: str, name: str) -> Manifest:
        """The decision in force; empty before there is one."""
        return ((self.binding(kind, name) or {}).get("status") or {}).get("decision") or {}

    def condition(self, kind: str, name: str, which: str) -> Manifest:
        """A condition of the binding; empty before there is one."""
        conditions = ((self.binding(kind, name) or {}).get("status") or {}).get("conditions") or []
        return next((one for one in conditions if one["type"] == which), {})

    def lines(self, kind: str, name: str) -> dict[str, dict[str, str]]:
        """The members' lines, parsed."""
        members = ((self.binding(kind, name) or {}).get("status") or {}).get("members") or {}
        return {cluster: parse_line(text) for cluster, text in members.items()}

    def settled(self, kind: str, name: str) -> bool:
        """Whether the binding is Ready and no move is open."""
        return self.condition(kind, name, "Ready").get("status") == "True" and not self.decision(kind, name).get(
            "moves"
        )


@asynccontextmanager
async def federation(members: int = 3, *, settings: Settings | None = None) -> AsyncIterator[Federation]:
    """A running federation."""
    found = Federation(members, settings=settings)
    await found.prepare()
    await found.start()
    try:
        yield found
    finally:
        await found.close()
