"""Division for all numbers: sums, monotony, and what a step may never do."""

from hypothesis import given
from hypothesis import strategies as st

from federation.schedule.divide.dynamic import Room, assign_dynamic
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
