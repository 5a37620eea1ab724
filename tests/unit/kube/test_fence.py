"""Nothing that could change a member is sent unless our right to it outlasts the request."""

import asyncio
from typing import Any

import pytest

from federation.kube.errors import Unavailable
from federation.kube.fence import Fenced, FencedTransport
from federation.kube.transport import Response


class Inner:
    """Remembers what was sent; `gate` holds answers back."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def request(self, method: str, _path: str, **_: Any) -> Response:
        self.sent.append(method)
        await self.gate.wait()
        return Response(200, {}, b"{}")


class Clock:
    """A lease that was renewed at 0 and lasts ten seconds."""

    now = 0.0

    def held_for(self) -> float:
        return max(0.0, 10.0 - self.now)


def fenced(inner: Inner, clock: Clock, *, timeout: float = 5.0) -> FencedTransport:
    return FencedTransport(inner, held_for=clock.held_for, timeout=timeout)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_write_is_sent_only_while_the_lease_outlasts_its_time_out(method: str) -> None:
    inner, clock = Inner(), Clock()
    transport = fenced(inner, clock)
    clock.now = 4.9
    assert (await transport.request(method, "/")).status == 200
    clock.now = 5.0
    with pytest.raises(Fenced, match=r"certain for 5\.0 s only"):
        await transport.request(method, "/")
    assert inner.sent == [method]


async def test_reads_need_no_lease() -> None:
    inner, clock = Inner(), Clock()
    clock.now = 100.0
    assert (await fenced(inner, clock).request("GET", "/")).status == 200


async def test_a_longer_time_out_needs_a_longer_lease() -> None:
    inner, clock = Inner(), Clock()
    with pytest.raises(Fenced):
        await fenced(inner, clock).request("PATCH", "/", timeout=10.0)
    assert inner.sent == []


async def test_without_a_time_out_of_its_own_the_lease_must_only_be_ours_now() -> None:
    inner, clock = Inner(), Clock()
    transport = fenced(inner, clock, timeout=0)
    clock.now = 9.9
    await transport.request("PATCH", "/")
    clock.now = 10.0
    with pytest.raises(Fenced):
        await transport.request("PATCH", "/")


async def test_a_write_ends_with_its_time_out_and_is_counted_while_it_is_in_flight() -> None:
    inner = Inner()
    inner.gate.clear()
    transport = fenced(inner, Clock(), timeout=0.05)
    sending = asyncio.ensure_future(transport.request("DELETE", "/"))
    await asyncio.sleep(0)
    assert transport.in_flight == 1
    with pytest.raises(Unavailable, match="no answer"):
        await sending
    assert transport.in_flight == 0
