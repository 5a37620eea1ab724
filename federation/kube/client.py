"""Verbs of the Kubernetes API over a Transport: requests are prepared and answers read here, nothing else.

Retries are few: what the server asks to repeat (429, 503 with Retry-After), and reads after a broken connection. All
else goes back to the caller's queue. A lost reply to a write is the caller's to find out about.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from federation.api.meta import FIELD_MANAGER, Manifest
from federation.kube.discovery import AGGREGATED, Discovery, from_aggregated, from_resource_list
from federation.kube.errors import ApiError, TooManyRequests, Unavailable, discreet, error_from
from federation.kube.metrics import count_request
from federation.kube.resource import Resource
from federation.kube.transport import Response, Stream, Transport

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

_SECRETS = re.compile(r"/api/v1/(namespaces/[^/]+/)?secrets([/?]|$)")
"""Paths of objects whose values must not show in what a server says of them (I16)."""
_ATTEMPTS = 3
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class ListPage:
    """All items of a list and the resourceVersion to watch from."""

    items: list[Manifest]
    resource_version: str


class Client:
    """One API server. Raises ApiError and its kinds; never logs a body or a header."""

    def __init__(self, transport: Transport, *, name: str = "", field_manager: str = FIELD_MANAGER) -> None:
        self.name = name
        self.requests: Counter[tuple[str, int]] = Counter()
        """How many requests were answered, by (method, status)."""
        self._transport = transport
        self._field_manager = field_manager
        self._closed = False

    async def close(self) -> None:
        """Close the connections."""
        self._closed = True
        await self._transport.close()

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, cached: bool = False
    ) -> Manifest:
        """One object, by a quorum read unless `cached` (then the server may answer from its watch cache)."""
        query = {"resourceVersion": "0"} if cached else {}
        return await self._json("GET", resource.path(namespace, name), query=query)

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        cached: bool = False,
        metadata_only: bool = False,
        limit: int = 0,
    ) -> ListPage:
        """All objects of a kind; pages are followed to the end."""
        query = _selectors(label_selector, field_selector)
        if cached:
            query["resourceVersion"] = "0"
        if limit:
            query["limit"] = str(limit)
        accept = METADATA_LIST if metadata_only else JSON
        items: list[Manifest] = []
        while True:
            page = await self._json("GET", resource.path(namespace), query=query, accept=accept)
            items.extend(page.get("items") or [])
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                return ListPage(items, str(metadata.get("resourceVersion") or ""))
            query = {**query, "continue": metadata["continue"]}
            query.pop("resourceVersion", None)

    async def list_bytes(self, path: str, *, accept: str = JSON) -> bytes:
        """The undecoded answer of a list; for the reflector, which keeps bytes."""
        return (await self._request("GET", path, accept=accept)).body

    @asynccontextmanager
    async def watch(self, path: str, *, accept: str = JSON) -> AsyncIterator[Stream]:
        """The stream of a watch. Raises as the server refused it."""
        async with self._transport.stream(path, accept=accept) as stream:
            if stream.status >= 400:
                body = b"".join([chunk async for chunk in stream.chunks()])
                raise error_from(stream.status, body, stream.headers)
            yield stream

    async def create(self, resource: Resource, manifest: Manifest, namespace: str | None = None) -> Manifest:
        """POST. Raises AlreadyExists."""
        namespace = namespace or manifest["metadata"].get("namespace")
        query = {"fieldManager": self._field_manager}
        return await self._json("POST", resource.path(namespace), query=query, body=manifest)

    async def replace(self, resource: Resource, manifest: Manifest, *, subresource: str | None = None) -> Manifest:
        """PUT; a resourceVersion in the manifest guards it. Raises Conflict."""
        metadata = manifest["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        return await self._json("PUT", path, query={"fieldManager": self._field_manager}, body=manifest)

    async def apply(
        self,
        resource: Resource,
        manifest: Manifest,
        *,
        force: bool = True,
        create_only: bool = False,
        dry_run: bool = False,
        subresource: str | None = None,
    ) -> Manifest:
        """Server-side apply. `create_only`: created, or Conflict where anything of that name exists (one request)."""
        metadata = manifest["metadata"]
        if create_only:
            # "1" is never the version of an object, and "0" would mean no precondition (measured, python_stack 2.8).
            manifest = {**manifest, "metadata": {**metadata, "resourceVersion": "1"}}
        query = {"fieldManager": self._field_manager}
        if force and not create_only:
            query["force"] = "true"
        if dry_run:
            query["dryRun"] = "All"
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        return await self._json("PATCH", path, query=query, body=manifest, content_type=APPLY_PATCH)

    async def json_patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        operations: Sequence[Mapping[str, Any]],
        *,
        subresource: str | None = None,
    ) -> Manifest:
        """JSON patch; a failed `test` raises Invalid."""
        path = resource.path(namespace, name, subresource)
        query = {"fieldManager": self._field_manager}
        return await self._json("PATCH", path, query=query, body=operations, content_type=JSON_PATCH)

    async def merge_patch(
        self, resource: Resource, name: str, namespace: str | None, patch: Manifest, *, subresource: str | None = None
    ) -> Manifest:
        """Merge patch; a resourceVersion in it guards it."""
        path = resource.path(namespace, name, subresource)
        query = {"fieldManager": self._field_manager}
        return await self._json("PATCH", path, query=query, body=patch, content_type=MERGE_PATCH)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        """DELETE with preconditions. Raises NotFound, and Conflict when a precondition fails."""
        options: Manifest = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if uid or resource_version:
            options["preconditions"] = {key: value for key, value in preconditions.items() if value}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        await self._request("DELETE", resource.path(namespace, name), body=options, content_type=JSON)

    async def post(self, path: str, body: Manifest) -> Manifest:
        """POST to a path of its own: TokenRequest, access reviews."""
        return await self._json("POST", path, body=body)

    async def get_raw(self, path: str) -> bytes:
        """GET any path; the bytes of the answer."""
        return (await self._request("GET", path)).body

    async def version(self) -> str:
        """`v1.36.3`."""
        return str((await self._json("GET", "/version")).get("gitVersion") or "")

    async def discover(self) -> Discovery:
        """Which kinds are served."""
        core = await self._json("GET", "/api", accept=AGGREGATED)
        groups = await self._json("GET", "/apis", accept=AGGREGATED)
        if core.get("kind") == "APIGroupDiscoveryList" and groups.get("kind") == "APIGroupDiscoveryList":
            return from_aggregated([core, groups])
        return await self._discover_old(groups)

    async def _discover_old(self, groups: Manifest) -> Discovery:
        versions = [("", "v1")]
        for group in groups.get("groups") or []:
            preferred = (group.get("preferredVersion") or {}).get("version")
            names = [entry["version"] for entry in group.get("versions") or []]
            versions += [(group["name"], name) for name in sorted(names, key=lambda name: name != preferred)]
        resources: list[Resource] = []
        unknown: set[str] = set()
        for name, version in versions:
            path = f"/apis/{name}/{version}" if name else f"/api/{version}"
            try:
                resources.extend(from_resource_list(name, version, await self._json("GET", path)))
            except ApiError:
                unknown.add(f"{name}/{version}" if name else version)
        return Discovery(resources=tuple(resources), unknown=frozenset(unknown))

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Manifest:
        if query:
            path = f"{path}?{urlencode(query)}"
        response = await self._request(method, path, body=body, content_type=content_type, accept=accept)
        decoded: Manifest = orjson.loads(response.body)
        return decoded

    async def _request(
        self, method: str, path: str, *, body: Any = None, content_type: str | None = None, accept: str = JSON
    ) -> Response:
        data = orjson.dumps(body) if body is not None else None
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = await self._transport.request(
                    method, path, body=data, content_type=content_type if data else None, accept=accept
                )
            except Unavailable:
                self._count(method, 0)
                if method != "GET" or attempt == _ATTEMPTS:
                    raise
                await asyncio.sleep(0.05 * attempt)
                continue
            self._count(method, response.status)
            if response.status < 400:
                return response
            error = error_from(response.status, response.body, response.headers)
            if method != "GET" and _SECRETS.match(path):
                error = discreet(error)
            asked = isinstance(error, TooManyRequests | Unavailable) and error.retry_after is not None
            if not asked or attempt == _ATTEMPTS:
                try:
                    raise error
                finally:
                    # Else its traceback and this frame hold each other, and the answer, until the collector comes (app.py: seldom).
                    del error
            await asyncio.sleep(min(error.retry_after or 0.0, _LONGEST_PAUSE))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _count(self, method: str, status: int) -> None:
        self.requests[method, status] += 1
        if not self._closed:  # the series of a cluster that left stay away
            count_request(self.name, method, status)


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    query: dict[str, str] = {}
    if label_selector:
        query["labelSelector"] = label_selector
    if field_selector:
        query["fieldSelector"] = field_selector
    return query
