"""The placement says which clusters may take the work (karmada.md 1.1.5)."""

from federation.policy.selectors import cluster_matches, why_not
from federation.schedule.plugins.base import Event, Refusal
from federation.schedule.snapshot import BindingView, ClusterView


class ClusterAffinityFilter:
    """Refuses clusters outside the cluster affinity, targets included: an edited policy takes effect."""

    name = "ClusterAffinity"
    events = frozenset({Event.CLUSTER_CHANGED, Event.PLACEMENT})

    def refuse(self, binding: BindingView, cluster: ClusterView) -> Refusal | None:
        """None if the affinity matches."""
        affinity = binding.placement.cluster_affinity
        if cluster_matches(affinity, cluster.facts):
            return None
        detail = why_not(affinity, cluster.facts) or ""
        return Refusal(self.name, cluster.name, "cluster(s) did not match the placement cluster affinity constraint", detail)
