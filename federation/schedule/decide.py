"""`schedule()`: a binding and the clusters in, a decision or the reason for none out. Pure and deterministic.

Steps: filter, score, rank, divide, record. The explanation for people comes from the same values (`Outcome.verdicts`),
so the two cannot disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from federation.api.binding import Decision
from federation.capacity.summary import fit
from federation.interpret.requirements import Requirements
from federation.schedule.divide.assign import DUPLICATED, Candidate, rank, strategy_of
from federation.schedule.divide.dynamic import AGGREGATED, DYNAMIC_WEIGHT
from federation.schedule.divide.shares import divide
from federation.schedule.errors import ScheduleError, no_clusters
from federation.schedule.moves import advance, begin
from federation.schedule.plugins import Refusal, filters, scores
from federation.schedule.plugins.taint_toleration.filter import first_untolerated
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.triggers import Trigger, inputs_of, trigger

Assumed = Mapping[str, Sequence[tuple[Requirements | None, int]]]
"""By cluster: what was decided for other bindings and cannot be in the cluster's summary yet."""

NAMES_IN_LINE = 10
__all__ = ["Assumed", "Outcome", "ScheduleError", "Verdict", "proceed", "schedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One row of the explanation. `estimate`: replicas that fit besides those it has; None where nobody could ask."""

    cluster: str
    refusal: Refusal | None = None
    score_terms: Mapping[str, int]
    estimate: int | None
    share: int | None

    @property
    def ok(self) -> bool:
        """Whether the cluster passed every filter."""
        return self.refusal is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A decision, or an error that leaves the decision in force."""

    binding: BindingView
    clusters: Sequence[ClusterView]
    assumed: Assumed
    decision: Decision | None
    error: ScheduleError | None
    refusals: Mapping[str, Refusal]
    strategy: str

    @property
    def verdicts(self) -> list[Verdict]:
        """Every cluster's row; computed when asked, as only people read it."""
        targets = self.decision.targets if self.decision is not None else {}
        return [
            Verdict(
                cluster=cluster.name,
                refusal=self.refusals.get(cluster.name),
                score_terms={plugin.name: plugin.score(self.binding, cluster) for plugin in scores()},
                estimate=_free(self.binding, cluster, self.assumed) if self.binding.replicas is not None else None,
                share=targets.get(cluster.name),
            )
            for cluster in self.clusters
        ]


def schedule(binding: BindingView, clusters: Sequence[ClusterView], *, assumed: Assumed | None = None) -> Outcome:
    """Decide where `binding` goes. Clusters that are being deleted are never targets."""
    taken = assumed or {}
    refusals: dict[str, Refusal] = {}
    fitting: list[ClusterView] = []
    for cluster in clusters:
        refusal = _refuse(binding, cluster)
        if refusal is None:
            fitting.append(cluster)
        else:
            refusals[cluster.name] = refusal
    strategy = strategy_of(binding.placement.replica_scheduling)
    decision, error = None, None
    try:
        if not fitting:
            raise no_clusters(_unfit(len(clusters), refusals))
        candidates = rank(_candidates(binding, fitting, taken, counts=strategy in (DYNAMIC_WEIGHT, AGGREGATED)))
        shares = divide(binding, candidates, strategy=strategy)
        decision = _record(
            binding, clusters, shares, refusals, divided=bool(binding.replicas) and strategy != DUPLICATED
        )
    except ScheduleError as raised:
        error = raised
    return Outcome(
        binding=binding, clusters=clusters, assumed=taken, decision=decision, error=error, refusals=refusals,
        strategy=strategy,
    )  # fmt: skip


def _refuse(binding: BindingView, cluster: ClusterView) -> Refusal | None:
    if cluster.deleting:
        return Refusal("ClusterLeaving", cluster.name, "cluster(s) is leaving", "the Cluster is being deleted")
    for plugin in filters():
        refusal = plugin.refuse(binding, cluster)
        if refusal is not None:
            return refusal
    return None


def _candidates(
    binding: BindingView, clusters: Sequence[ClusterView], assumed: Assumed, *, counts: bool
) -> list[Candidate]:
    """Scored candidates; what is free is counted only for strategies that ask for it."""
    has = binding.targets
    return [
        Candidate(
            facts=cluster.facts,
            score=sum(plugin.score(binding, cluster) for plugin in scores()),
            free=_free(binding, cluster, assumed) if counts and binding.replicas is not None else 0,
            has=has.get(cluster.name, 0),
            closed=first_untolerated(cluster.taints, binding.placement.cluster_tolerations or ()) is not None,
        )
        for cluster in clusters
    ]


def _free(binding: BindingView, cluster: ClusterView, assumed: Assumed) -> int:
    requests = binding.requirements.resource_request if binding.requirements is not None else None
    in_flight = [
        (other.resource_request if other is not None else None, count) for other, count in assumed.get(cluster.name, ())
    ]
    return fit(cluster.summary, requests, assumed=in_flight)


def _record(
    binding: BindingView,
    clusters: Sequence[ClusterView],
    shares: Mapping[str, int],
    refusals: Mapping[str, Refusal],
    *,
    divided: bool,
) -> Decision:
    """The decision: its first step towards the shares; what it takes away in exchange for something goes later (I3)."""
    reason = str(trigger(binding, clusters) or Trigger.CLUSTER_ELIGIBLE)
    here = {cluster.name for cluster in clusters if not cluster.abandoned}
    course = begin(
        {name: count for name, count in binding.placed.items() if name in here}, shares,
        in_force=binding.previous, lines=binding.lines, seen=binding.seen, surge=binding.surge, divided=divided,
        reason=reason,
    )  # fmt: skip
    epoch = (binding.previous.epoch if binding.previous is not None else 0) + 1
    return Decision(
        epoch=epoch, trigger=reason, inputs=inputs_of(binding), targets=course.targets,
        refused=grouped(list(refusals.values())), moves=list(course.moves),
        returned=returned(binding, course.targets, epoch),
    )  # fmt: skip


def proceed(binding: BindingView) -> Decision | None:
    """The next step of the open moves of the decision in force, as a decision of its own; None while none is due."""
    previous = binding.previous
    if previous is None:
        return None
    course = advance(previous, lines=binding.lines, seen=binding.seen, surge=binding.surge)
    if course is None:
        return None
    epoch = previous.epoch + 1
    update = {
        "epoch": epoch, "targets": course.targets, "moves": list(course.moves),
        "returned": returned(binding, course.targets, epoch),
    }  # fmt: skip
    return previous.model_copy(update=update)


def returned(binding: BindingView, targets: Mapping[str, int], epoch: int) -> dict[str, int]:
    """Clusters taken back although a removal there may still be under way: their copies get a new epoch in the mark.

    So a late DELETE of a deposed owner fails on its resourceVersion (DESIGN section 6).
    """
    before = binding.previous
    if before is None:
        return {}
    kept = {name: since for name, since in before.returned.items() if name in targets}
    back = {name: epoch for name in targets if name not in before.targets and name in binding.lines}
    return {**kept, **back}


def grouped(refusals: Sequence[Refusal]) -> list[str]:
    """One line a plugin: count and at most ten names, each with the number or taint that is its own."""
    lines = []
    for plugin in sorted({refusal.plugin for refusal in refusals}):
        mine = [refusal for refusal in refusals if refusal.plugin == plugin]
        names = [f"{one.cluster} {one.brief}".rstrip() for one in mine[:NAMES_IN_LINE]]
        more = ", ..." if len(mine) > NAMES_IN_LINE else ""
        lines.append(f"{plugin} {len(mine)}: {', '.join(names)}{more}"[:1024])
    return lines


def _unfit(total: int, refusals: Mapping[str, Refusal]) -> str:
    """`0/3 clusters are available: 2 cluster(s) had untolerated taint, ...` (karmada.md 2.4.3)."""
    counts: dict[str, int] = {}
    for refusal in refusals.values():
        counts[refusal.reason] = counts.get(refusal.reason, 0) + 1
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    return f"0/{total} clusters are available: {reasons or 'no cluster has joined'}"
