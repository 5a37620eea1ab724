"""What a filter plugin is: a question about one cluster, with a refusal that carries numbers, and the events that lift it.

A refusal that nothing can lift would wait for ever, so `events` must not be empty (a test holds every plugin to it).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from federation.schedule.snapshot import BindingView, ClusterView


class Event(Enum):
    """What can change a verdict. Each of them makes the schedule controller look at waiting bindings again."""

    CLUSTER_CHANGED = "labels, fields or taints of a cluster"
    CLUSTER_APIS = "the kinds that a cluster serves"
    PLACEMENT = "the placement of the policy"
    EVICTION_ENDED = "the end of a move"
    PEER_PLACED = "the placement of another workload of the namespace"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a cluster is out: `reason` is the same for all clusters (it is counted), `detail` is about this one."""

    plugin: str
    cluster: str
    reason: str
    detail: str = ""
    brief: str = ""
    """A few characters for the grouped line in the decision."""


class FilterPlugin(Protocol):
    """One filter."""

    name: str
    events: frozenset[Event]

    def refuse(self, binding: BindingView, cluster: ClusterView) -> Refusal | None:
        """None if the cluster may take the binding."""


class ScorePlugin(Protocol):
    """One score, 0 to 100; sums decide the rank."""

    name: str

    def score(self, binding: BindingView, cluster: ClusterView) -> int:
        """Higher is better."""
