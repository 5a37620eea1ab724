"""The placement says which clusters may take the work (karmada.md 1.1.5)."""

from federation.schedule.affinity import group_in_force
from federation.schedule.plugins.base import Event, Refusal
from federation.schedule.snapshot import BindingView, ClusterView


class ClusterAffinityFilter:
    """Refuses clusters outside the affinity group in use, targets included: an edited policy takes effect."""

    name = "ClusterAffinity"
    events = frozenset({Event.CLUSTER_CHANGED, Event.PLACEMENT})

    def refuse(self, binding: BindingView, cluster: ClusterView) -> Refusal | None:
        """None if the group, or for a workload one of its overflow tiers, matches."""
        group = group_in_force(binding.placement, binding.observed)
        if group.tier_of(cluster.facts, overflows=binding.replicas is not None) is not None:
            return None
        return Refusal(
            self.name, cluster.name, "cluster(s) did not match the placement cluster affinity constraint",
            group.why_not(cluster.facts),
        )  # fmt: skip
