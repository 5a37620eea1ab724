"""`federation hub` as a process: what it watches, and roles in processes of their own."""

from tests.e2e.lab import Lab, Process, eventually
from tests.e2e.manifests import config_map, deployment, on, policy, selector, weights
from tests.e2e.test_write_budget import HUB_USER

OUR_OWN = {
    "clusters", "propagationpolicies", "clusterpropagationpolicies", "overridepolicies", "clusteroverridepolicies",
    "resourcebindings", "clusterresourcebindings", "customresourcedefinitions", "namespaces", "secrets", "leases",
    "rebalances", "priorityclasses",
}  # fmt: skip


def test_a_kind_is_watched_only_while_a_policy_can_select_it(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("app", place, selector("ConfigMap", "app", api="v1"), placement=on("member1")))
    lab.hub.apply(config_map("app", place))
    eventually(lambda: lab.hub.settled("ConfigMap", "app", place, group=""))
    with lab.hub.counting() as found:
        lab.process.restart()
    listed = {one.resource for one in found if one.user == HUB_USER and one.verb == "list"}
    selected = {
        chosen["kind"].lower()
        for kind in ("pp", "cpp")
        for one in lab.hub.every(kind)
        for chosen in one["spec"]["resourceSelectors"]
    }
    others = {name for name in listed - OUR_OWN if name.rstrip("s") not in {kind.rstrip("s") for kind in selected}}
    assert "configmaps" in listed
    assert others == set(), "nothing else is listed, whatever the hub serves"


def test_roles_may_run_in_processes_of_their_own(lab: Lab, place: str) -> None:
    lab.process.stop()
    second = Process(lab.hub, lab.directory / "second")
    (lab.directory / "second").mkdir(exist_ok=True)
    try:
        second.prepare()
        second.start("--roles=execute")
        lab.process.start("--roles=detect,schedule,collect,clusters,operator")
        placement = on("member1", "member2") | weights(member1=1, member2=2)
        lab.hub.apply(policy("web", place, selector(name="web"), placement=placement), deployment("web", place, 3))
        eventually(lambda: lab.hub.settled("Deployment", "web", place))
        eventually(lambda: (lab.hub.get("deployment", "web", place).get("status") or {}).get("readyReplicas") == 3)
        lab.hub.delete("deployment", "web", place)
        eventually(lambda: lab.hub.binding("Deployment", "web", place) is None)
        assert second.errors() == []
    finally:
        second.stop()
        lab.process.restart()
