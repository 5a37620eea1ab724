"""Sequences of sizes through the whole scheduler: raising the total lowers no share, whatever the placement says."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from federation.api.cluster import ResourceSummary
from federation.policy.facts import ClusterFacts
from federation.schedule.decide import schedule
from federation.schedule.moves import goal_of
from federation.schedule.snapshot import ClusterView
from tests.unit.schedule.build import AGGREGATED, DEPLOYMENT, DYNAMIC, binding, rule, weighted

NAMES = [f"m{number}" for number in range(7)]
STATIC = weighted(rule("m0", 3, maxReplicas=6), rule("m1", 1, minReplicas=2), rule("m2", 2), rule("m5", 1))
TIERS = {"clusterAffinities": [{
    "affinityName": "own", "clusterNames": NAMES[:3], "overflowAffinities": [{"affinityName": "more", "clusterNames": NAMES[3:]}],
}]}  # fmt: skip
BOUND = st.tuples(st.sampled_from(["cluster", "region", "zone", "provider"]), st.integers(1, 3), st.integers(0, 2))


def spread(bounds: list[tuple[str, int, int]]) -> dict[str, Any]:
    """Constraints with room between least and most (0: no most)."""
    listed = [{"spreadByField": by, "minGroups": least, "maxGroups": least + more} for by, least, more in bounds]
    return {"spreadConstraints": listed} if listed else {}


PLACEMENTS = st.one_of(
    st.builds(
        lambda strategy, bounds: {**strategy, **spread(bounds)},
        st.sampled_from([DYNAMIC, AGGREGATED]), st.lists(BOUND, max_size=2, unique_by=lambda one: one[0]),
    ),
    st.sampled_from([STATIC, DYNAMIC | TIERS, AGGREGATED | TIERS]),
)  # fmt: skip
PLACES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 1)), min_size=7, max_size=7)


def members(rooms: list[int], places: list[tuple[int, int, int]], held: dict[str, int]) -> list[ClusterView]:
    """What each has room for in all, what it runs already taken off."""
    return [
        ClusterView(
            facts=ClusterFacts(name=name, region=f"r{region}", zones=(f"z{zone}",), provider=f"p{provider}"), apis=DEPLOYMENT,
            summary=ResourceSummary(allocatable={"pods": str(room)}, allocated={"pods": str(held.get(name, 0))}),
        )
        for name, room, (region, zone, provider) in zip(NAMES, rooms, places, strict=True)
    ]  # fmt: skip


@settings(max_examples=300)
@given(
    PLACEMENTS,
    PLACES,
    st.lists(st.integers(0, 12), min_size=7, max_size=7),
    st.lists(st.integers(1, 40), min_size=2, max_size=6),
)
def test_raising_the_total_lowers_no_share(
    placement: dict[str, Any], places: list[tuple[int, int, int]], rooms: list[int], sizes: list[int]
) -> None:
    view, held = binding(placement, replicas=1), dict[str, int]()
    for size in sorted(sizes):
        outcome = schedule(replace(view, replicas=size), members(rooms, places, held))
        if outcome.decision is None:
            continue
        shares = goal_of(outcome.decision)
        assert sum(shares.values()) == size
        assert {name: shares.get(name, 0) for name in held} == {
            name: max(count, shares.get(name, 0)) for name, count in held.items()
        }, "a share fell"
        held = shares
        view = replace(view, previous=outcome.decision.model_copy(update={"targets": shares, "moves": []}))
