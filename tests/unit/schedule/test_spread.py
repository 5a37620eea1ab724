"""Spread constraints: what counts as a group, which groups and clusters are taken, what is said when none can be."""

from itertools import count
from random import Random

import pytest

from federation.api.placement import Placement, SpreadConstraint
from federation.policy.facts import ClusterFacts
from federation.schedule.divide.assign import Candidate, rank
from federation.schedule.errors import ScheduleError
from federation.schedule.plugins.spread_constraint.filter import SpreadConstraintFilter
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.spread import Selection, select
from federation.schedule.spread.constraint import Bound, read
from federation.schedule.spread.search import search
from federation.schedule.spread.topology import topology
from federation.schedule.spread.weight import Demand


def constraint(by: str, least: int | None = None, most: int | None = None) -> SpreadConstraint:
    where = {"spreadByField": by} if by in {"cluster", "region", "zone", "provider"} else {"spreadByLabel": by}
    return SpreadConstraint.model_validate({**where, "minGroups": least, "maxGroups": most})


def one(
    name: str, *, region: str = "", zones: str = "", provider: str = "", rack: str | None = None, **rest
) -> Candidate:
    """A candidate; zones are separated by spaces."""
    labels = {} if rack is None else {"rack": rack}
    return Candidate(ClusterFacts(name, labels, region, tuple(zones.split()), provider), **rest)


def chosen(
    candidates: list[Candidate], *asked: SpreadConstraint, strategy: str = "Duplicated", replicas: int = 0
) -> list[str]:
    return names(select(rank(candidates), asked, strategy=strategy, replicas=replicas))


def names(selection: Selection) -> list[str]:
    return [one.name for one in selection.clusters]


