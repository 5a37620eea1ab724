"""What a decision is taken from: one binding, and the clusters at one instant. Values only; no clock, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from federation.api.binding import Decision
from federation.api.cluster import ResourceSummary
from federation.api.placement import Placement, Taint
from federation.interpret.requirements import Requirements
from federation.policy.facts import ClusterFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """A member as the scheduler sees it. Readiness acts through taints only, so that a policy can tolerate it."""

    facts: ClusterFacts
    taints: tuple[Taint, ...] = ()
    apis: frozenset[tuple[str, str]] = frozenset()
    """(apiVersion, kind) served."""
    deleting: bool = False
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
    uid: str
    """UID of the template; also breaks ties between equal clusters."""
    api_version: str
    kind: str
    namespace: str = ""
    replicas: int | None = None
    """Replicas wanted in all; None for an object without replicas."""
    requirements: Requirements | None = None
    placement: Placement = field(default_factory=Placement)
    previous: Decision | None = None
    held: Mapping[str, int] = field(default_factory=dict)
    """What the members hold while there is no decision: it counts as the previous result (I21)."""
    observed: str = ""
    """Name of the affinity group in use, where the placement has several."""
    evicting: frozenset[str] = frozenset()
    """Clusters that this binding is being moved away from."""

    @property
    def targets(self) -> Mapping[str, int]:
        """The previous result: of the decision in force, else what members hold."""
        return self.previous.targets if self.previous is not None else self.held
