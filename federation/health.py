"""`/healthz /readyz /metrics` of a process, on loopback unless told otherwise.

The metrics say what the process itself holds too (I17); that is measured when somebody asks, and only where /proc is.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, generate_latest

TASKS = Gauge("federation_tasks", "Tasks of the event loop.")
SOCKETS = Gauge("federation_open_sockets", "Open sockets; process_open_fds counts files and pipes too.")
MEMORY = Gauge("federation_memory_bytes", "Proportional set size: shared pages are divided among all that share them.")


class HealthServer:
    """An async context manager that serves while it is entered. `port` is the one in use (asked 0: any free one)."""

    def __init__(self, *, port: int, is_ready: Callable[[], bool], host: str = "127.0.0.1") -> None:
        self.port = port
        self._host = host
        self._is_ready = is_ready
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _readyz(self, _request: web.Request) -> web.Response:
        if self._is_ready():
            return web.Response(text="ok")
        return web.Response(text="caches are not synced yet", status=503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        TASKS.set(len(asyncio.all_tasks()))
        await asyncio.to_thread(_measure)
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _measure() -> None:
    own = Path("/proc/self")
    with contextlib.suppress(OSError):
        SOCKETS.set(sum(_is_socket(entry) for entry in (own / "fd").iterdir()))
        sizes = dict(line.split(":", 1) for line in (own / "smaps_rollup").read_text().splitlines()[1:])
        MEMORY.set(int(sizes["Pss"].split()[0]) * 1024)


def _is_socket(entry: Path) -> bool:
    try:
        return str(entry.readlink()).startswith("socket:")
    except OSError:  # closed meanwhile
        return False
