"""The API servers that the semantics are tested on: the sandbox, and a real one (marked e2e), which keeps it honest.

The real one is a hub of hack/clusters: API server, garbage collector and namespace controller. FEDERATION_REAL_API may
name the kubeconfig of another one. The tests make namespaces and definitions of their own there, and remove them.
"""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from federation.kube.client import Client
from federation.kube.credentials import Credentials
from federation.kube.errors import NotFound
from federation.kube.resource import CONFIG_MAPS, CRDS, NAMESPACES, Resource
from federation.kube.transport import AioTransport, Response, Transport
from federation.sandbox import ApiServer
from hack.lab.providers import cluster_set

KINDS = [pytest.param("sandbox", id="sandbox"), pytest.param("real", id="real", marks=pytest.mark.e2e)]


@pytest.fixture(scope="session")
def real_api() -> Iterator[str]:
    """Path of a kubeconfig of a real API server."""
    named = os.environ.get("FEDERATION_REAL_API")
    if named:
        yield named
        return
    clusters = cluster_set(f"api-{os.getpid()}")
    clusters.up(members=0)
    try:
        yield str(clusters.kubeconfig("hub"))
    finally:
        clusters.down()


@dataclass
class Api:
    """One server as the tests see it."""

    transport: Transport
    client: Client
    namespace: str
    real: bool
    sandbox: ApiServer | None = None
    others: list[tuple[Resource, str]] = field(default_factory=list)
    """Cluster-scoped objects to remove at the end."""

    def config_map(self, name: str = "a", **fields: Any) -> dict[str, Any]:
        """A ConfigMap; `metadata` adds to what it has."""
        metadata = {"name": name, "namespace": self.namespace, **fields.pop("metadata", {})}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **fields}

    async def create(self, name: str = "a", **fields: Any) -> dict[str, Any]:
        """Create a ConfigMap."""
        return await self.client.create(CONFIG_MAPS, self.config_map(name, **fields))

    async def get(self, name: str = "a") -> dict[str, Any]:
        """Read a ConfigMap."""
        return await self.client.get(CONFIG_MAPS, name, self.namespace)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """A raw request; (status, decoded body)."""
        data = orjson.dumps(body) if body is not None else None
        response: Response = await self.transport.request(
            method, path, body=data, content_type=content_type if data else None, accept=accept
        )
        return response.status, orjson.loads(response.body)

    async def apply(
        self,
        resource: Resource,
        manifest: dict[str, Any],
        manager: str = "one",
        *,
        query: str = "",
        subresource: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """A server-side apply as some manager."""
        metadata = manifest["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        path += f"?fieldManager={manager}{query}"
        return await self.send("PATCH", path, manifest, content_type="application/apply-patch+yaml")

    async def gone(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        """Wait until an object is gone."""

        async def missing() -> bool:
            try:
                await self.client.get(resource, name, namespace)
            except NotFound:
                return True
            return False

        await self.eventually(missing)

    async def eventually(self, probe: Callable[[], Awaitable[bool]], *, within: float = 60.0) -> None:
        """Wait for what controllers do; the sandbox has done it already."""
        end = time.monotonic() + (within if self.real else 0.0)
        while not await probe():
            assert time.monotonic() < end, "it did not happen"
            await asyncio.sleep(0.2)

    async def events(self, path: str, count: int, *, accept: str | None = None) -> list[dict[str, Any]]:
        """The first events of a watch."""
        found: list[dict[str, Any]] = []
        rest = b""
        async with asyncio.timeout(10), self.transport.stream(path, accept=accept) as stream:
            assert stream.status == 200, stream.status
            async for chunk in stream.chunks():
                *lines, rest = (rest + chunk).split(b"\n")
                found += [orjson.loads(line) for line in lines if line]
                if len(found) >= count:
                    break
        return found


@pytest.fixture(params=KINDS)
async def api(request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    """A server, and a namespace of the test's own on it."""
    namespace = f"t-{secrets.token_hex(4)}"
    sandbox = None
    transport: Transport
    if request.param == "real":
        transport = AioTransport(Credentials.from_kubeconfig(request.getfixturevalue("real_api")))
    else:
        sandbox = ApiServer()
        transport = sandbox.transport()
    client = Client(transport, field_manager="tester")
    found = Api(transport, client, namespace, real=sandbox is None, sandbox=sandbox)
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    yield found
    with suppress(NotFound):
        await client.delete(NAMESPACES, namespace)
    for resource, name in found.others:
        with suppress(NotFound):
            await client.delete(resource, name)
    await client.close()


@pytest.fixture
async def widgets(api: Api) -> Resource:
    """A custom kind of the test's own, served, with a status subresource."""
    group = f"g{secrets.token_hex(4)}.example.dev"
    name = f"widgets.{group}"
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": SCHEMA},
                }
            ],
        },
    }
    await api.client.create(CRDS, definition)
    api.others.append((CRDS, name))
    found = Resource(group, "v1", "widgets", "Widget", namespaced=True, status=True)

    async def served() -> bool:
        with suppress(NotFound):
            await api.client.list(found, api.namespace)
            return (await api.client.discover()).find_kind(group, "Widget") is not None
        return False

    await api.eventually(served)
    return found


SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer"},
                "color": {"type": "string"},
                "plain": {"type": "array", "items": {"type": "string"}},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["id"],
                    "items": {
                        "type": "object",
                        "required": ["id"],
                        "properties": {"id": {"type": "string"}, "weight": {"type": "integer"}},
                    },
                },
            },
        },
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
    },
}
