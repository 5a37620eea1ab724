"""Divided by static weights: the weights alone, within the bounds that the policy sets (karmada.md 2.7.4).

Neither capacity nor the previous result plays a part, unless the policy says `respectCapacity`: then a share is at most what
the cluster has and has room for. Bounds (ours, DESIGN section 5) keep the method house-monotone: raising the total lowers no share.
"""

from collections.abc import Mapping, Sequence

from federation.api.placement import StaticClusterWeight
from federation.policy.facts import ClusterFacts
from federation.policy.selectors import cluster_matches
from federation.schedule.divide.webster import descending_ties, webster
from federation.schedule.errors import unschedulable


def static_rules(
    clusters: Sequence[ClusterFacts], rules: Sequence[StaticClusterWeight] | None
) -> dict[str, StaticClusterWeight | None]:
    """The rule that each cluster goes by: of those that match the one with the largest weight; without one it is left out.

    Without rules, or where no rule matches anybody, everyone weighs 1 (None).
    """
    found: dict[str, StaticClusterWeight | None] = {}
    for cluster in clusters:
        matching = [rule for rule in rules or () if cluster_matches(rule.target_cluster, cluster)]
        if matching:
            found[cluster.name] = max(matching, key=lambda rule: rule.weight)
    return found or {cluster.name: None for cluster in clusters}


def static_weights(clusters: Sequence[ClusterFacts], rules: Sequence[StaticClusterWeight] | None) -> dict[str, int]:
    """Weight by cluster."""
    return {name: rule.weight if rule is not None else 1 for name, rule in static_rules(clusters, rules).items()}


def divide_static(
    replicas: int,
    weights: Mapping[str, int],
    *,
    floors: Mapping[str, int] | None = None,
    limits: Mapping[str, int] | None = None,
    uid: str = "",
) -> dict[str, int]:
    """Shares of all weighted clusters, zeros included.

    `floors` and `limits` bound the share of a cluster. Floors come first; where they ask for more than there is, they are
    filled by the same method as far as it goes. Raises ScheduleError (unschedulable) if the limits leave replicas without a place.
    """
    most = limits or {}
    least = {name: min(floor, most.get(name, floor)) for name, floor in (floors or {}).items() if floor}
    if weights.keys() <= most.keys() and (room := sum(most[name] for name in weights)) < replicas:
        offer = ", ".join(f"{name} {most[name]}" for name in sorted(weights)[:10])
        raise unschedulable(f"{replicas - room} of {replicas} replicas do not fit; the most per cluster: {offer}")
    descending = descending_ties(uid)
    asked = sum(least.values())
    if asked > replicas:
        return webster(replicas, weights, limits=dict.fromkeys(weights, 0) | least, descending=descending)
    return webster(replicas - asked, weights, held=least, limits=most, descending=descending)
