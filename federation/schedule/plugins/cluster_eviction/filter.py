"""A cluster that the workload is being moved away from takes none of it (karmada.md 2.4.1)."""

from federation.schedule.plugins.base import Event, Refusal
from federation.schedule.snapshot import BindingView, ClusterView


class ClusterEviction:
    """Refuses the sources of open moves."""

    name = "ClusterEviction"
    events = frozenset({Event.EVICTION_ENDED})

    def refuse(self, binding: BindingView, cluster: ClusterView) -> Refusal | None:
        """None if no move away from the cluster is open."""
        if cluster.name not in binding.evicting:
            return None
        return Refusal(
            self.name, cluster.name, "cluster(s) is in the process of eviction", "a move away from it is open"
        )
