"""Admission on a real API server: what kubectl is told, that nothing waits for us, and what a restart leaves."""

import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator

import pytest

from hack.lab.ports import free_ports
from tests.e2e.lab import REPOSITORY, Lab, always, eventually
from tests.e2e.manifests import API, aggregated, config_map, deployment, on, override, policy, selector

NAME = "federation-admission"
Manifest = dict


def webhooks(lab: Lab) -> list[Manifest]:
    return (lab.hub.get("validatingwebhookconfiguration", NAME) or {}).get("webhooks") or []


def version(lab: Lab, kind: str, *place: str) -> str:
    return (lab.hub.get(kind, NAME, *place) or {})["metadata"]["resourceVersion"]


@pytest.fixture(scope="module")
def flags(lab: Lab) -> Iterator[list[str]]:
    """The process runs with admission for this module; afterwards it runs without, and nobody asks any more."""
    (port,) = free_ports(1, taken=set())
    arguments = [f"--admission-url=https://127.0.0.1:{port}", f"--admission-port={port}"]
    lab.process.restart(*arguments)
    yield arguments
    if lab.process.running:
        lab.process.stop()
    lab.process.start()
    eventually(lambda: webhooks(lab) == [])


@pytest.fixture(autouse=True)
def answering(lab: Lab, flags: list[str]) -> None:
    """Reviews are asked for and answered; a test before may have ended the process."""
    if not lab.process.running:
        lab.process.start(*flags)
    wait_for_answers(lab)


def wait_for_answers(lab: Lab) -> None:
    """Return once a policy that only a review refuses is refused."""
    probe = json.dumps(policy("probe", None, selector(), preemption="Always"))
    ask = ("create", "--dry-run=server", "-f", "-")
    eventually(lambda: "admission webhook" in lab.hub.run(*ask, stdin=probe, fails=True), within=30)


