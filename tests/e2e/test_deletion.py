"""Every way that something can be deleted, and what must and must not follow."""

import pytest

from tests.e2e.lab import Lab, eventually
from tests.e2e.manifests import config_map, deployment, namespace, on, policy, selector, widget, widget_definition


def placed(lab: Lab, place: str, **spec: object) -> dict[int, str]:
    """A Deployment of 2 on two members, settled; UIDs of the copies."""
    lab.hub.apply(
        policy("web", place, selector(name="web"), placement=on("member1", "member2"), **spec),
        deployment("web", place, 2),
    )
    # A member that was stopped by the test before this one may be back a moment later only.
    eventually(lambda: all(lab.member(number).get("deployment", "web", place) for number in (1, 2)))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    return {number: lab.member(number).uid("deployment", "web", place) for number in (1, 2)}


def gone(lab: Lab, place: str) -> bool:
    return all(lab.member(number).get("deployment", "web", place) is None for number in (1, 2))


def marks(lab: Lab, number: int, place: str) -> list[str]:
    metadata = lab.member(number).get("deployment", "web", place)["metadata"]
    return [
        key
        for key in {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
        if key.startswith("federation.dev/")
    ]


def test_orphan_deletion_leaves_the_copies_unmarked(lab: Lab, place: str) -> None:
    uids = placed(lab, place)
    lab.hub.delete("deployment", "web", place, cascade="orphan")
    eventually(lambda: lab.hub.binding("Deployment", "web", place) is None)
    for number, uid in uids.items():
        assert lab.member(number).uid("deployment", "web", place) == uid
        assert marks(lab, number, place) == []


def test_background_deletion_takes_the_copies(lab: Lab, place: str) -> None:
    placed(lab, place)
    lab.hub.delete("deployment", "web", place)
    eventually(lambda: gone(lab, place))
    eventually(lambda: lab.hub.binding("Deployment", "web", place) is None)


@pytest.mark.usefixtures("collector")
def test_foreground_deletion_returns_when_the_members_are_clean(lab: Lab, place: str) -> None:
    placed(lab, place)
    lab.hub.delete("deployment", "web", place, cascade="foreground", wait=True)
    assert gone(lab, place), "kubectl came back, so every copy must be gone"


def test_a_template_deleted_while_we_were_down_takes_its_copies_when_we_return(lab: Lab, place: str) -> None:
    placed(lab, place)
    lab.process.stop()
    lab.hub.delete("deployment", "web", place, wait=False)
    lab.process.start()
    eventually(lambda: gone(lab, place))
    eventually(lambda: lab.hub.binding("Deployment", "web", place) is None)


def test_a_binding_deleted_by_hand_comes_back_and_no_pod_is_touched(lab: Lab, place: str) -> None:
    uids = placed(lab, place)
    pods = {number: {pod["metadata"]["uid"] for pod in lab.member(number).every("pods", place)} for number in (1, 2)}
    binding = lab.hub.binding("Deployment", "web", place)
    lab.hub.delete("rb", binding["metadata"]["name"], place)
    eventually(
        lambda: (
            (lab.hub.binding("Deployment", "web", place) or {"metadata": {}})["metadata"].get("uid")
            not in (None, binding["metadata"]["uid"])
        )
    )
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    assert {number: lab.member(number).uid("deployment", "web", place) for number in (1, 2)} == uids
    assert {
        number: {pod["metadata"]["uid"] for pod in lab.member(number).every("pods", place)} for number in (1, 2)
    } == pods
    epochs = {line["epoch"] for line in lab.hub.members("Deployment", "web", place).values()}
    assert epochs == {str(lab.hub.status("Deployment", "web", place)["decision"]["epoch"])}
    assert lab.hub.status("Deployment", "web", place)["decision"]["epoch"] > 1, "epochs never repeat"


def test_a_deleted_policy_moves_nothing_and_its_workload_still_follows_the_template(lab: Lab, place: str) -> None:
    uids = placed(lab, place)
    lab.hub.delete("pp", "web", place)
    lab.hub.run("set", "image", "deployment/web", "-n", place, "app=registry.test/app:2")
    for number in (1, 2):
        eventually(
            lambda number=number: (
                lab.member(number).get("deployment", "web", place)["spec"]["template"]["spec"]["containers"][0]["image"]
                == "registry.test/app:2"
            )
        )
    assert {number: lab.member(number).uid("deployment", "web", place) for number in (1, 2)} == uids
    lab.hub.scale("web", place, 3)
    eventually(lambda: lab.member(1).get("deployment", "web", place)["spec"]["replicas"] == 3)
    eventually(lambda: lab.hub.settled("Deployment", "web", place))


def test_a_deleted_hub_namespace_takes_only_what_is_ours_in_the_members(lab: Lab, place: str) -> None:
    other = f"{place}-x"
    lab.hub.apply(namespace(other))
    lab.hub.apply(
        policy("app", other, selector("ConfigMap", "app", api="v1"), placement=on("member1", "member2")),
        config_map("app", other),
    )
    for number in (1, 2):
        eventually(lambda number=number: lab.member(number).get("configmap", "app", other))
    lab.member(2).apply(config_map("theirs", other))
    lab.hub.delete("namespace", other)
    eventually(lambda: lab.member(1).get("namespace", other) is None)
    eventually(lambda: lab.member(2).get("configmap", "app", other) is None)
    assert lab.member(2).get("configmap", "theirs", other) is not None, "a namespace that holds foreign things stays"
    lab.member(2).delete("namespace", other, wait=False)


def test_a_template_made_anew_under_the_same_name_adopts_its_copies_in_place(lab: Lab, place: str) -> None:
    uids = placed(lab, place, preserveResourcesOnDeletion=False)
    lab.process.stop()
    lab.hub.delete("deployment", "web", place, cascade="orphan")
    lab.hub.apply(deployment("web", place, 2))
    lab.process.start()
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    assert {number: lab.member(number).uid("deployment", "web", place) for number in (1, 2)} == uids


def test_a_kind_that_is_no_longer_defined_lets_its_binding_go_and_leaves_the_copies(
    lab: Lab, place: str, group: str
) -> None:
    for cluster in (lab.hub, lab.member(1)):
        cluster.define(widget_definition(group))
    lab.fedctl("allow", "member1", f"widgets.{group}", "--kubeconfig", str(lab.member(1).kubeconfig))
    chosen = policy("w", place, selector("Widget", api=f"{group}/v1"), placement=on("member1"))
    lab.hub.apply(chosen, widget(group, place))
    eventually(lambda: lab.hub.settled("Widget", "w", place, group))
    uid = lab.member(1).uid(f"widgets.{group}", "w", place)
    lab.hub.delete("crd", f"widgets.{group}")
    eventually(lambda: lab.hub.binding("Widget", "w", place, group) is None, within=60)
    assert lab.member(1).uid(f"widgets.{group}", "w", place) == uid, "nobody asked for the copy to go"
    assert "Stranded" in lab.hub.run("get", "events", "-n", place)
    lab.hub.define(widget_definition(group))
    lab.hub.apply(widget(group, place))
    eventually(lambda: lab.hub.settled("Widget", "w", place, group), within=60)
    assert lab.member(1).uid(f"widgets.{group}", "w", place) == uid, "taken up again in place"


def test_a_template_deleted_while_a_member_is_away_lets_its_binding_go_and_is_swept_when_it_returns(
    lab: Lab, place: str
) -> None:
    placed(lab, place)
    lab.clusters.stop("member2")
    try:
        lab.hub.delete("deployment", "web", place, wait=False)
        eventually(lambda: lab.hub.binding("Deployment", "web", place) is None, within=40)
        assert lab.member(1).get("deployment", "web", place) is None
    finally:
        lab.clusters.start("member2")
    eventually(lambda: lab.member(2).get("deployment", "web", place) is None, within=60)


def test_a_template_made_anew_while_a_member_is_away_adopts_its_copy_when_it_returns(lab: Lab, place: str) -> None:
    uids = placed(lab, place)
    lab.clusters.stop("member2")
    try:
        lab.hub.delete("deployment", "web", place, wait=False)
        eventually(lambda: lab.hub.binding("Deployment", "web", place) is None, within=40)
        lab.hub.apply(deployment("web", place, 2))
        eventually(lambda: lab.member(1).get("deployment", "web", place))
    finally:
        lab.clusters.start("member2")
    template = lab.hub.uid("deployment", "web", place)
    mark = lambda: lab.member(2).get("deployment", "web", place)["metadata"]["annotations"]["federation.dev/mark"]
    eventually(lambda: template in mark(), within=60)
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    assert lab.member(2).uid("deployment", "web", place) == uids[2]


def test_all_bindings_deleted_come_back_and_no_copy_is_touched(lab: Lab, place: str) -> None:
    uids = placed(lab, place)
    generations = [lab.member(number).get("deployment", "web", place)["metadata"]["generation"] for number in (1, 2)]
    before = lab.hub.binding("Deployment", "web", place)["metadata"]["uid"]
    lab.hub.run("delete", "rb", "--all", "-n", place, "--wait=false")
    eventually(lambda: (lab.hub.binding("Deployment", "web", place) or {"metadata": {"uid": before}})["metadata"]["uid"] != before)  # fmt: skip
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    assert {number: lab.member(number).uid("deployment", "web", place) for number in (1, 2)} == uids
    after = [lab.member(number).get("deployment", "web", place)["metadata"]["generation"] for number in (1, 2)]
    assert after == generations
