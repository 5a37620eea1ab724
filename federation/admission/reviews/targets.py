"""Cluster affinities of policies against the clusters that there are: names nobody has, affinities that match nothing.

Warnings, never refusals: policies from git are often applied before their clusters join.
"""

from collections.abc import Iterable, Iterator, Sequence

from federation.admission.review import KnownCluster
from federation.api.placement import ClusterAffinity, Placement
from federation.policy.selectors import cluster_matches

Placed = tuple[str, ClusterAffinity]
"""(path in the spec, affinity)."""


def affinities_of(placement: Placement, path: str) -> Iterator[Placed]:
    """Every affinity that chooses where objects go; static weights are apart, as they choose nothing."""
    if placement.cluster_affinity is not None:
        yield f"{path}.clusterAffinity", placement.cluster_affinity
    for index, group in enumerate(placement.cluster_affinities or ()):
        yield f"{path}.clusterAffinities[{index}]", group
        for number, tier in enumerate(group.overflow_affinities or ()):
            yield f"{path}.clusterAffinities[{index}].overflowAffinities[{number}]", tier


def weights_of(placement: Placement, path: str) -> Iterator[Placed]:
    """The affinities of static weights."""
    scheduling = placement.replica_scheduling
    preference = scheduling.weight_preference if scheduling else None
    for index, weight in enumerate((preference.static_weight_list if preference else None) or ()):
        where = f"{path}.replicaScheduling.weightPreference.staticWeightList[{index}].targetCluster"
        yield where, weight.target_cluster


def affinity_warnings(affinities: Iterable[Placed], clusters: Sequence[KnownCluster]) -> Iterator[str]:
    """What an author may have meant otherwise."""
    for path, affinity in affinities:
        unknown = [
            *name_warnings(affinity.cluster_names or (), f"{path}.clusterNames", clusters),
            *name_warnings(affinity.exclude or (), f"{path}.exclude", clusters),
        ]
        yield from unknown
        if not unknown and not any(cluster_matches(affinity, one.facts) for one in clusters):
            yield f"{path}: no cluster matches now; it waits until one does"


def name_warnings(names: Iterable[str], path: str, clusters: Sequence[KnownCluster]) -> Iterator[str]:
    """Names of clusters that there are not."""
    unknown = sorted(set(names) - {one.facts.name for one in clusters})
    if unknown:
        yield f"{path}: there is no cluster {', '.join(unknown)}; see: fedctl get clusters"


def spread_over(placement: Placement, clusters: Sequence[KnownCluster]) -> int:
    """Over how many of the clusters the replicas of one workload may be divided; 0 where they are not divided."""
    scheduling = placement.replica_scheduling
    if scheduling is None or scheduling.replica_scheduling_type != "Divided":
        return 0
    limits = [
        one.max_groups
        for one in placement.spread_constraints or ()
        if one.max_groups and not one.spread_by_label and one.spread_by_field in {None, "cluster"}
    ]
    groups: list[list[ClusterAffinity | None]] = [
        [group, *(group.overflow_affinities or ())] for group in placement.cluster_affinities or ()
    ]
    widest = max(
        sum(any(cluster_matches(tier, one.facts) for tier in group) for one in clusters)
        for group in groups or [[placement.cluster_affinity]]
    )
    return min([widest, *limits])
