"""The policy suites: each case handed to `federation.policy`, names translated, nothing decided here."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from federation.api.override import OverrideSpec
from federation.api.placement import ClusterAffinity
from federation.api.propagation import PropagationSpec, ResourceSelector
from federation.policy.claim import CLUSTER_KIND, NAMESPACED_KIND, PolicyFacts, PolicyRef, choose
from federation.policy.conflict import ANNOTATIONS, resolve_conflict
from federation.policy.facts import ClusterFacts, ObjectFacts
from federation.policy.override import OverrideFacts, render_overrides
from federation.policy.override.containers import POD_SPECS
from federation.policy.override.order import rules_for
from federation.policy.override.reference import parse_image
from federation.policy.selectors import NONE, cluster_matches, highest, selector_priority, zone_matches
from federation.policy.suspend import suspended
from federation.policy.validate import validate_propagation

Case = dict[str, Any]
Suite = dict[str, Any]

CLUSTER = ClusterFacts(name="cluster1")


def _cluster_affinity(suite: Suite, case: Case) -> Case:
    affinity = dict(case["in"]["affinity"] or {})
    if "fieldSelector" in affinity:
        expressions = [{"operator": "", **expression} for expression in affinity["fieldSelector"]]
        affinity["fieldSelector"] = {"matchExpressions": expressions}
    cluster = suite["cluster"]
    facts = ClusterFacts(
        name=cluster["name"],
        labels=cluster.get("labels") or {},
        region=cluster.get("region") or "",
        zones=tuple(cluster.get("zones") or ()),
        provider=cluster.get("provider") or "",
    )
    try:
        parsed = ClusterAffinity.model_validate(affinity)
    except ValidationError:
        # The reference asks an affinity that does not parse; here it never gets so far, and so selects nothing.
        return {"match": False}
    return {"match": cluster_matches(parsed, facts)}


def _zone_match(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    return {"match": zone_matches(given["operator"], given.get("values") or [], given.get("zones") or [])}


def _object(given: Case) -> ObjectFacts:
    return ObjectFacts(
        api_version=given["apiVersion"],
        kind=given["kind"],
        namespace=given.get("namespace") or "",
        name=given["name"],
        labels=given.get("labels") or {},
    )


def _selector_priority(suite: Suite, case: Case) -> Case:
    try:
        selector = ResourceSelector.model_validate(case["in"]["selector"])
    except ValidationError:
        # As above: what does not parse selects nothing.
        return {"priority": NONE}
    return {"priority": selector_priority(selector, _object(suite["object"]))}


def _selector_list_priority(_suite: Suite, case: Case) -> Case:
    return {"priority": highest(case["in"]["priorities"] or [])}


def _winner(obj: ObjectFacts, policies: list[Case], kind: str) -> str | None:
    facts = [
        PolicyFacts(
            kind=kind,
            namespace=obj.namespace if kind == NAMESPACED_KIND else "",
            name=policy["name"],
            uid=f"{kind}/{policy['name']}",
            priority=policy.get("priority") or 0,
            selectors=tuple(ResourceSelector.model_validate(selector) for selector in policy["selectors"]),
        )
        for policy in policies
    ]
    winner = choose(obj, facts, None).winner
    return winner.name if winner else None


def _policy_priority(_suite: Suite, case: Case) -> Case:
    """The same cases hold for namespaced and for cluster-wide policies."""
    obj, policies = _object(case["in"]["object"]), case["in"]["policies"]
    namespaced, cluster_wide = (_winner(obj, policies, kind) for kind in (NAMESPACED_KIND, CLUSTER_KIND))
    return {"winner": namespaced if namespaced == cluster_wide else f"{namespaced}, cluster-wide {cluster_wide}"}


def _policy_name_order(_suite: Suite, case: Case) -> Case:
    obj = ObjectFacts(api_version="apps/v1", kind="Deployment", namespace="shop", name="web")
    selectors = [{"apiVersion": obj.api_version, "kind": obj.kind}]
    names = [name for name in (case["in"]["a"], case["in"]["b"]) if name is not None]
    return {"first": _winner(obj, [{"name": name, "selectors": selectors} for name in names], NAMESPACED_KIND)}


def _deprioritized_policy_requeue(_suite: Suite, case: Case) -> Case:
    """Every object of a policy that changed is looked at again, so whoever may take it now, and could not before, does.

    The same cases hold for namespaced and for cluster-wide policies.
    """
    given = case["in"]
    counts = [
        _newly_taken(kind, given["old"], given["new"], given["others"]) for kind in (NAMESPACED_KIND, CLUSTER_KIND)
    ]
    return {"queued": counts[0] if counts[0] == counts[1] else counts}


def _newly_taken(kind: str, old: int, new: int, others: list[int]) -> int:
    named = (ResourceSelector(api_version="apps/v1", kind="Deployment", name="web"),)
    obj = ObjectFacts(api_version="apps/v1", kind="Deployment", namespace="shop", name="web")
    namespace = obj.namespace if kind == NAMESPACED_KIND else ""

    def taken(priority: int, other: int) -> bool:
        has = PolicyFacts(kind, namespace, "has", uid="has", priority=priority, selectors=named)
        wants = PolicyFacts(kind, namespace, "wants", uid="wants", priority=other, preempts=True, selectors=named)
        return choose(obj, [has, wants], PolicyRef(kind, namespace, "has", "has")).winner == wants

    return sum(taken(new, other) and not taken(old, other) for other in others)


def _propagation_validation(_suite: Suite, case: Case) -> Case:
    given = dict(case["in"]["spec"])
    # The cases give parts of a spec; what the schema requires besides is filled in.
    whole = {"apiVersion": "apps/v1", "kind": "Deployment"}
    given["resourceSelectors"] = [{**whole, **selector} for selector in given.get("resourceSelectors") or []]
    spec = PropagationSpec.model_validate(given)
    return {"violates": [violation.rule for violation in validate_propagation(spec, namespace=None)]}


def _violates(expected: Case, actual: Case) -> bool:
    """An accepted spec breaks no rule; of a refused one the listed rules must be reported."""
    if not expected["violates"]:
        return not actual["violates"]
    return set(expected["violates"]) <= set(actual["violates"])


_API_VERSIONS = {kind: f"{group}/v1" if group else "v1" for group, kind in POD_SPECS}


def _workload(kind: str, containers: list[Case]) -> tuple[Case, str]:
    """A workload of a kind with these containers, and the JSON pointer to them."""
    api_version = _API_VERSIONS.get(kind, "v1")
    group = api_version.rpartition("/")[0]
    path = POD_SPECS.get((group, kind), ("spec",))
    body: Any = {"containers": containers}
    for name in reversed(path):
        body = {name: body}
    metadata = {"name": "subject", "namespace": "shop"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}, "/" + "/".join(
        (*path, "containers")
    )


def _render(manifest: Case, overriders: Case) -> Case:
    spec = OverrideSpec.model_validate({"overrideRules": [{"overriders": overriders}]})
    policy = OverrideFacts(kind="ClusterOverridePolicy", namespace="", name="case", spec=spec)
    return render_overrides(manifest, CLUSTER, [policy]).manifest


def _containers(manifest: Case) -> list[Case]:
    found: Any = manifest
    for name in POD_SPECS.get((manifest["apiVersion"].rpartition("/")[0], manifest["kind"]), ("spec",)):
        found = found[name]
    return found["containers"]


def _image_override(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    containers = [{"name": f"c{index}", "image": image} for index, image in enumerate(given["images"])]
    manifest, pointer = _workload(given["kind"], containers)
    overrider = {"component": given["component"], "operator": given["operator"], "value": given.get("value") or ""}
    if given.get("path_index") is not None:
        overrider["predicate"] = {"path": f"{pointer}/{given['path_index']}/image"}
    rendered = _render(manifest, {"imageOverrider": [overrider]})
    return {"images": [container["image"] for container in _containers(rendered)]}


def _image_parse(_suite: Suite, case: Case) -> Case:
    reference = parse_image(case["in"]["image"])
    if reference is None or str(reference) != case["in"]["image"]:
        return {"error": f"does not join to the input: {reference}"}
    return {
        "hostname": reference.registry,
        "repository": reference.repository,
        "tag": reference.tag,
        "digest": reference.digest,
    }


def _command_args_override(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    field = given["field"]
    containers = []
    for container in given["containers"]:
        entry = {"name": container["name"]}
        if container.get("list") is not None:
            entry[field] = container["list"]
        containers.append(entry)
    manifest, _ = _workload(given.get("kind") or "Deployment", containers)
    overrider = {"containerName": given["container"], "operator": given["operator"], "value": given.get("value") or []}
    rendered = _render(manifest, {f"{field}Overrider": [overrider]})
    return {"lists": {container["name"]: container.get(field) for container in _containers(rendered)}}


def _same_lists(expected: Case, actual: Case) -> bool:
    """An absent list and an empty one are the same to Kubernetes."""
    wanted, found = expected["lists"], actual["lists"]
    return wanted.keys() == found.keys() and all((wanted[name] or []) == (found[name] or []) for name in wanted)


def _label_annotation_override(_suite: Suite, case: Case) -> Case:
    """The same cases hold for labels and for annotations."""
    overrider = {"operator": case["in"]["operator"], "value": case["in"]["value"] or {}}
    results = []
    for field in ("labels", "annotations"):
        metadata: Case = {"name": "subject", "namespace": "shop"}
        if case["in"]["current"] is not None:
            metadata[field] = case["in"]["current"]
        rendered = _render(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}, {f"{field}Overrider": [overrider]}
        )
        results.append(rendered["metadata"].get(field))
    return {"result": results[0] if results[0] == results[1] else results}


def _override_order(_suite: Suite, case: Case) -> Case:
    obj = ObjectFacts(api_version="apps/v1", kind="Deployment", namespace="shop", name="web", labels={"app": "web"})
    whole = {"apiVersion": obj.api_version, "kind": obj.kind}
    selectors = {
        "all": [],
        "kind": [whole],
        "labels": [{**whole, "labelSelector": {"matchLabels": dict(obj.labels)}}],
        "name": [{**whole, "name": obj.name}],
    }
    policies = []
    for policy in case["in"]["policies"]:
        rules = [
            {"targetCluster": {"clusterNames": names} if names is not None else None, "overriders": {}}
            for names in policy["rules"]
        ]
        spec = OverrideSpec.model_validate({"resourceSelectors": selectors[policy["selector"]], "overrideRules": rules})
        policies.append(OverrideFacts(kind="OverridePolicy", namespace="shop", name=policy["name"], spec=spec))
    cluster = ClusterFacts(name=case["in"]["cluster"])
    return {"order": [[policy.name, index] for policy, index, _ in rules_for(policies, obj, cluster)]}


def _field_override(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    operation = {"subPath": given["subPath"], "operator": given["operator"]}
    if given["operator"] != "remove":
        operation["value"] = given.get("value")
    metadata = {"name": "subject", "namespace": "shop"}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": given["text"]}}
    rendered = _render(manifest, {"fieldOverrider": [{"fieldPath": "/data/text", given["format"]: [operation]}]})
    return {"text": rendered["data"]["text"]}


def _conflict_resolution(_suite: Suite, case: Case) -> Case:
    """The effective value is written in lower case, as in Karmada's annotation."""
    annotation = case["in"]["template"]
    annotations = {ANNOTATIONS[1]: annotation} if annotation is not None else {}
    effective = resolve_conflict({"metadata": {"annotations": annotations}}, case["in"]["binding"])
    return {"effective": effective.lower()}


def _suspend_dispatch(_suite: Suite, case: Case) -> Case:
    suspension = case["in"]["suspension"]
    if suspension and isinstance(suspension.get("dispatchingOnClusters"), list):
        suspension = {**suspension, "dispatchingOnClusters": {"clusterNames": suspension["dispatchingOnClusters"]}}
    return {"suspended": suspended(suspension, case["in"]["cluster"])}


SUITES: dict[str, Callable[[Suite, Case], Any]] = {
    "cluster_affinity": _cluster_affinity,
    "zone_match": _zone_match,
    "selector_priority": _selector_priority,
    "selector_list_priority": _selector_list_priority,
    "policy_priority": _policy_priority,
    "policy_name_order": _policy_name_order,
    "deprioritized_policy_requeue": _deprioritized_policy_requeue,
    "propagation_validation": _propagation_validation,
    "image_override": _image_override,
    "image_parse": _image_parse,
    "command_args_override": _command_args_override,
    "label_annotation_override": _label_annotation_override,
    "override_order": _override_order,
    "field_override": _field_override,
    "conflict_resolution": _conflict_resolution,
    "suspend_dispatch": _suspend_dispatch,
}

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "propagation_validation": _violates,
    "command_args_override": _same_lists,
}
