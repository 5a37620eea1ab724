"""The nearest fix: the smallest changes that make a refused cluster take the work (F2). Pure.

A fix is a change of the placement, of the Cluster or of what a pod asks, in words, as a command where there is one, and as the views
with the change made. So each suggestion is proven before it is told: `nearest` applies it and asks the same functions again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice

from federation.api.placement import ClusterAffinity, LabelSelector, Placement, Taint, Toleration
from federation.api.quantity import format_quantity, nanos
from federation.policy.facts import ClusterFacts
from federation.policy.selectors import cluster_matches, requirement_matches
from federation.schedule.affinity import group_in_force
from federation.schedule.attempt import Assumed, attempt
from federation.schedule.eligible import refuse
from federation.schedule.plugins import Refusal
from federation.schedule.snapshot import BindingView, ClusterView

_ROUNDS = 8
"""More filters than this refuse no cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """One change. `command` is empty where there is none that does it (an edit of the policy, a wait)."""

    refusal: str
    """The plugin that it satisfies."""
    text: str
    command: str = ""
    binding: BindingView
    cluster: ClusterView
    """Both as they are with this change and the ones before it."""


@dataclass(frozen=True, slots=True)
class Fixes:
    """The changes that together let the cluster take the work; `stuck` says why none do."""

    changes: tuple[Fix, ...]
    stuck: str = ""


def nearest(
    binding: BindingView, clusters: Sequence[ClusterView], name: str, *, assumed: Assumed | None = None
) -> Fixes:
    """What would make the cluster `name` take the work, which it does not get now; no change where only the division decides."""
    cluster = next(one for one in clusters if one.name == name)
    changes: list[Fix] = []
    for _ in range(_ROUNDS):
        refusal = refuse(binding, cluster)
        if refusal is None:
            break
        found = next(_candidates(refusal, binding, cluster), None)
        if found is None:
            return Fixes(tuple(changes), stuck=_no_fix(refusal))
        changes.append(found)
        binding, cluster = found.binding, found.cluster
    others = [cluster if one.name == name else one for one in clusters]
    room = _room(binding, others, cluster, assumed or {})
    return Fixes((*changes, *([room] if room else [])))


def first_fixes(
    binding: BindingView, clusters: Sequence[ClusterView], names: Iterable[str], *, most: int
) -> dict[str, tuple[Fix, ...]]:
    """What would make refused clusters take the work, for the first `most` of `names` for which all of it can be changed.

    The last step of each asks for a whole division, so nobody should ask for more than are read.
    """
    found = ((name, nearest(binding, clusters, name)) for name in names)
    return dict(islice(((name, fixes.changes) for name, fixes in found if fixes.changes and not fixes.stuck), most))


def _candidates(refusal: Refusal, binding: BindingView, cluster: ClusterView) -> Iterator[Fix]:
    """Changes that lift one refusal, the smallest first; each is tried before it is given."""
    makers = {"ClusterAffinity": _affinity, "TaintToleration": _taint, "SpreadConstraint": _field}
    for text, command, placement, changed in makers.get(refusal.plugin, _none)(refusal, binding, cluster):
        view = replace(binding, placement=placement)
        again = refuse(view, changed)
        if again is None or again.plugin != refusal.plugin or again.detail != refusal.detail:
            yield Fix(refusal=refusal.plugin, text=text, command=command, binding=view, cluster=changed)


Change = tuple[str, str, Placement, ClusterView]
"""(words, command, placement, cluster)."""


def _none(_refusal: Refusal, _binding: BindingView, _cluster: ClusterView) -> Iterator[Change]:
    yield from ()


def _no_fix(refusal: Refusal) -> str:
    waits = {
        "APIEnablement": "install the kind in the member; nothing on the hub replaces that",
        "ClusterEviction": "wait for the end of the move, or lift what began it",
        "ClusterLeaving": "it is leaving",
        "WorkloadAffinity": "place the other workload of its group there first, or take the group's label off the template",
        "WorkloadAntiAffinity": "move the other workload of its group away, or take the group's label off the template",
    }
    return f"{refusal.plugin}: {refusal.detail or refusal.reason}; {waits.get(refusal.plugin, 'no single change lifts that')}"


def _taint(_refusal: Refusal, binding: BindingView, cluster: ClusterView) -> Iterator[Change]:
    """Tolerate the first taint that is not."""
    held = binding.placement.cluster_tolerations or []
    for taint in cluster.taints:
        toleration = _toleration(taint)
        placement = binding.placement.model_copy(update={"cluster_tolerations": [*held, toleration]})
        shown = f"{{key: {taint.key}, operator: {toleration.operator}" + (
            f", value: {taint.value}" if taint.value else ""
        )
        yield f"add to clusterTolerations: {shown}, effect: {taint.effect}}}", "", placement, cluster


def _toleration(taint: Taint) -> Toleration:
    if taint.value:
        return Toleration(key=taint.key, operator="Equal", value=taint.value, effect=taint.effect)
    return Toleration(key=taint.key, operator="Exists", effect=taint.effect)


def _field(refusal: Refusal, binding: BindingView, cluster: ClusterView) -> Iterator[Change]:
    """Give the Cluster the field that a spread constraint groups by."""
    for constraint in binding.placement.spread_constraints or ():
        by, label = constraint.spread_by_field or "", constraint.spread_by_label
        value = "NAME"
        if label and label not in cluster.facts.labels:
            facts = replace(cluster.facts, labels={**cluster.facts.labels, label: value})
            yield (
                f"label the Cluster: {label}={value}",
                f"kubectl label cluster.federation.dev {cluster.name} {label}={value}", binding.placement,
                replace(cluster, facts=facts),
            )  # fmt: skip
        elif by in ("region", "zone", "provider") and by in refusal.reason:
            changed = {"zones": (value,)} if by == "zone" else {by: value}
            key = "zones" if by == "zone" else by
            shown = f'["{value}"]' if by == "zone" else f'"{value}"'
            yield (
                f"set spec.{key} of the Cluster",
                f"kubectl patch cluster.federation.dev {cluster.name} --type=merge -p '{{\"spec\":{{\"{key}\":{shown}}}}}'",
                binding.placement, replace(cluster, facts=replace(cluster.facts, **changed)),
            )  # fmt: skip