def warned(lab: Lab, *manifests: Manifest) -> str:
    """Apply what is accepted with a warning; the warning."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
    return lab.hub.run("apply", "--warnings-as-errors", "-f", "-", stdin=text, fails=True)


def reviews(lab: Lab, resource: str) -> float:
    """How many were answered, from /metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{lab.process.port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    counted = (line for line in lines if line.startswith("federation_admission_reviews_total{"))
    return sum(float(line.rpartition(" ")[2]) for line in counted if f'resource="{resource}"' in line)


def test_a_policy_that_could_never_be_used_is_refused_with_the_field_and_the_fix(lab: Lab, place: str) -> None:
    spread = on("member1", spreadConstraints=[{"spreadByField": "region", "minGroups": 1}])
    said = lab.hub.refuses(policy("p", place, selector(), placement=spread))
    assert 'admission webhook "propagation.admission.federation.dev" denied the request' in said
    assert "spec.placement.spreadConstraints: add a constraint with spreadByField: cluster" in said
    assert lab.hub.get("pp", "p", place) is None
    said = lab.hub.refuses(policy("p", place, selector(), preemption="Always"))
    assert "spec.resourceSelectors[0].name" in said
    rule = {"overriders": {"plaintext": [{"path": "/spec/replicas", "operator": "replace"}]}}
    said = lab.hub.refuses(override("o", place, rule))
    assert "spec.overrideRules[0].overriders.plaintext[0].value" in said


def test_an_unserved_field_is_accepted_with_a_warning_and_the_status_says_the_same(lab: Lab, place: str) -> None:
    said = warned(lab, policy("p", place, selector("ConfigMap", "x", api="v1"), propagateDeps=True))
    assert "Warning: spec.propagateDeps: not served yet" in said

    def told() -> bool:
        conditions = ((lab.hub.get("pp", "p", place) or {}).get("status") or {}).get("conditions") or []
        return any("spec.propagateDeps: not served yet" in one["message"] for one in conditions)

    eventually(told, within=20)


def test_what_may_be_meant_otherwise_is_warned_of(lab: Lab, place: str) -> None:
    said = warned(lab, policy("p", place, selector("Gizmo", "x", api="gizmos.test/v1"), placement=on("membre1")))
    assert "there is no cluster membre1" in said
    assert "the hub serves no kind Gizmo" in said
    wide = policy("wide", place, selector("StatefulSet"), placement=aggregated())
    assert "that do not know each other" in warned(lab, wide)
    stateful = {**deployment("db", place, 3), "kind": "StatefulSet"}
    del stateful["spec"]["progressDeadlineSeconds"]
    stateful["spec"]["serviceName"] = "db"

    def claimed() -> bool:
        text = json.dumps(stateful)
        return "divides this StatefulSet" in lab.hub.run(
            "create", "--dry-run=server", "--warnings-as-errors", "-f", "-", stdin=text, fails=True
        )

    eventually(claimed)


@pytest.fixture
def braked(lab: Lab, place: str, flags: list[str]) -> Iterator[str]:
    """The brake with the limits it has by default, and an unused window; twelve ConfigMaps on member1, six more by a lazy policy."""
    for chosen, count, spec in (("all", 12, {}), ("lazy", 6, {"activationPreference": "Lazy"})):
        maps = [config_map(f"{chosen}{number:02}", place, labels={"set": chosen}) for number in range(count)]
        lab.hub.apply(policy(chosen, place, maps_of(chosen), placement=on("member1"), **spec), *maps)
    names = [one["metadata"]["name"] for one in lab.hub.every("configmap", place, "set")]
    eventually(lambda: all(lab.hub.settled("ConfigMap", name, place, "") for name in names), within=60, every=0.5)
    lab.process.stop()
    lab.hub.run("delete", "lease", "federation-brake", "-n", "federation-system", "--ignore-not-found")
    lab.process.start(*flags, "--brake-objects=5")
    wait_for_answers(lab)
    yield place
    lab.process.restart(*flags)
    for row in json.loads(lab.fedctl("get", "held", "-o", "json")):
        lab.fedctl("approve", row["id"], "--yes")


def maps_of(chosen: str) -> Manifest:
    return selector("ConfigMap", api="v1", labels={"set": chosen})


def held(lab: Lab) -> list[str]:
    return [name for row in json.loads(lab.fedctl("get", "held", "-o", "json")) for name in row["objects"]]


def test_a_change_that_moves_more_than_the_brake_lets_pass_is_told_at_once_as_a_plan_and_then_held(
    lab: Lab, braked: str
) -> None:
    moved = policy("all", braked, maps_of("all"), placement=on("member2"))
    ask = ("apply", "--dry-run=server", "--warnings-as-errors", "-f", "-")
    foretold = lab.hub.run(*ask, stdin=json.dumps(moved), fails=True)
    assert "Warning: 12 copies of 12 workloads go or shrink with this change; the brake lets 5 pass in 60 s" in foretold
    assert f"Warning: ConfigMap {braked}/all00: member1 deleted, member2 created" in foretold
    assert "Warning: and 7 more" in foretold
    assert "fedctl approve" in foretold
    assert len(lab.member(1).every("configmap", braked, "set=all")) == 12, "asking changes nothing"
    assert "Warning: 12 copies of 12 workloads" in warned(lab, moved)
    eventually(lambda: len(held(lab)) == 7, within=30, every=0.5)
    assert set(held(lab)) <= {f"ConfigMap {braked}/all{number:02}" for number in range(12)}
    lab.hub.apply(policy("all", braked, maps_of("all"), placement=on("member1", "member2")))
    eventually(lambda: held(lab) == [], within=30, every=0.5)


def test_a_change_that_moves_nothing_is_told_nothing_and_a_deletion_what_another_policy_takes(
    lab: Lab, braked: str
) -> None:
    ask = ("apply", "--warnings-as-errors", "-f", "-")
    lazy = policy("lazy", braked, maps_of("lazy"), placement=on("member2"), activationPreference="Lazy")
    lab.hub.run(*ask, stdin=json.dumps(lazy))
    lab.hub.run(*ask, stdin=json.dumps(policy("all", braked, maps_of("all"), placement=on("member1", "member2"))))
    delete = ("delete", "pp", "all", "-n", braked, "--dry-run=server", "--warnings-as-errors")
    lab.hub.run(*delete)
    lab.hub.apply(policy("other", braked, maps_of("all"), placement=on("member2")))
    eventually(lambda: "12 copies of 12 workloads" in lab.hub.run(*delete, fails=True))


def test_a_cluster_joins_under_one_name_only(lab: Lab) -> None:
    first = lab.hub.get("cluster", "member1") or {}
    spec = {key: first["spec"][key] for key in ("syncMode", "apiEndpoint", "secretRef")}
    twin: Manifest = {"apiVersion": API, "kind": "Cluster", "metadata": {"name": "twin"}, "spec": spec}
    assert "is that of cluster member1" in lab.hub.refuses(twin)
    twin["spec"] = {**spec, "apiEndpoint": "https://127.0.0.1:1", "id": first["status"]["id"]}
    assert "this cluster has joined already as member1" in lab.hub.refuses(twin)
    assert lab.hub.get("cluster", "twin") is None
    lab.hub.run("label", "cluster", "member1", "checked=yes")
    lab.hub.run("label", "cluster", "member1", "checked-")


def test_the_process_never_asks_itself(lab: Lab, place: str) -> None:
    bindings, clusters = reviews(lab, "resourcebindings"), reviews(lab, "clusters")
    lab.hub.apply(
        policy("app", place, selector("ConfigMap", "app", api="v1"), placement=on("member1")), config_map("app", place)
    )
    eventually(lambda: lab.hub.settled("ConfigMap", "app", place, group=""))
    assert reviews(lab, "propagationpolicies") > 0
    assert (reviews(lab, "resourcebindings"), reviews(lab, "clusters")) == (bindings, clusters)


def test_while_the_process_is_down_everything_is_applied_and_judged_afterwards(
    lab: Lab, place: str, flags: list[str]
) -> None:
    lab.process.kill()
    began = time.monotonic()
    lab.hub.apply(policy("p", place, selector("ConfigMap", "x", api="v1"), placement=on("member1")))
    lab.hub.apply(policy("q", place, selector(), preemption="Always", placement=on("member1")))
    assert time.monotonic() - began < 10
    lab.process.start(*flags)

    def unusable() -> bool:
        conditions = ((lab.hub.get("pp", "q", place) or {}).get("status") or {}).get("conditions") or []
        return any("spec.resourceSelectors[0].name" in one["message"] for one in conditions if one["status"] == "False")

    eventually(unusable, within=20)


def test_what_was_stored_while_nobody_looked_may_still_be_edited_as_it_is(
    lab: Lab, place: str, flags: list[str]
) -> None:
    lab.process.kill()
    lab.hub.apply(policy("q", place, selector(), preemption="Always", placement=on("member1")))
    lab.process.start(*flags)
    wait_for_answers(lab)
    ask = ("patch", "pp", "q", "-n", place, "--type=merge", "--warnings-as-errors", "-p")
    suspend = json.dumps({"spec": {"suspension": {"dispatching": True}}})
    assert "(as before; it stays unusable)" in lab.hub.run(*ask, suspend, fails=True)
    assert (lab.hub.get("pp", "q", place) or {})["spec"]["suspension"] == {"dispatching": True}
    lab.hub.run("label", "pp", "q", "-n", place, "a=b")


def test_a_frozen_process_holds_nobody_up_for_long(lab: Lab, place: str) -> None:
    os.kill(lab.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        lab.hub.apply(policy("p", place, selector("ConfigMap", "x", api="v1"), placement=on("member1")))
        assert time.monotonic() - began < 8, "two seconds, then the API server goes on"
    finally:
        lab.process.go_on()


def test_a_restart_writes_neither_certificates_nor_registration_anew(lab: Lab, flags: list[str]) -> None:
    before = version(lab, "secret", "federation-system"), version(lab, "validatingwebhookconfiguration")
    lab.process.restart(*flags)
    always(
        lambda: (version(lab, "secret", "federation-system"), version(lab, "validatingwebhookconfiguration")) == before,
        seconds=2,
    )


def test_applying_deploy_again_takes_nothing_away(lab: Lab) -> None:
    before = webhooks(lab)
    assert before
    lab.hub.run("apply", "--server-side", "-k", str(REPOSITORY / "deploy"))
    assert webhooks(lab) == before
    assert lab.hub.run("diff", "--server-side", "-k", str(REPOSITORY / "deploy")) == ""


def test_a_registration_that_somebody_closed_or_emptied_is_set_back(lab: Lab) -> None:
    wanted = webhooks(lab)
    for change in ([], [{**wanted[0], "failurePolicy": "Fail"}]):
        patch = json.dumps({"webhooks": change})
        lab.hub.run("patch", "validatingwebhookconfiguration", NAME, "--type=merge", "-p", patch)
        eventually(lambda: webhooks(lab) == wanted)
