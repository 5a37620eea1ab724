"""Connections to the members: one client and one set of watches a cluster, following the Cluster objects and Secrets.

A member is connected while its Cluster is joined (condition `Joined`, written by the life-cycle operator). What cannot
be read is unknown, never empty: callers ask `Member.knows(...)` before they conclude anything from an absence (I14).
"""

import asyncio
import base64
import gc
import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from federation.api.meta import BINDING_LABEL, HUB_LABEL, SYSTEM_NAMESPACE, Manifest
from federation.api.naming import short_hash
from federation.hub.caches import HubCaches
from federation.hub.ownership import Ownership
from federation.hub.settings import Settings
from federation.hub.views import is_connectable
from federation.kube.client import Client
from federation.kube.credentials import Credentials, CredentialsError, token_of
from federation.kube.discovery import Discovery
from federation.kube.errors import ApiError, Forbidden
from federation.kube.fence import FencedTransport
from federation.kube.metrics import forget_cluster
from federation.kube.resource import CRDS, NODES, PODS, Resource
from federation.kube.store import Cached, Change, Store
from federation.kube.transport import AioTransport, Transport
from federation.kube.watches import Watches

log = logging.getLogger(__name__)

Connect = Callable[[Credentials], Transport]
MemberHandler = Callable[["Member", Resource, Change], None]

KindKey = tuple[str, str]
"""(apiVersion, kind)"""

BY_BINDING = "binding"
"""Name of the index of copies by the hash of their binding (BINDING_LABEL)."""


class Member:
    """One joined cluster: its client, what it serves, and the copies of ours that it holds."""

    def __init__(
        self,
        *,
        name: str,
        transport: FencedTransport,
        credentials: Credentials,
        identity: tuple[str, ...],
        hub_label: str,
    ) -> None:
        self.name = name
        self.transport = transport
        self.client = client = Client(transport, name=name)
        self.credentials = credentials
        self.identity = identity
        self.discovery: Discovery | None = None
        self.reachable = True
        """The last probe answered. A member that has not been probed yet is given the benefit of the doubt."""
        self.watches = Watches(client)
        # Apart from the copies: these are all the nodes, pods and CRDs of the member, and not whole objects.
        self._inventory = Watches(client)
        self.counted_at = 0.0
        """When (seconds since the epoch) the summary of the Cluster was last found to be, or written as, what is there."""
        self.nodes: Store | None = None
        self.pods: Store | None = None
        self.crds_changed = asyncio.Event()
        self._hub_label = hub_label
        self._stores: dict[Resource, Store] = {}

    def resource_of(self, kind: KindKey) -> Resource | None:
        """The member's resource for a kind, or None while it does not serve it (or discovery has not answered yet)."""
        return self.discovery.find(*kind) if self.discovery else None

    def store(self, kind: KindKey) -> Store | None:
        """Our copies of one kind, or None while the kind is not watched."""
        resource = self.resource_of(kind)
        return self._stores.get(resource) if resource else None

    def knows(self, kind: KindKey) -> bool:
        """Whether an absence in `store(kind)` means that the object is not there."""
        if self.discovery is None:
            return False
        resource = self.discovery.find(*kind)
        if resource is None:
            return kind[0] not in self.discovery.unknown
        store = self._stores.get(resource)
        return store is not None and store.synced

    def trouble(self, kind: KindKey) -> str:
        """Why our copies of a kind cannot be read although the member answers; empty if that is not so."""
        resource = self.resource_of(kind)
        error = self.watches.error(resource) if resource else None
        if not isinstance(error, Forbidden):
            return ""
        name = f"{resource.plural}.{resource.group}" if resource and resource.group else kind[1]
        return f"{error.message}. Run: fedctl allow {self.name} {name} --kubeconfig F"

    def copy(self, kind: KindKey, namespace: str, name: str) -> Cached | None:
        """Our copy of one object as last seen."""
        store = self.store(kind)
        return store.get(namespace, name) if store else None

    @property
    def held(self) -> int:
        """How many copies of ours it holds, of all kinds that are watched."""
        return sum(len(store) for store in self._stores.values())

    def copies_of(self, kind: KindKey, binding_hash: str) -> list[Cached]:
        """The copies that are marked with one binding."""
        store = self.store(kind)
        return store.by_index(BY_BINDING, binding_hash) if store else []

    def copies(self) -> Iterator[tuple[Resource, Cached]]:
        """All our copies of all watched kinds as last seen."""
        for resource, store in self._stores.items():
            yield from ((resource, entry) for entry in store.values())

    def watch(self, kind: KindKey, handler: Callable[[Resource, Change], None]) -> None:
        """Watch our copies of a kind, once; a kind that the member does not serve is left for a later discovery."""
        resource = self.resource_of(kind)
        if resource is None or resource in self._stores:
            return
        store = self.watches.want(resource, label_selector=f"{HUB_LABEL}={self._hub_label}")
        store.add_index(BY_BINDING, lambda entry: [entry.labels.get(BINDING_LABEL, "")])
        self._stores[resource] = store
        store.subscribe(lambda change: handler(resource, change))

    def watch_inventory(self) -> None:
        """Watch what health and capacity are computed from."""
        self.nodes = self._inventory.want(NODES)
        self.pods = self._inventory.want(PODS, field_selector="status.phase!=Succeeded,status.phase!=Failed")
        self._inventory.want(CRDS, metadata_only=True).subscribe(lambda _change: self.crds_changed.set())

    def unwatch_missing(self) -> None:
        """Stop watching kinds that the member says it does not serve; what it cannot say changes nothing (I14)."""
        if self.discovery is None:
            return
        served, unknown = set(self.discovery.resources), self.discovery.unknown
        for resource in [one for one in self._stores if one not in served and one.api_version not in unknown]:
            self.watches.unwant(resource)
            del self._stores[resource]

    def hurry(self) -> None:
        """The member answers: what could not be read for lack of an answer is read now."""
        for watches in (self.watches, self._inventory):
            watches.hurry()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for watches in (self.watches, self._inventory):
                group.create_task(watches.run(), name=f"watches-{self.name}")

    async def close(self) -> None:
        """Close the connections, and know nothing any more: whoever still holds this member holds no more than its name."""
        await self.client.close()
        self.watches.clear()
        self._inventory.clear()
        self._stores.clear()
        self.nodes = self.pods = self.discovery = None


