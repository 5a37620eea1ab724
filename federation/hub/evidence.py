"""Proof about a template by a quorum read: the only ground on which copies are deleted (DESIGN, deletion needs evidence).

A cache may be late and a 404 of the *kind* is no answer, so both count as unknown.
"""

import enum
from dataclasses import dataclass

from federation.api.meta import Manifest
from federation.hub.caches import HubCaches
from federation.kube.errors import ApiError, NotFound
from federation.kube.resource import NAMESPACES


class Standing(enum.Enum):
    """What is known of an object on the hub."""

    PRESENT = "present"
    TERMINATING = "terminating"
    """Deletion has been asked for and cannot be taken back (a deletionTimestamp is final)."""
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """`uid` is empty unless the object is there."""

    standing: Standing
    uid: str = ""
    namespace_ends: bool = False
    """The namespace is being deleted, so the object will go although it is still present."""


async def template_evidence(caches: HubCaches, reference: Manifest) -> Evidence:
    """Read the template of a `binding.spec.resource` from the API server itself, never from a cache."""
    resource = caches.resource_of(reference["apiVersion"], reference["kind"])
    if resource is None:
        return Evidence(Standing.UNKNOWN)
    namespace = reference.get("namespace") or None
    try:
        found = await caches.client.get(resource, reference["name"], namespace)
    except NotFound as error:
        # The API server names the object it misses; a missing kind is answered without a name.
        named = (error.details or {}).get("name") == reference["name"]
        return Evidence(Standing.GONE if named else Standing.UNKNOWN)
    except ApiError:
        return Evidence(Standing.UNKNOWN)
    metadata = found["metadata"]
    standing = Standing.TERMINATING if "deletionTimestamp" in metadata else Standing.PRESENT
    ends = standing is Standing.PRESENT and namespace is not None and await _namespace_ends(caches, namespace)
    return Evidence(standing, metadata["uid"], ends)


async def _namespace_ends(caches: HubCaches, namespace: str) -> bool:
    try:
        found = await caches.client.get(NAMESPACES, namespace)
    except NotFound:
        return True
    except ApiError:
        return False
    return "deletionTimestamp" in found["metadata"]
