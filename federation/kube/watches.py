"""The set of reflectors of one API server, changing while it runs: kinds are wanted and unwanted at any time."""

import asyncio

from federation.kube.client import Client
from federation.kube.errors import ApiError, Unavailable
from federation.kube.reflector import Reflector
from federation.kube.resource import Resource
from federation.kube.store import Store


class Watches:
    """Stores by resource. `want` may be called before `run`; every task is owned by `run`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stores: dict[Resource, Store] = {}
        self._reflectors: dict[Resource, Reflector] = {}
        self._tasks: dict[Resource, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def want(
        self,
        resource: Resource,
        *,
        label_selector: str = "",
        namespace: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
    ) -> Store:
        """The store of a kind, watched from now on. Asking again returns the same store, whatever the selectors."""
        store = self._stores.get(resource)
        if store is not None:
            return store
        store = self._stores[resource] = Store(resource.api_version, resource.kind)
        self._reflectors[resource] = Reflector(
            self._client,
            resource,
            store,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            metadata_only=metadata_only,
        )
        if self._group is not None:
            self._start(resource)
        return store

    def unwant(self, resource: Resource) -> None:
        """Stop watching a kind and forget its store."""
        self._stores.pop(resource, None)
        self._reflectors.pop(resource, None)
        task = self._tasks.pop(resource, None)
        if task is not None:
            task.cancel()

    def clear(self) -> None:
        """Forget every store, once `run` has ended: its handlers hold whoever asked for it, who holds this."""
        self._stores.clear()
        self._reflectors.clear()
        self._tasks.clear()

    def store(self, resource: Resource) -> Store | None:
        """The store of a kind, if it is wanted."""
        return self._stores.get(resource)

    def error(self, resource: Resource) -> ApiError | None:
        """Why a kind cannot be read right now, if the server said so."""
        reflector = self._reflectors.get(resource)
        return reflector.error if reflector is not None else None

    def hurry(self) -> None:
        """The server answers again: no kind that it did not answer for waits for the rest of its pause."""
        for reflector in self._reflectors.values():
            if isinstance(reflector.error, Unavailable):
                reflector.hurry()

    @property
    def all_synced(self) -> bool:
        """Whether every wanted kind has been listed."""
        return all(store.synced for store in self._stores.values())

    async def wait_synced(self, *, timeout: float | None) -> None:  # noqa: ASYNC109 - the caller's own words
        """Return once every kind that is wanted now has been listed. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            for store in list(self._stores.values()):
                await store.wait_synced()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for resource in list(self._reflectors):
                    self._start(resource)
                await asyncio.Event().wait()
            finally:
                self._group = None

    def _start(self, resource: Resource) -> None:
        if self._group is not None:
            run = self._reflectors[resource].run()
            self._tasks[resource] = self._group.create_task(run, name=f"watch-{self._client.name}-{resource.plural}")
