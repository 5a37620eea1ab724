"""What members get and keep: drift, fields that left, owners in the member, foreign objects, overrides, suspension."""

import json
import time

import pytest

from tests.e2e.lab import Cluster, Lab, always, eventually
from tests.e2e.manifests import Manifest, config_map, deployment, on, override, policy, selector, weights


def container(member: Cluster, name: str, place: str) -> Manifest:
    found = member.get("deployment", name, place)
    assert found is not None
    return found["spec"]["template"]["spec"]["containers"][0]


def data(member: Cluster, name: str, place: str) -> dict[str, str]:
    found = member.get("configmap", name, place)
    assert found is not None, f"{member.name} has no ConfigMap {name}"
    return found["data"]


def version(member: Cluster, kind: str, name: str, place: str) -> str:
    found = member.get(kind, name, place)
    assert found is not None
    return found["metadata"]["resourceVersion"]


def test_an_env_variable_removed_while_we_were_down_leaves_the_members(lab: Lab, place: str) -> None:
    env = [{"name": "KEEP", "value": "1"}, {"name": "DROP", "value": "2"}]
    lab.hub.apply(
        policy("web", place, selector(name="web"), placement=on("member1")), deployment("web", place, 1, env=env)
    )
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    lab.process.stop()
    lab.hub.apply(deployment("web", place, 1, env=env[:1]))
    lab.process.start()
    eventually(lambda: container(lab.member(1), "web", place)["env"] == env[:1])


def test_drift_is_repaired_and_what_the_member_added_stays(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy("app", place, selector("ConfigMap", "app", api="v1"), placement=on("member1")),
        config_map("app", place, a="1"),
    )
    eventually(lambda: data(lab.member(1), "app", place) == {"a": "1"})
    lab.member(1).patch("configmap", "app", place, {"data": {"a": "changed", "local": "kept"}})
    eventually(lambda: data(lab.member(1), "app", place) == {"a": "1", "local": "kept"})
    lab.member(1).delete("configmap", "app", place)
    eventually(lambda: data(lab.member(1), "app", place) == {"a": "1"})


def test_a_service_keeps_the_addresses_and_ports_that_each_cluster_gave_it(lab: Lab, place: str) -> None:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": place},
        "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }  # fmt: skip
    lab.hub.apply(
        policy("web", place, selector("Service", "web", api="v1"), placement=on("member1", "member2")), service
    )
    specs = [
        eventually(lambda number=number: lab.member(number).get("service", "web", place))["spec"] for number in (1, 2)
    ]
    versions = [version(lab.member(number), "service", "web", place) for number in (1, 2)]
    assert specs[0]["ports"][0]["nodePort"]
    assert specs[0]["clusterIP"] != specs[1]["clusterIP"]
    lab.process.restart()
    time.sleep(1.5)
    assert [version(lab.member(number), "service", "web", place) for number in (1, 2)] == versions, "nobody rewrote it"
    service["spec"]["ports"][0]["targetPort"] = 9090
    lab.hub.apply(service)
    for number, before in zip((1, 2), specs, strict=True):
        after = eventually(lambda number=number: _with_target(lab, number, place))["spec"]
        assert (after["clusterIP"], after["ports"][0]["nodePort"]) == (
            before["clusterIP"],
            before["ports"][0]["nodePort"],
        )


def _with_target(lab: Lab, number: int, place: str) -> Manifest | None:
    found = lab.member(number).get("service", "web", place)
    return found if found and found["spec"]["ports"][0]["targetPort"] == 9090 else None


def test_a_node_port_that_the_user_wrote_travels(lab: Lab, place: str) -> None:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": place},
        "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80, "nodePort": 31234}]},
    }  # fmt: skip
    lab.hub.apply(policy("web", place, selector("Service", "web", api="v1"), placement=on("member1")), service)
    found = eventually(lambda: lab.member(1).get("service", "web", place))
    assert found["spec"]["ports"][0]["nodePort"] == 31234


