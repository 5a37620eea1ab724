"""What a decision is taken from: one binding, and the clusters at one instant. Values only; no clock, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from federation.api.binding import Decision
from federation.api.cluster import ResourceSummary
from federation.api.placement import Placement, Taint
from federation.interpret import Component, Requirements
from federation.policy.facts import ClusterFacts
from federation.schedule.moves import goal_of


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
