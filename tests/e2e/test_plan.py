"""`fedctl plan` on real clusters: what it says of a commit is what the members' audit logs then record (I23)."""

import base64
import json
import random
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from federation.hub.schedule.assumed import SETTLING
from hack.lab.audit import Request, requests
from tests.e2e.lab import Lab, Manifest, eventually
from tests.e2e.manifests import deployment, on, policy, selector
from tests.plan.repository import CLUSTERS, Repository

BRAKE = "--brake-objects=1000"
"""As the hub process under test has it."""
ANY = (0, 1, 4)
"""The codes of a plan: nothing changes, something does, something needs a look."""
CALM = SETTLING + 2
"""Seconds without a write to any member after which a commit has taken effect, and is counted."""


def told(lab: Lab, *arguments: str, code: int | tuple[int, ...]) -> Manifest:
    """The plan as data."""
    found: Manifest = json.loads(lab.fedctl("plan", *arguments, "-o", "json", fails=code))
    return found


def write(directory: Path, manifests: list[Manifest]) -> Path:
    directory.mkdir()
    for number, manifest in enumerate(manifests):
        (directory / f"{number:02}-{manifest['kind'].lower()}.yaml").write_text(json.dumps(manifest))
    return directory


def calm(lab: Lab) -> None:
    """Return once no member was written to for a while."""
    sizes, since = {}, time.monotonic()
    while time.monotonic() - since < CALM:
        now = {name: len(ours(lab, name)) for name in CLUSTERS}
        if now != sizes:
            sizes, since = now, time.monotonic()
        time.sleep(0.5)


def ours(lab: Lab, name: str) -> list[Request]:
    return [one for one in requests(lab.members[name].audit_log) if is_write(one)]


def is_write(request: Request) -> bool:
    """Whether the hub changed an object of the kinds under test."""
    return (
        request.user.endswith(":federation-hub") and request.writes and request.code < 300
        and not request.subresource and request.resource in ("deployments", "configmaps")
    )  # fmt: skip


def net(logged: dict[str, list[Request]]) -> set[tuple[str, str, str, str]]:
    """(cluster, resource, name, what): what was patched after its creation was created, what came and went was not there."""
    found: dict[tuple[str, str, str], str] = {}
    for cluster, every in logged.items():
        for one in filter(is_write, every):
            key = (cluster, one.resource, one.name)
            if one.verb == "delete" and found.get(key) == "created":
                del found[key]
            elif one.verb == "delete":
                found[key] = "deleted"
            elif found.get(key) != "created":
                found[key] = "created" if one.code == 201 else "patched"
    return {(*key, what) for key, what in found.items()}


def planned(plan: Manifest) -> set[tuple[str, str, str, str]]:
    words = {"create": "created", "delete": "deleted"}
    return {
        (one["cluster"], f"{one['kind'].lower()}s", one["name"], words.get(one["effect"], "patched"))
        for one in plan["changes"] if one["kind"] != "Namespace"
    }  # fmt: skip


