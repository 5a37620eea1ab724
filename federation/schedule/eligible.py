"""Which clusters may take a binding: the filters, asked once a snapshot for all bindings that differ only in what is their own. Pure.

Most workloads repeat few placements, and what our filters say follows from placement, kind and whether there are replicas. Own to a
binding are its targets (being one lifts refusals and makes none: what is placed stays), the clusters that it is evicted from, and
its peers. A plugin of others may read anything, so with one installed everything is asked anew.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from federation.schedule.affinity import group_in_force
from federation.schedule.plugins import Refusal, filters, only_ours
from federation.schedule.snapshot import BindingView, ClusterView, Snapshot


@dataclass(frozen=True, slots=True)
class Eligible:
    """The clusters that pass every filter, and the first refusal of each of the others, in the order of the snapshot."""

    fitting: tuple[ClusterView, ...]
    refusals: Mapping[str, Refusal]


def refuse(binding: BindingView, cluster: ClusterView) -> Refusal | None:
    """The first refusal of the filters, or None."""
    if cluster.deleting:
        return Refusal("ClusterLeaving", cluster.name, "cluster(s) is leaving", "the Cluster is being deleted")
    for plugin in filters():
        refusal = plugin.refuse(binding, cluster)
        if refusal is not None:
            return refusal
    return None


def eligible(binding: BindingView, snapshot: Snapshot) -> Eligible:
    """What the filters say of every cluster."""
    if binding.together or binding.apart or not only_ours():
        return _asked(binding, snapshot)
    question = ("eligible", *place(binding), binding.api_version, binding.kind)
    general = snapshot.answer(question, lambda: _asked(_without_its_own(binding), snapshot))
    concerned = (binding.targets.keys() & general.refusals.keys()) | (binding.evicting & snapshot.by_name.keys())
    if not concerned:
        return general
    own = {name: refuse(binding, snapshot.by_name[name]) for name in concerned}
    refusals = {
        cluster.name: refusal
        for cluster in snapshot
        if (refusal := own[cluster.name] if cluster.name in own else general.refusals.get(cluster.name)) is not None
    }
    return Eligible(tuple(cluster for cluster in snapshot if cluster.name not in refusals), refusals)


def tiers(binding: BindingView, snapshot: Snapshot) -> Mapping[str, int]:
    """The tier of each cluster that the affinity group in use names, 0 being the group itself."""
    return snapshot.answer(("tiers", *place(binding)), lambda: _tiers(binding, snapshot))


def place(binding: BindingView) -> tuple[Hashable, ...]:
    """Where a binding may go, as part of a question: the placement, the group in use, and whether it can overflow."""
    placement = binding.placement.model_dump_json(by_alias=True, exclude_defaults=True)
    return placement, binding.observed, binding.replicas is None


def _tiers(binding: BindingView, snapshot: Snapshot) -> Mapping[str, int]:
    group = group_in_force(binding.placement, binding.observed)
    found = ((one.name, group.tier_of(one.facts, overflows=binding.replicas is not None)) for one in snapshot)
    return {name: tier for name, tier in found if tier is not None}


def _asked(binding: BindingView, snapshot: Snapshot) -> Eligible:
    refusals = {cluster.name: refusal for cluster in snapshot if (refusal := refuse(binding, cluster)) is not None}
    return Eligible(tuple(cluster for cluster in snapshot if cluster.name not in refusals), refusals)


def _without_its_own(binding: BindingView) -> BindingView:
    """A view with nothing but what the question names, so that an answer cannot depend on more."""
    return BindingView(
        key="", uid="", api_version=binding.api_version, kind=binding.kind, placement=binding.placement,
        observed=binding.observed, replicas=None if binding.replicas is None else 0,
    )  # fmt: skip
