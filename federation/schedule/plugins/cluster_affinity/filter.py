"""The placement says which clusters may take the work (karmada.md 1.1.5)."""

from federation.api.placement import ClusterAffinity
from federation.policy.selectors import cluster_matches, why_not
from federation.schedule.plugins.base import Event, Refusal
from federation.schedule.snapshot import BindingView, ClusterView


class ClusterAffinityFilter:
    """Refuses clusters outside the cluster affinity, targets included: an edited policy takes effect."""

    name = "ClusterAffinity"
    events = frozenset({Event.CLUSTER_CHANGED, Event.PLACEMENT})

    def refuse(self, binding: BindingView, cluster: ClusterView) -> Refusal | None:
        """None if the affinity matches."""
        affinity = affinity_in_force(binding)
        if cluster_matches(affinity, cluster.facts):
            return None
        detail = why_not(affinity, cluster.facts) or ""
        return Refusal(
            self.name, cluster.name, "cluster(s) did not match the placement cluster affinity constraint", detail
        )


def affinity_in_force(binding: BindingView) -> ClusterAffinity | None:
    """The single affinity, or the one of several groups that is in use."""
    terms = binding.placement.cluster_affinities or ()
    term = next((one for one in terms if one.affinity_name == binding.observed), None)
    return term if term is not None else binding.placement.cluster_affinity
