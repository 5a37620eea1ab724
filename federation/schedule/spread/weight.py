"""What a group of clusters is worth to one workload (karmada.md 2.6.6), and the room of a cluster that it counts with."""

from collections.abc import Sequence
from dataclasses import dataclass

from federation.schedule.divide.assign import Candidate

STEP = 1000
"""One replica (divided) or one cluster (duplicated) more outweighs any difference of scores."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What the workload asks of the clusters together. `needs_room`: whether their room must hold all replicas."""

    replicas: int
    duplicated: bool
    needs_room: bool


def room(one: Candidate) -> int:
    """Replicas that the cluster can hold: free and had; a closed one holds what it has and takes no more."""
    return one.has if one.closed else one.free + one.has


def group_weight(
    clusters: Sequence[tuple[int, int]], *, duplicated: bool, replicas: int, least: int, cluster_least: int
) -> int:
    """The weight of a group whose `clusters` are (score, room), best first. `least`: minGroups of the key.

    Duplicated: 1000 for each cluster with room for all replicas, and the average score of those. Divided: 1000 for each replica of
    its part that finds room, the part being ceil(replicas / least), and the average score of the clusters that it takes.
    """
    if not clusters:
        return 0
    if duplicated:
        scores = [score for score, fits in clusters if fits >= replicas]
        return STEP * len(scores) + sum(scores) // len(scores) if scores else 0
    part = -(-replicas // max(1, least))
    wanted = max(cluster_least, least)
    scored = held = 0
    for count, (score, fits) in enumerate(clusters, start=1):
        scored += score
        held += fits
        if count >= wanted and held >= part:
            return STEP * part + scored // count
    return STEP * held + scored // len(clusters)
