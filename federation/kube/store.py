"""The cache of one kind: small typed metadata plus the raw bytes, indexes, and handlers that are told of every change.

Ordering rules: an event never replaces a newer object; a relist replaces everything; our own write enters at once
(`learn`), but never brings back an object whose deletion was seen. One event loop, no await between store and indexes.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
import orjson

from federation.api.meta import Manifest

log = logging.getLogger(__name__)

REMEMBERED = 60.0
"""Seconds for which a deletion is remembered: longer than the answer to an own write may take, which must not bring it back."""


class Owner(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One owner reference."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class _Metadata(msgspec.Struct, gc=False, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[Owner] | None = None
    finalizers: list[str] | None = None
    deletion_timestamp: str | None = None


class _Head(msgspec.Struct, gc=False, rename="camel"):
    metadata: _Metadata


_decode_head = msgspec.json.Decoder(_Head).decode


class Cached(msgspec.Struct, frozen=True, gc=False):
    """One object as last seen. Immutable; `manifest()` decodes a fresh copy to work on."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    labels: dict[str, str]
    annotations: dict[str, str]
    owners: tuple[Owner, ...]
    finalizers: tuple[str, ...]
    deleting: bool
    raw: bytes
    api_version: str
    kind: str

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return self.namespace, self.name

    def manifest(self) -> Manifest:
        """The object, decoded anew; items of a list come without apiVersion and kind, which are added here."""
        decoded: Manifest = orjson.loads(self.raw)
        if not decoded.get("kind"):
            decoded["apiVersion"], decoded["kind"] = self.api_version, self.kind
        return decoded


def read(raw: bytes, api_version: str = "", kind: str = "") -> Cached:
    """A cached view of one object of a kind. Raises msgspec.DecodeError for what is not one."""
    metadata = _decode_head(raw).metadata
    return Cached(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        generation=metadata.generation,
        labels=metadata.labels or {},
        annotations=metadata.annotations or {},
        owners=tuple(metadata.owner_references or ()),
        finalizers=tuple(metadata.finalizers or ()),
        deleting=metadata.deletion_timestamp is not None,
        raw=raw,
        api_version=api_version,
        kind=kind,
    )


@dataclass(frozen=True, slots=True)
class Change:
    """Before and after; None before means added, None after means deleted."""

    old: Cached | None
    new: Cached | None


Handler = Callable[[Change], None]
Key = tuple[str, str]


class Store:
    """Objects of one kind by (namespace, name)."""

    def __init__(self, api_version: str = "", kind: str = "") -> None:
        self._type = (api_version, kind)
        self.synced = False
        """Whether everything has been listed at least once: only then does an absence mean anything."""
        self._objects: dict[Key, Cached] = {}
        self._handlers: list[Handler] = []
        self._indexers: dict[str, Callable[[Cached], Iterable[str]]] = {}
        self._indexes: dict[str, dict[str, dict[Key, Cached]]] = {}
        self._deleted: dict[str, float] = {}
        """UID -> when its deletion was seen (monotonic), oldest first."""
        self._synced = asyncio.Event()

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, namespace: str, name: str) -> Cached | None:
        """One object; the namespace is empty for a cluster-scoped one."""
        return self._objects.get((namespace, name))

    def values(self) -> list[Cached]:
        """All objects."""
        return list(self._objects.values())

    def add_index(self, name: str, keys: Callable[[Cached], Iterable[str]]) -> None:
        """Index all objects, present and future, by what `keys` says of them. Adding the same name again is a no-op."""
        if name in self._indexers:
            return
        self._indexers[name] = keys
        self._indexes[name] = defaultdict(dict)
        for entry in self._objects.values():
            self._index(name, entry)

    def by_index(self, name: str, key: str) -> list[Cached]:
        """The objects that an index files under `key`."""
        return list(self._indexes[name].get(key, {}).values())

    def subscribe(self, handler: Handler) -> None:
        """Tell `handler` of everything present and of every change. It must only compute keys and queue them."""
        self._handlers.append(handler)
        for entry in self.values():
            self._tell(handler, Change(None, entry))

    async def wait_synced(self) -> None:
        """Return once everything has been listed."""
        await self._synced.wait()

    def learn(self, manifest: Manifest | bytes) -> None:
        """Take in the answer to an own write, if it is newer than what is here and not known to be deleted."""
        entry = read(manifest if isinstance(manifest, bytes) else orjson.dumps(manifest), *self._type)
        if entry.uid in self._deleted:
            return
        self._put(entry)

    def put(self, raw: bytes) -> None:
        """ADDED or MODIFIED."""
        self._put(read(raw, *self._type))

    def remove(self, raw: bytes) -> None:
        """DELETED; an object that has been made anew under the same name stays."""
        gone = read(raw, *self._type)
        self._bury(gone.uid)
        here = self._objects.get(gone.key)
        if here is not None and here.uid == gone.uid:
            self._drop(here)

    def replace(self, raws: Iterable[bytes], resource_version: str) -> None:
        """A whole list: what is not in it is deleted, unless we wrote it after the list was made."""
        listed: set[Key] = set()
        for raw in raws:
            entry = read(raw, *self._type)
            listed.add(entry.key)
            self._deleted.pop(entry.uid, None)
            here = self._objects.get(entry.key)
            if here is not None and here.uid == entry.uid and _newer(here, entry.resource_version):
                continue
            self._set(entry)
        for entry in self.values():
            if entry.key not in listed and not _newer(entry, resource_version):
                self._bury(entry.uid)
                self._drop(entry)
        if not self.synced:
            self.synced = True
            self._synced.set()

    def _put(self, entry: Cached) -> None:
        here = self._objects.get(entry.key)
        if here is not None and here.uid == entry.uid and not _newer(entry, here.resource_version):
            return
        self._set(entry)

    def _set(self, entry: Cached) -> None:
        here = self._objects.get(entry.key)
        if here is not None and here.resource_version == entry.resource_version and here.uid == entry.uid:
            return
        if here is not None:
            self._unindex(here)
            if here.uid != entry.uid:
                self._bury(here.uid)
        self._objects[entry.key] = entry
        for name in self._indexers:
            self._index(name, entry)
        self._notify(Change(here, entry))

    def _drop(self, entry: Cached) -> None:
        del self._objects[entry.key]
        self._unindex(entry)
        self._notify(Change(entry, None))

    def _bury(self, uid: str) -> None:
        now = time.monotonic()
        self._deleted.pop(uid, None)
        self._deleted[uid] = now
        while now - self._deleted[oldest := next(iter(self._deleted))] > REMEMBERED:
            del self._deleted[oldest]

    def _index(self, name: str, entry: Cached) -> None:
        for key in self._indexers[name](entry):
            self._indexes[name][key][entry.key] = entry

    def _unindex(self, entry: Cached) -> None:
        for name, keys in self._indexers.items():
            for key in keys(entry):
                filed = self._indexes[name].get(key)
                if filed is not None:
                    filed.pop(entry.key, None)
                    if not filed:
                        del self._indexes[name][key]

    def _notify(self, change: Change) -> None:
        for handler in self._handlers:
            self._tell(handler, change)

    @staticmethod
    def _tell(handler: Handler, change: Change) -> None:
        try:
            handler(change)
        except Exception:
            entry = change.new or change.old
            log.exception("a handler failed on %s", entry.key if entry else "")


def _newer(entry: Cached, than: str) -> bool:
    """Resource versions are comparable integers (KEP-5504); what is none counts as newer, so that nothing is lost."""
    try:
        return int(entry.resource_version) > int(than)
    except ValueError:
        return True
