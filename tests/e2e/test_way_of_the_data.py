"""From template to pods and back: placement, division, rescale, image change, and what stays untouched."""

from tests.e2e.lab import Lab, always, eventually
from tests.e2e.manifests import (
    aggregated,
    config_map,
    deployment,
    dynamic,
    on,
    policy,
    selector,
    weights,
)


def shares(lab: Lab, name: str, place: str) -> dict[str, int]:
    """Replicas of a Deployment in each member that has it."""
    found = {number: lab.member(number).get("deployment", name, place) for number in (1, 2, 3)}
    return {f"member{number}": one["spec"]["replicas"] for number, one in found.items() if one is not None}


def test_a_weighted_deployment_is_divided_runs_and_reports_one_status(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy(
            "web",
            place,
            selector(name="web"),
            placement=on("member1", "member2", "member3") | weights(member1=1, member2=2, member3=3),
        ),
        deployment("web", place, 6),
    )
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    assert shares(lab, "web", place) == {"member1": 1, "member2": 2, "member3": 3}
    lab.hub.run("rollout", "status", "deployment/web", "-n", place, "--timeout=20s")
    status = eventually(lambda: (lab.hub.get("deployment", "web", place) or {})["status"])
    assert (status["replicas"], status["readyReplicas"], status["updatedReplicas"]) == (6, 6, 6)
    decision = lab.hub.status("Deployment", "web", place)["decision"]
    assert decision["epoch"] == 1
    assert decision["trigger"] == "Created"
    assert decision["targets"] == {"member1": 1, "member2": 2, "member3": 3}


def test_rescaling_restores_the_weights_and_names_its_trigger(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy(
            "web",
            place,
            selector(name="web"),
            placement=on("member1", "member2", "member3") | weights(member1=1, member2=2, member3=3),
        ),
        deployment("web", place, 6),
    )
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    lab.hub.scale("web", place, 12)
    eventually(lambda: shares(lab, "web", place) == {"member1": 2, "member2": 4, "member3": 6})
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    decision = lab.hub.status("Deployment", "web", place)["decision"]
    assert (decision["epoch"], decision["trigger"]) == (2, "ReplicasChanged")
    lab.hub.run("rollout", "status", "deployment/web", "-n", place, "--timeout=20s")


def test_scaling_to_zero_keeps_the_objects_in_the_members(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy("web", place, selector(name="web"), placement=on("member1", "member2") | weights(member1=1, member2=1)),
        deployment("web", place, 4),
    )
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    lab.hub.scale("web", place, 0)
    eventually(lambda: shares(lab, "web", place) == {"member1": 0, "member2": 0})
    lab.hub.scale("web", place, 2)
    eventually(lambda: shares(lab, "web", place) == {"member1": 1, "member2": 1})


def test_an_image_change_goes_out_without_a_new_decision(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("web", place, selector(name="web")), deployment("web", place, 2))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    lab.hub.run("set", "image", "deployment/web", "-n", place, "app=registry.test/app:2")
    for number in (1, 2, 3):
        eventually(lambda number=number: _image(lab, number, place) == "registry.test/app:2")
    lab.hub.run("rollout", "status", "deployment/web", "-n", place, "--timeout=30s")
    assert lab.hub.status("Deployment", "web", place)["decision"]["epoch"] == 1


def _image(lab: Lab, number: int, place: str) -> str:
    found = lab.member(number).get("deployment", "web", place)
    return found["spec"]["template"]["spec"]["containers"][0]["image"] if found else ""


def test_a_duplicated_deployment_is_ready_only_when_every_member_is(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("web", place, selector(name="web")), deployment("web", place, 2))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    assert shares(lab, "web", place) == {"member1": 2, "member2": 2, "member3": 2}
    assert lab.hub.status("Deployment", "web", place)["wanted"] == 6
    status = eventually(lambda: lab.hub.get("deployment", "web", place)["status"])
    assert status["replicas"] == 2, "each cluster has a whole copy; a sum would read as surplus pods"


def test_dynamic_weights_follow_what_is_free(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy("web", place, selector(name="web"), placement=on("member1", "member2", "member3") | dynamic()),
        deployment("web", place, 9, resources={"requests": {"cpu": "100m"}}),
    )
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    found = shares(lab, "web", place)
    assert sum(found.values()) == 9
    assert set(found.values()) == {3}, "three members with the same room"


def test_aggregated_packs_into_one_member_where_all_fits(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy("web", place, selector(name="web"), placement=on("member1", "member2", "member3") | aggregated()),
        deployment("web", place, 5, resources={"requests": {"cpu": "100m"}}),
    )
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    assert list(shares(lab, "web", place).values()) == [5]


def test_what_does_not_fit_anywhere_is_told_and_nothing_is_placed(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy("big", place, selector(name="big"), placement=on("member1", "member2") | aggregated()),
        deployment("big", place, 3, resources={"requests": {"cpu": "90"}}),
    )
    said = eventually(lambda: _false(lab, "big", place))
    assert said["reason"] == "Unschedulable"
    assert "member1 1" in said["message"], said
    assert shares(lab, "big", place) == {}


def test_no_cluster_that_matches_is_told_with_counts(lab: Lab, place: str) -> None:
    placement = {"clusterAffinity": {"labelSelector": {"matchLabels": {"tier": "platinum"}}}}
    lab.hub.apply(policy("lost", place, selector(name="lost"), placement=placement), deployment("lost", place, 1))
    said = eventually(lambda: _false(lab, "lost", place))
    assert said["reason"] == "NoClusterFit"
    assert "0/3 clusters are available: 3 cluster(s) did not match" in said["message"]


