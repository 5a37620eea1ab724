"""Everything the hub knows about one template, fetched once: what `get`, `explain` and `render` speak about."""

import asyncio
from dataclasses import dataclass
from typing import Any

from federation.api.meta import Manifest
from federation.api.naming import binding_name
from federation.cli.reference import resolve
from federation.cli.session import Refused
from federation.hub.policies import Policy, judge
from federation.hub.views import object_facts, workload_groups
from federation.kube.client import Client
from federation.kube.errors import NotFound
from federation.kube.resource import (
    CLUSTER_PROPAGATION_POLICIES,
    CLUSTER_RESOURCE_BINDINGS,
    CLUSTERS,
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
    clusters: list[Manifest]
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
        return [(one, judge(one)) for one in self.policies]

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
        usable = [policy.facts for _, policy in self.judged() if policy.usable]
        return choose(object_facts(self.template), usable, current)


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
    binding, own, cluster_wide, clusters = await asyncio.gather(
        _or_none(hub, binding_kind, key, place),
        hub.list(PROPAGATION_POLICIES, place) if place else _no_page(),
        hub.list(CLUSTER_PROPAGATION_POLICIES),
        hub.list(CLUSTERS),
    )
    peers = await hub.list(RESOURCE_BINDINGS, place) if place and binding and workload_groups(binding) else None
    return Picture(
        resource=resource,
        template=_typed(template, resource),
        binding=binding,
        policies=[
            *(_kind(one, "PropagationPolicy") for one in (own.items if own else ())),
            *(_kind(one, "ClusterPropagationPolicy") for one in cluster_wide.items),
        ],
        clusters=sorted(clusters.items, key=lambda one: str(one["metadata"]["name"])),
        peers=[one for one in (peers.items if peers else ()) if one["metadata"]["name"] != key],
    )


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
