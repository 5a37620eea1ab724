"""How long a reflector waits after a failure: longer each time, at once when told that the server answers again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from federation.kube import reflector as module
from federation.kube.client import Client
from federation.kube.errors import Forbidden, Unavailable
from federation.kube.reflector import Reflector
from federation.kube.resource import CONFIG_MAPS, SECRETS
from federation.kube.store import Store
from federation.kube.transport import Response
from federation.kube.watches import Watches


class Broken:
    """Lists well; each watch breaks after it lived for some seconds of the test's clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lives = 0.0
        self.opens = False
        self.watches = 0
        self.error: Exception = Unavailable(0, "Unreachable", "connection refused")

    async def request(self, *_: Any, **__: Any) -> Response:
        return Response(200, {}, b'{"metadata": {"resourceVersion": "1"}, "items": []}')

    @asynccontextmanager
    async def stream(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        self.watches += 1
        self.now += self.lives
        if not self.opens:
            raise self.error
        yield self

    status, headers = 200, {}

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b""
        raise self.error


@pytest.fixture
def server() -> Broken:
    return Broken()


async def pauses(server: Broken, monkeypatch: pytest.MonkeyPatch, count: int) -> list[int]:
    """The failures in a row that each of the first pauses was computed from."""
    found: list[int] = []

    def pause(failures: int) -> float:
        found.append(failures)
        return 0.0

    monkeypatch.setattr(module, "_pause", pause)
    reflector = Reflector(Client(server, name="s"), CONFIG_MAPS, Store("v1", "ConfigMap"), clock=lambda: server.now)  # type: ignore[arg-type] # fmt: skip
    running = asyncio.create_task(reflector.run())
    async with asyncio.timeout(2):
        while len(found) < count:
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return found[:count]


async def test_failures_in_a_row_wait_longer_each_time(server: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await pauses(server, monkeypatch, 4) == [1, 2, 3, 4]


async def test_a_watch_that_lived_for_a_while_and_broke_is_a_first_failure(
    server: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.lives = 60.0
    assert await pauses(server, monkeypatch, 4) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("error", "tries"), [(Unavailable(0, "Down", "down"), 2), (Forbidden(403, "Forbidden", "no"), 1)]
)
async def test_only_kinds_that_the_server_did_not_answer_for_are_tried_at_once_when_it_does(
    server: Broken, monkeypatch: pytest.MonkeyPatch, error: Exception, tries: int
) -> None:
    monkeypatch.setattr(module, "_pause", lambda _: 30.0)
    server.error = error
    watches = Watches(Client(server, name="s"))  # type: ignore[arg-type]
    watches.want(CONFIG_MAPS)
    watches.want(SECRETS)
    running = asyncio.create_task(watches.run())
    await asyncio.sleep(0.05)
    assert server.watches == 2
    watches.hurry()
    await asyncio.sleep(0.05)
    assert server.watches == 2 * tries
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
