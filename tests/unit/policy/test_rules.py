"""Claims, what is never propagated, unserved fields, override errors."""

import pytest

from federation.api.override import OverrideSpec
from federation.api.propagation import PropagationSpec, ResourceSelector
from federation.policy.claim import PolicyFacts, PolicyRef, choose
from federation.policy.facts import ClusterFacts, ObjectFacts
from federation.policy.never import never_propagated
from federation.policy.override import OverrideError, OverrideFacts, render_overrides
from federation.policy.validate import unserved, validate_override

OBJECT = ObjectFacts(api_version="apps/v1", kind="Deployment", namespace="shop", name="web", labels={"app": "web"})
WHOLE = ResourceSelector(api_version="apps/v1", kind="Deployment")
NAMED = ResourceSelector(api_version="apps/v1", kind="Deployment", name="web")


def own(name: str, *selectors: ResourceSelector, priority: int = 0) -> PolicyFacts:
    return PolicyFacts(
        kind="PropagationPolicy",
        namespace="shop",
        name=name,
        uid=name,
        priority=priority,
        selectors=selectors or (WHOLE,),
    )


def wide(name: str, priority: int = 0) -> PolicyFacts:
    return PolicyFacts(
        kind="ClusterPropagationPolicy", namespace="", name=name, uid=name, priority=priority, selectors=(WHOLE,)
    )


ORDER = {
    "a higher priority wins": ([own("a"), own("b", priority=1)], "b"),
    "by name before by kind": ([own("a"), own("b", NAMED)], "b"),
    "then the alphabet": ([own("b"), own("a")], "a"),
    "a namespaced policy before a cluster-wide one": ([wide("a", priority=100), own("z")], "z"),
}


@pytest.mark.parametrize("name", ORDER)
def test_which_policy_claims(name: str) -> None:
    policies, winner = ORDER[name]
    claim = choose(OBJECT, policies, None)
    assert claim.winner is not None
    assert claim.winner.name == winner
    assert claim.losers


def test_who_claims_keeps() -> None:
    claim = choose(
        OBJECT, [own("old"), own("better", NAMED, priority=9)], PolicyRef("PropagationPolicy", "shop", "old", "old")
    )
    assert claim.winner is not None
    assert claim.winner.name == "old"
    assert "claimed it first" in claim.losers[0][1]


def test_a_namesake_made_later_is_another_policy() -> None:
    claim = choose(
        OBJECT, [own("old"), own("better", NAMED)], PolicyRef("PropagationPolicy", "shop", "old", "gone-uid")
    )
    assert claim.winner is not None
    assert claim.winner.name == "better"


def test_an_unclaimed_object_names_the_nearest_policy_and_its_failing_term() -> None:
    near = choose(
        OBJECT, [own("near", ResourceSelector(api_version="apps/v1", kind="Deployment", name="other"))], None
    ).nearest
    assert near is not None
    assert near[1] == "PropagationPolicy near: name other is not web"


NEVER = {
    "our own kinds": {"apiVersion": "federation.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "x"}},
    "our namespace": {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "x", "namespace": "federation-system"},
    },
    "kube namespaces": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "kube-system"}},
    "the root certificate": {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kube-root-ca.crt", "namespace": "a"},
    },
    "default service accounts": {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": "a"},
    },
    "token secrets": {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "t", "namespace": "a"},
    },
    "the kubernetes service": {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default"},
    },
    "events": {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "a"}},
    "leases": {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l", "namespace": "a"}},
    "endpoint slices": {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "l", "namespace": "a"},
    },
    "system roles": {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:node"},
    },
    "controlled objects": {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "a", "ownerReferences": [{"controller": True}]},
    },
}


@pytest.mark.parametrize("name", NEVER)
def test_what_is_never_propagated_even_when_named(name: str) -> None:
    assert never_propagated(NEVER[name], named=True)


def test_kinds_that_act_on_their_api_server_travel_only_when_named() -> None:
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x.y"}}
    assert never_propagated(crd, named=False)
    assert never_propagated(crd, named=True) is None


def test_an_ordinary_object_travels() -> None:
    assert (
        never_propagated(
            {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "s", "namespace": "a"}},
            named=False,
        )
        is None
    )


@pytest.mark.parametrize(
    "placement",
    [
        {"load": "Prefer"},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_field_that_is_not_served_yet_is_refused_never_ignored(placement: dict) -> None:
    spec = PropagationSpec.model_validate(
        {"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}], "placement": placement}
    )
    assert unserved(spec)


def rendered(overriders: dict) -> dict:
    spec = OverrideSpec.model_validate({"overrideRules": [{"overriders": overriders}]})
    facts = OverrideFacts(kind="OverridePolicy", namespace="shop", name="p", spec=spec)
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "shop"},
        "data": {"a": "1"},
    }
    result = render_overrides(manifest, ClusterFacts(name="m1"), [facts])
    assert manifest["data"] == {"a": "1"}, "the template is not touched"
    return result.manifest


def test_an_override_of_a_path_that_does_not_exist_names_policy_and_path() -> None:
    with pytest.raises(OverrideError, match=r"(?s)p.*/data/absent/x"):
        rendered({"plaintext": [{"path": "/data/absent/x", "operator": "replace", "value": 1}]})


def test_a_plaintext_override_changes_its_path_only() -> None:
    assert rendered({"plaintext": [{"path": "/data/b", "operator": "add", "value": "2"}]})["data"] == {
        "a": "1",
        "b": "2",
    }


def test_a_value_that_is_missing_or_too_much_is_a_violation() -> None:
    spec = OverrideSpec.model_validate(
        {"overrideRules": [{"overriders": {"plaintext": [{"path": "/a", "operator": "replace"}]}}]}
    )
    assert validate_override(spec)
