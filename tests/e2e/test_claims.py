"""Which policy claims an object, what is never propagated, and what policies say of themselves."""

import base64

from tests.e2e.lab import Lab, always, eventually
from tests.e2e.manifests import config_map, namespace, on, policy, selector


def claimed_by(lab: Lab, place: str, name: str = "app") -> str:
    binding = lab.hub.binding("ConfigMap", name, place, group="") or {"spec": {}}
    return (binding["spec"].get("policy") or {}).get("name", "")


def test_priority_then_specificity_then_name_decide(lab: Lab, place: str) -> None:
    by_kind, by_label, by_name = (
        selector("ConfigMap", api="v1"),
        selector("ConfigMap", api="v1", labels={"x": "y"}),
        selector("ConfigMap", "app", api="v1"),
    )
    lab.hub.apply(
        policy("a-kind", place, by_kind, placement=on("member1")),
        policy("b-label", place, by_label, placement=on("member1")),
        policy("d-name", place, by_name, placement=on("member1")),
        policy("c-name", place, by_name, placement=on("member1")),
    )
    lab.hub.apply(
        config_map("app", place, labels={"x": "y"}),
        config_map("labelled", place, labels={"x": "y"}),
        config_map("plain", place),
    )
    eventually(
        lambda: (
            (claimed_by(lab, place), claimed_by(lab, place, "labelled"), claimed_by(lab, place, "plain"))
            == ("c-name", "b-label", "a-kind")
        )
    )
    lab.hub.apply(policy("z-first", place, by_kind, placement=on("member1"), priority=10))
    lab.hub.apply(config_map("later", place))
    eventually(lambda: claimed_by(lab, place, "later") == "z-first")
    always(lambda: claimed_by(lab, place) == "c-name", seconds=1)


def test_a_propagation_policy_comes_before_a_cluster_wide_one(lab: Lab, place: str) -> None:
    wide = policy(
        place,
        None,
        {**selector("ConfigMap", "app", api="v1"), "namespace": place},
        placement=on("member2"),
        priority=100,
    )
    lab.hub.apply(wide, policy("near", place, selector("ConfigMap", api="v1"), placement=on("member1")))
    lab.hub.apply(config_map("app", place))
    try:
        eventually(lambda: claimed_by(lab, place) == "near")
        status = eventually(lambda: _losing(lab, place))
        assert "near" in str(status)
    finally:
        lab.hub.delete("cpp", place)


def _losing(lab: Lab, place: str) -> object:
    return ((lab.hub.get("cpp", place) or {}).get("status") or {}).get("lost") or (
        (lab.hub.get("cpp", place) or {}).get("status") or {}
    ).get("problems")


def test_a_policy_on_all_secrets_leaks_no_credential(lab: Lab, place: str) -> None:
    def secret(name: str, kind: str = "Opaque", **metadata: object) -> dict:
        value = base64.b64encode(b"canary-" + name.encode()).decode()
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": kind,
            "metadata": {"name": name, "namespace": place, **metadata},
            "data": {"v": value},
        }

    lab.hub.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": place}})
    everything = policy(
        place, None, selector("Secret", api="v1"), selector("ConfigMap", api="v1"), selector("ServiceAccount", api="v1")
    )
    lab.hub.apply(everything)
    try:
        lab.hub.apply(
            secret("plain"),
            secret(
                "token",
                "kubernetes.io/service-account-token",
                annotations={"kubernetes.io/service-account.name": "robot"},
            ),
        )
        eventually(lambda: lab.member(1).get("secret", "plain", place))
        always(lambda: lab.member(1).get("secret", "token", place) is None, seconds=1.5)
        for number in (1, 2, 3):
            names = {
                one["metadata"]["name"]
                for one in lab.member(number).every("secrets")
                if "federation.dev/hub" in (one["metadata"].get("labels") or {})
            }
            assert names == {"plain"}, "not our own tokens, not kube-system's, not a service account's"
            maps = {
                (one["metadata"]["namespace"], one["metadata"]["name"])
                for one in lab.member(number).every("configmaps")
                if "federation.dev/hub" in (one["metadata"].get("labels") or {})
            }
            assert not [one for one in maps if one[1] == "kube-root-ca.crt" or one[0].startswith("kube-")]
    finally:
        lab.hub.delete("cpp", place)
    text = lab.process.log.read_text()
    assert "canary-" not in text
    assert base64.b64encode(b"canary-plain").decode() not in text


def test_policy_status_counts_what_is_claimed_placed_and_left_out(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("all", place, selector("ConfigMap", api="v1"), placement=on("member1")))
    lab.hub.apply(config_map("one", place), config_map("two", place))
    status = eventually(lambda: _counts(lab, place, 2), within=20)
    assert status["observedGeneration"] == 1
    assert status.get("leftOut", status.get("neverPropagated", 0)) == 1, "kube-root-ca.crt"


def _counts(lab: Lab, place: str, claimed: int) -> dict | None:
    status = (lab.hub.get("pp", "all", place) or {}).get("status") or {}
    return status if status.get("claimed") == claimed and status.get("placed") == claimed else None


def test_a_custom_kind_is_found_by_discovery_as_soon_as_a_policy_names_it(lab: Lab, place: str) -> None:
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "gadgets.claims.test"},
        "spec": {
            "group": "claims.test", "scope": "Namespaced",
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}],
        },
    }  # fmt: skip
    for cluster in (lab.hub, lab.member(1)):
        cluster.apply(crd)
        cluster.run("wait", "--for=condition=Established", "crd/gadgets.claims.test", "--timeout=20s")
    lab.fedctl("allow", "member1", "gadgets.claims.test", "--kubeconfig", str(lab.member(1).kubeconfig))
    try:
        lab.hub.apply(policy("gadgets", place, selector("Gadget", api="claims.test/v1"), placement=on("member1")))
        lab.hub.apply(
            {
                "apiVersion": "claims.test/v1",
                "kind": "Gadget",
                "metadata": {"name": "g", "namespace": place},
                "spec": {"size": 3},
            }
        )
        found = eventually(lambda: lab.member(1).get("gadgets", "g", place))
        assert found["spec"] == {"size": 3}
        lab.hub.delete("gadget", "g", place)
        eventually(lambda: lab.member(1).get("gadgets", "g", place) is None)
        eventually(lambda: not lab.hub.every("rb", place))
    finally:
        for cluster in (lab.hub, lab.member(1)):
            cluster.delete("crd", "gadgets.claims.test", wait=False)


def test_a_cluster_scoped_object_travels_under_a_cluster_policy(lab: Lab, place: str) -> None:
    lab.hub.apply(policy(place, None, selector("Namespace", f"{place}-ns", api="v1"), placement=on("member1")))
    lab.hub.apply({**namespace(f"{place}-ns"), "metadata": {"name": f"{place}-ns", "labels": {"team": "blue"}}})
    try:
        found = eventually(lambda: lab.member(1).get("namespace", f"{place}-ns"))
        assert found["metadata"]["labels"]["team"] == "blue"
        eventually(lambda: lab.hub.settled("Namespace", f"{place}-ns", None, group=""))
    finally:
        lab.hub.delete("namespace", f"{place}-ns", wait=False)
        eventually(lambda: lab.member(1).get("namespace", f"{place}-ns") is None)
        lab.hub.delete("cpp", place)
