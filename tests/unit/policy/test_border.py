"""What no override changes, whoever wrote it and however the path is put."""

import pytest

from federation.api.override import OverrideSpec
from federation.policy.facts import ClusterFacts
from federation.policy.override import OverrideError, OverrideFacts, render_overrides
from federation.policy.validate import validate_override

CROSSINGS = {
    "another namespace": {"plaintext": [{"path": "/metadata/namespace", "operator": "replace", "value": "other"}]},
    "another name": {"plaintext": [{"path": "/metadata/name", "operator": "replace", "value": "other"}]},
    "no namespace": {"plaintext": [{"path": "/metadata/namespace", "operator": "remove"}]},
    "another kind": {"plaintext": [{"path": "/kind", "operator": "replace", "value": "Secret"}]},
    "another group": {"plaintext": [{"path": "/apiVersion", "operator": "replace", "value": "apps/v1"}]},
    "an owner reference": {"plaintext": [{"path": "/metadata/ownerReferences", "operator": "add", "value": [{"uid": "u"}]}]},
    "a finalizer": {"plaintext": [{"path": "/metadata/finalizers", "operator": "add", "value": ["a/b"]}]},
    "the whole metadata": {"plaintext": [{"path": "/metadata", "operator": "replace", "value": {"name": "other"}}]},
    "the whole object": {"plaintext": [{"path": "", "operator": "replace", "value": {"kind": "Secret"}}]},
    "our mark, by its path": {"plaintext": [{"path": "/metadata/annotations/federation.dev~1mark", "operator": "add", "value": "m"}]},
    "our mark, in a map": {"plaintext": [{"path": "/metadata/annotations", "operator": "add", "value": {"federation.dev/mark": "m"}}]},
    "our label": {"labelsOverrider": [{"operator": "add", "value": {"federation.dev/hub": "h"}}]},
    "our annotation": {"annotationsOverrider": [{"operator": "add", "value": {"federation.dev/mark": "m"}}]},
    "a document in our annotation": {"fieldOverrider": [{"fieldPath": "/metadata/annotations/federation.dev~1mark", "json": [{"subPath": "/a", "operator": "add", "value": 1}]}]},
    "an image in the name": {"imageOverrider": [{"predicate": {"path": "/metadata/name"}, "component": "Tag", "operator": "replace", "value": "v2"}]},
}  # fmt: skip
INSIDE = {
    "a label": {"labelsOverrider": [{"operator": "add", "value": {"team": "a"}}]},
    "a label by its path": {"plaintext": [{"path": "/metadata/labels", "operator": "add", "value": {"federation.dev": "x", "a.federation.dev/b": "y"}}]},
    "data": {"plaintext": [{"path": "/data/kind", "operator": "add", "value": "1"}]},
    "a field that only begins like a closed one": {"plaintext": [{"path": "/kinds", "operator": "add", "value": "1"}]},
}  # fmt: skip


def config_map() -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c:1", "namespace": "shop", "annotations": {"federation.dev/mark": "{}"}}, "data": {}}  # fmt: skip


def rendered(manifest: dict, overriders: dict, kind: str = "OverridePolicy") -> dict:
    spec = OverrideSpec.model_validate({"overrideRules": [{"overriders": overriders}]})
    policy = OverrideFacts(kind=kind, namespace="shop" if kind == "OverridePolicy" else "", name="p", spec=spec)
    return render_overrides(manifest, ClusterFacts(name="m1"), [policy]).manifest


@pytest.mark.parametrize("overriders", CROSSINGS.values(), ids=list(CROSSINGS))
@pytest.mark.parametrize("kind", ["OverridePolicy", "ClusterOverridePolicy"])
def test_rendering_stops_at_the_border(overriders: dict, kind: str) -> None:
    with pytest.raises(OverrideError):
        rendered(config_map(), overriders, kind)


@pytest.mark.parametrize("overriders", CROSSINGS.values(), ids=list(CROSSINGS))
def test_validation_names_what_crosses_the_border(overriders: dict) -> None:
    for spec in ({"overrideRules": [{"overriders": overriders}]}, {"overriders": overriders}):
        found = validate_override(OverrideSpec.model_validate(spec))
        assert "override-border" in [violation.rule for violation in found]


@pytest.mark.parametrize("overriders", INSIDE.values(), ids=list(INSIDE))
def test_what_is_inside_the_border_is_allowed(overriders: dict) -> None:
    assert validate_override(OverrideSpec.model_validate({"overrideRules": [{"overriders": overriders}]})) == []
    assert rendered(config_map(), overriders) != config_map()


def role_binding() -> dict:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "r", "namespace": "shop"},
        "roleRef": reference, "subjects": [],
    }  # fmt: skip


def test_a_namespaced_policy_does_not_change_what_a_role_binding_grants_but_may_label_it() -> None:
    grant = {"plaintext": [{"path": "/roleRef/name", "operator": "replace", "value": "cluster-admin"}]}
    with pytest.raises(OverrideError, match="RoleBinding"):
        rendered(role_binding(), grant)
    assert rendered(role_binding(), grant, "ClusterOverridePolicy")["roleRef"]["name"] == "cluster-admin"
    label = {"labelsOverrider": [{"operator": "add", "value": {"team": "a"}}]}
    assert rendered(role_binding(), label)["metadata"]["labels"] == {"team": "a"}