class Fleet:
    """All members. Owns one task per member; a member that leaves is disconnected.

    Every replica reads all members; what it may write to one is said by `ownership`, and checked before each request.
    """

    def __init__(
        self,
        caches: HubCaches,
        settings: Settings,
        *,
        connect: Connect = AioTransport,
        ownership: Ownership | None = None,
    ) -> None:
        self.ownership = ownership or Ownership.sole()
        self._caches = caches
        self._settings = settings
        self._connect = connect
        self._members: dict[str, Member] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._kinds: set[KindKey] = set()
        self._object_handlers: list[MemberHandler] = []
        self._state_handlers: list[Callable[[Member], None]] = []
        self._dirty = asyncio.Event()
        self.hub_label = short_hash(caches.hub_id)

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def get(self, name: str) -> Member | None:
        """A connected member by name."""
        return self._members.get(name)

    @property
    def held(self) -> int:
        """How many copies of ours the connected members hold: of these the brake allows a part."""
        return sum(member.held for member in self)

    def expected(self) -> list[str]:
        """Names of the clusters that should be connected, whether or not they answer."""
        return [entry.name for entry in self._caches.clusters.values() if is_connectable(entry.manifest())]

    def busy(self, concerns: Callable[[str], bool]) -> bool:
        """Whether a write is in flight to any member that `concerns` accepts."""
        return any(member.transport.in_flight for member in self if concerns(member.name))

    def on_object(self, handler: MemberHandler) -> None:
        """Call `handler` for every change of a copy of ours in any member, present and future."""
        self._object_handlers.append(handler)

    def on_state(self, handler: Callable[[Member], None]) -> None:
        """Call `handler` when a member connects, serves other kinds, or becomes reachable or unreachable."""
        self._state_handlers.append(handler)

    def changed(self, member: Member) -> None:
        """Tell the subscribers that a member's state changed, and watch the kinds that it serves now."""
        for kind in self._kinds:
            member.watch(kind, self._handler(member))
        for handler in self._state_handlers:
            handler(member)

    def want(self, kinds: Iterable[KindKey]) -> None:
        """Watch our copies of these kinds in every member that serves them, from now on."""
        new = set(kinds) - self._kinds
        self._kinds |= new
        for member in self:
            for kind in new:
                member.watch(kind, self._handler(member))

    async def run(self) -> None:
        """Follow the Cluster objects until cancelled."""
        self._caches.clusters.subscribe(lambda _change: self._dirty.set())
        self._caches.secrets.subscribe(lambda _change: self._dirty.set())
        self._caches.on_kinds(self._forget_kinds)
        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    self._dirty.clear()
                    await self._sync(group)
                    await self._dirty.wait()
            finally:
                for task in self._tasks.values():
                    task.cancel()

    async def _sync(self, group: asyncio.TaskGroup) -> None:
        present = {entry.name: entry.manifest() for entry in self._caches.clusters.values()}
        left = [name for name in self._members if name not in present]
        for name in left:
            await self._disconnect(name)
        if left:
            # Tracebacks and tasks of a member hold each other, and are old: the collector comes seldom to what is (app.py).
            gc.collect()
        for name, cluster in present.items():
            if is_connectable(cluster):
                await self._ensure(group, name, cluster)

    async def _ensure(self, group: asyncio.TaskGroup, name: str, cluster: Manifest) -> None:
        spec = cluster["spec"]
        reference = spec.get("secretRef") or {}
        secret = self._caches.secrets.get(reference.get("namespace") or SYSTEM_NAMESPACE, reference.get("name") or "")
        if secret is None:
            return
        data = secret.manifest().get("data") or {}
        try:
            token = token_of(secret.manifest())
        except CredentialsError as error:
            log.warning("cluster %s: %s", name, error)
            return
        ca = spec.get("caBundle") or data.get("ca.crt") or ""
        identity = (
            spec.get("apiEndpoint") or "",
            ca,
            str(spec.get("insecureSkipTLSVerification")),
            spec.get("proxyURL") or "",
        )
        member = self._members.get(name)
        if member is not None and member.identity == identity:
            member.credentials.set_token(token)
            return
        if member is not None:
            await self._disconnect(name)
        try:
            credentials = Credentials.from_token(
                identity[0],
                token,
                base64.b64decode(ca) if ca else None,
                insecure=bool(spec.get("insecureSkipTLSVerification")),
                proxy_url=spec.get("proxyURL"),
            )
        except (CredentialsError, ValueError) as error:
            log.warning("cluster %s: %s", name, error)
            return
        transport = FencedTransport(
            self._connect(credentials), held_for=partial(self.ownership.held_for, name), timeout=self._settings.member_timeout
        )  # fmt: skip
        member = Member(
            name=name, transport=transport, credentials=credentials, identity=identity, hub_label=self.hub_label
        )
        member.watch_inventory()
        self._members[name] = member
        self._tasks[name] = group.create_task(self._serve(member), name=f"member-{name}")

    async def _serve(self, member: Member) -> None:
        try:
            await self.discover(member)
            await member.run()
        except asyncio.CancelledError:
            # Disconnected on purpose; the group must not take it for its own cancellation.
            if self._members.get(member.name) is member:
                raise
        finally:
            await member.close()

    async def discover(self, member: Member) -> None:
        """Ask a member which kinds it serves; a failure keeps what was known."""
        try:
            found = await member.client.discover()
        except ApiError as error:
            log.warning("discovery of %s failed: %s", member.name, error)
            return
        if member.discovery is None or found != member.discovery:
            member.discovery = found
            member.unwatch_missing()
            self.changed(member)

    async def _disconnect(self, name: str) -> None:
        member = self._members.pop(name)
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.wait([task])
        forget_cluster(name)
        for handler in self._state_handlers:
            handler(member)

    def _forget_kinds(self) -> None:
        """A kind that neither the hub nor a member serves comes back with a binding, which wants it again."""
        self._kinds = {
            kind for kind in self._kinds
            if self._caches.resource_of(*kind) or any(member.resource_of(kind) for member in self)
        }  # fmt: skip

    def _handler(self, member: Member) -> Callable[[Resource, Change], None]:
        def handle(resource: Resource, change: Change) -> None:
            for handler in self._object_handlers:
                handler(member, resource, change)

        return handle