def _false(lab: Lab, name: str, place: str) -> dict:
    found = lab.hub.condition("Deployment", name, place, "Scheduled")
    return found if found.get("status") == "False" else {}


def test_affinity_by_labels_fields_names_and_exclusion(lab: Lab, place: str) -> None:
    region = {"matchExpressions": [{"key": "region", "operator": "In", "values": ["eu"]}]}
    zone = {"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["eu-1"]}]}
    wanted = {
        "by-label": ({"labelSelector": {"matchLabels": {"tier": "gold"}}}, {"member1", "member2"}),
        "by-region": ({"fieldSelector": region}, {"member1", "member2"}),
        "by-zone": ({"fieldSelector": zone}, {"member2", "member3"}),
        "by-name": ({"clusterNames": ["member3"]}, {"member3"}),
        "without": ({"exclude": ["member1"]}, {"member2", "member3"}),
    }
    for name, (affinity, _) in wanted.items():
        lab.hub.apply(
            policy(name, place, selector("ConfigMap", name, api="v1"), placement={"clusterAffinity": affinity}),
            config_map(name, place),
        )
    for name, (_, clusters) in wanted.items():
        eventually(
            lambda name=name, clusters=clusters: set(lab.hub.targets("ConfigMap", name, place, group="")) == clusters
        )
        for number in (1, 2, 3):
            here = f"member{number}" in clusters
            eventually(
                lambda name=name, number=number, here=here: (
                    (lab.member(number).get("configmap", name, place) is not None) == here
                )
            )


def test_a_taint_keeps_new_work_out_and_leaves_what_is_there(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("old", place, selector("ConfigMap", "old", api="v1"), placement={}), config_map("old", place))
    eventually(lambda: len(lab.hub.targets("ConfigMap", "old", place, group="")) == 3)
    lab.hub.patch("cluster", "member2", None, {"spec": {"taints": [{"key": "maintenance", "effect": "NoSchedule"}]}})
    try:
        lab.hub.apply(
            policy("new", place, selector("ConfigMap", "new", api="v1"), placement={}), config_map("new", place)
        )
        eventually(lambda: set(lab.hub.targets("ConfigMap", "new", place, group="")) == {"member1", "member3"})
        assert (
            "TaintToleration 1: member2 maintenance:NoSchedule"
            in lab.hub.status("ConfigMap", "new", place, "")["decision"]["refused"]
        )
        tolerant = {"clusterTolerations": [{"key": "maintenance", "operator": "Exists"}]}
        lab.hub.apply(
            policy("brave", place, selector("ConfigMap", "brave", api="v1"), placement=tolerant),
            config_map("brave", place),
        )
        eventually(lambda: len(lab.hub.targets("ConfigMap", "brave", place, group="")) == 3)
        always(lambda: len(lab.hub.targets("ConfigMap", "old", place, group="")) == 3, seconds=1)
    finally:
        lab.hub.patch("cluster", "member2", None, {"spec": {"taints": None}})
    eventually(lambda: len(lab.hub.targets("ConfigMap", "new", place, group="")) == 3)


def test_a_changed_policy_moves_the_workload(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("web", place, selector(name="web"), placement=on("member1")), deployment("web", place, 2))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    lab.hub.apply(policy("web", place, selector(name="web"), placement=on("member2")))
    eventually(lambda: shares(lab, "web", place) == {"member2": 2})
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    assert lab.hub.status("Deployment", "web", place)["decision"]["trigger"] == "PlacementChanged"
    assert set(lab.hub.members("Deployment", "web", place)) == {"member2"}


def test_replicas_that_are_well_placed_do_not_move_when_a_cluster_starts_to_match(lab: Lab, place: str) -> None:
    placement = {"clusterAffinity": {"labelSelector": {"matchLabels": {"wave": place}}}} | dynamic()
    lab.hub.run("label", "cluster", "member1", f"wave={place}")
    try:
        lab.hub.apply(policy("web", place, selector(name="web"), placement=placement), deployment("web", place, 4))
        eventually(lambda: lab.hub.settled("Deployment", "web", place))
        lab.hub.run("label", "cluster", "member2", f"wave={place}")
        always(lambda: shares(lab, "web", place) == {"member1": 4}, seconds=1.5)
        lab.hub.scale("web", place, 8)
        eventually(lambda: sum(shares(lab, "web", place).values()) == 8)
        assert shares(lab, "web", place)["member1"] >= 4
        lab.hub.run("label", "cluster", "member1", "wave-")
        eventually(lambda: shares(lab, "web", place) == {"member2": 8})
        assert lab.hub.status("Deployment", "web", place)["decision"]["trigger"] == "ClusterIneligible"
    finally:
        lab.hub.run("label", "cluster", "member1", "member2", "wave-")


def test_events_on_the_template_say_placed_moved_refused(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("web", place, selector(name="web"), placement=on("member1")), deployment("web", place, 1))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    lab.hub.apply(policy("web", place, selector(name="web"), placement=on("member2")))
    eventually(lambda: shares(lab, "web", place) == {"member2": 1})
    lab.hub.apply(policy("lost", place, selector(name="lost"), placement=on("nowhere")), deployment("lost", place, 1))

    def reasons() -> set[tuple[str, str]]:
        return {
            (one["involvedObject"]["name"], one["reason"])
            for one in lab.hub.every("events", place)
            if one["involvedObject"]["kind"] == "Deployment"
        }

    eventually(lambda: {("web", "Placed"), ("web", "Moved"), ("lost", "Refused")} <= reasons())