def test_a_claim_keeps_the_volume_that_its_cluster_bound_it_to(lab: Lab, place: str) -> None:
    volume = {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"pv-{place}"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"},
            "storageClassName": place, "claimRef": {"namespace": place, "name": "data"},
        },
    }  # fmt: skip
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": place},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": place, "resources": {"requests": {"storage": "1Gi"}}},
    }  # fmt: skip
    lab.member(1).apply(volume)
    try:
        lab.hub.apply(
            policy("data", place, selector("PersistentVolumeClaim", "data", api="v1"), placement=on("member1")), claim
        )
        bound = eventually(lambda: _bound(lab, place))
        lab.hub.run("label", "pvc", "data", "-n", place, "touched=yes")
        eventually(lambda: lab.member(1).get("pvc", "data", place)["metadata"]["labels"].get("touched") == "yes")
        assert lab.member(1).get("pvc", "data", place)["spec"]["volumeName"] == bound
        eventually(lambda: (lab.hub.get("pvc", "data", place)["status"] or {}).get("phase") == "Bound")
    finally:
        lab.hub.delete("pvc", "data", place, wait=False)
        lab.member(1).delete("pv", f"pv-{place}", wait=False)


def _bound(lab: Lab, place: str) -> str:
    found = lab.member(1).get("pvc", "data", place)
    return found["spec"].get("volumeName", "") if found and found["status"].get("phase") == "Bound" else ""


def test_a_mutating_admission_in_the_member_is_respected_and_not_fought(lab: Lab, place: str) -> None:
    rule = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": place},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place}},
                "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}],
            },
            "reinvocationPolicy": "Never",
            "mutations": [{
                "patchType": "ApplyConfiguration",
                "applyConfiguration": {"expression": 'Object{data: {"policy": "forced", "a": "mutated"}}'},
            }],
        },
    }  # fmt: skip
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": place},
        "spec": {"policyName": place},
    }  # fmt: skip
    lab.member(1).apply(rule, binding)
    time.sleep(1)
    try:
        lab.hub.apply(
            policy("app", place, selector("ConfigMap", "app", api="v1"), placement=on("member1")),
            config_map("app", place, a="1"),
        )
        eventually(lambda: data(lab.member(1), "app", place).get("policy") == "forced")
        eventually(lambda: lab.hub.settled("ConfigMap", "app", place, group=""))
        before = version(lab.member(1), "configmap", "app", place)
        always(lambda: version(lab.member(1), "configmap", "app", place) == before, seconds=2)
        assert data(lab.member(1), "app", place)["a"] == "mutated", "the member's admission has the last word"
        assert lab.hub.members("ConfigMap", "app", place, "")["member1"].get("kept"), (
            "and the binding remembers the residue"
        )
    finally:
        lab.member(1).delete("mutatingadmissionpolicybinding", place)
        lab.member(1).delete("mutatingadmissionpolicy", place)


def test_a_member_autoscaler_keeps_the_replicas_that_it_set(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy("web", place, selector(name="web"), placement=on("member1")),
        deployment("web", place, 2, resources={"requests": {"cpu": "100m"}}),
    )
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    hpa = {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web", "namespace": place},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 4,
            "maxReplicas": 6, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
        },
    }  # fmt: skip
    lab.member(1).apply(hpa)
    eventually(lambda: lab.member(1).get("deployment", "web", place)["spec"]["replicas"] == 4)
    lab.hub.run("set", "image", "deployment/web", "-n", place, "app=registry.test/app:2")
    eventually(lambda: container(lab.member(1), "web", place)["image"] == "registry.test/app:2")
    always(lambda: lab.member(1).get("deployment", "web", place)["spec"]["replicas"] == 4, seconds=2)


def test_a_person_who_scales_a_copy_by_hand_is_drift(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("web", place, selector(name="web"), placement=on("member1")), deployment("web", place, 2))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    lab.member(1).scale("web", place, 5)
    eventually(lambda: lab.member(1).get("deployment", "web", place)["spec"]["replicas"] == 2)


def test_somebody_who_keeps_rewriting_a_field_is_named_and_not_fought(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy("app", place, selector("ConfigMap", "app", api="v1"), placement=on("member1")),
        config_map("app", place, a="1"),
    )
    eventually(lambda: data(lab.member(1), "app", place) == {"a": "1"})
    for attempt in range(6):
        lab.member(1).run(
            "patch",
            "configmap",
            "app",
            "-n",
            place,
            "--field-manager=rival",
            "--type=merge",
            "-p",
            json.dumps({"data": {"a": f"rival-{attempt}"}}),
        )
        time.sleep(0.4)
    line = eventually(lambda: _contested(lab, place))
    assert "rival" in line["error"]
    assert "data.a" in line["error"]


def test_a_user_who_changes_the_template_often_is_no_rival(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("app", place, selector("ConfigMap", "app", api="v1"), placement=on("member1", "member2")))
    for attempt in range(8):
        lab.hub.apply(config_map("app", place, a=str(attempt)))
        for number in (1, 2):
            eventually(lambda n=number, a=attempt: data(lab.member(n), "app", place) == {"a": str(a)}, within=5)
    eventually(lambda: lab.hub.settled("ConfigMap", "app", place, group=""))


