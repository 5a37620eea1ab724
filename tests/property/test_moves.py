"""Moves under any timing: members apply late or out of order, pods become ready or break, users change their minds.

The machine plays scheduler and members. At every instant: no more replicas are written than wanted and the surge allows
(I1), and no step of ours lowers what is available below what is wanted (I2, I3). Left alone it reaches the goal.
"""

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from federation.api.binding import Decision
from federation.schedule.moves import advance, begin, goal_of

NAMES = ("a", "b", "c", "d")
INPUTS = {"placement": {"replicaScheduling": {"replicaSchedulingType": "Divided"}}}
SHARES = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 5), min_size=1)


class Moving(RuleBasedStateMachine):
    """One binding on up to four members."""

    decision: Decision

    @initialize(shares=SHARES, surge=st.integers(1, 4))
    def placed(self, shares: dict[str, int], surge: int) -> None:
        self.surge = surge
        self.written = dict(shares)
        self.available = dict(shares)
        self.lines: dict[str, str] = {}
        self.wanted = sum(shares.values())
        self.rescaled = False
        self._decide(Decision(epoch=1, trigger="Created", inputs=self._inputs(self.wanted), targets=shares))
        for name in NAMES:
            self._apply(name)
            self._report(name)

    def _inputs(self, total: int) -> str:
        return orjson.dumps({**INPUTS, "replicas": total}).decode()

    def _decide(self, decision: Decision) -> None:
        self.decision = decision
        self.goal = goal_of(decision)

    @rule(order=st.permutations(NAMES), cut=st.lists(st.integers(0, 5), min_size=3, max_size=3))
    def the_user_moves_it(self, order: list[str], cut: list[int]) -> None:
        goal, left = {}, self.wanted
        for name, count in zip(order, [*cut, left], strict=True):
            if min(count, left):
                goal[name] = min(count, left)
                left -= goal[name]
        self._aim(goal)

    @rule(goal=SHARES)
    def the_user_rescales_and_moves_it(self, goal: dict[str, int]) -> None:
        self._aim(goal)

    def _aim(self, goal: dict[str, int]) -> None:
        course = begin(
            self.decision.targets, goal, in_force=self.decision, lines=self.lines, seen=self.written, surge=self.surge, divided=True,
            reason="PlacementChanged",
        )  # fmt: skip
        self.rescaled = self.rescaled or sum(goal.values()) != self.wanted
        self.wanted = sum(goal.values())
        self._decide(
            Decision(
                epoch=self.decision.epoch + 1, trigger="PlacementChanged", inputs=self._inputs(self.wanted),
                targets=course.targets, moves=list(course.moves),
            )
        )  # fmt: skip
        assert self.goal == goal

    @rule()
    def the_scheduler_looks(self) -> None:
        course = advance(self.decision, lines=self.lines, seen=self.written, surge=self.surge)
        if course is not None:
            fields = {"epoch": self.decision.epoch + 1, "targets": course.targets, "moves": list(course.moves)}
            before = self.goal
            self._decide(self.decision.model_copy(update=fields))
            assert self.goal == before, "a step never changes where it leads"

    @rule(name=st.sampled_from(NAMES))
    def a_member_applies(self, name: str) -> None:
        self._apply(name)

    def _apply(self, name: str) -> None:
        share = self.decision.targets.get(name, 0)
        # The member's controllers take unready pods first, as a ReplicaSet does.
        self.available[name] = min(self.available.get(name, 0), share)
        self.written[name] = share
        self.applied = {**getattr(self, "applied", {}), name: self.decision.epoch}
        if all(self.applied.get(one) == self.decision.epoch for one in NAMES):
            self.rescaled = False

    @rule(name=st.sampled_from(NAMES), count=st.integers(0, 5))
    def pods_become_ready(self, name: str, count: int) -> None:
        self.available[name] = max(self.available.get(name, 0), min(count, self.written.get(name, 0)))

    @rule(name=st.sampled_from(NAMES))
    def a_member_reports(self, name: str) -> None:
        self._report(name)

    def _report(self, name: str) -> None:
        if self.written.get(name, 0):
            available = self.available.get(name, 0)
            self.lines[name] = f"health=Progressing generation=1/1 available={available} epoch={self.applied[name]}"
        else:
            self.lines.pop(name, None)

    @invariant()
    def no_more_is_written_than_the_surge_allows(self) -> None:
        if hasattr(self, "decision"):
            assert sum(self.decision.targets.values()) <= self.wanted + self.surge
            # What a user's own change of the total leaves behind for a moment is no surge of ours.
            assert self.rescaled or sum(self.written.values()) <= self.wanted + self.surge

    @invariant()
    def what_is_decided_never_goes_below_what_is_wanted(self) -> None:
        if hasattr(self, "decision"):
            assert sum(self.decision.targets.values()) >= self.wanted

    def teardown(self) -> None:
        if not hasattr(self, "decision"):
            return
        # What the decision in force takes away was asked for before; from here on nothing may get worse.
        lowest = self._serving()
        for _ in range(200):
            for name in NAMES:
                self._apply(name)
                assert self._serving() >= min(lowest, self.wanted), "a step took away more than was made up for"
                self.available[name] = self.written.get(name, 0)
                lowest = max(lowest, self._serving())
                self._report(name)
            self.the_scheduler_looks()
        assert {name: count for name, count in self.written.items() if count} == self.goal
        assert not self.decision.moves

    def _serving(self) -> int:
        return sum(min(self.available.get(name, 0), count) for name, count in self.decision.targets.items())


Moving.TestCase.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
TestMoving = Moving.TestCase
