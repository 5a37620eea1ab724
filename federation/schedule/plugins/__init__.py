"""Filters and scores, one folder each. Third parties add theirs through the entry point group of the same name.

An entry point names an object with the attributes of `FilterPlugin` or `ScorePlugin`; it is loaded once a process.
"""

from functools import cache
from importlib.metadata import entry_points

from federation.schedule.plugins.api_enablement.filter import APIEnablement
from federation.schedule.plugins.base import Event, FilterPlugin, Refusal, ScorePlugin
from federation.schedule.plugins.cluster_affinity.filter import ClusterAffinityFilter
from federation.schedule.plugins.cluster_eviction.filter import ClusterEviction
from federation.schedule.plugins.cluster_locality.score import ClusterLocality
from federation.schedule.plugins.spread_constraint.filter import SpreadConstraintFilter
from federation.schedule.plugins.taint_toleration.filter import TaintToleration
from federation.schedule.plugins.workload_affinity.filter import WorkloadAffinity, WorkloadAntiAffinity

ENTRY_POINTS = "federation.schedule.plugins"
__all__ = ["ENTRY_POINTS", "Event", "FilterPlugin", "Refusal", "ScorePlugin", "filters", "only_ours", "scores"]


@cache
def filters() -> tuple[FilterPlugin, ...]:
    """All filters in the order in which they are asked; the first refusal is the one reported."""
    own: tuple[FilterPlugin, ...] = (
        ClusterAffinityFilter(),
        APIEnablement(),
        TaintToleration(),
        SpreadConstraintFilter(),
        ClusterEviction(),
        WorkloadAffinity(),
        WorkloadAntiAffinity(),
    )
    return (*own, *(plugin for plugin in _third_party() if hasattr(plugin, "refuse")))


@cache
def scores() -> tuple[ScorePlugin, ...]:
    """All scores."""
    own: tuple[ScorePlugin, ...] = (ClusterLocality(),)
    return (*own, *(plugin for plugin in _third_party() if hasattr(plugin, "score")))


def only_ours() -> bool:
    """Whether no plugin of a third party is installed: of ours it is known what of a view they read."""
    return not _third_party()


@cache
def _third_party():  # type: ignore[no-untyped-def]  # noqa: ANN202 - whatever an entry point names
    return tuple(entry.load()() for entry in entry_points(group=ENTRY_POINTS))
