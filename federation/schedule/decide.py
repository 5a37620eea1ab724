"""`schedule()`: a binding and the clusters in, a decision or the reason for none out. Pure and deterministic.

Steps: filter, score, rank, divide, record. The explanation for people comes from the same values (`Outcome.verdicts`),
so the two cannot disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from federation.api.binding import Decision
from federation.capacity.summary import fit
from federation.interpret.requirements import Requirements
from federation.schedule.divide.assign import Candidate, assign, rank, strategy_of
from federation.schedule.divide.dynamic import AGGREGATED, DYNAMIC_WEIGHT
from federation.schedule.errors import ScheduleError, no_clusters
from federation.schedule.plugins import Refusal, filters, scores
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.triggers import Trigger, inputs_of, trigger

Assumed = Mapping[str, Sequence[tuple[Requirements | None, int]]]
"""By cluster: what was decided for other bindings and cannot be in the cluster's summary yet."""

NAMES_IN_LINE = 10
__all__ = ["Assumed", "Outcome", "ScheduleError", "Verdict", "schedule"]


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
    scheduling = binding.placement.replica_scheduling
    strategy = strategy_of(scheduling)
    decision, error = None, None
    try:
        if not fitting:
            raise no_clusters(_unfit(len(clusters), refusals))
        shares = assign(
            binding.replicas,
            rank(_candidates(binding, fitting, taken, counts=strategy in (DYNAMIC_WEIGHT, AGGREGATED))),
            strategy=strategy,
            scheduling=scheduling,
            previous=binding.targets,
            uid=binding.uid,
        )
        decision = _record(binding, clusters, shares, refusals)
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
    binding: BindingView, clusters: Sequence[ClusterView], shares: Mapping[str, int], refusals: Mapping[str, Refusal]
) -> Decision:
    reason = trigger(binding, clusters) or Trigger.CLUSTER_ELIGIBLE
    return Decision(
        epoch=(binding.previous.epoch if binding.previous is not None else 0) + 1,
        trigger=str(reason),
        inputs=inputs_of(binding),
        targets=dict(sorted(shares.items())),
        refused=grouped(list(refusals.values())),
    )


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
