"""Which kinds of templates are watched: those that a policy can select and those that a binding refers to.

Every role needs the templates, so this runs in each process, and before the controllers: a kind that a policy names is
watched by the time a controller hears of the policy.
"""

import asyncio

from federation.api.meta import GROUP
from federation.hub.caches import HubCaches
from federation.hub.settings import Settings
from federation.kube.resource import Resource
from federation.kube.store import Change

NEVER_WATCHED = {(GROUP, kind) for kind in ("Cluster", "ResourceBinding")} | {
    ("", "Event"), ("events.k8s.io", "Event"), ("coordination.k8s.io", "Lease"), ("", "Node"), ("", "Endpoints"),
    ("discovery.k8s.io", "EndpointSlice"),
}  # fmt: skip
"""Whatever a policy selects: they change all the time and never propagate."""


class Kinds:
    """Keeps the watched kinds equal to the wanted ones. Subscribes at once; `run` drops what nobody wants any more."""

    def __init__(self, caches: HubCaches, settings: Settings) -> None:
        self._caches = caches
        self._settings = settings
        self._dirty = asyncio.Event()
        caches.on_kinds(self._watch_wanted)
        for policies in (caches.policies, caches.cluster_policies):
            policies.subscribe(self._policy_changed)
        for bindings in (caches.bindings, caches.cluster_bindings):
            bindings.subscribe(self._binding_changed)

    async def run(self) -> None:
        """Drop the kinds that nobody wants, some time after the last change: that look reads every policy and binding."""
        while True:
            await self._dirty.wait()
            await asyncio.sleep(self._settings.policy_status_period)
            self._dirty.clear()
            self._watch_wanted()

    def _policy_changed(self, change: Change) -> None:
        old, new = change.old, change.new
        if old is not None and (new is None or old.generation != new.generation):
            self._dirty.set()
        if new is not None and (old is None or old.generation != new.generation):
            for selector in (new.manifest().get("spec") or {}).get("resourceSelectors") or []:
                self._watch(selector.get("apiVersion") or "", selector.get("kind") or "")

    def _binding_changed(self, change: Change) -> None:
        if change.new is None:
            self._dirty.set()
        elif change.old is None:
            reference = change.new.manifest()["spec"]["resource"]
            self._watch(reference["apiVersion"], reference["kind"])

    def _watch(self, api_version: str, kind: str) -> None:
        if self._caches.template_store(api_version, kind) is None:
            self._caches.watch_templates(self._caches.watched_templates() | self._served(api_version, kind))

    def _watch_wanted(self) -> None:
        wanted: set[Resource] = set()
        for entry in self._caches.all_policies():
            for selector in (entry.manifest().get("spec") or {}).get("resourceSelectors") or []:
                wanted |= self._served(selector.get("apiVersion") or "", selector.get("kind") or "")
        for entry in self._caches.all_bindings():
            reference = entry.manifest()["spec"]["resource"]
            wanted |= self._served(reference["apiVersion"], reference["kind"])
        self._caches.watch_templates(wanted)

    def _served(self, api_version: str, kind: str) -> set[Resource]:
        resource = self._caches.resource_of(api_version, kind)
        if resource is None or resource.group == GROUP or resource.group_kind in NEVER_WATCHED:
            return set()
        return {resource} if {"list", "watch"} <= resource.verbs else set()
