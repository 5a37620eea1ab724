"""A constraint that spreads by a field or label needs it on the cluster (karmada.md 2.4.1)."""

from federation.schedule.plugins.base import Event, Refusal
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.spread.constraint import read


class SpreadConstraintFilter:
    """Refuses clusters without the provider, region, zone or label that a constraint groups by."""

    name = "SpreadConstraint"
    events = frozenset({Event.CLUSTER_CHANGED, Event.PLACEMENT})

    def refuse(self, binding: BindingView, cluster: ClusterView) -> Refusal | None:
        """None if everything that a constraint names is set."""
        constraints = binding.placement.spread_constraints
        if not constraints:
            return None
        for bound in read(constraints)[1]:
            if not bound.groups_of(cluster.facts):
                where = f"label {bound.by}" if bound.label else f"spec.{bound.by}"
                return Refusal(
                    self.name, cluster.name, f"cluster(s) did not have {bound.what} property", f"{where} is not set"
                )
        return None