@pytest.mark.timeout(3600)
def test_what_is_planned_for_a_random_commit_is_what_the_audit_logs_record(
    lab: Lab, place: str, plan_steps: int, plan_seed: int, tmp_path: Path
) -> None:
    repository = Repository(place, random.Random(plan_seed))
    lab.hub.apply(*repository.first().apply)
    old = write(tmp_path / "first", list(repository.held.values()))
    calm(lab)
    for number in range(max(1, plan_steps // 3)):
        step = repository.next()
        new = write(tmp_path / str(number), list(repository.held.values()))
        plan = told(lab, "-f", str(new), "--was", str(old), BRAKE, code=ANY)
        with ExitStack() as stack:
            logged = {name: stack.enter_context(lab.members[name].counting()) for name in CLUSTERS}
            if step.apply:
                lab.hub.apply(*step.apply)
            for _, kind, _, name in step.delete:
                lab.hub.delete(kind, name, place)
            calm(lab)
        assert planned(plan) == net(logged), f"step {number} of seed {plan_seed}: {step.text}: {plan['summary']}"
        old = new


def test_a_plan_says_what_moves_and_changes_nothing(lab: Lab, place: str, tmp_path: Path) -> None:
    lab.hub.apply(policy("web", place, selector(name="web"), placement=on("member1")), deployment("web", place, 2))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    commit = write(tmp_path / "new", [policy("web", place, selector(name="web"), placement=on("member2"))])
    with lab.hub.counting() as on_hub, lab.member(1).counting() as there:
        text = lab.fedctl("plan", "-f", str(commit), BRAKE, fails=1)
    assert f"Deployment {place}/web" in text
    assert "member1: delete 2 -> 0" in text
    assert "member2: create 0 -> 2" in text
    asked = [one for one in on_hub if one.user == "lab-admin"] + [one for one in there if one.resource == "deployments"]
    assert asked
    assert not [one for one in asked if one.writes]
    assert "**Deployment" in lab.fedctl("plan", "-f", str(commit), BRAKE, "-o", "markdown", fails=1)
    same = write(tmp_path / "same", [policy("web", place, selector(name="web"), placement=on("member1"))])
    assert "Nothing changes" in lab.fedctl("plan", "-f", str(same))


def test_a_plan_on_a_file_needs_no_hub_and_the_file_holds_no_secret(lab: Lab, place: str, tmp_path: Path) -> None:
    hidden = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "key", "namespace": place},
        "stringData": {"a": "topsecret"},
    }
    lab.hub.apply(policy("all", place, selector("Secret", "key", api="v1"), placement=on("member1")), hidden)
    eventually(lambda: lab.member(1).get("secret", "key", place))
    file = tmp_path / "hub.json"
    lab.fedctl("snapshot", "-o", str(file))
    assert base64.b64encode(b"topsecret").decode() not in file.read_text()
    assert "topsecret" not in file.read_text()
    commit = write(
        tmp_path / "new", [policy("all", place, selector("Secret", "key", api="v1"), placement=on("member2")), hidden]
    )
    plan = json.loads(
        lab.fedctl(
            "plan",
            "-f",
            str(commit),
            "--snapshot",
            str(file),
            BRAKE,
            "-o",
            "json",
            fails=1,
            kubeconfig=tmp_path / "none",
        )
    )
    effects = {(one["cluster"], one["effect"]) for one in plan["changes"] if one["kind"] == "Secret"}
    assert effects == {("member1", "delete"), ("member2", "create")}
    assert "topsecret" not in json.dumps(plan)


def test_what_the_brake_would_hold_is_told_with_what_follows_its_approval(lab: Lab, place: str, tmp_path: Path) -> None:
    apps = [deployment(f"web{number}", place, 1) for number in range(3)]
    lab.hub.apply(policy("all", place, selector(), placement=on("member1")), *apps)
    eventually(lambda: all(lab.hub.settled("Deployment", one["metadata"]["name"], place) for one in apps))
    commit = write(tmp_path / "new", [policy("all", place, selector(), placement=on("member2"))])
    arguments = ("--brake-objects=1", "--brake-percent=0")
    plan = told(lab, "-f", str(commit), *arguments, code=4)
    # What the hub let go in the last minute, for the tests before, counts as well.
    assert len(plan["held"]) in (2, 3)
    gone = [one["effect"] for one in plan["afterApproval"] if one["cluster"] == "member1"]
    assert gone == ["delete"] * len(plan["held"])


def test_bad_input_names_the_file_and_the_field(lab: Lab, place: str, tmp_path: Path) -> None:
    wrong = policy("web", place, selector(), placement={"clusterAffinity": {"clusterName": ["member1"]}})
    said = lab.fedctl("plan", "-f", str(write(tmp_path / "new", [wrong])), fails=2)
    assert "00-propagationpolicy.yaml" in said
    assert "spec.placement.clusterAffinity.clusterName" in said
