"""What a server decides about an object whoever writes it: system fields, generation, status, what never changes.

Pure functions from objects to objects; refusals are raised.
"""

import base64
import copy
import re
import uuid
from typing import Any

from federation.api.meta import Manifest
from federation.sandbox.kinds import Kind
from federation.sandbox.refusals import bad_request, conflict, invalid, modified

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_PATH_SEGMENT = re.compile(r"^[^/%]+$")
_RBAC = "rbac.authorization.k8s.io"
_KEPT = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink")
_GENERIC = ("apiVersion", "kind", "metadata", "status")
_IMMUTABLE: dict[str, tuple[str, ...]] = {
    "Deployment": ("spec.selector",),
    "ReplicaSet": ("spec.selector",),
    "DaemonSet": ("spec.selector",),
    "StatefulSet": ("spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"),
    "Job": ("spec.selector", "spec.template", "spec.completionMode"),
    "Service": ("spec.clusterIP",),
    "Secret": ("type",),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "PriorityClass": ("value",),
    "CustomResourceDefinition": ("spec.group", "spec.scope", "spec.names.plural"),
}


def checked(kind: Kind, namespace: str, name: str, manifest: Any) -> Manifest:
    """A copy of what was sent, if it is an object of this kind and place. Raises 400."""
    if not isinstance(manifest, dict) or not isinstance(manifest.get("metadata", {}), dict):
        raise bad_request("the object provided is unrecognized (must be of type Object)")
    sent = (manifest.get("apiVersion"), manifest.get("kind"))
    if sent != (kind.api_version, kind.kind):
        raise bad_request(f"{sent[1]} in version {sent[0]!r} cannot be handled as a {kind.kind}")
    new = copy.deepcopy(manifest)
    metadata = new.setdefault("metadata", {})
    if metadata.get("namespace") not in (None, "", namespace):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if name and metadata.get("name") not in (None, "", name):
        sent_name = metadata["name"]
        raise bad_request(f"the name of the object ({sent_name}) does not match the name on the URL ({name})")
    if name:
        metadata["name"] = name
    if namespace:
        metadata["namespace"] = namespace
    return new


def check_name(kind: Kind, name: str) -> None:
    """Raises 422 for a name that is none."""
    if not name:
        message = "Required value: name or generateName is required"
        raise invalid(kind, "", "metadata.name", "FieldValueRequired", message)
    pattern = _PATH_SEGMENT if kind.group == _RBAC else _NAME
    if len(name) > 253 or not pattern.match(name):
        message = f'Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters'
        raise invalid(kind, name, "metadata.name", "FieldValueInvalid", message)


