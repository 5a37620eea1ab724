"""Spread selection against brute force: feasibility, the optimum, stickiness, and what must not matter."""

from dataclasses import replace
from itertools import chain, combinations
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from federation.api.placement import SpreadConstraint
from federation.policy.facts import ClusterFacts
from federation.schedule.divide.assign import Candidate, rank
from federation.schedule.errors import ScheduleError
from federation.schedule.spread import Selection, search, select
from federation.schedule.spread.constraint import Bound, read
from federation.schedule.spread.groups import Group, select_groups
from federation.schedule.spread.topology import topology
from federation.schedule.spread.weight import Demand, room

MAX = 7


@st.composite
def clusters(draw: st.DrawFn, *, nested: bool = False, single: bool = False) -> list[Candidate]:
    """Up to seven clusters; nested: zone in region in provider; else all keys cross, and a cluster may list two zones."""
    found = []
    for number in range(draw(st.integers(1, MAX))):
        region = draw(st.sampled_from(["r1", "r2", "r3"]))
        provider = draw(st.sampled_from(["p1", "p2"]))
        zones = [draw(st.sampled_from(["z1", "z2", "z3"]))]
        if nested:
            provider = {"r1": "p1", "r2": "p1", "r3": "p2"}[region]
            zones = [f"{region}{draw(st.sampled_from('ab'))}"]
        elif not single and draw(st.booleans()):
            zones.append(draw(st.sampled_from(["z1", "z2", "z3"])))
        labels = {"rack": draw(st.sampled_from(["k1", "k2"]))}
        facts = ClusterFacts(f"m{number}", labels=labels, region=region, zones=tuple(zones), provider=provider)
        has = draw(st.sampled_from([0, 0, 2]))
        found.append(Candidate(facts, score=100 if has else 0, free=draw(st.integers(0, 6)), has=has))
    return rank(found)


@st.composite
def constraints(draw: st.DrawFn, *, keys: tuple[str, ...], fewest: int = 1) -> list[SpreadConstraint]:
    chosen = draw(st.lists(st.sampled_from(keys), min_size=fewest, max_size=3, unique=True))
    found = []
    for by in ["cluster", *chosen]:
        least = draw(st.integers(0, 3))
        most = draw(st.sampled_from([None, 0, *range(max(1, least), 5)]))
        where = {"spreadByLabel": by} if by == "rack" else {"spreadByField": by}
        found.append(SpreadConstraint.model_validate({**where, "minGroups": least, "maxGroups": most}))
    return found


STRATEGY = st.sampled_from(["Duplicated", "DynamicWeight", "Aggregated"])
REPLICAS = st.integers(0, 20)
ALL = ("region", "zone", "provider", "rack")
TREE = ("region", "zone", "provider")


def subsets(items: list[Candidate]) -> list[tuple[Candidate, ...]]:
    return list(chain.from_iterable(combinations(items, size) for size in range(1, len(items) + 1)))


def touched(bound: Bound, chosen: tuple[Candidate, ...]) -> set[str]:
    return {name for one in chosen for name in bound.groups_of(one.facts)}


def within(bound: Bound, count: int) -> bool:
    return bound.least <= count and (bound.most is None or count <= bound.most)


def valid(chosen: tuple[Candidate, ...], asked: list[SpreadConstraint]) -> bool:
    cluster, bounds = read(asked)
    return within(cluster, len(chosen)) and all(within(bound, len(touched(bound, chosen))) for bound in bounds)


def answer(
    found: list[Candidate], asked: list[SpreadConstraint], strategy: str, replicas: int, **bound: int
) -> Selection | ScheduleError:
    try:
        return select(found, asked, strategy=strategy, replicas=replicas, **bound)
    except ScheduleError as error:
        return error


def has_room(chosen: tuple[Candidate, ...], strategy: str, replicas: int) -> bool:
    return strategy == "Duplicated" or sum(room(one) for one in chosen) >= replicas


def check_valid(found: list[Candidate], asked: list[SpreadConstraint], strategy: str, replicas: int) -> None:
    got = answer(found, asked, strategy, replicas)
    fine = [one for one in subsets(found) if valid(one, asked)]
    if not fine:
        assert isinstance(got, ScheduleError)
        assert got.code.startswith("too_few_")
    elif not any(has_room(one, strategy, replicas) for one in fine):
        assert isinstance(got, ScheduleError)
        assert (got.code, got.reason) == ("insufficient_resource", "Unschedulable")
    else:
        assert isinstance(got, Selection), f"{got} although {[one.name for one in fine[0]]} is valid"
        assert valid(got.clusters, asked)
        assert has_room(got.clusters, strategy, replicas)
        assert len({one.name for one in got.clusters}) == len(got.clusters)
        assert not got.approximate
        assert {one.cluster for one in got.left_out} == {one.name for one in found} - {x.name for x in got.clusters}
        for choice in got.choices:
            assert touched(choice.bound, got.clusters) == {group.name for group in choice.chosen}
            assert all(within(choice.bound, count) for count in [len(choice.chosen)])


