"""Divided by static weights: the weights alone, neither capacity nor the previous result (karmada.md 2.7.4)."""

from collections.abc import Mapping, Sequence

from federation.api.placement import StaticClusterWeight
from federation.policy.facts import ClusterFacts
from federation.policy.selectors import cluster_matches
from federation.schedule.divide.webster import divide_by_weight


def static_weights(clusters: Sequence[ClusterFacts], rules: Sequence[StaticClusterWeight] | None) -> dict[str, int]:
    """Weight by cluster: the largest of the rules that match; clusters without one are left out.

    Without rules, or where no rule matches anybody, everyone weighs 1.
    """
    weights: dict[str, int] = {}
    for cluster in clusters:
        matching = (rule.weight for rule in rules or () if cluster_matches(rule.target_cluster, cluster))
        weight = max(matching, default=0)
        if weight > 0:
            weights[cluster.name] = weight
    return weights or {cluster.name: 1 for cluster in clusters}


def divide_static(replicas: int, weights: Mapping[str, int], *, uid: str = "") -> dict[str, int]:
    """Shares of all weighted clusters, zeros included."""
    return divide_by_weight(replicas, weights, uid=uid)
