"""Who takes and hands over which shard; the numbers come out even, and nobody plays ping-pong."""

from hypothesis import given
from hypothesis import strategies as st

from federation.hub.ownership import Division, Ownership, divide, shard_of

REPLICAS = st.sets(st.sampled_from("abcdef"), min_size=1).map(frozenset)


def rounds(shards: dict[int, str], replicas: frozenset[str], *, most: int = 20) -> tuple[dict[int, str], int]:
    """What replicas that follow `divide` end with, and how many shards changed hands on the way."""
    handed = 0
    for _ in range(most):
        plans = {one: divide(one, holders=shards, replicas=replicas) for one in sorted(replicas)}
        after = dict(shards)
        for one, plan in plans.items():
            for shard in plan.hand_over:
                after[shard] = ""
                handed += 1
            for shard in plan.take:
                after[shard] = one
        if after == shards:
            return shards, handed
        shards = after
    raise AssertionError(f"no end after {most} rounds: {shards}")


@given(st.integers(1, 16), REPLICAS)
def test_shards_that_nobody_holds_are_each_taken_by_one_replica_and_evenly(
    shards: int, replicas: frozenset[str]
) -> None:
    free = dict.fromkeys(range(shards), "")
    taken = [(shard, one) for one in replicas for shard in divide(one, holders=free, replicas=replicas).take]
    assert sorted(shard for shard, _ in taken) == list(range(shards))
    loads = [sum(holder == one for _, holder in taken) for one in replicas]
    assert max(loads) - min(loads) <= 1


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=16), REPLICAS)
def test_from_any_start_the_shards_come_out_even_and_stay(holders: list[str], replicas: frozenset[str]) -> None:
    start = {shard: holder if holder in replicas else "" for shard, holder in enumerate(holders)}
    end, _ = rounds(start, replicas)
    loads = [sum(holder == one for holder in end.values()) for one in replicas]
    assert "" not in end.values()
    assert max(loads) - min(loads) <= 1


def test_a_replica_that_joins_gets_half_and_nothing_else_moves() -> None:
    end, handed = rounds(dict.fromkeys(range(4), "a"), frozenset("ab"))
    assert sorted(end.values()) == ["a", "a", "b", "b"]
    assert handed == 2


def test_an_even_division_stays_whatever_the_hashes_say() -> None:
    for holders in ("aabb", "abab", "bbaa"):
        shards = dict(enumerate(holders))
        assert divide("a", holders=shards, replicas=frozenset("ab")) == Division()
        assert divide("b", holders=shards, replicas=frozenset("ab")) == Division()


def test_what_nobody_claims_is_taken_by_anybody() -> None:
    shards = {0: "a", 1: ""}
    replicas = frozenset("ab")
    assert divide("a", holders=shards, replicas=replicas).take == frozenset()
    assert divide("a", holders=shards, replicas=replicas, unclaimed=frozenset({1})).take == {1}


def test_a_cluster_belongs_to_one_shard_for_ever() -> None:
    assert [shard_of(f"member{number}", 4) for number in range(1, 6)] == [3, 1, 3, 0, 2]
    assert {shard_of(f"member{number}", 4) for number in range(100)} == {0, 1, 2, 3}


def test_a_process_owns_what_it_was_granted_until_it_is_withdrawn() -> None:
    ownership = Ownership(shards=4)
    heard: list[frozenset[int]] = []
    ownership.on_change(lambda: heard.append(ownership.held))
    assert not ownership.owns("member1")
    assert ownership.held_for("member1") == 0
    assert ownership.certain_for() == float("inf"), "who has no lease can lose none"
    ownership.grant({3: lambda: 8.0})
    ownership.lead(lambda: 6.0)
    assert ownership.owns("member1")
    assert not ownership.owns("member2")
    assert (ownership.held_for("member1"), ownership.certain_for()) == (8.0, 6.0)
    ownership.withdraw(3)
    assert ownership.held_for("member1") == 0
    assert heard == [frozenset({3}), frozenset()]


def test_one_process_without_leases_owns_everything() -> None:
    sole = Ownership.sole()
    assert sole.leads
    assert sole.owns("any")
    assert sole.held_for("any") == float("inf")
