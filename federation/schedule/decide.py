"""`schedule()`: a binding and the clusters in, a decision or the reason for none out. Pure and deterministic.

One attempt for each affinity group until one succeeds, then the record. The explanation for people comes from the same
values (`Outcome.verdicts`), so the two cannot disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from federation.api.binding import Decision
from federation.schedule.affinity import Group, attempts, earlier
from federation.schedule.attempt import Assumed, Attempt, attempt, free
from federation.schedule.divide.assign import DUPLICATED
from federation.schedule.errors import ScheduleError
from federation.schedule.moves import advance, begin
from federation.schedule.plugins import Refusal, scores
from federation.schedule.snapshot import BindingView, ClusterView, Snapshot
from federation.schedule.spread import Selection
from federation.schedule.triggers import Trigger, inputs_of, trigger

__all__ = ["Assumed", "Outcome", "ScheduleError", "Verdict", "proceed", "returns", "schedule"]


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
    selection: Selection | None = None
    """What spread constraints made of those that pass."""

    @property
    def verdicts(self) -> list[Verdict]:
        """Every cluster's row; computed when asked, as only people read it."""
        targets = self.decision.targets if self.decision is not None else {}
        return [
            Verdict(
                cluster=cluster.name,
                refusal=self.refusals.get(cluster.name),
                score_terms={plugin.name: plugin.score(self.binding, cluster) for plugin in scores()},
                estimate=free(self.binding, cluster, self.assumed) if self.binding.replicas is not None else None,
                share=targets.get(cluster.name),
            )
            for cluster in self.clusters
        ]


def schedule(binding: BindingView, clusters: Sequence[ClusterView], *, assumed: Assumed | None = None) -> Outcome:
    """Decide where `binding` goes. Clusters that are being deleted are never targets.

    Affinity groups are tried from the one in use on; the first that takes the work wins. Where none does, the error is that of
    the group in use.
    """
    taken, snapshot = assumed or {}, Snapshot.of(clusters)
    tried: list[tuple[Group, Attempt]] = []
    start = "" if binding.fresh or binding.returning else binding.observed
    for group in attempts(binding.placement, start):
        found = attempt(_in_group(binding, group), snapshot, taken)
        tried.append((group, found))
        if found.error is None:
            break
    group, won = tried[-1] if tried[-1][1].error is None else tried[0]
    view, decision = _in_group(binding, group), None
    if won.error is None:
        decision = _record(view, won, snapshot, notes=[_passed_over(group, one) for group, one in tried[:-1]])
    return Outcome(
        binding=view, clusters=snapshot, assumed=taken, decision=decision, error=_failure(tried, won),
        refusals=won.refusals, strategy=won.strategy, selection=won.selection,
    )  # fmt: skip


def returns(binding: BindingView, clusters: Sequence[ClusterView], *, assumed: Assumed | None = None) -> str | None:
    """The first of the affinity groups before the one in use that could take the work now; None if there is none."""
    for group in earlier(binding.placement, binding.observed):
        if attempt(_in_group(binding, group), clusters, assumed or {}).error is None:
            return group.name
    return None


def _in_group(binding: BindingView, group: Group) -> BindingView:
    return replace(binding, observed=group.name) if group.name != binding.observed else binding


def _passed_over(group: Group, found: Attempt) -> str:
    return f"affinity group {group.name} was passed over: {found.error}"[:1024]


def _failure(tried: Sequence[tuple[Group, Attempt]], won: Attempt) -> ScheduleError | None:
    """What is said where no group can take the work: every group with its own reason."""
    if won.error is None or len(tried) == 1:
        return won.error
    message = "; ".join(f"affinity group {group.name}: {found.error}" for group, found in tried)
    return ScheduleError(won.error.code, won.error.reason, message[:1024])


def _record(binding: BindingView, found: Attempt, snapshot: Snapshot, *, notes: Sequence[str]) -> Decision:
    """The decision: its first step towards the shares; what it takes away in exchange for something goes later (I3)."""
    divided = bool(binding.replicas) and found.strategy != DUPLICATED
    reason = str(trigger(binding, snapshot) or Trigger.CLUSTER_ELIGIBLE)
    course = begin(
        {name: count for name, count in binding.placed.items() if name in snapshot.holding}, found.shares,
        in_force=binding.previous, lines=binding.lines, seen=binding.seen, surge=binding.surge, divided=divided,
        reason=reason,
    )  # fmt: skip
    epoch = (binding.previous.epoch if binding.previous is not None else 0) + 1
    return Decision(
        epoch=epoch, trigger=reason, inputs=inputs_of(binding), targets=course.targets,
        refused=found.refused, moves=list(course.moves),
        affinity=binding.observed, notes=[*notes, *found.notes], returned=returned(binding, course.targets, epoch),
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
