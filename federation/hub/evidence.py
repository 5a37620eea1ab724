"""Proof about a template by a quorum read: the only ground on which copies are deleted (DESIGN, deletion needs evidence).

A cache may be late and a 404 of the *kind* is no answer, so both count as unknown. A kind that nothing defines any more is
told apart: its objects are gone with it, but nobody asked for the copies to go.
"""

import enum
from dataclasses import dataclass
from typing import Protocol

from federation.api.meta import Manifest
from federation.kube.client import Client
from federation.kube.errors import ApiError, NotFound
from federation.kube.resource import API_SERVICES, CRDS, NAMESPACES, Resource


class Hub(Protocol):
    """What is asked of the hub: `HubCaches`, or a command's own view."""

    @property
    def client(self) -> Client:
        """The hub's API server."""

    def resource_of(self, api_version: str, kind: str) -> Resource | None:
        """The served resource of a kind."""

    def definition_ends(self, resource: Resource) -> bool:
        """Whether the CRD of a kind is being deleted."""


class Standing(enum.Enum):
    """What is known of an object on the hub."""

    PRESENT = "present"
    TERMINATING = "terminating"
    """Deletion has been asked for and cannot be taken back (a deletionTimestamp is final)."""
    GONE = "gone"
    UNDEFINED = "undefined"
    """No CRD and no aggregated API defines the kind any more (or its CRD is going), so there is no such object."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """`uid` is empty unless the object is there."""

    standing: Standing
    uid: str = ""
    namespace_ends: bool = False
    """The namespace is being deleted, so the object will go although it is still present."""


async def template_evidence(hub: Hub, reference: Manifest, *, born: str = "") -> Evidence:
    """Read the template of a `binding.spec.resource` from the API server itself, never from a cache.

    `born`: when what depends on the template was made (RFC 3339). Where the kind was defined only later, the template went
    with an earlier definition, and nobody asked for its copies to go.
    """
    resource = hub.resource_of(reference["apiVersion"], reference["kind"])
    if resource is None:
        return await _of_missing_kind(hub, reference)
    namespace = reference.get("namespace") or None
    try:
        found = await hub.client.get(resource, reference["name"], namespace)
    except NotFound as error:
        # The API server names the object it misses; a missing kind is answered without a name.
        if (error.details or {}).get("name") == reference["name"]:
            if hub.definition_ends(resource):
                return Evidence(Standing.UNDEFINED)
            return Evidence(await _since_defined(hub, resource, born))
        return await _of_missing_kind(hub, reference)
    except ApiError:
        return Evidence(Standing.UNKNOWN)
    metadata = found["metadata"]
    standing = Standing.TERMINATING if "deletionTimestamp" in metadata else Standing.PRESENT
    ends = standing is Standing.PRESENT and namespace is not None and await _namespace_ends(hub, namespace)
    return Evidence(standing, metadata["uid"], ends)


async def _since_defined(hub: Hub, resource: Resource, born: str) -> Standing:
    """Gone, or undefined where the definition in force is younger than what depends on the object."""
    if not born or "." not in resource.group:
        return Standing.GONE
    try:
        definition = await hub.client.get(CRDS, f"{resource.plural}.{resource.group}")
    except NotFound:
        return Standing.GONE  # built in, or an aggregated API
    except ApiError:
        return Standing.UNKNOWN
    return Standing.UNDEFINED if str(definition["metadata"]["creationTimestamp"]) > born else Standing.GONE


async def _of_missing_kind(hub: Hub, reference: Manifest) -> Evidence:
    """Undefined only where the API server itself says that no CRD defines the kind, and that it made the group for CRDs."""
    group, _, version = reference["apiVersion"].rpartition("/")
    if not group:
        return Evidence(Standing.UNKNOWN)
    try:
        service = await hub.client.get(API_SERVICES, f"{version}.{group}")
        # `true`: kept by the API server for CRDs; `onstart`: built in; without it: an aggregated API, which may be down.
        kept = (service["metadata"].get("labels") or {}).get("kube-aggregator.kubernetes.io/automanaged")
    except NotFound:
        kept = "true"
    except ApiError:
        return Evidence(Standing.UNKNOWN)
    if kept != "true":
        return Evidence(Standing.UNKNOWN)
    try:
        definitions = [crd["spec"] for crd in (await hub.client.list(CRDS)).items]
    except ApiError:
        return Evidence(Standing.UNKNOWN)
    defined = any((one["group"], one["names"]["kind"]) == (group, reference["kind"]) for one in definitions)
    return Evidence(Standing.UNKNOWN if defined else Standing.UNDEFINED)


async def _namespace_ends(hub: Hub, namespace: str) -> bool:
    try:
        found = await hub.client.get(NAMESPACES, namespace)
    except NotFound:
        return True
    except ApiError:
        return False
    return "deletionTimestamp" in found["metadata"]


async def kind_goes(client: Client, resource: Resource) -> bool:
    """Whether the definition of one of our own kinds is gone or going. Raises ApiError while that is unknown."""
    try:
        found = await client.get(CRDS, f"{resource.plural}.{resource.group}")
    except NotFound:
        return True
    return "deletionTimestamp" in found["metadata"]
