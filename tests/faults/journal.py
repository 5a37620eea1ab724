"""What happened, in one order: what our process asked and was answered, what it was told, and what was true.

`Asked`, `Answered` and `Told` come from the proxies, so they are exact about what our process could know when it wrote.
`Seen` comes from the observer, which watches hub and members past the proxies, whatever faults there are. `Note` is the
test's own remark: an act, quiet, a partition. Folding the entries gives the states that the invariants are checked on.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from federation.kube.client import Client
from federation.kube.errors import ApiError
from federation.kube.reflector import lines
from federation.kube.resource import Resource
from tests.faults.rules import Request

Manifest = dict[str, Any]
Key = tuple[str, str, str, str]
"""(server, resource, namespace, name)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that happened at a monotonic second."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Entry):
    """A request of ours reached the proxy. `number` counts the writes, from 1; 0 for a read."""

    request: Request
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Entry):
    """The API server answered it, whatever our process heard of that. `object`: the decoded body of a write or a get."""

    request: Request
    status: int
    object: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Entry):
    """An object came, changed or went. For `change` LISTED `object` is None and the items follow: a list replaces."""

    server: str
    resource: str
    change: str
    object: Manifest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Change):
    """Our process was told so: a watch line or a list that was handed to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Change):
    """It is so: the observer's own watch said it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Entry):
    """The test's remark: `act`, `quiet`, `started` (our process, which knows nothing), `cut` and `healed` of a server."""

    text: str
    server: str = ""


