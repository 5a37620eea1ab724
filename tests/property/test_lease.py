"""Leader election under lost replies, conflicts, freezes and clocks that differ: never two certain holders at once."""

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from federation.kube.client import Client
from federation.kube.errors import Unavailable
from federation.kube.lease import LeaseElector
from federation.kube.transport import Response


class LeaseServer:
    """One Lease with optimistic locking; replies can be lost before or after the commit."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.fault = ""

    async def request(self, method: str, _path: str, *, body: bytes | None = None, **_: Any) -> Response:
        fault, self.fault = self.fault, ""
        if fault == "lost before":
            raise Unavailable(0, "Lost", "no connection")
        answer = self._answer(method, json.loads(body) if body else {})
        if fault == "lost after":
            raise Unavailable(0, "Lost", "no reply")
        return answer

    def _answer(self, method: str, manifest: dict[str, Any]) -> Response:
        if method == "GET":
            return self._ok() if self.lease else Response(404, {}, b'{"reason":"NotFound"}')
        if method == "POST" and self.lease:
            return Response(409, {}, b'{"reason":"AlreadyExists"}')
        if method == "PUT" and manifest["metadata"].get("resourceVersion") != str(self.version):
            return Response(409, {}, b'{"reason":"Conflict"}')
        self.version += 1
        self.lease = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(self.version)}}
        return self._ok()

    def _ok(self) -> Response:
        return Response(200, {}, json.dumps(self.lease).encode())

    async def close(self) -> None:
        pass


class Clocks:
    """Boot time of every candidate: one time line, different origins."""

    def __init__(self) -> None:
        self.now = 1000.0


def electors(server: LeaseServer, clocks: Clocks) -> list[LeaseElector]:
    return [
        LeaseElector(
            Client(server), namespace="n", name="l", identity=f"c{number}",  # type: ignore[arg-type]
            clock=lambda number=number: clocks.now + 500 * number, wall=lambda number=number: clocks.now - 70 * number,
        )
        for number in range(3)
    ]  # fmt: skip


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("attempt"), st.integers(0, 2)),
        st.tuples(st.just("pass"), st.sampled_from([1, 3, 8, 16])),
        st.tuples(st.just("release"), st.integers(0, 2)),
        st.tuples(st.just("lost before"), st.just(0)),
        st.tuples(st.just("lost after"), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_never_two_certain_holders_at_once(steps: list[tuple[str, int]]) -> None:
    asyncio.run(exclusive(steps))


async def exclusive(steps: list[tuple[str, int]]) -> None:
    server, clocks = LeaseServer(), Clocks()
    candidates = electors(server, clocks)
    for step, what in steps:
        if step == "attempt":
            await candidates[what]._attempt(1)
        elif step == "pass":
            clocks.now += what
        elif step == "release":
            if candidates[what].held_for() > 0:
                await candidates[what]._release()
                candidates[what]._renewed = None
        else:
            server.fault = step
        assert sum(one.held_for() > 0 for one in candidates) <= 1


async def test_a_dead_holder_is_followed_after_the_duration_as_seen_from_here() -> None:
    server, clocks = LeaseServer(), Clocks()
    first, second, _ = electors(server, clocks)
    assert await first._attempt(1)
    assert not await second._attempt(1)
    clocks.now += 14
    assert not await second._attempt(1)
    clocks.now += 2
    assert await second._attempt(1)
    assert first.held_for() == 0
    assert server.lease is not None
    assert server.lease["spec"]["leaseTransitions"] == 1


async def test_a_released_lease_is_taken_at_once() -> None:
    server, clocks = LeaseServer(), Clocks()
    first, second, _ = electors(server, clocks)
    ran = []

    async def lead() -> None:
        ran.append(first.held_for())

    await first.run(lead)
    assert ran
    assert ran[0] > 0
    assert await second._attempt(1)
