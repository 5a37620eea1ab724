"""A cluster must serve the kind; one that has the object already keeps it (karmada.md 2.4.1)."""

from federation.schedule.plugins.base import Event, Refusal
from federation.schedule.snapshot import BindingView, ClusterView


class APIEnablement:
    """Refuses clusters whose API list lacks the kind."""

    name = "APIEnablement"
    events = frozenset({Event.CLUSTER_APIS})

    def refuse(self, binding: BindingView, cluster: ClusterView) -> Refusal | None:
        """None if the kind is served, or was placed there before."""
        if cluster.name in binding.targets or (binding.api_version, binding.kind) in cluster.apis:
            return None
        detail = f"{binding.api_version} {binding.kind} is not in its API list"
        if cluster.incomplete_apis:
            detail += " (the list is incomplete)"
        return Refusal(self.name, cluster.name, "cluster(s) did not have the API resource", detail)