class Journal:
    """The entries so far. Not for threads: proxies, observer and notes share one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.entries: list[Entry] = []
        self.clock = clock
        self.writes = 0

    def asked(self, request: Request) -> None:
        """A request reached a proxy."""
        self.writes += request.writes
        self.entries.append(Asked(at=self.clock(), request=request, number=self.writes if request.writes else 0))

    def answered(self, request: Request, status: int, body: bytes) -> None:
        """An API server answered; bodies of lists and watches are told item by item instead."""
        decoded = _decoded(body) if request.writes or request.verb == "get" else None
        self.entries.append(Answered(at=self.clock(), request=request, status=status, object=decoded))
        # A list of one namespace replaces nothing: the stores of our process are of whole clusters.
        if request.verb == "list" and status < 400 and not request.namespace:
            listed = (_decoded(body) or {}).get("items") or []
            self.told(request, "LISTED", None)
            for item in listed:
                self.told(request, "ADDED", item)

    def told(self, request: Request, change: str, found: Manifest | None) -> None:
        """Our process is about to be told of a change."""
        self.tell(request.server, request.resource, change, found)

    def tell(self, server: str, resource: str, change: str, found: Manifest | None) -> None:
        """Our process knows of a change."""
        self.entries.append(Told(at=self.clock(), server=server, resource=resource, change=change, object=found))

    def seen(self, server: str, resource: str, change: str, found: Manifest | None) -> None:
        """The observer saw a change."""
        self.entries.append(Seen(at=self.clock(), server=server, resource=resource, change=change, object=found))

    def note(self, text: str, server: str = "") -> None:
        """A remark of the test."""
        self.entries.append(Note(at=self.clock(), text=text, server=server))


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


@dataclass(slots=True)
class State:
    """Objects as they were after some entry. Nothing older than what is known replaces it (resourceVersion, UID)."""

    objects: dict[Key, Manifest] = field(default_factory=dict)
    listed: set[tuple[str, str]] = field(default_factory=set)
    """(server, resource) that has been listed once: from then on an absence means something."""
    _gone: set[str] = field(default_factory=set)

    def get(self, server: str, resource: str, namespace: str, name: str) -> Manifest | None:
        """One object."""
        return self.objects.get((server, resource, namespace, name))

    def every(self, resource: str, server: str = "") -> Iterator[tuple[Key, Manifest]]:
        """All objects of a resource, of one server or of all."""
        for key, found in self.objects.items():
            if key[1] == resource and server in ("", key[0]):
                yield key, found

    def put(self, server: str, resource: str, found: Manifest) -> None:
        """An object is so, unless something newer is known of it."""
        metadata = found["metadata"]
        key = (server, resource, metadata.get("namespace") or "", metadata["name"])
        known = self.objects.get(key)
        if metadata["uid"] in self._gone or (known is not None and _version(known) > _version(found)):
            return
        self.objects[key] = found

    def drop(self, key: Key, uid: str) -> None:
        """An object is gone."""
        known = self.objects.get(key)
        self._gone.add(uid)
        if known is not None and known["metadata"]["uid"] == uid:
            del self.objects[key]

    def forget(self, server: str, resource: str) -> None:
        """A list follows: what it does not name is not there."""
        self.listed.add((server, resource))
        for key in [key for key in self.objects if key[:2] == (server, resource)]:
            del self.objects[key]

    def change(self, entry: Change) -> None:
        """Fold in what a watch or a list said."""
        if entry.object is None:
            self.forget(entry.server, entry.resource)
        elif entry.change == "DELETED":
            metadata = entry.object["metadata"]
            key = (entry.server, entry.resource, metadata.get("namespace") or "", metadata["name"])
            self.drop(key, metadata["uid"])
        else:
            self.put(entry.server, entry.resource, entry.object)

    def answer(self, entry: Answered) -> None:
        """Fold in what an API server answered: the object after a write or a get, or that there is none."""
        request, found = entry.request, entry.object
        key = (request.server, request.resource, request.namespace, request.name)
        whole = isinstance(found, dict) and "uid" in (found.get("metadata") or {})
        if entry.status < 300 and whole and request.verb in ("create", "update", "patch", "delete", "get"):
            self.put(request.server, request.resource, found)
        gone = entry.status < 300 if request.verb == "delete" else entry.status == 404 and request.verb == "get"
        if gone and not whole and key in self.objects:
            self.drop(key, self.objects[key]["metadata"]["uid"])


def truth(journal: Sequence[Entry]) -> Iterator[tuple[int, Entry, State]]:
    """Every entry with the true state after it: what the observer saw, and what our own writes were answered."""
    state = State()
    for index, entry in enumerate(journal):
        if isinstance(entry, Seen):
            state.change(entry)
        elif isinstance(entry, Answered) and entry.request.writes:
            state.answer(entry)
        yield index, entry, state


def known(journal: Sequence[Entry]) -> Iterator[tuple[int, Entry, State]]:
    """Every entry with the most that our process can know after it; a new process knows nothing."""
    state = State()
    for index, entry in enumerate(journal):
        if isinstance(entry, Told):
            state.change(entry)
        elif isinstance(entry, Answered):
            state.answer(entry)
        elif isinstance(entry, Note) and entry.text == "started":
            state = State()
        yield index, entry, state


def _version(found: Manifest) -> int:
    return int(found["metadata"].get("resourceVersion") or 0)


def line_of(entry: Entry) -> str:
    """An entry for people."""
    text = f"{entry.at:.3f} {type(entry).__name__}"
    if isinstance(entry, Change):
        found = entry.object or {"metadata": {}}
        spec, status = found.get("spec") or {}, found.get("status") or {}
        numbers = f"replicas={spec.get('replicas')} available={status.get('availableReplicas')}"
        decision = (status.get("decision") or {}).get("targets")
        more = f"targets={decision}" if decision is not None else numbers
        return f"{text} {entry.server}: {entry.change} {entry.resource} {found['metadata'].get('name', '')} {more}"
    if isinstance(entry, Note):
        return f"{text} {entry.text} {entry.server}"
    return f"{text} {getattr(entry, 'request', '')} {getattr(entry, 'status', '')}"


class Observer:
    """Watches some resources of some servers directly, into the journal and into `state`. Its tasks are the caller's."""

    def __init__(self, journal: Journal) -> None:
        self.state = State()
        self._journal = journal
        self._synced: dict[tuple[str, str], asyncio.Event] = {}

    def watch(self, client: Client, resources: Sequence[Resource]) -> list[asyncio.Task[None]]:
        """Start watching; the tasks run until cancelled."""
        for resource in resources:
            self._synced[client.name, resource.plural] = asyncio.Event()
        return [asyncio.create_task(self._follow(client, one), name=f"observe-{client.name}") for one in resources]

    async def synced(self) -> None:
        """Return once everything has been listed."""
        for event in self._synced.values():
            await event.wait()

    def _see(self, server: str, resource: str, change: str, found: Manifest | None) -> None:
        self._journal.seen(server, resource, change, found)
        entry = self._journal.entries[-1]
        assert isinstance(entry, Change)
        self.state.change(entry)

    async def _follow(self, client: Client, resource: Resource) -> None:
        while True:
            try:
                await self._watch(client, resource, await self._list(client, resource))
            except ApiError as error:
                self._journal.note(f"the observer lists {resource.plural} again: {error}", client.name)
            await asyncio.sleep(0.2)

    async def _list(self, client: Client, resource: Resource) -> str:
        page = await client.list(resource)
        self._see(client.name, resource.plural, "LISTED", None)
        for item in page.items:
            self._see(client.name, resource.plural, "ADDED", item)
        self._synced[client.name, resource.plural].set()
        return page.resource_version

    async def _watch(self, client: Client, resource: Resource, version: str) -> None:
        path = f"{resource.path()}?watch=true&resourceVersion={version}&timeoutSeconds=3600"
        async with client.watch(path) as stream:
            async for line in lines(stream.chunks()):
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    return
                self._see(client.name, resource.plural, event["type"], event["object"])
