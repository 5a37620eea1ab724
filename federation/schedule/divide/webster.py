"""Webster's method (Sainte-Lague): the next seat goes to the largest votes / (2 * seats + 1) (karmada.md 2.7.7).

House-monotone: raising the total lowers no share. Compared exactly: in floats only while two quotients that differ cannot round
to the same one, else as fractions.
"""

import heapq
from collections.abc import Callable, Mapping
from fractions import Fraction
from operator import truediv

_EXACT = 2**51
"""Different quotients a/b and c/d are at least 1/bd apart, which is 1/ad of the first: while a * d is below this, so are their floats."""
_FNV_OFFSET, _FNV_PRIME, _MASK = 0x811C9DC5, 0x01000193, 0xFFFFFFFF


def webster(
    seats: int,
    votes: Mapping[str, int],
    *,
    held: Mapping[str, int] | None = None,
    limits: Mapping[str, int] | None = None,
    descending: bool = False,
) -> dict[str, int]:
    """Hand out `seats` more seats on top of those `held`; every name of both mappings is in the answer, sorted.

    Equal quotients: fewer seats first, then the name (ascending, or `descending`). Names without votes get none. `limits`:
    the most seats of a name in all; what all of them together cannot take is not handed out.
    """
    most = limits or {}
    result = dict.fromkeys(votes, 0) | dict(held or {})
    rank = {name: place for place, name in enumerate(sorted(result, reverse=descending))}
    voters = {name: count for name, count in votes.items() if count > 0}
    if not held and voters:
        seats -= _head_start(seats, voters, most, result)
    largest = max(voters.values(), default=0) * (2 * (seats + max(result.values(), default=0)) + 1)
    quotient: Callable[[int, int], float | Fraction] = truediv if largest < _EXACT else Fraction
    heap = [
        (-quotient(count, 2 * result[name] + 1), result[name], rank[name], name)
        for name, count in voters.items()
        if result[name] < most.get(name, result[name] + 1)
    ]
    heapq.heapify(heap)
    while seats > 0 and heap:
        _, held_now, place, name = heap[0]
        taken = result[name] = held_now + 1
        if taken == most.get(name):
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (-quotient(voters[name], 2 * taken + 1), taken, place, name))
        seats -= 1
    return dict(sorted(result.items()))


def descending_ties(uid: str) -> bool:
    """Whether ties between equal clusters go by descending name: the 32-bit FNV-1a of the resource's UID is odd.

    Spreads the odd replica of many equal workloads over both ends of the list; an empty UID means ascending.
    """
    if not uid:
        return False
    digest = _FNV_OFFSET
    for byte in uid.encode():
        digest = ((digest ^ byte) * _FNV_PRIME) & _MASK
    return digest % 2 == 1


def divide_by_weight(
    replicas: int, weights: Mapping[str, int], *, held: Mapping[str, int] | None = None, uid: str = ""
) -> dict[str, int]:
    """`replicas` more, in proportion to `weights`, on top of those `held`."""
    return webster(replicas, weights, held=held, descending=descending_ties(uid))


def spread_by_current(total: int, current: Mapping[str, int], *, uid: str = "") -> dict[str, int]:
    """A total in proportion to the replicas that clusters have: how completions of a Job follow its parallelism."""
    return divide_by_weight(total, current, uid=uid)


def _head_start(seats: int, votes: Mapping[str, int], most: Mapping[str, int], result: dict[str, int]) -> int:
    """Hand out at once every seat whose quotient is above a bound that more than `seats` quotients cannot exceed.

    For the bound t = V / (2 * seats - n), with V the sum of the votes of n names, the seats with votes / (2s + 1) > t are
    at most V / 2t + n / 2 = seats. What is left, about n seats, goes one by one: O(n log n) instead of O(seats log n); what a
    limit cuts off goes one by one as well.
    """
    total = sum(votes.values())
    share = 2 * seats - len(votes)
    if share <= 0:
        return 0
    given = 0
    for name, count in votes.items():
        natural = max(0, -((total - count * share) // (2 * total)))
        result[name] = min(natural, most.get(name, natural))
        given += result[name]
    return given