def born(kind: Kind, manifest: Manifest, now: str) -> Manifest:
    """A new object with what the server gives it at birth."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _KEPT}
    metadata.pop("resourceVersion", None)
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now}
    if kind.generation:
        metadata["generation"] = 1
    new = {**manifest, "metadata": metadata}
    if kind.status and kind.kind != "Node":
        new.pop("status", None)
        status = _first_status(kind, manifest, now)
        if status is not None:
            new["status"] = status
    if kind.kind == "Namespace" and not kind.group:
        new["spec"] = {"finalizers": ["kubernetes"]}
        metadata["labels"] = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
    if kind.kind == "Secret" and not kind.group:
        new = _secret({**new, "type": new.get("type") or "Opaque"})
    return new


def _secret(manifest: Manifest) -> Manifest:
    """`stringData` is for writing only."""
    texts = manifest.pop("stringData", None)
    if texts:
        encoded = {key: base64.b64encode(str(text).encode()).decode() for key, text in texts.items()}
        manifest["data"] = {**(manifest.get("data") or {}), **encoded}
    return manifest


def _first_status(kind: Kind, manifest: Manifest, now: str) -> Manifest | None:
    if kind.custom:
        return None
    if kind.kind == "CustomResourceDefinition":
        return _established(manifest, now)
    first: dict[str, Manifest] = {
        "Namespace": {"phase": "Active"},
        "Pod": {"phase": "Pending", "qosClass": "BestEffort"},
        "PersistentVolumeClaim": {"phase": "Pending"},
        "PersistentVolume": {"phase": "Pending"},
        "Service": {"loadBalancer": {}},
        "Ingress": {"loadBalancer": {}},
    }
    return first.get(kind.kind, {})


def _established(definition: Manifest, now: str) -> Manifest:
    spec = definition["spec"]
    names = {"singular": spec["names"]["kind"].lower(), "listKind": f"{spec['names']['kind']}List", **spec["names"]}
    return {
        "acceptedNames": names,
        "storedVersions": [version["name"] for version in spec["versions"] if version.get("storage")],
        "conditions": [
            {"type": name, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now}
            for name, reason, message in (
                ("NamesAccepted", "NoConflicts", "no conflicts found"),
                ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
            )
        ],
    }


def check_preconditions(kind: Kind, old: Manifest, new: Manifest, *, patched: bool) -> None:
    """Optimistic locking: raises 409, and 422 where the real server does."""
    was, metadata = old["metadata"], new["metadata"]
    name, version = was["name"], metadata.get("resourceVersion")
    if version in (None, "", "0"):
        if not kind.unconditional:
            message = "Invalid value: 0: must be specified for an update"
            raise invalid(kind, name, "metadata.resourceVersion", "FieldValueInvalid", message)
    elif version != was["resourceVersion"]:
        raise modified(kind, name)
    uid = metadata.get("uid")
    if uid and uid != was["uid"]:
        if patched:
            message = f'Invalid value: "{uid}": field is immutable'
            raise invalid(kind, name, "metadata.uid", "FieldValueInvalid", message)
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {was['uid']}"
        raise conflict(kind, name, why)


def revised(kind: Kind, old: Manifest, new: Manifest, subresource: str) -> Manifest:
    """An update with what the server keeps: system fields, and status or all but status."""
    if subresource:
        kept = {key: value for key, value in old.items() if key != "status"}
        return {**kept, "status": new["status"]} if new.get("status") is not None else kept
    was = old["metadata"]
    metadata = {key: value for key, value in new["metadata"].items() if key not in _KEPT and value is not None}
    metadata |= {key: was[key] for key in _KEPT if key in was}
    metadata["resourceVersion"] = was["resourceVersion"]
    for empty in ("labels", "annotations", "finalizers", "ownerReferences"):
        if not metadata.get(empty, True):
            del metadata[empty]
    result = {**new, "metadata": metadata}
    if kind.status:
        result.pop("status", None)
        if "status" in old:
            result["status"] = old["status"]
    if kind.kind == "Namespace" and not kind.group:
        result["spec"] = old.get("spec") or {}
    if kind.kind == "Secret" and not kind.group:
        result = _secret({**result, "type": result.get("type") or "Opaque"})
    return result


def check_revision(kind: Kind, old: Manifest, new: Manifest) -> None:
    """Raises 422 for a change of what never changes."""
    name = old["metadata"]["name"]
    if "deletionTimestamp" in old["metadata"]:
        known = set(old["metadata"].get("finalizers") or [])
        added = [finalizer for finalizer in new["metadata"].get("finalizers") or [] if finalizer not in known]
        if added:
            message = "Forbidden: no new finalizers can be added if the object is being deleted"
            message += f", found new finalizers {added}"
            raise invalid(kind, name, "metadata.finalizers", "FieldValueForbidden", message)
    if kind.custom:
        return
    for field in _IMMUTABLE.get(kind.kind, ()):
        if _at(old, field) != _at(new, field):
            raise invalid(kind, name, field, "FieldValueInvalid", "Invalid value: field is immutable")
    if old.get("immutable") and old.get("data") != new.get("data"):
        raise invalid(
            kind, name, "data", "FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set"
        )


def _at(manifest: Manifest, field: str) -> Any:
    place: Any = manifest
    for name in field.split("."):
        place = place.get(name) if isinstance(place, dict) else None
    return place


def counted(kind: Kind, old: Manifest, new: Manifest) -> Manifest:
    """`new` with the generation bumped if what users ask for has changed."""
    if not kind.generation or _asked(kind, old) == _asked(kind, new):
        return new
    generation = int(old["metadata"].get("generation") or 0) + 1
    return {**new, "metadata": {**new["metadata"], "generation": generation}}


def _asked(kind: Kind, manifest: Manifest) -> Manifest:
    if kind.custom and not kind.status:
        return {key: value for key, value in manifest.items() if key != "metadata"}
    return {key: value for key, value in manifest.items() if key not in _GENERIC}


def same(old: Manifest, new: Manifest) -> bool:
    """Whether a write changes nothing: times in managedFields do not count."""
    return _comparable(old) == _comparable(new)


def _comparable(manifest: Manifest) -> Manifest:
    metadata = dict(manifest["metadata"])
    metadata["managedFields"] = [{**entry, "time": ""} for entry in metadata.get("managedFields") or []]
    return {**manifest, "metadata": metadata}


def finished(manifest: Manifest) -> bool:
    """Whether a deleted object has nothing left to wait for."""
    metadata = manifest["metadata"]
    waits = (manifest.get("spec") or {}).get("finalizers") if manifest["kind"] == "Namespace" else None
    return "deletionTimestamp" in metadata and not metadata.get("finalizers") and not waits
