"""The template's own status for each kind, judged by kubectl and by the real rules of Argo CD and kstatus."""

from typing import Any

import pytest

from hack.lab.judge import judge
from tests.e2e.lab import Lab, always, eventually
from tests.e2e.manifests import Manifest, deployment, namespace, on, policy, selector, weights

HEALTHY = ("Healthy", "Current")


def verdict(lab: Lab, kind: str, name: str, place: str) -> tuple[str, str]:
    """(Argo CD, kstatus) about the template as it is now."""
    found = lab.hub.get(kind, name, place)
    assert found is not None
    answer = judge(found)[0]
    return answer["argo"]["status"], answer["kstatus"]["status"]


def run(lab: Lab, place: str, manifest: Manifest, *, placement: Manifest | None = None) -> None:
    """Apply a template with a policy that names it."""
    chosen = selector(manifest["kind"], manifest["metadata"]["name"], api=manifest["apiVersion"])
    lab.hub.apply(policy("p", place, chosen, placement=placement or on("member1", "member2")), manifest)


def workload(kind: str, place: str, image: str = "registry.test/app:1", **spec: Any) -> Manifest:
    labels = {"app": "x"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}}
    return {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "x", "namespace": place},
        "spec": {"selector": {"matchLabels": labels}, "template": pod, **spec},
    }  # fmt: skip


BAD = "registry.test/does-not-exist:1"
WORKLOADS = {
    "StatefulSet": {"replicas": 2, "serviceName": "x"},
    "DaemonSet": {},
    "ReplicaSet": {"replicas": 2},
}


def test_a_deployment_is_healthy_progressing_failing_and_healthy_again(lab: Lab, place: str) -> None:
    run(lab, place, deployment("x", place, 4), placement=on("member1", "member2") | weights(member1=1, member2=1))
    eventually(lambda: verdict(lab, "deployment", "x", place) == HEALTHY)
    lab.hub.run("wait", "--for=condition=Available", "deployment/x", "-n", place, "--timeout=10s")
    lab.hub.run("set", "image", "deployment/x", "-n", place, f"app={BAD}")
    eventually(lambda: verdict(lab, "deployment", "x", place) == ("Progressing", "InProgress"))
    eventually(lambda: verdict(lab, "deployment", "x", place) == ("Degraded", "Failed"))
    said = lab.hub.run("rollout", "status", "deployment/x", "-n", place, "--timeout=10s", fails=True)
    assert "exceeded its progress deadline" in said
    progressing = next(
        one for one in lab.hub.get("deployment", "x", place)["status"]["conditions"] if one["type"] == "Progressing"
    )
    assert "no progress in member" in progressing["message"]
    lab.hub.run("set", "image", "deployment/x", "-n", place, "app=registry.test/app:2")
    lab.hub.run("rollout", "status", "deployment/x", "-n", place, "--timeout=30s")
    eventually(lambda: verdict(lab, "deployment", "x", place) == HEALTHY)


@pytest.mark.parametrize("kind", WORKLOADS)
def test_other_workloads_are_healthy_and_then_wait_for_a_bad_image(lab: Lab, place: str, kind: str) -> None:
    run(lab, place, workload(kind, place, **WORKLOADS[kind]))
    eventually(lambda: verdict(lab, kind, "x", place) == HEALTHY)
    if kind != "ReplicaSet":
        lab.hub.run("rollout", "status", f"{kind}/x", "-n", place, "--timeout=20s")
        lab.hub.run("set", "image", f"{kind}/x", "-n", place, f"app={BAD}")
        eventually(lambda: verdict(lab, kind, "x", place)[1] == "InProgress")
        always(lambda: verdict(lab, kind, "x", place)[1] == "InProgress", seconds=1)


def test_observed_generation_moves_only_when_every_target_caught_up(lab: Lab, place: str) -> None:
    run(lab, place, deployment("x", place, 1))
    eventually(lambda: lab.hub.settled("Deployment", "x", place))
    lab.hub.patch("pp", "p", place, {"spec": {"suspension": {"dispatchingOnClusters": {"clusterNames": ["member2"]}}}})
    eventually(lambda: lab.hub.members("Deployment", "x", place)["member2"].get("reason") == "Suspended")
    lab.hub.run("set", "image", "deployment/x", "-n", place, "app=registry.test/app:2")
    eventually(
        lambda: (
            lab.member(1)
            .get("deployment", "x", place)["spec"]["template"]["spec"]["containers"][0]["image"]
            .endswith(":2")
        )
    )
    always(lambda: _generations(lab, place)[0] < _generations(lab, place)[1], seconds=1)
    lab.hub.patch("pp", "p", place, {"spec": {"suspension": None}})
    eventually(lambda: _generations(lab, place)[0] == _generations(lab, place)[1])


