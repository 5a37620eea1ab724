"""Policies that take over, wait, or are replaced, on real clusters (karmada.md 6.6: priority, preemption, lazy, rebind)."""

import json
import time
from collections.abc import Callable

import pytest

from tests.e2e.lab import Lab, always, eventually
from tests.e2e.manifests import Manifest, config_map, deployment, on, override, policy, selector, weights

MAP = selector("ConfigMap", "app", api="v1")
LAZY = {"activationPreference": "Lazy"}


def holds(lab: Lab, place: str) -> set[str]:
    """The members that have the ConfigMap."""
    return {name for name, member in lab.members.items() if member.get("configmap", "app", place)}


def claimed_by(lab: Lab, place: str, kind: str = "ConfigMap", name: str = "app", group: str = "") -> str:
    binding = lab.hub.binding(kind, name, place, group=group) or {"spec": {}}
    return (binding["spec"].get("policy") or {}).get("name", "")


def status(lab: Lab, kind: str, name: str, place: str | None) -> Manifest:
    """The status of a policy, once it speaks of its generation."""
    found = lab.hub.get(kind, name, place) or {"metadata": {}}
    told = found.get("status") or {}
    return told if told.get("observedGeneration") == found["metadata"].get("generation") else {}


def touch(lab: Lab, place: str, text: str = "now") -> None:
    """Change a template in an annotation only, as `updateDeploymentManually` of the reference's suite does."""
    lab.hub.run("annotate", "configmap", "app", "-n", place, f"touched={text}", "--overwrite")


def lazy(place: str, cluster: str, **spec: object) -> Manifest:
    return policy("lazy", place, MAP, placement=on(cluster), **{**LAZY, **spec})


# --- preemption ----------------------------------------------------------------------------------------------------


def test_a_higher_policy_that_preempts_takes_over_and_both_statuses_name_the_other(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("low", place, MAP, placement=on("member1")), config_map("app", place))
    eventually(lambda: holds(lab, place) == {"member1"})
    lab.hub.apply(policy("high", place, MAP, placement=on("member2"), priority=5, preemption="Always"))
    eventually(lambda: holds(lab, place) == {"member2"})
    lost = eventually(lambda: status(lab, "pp", "low", place).get("lost"), within=20)
    assert "PropagationPolicy high takes it" in lost[0]
    taken = eventually(lambda: status(lab, "pp", "high", place).get("preempted"), within=20)
    assert taken == [f"ConfigMap {place}/app from PropagationPolicy low"]


def test_a_namespaced_policy_takes_from_a_cluster_wide_one(lab: Lab, place: str) -> None:
    lab.hub.apply(
        policy(place, None, {**MAP, "namespace": place}, placement=on("member1"), priority=9), config_map("app", place)
    )
    try:
        eventually(lambda: holds(lab, place) == {"member1"})
        lab.hub.apply(policy("near", place, MAP, placement=on("member2"), preemption="Always"))
        eventually(lambda: holds(lab, place) == {"member2"})
        eventually(lambda: status(lab, "cpp", place, None).get("lost"), within=20)
    finally:
        lab.hub.delete("cpp", place)


@pytest.mark.parametrize("wide", [False, True], ids=["namespaced", "cluster-wide"])
def test_lowering_a_priority_lets_the_policy_between_take_over(lab: Lab, place: str, *, wide: bool) -> None:
    home, chosen = None if wide else place, {**MAP, "namespace": place}
    first, between = f"{place}-first", f"{place}-between"
    lab.hub.apply(
        policy(first, home, chosen, placement=on("member1"), priority=4),
        policy(between, home, chosen, placement=on("member2"), priority=3, preemption="Always"),
        config_map("app", place),
    )
    try:
        eventually(lambda: holds(lab, place) == {"member1"})
        always(lambda: claimed_by(lab, place) == first, seconds=1)
        lab.hub.patch("cpp" if wide else "pp", first, home, {"spec": {"priority": 2}})
        eventually(lambda: holds(lab, place) == {"member2"})
    finally:
        for name in (first, between):
            lab.hub.delete("cpp" if wide else "pp", name, home)


# --- lazy activation -----------------------------------------------------------------------------------------------


def test_a_lazy_policy_that_was_there_first_claims_at_once_and_its_deletion_moves_nothing(lab: Lab, place: str) -> None:
    lab.hub.apply(lazy(place, "member1"))
    time.sleep(1.1)
    lab.hub.apply(config_map("app", place))
    eventually(lambda: holds(lab, place) == {"member1"})
    lab.hub.delete("pp", "lazy", place)
    always(lambda: holds(lab, place) == {"member1"}, seconds=2)


def test_a_lazy_policy_that_comes_later_claims_when_the_template_changes(lab: Lab, place: str) -> None:
    lab.hub.apply(config_map("app", place))
    time.sleep(1.1)  # the API server tells times in whole seconds
    lab.hub.apply(lazy(place, "member1"))
    always(lambda: holds(lab, place) == set(), seconds=2)
    assert eventually(lambda: status(lab, "pp", "lazy", place).get("waiting") == 1, within=20)
    touch(lab, place)
    eventually(lambda: holds(lab, place) == {"member1"})


