"""What controllers do on deletions: dependents by owner uid, contents of namespaces and of definitions.

It acts at once, inside the write that made it necessary; the real ones take their time. Nothing here is asynchronous.
"""

from typing import Protocol

from federation.api.meta import Manifest
from federation.sandbox.kinds import Kind, Kinds
from federation.sandbox.storage import Address, Storage

_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"
_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


class Writes(Protocol):
    """What the collector needs of the registry."""

    storage: Storage
    kinds: Kinds

    def rewrite(self, address: Address, manifest: Manifest) -> None:
        """Write, or remove what is finished."""

    def discard(self, kind: Kind, namespace: str, name: str, propagation: str) -> None:
        """Delete."""


class Collector:
    """Hears of every write of a registry. Disabled, it is an API server without controllers."""

    def __init__(self, writes: Writes, *, enabled: bool) -> None:
        self._writes = writes
        self._enabled = enabled

    def written(self, address: Address, manifest: Manifest) -> None:
        """An object was written: it goes if none of its owners exists, and a deleted one may now be free to go."""
        if not self._enabled:
            return
        metadata = manifest["metadata"]
        if "deletionTimestamp" in metadata:
            self.deleting(address, manifest)
        elif metadata.get("ownerReferences"):
            self._collect(address, manifest)

    def deleting(self, address: Address, manifest: Manifest) -> None:
        """An object waits for its finalizers; some of them are the collector's own."""
        if address.collection.plural == "customresourcedefinitions":
            self._drain_definition(address, manifest)
        if not self._enabled:
            return
        if address.collection == ("", "namespaces"):
            self._drain_namespace(address.name)
        finalizers = manifest["metadata"].get("finalizers") or []
        if _ORPHAN in finalizers:
            self._orphan(address, manifest)
        elif _FOREGROUND in finalizers:
            self._foreground(address, manifest)

    def removed(self, address: Address, last: Manifest) -> None:
        """An object is gone: so are its dependents, and what waited for it may go on."""
        self._drain_waiting_definition(address)
        if not self._enabled:
            return
        for dependent, manifest in self._writes.storage.dependents(last["metadata"]["uid"]):
            self._collect(dependent, manifest)
        for owner in last["metadata"].get("ownerReferences") or []:
            found = self._writes.storage.by_uid(owner["uid"])
            if found and _FOREGROUND in (found["metadata"].get("finalizers") or []):
                self._foreground(self._address(found), found)
        if address.namespace:
            namespace = self._writes.storage.get(
                Address(_namespaces(self._writes.kinds).collection, "", address.namespace)
            )
            if namespace and "deletionTimestamp" in namespace["metadata"]:
                self._drain_namespace(address.namespace)

    def _address(self, manifest: Manifest) -> Address:
        kind = self._writes.kinds.named(manifest["apiVersion"], manifest["kind"])
        assert kind
        return Address(kind.collection, manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"])

    def _collect(self, address: Address, manifest: Manifest) -> None:
        """Delete a dependent whose owners are all gone; with one left, it only loses the references to the others."""
        if "deletionTimestamp" in manifest["metadata"]:
            return
        owners = manifest["metadata"].get("ownerReferences") or []
        gone = [owner for owner in owners if self._is_gone(owner)]
        if not gone:
            return
        rest = [owner for owner in owners if owner not in gone]
        if rest:
            self._writes.rewrite(address, _with(manifest, "ownerReferences", rest))
            return
        kind = self._writes.kinds.kept(address.collection)
        if kind:
            self._writes.discard(kind, address.namespace, address.name, "Background")

    def _is_gone(self, owner: Manifest) -> bool:
        """Unknown kinds are not judged, as the real collector does not."""
        served = self._writes.kinds.named(owner["apiVersion"], owner["kind"])
        return served is not None and self._writes.storage.by_uid(owner["uid"]) is None

    def _orphan(self, address: Address, manifest: Manifest) -> None:
        uid = manifest["metadata"]["uid"]
        for dependent, found in self._writes.storage.dependents(uid):
            rest = [owner for owner in found["metadata"]["ownerReferences"] if owner["uid"] != uid]
            self._writes.rewrite(dependent, _with(found, "ownerReferences", rest))
        self._release(address, _ORPHAN)

    def _foreground(self, address: Address, manifest: Manifest) -> None:
        uid = manifest["metadata"]["uid"]
        for dependent, found in self._blocking(uid):
            kind = self._writes.kinds.kept(dependent.collection)
            if kind and "deletionTimestamp" not in found["metadata"]:
                self._writes.discard(kind, dependent.namespace, dependent.name, "Foreground")
        if not self._blocking(uid):
            self._release(address, _FOREGROUND)

    def _blocking(self, uid: str) -> list[tuple[Address, Manifest]]:
        return [
            (address, manifest)
            for address, manifest in self._writes.storage.dependents(uid)
            if any(
                owner["uid"] == uid and owner.get("blockOwnerDeletion")
                for owner in manifest["metadata"]["ownerReferences"]
            )
        ]

    def _release(self, address: Address, finalizer: str) -> None:
        """Take a finalizer from the object, if it is there still."""
        manifest = self._writes.storage.get(address)
        finalizers = (manifest or {"metadata": {}})["metadata"].get("finalizers") or []
        if manifest and finalizer in finalizers:
            rest = [name for name in finalizers if name != finalizer]
            self._writes.rewrite(address, _with(manifest, "finalizers", rest))

    def _drain_namespace(self, name: str) -> None:
        storage = self._writes.storage
        for collection in storage.collections():
            kind = self._writes.kinds.kept(collection)
            for manifest in storage.values(collection, name) if kind and kind.namespaced else []:
                still = storage.get(Address(collection, name, manifest["metadata"]["name"]))
                if kind and still and "deletionTimestamp" not in still["metadata"]:
                    self._writes.discard(kind, name, manifest["metadata"]["name"], "Background")
        address = Address(_namespaces(self._writes.kinds).collection, "", name)
        namespace = storage.get(address)
        empty = not any(
            storage.values(collection, name) for collection in storage.collections() if collection != ("", "namespaces")
        )
        if namespace and empty and (namespace.get("spec") or {}).get("finalizers"):
            self._writes.rewrite(address, {**namespace, "spec": {}})

    def _drain_definition(self, address: Address, definition: Manifest) -> None:
        spec = definition["spec"]
        kind = next(
            (kind for kind in self._writes.kinds if kind.collection == (spec["group"], spec["names"]["plural"])), None
        )
        for manifest in self._writes.storage.values(kind.collection) if kind else []:
            metadata = manifest["metadata"]
            if kind and "deletionTimestamp" not in metadata:
                self._writes.discard(kind, metadata.get("namespace", ""), metadata["name"], "Background")
        if not kind or not self._writes.storage.values(kind.collection):
            self._release(address, _CLEANUP)

    def _drain_waiting_definition(self, address: Address) -> None:
        name = f"{address.collection.plural}.{address.collection.group}"
        place = next(kind for kind in self._writes.kinds if kind.kind == "CustomResourceDefinition").collection
        definition = self._writes.storage.get(Address(place, "", name))
        if definition and "deletionTimestamp" in definition["metadata"]:
            self._drain_definition(Address(place, "", name), definition)


def _namespaces(kinds: Kinds) -> Kind:
    return next(kind for kind in kinds if kind.kind == "Namespace" and not kind.group)


def _with(manifest: Manifest, field: str, values: list[Manifest] | list[str]) -> Manifest:
    metadata = {key: value for key, value in manifest["metadata"].items() if key != field}
    return {**manifest, "metadata": {**metadata, field: values} if values else metadata}