READ = {
    "nothing said is about clusters": ([{}], (Bound("cluster"), ())),
    "zero is as good as omitted": ([{"minGroups": 0, "maxGroups": 0}], (Bound("cluster"), ())),
    "no limit where maxGroups is omitted": (
        [{"spreadByField": "region", "minGroups": 2}], (Bound("cluster"), (Bound("region", 2, None),)),
    ),
    "a label is a key of its own, also one named like a field": (
        [{"spreadByLabel": "region"}, {"spreadByField": "region"}],
        (Bound("cluster"), (Bound("region", label=True), Bound("region"))),
    ),
    "two on one label hold together": (
        [{"spreadByLabel": "rack", "minGroups": 2}, {"spreadByLabel": "rack", "minGroups": 1, "maxGroups": 3}],
        (Bound("cluster"), (Bound("rack", 2, 3, label=True),)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_constraints_are_read_as(name: str) -> None:
    given, wanted = READ[name]
    assert read([SpreadConstraint.model_validate(one) for one in given]) == wanted


THREE_REGIONS = [
    one("a1", region="a", free=5), one("a2", region="a", free=4), one("b1", region="b", free=9), one("c1", region="c", free=2),
]  # fmt: skip
SIX = [
    one("m1", provider="p", region="r1", zones="r1a", free=3), one("m2", provider="p", region="r1", zones="r1b", free=3),
    one("m3", provider="p", region="r2", zones="r2a", free=3), one("m4", provider="p", region="r2", zones="r2b", free=3),
    one("m5", provider="q", region="r3", zones="r3a", free=9), one("m6", provider="q", region="r3", zones="r3b", free=9),
]  # fmt: skip
CHOSEN = {
    "as few regions as the minimum asks for, the weightiest": (
        THREE_REGIONS, [constraint("region", 1), constraint("cluster", 1)], "Duplicated", 1, ["a1", "a2"],
    ),
    "more regions where the first ones have too few clusters": (
        THREE_REGIONS, [constraint("region", 1, 3), constraint("cluster", 3)], "Duplicated", 1, ["a1", "b1", "a2"],
    ),
    "the best cluster of each region before the second of any": (
        THREE_REGIONS, [constraint("region", 2, 2), constraint("cluster", 1, 2)], "Duplicated", 1, ["a1", "b1"],
    ),
    "a region with room where the weightiest has none": (
        THREE_REGIONS, [constraint("region", 1, 1), constraint("cluster", 1, 1)], "DynamicWeight", 9, ["b1"],
    ),
    "more regions than the fewest where one has no room": (
        THREE_REGIONS, [constraint("region", 1), constraint("cluster", 1)], "DynamicWeight", 18, ["b1", "a1", "a2"],
    ),
    "no more clusters than allowed although room asks for other ones": (
        THREE_REGIONS, [constraint("region", 2), constraint("cluster", 1, 2)], "Aggregated", 13, ["b1", "a1"],
    ),
    "zones in one region, both constrained": (
        SIX, [constraint("region", 1, 1), constraint("zone", 2)], "DynamicWeight", 10, ["m5", "m6"],
    ),
    "three keys that nest": (
        SIX, [constraint("provider", 2), constraint("region", 2, 2), constraint("zone", 3)], "DynamicWeight", 3,
        ["m5", "m6", "m1"],
    ),
    "a label that cuts across the regions": (
        [one("m1", region="a", rack="x"), one("m2", region="a", rack="y"), one("m3", region="b", rack="x"), one("m4", region="b", rack="y")],
        [constraint("rack", 2), constraint("region", 2), constraint("cluster", 2, 2)], "Duplicated", 0, ["m1", "m4"],
    ),
    "a cover that is short enough, although the best of each group would be too many": (
        [one("m0", zones="z1", provider="p2"), one("m1", zones="z2", provider="p1"), one("m2", zones="z2", provider="p2", free=1)],
        [constraint("zone", 2), constraint("provider", 2), constraint("cluster", 1, 2)], "Duplicated", 0, ["m0", "m1"],
    ),
    "an empty label value groups like any other": (
        [one("m1", rack=""), one("m2", rack="x"), one("m3")], [constraint("rack", 2)], "Duplicated", 0, ["m1", "m2"],
    ),
    "a cluster counts for each zone that it lists": (
        [one("m1", zones="z1 z2")], [constraint("zone", 2)], "Duplicated", 0, ["m1"],
    ),
    "a cluster in two zones is too much for maxGroups 1": (
        [one("m1", zones="z1 z2", score=100), one("m2", zones="z1")], [constraint("zone", 1, 1)], "Duplicated", 0, ["m2"],
    ),
    "a closed cluster offers what it has, not what is free": (
        [one("m1", free=50, has=1, score=100, closed=True), one("m2", free=5)], [constraint("cluster", 1, 1)], "DynamicWeight", 5,
        ["m2"],
    ),
    "clusters with room that no exchange one by one would find": (
        [
            one("m0", region="b", rack="y", free=2), one("m1", region="a", rack="x", free=3), one("m2", region="b", rack="x", free=2),
            one("m3", region="a", rack="y", free=4), one("m4", region="a", rack="y", free=3), one("m5", region="a", rack="y", free=5),
        ],
        [constraint("region", 2), constraint("rack", 2), constraint("cluster", 1, 3)], "DynamicWeight", 11, ["m5", "m3", "m2"],
    ),
    "clusters enough where the groups with room have too few": (
        [one("m1", region="a", free=9), *(one(f"m{n}", region=r, free=2) for n, r in zip(count(2), "bbbcc"))],
        [constraint("region", 1), constraint("cluster", 3)], "DynamicWeight", 9, ["m1", "m2", "m3", "m4"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHOSEN)
def test_the_choice_is(name: str) -> None:
    candidates, asked, strategy, replicas, wanted = CHOSEN[name]
    assert sorted(chosen(candidates, *asked, strategy=strategy, replicas=replicas)) == sorted(wanted)


def test_without_a_limit_on_clusters_all_of_the_chosen_groups_are_taken() -> None:
    assert chosen([one("m1"), one("m2"), one("m3")], constraint("cluster", 2)) == ["m1", "m2", "m3"]


def test_what_has_the_work_stays_selected_when_an_equal_region_is_emptier() -> None:
    candidates = [one("a1", region="a", score=100, free=1, has=2), one("b1", region="b", free=80)]
    assert chosen(candidates, constraint("region", 1, 1), strategy="DynamicWeight", replicas=3) == ["a1"]


def test_static_weights_count_spread_only_where_they_respect_capacity() -> None:
    candidates = rank([one("m1", free=2), one("m2", free=5), one("m3", free=1)])
    asked = [constraint("cluster", 1, 2)]
    plain = select(candidates, asked, strategy="StaticWeight", replicas=6)
    assert names(plain) == ["m2", "m1", "m3"]
    assert plain.lines == ["spread constraints do not count for static weights; set respectCapacity to make them count"]
    assert names(select(candidates, asked, strategy="StaticWeight", replicas=6, respect_capacity=True)) == ["m2", "m1"]


ERRORS = {
    "too few groups of a key": (
        [one("m1", zones="a"), one("m2", zones="b")], [constraint("zone", 3)], "Duplicated", 0, "too_few_zones", "NoClusterFit",
        "spread by zone needs 3 groups, 2 have clusters that fit: a, b",
    ),
    "a label": (
        [one("m1", rack="x")], [constraint("rack", 2)], "Duplicated", 0, "too_few_groups", "NoClusterFit",
        "spread by label rack needs 2 groups, 1 have clusters that fit: x",
    ),
    "too few clusters": (
        [one("m1"), one("m2")], [constraint("cluster", 3)], "Duplicated", 0, "too_few_clusters", "NoClusterFit",
        "spread by cluster needs 3 clusters, 2 fit: m1, m2",
    ),
    "clusters enough, but not in the allowed regions": (
        THREE_REGIONS, [constraint("region", 1, 1), constraint("cluster", 3, 4)], "Duplicated", 1, "too_few_clusters", "NoClusterFit",
        ("no choice of clusters satisfies spread by cluster (3 to 4) and spread by region (1 to 1). Clusters by region: a 2, b 1, c 1. "
        "Without spread by cluster (3 to 4) there is one"),
    ),
    "fewer clusters allowed than regions needed": (
        THREE_REGIONS, [constraint("region", 3), constraint("cluster", 1, 2)], "Duplicated", 1, "too_few_clusters", "NoClusterFit",
        ("no choice of clusters satisfies spread by cluster (1 to 2) and spread by region (at least 3). Clusters by region: a 2, b 1, "
        "c 1. Without spread by cluster (1 to 2) there is one"),
    ),
    "two keys that cannot hold together": (
        SIX, [constraint("provider", 2), constraint("region", 1, 1)], "Duplicated", 0, "too_few_providers", "NoClusterFit",
        ("no choice of clusters satisfies spread by provider (at least 2) and spread by region (1 to 1). Clusters by provider: p 4, q 2; "
        "by region: r1 2, r2 2, r3 2. Without spread by provider (at least 2) there is one"),
    ),
    "too little room by clusters": (
        THREE_REGIONS, [constraint("cluster", 1, 2)], "DynamicWeight", 15, "insufficient_resource", "Unschedulable",
        "15 replicas do not fit under spread by cluster (1 to 2); the preferred choice has room for 14: b1 9, a1 5",
    ),
    "too little room in any one region": (
        THREE_REGIONS, [constraint("region", 1, 1)], "Aggregated", 10, "insufficient_resource", "Unschedulable",
        "10 replicas do not fit under spread by region (1 to 1); the preferred choice has room for 9: a1 5, a2 4",
    ),
    "room only in one of the two regions that are needed": (
        [one("a1", region="a", free=5), one("b1", region="b", free=9), one("b2", region="b", free=8)],
        [constraint("region", 2), constraint("cluster", 2, 2)], "DynamicWeight", 15, "insufficient_resource", "Unschedulable",
        ("15 replicas do not fit under spread by region (at least 2) and spread by cluster (2 to 2); the preferred choice has room for "
        "14: b1 9, a1 5"),
    ),
    "more groups needed than allowed": (
        [one("m1", rack="x")], [constraint("rack", 2), constraint("rack", 1, 1)], "Duplicated", 0, "too_few_groups", "NoClusterFit",
        "spread by label rack (2 to 1) allows fewer groups than it needs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_names_the_constraint_and_the_numbers(name: str) -> None:
    candidates, asked, strategy, replicas, code, reason, message = ERRORS[name]
    with pytest.raises(ScheduleError) as caught:
        chosen(candidates, *asked, strategy=strategy, replicas=replicas)
    assert (caught.value.code, caught.value.reason, caught.value.message) == (code, reason, message)


def test_the_explanation_names_the_groups_their_weights_and_what_kept_each_other_cluster_out() -> None:
    candidates = rank([*THREE_REGIONS, one("d1")])
    found = select(
        candidates, [constraint("region", 1, 1), constraint("cluster", 1, 1)], strategy="Duplicated", replicas=1
    )
    assert found.lines == [
        "spread by region (1 to 1): a (weight 2000, clusters 2); not b (weight 1000, clusters 1), c (weight 1000, clusters 1)",
        "spread by cluster (1 to 1): 1 of 5",
    ]
    assert {left.cluster: (left.bound.what, left.reason) for left in found.left_out} == {
        "a2": ("cluster", "1 others are enough and go before it"),
        "b1": ("region", "region b is not among the chosen"),
        "c1": ("region", "region c is not among the chosen"),
        "d1": ("region", "it has no region"),
    }


def fleet(size: int, zones: int, racks: int, seed: int) -> list[Candidate]:
    """Zones nest in regions and those in providers; racks cut across all."""
    random = Random(seed)
    found = []
    for number in range(size):
        zone = random.randrange(zones)
        found.append(one(
            f"m{number:04}", zones=f"z{zone:02}", region=f"r{zone // 4:02}", provider=f"p{zone // 16}",
            rack=f"k{random.randrange(racks)}", free=random.randrange(100),
        ))  # fmt: skip
    return rank(found)


CROSSING = [constraint("zone", 3, 4), constraint("rack", 3, 4), constraint("cluster", 4, 6)]
NESTED = [constraint("provider", 2, 3), constraint("region", 3, 5), constraint("zone", 6, 10)]
EXACT = {
    "zones and 10 racks that cross, 1,000 clusters": (1000, 60, 10, CROSSING, None),
    "zones and 6 racks that cross, 100 clusters, with room": (100, 30, 6, CROSSING, 450),
    "three keys that nest, 1,000 clusters, 40 selected": (1000, 60, 2, [*NESTED, constraint("cluster", 20, 40)], None),
    "three keys that nest, 1,000 clusters, 10 selected, with room": (
        1000,
        60,
        2,
        [*NESTED, constraint("cluster", 5, 10)],
        800,
    ),
    "three keys that nest, 100 clusters, 20 selected, with room": (
        100,
        30,
        2,
        [*NESTED, constraint("cluster", 10, 20)],
        1400,
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_the_search_is_exact_as_far_as_the_documentation_says(name: str) -> None:
    size, zones, racks, asked, replicas = EXACT[name]
    for seed in range(4):
        cluster, bounds = read(asked)
        demand = Demand(replicas=replicas or 0, duplicated=False, needs_room=replicas is not None)
        known = topology(fleet(size, zones, racks, seed), bounds, demand, cluster_least=cluster.least)
        answer = search(known.keys, known.cells(), cluster=cluster, replicas=replicas)
        assert answer.found is not None
        assert not answer.cut


def test_beyond_it_the_answer_satisfies_every_constraint_and_says_approximate() -> None:
    asked = [constraint("zone", 5, 9), constraint("rack", 5, 9), constraint("cluster", 20, 30)]
    candidates = fleet(1000, 60, 40, 1)
    found = select(candidates, asked, strategy="DynamicWeight", replicas=1500)
    assert found.approximate
    assert found.lines[-1].startswith("Approximate")
    assert 20 <= len(found.clusters) <= 30
    assert sum(one.free for one in found.clusters) >= 1500
    for touched in ({one.facts.zones for one in found.clusters}, {one.facts.labels["rack"] for one in found.clusters}):
        assert 5 <= len(touched) <= 9


def test_a_cluster_without_the_label_is_refused_by_name() -> None:
    binding = BindingView(
        key="shop/web", uid="u", api_version="apps/v1", kind="Deployment",
        placement=Placement.model_validate({"spreadConstraints": [{"spreadByLabel": "rack"}]}),
    )  # fmt: skip
    plugin = SpreadConstraintFilter()
    refusal = plugin.refuse(binding, ClusterView(facts=ClusterFacts("m1")))
    assert refusal is not None
    assert (refusal.reason, refusal.detail) == ("cluster(s) did not have label rack property", "label rack is not set")
    assert plugin.refuse(binding, ClusterView(facts=ClusterFacts("m2", labels={"rack": "x"}))) is None
