"""Where the sandbox keeps objects: one version counter, events since the last compaction, an index of owners.

Objects are never changed in place, so that readers, events and watchers share them. No rules of the API live here.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from federation.api.meta import Manifest
from federation.sandbox.kinds import Collection


class Address(NamedTuple):
    """Where one object is kept."""

    collection: Collection
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Event:
    """One change: no `old` means added, no `new` means deleted, `last` is what watchers of a deletion are shown."""

    version: int
    old: Manifest | None
    new: Manifest | None
    last: Manifest


Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that was stored at one version; objects are shared, as they never change in place."""

    version: int
    objects: dict[Collection, dict[tuple[str, str], Manifest]]


class Storage:
    """All objects of one server."""

    def __init__(self, *, history: int) -> None:
        self.version = 1
        """The resourceVersion of the last write."""
        self._history = history
        self._objects: dict[Collection, dict[tuple[str, str], Manifest]] = defaultdict(dict)
        self._events: dict[Collection, deque[Event]] = defaultdict(deque)
        self._forgotten: dict[Collection, int] = defaultdict(int)
        self._compacted = 0
        self._listeners: dict[Collection, list[Listener]] = defaultdict(list)
        self._uids: dict[str, Address] = {}
        self._dependents: dict[str, set[Address]] = defaultdict(set)

    def get(self, address: Address) -> Manifest | None:
        """One object."""
        return self._objects[address.collection].get((address.namespace, address.name))

    def values(self, collection: Collection, namespace: str = "") -> list[Manifest]:
        """Objects in order of namespace and name."""
        kept = self._objects[collection]
        return [kept[key] for key in sorted(kept) if not namespace or key[0] == namespace]

    def collections(self) -> list[Collection]:
        """Those that hold something."""
        return [collection for collection, kept in self._objects.items() if kept]

    def put(self, address: Address, manifest: Manifest) -> Manifest:
        """Write; the object as stored, with its resourceVersion."""
        old = self.get(address)
        stored = self._versioned(manifest)
        self._index(address, old, stored)
        self._objects[address.collection][address.namespace, address.name] = stored
        self._publish(address.collection, Event(self.version, old, stored, stored))
        return stored

    def remove(self, address: Address, manifest: Manifest) -> Manifest:
        """Delete; `manifest` is the last state, which watchers see with the resourceVersion of the deletion."""
        old = self._objects[address.collection].pop((address.namespace, address.name))
        self._index(address, old, None)
        last = self._versioned(manifest)
        self._publish(address.collection, Event(self.version, old, None, last))
        return last

    def _versioned(self, manifest: Manifest) -> Manifest:
        self.version += 1
        return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(self.version)}}

    def _index(self, address: Address, old: Manifest | None, new: Manifest | None) -> None:
        for manifest, present in ((old, False), (new, True)):
            if manifest is None:
                continue
            metadata = manifest["metadata"]
            if present:
                self._uids[metadata["uid"]] = address
            else:
                self._uids.pop(metadata["uid"], None)
            for owner in metadata.get("ownerReferences") or []:
                if present:
                    self._dependents[owner["uid"]].add(address)
                else:
                    self._dependents[owner["uid"]].discard(address)

    def by_uid(self, uid: str) -> Manifest | None:
        """The object of that uid."""
        address = self._uids.get(uid)
        return self.get(address) if address else None

    def dependents(self, uid: str) -> list[tuple[Address, Manifest]]:
        """Objects with an owner reference to the uid."""
        found = [(address, self.get(address)) for address in sorted(self._dependents.get(uid, ()))]
        return [(address, manifest) for address, manifest in found if manifest is not None]

    def snapshot(self) -> Snapshot:
        """What is stored now, as a backup of etcd has it."""
        return Snapshot(self.version, {collection: dict(kept) for collection, kept in self._objects.items()})

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot, resourceVersions too; nobody who watches is told."""
        self.version = snapshot.version
        self._objects.clear()
        self._uids.clear()
        self._dependents.clear()
        for collection, kept in snapshot.objects.items():
            self._objects[collection] = dict(kept)
            for (namespace, name), manifest in kept.items():
                self._index(Address(collection, namespace, name), None, manifest)
        self._forgotten.clear()
        self.compact()

    def compact(self) -> None:
        """Forget all events: watches from before now are too old."""
        self._events.clear()
        self._compacted = self.version

    def oldest(self, collection: Collection) -> int:
        """The lowest resourceVersion that can still be watched from."""
        return max(self._compacted, self._forgotten[collection])

    def since(self, collection: Collection, version: int) -> Iterator[Event]:
        """Events after a resourceVersion."""
        return (event for event in self._events[collection] if event.version > version)

    def listen(self, collection: Collection, listener: Listener) -> Callable[[], None]:
        """Hear of each change as it is made; call the result to stop."""
        listeners = self._listeners[collection]
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def _publish(self, collection: Collection, event: Event) -> None:
        events = self._events[collection]
        events.append(event)
        if len(events) > self._history:
            self._forgotten[collection] = events.popleft().version
        for listener in list(self._listeners[collection]):
            listener(event)
