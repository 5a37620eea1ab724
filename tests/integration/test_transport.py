"""The connections to one API server: as many as a burst needs, few again afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from federation.kube import transport
from federation.kube.credentials import Credentials
from federation.kube.transport import AioTransport

BURST = 20


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[web.Server, AioTransport]]:
    """A server that takes a moment for each request, and a transport to it."""

    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        return web.Response(text="ok")

    server = web.Server(answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = AioTransport(Credentials.from_token(f"http://127.0.0.1:{runner.addresses[0][1]}", "token", None))
    try:
        yield server, client
    finally:
        await client.close()
        await runner.cleanup()


async def burst(client: AioTransport) -> None:
    await asyncio.gather(*(client.request("GET", "/") for _ in range(BURST)))


async def test_connections_that_a_burst_opened_are_given_up_some_time_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "POOL_LIFE", 0.3)
    async with serving() as (server, client):
        await burst(client)
        assert len(server.connections) == BURST
        await client.request("GET", "/")
        assert len(server.connections) == BURST, "another burst may follow at once"
        await asyncio.sleep(0.4)
        await client.request("GET", "/")
        assert len(server.connections) == 1


async def test_the_few_connections_of_an_even_load_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "POOL_LIFE", 0.05)
    async with serving() as (server, client):
        for _ in range(4):
            await client.request("GET", "/")
            await asyncio.sleep(0.03)
        (only,) = server.connections
        await client.request("GET", "/")
        assert server.connections == [only]


async def test_no_request_is_lost_while_the_pool_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "POOL_LIFE", 0.0)
    async with serving() as (_server, client):
        for _ in range(5):
            answers = await asyncio.gather(*(client.request("GET", "/") for _ in range(BURST)))
            assert [one.status for one in answers] == [200] * BURST
