"""What the hub process knows of the hub: reflectors of our own kinds, and of every kind that may be propagated.

Kinds of templates are watched only while a policy can select them or a binding refers to them; discovery follows CRDs
that come and go. Controllers subscribe here, so that they need not know which kinds exist when they start.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from federation.api.meta import GROUP, SYSTEM_NAMESPACE, Manifest
from federation.api.naming import BindingKey, binding_name
from federation.hub.policies import Policy, awaiting, judge
from federation.hub.views import workload_groups
from federation.kube.client import Client
from federation.kube.discovery import Discovery
from federation.kube.errors import ApiError
from federation.kube.resource import (
    CLUSTER_OVERRIDE_POLICIES,
    CLUSTER_PROPAGATION_POLICIES,
    CLUSTER_RESOURCE_BINDINGS,
    CLUSTERS,
    CONFIG_MAPS,
    CRDS,
    NAMESPACES,
    OVERRIDE_POLICIES,
    PRIORITY_CLASSES,
    PROPAGATION_POLICIES,
    REBALANCES,
    RESOURCE_BINDINGS,
    SECRETS,
    Resource,
)
from federation.kube.store import Cached, Change, Store
from federation.kube.watches import Watches

log = logging.getLogger(__name__)

TemplateHandler = Callable[[Resource, Change], None]

BY_POLICY = "policy"
"""Index of bindings by the UID of their policy."""

BY_NAMESPACE = "namespace"
"""Index of namespaced policies."""

BY_WORKLOAD_GROUP = "workload group"
"""Index of bindings by namespace and workload affinity (or anti-affinity) group."""
BY_OVERRIDE = "override"
"""Index of propagation policies by namespace and name of the override policies that they depend on."""

POLICY_KINDS = {
    "PropagationPolicy": PROPAGATION_POLICIES,
    "ClusterPropagationPolicy": CLUSTER_PROPAGATION_POLICIES,
}


class HubCaches:
    """The hub's objects as last seen. `run()` keeps them true; `synced()` says when they may be acted on."""

    def __init__(self, client: Client, *, hub_id: str) -> None:
        self.client = client
        self.hub_id = hub_id
        self.discovery = Discovery(resources=(), unknown=frozenset())
        self._watches = Watches(client)
        # Apart from our own: a policy may select Secrets everywhere, while we ourselves watch those of one namespace.
        self._template_watches = Watches(client)
        self._template_handlers: list[TemplateHandler] = []
        self._kinds_handlers: list[Callable[[], None]] = []
        self._templates: dict[Resource, Store] = {}
        self._judged: dict[str, tuple[str, Policy]] = {}
        self._rediscover = asyncio.Event()
        self.clusters = self._watches.want(CLUSTERS)
        self.policies = self._watches.want(PROPAGATION_POLICIES)
        self.cluster_policies = self._watches.want(CLUSTER_PROPAGATION_POLICIES)
        self.overrides = self._watches.want(OVERRIDE_POLICIES)
        self.cluster_overrides = self._watches.want(CLUSTER_OVERRIDE_POLICIES)
        self.bindings = self._watches.want(RESOURCE_BINDINGS)
        self.cluster_bindings = self._watches.want(CLUSTER_RESOURCE_BINDINGS)
        self.rebalances = self._watches.want(REBALANCES)
        self.priority_classes = self._watches.want(PRIORITY_CLASSES)
        self.namespaces = self._watches.want(NAMESPACES, metadata_only=True)
        self.secrets = self._watches.want(SECRETS, namespace=SYSTEM_NAMESPACE)
        self.config_maps = self._watches.want(CONFIG_MAPS, namespace=SYSTEM_NAMESPACE)
        for store in (self.bindings, self.cluster_bindings):
            store.add_index(BY_POLICY, _policy_uid)
        self.bindings.add_index(BY_WORKLOAD_GROUP, _workload_groups)
        for store in (self.policies, self.overrides):
            store.add_index(BY_NAMESPACE, lambda entry: [entry.namespace])
        for store in (self.policies, self.cluster_policies):
            store.add_index(BY_OVERRIDE, _dependencies)
            store.subscribe(self._policy_changed)
        self._crds = self._watches.want(CRDS, metadata_only=True)
        self._crds.subscribe(self._crd_changed)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watches.run(), name="hub-watches")
            group.create_task(self._template_watches.run(), name="template-watches")
            group.create_task(self._follow_kinds(), name="hub-discovery")

    async def synced(self) -> None:
        """Return once our own kinds are listed and the kinds of the hub are known."""
        await self._watches.wait_synced(timeout=None)
        while not self.discovery.resources:  # noqa: ASYNC110 - once, at start; an Event would outlive its use
            await asyncio.sleep(0.05)

    def binding_store(self, key: BindingKey) -> Store:
        """The store a binding key lives in."""
        return self.bindings if key[0] else self.cluster_bindings

    def binding(self, key: BindingKey) -> Cached | None:
        """One binding of either scope."""
        return self.binding_store(key).get(key[0], key[1])

    def bindings_of_policy(self, uid: str) -> list[Cached]:
        """The bindings that name one policy."""
        return [*self.bindings.by_index(BY_POLICY, uid), *self.cluster_bindings.by_index(BY_POLICY, uid)]

    def peers_of(self, binding: Manifest) -> list[Cached]:
        """Bindings of the same namespace that share a workload affinity or anti-affinity group with one, itself left out."""
        found: dict[str, Cached] = {}
        for key in workload_groups(binding):
            for entry in self.bindings.by_index(BY_WORKLOAD_GROUP, key):
                if entry.name != binding["metadata"]["name"]:
                    found[entry.name] = entry
        return list(found.values())

    def all_bindings(self) -> Iterable[Cached]:
        """Bindings of both scopes."""
        yield from self.bindings.values()
        yield from self.cluster_bindings.values()

    def policy(self, kind: str, namespace: str, name: str) -> Cached | None:
        """One policy by kind."""
        store = self.policies if kind == "PropagationPolicy" else self.cluster_policies
        return store.get(namespace, name)

    def priority_of_class(self, name: str) -> int | None:
        """The value of a PriorityClass of the hub; None while there is none of that name."""
        found = self.priority_classes.get("", name)
        return int(found.manifest()["value"]) if found is not None else None

    def policy_of(self, binding: Manifest) -> Cached | None:
        """The policy that a binding names, by name; its UID is the caller's to compare."""
        named = binding["spec"].get("policy") or {}
        return self.policy(named.get("kind") or "", named.get("namespace") or "", named.get("name") or "")

    def judged(self, entry: Cached) -> Policy:
        """A cached policy, parsed and validated once per version, and what it depends on looked up."""
        known = self._judged.get(entry.uid)
        if known is None or known[0] != entry.resource_version:
            known = (entry.resource_version, judge(entry.manifest()))
            self._judged[entry.uid] = known
        return self.awaiting(known[1])

    def awaiting(self, policy: Policy) -> Policy:
        """The policy, waiting for the override policies that it depends on and that are not here."""
        names, namespace = policy.spec.dependent_overrides, policy.facts.namespace
        if not names:
            return policy
        store = self.overrides if namespace else self.cluster_overrides
        return awaiting(policy, [name for name in names if store.get(namespace, name) is not None])

    def depending(self, override: Cached) -> list[Cached]:
        """The propagation policies that depend on an override policy: of its own scope and namespace (karmada.md 1.1.2)."""
        store = self.policies if override.namespace else self.cluster_policies
        return store.by_index(BY_OVERRIDE, f"{override.namespace}/{override.name}")

    def binding_key(self, resource: Resource, template: Cached) -> BindingKey:
        """The key of the binding of a template."""
        return template.namespace, binding_name(resource.group, resource.kind, template.namespace, template.name)

    def all_policies(self) -> Iterable[Cached]:
        """Propagation policies of both scopes."""
        yield from self.policies.values()
        yield from self.cluster_policies.values()

    def overrides_for(self, namespace: str) -> Iterable[Cached]:
        """Override policies that could concern an object of this namespace ("" for a cluster-scoped one)."""
        yield from self.cluster_overrides.values()
        if namespace:
            yield from self.overrides.by_index(BY_NAMESPACE, namespace)

    def on_template(self, handler: TemplateHandler) -> None:
        """Call `handler` for every change of every kind that is or will be watched."""
        self._template_handlers.append(handler)
        for resource, store in self._templates.items():
            store.subscribe(_bound(handler, resource))

    def on_kinds(self, handler: Callable[[], None]) -> None:
        """Call `handler` after each discovery that found a difference."""
        self._kinds_handlers.append(handler)

    def watched_templates(self) -> set[Resource]:
        """The kinds that are watched now."""
        return set(self._templates)

    @property
    def templates_listed(self) -> bool:
        """Whether every watched kind has been listed at least once."""
        return all(store.synced for store in self._templates.values())

    def watch_templates(self, wanted: Iterable[Resource]) -> None:
        """Watch exactly these kinds; new ones are started, others stopped."""
        keep = set(wanted)
        for resource in [gone for gone in self._templates if gone not in keep]:
            self._template_watches.unwant(resource)
            del self._templates[resource]
        for resource in keep - self._templates.keys():
            store = self._template_watches.want(resource)
            self._templates[resource] = store
            for handler in self._template_handlers:
                store.subscribe(_bound(handler, resource))

    def template_store(self, api_version: str, kind: str) -> Store | None:
        """The store of a watched kind, whatever version of it is watched; None while the kind is not watched."""
        group = api_version.rpartition("/")[0]
        for resource, store in self._templates.items():
            if resource.kind == kind and resource.group == group:
                return store
        return None

    def template(self, binding: Manifest) -> Cached | None:
        """The template that a binding refers to, by name; its UID is the caller's to compare.

        A binding speaks of its own namespace only: one that refers elsewhere is not of our making, and has no template (I22).
        """
        reference = binding["spec"]["resource"]
        if (reference.get("namespace") or "") != (binding["metadata"].get("namespace") or ""):
            return None
        store = self.template_store(reference["apiVersion"], reference["kind"])
        return store.get(reference.get("namespace") or "", reference["name"]) if store else None

    def resource_of(self, api_version: str, kind: str) -> Resource | None:
        """The served resource of a kind, in that version or, if it is gone, in the preferred one."""
        group = api_version.rpartition("/")[0]
        return self.discovery.find(api_version, kind) or self.discovery.find_kind(group, kind)

    def definition_ends(self, resource: Resource) -> bool:
        """Whether the CRD of a kind is being deleted: then its objects go because of that, one after the other."""
        entry = self._crds.get("", f"{resource.plural}.{resource.group}")
        return entry is not None and entry.deleting

    def _policy_changed(self, change: Change) -> None:
        if change.old is not None and (change.new is None or change.new.uid != change.old.uid):
            self._judged.pop(change.old.uid, None)

    def _crd_changed(self, change: Change) -> None:
        entry = change.new or change.old
        if entry is not None and not entry.name.endswith(f".{GROUP}"):
            self._rediscover.set()

    async def _follow_kinds(self) -> None:
        while True:
            self._rediscover.clear()
            await self._discover()
            try:
                async with asyncio.timeout(30):
                    await self._rediscover.wait()
                # A CRD is served some time after it is written; a second look follows within the same loop.
                await asyncio.sleep(0.3)
                if not self._crds_served():
                    self._rediscover.set()
            except TimeoutError:
                continue

    async def _discover(self) -> None:
        try:
            found = await self.client.discover()
        except ApiError as error:
            log.warning("discovery of the hub failed: %s", error)
            return
        if set(found.resources) != set(self.discovery.resources):
            self.discovery = found
            for handler in self._kinds_handlers:
                handler()

    def _crds_served(self) -> bool:
        served = {f"{resource.plural}.{resource.group}" for resource in self.discovery.resources}
        return all(entry.name in served or entry.deleting for entry in self._crds.values())


def _policy_uid(entry: Cached) -> list[str]:
    return [(entry.manifest()["spec"].get("policy") or {}).get("uid") or ""]


def _workload_groups(entry: Cached) -> list[str]:
    return workload_groups(entry.manifest())


def _dependencies(entry: Cached) -> list[str]:
    names = (entry.manifest().get("spec") or {}).get("dependentOverrides") or []
    return [f"{entry.namespace}/{name}" for name in names]


def _bound(handler: TemplateHandler, resource: Resource) -> Callable[[Change], None]:
    return lambda change: handler(resource, change)
