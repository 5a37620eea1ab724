"""One manifest applied to the sandbox hub as the user's tool would: fields that it no longer names go (three-way).

`kubectl apply` knows what it applied by an annotation, server-side appliers by their field manager. Kubernetes itself turns the
first into the second (csaupgrade): what `kubectl-client-side-apply` owns becomes owned by an apply; so here.
"""

from federation.api.meta import Manifest
from federation.plan.snapshot import LAST_APPLIED
from federation.sandbox import ApiServer
from federation.sandbox.kinds import Kind
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
        hub.storage.put(address, upgraded)
    given = {name: value for name, value in metadata.items() if name not in _SERVERS_OWN}
    config = {**manifest, "metadata": {**given, "namespace": place} if place else given}
    config.pop("status", None)
    hub.registry.apply(kind, place, metadata["name"], config, Options(manager=manager, force=True))


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
