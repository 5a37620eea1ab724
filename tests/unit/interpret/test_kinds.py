"""What kinds mean: replicas, requirements, facts, aggregated status, pruning, retaining."""

from typing import Any

import pytest

from federation.interpret import aggregate, facts_of, prune, replicas_of, requirements_of, retain, set_share, summary_of

NOW = "2026-01-01T00:00:00Z"
Manifest = dict[str, Any]


def deployment(replicas: int | None = 2, /, **status: Any) -> Manifest:
    spec: Manifest = {"template": {"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "100m"}}}]}}}
    if replicas is not None:
        spec["replicas"] = replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "s", "generation": 3},
        "spec": spec,
        "status": status,
    }


@pytest.mark.parametrize(
    ("manifest", "wanted"),
    [
        (deployment(5), 5),
        (deployment(None), 1),
        ({"apiVersion": "batch/v1", "kind": "Job", "spec": {"parallelism": 5, "completions": 3}}, 3),
        ({"apiVersion": "v1", "kind": "Pod", "spec": {}}, 1),
        ({"apiVersion": "v1", "kind": "ConfigMap"}, None),
        ({"apiVersion": "other.io/v1", "kind": "Job", "spec": {"parallelism": 5}}, None),
    ],
    ids=[
        "a Deployment",
        "the default",
        "a Job by the smaller number",
        "a Pod",
        "no replicas",
        "a Job of another group is no Job",
    ],
)
def test_replicas_by_group_and_kind(manifest: Manifest, wanted: int | None) -> None:
    assert replicas_of(manifest) == wanted


def test_requests_sum_what_runs_together_and_take_the_peak_of_what_runs_before() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {
        "containers": [{"resources": {"requests": {"cpu": "1"}}}, {"resources": {"limits": {"cpu": "500m"}}}],
        "initContainers": [
            {"resources": {"requests": {"cpu": "4"}}},
            {"restartPolicy": "Always", "resources": {"requests": {"cpu": "250m"}}},
            {"resources": {"requests": {"cpu": "1"}}},
        ],
        "overhead": {"cpu": "10m"},
    }}  # fmt: skip
    found = requirements_of(pod)
    assert found is not None
    assert found.resource_request == {"cpu": "4010m"}


def test_a_share_is_written_into_a_copy() -> None:
    template = deployment(6)
    assert set_share(template, replicas=2)["spec"]["replicas"] == 2
    assert template["spec"]["replicas"] == 6


HEALTH = {
    "rolled out": (
        {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2},
        "Healthy",
    ),
    "its controller has not looked yet": (
        {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2},
        "Progressing",
    ),
    "old pods are still there": (
        {"observedGeneration": 3, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 3, "availableReplicas": 3},
        "Progressing",
    ),
    "its deadline passed": (
        {
            "observedGeneration": 3,
            "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}],
        },
        "Unhealthy",
    ),
}


@pytest.mark.parametrize("name", HEALTH)
def test_health_of_a_deployment(name: str) -> None:
    status, wanted = HEALTH[name]
    assert facts_of(deployment(2, **status))["health"] == wanted


def test_a_status_of_an_unexpected_shape_is_unknown_and_never_an_exception() -> None:
    assert facts_of(deployment(2, updatedReplicas="many"))["health"] == "Unknown"


def test_the_summary_is_ready_of_wanted_or_the_health() -> None:
    assert summary_of({"ready": "1", "wanted": "2"}) == "1/2"
    assert summary_of({"health": "Healthy"}) == "Healthy"


def good(replicas: int) -> dict[str, str]:
    count = str(replicas)
    return {
        "health": "Healthy", "generation": "1/1", "wanted": count, "replicas": count, "updated": count, "ready": count,
        "available": count, "cond.Available": "True/Min", "cond.Progressing": "True/NewReplicaSetAvailable",
    }  # fmt: skip


def test_divided_members_sum_up_and_the_generation_moves_when_all_caught_up() -> None:
    status = aggregate(deployment(3), {"m1": good(1), "m2": good(2)}, caught_up=True, now=NOW)
    assert status is not None
    assert (status["replicas"], status["readyReplicas"], status["observedGeneration"]) == (3, 3, 3)
    assert {one["type"]: one["status"] for one in status["conditions"]} == {"Available": "True", "Progressing": "True"}


