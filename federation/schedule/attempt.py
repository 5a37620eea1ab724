"""One attempt: filter, score, rank, divide, for the affinity group that the binding's view names. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from federation.capacity.summary import InFlight, fit, fit_sets
from federation.interpret.requirements import Requirements
from federation.schedule.affinity import group_in_force
from federation.schedule.divide.assign import DUPLICATED, STATIC_WEIGHT, Candidate, counts_room, rank, strategy_of
from federation.schedule.divide.shares import divide
from federation.schedule.divide.static import static_weights
from federation.schedule.errors import ScheduleError, no_clusters, unschedulable
from federation.schedule.plugins import Refusal, filters, scores
from federation.schedule.plugins.taint_toleration.filter import first_untolerated
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.spread import Selection, breaks, grow, select

Assumed = Mapping[str, Sequence[tuple[Requirements | None, int]]]
"""By cluster: what was decided for other bindings and cannot be in the cluster's summary yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Shares by cluster, or the error; who was refused; what else is worth knowing."""

    binding: BindingView
    strategy: str
    refusals: Mapping[str, Refusal]
    shares: Mapping[str, int] = field(default_factory=dict)
    error: ScheduleError | None = None
    selection: Selection | None = None
    """What spread constraints made of the candidates; None without one, or before it came to that."""

    @property
    def notes(self) -> list[str]:
        """What is worth keeping with the decision: that a better choice may exist."""
        return self.selection.lines[-1:] if self.selection is not None and self.selection.approximate else []


def attempt(binding: BindingView, clusters: Sequence[ClusterView], assumed: Assumed) -> Attempt:
    """Try to place the binding inside one affinity group; never raises ScheduleError."""
    refusals: dict[str, Refusal] = {}
    fitting: list[ClusterView] = []
    for cluster in clusters:
        refusal = refuse(binding, cluster)
        if refusal is None:
            fitting.append(cluster)
        else:
            refusals[cluster.name] = refusal
    strategy = strategy_of(binding.placement.replica_scheduling)
    try:
        if not fitting:
            raise no_clusters(_unfit(len(clusters), refusals))
        candidates = _candidates(binding, fitting, assumed)
        if binding.components:
            candidates = _with_room(candidates, refusals)
        ranked = rank(candidates)
        selection = _spread(binding, ranked, strategy)
        shares = divide(binding, ranked if selection is None else selection.clusters, strategy=strategy)
    except ScheduleError as error:
        return Attempt(binding=binding, strategy=strategy, refusals=refusals, error=error)
    return Attempt(binding=binding, strategy=strategy, refusals=refusals, shares=shares, selection=selection)


def _spread(binding: BindingView, ranked: Sequence[Candidate], strategy: str) -> Selection | None:
    """The candidates that spread constraints choose; None without any. A pin to one that is left out fails in `divide`."""
    constraints = binding.placement.spread_constraints
    if not constraints:
        return None
    scheduling = binding.placement.replica_scheduling
    preference = scheduling.weight_preference if scheduling is not None else None
    if strategy == STATIC_WEIGHT and preference is not None and preference.static_weight_list:
        weighed = static_weights([one.facts for one in ranked], preference.static_weight_list)
        ranked = [one for one in ranked if one.name in weighed]
    found = select(
        ranked, constraints, strategy=strategy, replicas=binding.replicas or 0,
        respect_capacity=bool(preference is not None and preference.respect_capacity),
    )  # fmt: skip
    return found if strategy == DUPLICATED or binding.fresh else _kept(binding, ranked, found)


def _kept(binding: BindingView, ranked: Sequence[Candidate], found: Selection) -> Selection:
    """The selection, unless it would exchange clusters of a workload that only asks for more: then clusters are added to those.

    Raises ScheduleError (unschedulable) where that satisfies no constraint: what is placed well stays (T1). A workload that lost a
    cluster, or whose clusters break an edited constraint by themselves, has to change anyway.
    """
    chosen, replicas = {one.name for one in found.clusters}, binding.replicas or 0
    held = [one for one in ranked if one.has]
    if replicas < sum(one.has for one in held) or all(one.name in chosen for one in held):
        return found
    constraints = binding.placement.spread_constraints or ()
    kept = grow(ranked, constraints, replicas=replicas)
    if kept is not None:
        return replace(found, clusters=tuple(kept), choices=(), approximate=False)
    if not binding.targets.keys() <= {one.name for one in ranked} or breaks(held, constraints):
        return found
    raise unschedulable(
        f"{replicas} replicas fit the spread constraints only if some that are placed well moved; "
        "a Rebalance (fedctl rebalance) divides anew"
    )


