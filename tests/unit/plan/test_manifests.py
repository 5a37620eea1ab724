"""What would be applied: read as Kubernetes reads it, checked as it would be, Karmada's own kinds read as ours."""

import json
from pathlib import Path

import pytest

from federation.plan.manifests import Given, ManifestError, given, parse, read

POLICY = """
apiVersion: federation.dev/v1alpha1
kind: PropagationPolicy
metadata: {name: web, namespace: shop}
spec:
  resourceSelectors: [{apiVersion: apps/v1, kind: Deployment}]
  placement: {clusterAffinity: {clusterNames: [member1]}}
"""


def taken(text: str) -> Given:
    return given(("a.yaml", one) for one in parse(text, "a.yaml"))


def karmada(**spec: object) -> str:
    selectors = [{"apiVersion": "apps/v1", "kind": "Deployment"}]
    return json.dumps({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"resourceSelectors": selectors, **spec},
    })  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "a.yaml"),
        ("just text", "lacks apiVersion or kind"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {}", "a ConfigMap lacks metadata.name"),
        ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization", "kustomize build DIR | fedctl plan -f -"),
        (POLICY.replace("clusterNames", "clusterName"), "spec.placement.clusterAffinity.clusterName"),
        (POLICY.replace("[member1]", "member1"), "spec.placement.clusterAffinity.clusterNames"),
        (POLICY.replace("v1alpha1", "v1beta9", 1), "apiVersion federation.dev/v1beta9 is not served"),
        (POLICY + "  schedulerName: other\n", "spec.schedulerName: not served yet"),
        (POLICY.replace("PropagationPolicy", "ResourceBinding"), "is not for users to apply"),
    ],
)
def test_what_cannot_be_applied_is_refused_by_file_object_and_field(text: str, said: str) -> None:
    with pytest.raises(ManifestError) as caught:
        taken(text)
    assert said in str(caught.value)
    assert "a.yaml" in str(caught.value)


def test_definitions_and_namespaces_come_first_and_lists_are_taken_apart() -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "w.test"}},
    ]})  # fmt: skip
    assert [one["kind"] for one in taken(text).objects] == ["CustomResourceDefinition", "Namespace", "ConfigMap"]


def test_a_date_is_a_text_as_for_kubernetes() -> None:
    (found,) = taken("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {day: 2026-01-02}").objects
    assert found["data"] == {"day": "2026-01-02"}


def test_karmadas_policies_are_read_as_ours_and_every_field_that_differs_is_named() -> None:
    found = taken(karmada(placement={"clusterAffinity": {"clusterNames": ["m1"]}, "novel": 1}, unheard={"of": 1}))
    (policy,) = found.objects
    assert policy["apiVersion"] == "federation.dev/v1alpha1"
    assert policy["spec"]["placement"] == {"clusterAffinity": {"clusterNames": ["m1"]}}
    assert "unheard" not in policy["spec"]
    assert [note.rpartition(": ")[0].rpartition(": ")[2] for note in found.notes[1:]] == [
        "spec.placement.novel is not known here", "spec.unheard is not known here",
    ]  # fmt: skip


def test_several_unknown_fields_of_one_list_are_all_left_out() -> None:
    selectors = [{"apiVersion": "v1", "kind": "Secret", "odd": 1}, {"apiVersion": "v1", "kind": "ConfigMap", "odd": 2}]
    text = karmada().replace('[{"apiVersion": "apps/v1", "kind": "Deployment"}]', json.dumps(selectors))
    (policy,) = taken(text).objects
    assert [sorted(one) for one in policy["spec"]["resourceSelectors"]] == [["apiVersion", "kind"]] * 2


def test_a_kind_of_karmadas_without_counterpart_is_left_out_and_named() -> None:
    text = "apiVersion: policy.karmada.io/v1alpha1\nkind: FederatedResourceQuota\nmetadata: {name: q}"
    found = taken(text)
    assert found.objects == ()
    assert "FederatedResourceQuota q has no counterpart here" in found.notes[0]


def test_a_directory_is_read_with_all_below_it_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "web.yml").write_text(POLICY)
    (tmp_path / "notes.txt").write_text("not: {read")
    assert len(read([str(tmp_path)]).objects) == 1
    with pytest.raises(ManifestError, match="there is no such file"):
        read([str(tmp_path / "none")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match="there are no"):
        read([str(tmp_path / "empty")])
