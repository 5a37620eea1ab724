"""PropagationPolicy and ClusterPropagationPolicy (karmada.md 1.7): what `judge` would find after the fact, found before.

Refused is what makes the policy unusable. Warned of is what is accepted and may not do what its author expects: fields that
are not served yet, clusters and kinds that there are not, selectors that find nothing, sets that should not be divided.
"""

from collections.abc import Iterator

from federation.admission.review import Request, Snapshot, Verdict, verdict
from federation.admission.reviews.targets import (
    affinities_of,
    affinity_warnings,
    name_warnings,
    spread_over,
    weights_of,
)
from federation.api.propagation import PropagationSpec, ResourceSelector
from federation.hub.policies import Policy, judge
from federation.policy.never import never_selected


def review(request: Request, snapshot: Snapshot) -> Verdict:
    """The verdict on a propagation policy."""
    policy = judge(request.object)
    before = judge(request.old).violations if request.old is not None else ()
    return verdict(policy.violations, before=before, warnings=_warnings(policy, snapshot))


def _warnings(policy: Policy, snapshot: Snapshot) -> Iterator[str]:
    spec, path = policy.spec, "spec.placement"
    if spec.association is not None:
        yield "spec.association: deprecated; use propagateDeps"
    yield from _selectors(policy, snapshot)
    yield from affinity_warnings(affinities_of(spec.placement, path), snapshot.clusters)
    yield from affinity_warnings(weights_of(spec.placement, path), snapshot.clusters)
    some = spec.suspension.dispatching_on_clusters if spec.suspension else None
    if some is not None:
        where = "spec.suspension.dispatchingOnClusters.clusterNames"
        yield from name_warnings(some.cluster_names, where, snapshot.clusters)
    yield from _divided_sets(spec, snapshot)
    yield from _rivals(policy, snapshot)


def _selectors(policy: Policy, snapshot: Snapshot) -> Iterator[str]:
    home = policy.facts.namespace
    for index, selector in enumerate(policy.spec.resource_selectors):
        path = f"spec.resourceSelectors[{index}]"
        never = never_selected(
            selector.api_version, selector.kind, namespace=selector.namespace or home, name=selector.name or ""
        )
        namespaced = snapshot.namespaced.get((selector.api_version, selector.kind))
        if never is not None:
            yield f"{path}: never propagated: {never}"
        elif namespaced is False and home:
            yield (
                f"{path}: {selector.kind} is cluster-scoped, and a PropagationPolicy selects in its own namespace only;"
                " use a ClusterPropagationPolicy"
            )
        elif namespaced is None and selector.api_version not in snapshot.unlisted:
            yield f"{path}: the hub serves no kind {selector.kind} in {selector.api_version}; it selects nothing until it does"


def _divided_sets(spec: PropagationSpec, snapshot: Snapshot) -> Iterator[str]:
    """Peers split them without a word, and a database gets two primaries (peers.md T18)."""
    clusters = spread_over(spec.placement, snapshot.clusters)
    if clusters < 2:
        return
    for index, selector in enumerate(spec.resource_selectors):
        if selector.kind == "StatefulSet" and selector.api_version.startswith("apps/"):
            yield (
                f"spec.resourceSelectors[{index}]: a StatefulSet divided over {clusters} clusters becomes {clusters} sets,"
                " each from ordinal 0, that do not know each other; name one cluster, or duplicate it"
            )


def _rivals(policy: Policy, snapshot: Snapshot) -> Iterator[str]:
    """Policies of the same kind, place and priority with the very same selector: then only their names tell who wins."""
    facts = policy.facts
    ours = {_key(selector, facts.namespace): index for index, selector in enumerate(policy.spec.resource_selectors)}
    for other in snapshot.policies:
        theirs = other.facts
        same_place = (theirs.kind, theirs.namespace, theirs.priority) == (facts.kind, facts.namespace, facts.priority)
        if not same_place or theirs.name == facts.name or not other.usable:
            continue
        shared = [
            ours[key] for key in (_key(one, theirs.namespace) for one in other.spec.resource_selectors) if key in ours
        ]
        if shared:
            yield (
                f"spec.resourceSelectors[{min(shared)}]: {theirs} selects exactly the same; what it claims it keeps, and of"
                f" what is new {min(theirs.name, facts.name)} gets it, by the alphabet; set priority to say who wins"
            )


def _key(selector: ResourceSelector, home: str) -> tuple[str, ...]:
    labels = selector.label_selector.model_dump_json() if selector.label_selector and not selector.name else ""
    return selector.api_version, selector.kind, selector.namespace or home, selector.name or "", labels