def _contested(lab: Lab, place: str) -> dict[str, str] | None:
    line = lab.hub.members("ConfigMap", "app", place, "").get("member1", {})
    return line if line.get("reason") == "Contested" else None


def test_a_foreign_object_is_refused_by_name_and_taken_over_only_when_told(lab: Lab, place: str) -> None:
    lab.member(1).apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}}, config_map("app", place, theirs="yes")
    )
    chosen = selector("ConfigMap", "app", api="v1")
    lab.hub.apply(
        policy("app", place, chosen, placement=on("member1", "member2")), config_map("app", place, ours="yes")
    )
    eventually(lambda: data(lab.member(2), "app", place) == {"ours": "yes"})
    line = eventually(lambda: _refused(lab, place))
    assert f"ConfigMap {place}/app exists and it is not ours" in line["error"]
    assert data(lab.member(1), "app", place) == {"theirs": "yes"}
    applied = lab.hub.condition("ConfigMap", "app", place, "FullyApplied", group="")
    assert applied["reason"] == "AlreadyExists"
    assert "member1" in applied["message"]
    lab.hub.apply(policy("app", place, chosen, placement=on("member1", "member2"), conflictResolution="Overwrite"))
    eventually(lambda: data(lab.member(1), "app", place) == {"theirs": "yes", "ours": "yes"}, within=60)


def _refused(lab: Lab, place: str) -> dict[str, str] | None:
    line = lab.hub.members("ConfigMap", "app", place, "").get("member1", {})
    return line if line.get("reason") == "AlreadyExists" else None