def _generations(lab: Lab, place: str) -> tuple[int, int]:
    found = lab.hub.get("deployment", "x", place)
    return found["status"].get("observedGeneration", 0), found["metadata"]["generation"]


def progressing(lab: Lab, place: str) -> Manifest:
    conditions = lab.hub.get("deployment", "x", place)["status"].get("conditions") or []
    return next((one for one in conditions if one["type"] == "Progressing"), {})


def test_a_member_that_refuses_past_the_deadline_fails_the_rollout_by_name_until_it_takes_it(
    lab: Lab, place: str
) -> None:
    lab.member(2).apply(namespace(place), deployment("x", place, 1))
    run(lab, place, deployment("x", place, 2))
    eventually(lambda: verdict(lab, "deployment", "x", place) == ("Degraded", "Failed"))
    said = lab.hub.run("rollout", "status", "deployment/x", "-n", place, "--timeout=10s", fails=True)
    assert "exceeded its progress deadline" in said
    assert progressing(lab, place)["message"].startswith("no progress in member2 (AlreadyExists since ")
    lab.member(2).delete("deployment", "x", place)
    eventually(lambda: verdict(lab, "deployment", "x", place) == HEALTHY, within=60)
    lab.hub.run("rollout", "status", "deployment/x", "-n", place, "--timeout=10s")


def test_a_member_that_stays_away_fails_what_was_healthy_and_its_numbers_are_kept_and_called_stale(
    lab: Lab, place: str
) -> None:
    run(lab, place, deployment("x", place, 2))
    eventually(lambda: verdict(lab, "deployment", "x", place) == HEALTHY)
    member = lab.clusters.cluster("member2")
    member.freeze()
    try:
        eventually(lambda: "its numbers are stale" in progressing(lab, place)["message"])
        assert "member2 2/2 stale (Unreachable)" in lab.fedctl("get", "bindings", "-n", place)
        eventually(lambda: verdict(lab, "deployment", "x", place) == ("Degraded", "Failed"))
        assert "no progress in member2 (Unreachable since" in progressing(lab, place)["message"]
        assert lab.hub.get("deployment", "x", place)["status"]["readyReplicas"] == 2
    finally:
        member.thaw()
    eventually(lambda: verdict(lab, "deployment", "x", place) == HEALTHY)


ZEROS = {
    "StatefulSet": ("replicas",), "ReplicaSet": ("replicas",),
    "DaemonSet": ("currentNumberScheduled", "desiredNumberScheduled", "numberReady", "numberMisscheduled"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WORKLOADS)
def test_other_workloads_may_be_stalled_and_kstatus_reads_it(lab: Lab, place: str, kind: str) -> None:
    """The API server takes what a deadline of 600 s would bring (too long to wait for here), and kstatus judges by it."""
    lab.hub.apply(workload(kind, place, **WORKLOADS[kind]))
    for word, judged in (("Stalled", "Failed"), ("Reconciling", "InProgress")):
        entry = {"type": word, "status": "True", "reason": "ProgressDeadlineExceeded", "message": "no progress"}
        status = {"observedGeneration": 1, "conditions": [entry], **dict.fromkeys(ZEROS[kind], 0)}
        lab.hub.patch(kind, "x", place, {"status": status}, subresource="status")
        assert verdict(lab, kind, "x", place)[1] == judged


def job(place: str, image: str = "registry.test/app:1", **spec: Any) -> Manifest:
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x", "namespace": place},
        "spec": {
            "backoffLimit": 0,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": image}]}}, **spec,
        },
    }  # fmt: skip


def test_a_job_completes_when_it_did_everywhere(lab: Lab, place: str) -> None:
    run(lab, place, job(place))
    lab.hub.run("wait", "--for=condition=complete", "job/x", "-n", place, "--timeout=30s")
    assert verdict(lab, "job", "x", place) == HEALTHY


def test_a_job_that_fails_somewhere_fails_and_names_the_cluster(lab: Lab, place: str) -> None:
    run(lab, place, job(place, "registry.test/exit-1:1"))
    lab.hub.run("wait", "--for=condition=failed", "job/x", "-n", place, "--timeout=30s")
    assert verdict(lab, "job", "x", place) == ("Degraded", "Failed")
    failed = next(one for one in lab.hub.get("job", "x", place)["status"]["conditions"] if one["type"] == "Failed")
    assert "member1" in failed["message"]