def _affinity(_refusal: Refusal, binding: BindingView, cluster: ClusterView) -> Iterator[Change]:
    """One term of the affinity at a time; a later round looks at the next one."""
    group = group_in_force(binding.placement, binding.observed)
    affinity = group.tiers[0] or ClusterAffinity()
    for text, command, changed, facts in _terms(affinity, cluster.facts):
        yield text, command, _with(binding.placement, group.name, changed), replace(cluster, facts=facts)


def _terms(
    affinity: ClusterAffinity, cluster: ClusterFacts
) -> Iterator[tuple[str, str, ClusterAffinity, ClusterFacts]]:
    name = cluster.name
    if name in (affinity.exclude or ()):
        left = [one for one in affinity.exclude or () if one != name]
        yield f"take {name} out of exclude", "", affinity.model_copy(update={"exclude": left}), cluster
        return
    wanted = _wanted_labels(affinity.label_selector, cluster)
    if wanted:
        labels = {key: value for key, value in {**cluster.labels, **wanted}.items() if value is not None}
        shown = " ".join(f"{key}={value}" if value is not None else f"{key}-" for key, value in wanted.items())
        command = f"kubectl label cluster.federation.dev {name} {shown} --overwrite"
        yield f"label the Cluster: {shown}", command, affinity, replace(cluster, labels=labels)
        return
    selector = affinity.field_selector
    for number, one in enumerate(selector.match_expressions if selector is not None else ()):
        alone = ClusterAffinity.model_validate({"fieldSelector": {"matchExpressions": [one.model_dump(by_alias=True)]}})
        if selector is None or cluster_matches(alone, cluster):
            continue
        own = {"region": [cluster.region], "provider": [cluster.provider], "zone": list(cluster.zones)}.get(one.key, [])
        own = [value for value in own if value]
        values = [*one.values, *own] if one.operator == "In" else [value for value in one.values if value not in own]
        rest = list(selector.match_expressions)
        if values and own and one.operator in ("In", "NotIn"):
            rest[number] = one.model_copy(update={"values": values})
            text = f"{'add' if one.operator == 'In' else 'take'} {', '.join(own)} {'to' if one.operator == 'In' else 'out of'} the values of fieldSelector {one.key} {one.operator}"
        else:
            del rest[number]
            text = f"drop fieldSelector {one.key} {one.operator}"
        changed = affinity.model_copy(
            update={"field_selector": selector.model_copy(update={"match_expressions": rest})}
        )
        yield text, "", changed, cluster
        return
    if affinity.cluster_names and name not in affinity.cluster_names:
        yield (
            f"add {name} to clusterNames", "",
            affinity.model_copy(update={"cluster_names": [*affinity.cluster_names, name]}), cluster,
        )  # fmt: skip


def _wanted_labels(selector: LabelSelector | None, cluster: ClusterFacts) -> dict[str, str | None]:
    """The labels that the Cluster lacks for the selector; None takes one off."""
    if selector is None:
        return {}
    wanted: dict[str, str | None] = {
        key: value for key, value in selector.match_labels.items() if cluster.labels.get(key) != value
    }
    for one in selector.match_expressions:
        if not requirement_matches(one.operator, one.values, cluster.labels.get(one.key)):
            wanted[one.key] = {"In": one.values[0] if one.values else None, "Exists": "true"}.get(one.operator)
    return wanted


def _with(placement: Placement, group: str, after: ClusterAffinity) -> Placement:
    """The placement with one affinity replaced."""
    if not group:
        return placement.model_copy(update={"cluster_affinity": after})
    terms = [after if one.affinity_name == group else one for one in placement.cluster_affinities or ()]
    return placement.model_copy(update={"cluster_affinities": terms})


def _room(binding: BindingView, clusters: Sequence[ClusterView], cluster: ClusterView, assumed: Assumed) -> Fix | None:
    """Where the cluster passes and has no room for one replica: how little a pod must ask to fit."""
    fresh = attempt(replace(binding, fresh=True), clusters, assumed)
    if (
        fresh.shares.get(cluster.name)
        or binding.requirements is None
        or cluster.summary is None
        or not binding.replicas
    ):
        return None
    asked, cut = dict(binding.requirements.resource_request), {}
    for resource, text in asked.items():
        there = nanos(cluster.summary.allocatable.get(resource, "0"))
        used = nanos(cluster.summary.allocated.get(resource, "0")) + nanos(
            cluster.summary.allocating.get(resource, "0")
        )
        if nanos(text) > there - used > 0:
            cut[resource] = format_quantity(Fraction(there - used, 10**9))
    if not cut:
        return None
    lower = replace(binding, requirements=replace(binding.requirements, resource_request={**asked, **cut}))
    if not attempt(replace(lower, fresh=True), clusters, assumed).shares.get(cluster.name):
        return None  # something else is short too, or others have the room by then
    shown = ", ".join(f"{resource} {text} (now {asked[resource]})" for resource, text in sorted(cut.items()))
    return Fix(
        refusal="Capacity", text=f"lower the requests of a pod to what is free there: {shown}",
        binding=lower, cluster=cluster,
    )  # fmt: skip
