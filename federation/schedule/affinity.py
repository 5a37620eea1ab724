"""Which clusters a placement names: one affinity, or ordered groups of which the first that can take the work wins.

A group may have overflow tiers: more clusters for a workload whose replicas do not all fit into those before (karmada.md
1.1.4, 2.3.4, 2.7.2). Deviations: after the last group the earlier ones are tried too, as unplaced is worse than elsewhere; and
work returns to an earlier group once that could take it for a while (`hub/schedule`), where Karmada leaves it (8.11).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from federation.api.placement import ClusterAffinity, Placement
from federation.policy.facts import ClusterFacts
from federation.policy.selectors import cluster_matches, why_not


@dataclass(frozen=True, slots=True)
class Group:
    """One group of clusters: its own affinity, then its overflow tiers. `name` is empty for the single `clusterAffinity`."""

    name: str
    tiers: tuple[ClusterAffinity | None, ...]

    def tier_of(self, cluster: ClusterFacts, *, overflows: bool = True) -> int | None:
        """The first tier that a cluster matches, 0 being the group itself; None outside. Only workloads overflow."""
        for tier, affinity in enumerate(self.tiers if overflows else self.tiers[:1]):
            if cluster_matches(affinity, cluster):
                return tier
        return None

    def why_not(self, cluster: ClusterFacts) -> str:
        """Why the group leaves a cluster out, in words."""
        detail = why_not(self.tiers[0], cluster) or ""
        where = f"group {self.name}: " if self.name else ""
        more = f" (nor do its {len(self.tiers) - 1} overflow tiers match)" if len(self.tiers) > 1 else ""
        return f"{where}{detail}{more}"


def groups(placement: Placement) -> tuple[Group, ...]:
    """The groups in the order of the policy; at least one."""
    terms = placement.cluster_affinities or ()
    if not terms:
        return (Group(name="", tiers=(placement.cluster_affinity,)),)
    return tuple(Group(name=term.affinity_name, tiers=(term, *(term.overflow_affinities or ()))) for term in terms)


def group_in_force(placement: Placement, observed: str) -> Group:
    """The group in use: the one that the last decision names, the first where it names none that is left."""
    known = groups(placement)
    return known[start_index([group.name for group in known], observed)]


def start_index(names: Sequence[str], observed: str) -> int:
    """Where scheduling begins: at the group in use; 0 when there is none or it is gone (karmada.md 2.3.4)."""
    return names.index(observed) if observed in names else 0


def attempts(placement: Placement, observed: str) -> tuple[Group, ...]:
    """The groups in the order in which they are tried: from the one in use to the last, then the earlier ones."""
    known = groups(placement)
    start = start_index([group.name for group in known], observed)
    return (*known[start:], *known[:start])


def earlier(placement: Placement, observed: str) -> tuple[Group, ...]:
    """The groups that come before the one in use: where the work belongs once they can take it."""
    known = groups(placement)
    return known[: start_index([group.name for group in known], observed)]
