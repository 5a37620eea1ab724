"""The brake on real clusters (I15): what is over the limit stays until a human approves it, that plan only."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.e2e.lab import Lab, always, eventually
from tests.e2e.manifests import Manifest, config_map, on, policy, selector

FIVE = "--brake-objects=5"


@pytest.fixture
def braked(lab: Lab, place: str) -> Iterator[str]:
    """The hub process with the limits it has by default, and an unused window."""
    lab.process.stop()
    for kind, name in (("lease", "federation-brake"), ("configmap", "federation-approvals")):
        lab.hub.run("delete", kind, name, "-n", "federation-system", "--ignore-not-found")
    lab.process.start(FIVE)
    yield place
    lab.process.restart()
    for row in plans(lab):
        lab.fedctl("approve", row["id"], "--yes")


def plans(lab: Lab) -> list[Manifest]:
    found: list[Manifest] = json.loads(lab.fedctl("get", "held", "-o", "json"))
    return found


def templates(count: int) -> list[str]:
    return [f"c{number:02}" for number in range(count)]


def placed(lab: Lab, place: str, names: list[str], *clusters: str) -> None:
    chosen = selector("ConfigMap", api="v1", labels={"set": "all"})
    lab.hub.apply(
        policy("all", place, chosen, placement=on(*clusters)),
        *(config_map(name, place, labels={"set": "all"}) for name in names),
    )
    eventually(lambda: all(lab.hub.settled("ConfigMap", name, place, "") for name in names), within=60, every=0.5)


def copies(lab: Lab, place: str, number: int = 1) -> list[str]:
    return sorted(one["metadata"]["name"] for one in lab.member(number).every("configmap", place, "federation.dev/hub"))


def held(lab: Lab, place: str) -> list[str]:
    """Names of templates of which some copy is held."""
    bindings = lab.hub.every("rb", place)
    return sorted(
        one["spec"]["resource"]["name"] for one in bindings
        if any("reason=Held " in line for line in ((one.get("status") or {}).get("members") or {}).values())
    )  # fmt: skip


def test_of_twenty_deleted_templates_five_go_and_one_approval_lets_exactly_the_rest_go(lab: Lab, braked: str) -> None:
    place, names = braked, templates(22)
    placed(lab, place, names, "member1")
    lab.hub.run("delete", "configmap", *names[:20], "-n", place)
    eventually(lambda: len(held(lab, place)) == 15, every=0.5)
    left = copies(lab, place)
    assert left == sorted([*held(lab, place), *names[20:]])

    shown = lab.fedctl("get", "held")
    assert f"templates deleted in namespace {place}" in shown
    (plan,) = plans(lab)
    assert (plan["deletes"], plan["clusters"]) == (15, ["member1"])
    lab.process.restart(FIVE)
    always(lambda: copies(lab, place) == left, seconds=3)

    assert "there is no held plan" in lab.fedctl("approve", "nothing", "--yes", fails=1)
    said = lab.fedctl("approve", plan["id"], "--yes")
    assert len(re.findall(r"delete ConfigMap", said)) == 15
    eventually(lambda: copies(lab, place) == names[20:])
    eventually(lambda: sorted(one["spec"]["resource"]["name"] for one in lab.hub.every("rb", place)) == names[20:])

    lab.hub.run("delete", "configmap", *names[20:], "-n", place)
    eventually(lambda: held(lab, place) == names[20:])
    always(lambda: copies(lab, place) == names[20:], seconds=2)
    assert [row["id"] for row in plans(lab)] == [plan["id"]], "one cause; its approval named other changes"


def test_a_policy_that_drops_a_cluster_from_thirty_bindings_is_held_after_the_limit(lab: Lab, braked: str) -> None:
    place, names = braked, templates(30)
    placed(lab, place, names, "member1", "member2")
    uids = {one["metadata"]["uid"] for one in lab.member(2).every("configmap", place, "federation.dev/hub")}
    lab.hub.patch("pp", "all", place, {"spec": {"placement": on("member1")}})
    # Ten per cent of the sixty copies here; other tests leave none.
    eventually(lambda: len(held(lab, place)) == 24, every=0.5)
    always(lambda: len(copies(lab, place, 2)) == 24, seconds=2)
    assert lab.hub.condition("ConfigMap", held(lab, place)[0], place, "FullyApplied", "")["reason"] == "Held"
    assert "Held" in lab.hub.run("get", "events", "-n", place, "--field-selector=reason=Held,type=Warning")

    lab.hub.patch("pp", "all", place, {"spec": {"placement": on("member1", "member2")}})
    eventually(lambda: not held(lab, place) and len(copies(lab, place, 2)) == 30, every=0.5)
    assert plans(lab) == []
    same = uids & {one["metadata"]["uid"] for one in lab.member(2).every("configmap", place, "federation.dev/hub")}
    assert len(same) == 24, "what was held was never removed"
