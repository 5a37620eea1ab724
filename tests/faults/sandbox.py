"""The rig without clusters: sandbox API servers, served over HTTP in this process, and our real process behind the proxies.

For working on the rig, and for a sweep in seconds: everything but join and leave, and the truth of a real server.
"""

import asyncio
import base64
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from federation.api.meta import API_VERSION, CLUSTER_FINALIZER, SYSTEM_NAMESPACE
from federation.hub.install import install_crds
from federation.kube.client import Client
from federation.kube.errors import ApiError
from federation.kube.resource import CLUSTERS, NAMESPACES, SECRETS
from federation.sandbox import ApiServer, Member
from tests.e2e.lab import Process
from tests.faults.rig import US, Rig, is_ready


class SandboxLab:
    """What a rig needs of a lab: names, and a process."""

    def __init__(self, members: int, directory: Path) -> None:
        self.hub = ApiServer("hub")
        self.members = {f"member{number}": Member(f"member{number}") for number in range(1, members + 1)}
        for name, member in self.members.items():
            member.add_node(f"{name}-node", cpu="64", memory="256Gi")
        self.process = Process(None, directory)  # type: ignore[arg-type]


class SandboxRig(Rig):
    """A rig whose API servers are sandboxes."""

    def __init__(self, directory: Path, *, members: int = 3) -> None:
        self.sandbox = SandboxLab(members, directory)
        super().__init__(self.sandbox, directory)  # type: ignore[arg-type]
        self._runners: list[web.ServerRunner] = []
        self._settling: asyncio.Task[None] | None = None
        self._still: frozenset[str] = frozenset()

    def up(self, *, members: int = 3) -> None:
        """Serve, make the Clusters as `fedctl join` does, start our process, wait until all are ready."""
        self._thread.start()
        self.call(self._open())
        user = {"name": "hub", "user": {"token": _token()}}
        self._through_proxy(self.process.kubeconfig, "hub", user)
        self.call(self._join_all())
        self.start()
        self.call(self._watch())
        self.until(lambda state: all(is_ready(state, name) for name in self.sandbox.members), "all members ready")

    async def _servers(self) -> dict[str, tuple[Client, str, ssl.SSLContext | None]]:
        found: dict[str, tuple[Client, str, ssl.SSLContext | None]] = {}
        servers = {"hub": self.sandbox.hub, **{name: one.server for name, one in self.sandbox.members.items()}}
        for name, server in servers.items():
            runner = web.ServerRunner(
                web.Server(_Served(server).handle, handler_cancellation=True), shutdown_timeout=0.1
            )
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._runners.append(runner)
            client = Client(server.transport(), name=name, field_manager="test")
            found[name] = client, f"http://127.0.0.1:{runner.addresses[0][1]}", None
        self._settling = asyncio.create_task(self._settle())
        return found

    @contextmanager
    def pods_stand_still(self, *members: str) -> Iterator[None]:
        """The members' own controllers and nodes do nothing meanwhile."""
        self._still = frozenset(members)
        try:
            yield
        finally:
            self._still = frozenset()

    async def _settle(self) -> None:
        while True:
            for name, member in self.sandbox.members.items():
                if name not in self._still:
                    member.settle(works=lambda _: True)
            await asyncio.sleep(0.02)

    async def _join_all(self) -> None:
        hub = self.clients["hub"]
        await install_crds(self.sandbox.hub.client())
        await hub.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}})
        for name in self.sandbox.members:
            metadata = {"name": f"cluster-{name}", "namespace": SYSTEM_NAMESPACE}
            data = {"token": base64.b64encode(_token().encode()).decode()}
            await hub.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
            await hub.create(CLUSTERS, {
                "apiVersion": API_VERSION, "kind": "Cluster", "metadata": {"name": name, "finalizers": [CLUSTER_FINALIZER]},
                "spec": {
                    "syncMode": "Push", "apiEndpoint": self.proxies[name].url, "caBundle": self._ca(),
                    "secretRef": {"namespace": SYSTEM_NAMESPACE, "name": metadata["name"]},
                },
            })  # fmt: skip

    async def _close(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)
        await super()._close()
        for runner in self._runners:
            await runner.cleanup()


class _Served:
    """One sandbox API server over HTTP."""

    def __init__(self, server: ApiServer) -> None:
        self._transport = server.transport()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        accept = request.headers.get("Accept", "application/json")
        if request.method == "GET" and "watch=true" in request.query_string:
            return await self._stream(request, accept)
        try:
            answer = await self._transport.request(
                request.method, request.raw_path, body=await request.read() or None, accept=accept,
                content_type=request.headers.get("Content-Type"),
            )  # fmt: skip
        except ApiError:
            return web.Response(status=503)
        return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)

    async def _stream(self, request: web.BaseRequest, accept: str) -> web.StreamResponse:
        async with self._transport.stream(request.raw_path, accept=accept) as stream:
            answer = web.StreamResponse(status=stream.status)
            await answer.prepare(request)
            try:
                async for chunk in stream.chunks():
                    await answer.write(chunk)
            except (ApiError, ConnectionError):
                return answer
            await answer.write_eof()
            return answer


def _token() -> str:
    """A token that says whose it is; the sandbox believes everybody."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iat": now, "exp": now + 86400,
        "kubernetes.io": {"namespace": SYSTEM_NAMESPACE, "serviceaccount": {"name": US}},
    }  # fmt: skip
    parts = (base64.urlsafe_b64encode(orjson.dumps(one)).decode().rstrip("=") for one in ({"alg": "none"}, claims))
    return ".".join([*parts, "x"])
