"""What people and pipelines see: fedctl get, explain, render; kubectl's columns; metrics."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import yaml

from tests.e2e.lab import Lab, eventually
from tests.e2e.manifests import config_map, deployment, on, policy, selector, weights


def web(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy("web", place, selector(name="web"), placement=on("member1", "member2") | weights(member1=1, member2=2)),
        deployment("web", place, 3, resources={"requests": {"cpu": "100m"}}),
    )
    eventually(lambda: lab.hub.settled("Deployment", "web", place))


def test_get_clusters_lists_health_place_and_room(lab: Lab) -> None:
    text = lab.fedctl("get", "clusters")
    assert text.splitlines()[0].split()[:4] == ["NAME", "JOINED", "READY", "VERSION"]
    rows = json.loads(lab.fedctl("get", "clusters", "-o", "json"))
    assert {row["name"]: row["region"] for row in rows if row["name"] != "member4"} == {
        "member1": "eu",
        "member2": "eu",
        "member3": "us",
    }


def test_get_of_an_application_shows_each_cluster_with_its_pods(lab: Lab, place: str) -> None:
    web(lab, place)
    rows = yaml.safe_load(lab.fedctl("get", "deploy/web", "-n", place, "-o", "yaml"))
    assert {row["cluster"]: (row["share"], row["ready"], len(row["pods"])) for row in rows} == {
        "member1": (1, "1/1", 1),
        "member2": (2, "2/2", 2),
    }
    bindings = json.loads(lab.fedctl("get", "bindings", "-n", place, "-o", "json"))
    assert [(one["template"], one["wanted"], one["ready"]) for one in bindings] == [("Deployment/web", 3, 3)]


def test_explain_tells_policy_verdicts_numbers_and_shares(lab: Lab, place: str) -> None:
    web(lab, place)
    text = lab.fedctl("explain", "deploy/web", "-n", place)
    assert "policy: PropagationPolicy web claims it by name" in text
    assert "member1=1, member2=2" in text
    assert "static weights member1 1:member2 2" in text
    story = json.loads(lab.fedctl("explain", "deploy/web", "-n", place, "-o", "json"))
    rows = {row["cluster"]: row for row in story["clusters"]}
    assert "clusterNames" in rows["member3"]["verdict"]
    assert rows["member1"]["free"] > 0


def test_explain_of_an_unclaimed_object_names_the_nearest_policy_and_the_term_that_failed(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy("near", place, selector("ConfigMap", "other", api="v1"), placement=on("member1")),
        config_map("app", place),
    )
    text = lab.fedctl("explain", "cm/app", "-n", place)
    assert "none claims it" in text
    assert "PropagationPolicy near: name other is not app" in text


def test_render_shows_what_a_member_gets_and_what_differs(lab: Lab, place: str) -> None:
    web(lab, place)
    rendered = yaml.safe_load(lab.fedctl("render", "deploy/web", "-n", place, "--cluster", "member2"))
    assert rendered["spec"]["replicas"] == 2
    assert "status" not in rendered
    assert "holds what was rendered" in lab.fedctl(
        "render", "deploy/web", "-n", place, "--cluster", "member2", "--diff"
    )
    lab.process.stop()
    lab.member(2).run("scale", "deployment/web", "-n", place, "--replicas=5")
    differs = lab.fedctl("render", "deploy/web", "-n", place, "--cluster", "member2", "--diff", fails=1)
    assert "spec.replicas: want 2, member has 5" in differs
    lab.process.start()
    assert "is no target" in lab.fedctl("render", "deploy/web", "-n", place, "--cluster", "member3", fails=1)


def test_fedctl_is_a_plugin_of_kubectl_and_takes_its_flags(lab: Lab) -> None:
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "KUBECONFIG": "/nonexistent"}
    context = json.loads(lab.hub.kubeconfig.read_text())["current-context"]
    words = [lab.hub.kubectl, "fed", "get", "clusters", "-o", "json"]
    words += ["--kubeconfig", str(lab.hub.kubeconfig), "--context", context]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    assert "member1" in {row["name"] for row in json.loads(done.stdout)}
    wrong = subprocess.run([*words[:-1], "absent"], capture_output=True, text=True, check=False, env=environment)
    assert wrong.returncode == 1
    assert "absent" in wrong.stderr


def test_kubectl_columns_tell_the_story(lab: Lab, place: str) -> None:
    web(lab, place)
    row = lab.hub.run("get", "rb", "-n", place, "--no-headers")
    assert "member1 1/1, member2 2/2" in row
    assert row.split()[1:4] == ["Deployment", "3", "3"]
    assert lab.hub.run("get", "fc", "member1", "--no-headers").split()[:4] == ["member1", "Push", "True", "True"]


def test_health_and_metrics_are_served(lab: Lab) -> None:
    for path in ("healthz", "readyz"):
        with urllib.request.urlopen(f"http://127.0.0.1:{lab.process.port}/{path}") as answer:
            assert answer.status == 200
    with urllib.request.urlopen(f"http://127.0.0.1:{lab.process.port}/metrics") as answer:
        assert b"federation_" in answer.read()