def adds(
    binding: BindingView, before: Mapping[str, int], after: Mapping[str, int]
) -> dict[str, tuple[tuple[Requirements | None, int], ...]]:
    """What going from one division to another puts on each cluster, as `Assumed` has it: requirements of one pod, and pods."""
    whole = tuple((one.requirements, one.replicas) for one in binding.components)
    found: dict[str, tuple[tuple[Requirements | None, int], ...]] = {}
    for name, count in after.items():
        more = count - before.get(name, 0)
        if whole and name not in before:
            found[name] = whole
        elif more > 0:
            found[name] = ((binding.requirements, more),)
    return found


def refuse(binding: BindingView, cluster: ClusterView) -> Refusal | None:
    """The first refusal of the filters, or None."""
    if cluster.deleting:
        return Refusal("ClusterLeaving", cluster.name, "cluster(s) is leaving", "the Cluster is being deleted")
    for plugin in filters():
        refusal = plugin.refuse(binding, cluster)
        if refusal is not None:
            return refusal
    return None


def free(binding: BindingView, cluster: ClusterView, assumed: Assumed) -> int:
    """Replicas (of several components: whole sets) that fit into a cluster next to what it runs and what is on its way there."""
    if binding.components:
        return fit_sets(
            cluster.summary,
            [
                (one.requirements.resource_request if one.requirements else None, one.replicas)
                for one in binding.components
            ],
            assumed=_in_flight(cluster, assumed),
        )
    requests = binding.requirements.resource_request if binding.requirements is not None else None
    return fit(cluster.summary, requests, assumed=_in_flight(cluster, assumed))


def _in_flight(cluster: ClusterView, assumed: Assumed) -> list[InFlight]:
    return [
        (other.resource_request if other is not None else None, count) for other, count in assumed.get(cluster.name, ())
    ]


def _with_room(candidates: Sequence[Candidate], refusals: dict[str, Refusal]) -> list[Candidate]:
    """Those that have the workload, or room for a whole set of its components. Raises ScheduleError (unschedulable)."""
    for one in candidates:
        if not one.has and not one.free:
            refusals[one.name] = Refusal(
                "Capacity", one.name, "cluster(s) had no room for all components", "no whole set of its components fits"
            )
    able = [one for one in candidates if one.name not in refusals]
    if not able:
        raise unschedulable(f"no cluster has room for a whole set of components: {', '.join(sorted(refusals))}")
    return able


def _candidates(binding: BindingView, clusters: Sequence[ClusterView], assumed: Assumed) -> list[Candidate]:
    """Scored candidates; what is free is counted only where it is asked for."""
    has = binding.targets
    group = group_in_force(binding.placement, binding.observed)
    placement = binding.placement
    counts = bool(binding.components) or (
        binding.replicas is not None
        and (len(group.tiers) > 1 or bool(placement.spread_constraints) or counts_room(placement.replica_scheduling))
    )
    closed = {
        one.name for one in clusters if first_untolerated(one.taints, placement.cluster_tolerations or ()) is not None
    }
    return [
        Candidate(
            facts=cluster.facts,
            score=sum(plugin.score(binding, cluster) for plugin in scores()),
            free=free(binding, cluster, assumed) if counts and cluster.name not in closed else 0,
            has=1 if binding.components and cluster.name in has else has.get(cluster.name, 0),
            tier=group.tier_of(cluster.facts) or 0 if len(group.tiers) > 1 else 0,
            closed=cluster.name in closed,
        )
        for cluster in clusters
    ]


def _unfit(total: int, refusals: Mapping[str, Refusal]) -> str:
    """`0/3 clusters are available: 2 cluster(s) had untolerated taint, ...` (karmada.md 2.4.3)."""
    counts: dict[str, int] = {}
    for refusal in refusals.values():
        counts[refusal.reason] = counts.get(refusal.reason, 0) + 1
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    return f"0/{total} clusters are available: {reasons or 'no cluster has joined'}"