def test_a_job_whose_pod_cannot_start_is_in_progress(lab: Lab, place: str) -> None:
    run(lab, place, job(place, BAD))
    eventually(lambda: (lab.hub.get("job", "x", place)["status"] or {}).get("active"))
    assert verdict(lab, "job", "x", place)[0] == "Progressing"


def test_a_cron_job_shows_when_it_ran_last(lab: Lab, place: str) -> None:
    pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "registry.test/app:1"}]}}
    manifest = {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "x", "namespace": place},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": pod}}},
    }  # fmt: skip
    run(lab, place, manifest)
    eventually(lambda: lab.hub.settled("CronJob", "x", place, group="batch"))
    lab.member(1).patch(
        "cronjob", "x", place, {"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}}, subresource="status"
    )
    eventually(lambda: (lab.hub.get("cronjob", "x", place).get("status") or {}).get("lastScheduleTime"))
    assert verdict(lab, "cronjob", "x", place)[1] == "Current"


def test_a_pod_runs_and_a_bad_image_is_told(lab: Lab, place: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", "namespace": place},
        "spec": {"containers": [{"name": "app", "image": "registry.test/app:1"}]},
    }
    run(lab, place, pod)
    lab.hub.run("wait", "--for=condition=Ready", "pod/x", "-n", place, "--timeout=30s")
    assert verdict(lab, "pod", "x", place) == HEALTHY
    broken = {
        **pod,
        "metadata": {"name": "y", "namespace": place},
        "spec": {"containers": [{"name": "app", "image": BAD}]},
    }
    lab.hub.apply(policy("q", place, selector("Pod", "y", api="v1"), placement=on("member1")), broken)
    eventually(lambda: verdict(lab, "pod", "y", place)[0] == "Degraded")


def test_a_load_balancer_waits_for_its_addresses_and_shows_all(lab: Lab, place: str) -> None:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": place},
        "spec": {"type": "LoadBalancer", "selector": {"app": "x"}, "ports": [{"port": 80}]},
    }  # fmt: skip
    run(lab, place, service)
    eventually(lambda: lab.member(2).get("service", "x", place))
    assert verdict(lab, "service", "x", place)[0] == "Progressing"
    for number in (1, 2):
        lab.member(number).patch(
            "service",
            "x",
            place,
            {"status": {"loadBalancer": {"ingress": [{"ip": f"10.0.0.{number}"}]}}},
            subresource="status",
        )
    eventually(
        lambda: (
            [one["ip"] for one in lab.hub.get("service", "x", place)["status"]["loadBalancer"].get("ingress", [])]
            == ["10.0.0.1", "10.0.0.2"]
        )
    )
    assert verdict(lab, "service", "x", place) == HEALTHY


def test_an_ingress_shows_the_addresses_of_all_members(lab: Lab, place: str) -> None:
    ingress = {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "x", "namespace": place},
        "spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 80}}}},
    }  # fmt: skip
    run(lab, place, ingress)
    eventually(lambda: lab.member(2).get("ingress", "x", place))
    for number in (1, 2):
        lab.member(number).patch(
            "ingress",
            "x",
            place,
            {"status": {"loadBalancer": {"ingress": [{"hostname": f"lb{number}.test"}]}}},
            subresource="status",
        )
    eventually(
        lambda: (
            [one["hostname"] for one in lab.hub.get("ingress", "x", place)["status"]["loadBalancer"].get("ingress", [])]
            == ["lb1.test", "lb2.test"]
        )
    )
    assert verdict(lab, "ingress", "x", place) == HEALTHY


