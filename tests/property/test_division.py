"""Division for all numbers: sums, monotony, bounds, and what a step may never do."""

from hypothesis import given
from hypothesis import strategies as st

from federation.policy.facts import ClusterFacts
from federation.schedule.divide.assign import Candidate
from federation.schedule.divide.dynamic import Room, assign_dynamic
from federation.schedule.divide.shares import assign_tiers
from federation.schedule.divide.static import divide_static
from federation.schedule.divide.webster import webster
from federation.schedule.errors import ScheduleError

NAMES = st.sampled_from([f"m{number}" for number in range(8)])
VOTES = st.dictionaries(NAMES, st.integers(0, 1000), min_size=1).filter(lambda votes: any(votes.values()))
ROOMS = st.dictionaries(NAMES, st.integers(0, 40), min_size=1).map(
    lambda free: [Room(name, count) for name, count in free.items()]
)


def plain(seats: int, votes: dict[str, int], *, descending: bool) -> dict[str, int]:
    """The definition, seat by seat."""
    result = dict.fromkeys(votes, 0)
    order = sorted(votes, reverse=descending)
    for _ in range(seats):
        best = min(
            (name for name in order if votes[name]),
            key=lambda name: (-votes[name] / (2 * result[name] + 1), result[name], order.index(name)),
        )
        result[best] += 1
    return result


@given(
    st.integers(0, 60),
    st.dictionaries(NAMES, st.integers(0, 50), min_size=1).filter(lambda votes: any(votes.values())),
    st.booleans(),
)
def test_the_fast_method_is_the_definition(seats: int, votes: dict[str, int], descending: bool) -> None:
    assert webster(seats, votes, descending=descending) == dict(
        sorted(plain(seats, votes, descending=descending).items())
    )


@given(st.integers(0, 100_000), VOTES)
def test_all_seats_are_handed_out(seats: int, votes: dict[str, int]) -> None:
    assert sum(webster(seats, votes).values()) == seats


@given(st.integers(0, 500), VOTES)
def test_raising_the_total_lowers_no_share(seats: int, votes: dict[str, int]) -> None:
    before, after = webster(seats, votes), webster(seats + 1, votes)
    assert all(after[name] >= before[name] for name in before)


@given(
    st.sampled_from(["DynamicWeight", "Aggregated"]),
    ROOMS,
    st.lists(st.integers(0, 120), min_size=1, max_size=6),
    st.text(max_size=4),
)
def test_a_sequence_of_sizes_never_moves_more_than_it_must(
    strategy: str, rooms: list[Room], sizes: list[int], uid: str
) -> None:
    held: dict[str, int] = {}
    for wanted in sizes:
        free = [Room(room.name, max(0, room.free - held.get(room.name, 0))) for room in rooms]
        try:
            shares = assign_dynamic(strategy, wanted, free, previous=held, uid=uid)
        except ScheduleError:
            continue
        assert sum(shares.values()) == wanted
        assert all(count <= next(room.free for room in rooms if room.name == name) for name, count in shares.items())
        if wanted >= sum(held.values()):
            assert all(shares.get(name, 0) >= count for name, count in held.items())
        else:
            assert all(count <= held.get(name, 0) for name, count in shares.items())
        held = {name: count for name, count in shares.items() if count}


BOUNDS = st.dictionaries(NAMES, st.integers(0, 12), max_size=8)


@given(st.integers(0, 80), VOTES, BOUNDS, BOUNDS, st.text(max_size=3))
def test_static_shares_keep_their_bounds_and_never_fall_when_the_total_rises(
    replicas: int, votes: dict[str, int], least: dict[str, int], most: dict[str, int], uid: str
) -> None:
    weights = {name: count for name, count in votes.items() if count}
    floors = {name: count for name, count in least.items() if name in weights}
    limits = {name: count for name, count in most.items() if name in weights}
    try:
        after = divide_static(replicas + 1, weights, floors=floors, limits=limits, uid=uid)
    except ScheduleError:
        assert limits.keys() == weights.keys()
        assert sum(limits.values()) <= replicas
        return
    before = divide_static(replicas, weights, floors=floors, limits=limits, uid=uid)
    assert (sum(before.values()), sum(after.values())) == (replicas, replicas + 1)
    assert all(after[name] >= before[name] for name in weights)
    assert all(after[name] <= limit for name, limit in limits.items())
    floor = {name: min(count, limits.get(name, count)) for name, count in floors.items()}
    if sum(floor.values()) <= replicas:
        assert all(before[name] >= count for name, count in floor.items())
    else:
        assert all(count <= floor.get(name, 0) for name, count in before.items())


@given(
    st.sampled_from(["DynamicWeight", "Aggregated"]),
    st.dictionaries(NAMES, st.tuples(st.integers(0, 20), st.integers(0, 2)), min_size=1),
    st.lists(st.integers(1, 100), min_size=1, max_size=6),
)
def test_a_later_tier_gets_only_what_the_earlier_ones_have_no_room_for(
    strategy: str, rooms: dict[str, tuple[int, int]], sizes: list[int]
) -> None:
    held: dict[str, int] = {}
    for wanted in sizes:
        candidates = [
            Candidate(ClusterFacts(name=name), free=room - held.get(name, 0), has=held.get(name, 0), tier=tier)
            for name, (room, tier) in sorted(rooms.items())
        ]
        try:
            shares = assign_tiers(wanted, candidates, strategy=strategy, previous=held)
        except ScheduleError:
            assert sum(room for room, _ in rooms.values()) < wanted
            continue
        assert sum(shares.values()) == wanted
        assert all(count <= rooms[name][0] for name, count in shares.items())
        for tier in {tier for _, tier in rooms.values()}:
            if any(shares.get(name) for name, (_, of) in rooms.items() if of > tier):
                assert all(shares.get(name, 0) == room for name, (room, of) in rooms.items() if of == tier)
        if wanted >= sum(held.values()):
            assert all(shares.get(name, 0) >= count for name, count in held.items())
        held = shares