def test_all_seven_kinds_of_overriders_in_their_order(lab: Lab, place: str) -> None:
    rule = {
        "targetCluster": {"clusterNames": ["member1"]},
        "overriders": {
            "imageOverrider": [{"component": "Registry", "operator": "replace", "value": "eu.test"}],
            "commandOverrider": [{"containerName": "app", "operator": "add", "value": ["--eu"]}],
            "argsOverrider": [{"containerName": "app", "operator": "add", "value": ["-v"]}],
            "labelsOverrider": [{"operator": "add", "value": {"where": "eu"}}],
            "annotationsOverrider": [{"operator": "add", "value": {"note": "eu"}}],
            "plaintext": [{"path": "/spec/minReadySeconds", "operator": "add", "value": 1}],
        },
    }  # fmt: skip
    embedded = {
        "targetCluster": {"clusterNames": ["member1"]},
        "overriders": {
            "fieldOverrider": [{"fieldPath": "/data/config.yaml", "yaml": [{"subPath": "/level", "operator": "replace", "value": "debug"}]}],
        },
    }  # fmt: skip
    lab.hub.apply(
        override("all", place, rule, selectors=[selector(name="web")]),
        override("field", place, embedded, selectors=[selector("ConfigMap", "app", api="v1")]),
        policy(
            "web",
            place,
            selector(name="web"),
            selector("ConfigMap", "app", api="v1"),
            placement=on("member1", "member2"),
        ),
        deployment("web", place, 1, command=["run"], args=["x"]),
        config_map("app", place, **{"config.yaml": "level: info\nother: 1\n"}),
    )
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    there, plain = lab.member(1).get("deployment", "web", place), lab.member(2).get("deployment", "web", place)
    app = there["spec"]["template"]["spec"]["containers"][0]
    assert (app["image"], app["command"], app["args"]) == ("eu.test/app:1", ["run", "--eu"], ["x", "-v"])
    assert there["metadata"]["labels"]["where"] == there["metadata"]["annotations"]["note"] == "eu"
    assert there["spec"]["minReadySeconds"] == 1
    assert plain["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.test/app:1"
    eventually(lambda: "level: debug" in data(lab.member(1), "app", place)["config.yaml"])
    assert "level: info" in data(lab.member(2), "app", place)["config.yaml"]


def test_a_new_override_reaches_what_is_placed_and_leaves_with_its_policy(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("web", place, selector(name="web"), placement=on("member1")), deployment("web", place, 1))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    rule = {"overriders": {"imageOverrider": [{"component": "Tag", "operator": "replace", "value": "9"}]}}
    lab.hub.apply(override("tag", place, rule, selectors=[selector(name="web")]))
    eventually(lambda: container(lab.member(1), "web", place)["image"] == "registry.test/app:9")
    lab.hub.delete("op", "tag", place)
    eventually(lambda: container(lab.member(1), "web", place)["image"] == "registry.test/app:1")


def test_preserve_resources_on_deletion_leaves_the_copies_unmarked(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy(
            "app",
            place,
            selector("ConfigMap", "app", api="v1"),
            placement=on("member1"),
            preserveResourcesOnDeletion=True,
        ),
        config_map("app", place),
    )
    eventually(lambda: lab.hub.settled("ConfigMap", "app", place, group=""))
    lab.hub.delete("configmap", "app", place)
    eventually(lambda: lab.hub.binding("ConfigMap", "app", place, group="") is None)
    kept = lab.member(1).get("configmap", "app", place)
    assert kept is not None
    assert not [key for key in (kept["metadata"].get("labels") or {}) if key.startswith("federation.dev/")]
    assert not [key for key in (kept["metadata"].get("annotations") or {}) if key.startswith("federation.dev/")]


@pytest.mark.parametrize(
    ("suspension", "changed"),
    [({"dispatching": True}, set()), ({"dispatchingOnClusters": {"clusterNames": ["member1"]}}, {2})],
    ids=["everywhere", "on one cluster"],
)
def test_suspension_stops_sending(lab: Lab, place: str, suspension: Manifest, changed: set[int]) -> None:
    chosen = selector("ConfigMap", "app", api="v1")
    lab.hub.apply(policy("app", place, chosen, placement=on("member1", "member2")), config_map("app", place, a="1"))
    eventually(lambda: lab.hub.settled("ConfigMap", "app", place, group=""))
    lab.hub.apply(policy("app", place, chosen, placement=on("member1", "member2"), suspension=suspension))
    eventually(
        lambda: "Suspended" in {line.get("reason") for line in lab.hub.members("ConfigMap", "app", place, "").values()}
    )
    lab.hub.apply(config_map("app", place, a="2"))
    for number in (1, 2):
        if number in changed:
            eventually(lambda number=number: data(lab.member(number), "app", place) == {"a": "2"})
        else:
            always(lambda number=number: data(lab.member(number), "app", place) == {"a": "1"}, seconds=1)
    lab.hub.apply(policy("app", place, chosen, placement=on("member1", "member2")))
    lab.hub.patch("pp", "app", place, {"spec": {"suspension": None}})
    for number in (1, 2):
        eventually(lambda number=number: data(lab.member(number), "app", place) == {"a": "2"})


def test_a_job_divides_parallelism_and_completions(lab: Lab, place: str) -> None:
    job = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "sum", "namespace": place},
        "spec": {
            "parallelism": 3, "completions": 6, "ttlSecondsAfterFinished": 3600,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "registry.test/app:1"}]}},
        },
    }  # fmt: skip
    lab.hub.apply(
        policy(
            "sum",
            place,
            selector("Job", "sum", api="batch/v1"),
            placement=on("member1", "member2") | weights(member1=1, member2=2),
        ),
        job,
    )
    eventually(lambda: lab.hub.settled("Job", "sum", place, group="batch"))
    specs = {number: lab.member(number).get("job", "sum", place)["spec"] for number in (1, 2)}
    assert {number: (spec["parallelism"], spec["completions"]) for number, spec in specs.items()} == {
        1: (1, 2),
        2: (2, 4),
    }
    assert "ttlSecondsAfterFinished" not in specs[1], "the hub alone ends finished Jobs by time"
    lab.hub.run("wait", "--for=condition=complete", "job/sum", "-n", place, "--timeout=20s")


def test_tracking_metadata_of_other_tools_does_not_travel(lab: Lab, place: str) -> None:
    manifest = config_map("app", place)
    manifest["metadata"]["annotations"] = {
        "argocd.argoproj.io/tracking-id": "x",
        "meta.helm.sh/release-name": "y",
        "keep": "me",
    }
    manifest["metadata"]["labels"] = {
        "app.kubernetes.io/managed-by": "Helm",
        "kustomize.toolkit.fluxcd.io/name": "z",
        "app": "kept",
    }
    lab.hub.apply(policy("app", place, selector("ConfigMap", "app", api="v1"), placement=on("member1")), manifest)
    found = eventually(lambda: lab.member(1).get("configmap", "app", place))["metadata"]
    ours = {key for key in {**found["annotations"], **found["labels"]} if not key.startswith("federation.dev/")}
    assert ours == {"keep", "app"}
