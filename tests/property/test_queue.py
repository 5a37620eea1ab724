"""The work queue against a model: never twice at once, once more after a change meanwhile, nothing lost."""

import asyncio
from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from federation.kube.queue import Lane, WorkQueue

KEYS = st.sampled_from("abcd")


class QueueMachine(RuleBasedStateMachine):
    """Adds, gets and dones in any order; the model says which keys must still come."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.queue: WorkQueue[str] = WorkQueue()
        self.owed: set[str] = set()
        self.active: set[str] = set()
        self.after: set[str] = set()

    def teardown(self) -> None:
        while self.owed or self.active or self.after:
            for key in list(self.active):
                self.done(key)
            if self.owed:
                self.get()
        self.queue.close()
        self.loop.close()

    @rule(key=KEYS, lane=st.sampled_from(Lane))
    def add(self, key: str, lane: Lane) -> None:
        self.queue.add(key, lane=lane)
        (self.after if key in self.active else self.owed).add(key)

    @precondition(lambda self: self.owed)
    @rule()
    def get(self) -> None:
        key = self.loop.run_until_complete(asyncio.wait_for(self.queue.get(), 1))
        assert key in self.owed, "a key comes only if it was asked for"
        assert key not in self.active, "never twice at once"
        self.owed.discard(key)
        self.active.add(key)

    @precondition(lambda self: self.active)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.done(data.draw(st.sampled_from(sorted(self.active))))

    def done(self, key: str) -> None:
        self.queue.done(key)
        self.active.discard(key)
        if key in self.after:
            self.after.discard(key)
            self.owed.add(key)

    @invariant()
    def as_many_wait_as_are_owed(self) -> None:
        assert len(self.queue) == len(self.owed)


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


async def test_the_earliest_of_several_delays_counts() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 60)
    queue.add_after("a", 0.01)
    queue.add_after("a", 30)
    assert await asyncio.wait_for(queue.get(), 1) == "a"
    queue.done("a")
    assert len(queue) == 0
    queue.close()


async def test_users_go_first_and_resync_is_not_starved() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("resync", lane=Lane.RESYNC)
    served: dict[str, int] = defaultdict(int)
    for number in range(8):
        queue.add(f"user-{number}")
        key = await queue.get()
        served["resync" if key == "resync" else "user"] += 1
        queue.done(key)
    assert served == {"user": 7, "resync": 1}
    queue.close()


async def test_a_key_that_waits_in_the_slow_lane_moves_to_the_fast_one() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for number in range(5):
        queue.add(f"r{number}", lane=Lane.RESYNC)
    queue.add("r4")
    assert await queue.get() == "r4"
    queue.close()


async def test_retries_back_off_and_success_forgets_them() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(3):
        queue.retry("a")
    assert queue.failures("a") == 3
    queue.forget("a")
    assert queue.failures("a") == 0
    queue.close()


async def test_a_higher_priority_goes_first_and_equals_go_as_they_came() -> None:
    priorities = {"low": -1, "first": 0, "second": 0, "high": 1000}
    queue: WorkQueue[str] = WorkQueue(priority=lambda key: priorities[key])
    for key in ("low", "first", "second", "high"):
        queue.add(key)
    assert [await queue.get() for _ in priorities] == ["high", "first", "second", "low"]
    queue.close()
