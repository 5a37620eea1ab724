"""Workloads of one namespace with the same value of a label stay together, or apart (karmada.md 1.1.4, 2.4.1).

What is placed stays: both rules are about new work. The first of a group is free.
"""

from federation.schedule.plugins.base import Event, Refusal
from federation.schedule.snapshot import BindingView, ClusterView


class WorkloadAffinity:
    """Refuses clusters that lack a placed workload of the group."""

    name = "WorkloadAffinity"
    events = frozenset({Event.PEER_PLACED, Event.PLACEMENT})

    def refuse(self, binding: BindingView, cluster: ClusterView) -> Refusal | None:
        """None if every placed workload of the group is there."""
        if not binding.together or cluster.name in binding.targets:
            return None
        missing = sorted(name for name, where in binding.together.items() if cluster.name not in where)
        if not missing:
            return None
        detail = f"{missing[0]} of the same affinity group is not placed there"
        return Refusal(
            self.name, cluster.name, "cluster(s) did not have the workloads of the same affinity group", detail
        )


class WorkloadAntiAffinity:
    """Refuses clusters that have another workload of the group."""

    name = "WorkloadAntiAffinity"
    events = frozenset({Event.PEER_PLACED, Event.PLACEMENT})

    def refuse(self, binding: BindingView, cluster: ClusterView) -> Refusal | None:
        """None if no other workload of the group is there."""
        if not binding.apart or cluster.name in binding.targets:
            return None
        there = sorted(name for name, where in binding.apart.items() if cluster.name in where)
        if not there:
            return None
        detail = f"{there[0]} of the same anti-affinity group is placed there"
        return Refusal(
            self.name, cluster.name, "cluster(s) had another workload of the same anti-affinity group", detail
        )