@settings(max_examples=400, deadline=None)
@given(clusters(), constraints(keys=ALL, fewest=0), STRATEGY, REPLICAS)
def test_an_answer_satisfies_every_constraint_and_an_error_means_that_none_does(
    found: list[Candidate], asked: list[SpreadConstraint], strategy: str, replicas: int
) -> None:
    check_valid(found, asked, strategy, replicas)


@settings(max_examples=400, deadline=None)
@given(clusters(nested=True), constraints(keys=TREE, fewest=0), STRATEGY, REPLICAS)
def test_the_same_holds_where_the_keys_nest(
    found: list[Candidate], asked: list[SpreadConstraint], strategy: str, replicas: int
) -> None:
    check_valid(found, asked, strategy, replicas)


def preference(
    found: list[Candidate], asked: list[SpreadConstraint], strategy: str, replicas: int, chosen: tuple[Candidate, ...]
) -> tuple:
    """The order of preference as docs/scheduling.md states it: less is better."""
    cluster, bounds = read(asked)
    demand = Demand(replicas=replicas, duplicated=strategy == "Duplicated", needs_room=strategy != "Duplicated")
    known = topology(found, bounds, demand, cluster_least=cluster.least)
    order = []
    for key in known.keys:
        groups = [key.groups[name] for name in sorted(touched(key.bound, chosen))]
        order += [
            len(groups), -sum(group.weight for group in groups), -sum(group.value for group in groups),
            [group.name for group in groups],
        ]  # fmt: skip
    return tuple(order)


def check_best(found: list[Candidate], asked: list[SpreadConstraint], strategy: str, replicas: int) -> None:
    fine = [one for one in subsets(found) if valid(one, asked) and has_room(one, strategy, replicas)]
    if not fine:
        return
    best = min(preference(found, asked, strategy, replicas, one) for one in fine)
    got = answer(found, asked, strategy, replicas)
    assert isinstance(got, Selection)
    assert preference(found, asked, strategy, replicas, got.clusters) == best


@settings(max_examples=500, deadline=None)
@given(clusters(), constraints(keys=ALL, fewest=2), STRATEGY, REPLICAS)
def test_no_valid_selection_is_preferred_to_the_answer_where_keys_cross(
    found: list[Candidate], asked: list[SpreadConstraint], strategy: str, replicas: int
) -> None:
    check_best(found, asked, strategy, replicas)


@settings(max_examples=500, deadline=None)
@given(clusters(nested=True), constraints(keys=TREE, fewest=2), STRATEGY, REPLICAS)
def test_no_valid_selection_is_preferred_to_the_answer_where_keys_nest(
    found: list[Candidate], asked: list[SpreadConstraint], strategy: str, replicas: int
) -> None:
    check_best(found, asked, strategy, replicas)


@settings(max_examples=300, deadline=None)
@given(clusters(), constraints(keys=ALL, fewest=2), STRATEGY, REPLICAS, st.integers(0, 40))
def test_a_bounded_search_satisfies_every_constraint_and_says_approximate_where_it_is_not_the_best(
    found: list[Candidate], asked: list[SpreadConstraint], strategy: str, replicas: int, work: int
) -> None:
    exact = answer(found, asked, strategy, replicas)
    got = answer(found, asked, strategy, replicas, work=work)
    if isinstance(got, ScheduleError):
        # It may miss what is there, but then it says that it did not see everything.
        assert "bounded" in got.message or (isinstance(exact, ScheduleError) and exact.code == got.code)
        return
    assert valid(got.clusters, asked)
    assert has_room(got.clusters, strategy, replicas)
    assert got.approximate or got == exact


@settings(max_examples=600, deadline=None)
@given(
    clusters(), constraints(keys=ALL), st.integers(1, 5), st.integers(0, 2), st.one_of(st.none(), st.integers(5, 30)),
    st.sampled_from([5, search.GLANCE]),
)  # fmt: skip
def test_the_search_alone_finds_the_best_groups(
    found: list[Candidate], asked: list[SpreadConstraint], least: int, extra: int, replicas: int | None, glance: int
) -> None:
    cluster = SpreadConstraint.model_validate({"minGroups": least, "maxGroups": least + extra})
    asked = [cluster, *asked[1:]]
    bound, bounds = read(asked)
    strategy = "Duplicated" if replicas is None else "DynamicWeight"
    demand = Demand(replicas=replicas or 0, duplicated=replicas is None, needs_room=replicas is not None)
    known = topology(found, bounds, demand, cluster_least=bound.least)
    with patch.object(search, "GLANCE", glance):
        got = search.search(known.keys, known.cells(), cluster=bound, replicas=replicas)
    assert not got.cut
    fine = [one for one in subsets(found) if valid(one, asked) and has_room(one, strategy, replicas or 0)]
    assert (got.found is not None) == bool(fine)
    if got.found is None:
        return
    best = min(fine, key=lambda one: preference(found, asked, strategy, replicas or 0, one))
    assert got.found.groups == tuple(frozenset(touched(key.bound, best)) for key in known.keys)
    taken = sum(count for _, count in got.found.taken)
    assert taken <= least + extra
    assert replicas is None or taken >= least


