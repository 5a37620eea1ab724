"""What many bindings become together: no room is spent twice, and nothing is decided without a reason."""

from dataclasses import replace
from typing import Any

from federation.interpret import Requirements
from federation.schedule.decide import schedule
from federation.schedule.rehearse import Rehearsed, Waiting, rehearse
from federation.schedule.snapshot import ClusterView
from tests.unit.schedule.build import AGGREGATED, binding, member, on, rule, weighted

ASKS = Requirements(resource_request={"cpu": "1"})
THREE = [member("m1"), member("m2"), member("m3")]


def placed(
    name: str,
    placement: dict[str, Any],
    *,
    replicas: int | None = 4,
    clusters: list[ClusterView] = THREE,
    **fields: Any,
) -> Waiting:
    view = replace(binding(placement, replicas=replicas, **fields), key=f"shop/{name}")
    decision = schedule(view, clusters).decision
    return Waiting(name=name, view=replace(view, previous=decision))


def answers(found: list[Rehearsed]) -> dict[str, dict[str, int] | str]:
    return {one.name: one.error or dict(one.after) for one in found}


def test_without_a_change_of_the_clusters_nothing_changes() -> None:
    found = rehearse([placed("a", weighted(rule("m1", 1), rule("m2", 1)))], THREE)
    assert [(one.changed, one.trigger) for one in found] == [(False, "")]


def test_a_cluster_that_is_gone_gives_its_share_to_the_others_by_the_workloads_own_rule() -> None:
    found = rehearse(
        [placed("a", weighted(rule("m1", 1), rule("m2", 1))), placed("b", weighted(rule("m3", 1)))], THREE[1:]
    )
    assert answers(found) == {"a": {"m2": 4}, "b": {"m3": 4}}
    assert [one.trigger for one in found] == ["ClusterGone", ""]


def test_a_workload_whose_scheduling_is_suspended_stays_whatever_happens() -> None:
    waiting = placed("a", weighted(rule("m1", 1), rule("m2", 1)))
    (found,) = rehearse([replace(waiting, suspended=True)], THREE[1:])
    assert (found.changed, found.trigger) == (False, "")


def test_room_that_one_takes_is_not_there_for_the_next() -> None:
    roomy = [member("m1"), member("m2", pods=5)]
    first = placed("big", AGGREGATED, replicas=4, clusters=[member("m1", pods=50)], requirements=ASKS)
    second = placed("small", AGGREGATED, replicas=2, clusters=[member("m1", pods=50)], requirements=ASKS)
    found = answers(rehearse([second, first], roomy[1:]))
    assert found["big"] == {"m2": 4}, "the bigger one goes first"
    assert "do not fit" in str(found["small"])


def test_a_higher_priority_goes_first_whatever_its_size() -> None:
    before = [member("m1", pods=50)]
    big = placed("big", AGGREGATED, replicas=4, clusters=before, requirements=ASKS)
    small = replace(placed("small", AGGREGATED, replicas=2, clusters=before, requirements=ASKS), priority=5)
    found = answers(rehearse([big, small], [member("m2", pods=5)]))
    assert found["small"] == {"m2": 2}
    assert "do not fit" in str(found["big"])


def test_what_is_placed_by_name_has_no_place_when_its_cluster_is_gone() -> None:
    found = rehearse([placed("a", {"clusterAffinity": on("m1")})], THREE[1:])
    assert found[0].changed
    assert found[0].error.startswith("0/2 clusters are available")
    assert dict(found[0].after) == {"m1": 4}, "it stays as it is"


def test_a_cluster_more_is_taken_by_what_goes_everywhere_and_by_nothing_else() -> None:
    everywhere, divided = placed("a", {}, replicas=None), placed("b", weighted(rule("m1", 1), rule("m2", 1)))
    found = rehearse([everywhere, divided], [*THREE, member("m4")])
    assert answers(found) == {"a": {"m1": 0, "m2": 0, "m3": 0, "m4": 0}, "b": {"m1": 2, "m2": 2}}


def test_peers_are_where_this_rehearsal_has_put_them() -> None:
    together = {"first": frozenset({"m1"})}
    first = placed("first", AGGREGATED, replicas=9, clusters=[member("m1")])
    second = placed("second", AGGREGATED, replicas=1, clusters=[member("m1")], together=together)
    assert answers(rehearse([second, first], [member("m2"), member("m3")])) == {"first": {"m2": 9}, "second": {"m2": 1}}
