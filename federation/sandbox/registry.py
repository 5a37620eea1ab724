"""The verbs that write: create, update, patch, apply, delete, over storage, rules and field managers.

Reads, URLs and representations are not its business; the garbage collector hears of every write.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from federation.api.meta import Manifest
from federation.sandbox import rules
from federation.sandbox.apply import (
    Manager,
    Owned,
    apply,
    before_first_apply,
    read_managers,
    track,
    write_managers,
)
from federation.sandbox.defaults import with_defaults
from federation.sandbox.fieldset import DuplicateKeysError
from federation.sandbox.gc import Collector
from federation.sandbox.kinds import Collection, Kind, Kinds
from federation.sandbox.refusals import (
    RefusalError,
    already_exists,
    bad_request,
    conflict,
    not_found,
    precondition,
    terminating,
)
from federation.sandbox.storage import Address, Storage

NAMESPACES = Collection("", "namespaces")
DEFINITIONS = Collection("apiextensions.k8s.io", "customresourcedefinitions")
_FOR_EVER = ("default", "kube-system", "kube-public")
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Of a write."""

    manager: str = "unknown"
    subresource: str = ""
    dry_run: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """Of a deletion."""

    uid: str = ""
    resource_version: str = ""
    propagation: str = ""
    dry_run: bool = False


