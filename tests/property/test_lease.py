"""Leader election under lost replies, conflicts, freezes and clocks that differ: never two certain holders at once."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.kube.client import Client
from federation.kube.errors import Unavailable
from federation.kube.lease import HubWentBack, LeaseElector, LeaseLost
from federation.kube.transport import Response


class LeaseServer:
    """One Lease with optimistic locking; replies can be lost before or after the commit."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.fault = ""
        self.methods: list[str] = []

    async def request(self, method: str, _path: str, *, body: bytes | None = None, **_: Any) -> Response:
        self.methods.append(method)
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

    def shown(self) -> dict[str, Any] | None:
        """The Lease as a list shows it."""
        return json.loads(json.dumps(self.lease)) if self.lease else None

    async def close(self) -> None:
        pass


class Clocks:
    """Boot time of every candidate: one time line, different origins."""

    def __init__(self) -> None:
        self.now = 1000.0


def elector(server: LeaseServer, clocks: Clocks, number: int, **changes: Any) -> LeaseElector:
    async def sleep(seconds: float) -> None:
        clocks.now += seconds

    return LeaseElector(
        Client(server), namespace="n", name="l", sleep=sleep,  # type: ignore[arg-type]
        clock=lambda: clocks.now + 500 * number, wall=lambda: clocks.now - 70 * number,
        **({"identity": f"c{number}", "run": "1"} | changes),
    )  # fmt: skip


def electors(server: LeaseServer, clocks: Clocks) -> list[LeaseElector]:
    return [elector(server, clocks, number) for number in range(3)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("attempt"), st.integers(0, 2)),
        st.tuples(st.just("list"), st.integers(0, 2)),
        st.tuples(st.just("observe"), st.integers(0, 2)),
        st.tuples(st.just("pass"), st.sampled_from([1, 3, 8, 16])),
        st.tuples(st.just("release"), st.integers(0, 2)),
        st.tuples(st.just("lost before"), st.just(0)),
        st.tuples(st.just("lost after"), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=200, deadline=None)
def test_never_two_certain_holders_at_once(steps: list[tuple[str, int]]) -> None:
    asyncio.run(exclusive(steps))


async def exclusive(steps: list[tuple[str, int]]) -> None:
    server, clocks = LeaseServer(), Clocks()
    candidates = electors(server, clocks)
    lists: list[dict[str, Any] | None] = [None] * 3
    for step, what in steps:
        if step == "attempt":
            try:
                await candidates[what].attempt()
            except LeaseLost:
                assert candidates[what].held_for() == 0
        elif step == "list":
            lists[what] = server.shown()
        elif step == "observe":  # what was listed may be old by now
            candidates[what].observe(lists[what])
        elif step == "pass":
            clocks.now += what
        elif step == "release":
            await candidates[what].release()
        else:
            server.fault = step
        assert sum(one.held_for() > 0 for one in candidates) <= 1


async def test_a_dead_holder_is_followed_after_the_duration_as_seen_from_here() -> None:
    server, clocks = LeaseServer(), Clocks()
    first, second, _ = electors(server, clocks)
    assert await first.attempt()
    assert not await second.attempt()
    assert second.holder == "c0"
    clocks.now += 9
    assert not await second.attempt()
    clocks.now += 2
    assert second.holder == ""
    assert await second.attempt()
    assert first.held_for() == 0
    assert server.lease is not None
    assert server.lease["spec"]["leaseTransitions"] == 1


async def test_a_released_lease_is_taken_at_once() -> None:
    server, clocks = LeaseServer(), Clocks()
    first, second, _ = electors(server, clocks)
    assert await first.attempt()
    await first.release()
    assert first.held_for() == 0
    assert await second.attempt()


async def test_a_renewal_is_one_put_and_a_lease_that_was_listed_is_taken_with_one() -> None:
    server, clocks = LeaseServer(), Clocks()
    first, second, _ = electors(server, clocks)
    first.observe(None)
    assert await first.attempt()
    assert await first.attempt()
    assert server.methods == ["POST", "PUT"]
    assert first.revision == 2
    await first.release()
    second.observe(server.shown())
    assert await second.attempt()
    assert server.methods == ["POST", "PUT", "PUT", "PUT"]


async def test_a_holder_reads_again_only_after_a_conflict_or_a_lost_reply() -> None:
    server, clocks = LeaseServer(), Clocks()
    first = elector(server, clocks, 0)
    assert await first.attempt()
    server.methods.clear()
    server.version += 1  # somebody put a label on it
    server.lease = {**(server.lease or {}), "metadata": {"name": "l", "resourceVersion": str(server.version)}}
    assert await first.attempt()
    assert server.methods == ["PUT", "GET", "PUT"]
    server.methods.clear()
    server.fault = "lost after"
    assert not await first.attempt()
    assert await first.attempt()
    assert server.methods == ["PUT", "GET", "PUT"]


async def test_a_process_started_again_takes_its_lease_back_at_once_and_the_one_before_finds_out() -> None:
    server, clocks = LeaseServer(), Clocks()
    before, after = elector(server, clocks, 0), elector(server, clocks, 0, run="2")
    assert await before.attempt()
    assert await after.attempt()
    with pytest.raises(LeaseLost, match="held by c0_2"):
        await before.attempt()
    assert before.held_for() == 0
    assert await after.attempt()


async def test_who_cannot_renew_ends_before_anybody_may_follow() -> None:
    server, clocks = LeaseServer(), Clocks()
    first = elector(server, clocks, 0)
    assert await first.attempt()
    taken = clocks.now

    async def unreachable(*_: Any, **__: Any) -> Response:
        raise Unavailable(0, "Unreachable", "")

    server.request = unreachable  # type: ignore[method-assign]
    with pytest.raises(LeaseLost, match="could not be renewed for 7 s"):
        await first.keep()
    assert 7 <= clocks.now - taken < 10
    assert first.held_for() > 0, "there is time left to end in"


async def test_a_lease_older_than_our_own_write_means_that_the_hub_went_back() -> None:
    server, clocks = LeaseServer(), Clocks()
    first = elector(server, clocks, 0)
    assert await first.attempt()
    backup, version = server.lease, server.version
    assert await first.attempt()
    server.lease, server.version = backup, version
    with pytest.raises(HubWentBack, match="is at 1, we wrote 2"):
        await first.attempt()
