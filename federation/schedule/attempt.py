"""One attempt: filter, score, rank, divide, for the affinity group that the binding's view names. Pure.

The same question about one snapshot is worked out once (`Snapshot.answer`), also for another binding: many workloads ask for the
same, and are divided alike. Only where room counts and some of it is promised to others is the division made anew.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from federation.capacity.summary import InFlight, fit, fit_sets
from federation.interpret import Component, Requirements
from federation.schedule.affinity import group_in_force
from federation.schedule.divide.assign import DUPLICATED, STATIC_WEIGHT, Candidate, counts_room, rank, strategy_of
from federation.schedule.divide.shares import divide
from federation.schedule.divide.static import static_weights
from federation.schedule.divide.webster import descending_ties
from federation.schedule.eligible import eligible, place, tiers
from federation.schedule.errors import ScheduleError, no_clusters, unschedulable
from federation.schedule.plugins import Refusal, only_ours, scores
from federation.schedule.plugins.taint_toleration.filter import first_untolerated
from federation.schedule.snapshot import BindingView, ClusterView, Snapshot
from federation.schedule.spread import Selection, breaks, grow, select

Assumed = Mapping[str, Sequence[tuple[Requirements | None, int]]]
"""By cluster: what was decided for other bindings and cannot be in the cluster's summary yet."""
NAMES_IN_LINE = 10


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Shares by cluster, or the error; who was refused; what else is worth knowing."""

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

    @cached_property
    def refused(self) -> list[str]:
        """One line a plugin: count and at most ten names, each with the number or taint that is its own."""
        lines = []
        for plugin in sorted({refusal.plugin for refusal in self.refusals.values()}):
            mine = [refusal for refusal in self.refusals.values() if refusal.plugin == plugin]
            names = [f"{one.cluster} {one.brief}".rstrip() for one in mine[:NAMES_IN_LINE]]
            more = ", ..." if len(mine) > NAMES_IN_LINE else ""
            lines.append(f"{plugin} {len(mine)}: {', '.join(names)}{more}"[:1024])
        return lines


def attempt(binding: BindingView, clusters: Sequence[ClusterView], assumed: Assumed) -> Attempt:
    """Try to place the binding inside one affinity group; never raises ScheduleError."""
    snapshot = Snapshot.of(clusters)
    if not only_ours() or (assumed and _counts_room(binding) and any(assumed.values())):
        return _attempt(binding, snapshot, assumed)
    return snapshot.answer(_question(binding), lambda: _attempt(_essence(binding), snapshot, {}))


def _question(binding: BindingView) -> Hashable:
    """Everything of a binding that an attempt depends on; of its key only which way ties go."""
    return (
        "attempt", *place(binding), binding.api_version, binding.kind, binding.replicas, _requests(binding.requirements),
        tuple((one.replicas, _requests(one.requirements)) for one in binding.components),
        tuple(binding.targets.items()), binding.evicting, tuple(binding.together.items()), tuple(binding.apart.items()),
        tuple(binding.pin.items()), binding.fresh, descending_ties(binding.key),
    )  # fmt: skip


def _requests(asked: Requirements | None) -> Hashable:
    return tuple(asked.resource_request.items()) if asked is not None else None


def _essence(binding: BindingView) -> BindingView:
    """The view with nothing but what the question names: an attempt that needs more fails always, not at the second time."""
    return BindingView(
        key=binding.key, uid="", api_version=binding.api_version, kind=binding.kind, replicas=binding.replicas,
        requirements=_only_requests(binding.requirements), placement=binding.placement,
        components=tuple(
            Component(name="", replicas=one.replicas, requirements=_only_requests(one.requirements))
            for one in binding.components
        ),
        held=binding.targets, observed=binding.observed, fresh=binding.fresh, evicting=binding.evicting,
        together=binding.together, apart=binding.apart, pin=binding.pin,
    )  # fmt: skip


def _only_requests(asked: Requirements | None) -> Requirements | None:
    return Requirements(resource_request=asked.resource_request) if asked is not None else None


def _attempt(binding: BindingView, snapshot: Snapshot, assumed: Assumed) -> Attempt:
    found = eligible(binding, snapshot)
    refusals = dict(found.refusals)
    strategy = strategy_of(binding.placement.replica_scheduling)
    try:
        if not found.fitting:
            raise no_clusters(_unfit(len(snapshot), refusals))
        candidates = _candidates(binding, snapshot, found.fitting, assumed)
        if binding.components:
            candidates = _with_room(candidates, refusals)
        ranked = rank(candidates)
        selection = _spread(binding, ranked, strategy)
        shares = divide(binding, ranked if selection is None else selection.clusters, strategy=strategy)
    except ScheduleError as error:
        # Without its traceback, which would keep everything alive that was looked at.
        return Attempt(strategy=strategy, refusals=refusals, error=error.with_traceback(None))
    return Attempt(strategy=strategy, refusals=refusals, shares=shares, selection=selection)


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


def _counts_room(binding: BindingView) -> bool:
    """Whether what is free is asked for."""
    placement = binding.placement
    if binding.components or binding.replicas is None:
        return bool(binding.components)
    return _overflows(binding) or bool(placement.spread_constraints) or counts_room(placement.replica_scheduling)


def _overflows(binding: BindingView) -> bool:
    return len(group_in_force(binding.placement, binding.observed).tiers) > 1


def _candidates(
    binding: BindingView, snapshot: Snapshot, fitting: Sequence[ClusterView], assumed: Assumed
) -> list[Candidate]:
    """Scored candidates; what is free is counted only where it is asked for."""
    has, counts = binding.targets, _counts_room(binding)
    tier_of = tiers(binding, snapshot) if _overflows(binding) else {}
    tolerations = binding.placement.cluster_tolerations or ()
    closed = {one.name for one in fitting if one.taints and first_untolerated(one.taints, tolerations) is not None}
    return [
        Candidate(
            facts=cluster.facts,
            score=sum(plugin.score(binding, cluster) for plugin in scores()),
            free=free(binding, cluster, assumed) if counts and cluster.name not in closed else 0,
            has=1 if binding.components and cluster.name in has else has.get(cluster.name, 0),
            tier=tier_of.get(cluster.name, 0),
            closed=cluster.name in closed,
        )
        for cluster in fitting
    ]


def _unfit(total: int, refusals: Mapping[str, Refusal]) -> str:
    """`0/3 clusters are available: 2 cluster(s) had untolerated taint, ...` (karmada.md 2.4.3)."""
    counts: dict[str, int] = {}
    for refusal in refusals.values():
        counts[refusal.reason] = counts.get(refusal.reason, 0) + 1
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    return f"0/{total} clusters are available: {reasons or 'no cluster has joined'}"