class Registry:
    """All objects of one server and the rules for changing them."""

    def __init__(self, storage: Storage, kinds: Kinds, *, clock: Callable[[], datetime], controllers: bool) -> None:
        self.storage = storage
        self.kinds = kinds
        self._clock = clock
        self._collector = Collector(self, enabled=controllers)

    def now(self) -> str:
        """The time as the API writes it."""
        return self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        """One object. Raises 404."""
        found = self.storage.get(Address(kind.collection, namespace, name))
        if found is None:
            raise not_found(kind, name)
        return found if found["apiVersion"] == kind.api_version else {**found, "apiVersion": kind.api_version}

    def create(self, kind: Kind, namespace: str, manifest: Manifest, options: Options) -> Manifest:
        """POST."""
        new = rules.checked(kind, namespace, "", manifest)
        metadata = new["metadata"]
        if metadata.get("resourceVersion"):
            # A plain error of the storage layer there, so it is answered with 500 (measured).
            raise RefusalError(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(secrets.choice(_LETTERS) for _ in range(5))
        metadata.pop("managedFields", None)
        manager = Manager(options.manager, "Update", kind.api_version)
        return self._insert(kind, namespace, new, options, manager=manager)

    def _insert(
        self,
        kind: Kind,
        namespace: str,
        new: Manifest,
        options: Options,
        *,
        managers: dict[Manager, Owned] | None = None,
        manager: Manager | None = None,
    ) -> Manifest:
        """Store a new object; `manager` is tracked as the one who wrote all of it."""
        name = new["metadata"].get("name") or ""
        rules.check_name(kind, name)
        self._check_namespace(kind, namespace, name)
        address = Address(kind.collection, namespace, name)
        if self.storage.get(address) is not None:
            raise already_exists(kind, name)
        now, managers = self.now(), managers or {}
        if manager:
            sent = {key: value for key, value in new.items() if key != "status" or not kind.status}
            managers = track({}, sent, managers, manager, topology=kind.topology, now=now)
        new = with_defaults(rules.born(kind, new, now), None)
        new["metadata"]["managedFields"] = write_managers(managers)
        if options.dry_run:
            return new
        stored = self.storage.put(address, new)
        self._written(address, stored)
        return stored

    def _check_namespace(self, kind: Kind, namespace: str, name: str) -> None:
        if not kind.namespaced:
            return
        found = self.storage.get(Address(NAMESPACES, "", namespace))
        if found is None:
            served = self.kinds.kept(NAMESPACES)
            assert served
            raise not_found(served, namespace)
        if "deletionTimestamp" in found["metadata"]:
            raise terminating(kind, name, namespace)

    def replace(self, kind: Kind, namespace: str, name: str, manifest: Manifest, options: Options) -> Manifest:
        """PUT."""
        new = rules.checked(kind, namespace, name, manifest)
        old = self.get(kind, namespace, name)
        rules.check_preconditions(kind, old, new, patched=False)
        return self._update(kind, old, new, options)

    def patch(
        self, kind: Kind, namespace: str, name: str, change: Callable[[Manifest], Manifest], options: Options
    ) -> Manifest:
        """JSON and merge patches."""
        old = self.get(kind, namespace, name)
        new = rules.checked(kind, namespace, name, change(old))
        new["metadata"]["resourceVersion"] = (
            new["metadata"].get("resourceVersion") or old["metadata"]["resourceVersion"]
        )
        rules.check_preconditions(kind, old, new, patched=True)
        return self._update(kind, old, new, options)

    def _update(self, kind: Kind, old: Manifest, new: Manifest, options: Options) -> Manifest:
        sent = new["metadata"].get("managedFields")
        managers = read_managers(old if sent is None else new)
        new = with_defaults(rules.revised(kind, old, new, options.subresource), old)
        manager = Manager(options.manager, "Update", kind.api_version, options.subresource)
        managers = track(old, new, managers, manager, topology=kind.topology, now=self.now())
        return self._commit(kind, old, new, managers, options)

    def _commit(
        self, kind: Kind, old: Manifest, new: Manifest, managers: dict[Manager, Owned], options: Options
    ) -> Manifest:
        rules.check_revision(kind, old, new)
        new = rules.counted(kind, old, new)
        new = {**new, "metadata": {**new["metadata"], "managedFields": write_managers(managers)}}
        if rules.same(old, new):
            return old
        address = Address(kind.collection, new["metadata"].get("namespace", ""), new["metadata"]["name"])
        if options.dry_run:
            return new
        if rules.finished(new):
            self._remove(address, new)
            return new
        stored = self.storage.put(address, new)
        self._written(address, stored)
        return stored

    def apply(
        self, kind: Kind, namespace: str, name: str, manifest: Manifest, options: Options
    ) -> tuple[Manifest, bool]:
        """Server-side apply; whether the object was created."""
        config = _present(rules.checked(kind, namespace, name, manifest))
        sent = config["metadata"]
        if sent.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        if options.subresource:
            config = {key: value for key, value in config.items() if key in ("apiVersion", "kind", "status")}
        elif kind.status:
            config = {key: value for key, value in config.items() if key != "status"}
        address = Address(kind.collection, namespace, name)
        if self.storage.get(address) is None:
            return self._apply_new(kind, namespace, config, sent, options), True
        old = self.get(kind, namespace, name)
        asked = sent.get("resourceVersion") or old["metadata"]["resourceVersion"]
        rules.check_preconditions(kind, old, {"metadata": {**sent, "resourceVersion": asked}}, patched=True)
        managers = read_managers(old) or before_first_apply(old, kind.topology, kind.api_version, self.now())
        merged, managers = self._applied(kind, old, config, managers, options)
        new = with_defaults(rules.revised(kind, old, merged, options.subresource), old)
        return self._commit(kind, old, new, managers, options), False

    def _apply_new(self, kind: Kind, namespace: str, config: Manifest, sent: Manifest, options: Options) -> Manifest:
        name = sent["name"]
        if options.subresource:
            raise not_found(kind, name)
        if uid := sent.get("uid"):
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise conflict(kind, name, why)
        new, managers = self._applied(kind, {}, config, {}, options)
        return self._insert(kind, namespace, new, options, managers=managers)

    def _applied(
        self, kind: Kind, old: Manifest, config: Manifest, managers: dict[Manager, Owned], options: Options
    ) -> tuple[Manifest, dict[Manager, Owned]]:
        manager = Manager(options.manager, "Apply", kind.api_version, options.subresource)
        try:
            return apply(old, config, managers, manager, topology=kind.topology, force=options.force, now=self.now())
        except DuplicateKeysError as error:
            metadata = config.get("metadata") or {}
            what = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {kind.api_version}, Kind={kind.kind}"
            raise RefusalError(500, "", f"failed to create typed patch object ({what}): {error}") from error

    def delete(self, kind: Kind, namespace: str, name: str, deletion: Deletion) -> tuple[Manifest, bool]:
        """DELETE; the last state, and whether the object is gone."""
        old = self.get(kind, namespace, name)
        metadata = old["metadata"]
        if deletion.uid and deletion.uid != metadata["uid"]:
            raise precondition(kind, name, "UID", deletion.uid, metadata["uid"])
        if deletion.resource_version and deletion.resource_version != metadata["resourceVersion"]:
            asked = deletion.resource_version
            raise precondition(kind, name, "ResourceVersion", asked, metadata["resourceVersion"])
        if kind.collection == NAMESPACES and name in _FOR_EVER:
            message = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
            raise RefusalError(403, "Forbidden", message, {"name": name, "kind": "namespaces"})
        doomed = self._doomed(kind, old, deletion)
        address = Address(kind.collection, namespace, name)
        if deletion.dry_run:
            return doomed, rules.finished(doomed)
        if rules.finished(doomed):
            return self._remove(address, old), True
        if "deletionTimestamp" in metadata and rules.same(old, doomed):
            return old, False
        stored = self.storage.put(address, doomed)
        self._collector.deleting(address, stored)
        return stored, self.storage.get(address) is None

    def discard(self, kind: Kind, namespace: str, name: str, propagation: str) -> None:
        """Delete, if it is there still."""
        if self.storage.get(Address(kind.collection, namespace, name)) is not None:
            self.delete(kind, namespace, name, Deletion(propagation=propagation))

    def _doomed(self, kind: Kind, old: Manifest, deletion: Deletion) -> Manifest:
        """The object with deletionTimestamp and the finalizers of its propagation policy."""
        metadata = dict(old["metadata"])
        policy = deletion.propagation or ("Orphan" if kind.orphans else "Background")
        finalizers = [name for name in metadata.get("finalizers") or [] if name not in ("orphan", "foregroundDeletion")]
        if kind.collection == DEFINITIONS:
            finalizers = list(dict.fromkeys([*finalizers, "customresourcecleanup.apiextensions.k8s.io"]))
        elif kind.collection != NAMESPACES and policy != "Background":
            finalizers.append("orphan" if policy == "Orphan" else "foregroundDeletion")
        metadata.pop("finalizers", None)
        if finalizers:
            metadata["finalizers"] = finalizers
        if "deletionTimestamp" not in metadata:
            metadata |= {"deletionTimestamp": self.now(), "deletionGracePeriodSeconds": 0}
            if metadata.get("generation"):
                metadata["generation"] += 1
        doomed = {**old, "metadata": metadata}
        if kind.collection == NAMESPACES:
            doomed["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
        return doomed

    def rewrite(self, address: Address, manifest: Manifest) -> None:
        """A controller's write, which obeys no precondition: remove it if nothing holds it any more."""
        if rules.finished(manifest):
            self._remove(address, manifest)
        else:
            self._written(address, self.storage.put(address, manifest))

    def _remove(self, address: Address, manifest: Manifest) -> Manifest:
        last = self.storage.remove(address, manifest)
        if address.collection == DEFINITIONS:
            self.kinds.forget(address.name)
        self._collector.removed(address, last)
        return last

    def _written(self, address: Address, stored: Manifest) -> None:
        if address.collection == DEFINITIONS:
            self.kinds.learn(stored)
        self._collector.written(address, stored)


def _present(config: Manifest) -> Manifest:
    """Without nulls: to an apply they mean a field that is not there."""
    return {
        key: _present(value) if isinstance(value, dict) else value for key, value in config.items() if value is not None
    }