def test_until_then_the_generation_stays_where_it_was() -> None:
    status = aggregate(deployment(3, observedGeneration=2), {"m1": good(1)}, caught_up=False, now=NOW)
    assert status is not None
    assert status["observedGeneration"] == 2


def test_duplicated_members_show_the_slowest_one() -> None:
    slow = {**good(2), "ready": "0", "available": "0", "health": "Progressing", "cond.Available": "False/x"}
    status = aggregate(deployment(2), {"m1": good(2), "m2": slow}, caught_up=True, now=NOW, divided=False)
    assert status is not None
    assert status["replicas"] == 2
    assert "readyReplicas" not in status


def test_an_equal_status_is_equal_whenever_it_is_made() -> None:
    first = aggregate(deployment(1), {"m1": good(1)}, caught_up=True, now=NOW)
    assert first is not None
    assert aggregate(deployment(1, **first), {"m1": good(1)}, caught_up=True, now="2026-02-02T00:00:00Z") == first


JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {}}
DONE = {
    "health": "Healthy",
    "state": "Complete",
    "succeeded": "2",
    "start": "2026-01-01T00:00:00Z",
    "completion": "2026-01-01T00:01:00Z",
}
FAILED = {"health": "Unhealthy", "state": "Failed", "failed": "1", "start": "2026-01-01T00:00:05Z"}


def kinds(status: Manifest) -> set[str]:
    return {one["type"] for one in status.get("conditions") or ()}


def test_a_job_is_complete_when_all_are_and_failed_when_one_is() -> None:
    complete = aggregate(JOB, {"m1": DONE, "m2": DONE}, caught_up=True, now=NOW)
    assert complete is not None
    assert kinds(complete) == {"SuccessCriteriaMet", "Complete"}
    assert complete["succeeded"] == 4
    waiting = aggregate(JOB, {"m1": DONE, "m2": None}, caught_up=False, now=NOW)
    assert waiting is not None
    assert kinds(waiting) == set()
    failed = aggregate(JOB, {"m1": DONE, "m2": FAILED}, caught_up=True, now=NOW)
    assert failed is not None
    assert kinds(failed) == {"FailureTarget", "Failed"}
    assert "m2" in failed["conditions"][0]["message"]
    assert aggregate({**JOB, "status": failed}, {"m1": DONE, "m2": DONE}, caught_up=True, now=NOW) == failed, (
        "finished stays"
    )


def test_kinds_without_a_status_have_nothing_to_aggregate() -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    assert aggregate(config, {"m1": {"health": "Healthy"}}, caught_up=True, now=NOW) is None


def test_pruning_takes_what_the_hub_added() -> None:
    service = {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "s", "uid": "u", "resourceVersion": "5", "ownerReferences": [{}], "finalizers": ["f"],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"},
            "managedFields": [{"fieldsV1": {"f:spec": {"f:ports": {'k:{"port":81,"protocol":"TCP"}': {"f:nodePort": {}}}}}}],
        },
        "spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80, "nodePort": 30000}, {"port": 81, "nodePort": 30001}]},
        "status": {"loadBalancer": {}},
    }  # fmt: skip
    assert prune(service) == {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "annotations": {"mine": "1"}},
        "spec": {"ports": [{"port": 80}, {"port": 81, "nodePort": 30001}]},
    }  # fmt: skip


def test_a_headless_service_stays_headless() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"clusterIP": "None"}}
    assert prune(service)["spec"]["clusterIP"] == "None"


def scaled_by(manager: str) -> Manifest:
    entry = {
        "manager": manager,
        "operation": "Update",
        "subresource": "scale",
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }
    return {"metadata": {"managedFields": [entry]}}


def test_replicas_give_way_to_an_autoscaler_and_not_to_a_person() -> None:
    assert "replicas" not in retain(deployment(2), scaled_by("kube-controller-manager"))["spec"]
    assert retain(deployment(2), scaled_by("kubectl"))["spec"]["replicas"] == 2


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"), ("apiregistration.k8s.io/v1", "APIService"),
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"), ("v1", "Namespace"),
    ],
)  # fmt: skip
def test_the_status_of_what_acts_on_its_api_server_stays_the_hubs_own(api_version: str, kind: str) -> None:
    template = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "generation": 1}}
    facts = {"phase": "Terminating", "cond.Established": "False/Installing", "generation": "1/1"}
    assert aggregate(template, {"m1": facts}, caught_up=True, now=NOW) is None
