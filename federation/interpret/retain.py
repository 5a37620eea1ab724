"""What of a rendering gives way to the member (karmada.md 3.5.2). Server-side apply does the rest.

Fields that we do not render (clusterIP, volumeName, nodeName, generated selectors) stay as the member has them. Only what
we do render, and the member has the better right to, is taken out here.
"""

from typing import Any

from federation.api.meta import FIELD_MANAGER, Manifest
from federation.interpret.group_kind import DEPLOYMENT, REPLICA_SET, STATEFUL_SET, group_kind

_SCALED = frozenset({DEPLOYMENT, REPLICA_SET, STATEFUL_SET})


def retain(desired: Manifest, observed: Manifest) -> Manifest:
    """`desired` without `spec.replicas` once an autoscaler in the member owns that number; else `desired` itself."""
    if group_kind(desired) not in _SCALED or "replicas" not in (desired.get("spec") or {}):
        return desired
    if not autoscaled(observed):
        return desired
    return {**desired, "spec": {key: value for key, value in desired["spec"].items() if key != "replicas"}}


def autoscaled(observed: Manifest) -> bool:
    """Whether a controller set the replicas through the scale subresource.

    A person who ran `kubectl scale` is drift, and is repaired; a controller would scale again at once, for ever.
    """
    for entry in observed["metadata"].get("managedFields") or ():
        manager = str(entry.get("manager") or "")
        if entry.get("subresource") != "scale" or manager.startswith("kubectl") or manager == FIELD_MANAGER:
            continue
        fields: Any = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if "f:replicas" in fields:
            return True
    return False


def ours_alone(observed: Manifest, key: str) -> bool:
    """Whether nobody else owns a field of the spec: an apply of ours that leaves it out removes it (server-side apply)."""
    owners = {
        entry.get("manager")
        for entry in observed.get("metadata", {}).get("managedFields") or ()
        if f"f:{key}" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    }
    return owners == {FIELD_MANAGER}
