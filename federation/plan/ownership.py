"""One manifest applied to the sandbox hub as the user's tool would: fields that it no longer names go (three-way).

`kubectl apply` knows what it applied by an annotation, server-side appliers by their field manager. Here the first becomes the second:
what the annotation says belongs to an apply by `kubectl`. Where it is missing, what `kubectl-client-side-apply` owns does, as when
Kubernetes upgrades an object (csaupgrade).
"""

import orjson

from federation.api.meta import Manifest
from federation.plan.snapshot import LAST_APPLIED
from federation.sandbox import ApiServer
from federation.sandbox.kinds import Kind
from federation.sandbox.refusals import RefusalError
from federation.sandbox.registry import Options
from federation.sandbox.storage import Address

KUBECTL = "kubectl"
CLIENT_SIDE = "kubectl-client-side-apply"
_SERVERS_OWN = frozenset(("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"))


def take_over(hub: ApiServer, kind: Kind, manifest: Manifest, *, namespace: str) -> None:
    """Apply; `namespace` where the manifest names none. Raises RefusalError as the API server would answer."""
    metadata = manifest["metadata"]
    place = (metadata.get("namespace") or namespace) if kind.namespaced else ""
    address = Address(kind.collection, place, metadata["name"])
    found = hub.storage.get(address)
    manager = KUBECTL
    if found is not None:
        upgraded, manager = as_applied(found)
        last = (found["metadata"].get("annotations") or {}).get(LAST_APPLIED)
        hub.storage.put(address, _owning(hub, kind, upgraded, last) if last else upgraded)
    given = {name: value for name, value in metadata.items() if name not in _SERVERS_OWN}
    config = {**manifest, "metadata": {**given, "namespace": place} if place else given}
    config.pop("status", None)
    hub.registry.apply(kind, place, metadata["name"], config, Options(manager=manager, force=True))


def _owning(hub: ApiServer, kind: Kind, manifest: Manifest, last: str) -> Manifest:
    """The object with exactly the fields of its last client-side apply owned by an apply; values stay as they are."""
    metadata = manifest["metadata"]
    try:
        config = orjson.loads(last)
        entries = [one for one in metadata.get("managedFields") or [] if one["manager"] != KUBECTL]
        bare = {**manifest, "metadata": {**metadata, "managedFields": entries}}
        place, options = metadata.get("namespace") or "", Options(manager=KUBECTL, force=True, dry_run=True)
        hub.storage.put(Address(kind.collection, place, metadata["name"]), bare)
        config["metadata"] = {key: value for key, value in config["metadata"].items() if key not in _SERVERS_OWN}
        applied, _ = hub.registry.apply(kind, place, metadata["name"], config, options)
    except (ValueError, KeyError, TypeError, RefusalError):
        return manifest  # an annotation that kubectl did not write
    owned = [one for one in applied["metadata"]["managedFields"] if one["manager"] == KUBECTL]
    return {**bare, "metadata": {**bare["metadata"], "managedFields": [*entries, *owned]}}


def as_applied(manifest: Manifest) -> tuple[Manifest, str]:
    """The object with what a client-side apply owns owned by an apply, and the manager to apply as."""
    metadata = manifest["metadata"]
    entries = metadata.get("managedFields") or []
    appliers = [one["manager"] for one in entries if one["operation"] == "Apply" and not one.get("subresource")]
    client_side = [one for one in entries if one["manager"] == CLIENT_SIDE and one["operation"] == "Update"]
    if not client_side:
        return manifest, appliers[0] if len(appliers) == 1 else KUBECTL
    rest = [
        one for one in entries if one not in client_side and (one["manager"], one["operation"]) != (KUBECTL, "Apply")
    ]
    upgraded = {**client_side[0], "manager": KUBECTL, "operation": "Apply"}
    annotations = {key: text for key, text in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    return {
        **manifest,
        "metadata": {**metadata, "annotations": annotations, "managedFields": [*rest, upgraded]},
    }, KUBECTL
