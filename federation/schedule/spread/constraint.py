"""A spread constraint as the selection reads it: what it groups by, how few groups and how many (karmada.md 1.1.6)."""

from collections.abc import Sequence
from dataclasses import dataclass

from federation.api.placement import SpreadConstraint
from federation.policy.facts import ClusterFacts

CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Bound:
    """At least `least` groups and at most `most` (None: no limit). `by`: cluster, region, zone, provider or a label's key."""

    by: str
    least: int = 1
    most: int | None = None
    label: bool = False

    @property
    def what(self) -> str:
        """The key in words."""
        return f"label {self.by}" if self.label else self.by

    @property
    def plural(self) -> str:
        """Its groups in one word, as the error codes have it."""
        return "groups" if self.label else f"{self.by}s"

    def __str__(self) -> str:
        if self.most is None:
            return f"spread by {self.what} (at least {self.least})"
        return f"spread by {self.what} ({self.least} to {self.most})"

    def groups_of(self, cluster: ClusterFacts) -> tuple[str, ...]:
        """The groups that a cluster lies in: every zone that it lists, one of any other key, none without the field."""
        if self.label:
            # A label that is there with an empty value groups like any other value.
            return (cluster.labels[self.by],) if self.by in cluster.labels else ()
        if self.by == "zone":
            return cluster.zones
        value = {"region": cluster.region, "provider": cluster.provider, CLUSTER: cluster.name}[self.by]
        return (value,) if value else ()


def read(constraints: Sequence[SpreadConstraint]) -> tuple[Bound, tuple[Bound, ...]]:
    """(the bound on clusters, the bounds on groups of clusters in their order); several on one key hold together.

    Without field and label a constraint is about clusters. `minGroups` 0 or omitted is 1, `maxGroups` 0 or omitted no limit
    (DESIGN section 5; karmada.md 8.1 is not copied).
    """
    merged: dict[tuple[bool, str], Bound] = {(False, CLUSTER): Bound(CLUSTER)}
    for constraint in constraints:
        label = bool(constraint.spread_by_label)
        by = constraint.spread_by_label or constraint.spread_by_field or CLUSTER
        before = merged.get((label, by))
        limits = [most for most in (constraint.max_groups or None, before.most if before else None) if most is not None]
        merged[label, by] = Bound(
            by,
            least=max(constraint.min_groups or 1, before.least if before else 1),
            most=min(limits, default=None),
            label=label,
        )
    cluster = merged.pop((False, CLUSTER))
    return cluster, tuple(merged.values())