GROUPS = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), max_size=7).map(
    lambda rows: [Group(f"g{number}", value, weight * 10) for number, (value, weight) in enumerate(rows)]
)


def walk(groups: list[Group], least: int, most: int, target: int) -> list[Group] | None:
    """The rule of karmada.md 2.6.8, path by path."""
    order = sorted(groups, key=lambda group: (group.value, -group.weight, group.name))
    paths: list[list[Group]] = []

    def go(path: list[Group], begin: int) -> None:
        if sum(group.value for group in path) >= target and least <= len(path) <= most:
            paths.append(sorted(path, key=lambda group: (-group.weight, group.name)))
            return
        if len(path) < most:
            for index in range(begin, len(order)):
                go([*path, order[index]], index + 1)

    go([], 0)
    if not paths:
        return None
    number = {id(path): place for place, path in enumerate(paths)}
    ranked = sorted(
        paths,
        key=lambda path: (-sum(one.weight for one in path), -sum(one.value for one in path), number[id(path)]),
    )
    best = ranked[0]
    for path in ranked[1:]:
        if len(path) < len(best) and best[: len(path)] == path:
            best = path
    return best


@settings(max_examples=1000, deadline=None)
@given(GROUPS, st.integers(1, 4), st.integers(0, 4), st.integers(1, 20))
def test_groups_of_one_key_are_those_that_the_walk_of_the_reference_finds(
    groups: list[Group], least: int, extra: int, target: int
) -> None:
    most = least + extra
    assert select_groups(groups, least=least, most=most, target=target) == walk(groups, least, most, target)


@settings(max_examples=300, deadline=None)
@given(clusters(single=True), constraints(keys=("region", "zone", "provider")), STRATEGY, REPLICAS)
def test_with_one_key_the_answer_is_that_of_the_reference_where_it_breaks_no_constraint(
    found: list[Candidate], asked: list[SpreadConstraint], strategy: str, replicas: int
) -> None:
    asked = asked[:2]
    cluster, bounds = read(asked)
    demand = Demand(replicas=replicas, duplicated=strategy == "Duplicated", needs_room=strategy != "Duplicated")
    key = topology(found, bounds, demand, cluster_least=cluster.least).keys[0]
    most = len(key.groups) if key.bound.most is None else key.bound.most
    regions = walk(list(key.groups.values()), key.bound.least, most, cluster.least)
    if regions is None:
        return
    members = [[one for one in found if key.bound.groups_of(one.facts) == (group.name,)] for group in regions]
    rest = [one for one in found if any(one in part[1:] for part in members)]
    first = [part[0] for part in members]
    limit = len(found) if cluster.most is None else cluster.most
    reference = tuple(first + rest[: max(0, limit - len(first))])
    if valid(reference, asked) and has_room(reference, strategy, replicas):
        got = answer(found, asked, strategy, replicas)
        assert isinstance(got, Selection)
        assert got.clusters == reference


@settings(max_examples=200, deadline=None)
@given(clusters(), constraints(keys=ALL, fewest=0), STRATEGY, REPLICAS, st.randoms())
def test_the_order_of_the_input_does_not_matter(
    found: list[Candidate], asked: list[SpreadConstraint], strategy: str, replicas: int, random
) -> None:
    before = answer(found, asked, strategy, replicas)
    shuffled = list(found)
    random.shuffle(shuffled)
    after = answer(rank(shuffled), asked, strategy, replicas)
    assert after == before


@settings(max_examples=200, deadline=None)
@given(clusters(), constraints(keys=ALL), STRATEGY, REPLICAS, st.integers(0, 50))
def test_a_cluster_without_the_keys_changes_nothing(
    found: list[Candidate], asked: list[SpreadConstraint], strategy: str, replicas: int, free: int
) -> None:
    before = answer(found, asked, strategy, replicas)
    after = answer(rank([*found, Candidate(ClusterFacts("stranger"), score=100, free=free)]), asked, strategy, replicas)
    if isinstance(before, Selection):
        assert isinstance(after, Selection)
        assert after.clusters == before.clusters
    else:
        assert after == before


@settings(max_examples=300, deadline=None)
@given(clusters(), constraints(keys=ALL, fewest=2), STRATEGY, REPLICAS)
def test_what_was_selected_is_selected_again(
    found: list[Candidate], asked: list[SpreadConstraint], strategy: str, replicas: int
) -> None:
    empty = rank([replace(one, score=0, has=0, free=one.free + one.has) for one in found])
    first = answer(empty, asked, strategy, replicas)
    if not isinstance(first, Selection):
        return
    placed = {one.name for one in first.clusters}
    now = rank([replace(one, score=100 if one.name in placed else 0) for one in empty])
    again = answer(now, asked, strategy, replicas)
    assert isinstance(again, Selection)
    assert {one.name for one in again.clusters} == placed
