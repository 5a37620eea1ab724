"""The queue's one timer on the loop that the process runs on."""

import asyncio

import pytest
import uvloop

from federation.kube.queue import WorkQueue


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_delay_below_the_clock_of_the_loop_rings_like_any_other(loop_factory) -> None:
    async def run() -> list[str]:
        queue: WorkQueue[str] = WorkQueue()
        for number in range(20):
            queue.add_after(f"late-{number}", 0.01)
            queue.add_after(f"soon-{number}", 1e-7)
        return [await asyncio.wait_for(queue.get(), 5) for _ in range(40)]

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        found = runner.run(run())
    assert sorted(found) == sorted([f"late-{n}" for n in range(20)] + [f"soon-{n}" for n in range(20)])