def test_a_policy_that_becomes_immediate_acts_at_once(lab: Lab, place: str) -> None:
    lab.hub.apply(lazy(place, "member1"), config_map("app", place))
    eventually(lambda: holds(lab, place) == {"member1"})
    lab.hub.apply(policy("lazy", place, MAP, placement=on("member2")))
    eventually(lambda: holds(lab, place) == {"member2"})


def test_an_edit_that_makes_a_policy_lazy_waits_itself_across_a_restart(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("lazy", place, MAP, placement=on("member1")), config_map("app", place))
    eventually(lambda: holds(lab, place) == {"member1"})
    lab.hub.apply(lazy(place, "member2"))
    always(lambda: holds(lab, place) == {"member1"}, seconds=2)
    lab.process.restart()
    always(lambda: holds(lab, place) == {"member1"}, seconds=2)
    told = eventually(lambda: (one := status(lab, "pp", "lazy", place)).get("waiting") and one, within=20)
    assert told["conditions"][0]["reason"] == "Waiting"
    touch(lab, place)
    eventually(lambda: holds(lab, place) == {"member2"})


@pytest.mark.parametrize("activation", ["", "Lazy"], ids=["immediate", "lazy"])
def test_a_lazy_policy_loses_its_object_to_one_that_preempts(lab: Lab, place: str, activation: str) -> None:
    lab.hub.apply(lazy(place, "member1"), config_map("app", place))
    eventually(lambda: holds(lab, place) == {"member1"})
    high = policy("high", place, MAP, placement=on("member2"), priority=2, preemption="Always")
    high["spec"]["activationPreference"] = activation
    lab.hub.apply(high)
    eventually(lambda: claimed_by(lab, place) == "high")
    if activation:
        always(lambda: holds(lab, place) == {"member1"}, seconds=2)
        touch(lab, place)
    eventually(lambda: holds(lab, place) == {"member2"})


# --- another policy ------------------------------------------------------------------------------------------------


def web(name: str, place: str, *clusters: str) -> Manifest:
    spread = on(*clusters) | weights(**dict.fromkeys(clusters, 1))
    return policy(name, place, selector(name="web"), placement=spread)


def by_delete(lab: Lab, place: str, *clusters: str) -> None:
    lab.hub.delete("pp", "old", place)
    lab.hub.apply(web("new", place, *clusters))


def by_edit(lab: Lab, place: str, *clusters: str) -> None:
    lab.hub.patch("pp", "old", place, {"spec": {"resourceSelectors": [selector(name="else")]}})
    lab.hub.apply(web("new", place, *clusters))


@pytest.mark.parametrize("way", [by_delete, by_edit], ids=["by delete", "by edit"])
def test_a_swap_of_equal_policies_touches_no_member(lab: Lab, place: str, way: Callable[..., None]) -> None:
    lab.hub.apply(web("old", place, "member1", "member2"), deployment("web", place, 2))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    time.sleep(1)
    before = lab.hub.status("Deployment", "web", place)["decision"]
    with lab.member(1).counting() as one, lab.member(2).counting() as two:
        way(lab, place, "member1", "member2")
        eventually(lambda: claimed_by(lab, place, "Deployment", "web", "apps") == "new")
        time.sleep(2)
    writes = [
        str(entry)
        for entry in [*one, *two]
        if entry.writes and entry.namespace == place and "federation-hub" in entry.user
    ]
    assert writes == []
    assert lab.hub.status("Deployment", "web", place)["decision"] == before


def test_a_swap_to_another_placement_moves_by_making_before_breaking(lab: Lab, place: str) -> None:
    lab.hub.apply(web("old", place, "member1", "member2"), deployment("web", place, 2))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    by_delete(lab, place, "member2", "member3")
    eventually(lambda: lab.hub.targets("Deployment", "web", place) == {"member2": 1, "member3": 1}, within=60)
    eventually(lambda: lab.member(1).get("deployment", "web", place) is None, within=60)


# --- override policies ---------------------------------------------------------------------------------------------


def test_a_policy_waits_for_the_override_that_it_depends_on_and_the_override_tells_of_itself(
    lab: Lab, place: str
) -> None:
    change = {"overriders": {"plaintext": [{"path": "/data/key", "operator": "replace", "value": "changed"}]}}
    lab.hub.apply(
        policy("app", place, MAP, placement=on("member1"), dependentOverrides=["mine"]), config_map("app", place)
    )
    told = eventually(lambda: status(lab, "pp", "app", place).get("conditions"), within=20)
    assert (told[0]["reason"], "OverridePolicy mine" in told[0]["message"]) == ("OverridesMissing", True)
    assert holds(lab, place) == set()
    lab.hub.apply(override("mine", place, change, selectors=[MAP]))
    found = eventually(lambda: lab.member(1).get("configmap", "app", place))
    assert found["data"] == {"key": "changed"}
    mine = eventually(lambda: (one := status(lab, "op", "mine", place)).get("objects") and one, within=20)
    assert (mine["objects"], mine["clusters"], mine["conditions"][0]["reason"]) == (1, 1, "Applied")

    change["overriders"]["plaintext"][0]["path"] = "/data/absent"
    lab.hub.apply(override("mine", place, change, selectors=[MAP]))
    mine = eventually(lambda: (one := status(lab, "op", "mine", place)).get("problems") and one, within=20)
    assert "/data/absent" in json.dumps(mine["problems"])
    assert mine["conditions"][1]["status"] == "True", "Stalled: only an edit can mend it"
