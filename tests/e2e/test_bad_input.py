"""Wrong input gets an error that names the field or object and what to do; nothing else stops."""

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.lab import Lab, eventually
from tests.e2e.manifests import config_map, deployment, on, override, policy, selector, weights


def still_works(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy("ok", place, selector("ConfigMap", "ok", api="v1"), placement=on("member1")), config_map("ok", place)
    )
    eventually(lambda: lab.hub.settled("ConfigMap", "ok", place, group=""))


def test_a_policy_with_an_unknown_field_is_refused(lab: Lab, place: str) -> None:
    wrong = policy("p", place, selector(name="x"))
    wrong["spec"]["placment"] = {}
    said = lab.hub.run("apply", "--validate=strict", "-f", "-", stdin=json.dumps(wrong), fails=True)
    assert "placment" in said


def test_two_affinities_at_once_and_bad_weights_are_refused_at_admission(lab: Lab, place: str) -> None:
    both = {"clusterAffinity": {}, "clusterAffinities": [{"affinityName": "a"}]}
    assert "clusterAffinity or clusterAffinities, not both" in lab.hub.refuses(
        policy("p", place, selector(), placement=both)
    )
    assert "weight" in lab.hub.refuses(policy("p", place, selector(), placement=weights(member1=-1)))
    assert "replicaSchedulingType" in lab.hub.refuses(
        policy("p", place, selector(), placement={"replicaScheduling": {"replicaSchedulingType": "Sometimes"}})
    )


def test_an_unserved_field_is_refused_in_the_status_of_its_policy_and_claims_nothing(lab: Lab, place: str) -> None:
    spread = on("member1", spreadConstraints=[{"spreadByField": "region", "minGroups": 1}])
    lab.hub.apply(policy("p", place, selector("ConfigMap", "x", api="v1"), placement=spread), config_map("x", place))
    said = eventually(lambda: _problem(lab, place), within=20)
    assert "spec.placement.spreadConstraints" in said
    assert lab.hub.binding("ConfigMap", "x", place, group="") is None
    assert "spreadConstraints" in lab.fedctl("explain", "cm/x", "-n", place)
    still_works(lab, place)


def _problem(lab: Lab, place: str) -> str:
    conditions = ((lab.hub.get("pp", "p", place) or {}).get("status") or {}).get("conditions") or []
    return next((one["message"] for one in conditions if one["type"] == "Ready" and one["status"] == "False"), "")


def test_an_override_path_that_does_not_exist_is_named_in_the_binding(lab: Lab, place: str) -> None:
    rule = {"overriders": {"plaintext": [{"path": "/spec/absent/field", "operator": "replace", "value": 1}]}}
    lab.hub.apply(
        override("wrong", place, rule, selectors=[selector(name="web")]),
        policy("web", place, selector(name="web"), placement=on("member1")), deployment("web", place, 1),
    )  # fmt: skip
    said = eventually(lambda: _applied(lab, "Deployment", "web", place, "apps"))
    assert said["reason"] == "OverrideFailed"
    assert "/spec/absent/field" in said["message"]
    assert "wrong" in said["message"]
    assert lab.member(1).get("deployment", "web", place) is None
    still_works(lab, place)
    lab.hub.delete("op", "wrong", place)
    eventually(lambda: lab.hub.settled("Deployment", "web", place))


def _applied(lab: Lab, kind: str, name: str, place: str, group: str) -> dict | None:
    found = lab.hub.condition(kind, name, place, "FullyApplied", group=group)
    return (
        found
        if found.get("status") == "False" and found.get("reason") not in ("Applying", "Unknown", "Pending")
        else None
    )


def test_a_manifest_that_server_side_apply_refuses_is_told(lab: Lab, place: str) -> None:
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    lab.hub.apply(policy("web", place, selector(name="web"), placement=on("member1")))
    lab.hub.run("create", "-f", "-", stdin=json.dumps(deployment("web", place, 1, env=twice)))
    said = eventually(lambda: _applied(lab, "Deployment", "web", place, "apps"))
    assert said["reason"] == "Invalid"
    assert "duplicate" in said["message"]
    assert "member1" in said["message"]
    still_works(lab, place)


def test_a_template_as_large_as_an_api_server_takes_is_sent_and_a_decision_stays_small(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("big", place, selector("ConfigMap", "big", api="v1"), placement=on("member1")))
    big = config_map("big", place, blob="x" * 900_000)
    lab.hub.run("create", "-f", "-", stdin=json.dumps(big))
    eventually(lambda: lab.hub.settled("ConfigMap", "big", place, group=""))
    assert len(json.dumps(lab.hub.binding("ConfigMap", "big", place, group=""))) < 32_000


def test_a_template_that_is_too_large_with_our_marks_is_told(lab: Lab, place: str) -> None:
    """1 MiB is the limit of a ConfigMap's data; the marks do not count there, so the member takes what the hub took."""
    lab.hub.apply(policy("big", place, selector("ConfigMap", "big", api="v1"), placement=on("member1")))
    notes = {f"note-{number}": "y" * 65_000 for number in range(4)}
    big = config_map("big", place)
    big["metadata"]["annotations"] = {**notes, "rest": "z" * (262_144 - 4 * 65_000 - 80)}
    lab.hub.run("create", "-f", "-", stdin=json.dumps(big))
    said = eventually(lambda: _applied(lab, "ConfigMap", "big", place, ""))
    assert said["reason"] == "Invalid"
    assert "annotations" in said["message"]
    still_works(lab, place)


def test_fedctl_names_what_it_does_not_find(lab: Lab, place: str) -> None:
    assert "there is no Deployment 'absent'" in lab.fedctl("explain", "deploy/absent", "-n", place, fails=1)
    assert "the hub serves no kind 'gizmo'" in lab.fedctl("explain", "gizmo/x", "-n", place, fails=1)
    assert "write KIND/NAME" in lab.fedctl("explain", "deploy", "-n", place, fails=1)
    assert "does not exist" in lab.fedctl("get", "clusters", "--kubeconfig", "/nowhere", fails=1)
    assert "there is no cluster 'x'" in lab.fedctl("leave", "x", fails=1)
    lab.fedctl("get", "clusters", "-o", "xml", fails=2)


def test_an_api_server_that_runs_workloads_is_refused_as_a_hub(lab: Lab) -> None:
    command = [str(Path(sys.executable).parent / "federation"), "hub", "--port=0"]
    command += ["--kubeconfig", str(lab.member(1).kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "workload controllers" in done.stderr
    assert lab.member(1).get("deployment", "federation-hub-probe", "federation-system") is None
    assert lab.member(1).get("crd", "clusters.federation.dev") is None