def test_a_claim_waits_until_every_member_bound_it_and_is_lost_with_its_volume(lab: Lab, place: str) -> None:
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "x", "namespace": place},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": place, "resources": {"requests": {"storage": "1Gi"}}},
    }  # fmt: skip
    volume = {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"pv-{place}"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"},
            "storageClassName": place, "claimRef": {"namespace": place, "name": "x"},
        },
    }  # fmt: skip
    run(lab, place, claim)
    try:
        eventually(lambda: verdict(lab, "pvc", "x", place) == ("Progressing", "InProgress"))
        eventually(lambda: set(_healths(lab, place)) == {"member1", "member2"})
        lab.member(1).apply(volume)
        eventually(lambda: _healths(lab, place).get("member1") == "Healthy")
        assert verdict(lab, "pvc", "x", place) == ("Progressing", "InProgress"), "member2 has not bound it"
        lab.member(2).apply(volume)
        eventually(lambda: verdict(lab, "pvc", "x", place) == HEALTHY)
        lab.hub.run("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/x", "-n", place, "--timeout=10s")
        lab.member(2).delete("pv", f"pv-{place}", wait=False)
        lab.member(2).patch("pv", f"pv-{place}", None, {"metadata": {"finalizers": None}})
        eventually(lambda: verdict(lab, "pvc", "x", place)[0] == "Degraded")
    finally:
        lab.hub.delete("pvc", "x", place, wait=False)
        for number in (1, 2):
            lab.member(number).run("delete", "pv", f"pv-{place}", "--ignore-not-found", "--wait=false")


def _healths(lab: Lab, place: str) -> dict[str, str]:
    lines = lab.hub.members("PersistentVolumeClaim", "x", place, "")
    return {cluster: line.get("health", "") for cluster, line in lines.items()}


def test_a_disruption_budget_sums_its_members(lab: Lab, place: str) -> None:
    budget = {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "x", "namespace": place},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "w"}}},
    }  # fmt: skip
    lab.hub.apply(policy("w", place, selector(name="w"), placement=on("member1", "member2")), deployment("w", place, 2))
    run(lab, place, budget)
    eventually(lambda: lab.hub.get("pdb", "x", place)["status"].get("currentHealthy") == 4)
    status = lab.hub.get("pdb", "x", place)["status"]
    assert (status["desiredHealthy"], status["expectedPods"], status["disruptionsAllowed"]) == (2, 4, 2)
    eventually(lambda: verdict(lab, "pdb", "x", place)[1] == "Current")


def test_an_autoscaler_shows_the_conditions_of_its_members(lab: Lab, place: str) -> None:
    scaler = {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "x", "namespace": place},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "absent"}, "minReplicas": 1, "maxReplicas": 2,
        },
    }  # fmt: skip
    run(lab, place, scaler)
    found = eventually(lambda: (lab.hub.get("hpa", "x", place).get("status") or {}).get("conditions"))
    assert {one["type"]: one["status"] for one in found}["AbleToScale"] == "False", "the member cannot find the target"
    assert verdict(lab, "hpa", "x", place)[0] == "Degraded"
    # A workload scaled to zero needs no metrics, which the members do not have.
    lab.hub.apply(
        policy("w", place, selector(name="absent"), placement=on("member1", "member2")), deployment("absent", place, 0)
    )
    eventually(lambda: verdict(lab, "hpa", "x", place)[0] == "Healthy")


def test_any_other_kind_shows_conditions_and_phase(lab: Lab, place: str) -> None:
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.collect.test"},
        "spec": {
            "group": "collect.test", "scope": "Namespaced", "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
            "versions": [{
                "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }],
        },
    }  # fmt: skip
    for cluster in (lab.hub, lab.member(1)):
        cluster.apply(crd)
        cluster.run("wait", "--for=condition=Established", "crd/things.collect.test", "--timeout=20s")
    lab.fedctl("allow", "member1", "things.collect.test", "--kubeconfig", str(lab.member(1).kubeconfig))
    try:
        thing = {
            "apiVersion": "collect.test/v1",
            "kind": "Thing",
            "metadata": {"name": "x", "namespace": place},
            "spec": {"a": 1},
        }
        run(lab, place, thing, placement=on("member1"))
        eventually(lambda: lab.member(1).get("things", "x", place))
        ready = {"type": "Ready", "status": "True", "reason": "Fine", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        lab.member(1).patch(
            "things",
            "x",
            place,
            {"status": {"observedGeneration": 1, "phase": "Active", "conditions": [ready]}},
            subresource="status",
        )
        status = eventually(lambda: lab.hub.get("things", "x", place).get("status"))
        assert (status["phase"], status["conditions"][0]["status"]) == ("Active", "True")
        eventually(lambda: lab.hub.get("things", "x", place)["status"].get("observedGeneration") == 1)
        assert verdict(lab, "things", "x", place)[1] == "Current"
    finally:
        lab.hub.delete("thing", "x", place)
        eventually(lambda: not lab.hub.every("rb", place))
        for cluster in (lab.hub, lab.member(1)):
            cluster.delete("crd", "things.collect.test", wait=False)
