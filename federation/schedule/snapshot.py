"""What a decision is taken from: one binding, and the clusters at one instant. Values only; no clock, no I/O."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

from federation.api.binding import Decision
from federation.api.cluster import ResourceSummary
from federation.api.placement import Placement, Taint
from federation.interpret import Component, Requirements
from federation.policy.facts import ClusterFacts
from federation.schedule.moves import goal_of

A = TypeVar("A")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """A member as the scheduler sees it. Readiness acts through taints only, so that a policy can tolerate it."""

    facts: ClusterFacts
    taints: tuple[Taint, ...] = ()
    apis: frozenset[tuple[str, str]] = frozenset()
    """(apiVersion, kind) served."""
    deleting: bool = False
    abandoned: bool = False
    """It leaves at once (`--keep`, `--force`): what it holds is waited for no longer."""
    ready: bool = True
    summary: ResourceSummary | None = None
    incomplete_apis: bool = False
    """Some group versions could not be listed: a kind that is missing here may be served."""

    @property
    def name(self) -> str:
        """Name of the Cluster."""
        return self.facts.name


class Snapshot(tuple[ClusterView, ...]):  # noqa: SLOT001 - it keeps what was found out about it
    """All members at one instant, and what was found out about them already.

    It never changes, so an answer that was worked out once holds as long as the snapshot lives, and ends with it.
    """

    def __init__(self, _clusters: Iterable[ClusterView] = ()) -> None:
        self._answers: dict[Hashable, Any] = {}
        # An answer is about the size of the snapshot: some 200,000 clusters in all.
        self._most = min(1024, 16 + 200_000 // (len(self) + 1))

    @classmethod
    def of(cls, clusters: Sequence[ClusterView]) -> "Snapshot":
        """The clusters as a snapshot: themselves if they are one."""
        return clusters if isinstance(clusters, Snapshot) else cls(clusters)

    @cached_property
    def by_name(self) -> Mapping[str, ClusterView]:
        """Every cluster by its name."""
        return {cluster.name: cluster for cluster in self}

    @cached_property
    def staying(self) -> frozenset[str]:
        """The clusters that are not being deleted."""
        return frozenset(cluster.name for cluster in self if not cluster.deleting)

    @cached_property
    def holding(self) -> frozenset[str]:
        """The clusters whose copies count: all but those that are abandoned."""
        return frozenset(cluster.name for cluster in self if not cluster.abandoned)

    def answer(self, question: Hashable, work_out: Callable[[], A]) -> A:
        """The answer to a question that names everything, these clusters apart, on which it depends. Nobody changes an answer.

        When too many are kept all are forgotten, which costs time only.
        """
        found = self._answers.get(question)
        if found is None:
            if len(self._answers) >= self._most:
                self._answers.clear()
            found = self._answers[question] = work_out()
        return cast(A, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingView:
    """A template with its placement, and what was decided before."""

    key: str
    """Namespace and name of the binding; breaks ties between equal clusters, also when the template is made again."""
    uid: str
    """UID of the template."""
    api_version: str
    kind: str
    namespace: str = ""
    replicas: int | None = None
    """Replicas wanted in all; None for an object without replicas."""
    requirements: Requirements | None = None
    components: tuple[Component, ...] = ()
    """Of a workload of several pod templates: a cluster takes a whole set of them or none."""
    placement: Placement = field(default_factory=Placement)
    previous: Decision | None = None
    held: Mapping[str, int] = field(default_factory=dict)
    """What the members hold while there is no decision: it counts as the previous result (I21)."""
    observed: str = ""
    """Name of the affinity group in use, where the placement has several."""
    rebalance: str = ""
    """The last request for fresh scheduling (a Rebalance); the decision that answers it records it."""
    fresh: bool = False
    """Divide anew as if nothing were placed: somebody asked for it (karmada.md 2.7.5). Moves make before they break as ever."""
    returning: bool = False
    """An affinity group before the one in use could take the work for a while: try from the first one."""
    evicting: frozenset[str] = frozenset()
    """Clusters that must not keep it: a NoExecute taint that the placement does not tolerate (any longer)."""
    together: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Other placed workloads of its affinity group, by name, with their clusters."""
    apart: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Other placed workloads of its anti-affinity group, by name, with their clusters."""
    pin: Mapping[str, int] = field(default_factory=dict)
    """Shares set by hand."""
    surge: int = 1
    """Replicas that a move may hold on top of what is wanted."""
    lines: Mapping[str, str] = field(default_factory=dict)
    """What the members show (`binding.status.members`)."""
    seen: Mapping[str, int] = field(default_factory=dict)
    """Replicas of the copies as the members' watches show them; read only where something moves."""

    @property
    def targets(self) -> Mapping[str, int]:
        """The previous result: what the decision in force leads to, else what members hold."""
        return goal_of(self.previous) if self.previous is not None else self.held

    @property
    def placed(self) -> Mapping[str, int]:
        """What members hold or are about to: the targets in force, sources of open moves included."""
        return self.previous.targets if self.previous is not None else self.held
