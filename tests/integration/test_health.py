"""/metrics of a process: what it says of the process itself."""

import asyncio
import re
import socket

import aiohttp

from federation.health import HealthServer
from federation.kube.resource import NAMESPACES
from federation.kube.watches import Watches
from federation.sandbox import ApiServer


async def _value(server: HealthServer, name: str) -> float:
    async with (
        aiohttp.ClientSession(trust_env=False) as session,
        session.get(f"http://127.0.0.1:{server.port}/metrics") as answer,
    ):
        found = re.search(rf"^{re.escape(name)} (\S+)$", await answer.text(), re.MULTILINE)
        assert found, f"{name} is not served"
        return float(found[1])


async def test_tasks_sockets_and_memory_of_the_process_are_served() -> None:
    async with HealthServer(port=0, is_ready=lambda: True) as server:
        tasks, sockets = await _value(server, "federation_tasks"), await _value(server, "federation_open_sockets")
        more = [asyncio.create_task(asyncio.sleep(60)) for _ in range(5)]
        pair = socket.socketpair()
        assert await _value(server, "federation_tasks") == tasks + 5
        assert await _value(server, "federation_open_sockets") == sockets + 2
        for one in (*more, *pair):
            one.cancel() if isinstance(one, asyncio.Task) else one.close()
        assert 10 * 2**20 < await _value(server, "federation_memory_bytes") < 2 * 2**30


async def test_open_watches_are_served_by_cluster_and_end_with_it() -> None:
    api = ApiServer("watched")
    watches = Watches(api.client())
    watches.want(NAMESPACES)
    async with HealthServer(port=0, is_ready=lambda: True) as server:
        running = asyncio.create_task(watches.run())
        await watches.wait_synced(timeout=5)
        await asyncio.sleep(0.05)
        assert await _value(server, 'federation_watches{cluster="watched"}') == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert await _value(server, 'federation_watches{cluster="watched"}') == 0
