"""`python -m tests.bench.takeover`: seconds from the kill of a leader to its successor, and to a change made meanwhile.

In process on the sandbox, with the real durations of the Leases; eight kills at different moments of a renewal, at once.
"""

import asyncio
import time
from unittest.mock import patch

from federation.hub.settings import Settings
from tests.integration import test_replicas as replicas_in_process
from tests.integration.federation import eventually
from tests.integration.test_replicas import holders, hub_and_members, placed, replicas

TIMES = 8


async def _followed(late: float) -> tuple[float, float]:
    """(until another leads, until the change is in the members), killed `late` seconds after both had settled."""
    async with hub_and_members() as fed, replicas(fed, "a", "b") as (first, _):
        await eventually(lambda: sorted(holders(fed).values()) == ["a", "a", "b", "b"], within=20)
        await placed(fed)
        await asyncio.sleep(late)
        killed = time.monotonic()
        await first.kill()
        await fed.scale("web", 9)
        await eventually(lambda: holders(fed, "leader") == {"leader": "b"}, within=30)
        leads = time.monotonic() - killed
        await eventually(lambda: sum(fed.replicas("web").values()) == 9, within=30)
        return leads, time.monotonic() - killed


async def main() -> None:
    """Print the range of both."""
    found = await asyncio.gather(*(_followed(0.37 * number) for number in range(TIMES)))
    for name, values in zip(("another leads", "the change is applied"), zip(*found, strict=True), strict=True):
        print(f"{name}: {min(values):.1f} to {max(values):.1f} s after the kill ({TIMES} kills)")


if __name__ == "__main__":
    with patch.object(replicas_in_process, "SETTINGS", Settings(probe_period=1.0)):
        asyncio.run(main())
