"""Affinity groups: the first that takes the work, the next ones where it cannot, and the way back; overflow tiers."""

from dataclasses import replace
from typing import Any

import pytest

from federation.schedule.decide import returns, schedule
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.triggers import Trigger, trigger
from tests.unit.schedule.build import AGGREGATED, DYNAMIC, binding, member, on


def grouped(*terms: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"clusterAffinities": list(terms), **more}


def term(name: str, *clusters: str, overflow: tuple[str, ...] = ()) -> dict[str, Any]:
    tiers = {"overflowAffinities": [{"affinityName": f"{name}-{at}", **on(at)} for at in overflow]} if overflow else {}
    return {"affinityName": name, **on(*clusters), **tiers}


PRIMARY_BACKUP = grouped(term("primary", "m1"), term("backup", "m2"))
BOTH = [member("m1"), member("m2")]


def targets(view: BindingView, clusters: list[ClusterView]) -> dict[str, int] | None:
    decision = schedule(view, clusters).decision
    return dict(decision.targets) if decision is not None else None


def decided(view: BindingView, clusters: list[ClusterView]) -> BindingView:
    decision = schedule(view, clusters).decision
    assert decision is not None
    return replace(view, previous=decision, observed=decision.affinity)


def test_the_first_group_that_can_take_the_work_wins_and_the_decision_names_it() -> None:
    decision = schedule(binding(PRIMARY_BACKUP), BOTH).decision
    assert decision is not None
    assert (decision.targets, decision.affinity, decision.notes) == ({"m1": 6}, "primary", [])


def test_a_group_without_a_cluster_is_passed_over_and_the_decision_says_why() -> None:
    decision = schedule(binding(PRIMARY_BACKUP), [member("m2")]).decision
    assert decision is not None
    assert (decision.targets, decision.affinity) == ({"m2": 6}, "backup")
    assert decision.notes[0].startswith("affinity group primary was passed over: 0/1 clusters are available")


def test_a_full_group_is_passed_over_for_divided_replicas() -> None:
    full = [member("m1", pods=5), member("m2")]
    assert targets(binding({**PRIMARY_BACKUP, **DYNAMIC}), full) == {"m2": 6}


def test_where_no_group_can_take_it_the_error_speaks_of_every_group() -> None:
    outcome = schedule(binding(PRIMARY_BACKUP), [member("m3")])
    assert outcome.decision is None
    assert outcome.error is not None
    assert outcome.error.reason == "NoClusterFit"
    assert "affinity group primary: " in outcome.error.message
    assert "affinity group backup: " in outcome.error.message


def test_scheduling_goes_on_in_the_group_in_use() -> None:
    there = decided(binding(PRIMARY_BACKUP), [member("m2")])
    decision = schedule(replace(there, replicas=7), BOTH).decision
    assert decision is not None
    assert (decision.trigger, decision.affinity) == (Trigger.REPLICAS_CHANGED, "backup")


def test_after_the_last_group_the_earlier_ones_are_tried_as_unplaced_is_worse() -> None:
    there = decided(binding(PRIMARY_BACKUP), [member("m2")])
    decision = schedule(there, [member("m1")]).decision
    assert decision is not None
    assert decision.affinity == "primary"


def test_the_group_before_the_one_in_use_takes_the_work_back_when_told() -> None:
    there = decided(binding(PRIMARY_BACKUP), [member("m2")])
    assert returns(there, [member("m2")]) is None
    assert returns(there, BOTH) == "primary"
    assert trigger(there, BOTH) is None, "until it could for a while"
    back = replace(there, returning=True)
    assert trigger(back, BOTH) == Trigger.AFFINITY_RESTORED
    decision = schedule(back, BOTH).decision
    assert decision is not None
    assert decision.affinity == "primary"
    assert [(move.from_, move.to) for move in decision.moves] == [("m2", "m1")], "make before break"


def test_work_in_the_first_group_returns_nowhere() -> None:
    assert returns(decided(binding(PRIMARY_BACKUP), BOTH), BOTH) is None


def test_divided_anew_scheduling_begins_at_the_first_group() -> None:
    there = decided(binding(PRIMARY_BACKUP), [member("m2")])
    decision = schedule(replace(there, fresh=True), BOTH).decision
    assert decision is not None
    assert decision.affinity == "primary"


EDITS = {
    "of the group in use is a reason": (grouped(term("primary", "m1", "m3"), term("backup", "m2")), "PlacementChanged"),
    "of another group is none": (grouped(term("primary", "m1"), term("backup", "m3")), None),
    "that removes the group in use is a reason": (grouped(term("backup", "m2")), "PlacementChanged"),
    "of anything else is a reason": ({**PRIMARY_BACKUP, "clusterTolerations": [{"key": "a"}]}, "PlacementChanged"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit(edit: str) -> None:
    placement, reason = EDITS[edit]
    there = decided(binding(PRIMARY_BACKUP), BOTH)
    assert trigger(replace(there, placement=binding(placement).placement), BOTH) == reason


def test_a_target_that_leaves_the_group_in_use_is_a_reason() -> None:
    there = decided(binding({"clusterAffinities": [{"affinityName": "eu", "labelSelector": {"matchLabels": {"in": "eu"}}}]}),
                    [member("m1", labels={"in": "eu"})])  # fmt: skip
    assert trigger(there, [member("m1")]) == Trigger.CLUSTER_INELIGIBLE


OVERFLOW = grouped(term("own", "m1", overflow=("m2", "m3")))


@pytest.mark.parametrize("strategy", [DYNAMIC, AGGREGATED], ids=["by free room", "aggregated"])
class TestOverflow:
    def test_is_not_used_while_the_group_has_room(self, strategy: dict[str, Any]) -> None:
        clusters = [member("m1", pods=10), member("m2"), member("m3")]
        assert targets(binding({**OVERFLOW, **strategy}, replicas=10), clusters) == {"m1": 10}

    def test_takes_what_the_group_has_no_room_for_tier_after_tier(self, strategy: dict[str, Any]) -> None:
        clusters = [member("m1", pods=4), member("m2", pods=3), member("m3")]
        assert targets(binding({**OVERFLOW, **strategy}, replicas=10), clusters) == {"m1": 4, "m2": 3, "m3": 3}

    def test_that_is_full_too_is_an_error_with_numbers(self, strategy: dict[str, Any]) -> None:
        outcome = schedule(binding({**OVERFLOW, **strategy}), [member("m1", pods=2), member("m2", pods=1)])
        assert outcome.error is not None
        assert outcome.error.reason == "Unschedulable"
        assert "3 of 6 replicas fit in no tier" in outcome.error.message

    def test_comes_back_at_the_next_decision(self, strategy: dict[str, Any]) -> None:
        view = binding({**OVERFLOW, **strategy}, replicas=10)
        there = decided(view, [member("m1", pods=4), member("m2")])
        # Four of the members' own pods are in what is used: what is free is what is left beside them.
        outcome = schedule(replace(there, replicas=9), [member("m1", pods=20), member("m2")])
        assert outcome.decision is not None
        assert [(move.from_, move.to, move.replicas) for move in outcome.decision.moves] == [("m2", "m1", 5)]


def test_an_object_without_replicas_has_no_use_for_overflow() -> None:
    assert targets(binding(OVERFLOW, replicas=None), [member("m1"), member("m2")]) == {"m1": 0}
