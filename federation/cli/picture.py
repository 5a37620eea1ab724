"""Everything the hub knows about one template, fetched once: what `get`, `explain` and `render` speak about."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from federation.api.meta import Manifest
from federation.api.naming import binding_name
from federation.cli.reference import resolve
from federation.cli.session import Refused
from federation.hub.detect.decide import Plan, plan
from federation.hub.policies import Policy, awaiting, contenders, in_force, judge
from federation.hub.views import object_facts, workload_groups
from federation.kube.client import Client
from federation.kube.errors import Forbidden, NotFound
from federation.kube.resource import (
    CLUSTER_OVERRIDE_POLICIES,
    CLUSTER_PROPAGATION_POLICIES,
    CLUSTER_RESOURCE_BINDINGS,
    CLUSTERS,
    OVERRIDE_POLICIES,
    PRIORITY_CLASSES,
    PROPAGATION_POLICIES,
    RESOURCE_BINDINGS,
    Resource,
)
from federation.policy.claim import Claim, PolicyRef, choose


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A template with its binding, policies and clusters."""

    resource: Resource
    template: Manifest
    binding: Manifest | None
    policies: list[Manifest]
    overrides: frozenset[tuple[str, str]]
    """(namespace, name) of override policies; read only where a policy depends on some."""
    clusters: list[Manifest]
    priority_classes: frozenset[str] | None = None
    """Names of the hub's PriorityClasses; None where no policy needs one, or they may not be read."""
    peers: list[Manifest]
    """Other bindings of the namespace, where the template is placed with or apart from others."""

    @property
    def status(self) -> Manifest:
        """Status of the binding; empty without one."""
        return (self.binding or {}).get("status") or {}

    @property
    def policy(self) -> Manifest | None:
        """The policy that claims the template, if it lives."""
        reference = ((self.binding or {}).get("spec") or {}).get("policy") or {}
        return next((one for one in self.policies if one["metadata"]["uid"] == reference.get("uid")), None)

    def judged(self) -> list[tuple[Manifest, Policy]]:
        """All policies with their verdicts."""
        return judged(self.policies, self.overrides)

    def plan(self) -> Plan:
        """What detect does about the template by today's policies."""
        policies = [policy for one, policy in self.judged() if "deletionTimestamp" not in one["metadata"]]
        known = self.priority_classes
        return plan(
            self.template, policies=policies, binding=self.binding,
            priority_of_class=lambda name: 0 if known is None or name in known else None,
        )  # fmt: skip

    def in_force(self) -> Policy | None:
        """The policy to schedule by; None while what was decided goes on to hold."""
        reference = ((self.binding or {}).get("spec") or {}).get("policy") or {}
        return in_force(reference, {policy.facts.uid: policy for _, policy in self.judged()})

    def claim(self) -> Claim:
        """Who claims the template by today's policies."""
        reference = ((self.binding or {}).get("spec") or {}).get("policy")
        current = (
            PolicyRef(
                reference["kind"], reference.get("namespace") or "", reference["name"], reference.get("uid") or ""
            )
            if reference
            else None
        )
        able = contenders((policy for _, policy in self.judged()), current)
        return choose(object_facts(self.template), [policy.facts for policy in able], current)


async def take(hub: Client, text: str, namespace: str) -> Picture:
    """Fetch the picture of KIND/NAME. Raises Refused where the template does not exist."""
    resource, name = await resolve(hub, text)
    place = namespace if resource.namespaced else None
    try:
        template = await hub.get(resource, name, place)
    except NotFound as error:
        where = f" in namespace {place}" if place else ""
        raise Refused(f"there is no {resource.kind} {name!r}{where} on the hub") from error
    binding_kind = RESOURCE_BINDINGS if place else CLUSTER_RESOURCE_BINDINGS
    key = binding_name(resource.group, resource.kind, place or "", name)
    binding, (policies, overrides), clusters = await asyncio.gather(
        _or_none(hub, binding_kind, key, place), _policies(hub, place or ""), hub.list(CLUSTERS)
    )
    peers = await hub.list(RESOURCE_BINDINGS, place) if place and binding and workload_groups(binding) else None
    return Picture(
        resource=resource,
        template=_typed(template, resource),
        binding=binding,
        policies=policies,
        overrides=overrides,
        priority_classes=await _priority_classes(hub, policies),
        clusters=sorted(clusters.items, key=lambda one: str(one["metadata"]["name"])),
        peers=[one for one in (peers.items if peers else ()) if one["metadata"]["name"] != key],
    )


async def fetch_policies(hub: Client, place: str | None) -> dict[str, Policy]:
    """Propagation policies by UID, judged; `place` None: of all namespaces."""
    policies, overrides = await _policies(hub, place)
    return {policy.facts.uid: policy for _, policy in judged(policies, overrides)}


def judged(policies: Iterable[Manifest], overrides: Collection[tuple[str, str]]) -> list[tuple[Manifest, Policy]]:
    """Policies with their verdicts; `overrides`: (namespace, name) of the override policies that there are."""
    present: dict[str, list[str]] = {}
    for namespace, name in overrides:
        present.setdefault(namespace, []).append(name)
    return [(one, awaiting(judge(one), present.get(one["metadata"].get("namespace") or "", ()))) for one in policies]


async def _policies(hub: Client, place: str | None) -> tuple[list[Manifest], frozenset[tuple[str, str]]]:
    """Propagation policies of a namespace ("": of none, None: of all) and cluster-wide ones; the overrides as `judged` takes them."""
    own, cluster_wide = await asyncio.gather(
        hub.list(PROPAGATION_POLICIES, place) if place != "" else _no_page(), hub.list(CLUSTER_PROPAGATION_POLICIES)
    )
    policies = [
        *(_kind(one, "PropagationPolicy") for one in (own.items if own else ())),
        *(_kind(one, "ClusterPropagationPolicy") for one in cluster_wide.items),
    ]
    return policies, await _overrides(hub, policies, place)


async def _overrides(hub: Client, policies: list[Manifest], place: str | None) -> frozenset[tuple[str, str]]:
    """The override policies that are there, as far as a policy depends on some."""
    if not any(one["spec"].get("dependentOverrides") for one in policies):
        return frozenset()
    pages = [
        await hub.list(CLUSTER_OVERRIDE_POLICIES),
        *([await hub.list(OVERRIDE_POLICIES, place)] if place != "" else []),
    ]
    return frozenset(
        (one["metadata"].get("namespace") or "", str(one["metadata"]["name"])) for page in pages for one in page.items
    )


async def _priority_classes(hub: Client, policies: list[Manifest]) -> frozenset[str] | None:
    if not any(one["spec"].get("schedulePriority") for one in policies):
        return None
    try:
        return frozenset(str(one["metadata"]["name"]) for one in (await hub.list(PRIORITY_CLASSES)).items)
    except Forbidden:
        return None


async def _no_page() -> Any:
    return None


async def _or_none(hub: Client, resource: Resource, name: str, namespace: str | None) -> Manifest | None:
    try:
        return await hub.get(resource, name, namespace)
    except NotFound:
        return None


def _typed(manifest: Manifest, resource: Resource) -> Manifest:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **manifest}


def _kind(manifest: Manifest, kind: str) -> Manifest:
    return {"kind": kind, **manifest}
