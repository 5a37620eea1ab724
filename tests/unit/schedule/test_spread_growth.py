"""A workload under spread constraints that asks for more keeps its clusters; one that has to change changes."""

from dataclasses import replace
from typing import Any

from federation.policy.facts import ClusterFacts
from federation.schedule.decide import schedule
from federation.schedule.snapshot import BindingView, ClusterView
from tests.unit.schedule.build import AGGREGATED, binding, member


def spread(most: int) -> dict[str, Any]:
    return {**AGGREGATED, "spreadConstraints": [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": most}]}


def fleet(**rooms: int) -> list[ClusterView]:
    return [replace(member(name, pods=room), facts=ClusterFacts(name=name)) for name, room in rooms.items()]


def held(placement: dict[str, Any], replicas: int, **shares: int) -> BindingView:
    """With a decision in force that says so."""
    view = binding(placement, replicas=sum(shares.values()))
    decision = schedule(replace(view, held=shares), fleet(**dict.fromkeys(shares, 50))).decision
    assert decision is not None
    return replace(view, replicas=replicas, previous=decision.model_copy(update={"targets": shares, "moves": []}))


def test_a_cluster_is_added_to_those_that_have_it() -> None:
    outcome = schedule(held(spread(2), 8, m1=4), fleet(m1=1, m2=3, m3=9))
    assert outcome.decision is not None
    assert outcome.decision.targets["m1"] >= 4
    assert outcome.decision.moves == []


def test_where_only_an_exchange_would_fit_what_is_placed_stays_and_the_error_says_how_to_divide_anew() -> None:
    outcome = schedule(held(spread(1), 8, m1=4), fleet(m1=1, m2=50))
    assert outcome.decision is None
    assert outcome.error is not None
    assert (outcome.error.reason, "fedctl rebalance" in outcome.error.message) == ("Unschedulable", True)
    fresh = schedule(replace(held(spread(1), 8, m1=4), fresh=True), fleet(m1=1, m2=50)).decision
    assert fresh is not None
    assert {move.to for move in fresh.moves} == {"m2"}


def test_a_constraint_that_was_tightened_takes_effect() -> None:
    outcome = schedule(held(spread(1), 4, m1=2, m2=2), fleet(m1=50, m2=50))
    assert outcome.decision is not None
    assert len({move.to for move in outcome.decision.moves}) == 1


def test_a_workload_that_lost_its_cluster_goes_where_it_fits() -> None:
    outcome = schedule(held(spread(1), 4, m1=4), fleet(m2=50))
    assert outcome.decision is not None
    assert outcome.decision.targets == {"m2": 4}
