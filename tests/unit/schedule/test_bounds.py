"""Static weights within bounds: the least and the most of a cluster, and what it has room for."""

import pytest

from federation.schedule.decide import schedule
from tests.unit.schedule.build import binding, member, rule, weighted

ROOMY = [member("m1"), member("m2"), member("m3")]
CASES = {
    "a floor is kept, the rest goes by weight": (
        weighted(rule("m1", 1, minReplicas=3), rule("m2", 4)), 5, {"m1": 3, "m2": 2},
    ),
    "a floor that the weight exceeds changes nothing": (
        weighted(rule("m1", 1, minReplicas=1), rule("m2", 1)), 6, {"m1": 3, "m2": 3},
    ),
    "a ceiling sends the rest elsewhere": (
        weighted(rule("m1", 3, maxReplicas=2), rule("m2", 1)), 8, {"m1": 2, "m2": 6},
    ),
    "floors above the total are filled as far as it goes": (
        weighted(rule("m1", 1, minReplicas=3), rule("m2", 1, minReplicas=3), rule("m3", 9)), 4, {"m1": 2, "m2": 2},
    ),
    "a ceiling of zero takes nothing": (weighted(rule("m1", 5, maxReplicas=0), rule("m2", 1)), 4, {"m2": 4}),
    "of two rules that match, the heavier one bounds": (
        weighted(rule("m1", 1, maxReplicas=1), rule("m1", 2, maxReplicas=4), rule("m2", 1)), 9, {"m1": 4, "m2": 5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bounds(case: str) -> None:
    placement, replicas, wanted = CASES[case]
    decision = schedule(binding(placement, replicas=replicas), ROOMY).decision
    assert decision is not None
    assert decision.targets == wanted


def test_ceilings_below_the_total_are_an_error_with_numbers() -> None:
    outcome = schedule(binding(weighted(rule("m1", 1, maxReplicas=2), rule("m2", 1, maxReplicas=1))), ROOMY)
    assert outcome.error is not None
    assert outcome.error.reason == "Unschedulable"
    assert "3 of 6 replicas do not fit; the most per cluster: m1 2, m2 1" in outcome.error.message


def test_shares_respect_capacity_only_where_the_policy_says_so() -> None:
    tight = [member("m1", pods=2), member("m2")]
    rules = (rule("m1", 1), rule("m2", 1))
    free = schedule(binding(weighted(*rules)), tight).decision
    bound = schedule(binding(weighted(*rules, respectCapacity=True)), tight).decision
    assert free is not None
    assert bound is not None
    assert (free.targets, bound.targets) == ({"m1": 3, "m2": 3}, {"m1": 2, "m2": 4})


def test_the_floor_of_a_cluster_without_room_gives_way_where_capacity_is_respected() -> None:
    placement = weighted(rule("m1", 1, minReplicas=4), rule("m2", 1), respectCapacity=True)
    decision = schedule(binding(placement), [member("m1", pods=2), member("m2")]).decision
    assert decision is not None
    assert decision.targets == {"m1": 2, "m2": 4}
