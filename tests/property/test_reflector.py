"""The reflector against a server that misbehaves in every way: in the end the store is what the server has."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.kube import reflector as module
from federation.kube.client import Client
from federation.kube.errors import Unavailable
from federation.kube.reflector import Reflector
from federation.kube.resource import CONFIG_MAPS
from federation.kube.store import Change, Store
from federation.kube.transport import Response


class Server:
    """ConfigMaps with a history of events, and faults on request."""

    def __init__(self) -> None:
        self.version = 1
        self.objects: dict[str, dict[str, Any]] = {}
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.oldest = 0
        self.faults: list[str] = []
        self.changed = asyncio.Event()
        self.broken = asyncio.Event()

    def write(self, name: str) -> None:
        self.version += 1
        kind = "MODIFIED" if name in self.objects else "ADDED"
        uid = self.objects[name]["metadata"]["uid"] if name in self.objects else f"{name}-{self.version}"
        self.objects[name] = {
            "metadata": {"name": name, "namespace": "n", "uid": uid, "resourceVersion": str(self.version)}
        }
        self._emit(kind, self.objects[name])

    def delete(self, name: str) -> None:
        if name in self.objects:
            self.version += 1
            gone = self.objects.pop(name)
            self._emit("DELETED", {"metadata": {**gone["metadata"], "resourceVersion": str(self.version)}})

    def forget_history(self) -> None:
        self.oldest = self.version
        self.events.clear()
        self.hang_up()

    def hang_up(self) -> None:
        self.broken.set()
        self.broken = asyncio.Event()

    def _emit(self, kind: str, manifest: dict[str, Any]) -> None:
        self.events.append((self.version, {"type": kind, "object": manifest}))
        self.changed.set()
        self.changed = asyncio.Event()

    async def request(self, _method: str, _path: str, **_: Any) -> Response:
        await asyncio.sleep(0)
        if self.faults and self.faults[0].startswith("list"):
            if self.faults.pop(0) == "list down":
                raise Unavailable(0, "Down", "connection refused")
            return Response(500, {}, b"{}")
        items = list(self.objects.values())
        return Response(
            200, {}, json.dumps({"metadata": {"resourceVersion": str(self.version)}, "items": items}).encode()
        )

    @asynccontextmanager
    async def stream(self, path: str, **_: Any) -> AsyncIterator["Watch"]:
        since = int(parse_qs(urlsplit(path).query)["resourceVersion"][0])
        fault = self.faults.pop(0) if self.faults and self.faults[0].startswith("watch") else ""
        yield Watch(self, since, fault)

    async def close(self) -> None:
        pass


class Watch:
    """One watch from a version on."""

    def __init__(self, server: Server, since: int, fault: str) -> None:
        self.server, self.since, self.fault = server, since, fault
        self.status = 410 if since < server.oldest and fault != "watch error" else 200
        self.headers: dict[str, str] = {}

    async def chunks(self) -> AsyncIterator[bytes]:
        if self.status == 410:
            yield b'{"kind":"Status","code":410,"reason":"Expired"}'
            return
        if self.fault == "watch error":
            yield b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}}\n'
            return
        if self.fault == "watch garbage":
            yield b"<html>proxy\n"
            return
        if self.fault == "watch cut":
            yield b'{"type":"ADDED","object":{"meta'
            raise Unavailable(0, "Cut", "connection reset")
        while True:
            changed, broken = self.server.changed, self.server.broken
            for version, event in self.server.events:
                if version > self.since:
                    self.since = version
                    line = json.dumps(event).encode() + b"\n"
                    yield line[:7]
                    yield line[7:]
            waits = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(broken.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in waits:
                    one.cancel()
            if broken.is_set():
                return


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_pause", lambda _failures: 0.0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from("abc")),
        st.tuples(st.just("delete"), st.sampled_from("abc")),
        st.tuples(st.just("forget"), st.just("")),
        st.tuples(st.just("hang up"), st.just("")),
        st.tuples(
            st.just("fault"), st.sampled_from(["list down", "list error", "watch error", "watch garbage", "watch cut"])
        ),
        st.tuples(st.just("wait"), st.just("")),
    ),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=80, deadline=None)
def test_after_any_faults_the_store_is_what_the_server_has(steps: list[tuple[str, str]]) -> None:
    asyncio.run(converges(steps))


async def converges(steps: list[tuple[str, str]]) -> None:
    server = Server()
    store = Store("v1", "ConfigMap")
    seen: dict[str, str] = {}

    def follow(change: Change) -> None:
        """What a controller believes by its handler alone."""
        if change.new is not None:
            before = seen.get(change.new.name)
            assert (change.old.resource_version if change.old else None) == before, "old is what was told last"
            seen[change.new.name] = change.new.resource_version
        elif change.old is not None:
            assert seen.pop(change.old.name) == change.old.resource_version

    store.subscribe(follow)
    running = asyncio.create_task(Reflector(Client(server, name="s"), CONFIG_MAPS, store).run())  # type: ignore[arg-type]
    try:
        for step, what in steps:
            if step == "write":
                server.write(what)
            elif step == "delete":
                server.delete(what)
            elif step == "forget":
                server.forget_history()
            elif step == "hang up":
                server.hang_up()
            elif step == "fault":
                server.faults.append(what)
                server.hang_up()
            else:
                await asyncio.sleep(0.001)
        server.faults.clear()
        server.hang_up()
        wanted = {name: one["metadata"]["resourceVersion"] for name, one in server.objects.items()}
        async with asyncio.timeout(5):
            while {entry.name: entry.resource_version for entry in store.values()} != wanted or not store.synced:
                await asyncio.sleep(0.001)
        assert seen == wanted
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_silence_breaks_a_frozen_watch() -> None:
    server = Server()
    server.write("a")
    store = Store("v1", "ConfigMap")
    reflector = Reflector(Client(server, name="s"), CONFIG_MAPS, store, silence=0.05)  # type: ignore[arg-type]
    running = asyncio.create_task(reflector.run())
    await asyncio.wait_for(store.wait_synced(), 1)
    server.events.append(
        (
            99,
            {
                "type": "ADDED",
                "object": {"metadata": {"name": "late", "namespace": "n", "uid": "l", "resourceVersion": "99"}},
            },
        )
    )
    async with asyncio.timeout(2):
        while store.get("n", "late") is None:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_kind_that_is_gone_or_forbidden_leaves_the_store_as_it_was() -> None:
    server = Server()
    server.write("a")
    store = Store("v1", "ConfigMap")
    running = asyncio.create_task(Reflector(Client(server, name="s"), CONFIG_MAPS, store).run())  # type: ignore[arg-type]
    await asyncio.wait_for(store.wait_synced(), 1)

    async def refuse(*_: Any, **__: Any) -> Response:
        await asyncio.sleep(0.005)
        return Response(404, {}, b"404 page not found")

    server.request = refuse  # type: ignore[method-assign]
    server.forget_history()
    server.oldest = 10**6
    await asyncio.sleep(0.05)
    assert store.get("n", "a") is not None, "unknown is not empty"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_an_own_write_is_never_undone_by_an_older_event() -> None:
    store = Store("v1", "ConfigMap")

    def raw(version: int) -> bytes:
        return json.dumps(
            {"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": str(version)}}
        ).encode()

    store.put(raw(5))
    store.learn(raw(7))
    store.put(raw(6))
    found = store.get("n", "a")
    assert found is not None
    assert found.resource_version == "7"
    store.remove(raw(8))
    store.learn(raw(7))
    assert store.get("n", "a") is None, "what is deleted does not come back by a late answer"
