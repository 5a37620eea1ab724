"""A constraint that spreads by a field needs that field on the cluster (karmada.md 2.4.1)."""

from federation.schedule.plugins.base import Event, Refusal
from federation.schedule.snapshot import BindingView, ClusterView


class SpreadConstraintFilter:
    """Refuses clusters without the provider, region or zone that a constraint groups by."""

    name = "SpreadConstraint"
    events = frozenset({Event.CLUSTER_CHANGED, Event.PLACEMENT})

    def refuse(self, binding: BindingView, cluster: ClusterView) -> Refusal | None:
        """None if every field that a constraint names is set."""
        facts = cluster.facts
        known = {"provider": bool(facts.provider), "region": bool(facts.region), "zone": bool(facts.zones)}
        for constraint in binding.placement.spread_constraints or ():
            by = constraint.spread_by_field or ""
            if not known.get(by, True):
                return Refusal(
                    self.name, cluster.name, f"cluster(s) did not have {by} property", f"spec.{by} is not set"
                )
        return None
