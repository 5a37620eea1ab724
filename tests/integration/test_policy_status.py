"""Policies that wait for override policies, and what override policies say of themselves."""

from typing import Any

from federation.hub.settings import Settings
from federation.kube.resource import DEPLOYMENTS, OVERRIDE_POLICIES, PROPAGATION_POLICIES
from tests.e2e.manifests import Manifest, config_map, deployment, on, override, policy, selector
from tests.integration.federation import PLACE, Federation, always, eventually, federation

SETTINGS = Settings(
    probe_period=0.05, failure_threshold=0.2, success_threshold=0.05, window_first=0.02, window_last=0.1,
    policy_status_period=0.05, brake_objects=10_000,
)  # fmt: skip
MAP = selector("ConfigMap", "app", api="v1")


def rule(*clusters: str, path: str = "/data/key", value: str = "changed") -> Manifest:
    change = {"overriders": {"plaintext": [{"path": path, "operator": "replace", "value": value}]}}
    return change | ({"targetCluster": {"clusterNames": list(clusters)}} if clusters else {})


def reason(status: Manifest, kind: str = "Ready") -> tuple[str, str]:
    found = next((one for one in status.get("conditions") or [] if one["type"] == kind), {})
    return found.get("status", ""), found.get("reason", "")


def values(fed: Federation, name: str = "app") -> dict[str, str]:
    found = {cluster: fed.copy(cluster, "ConfigMap", name) for cluster in fed.members}
    return {cluster: one["data"]["key"] for cluster, one in found.items() if one}


async def edit(fed: Federation, name: str, **spec: Any) -> None:
    await fed.client.merge_patch(PROPAGATION_POLICIES, name, PLACE, {"spec": spec})


async def test_a_policy_waits_for_the_override_policies_that_it_depends_on_and_nobody_else_gets_the_object() -> None:
    async with federation(settings=SETTINGS) as fed:
        chosen = policy("app", PLACE, MAP, placement=on("member1"), dependentOverrides=["one", "two"], priority=1)
        await fed.apply(chosen, policy("rest", PLACE, selector("ConfigMap", api="v1"), placement=on("member2")))
        await fed.apply(config_map("app", PLACE), override("one", None, rule(), selectors=[MAP]))
        await fed.apply(override("two", PLACE, rule(), selectors=[MAP]))
        await eventually(lambda: reason(fed.policy_status("PropagationPolicy", "app")) == ("False", "OverridesMissing"))
        status = fed.policy_status("PropagationPolicy", "app")
        assert "there is no OverridePolicy one;" in status["conditions"][0]["message"], (
            "the cluster-wide one is another one"
        )
        assert status["waitingFor"] == ["ConfigMap shop/app: there is no OverridePolicy one"]
        await always(lambda: values(fed) == {}, seconds=0.2)

        await fed.apply(override("one", PLACE, rule(value="by one"), selectors=[MAP]))
        await eventually(lambda: values(fed))
        assert values(fed) == {"member1": "changed"}, "both applied, from the first write on"
        writes = [one for one in fed.member_writes() if "configmaps/app" in one and "member1" in one]
        await eventually(lambda: fed.settled("ConfigMap", "app"))
        assert [one for one in fed.member_writes() if "configmaps/app" in one and "member1" in one] == writes
        await eventually(lambda: reason(fed.policy_status("PropagationPolicy", "app")) == ("True", "Placed"))


async def test_while_an_override_policy_is_missing_no_edit_takes_effect_and_what_is_placed_stays() -> None:
    async with federation(settings=SETTINGS) as fed:
        await fed.apply(override("one", PLACE, rule(), selectors=[MAP]), config_map("app", PLACE))
        await fed.apply(policy("app", PLACE, MAP, placement=on("member1"), dependentOverrides=["one"]))
        await eventually(lambda: fed.settled("ConfigMap", "app"))
        await edit(
            fed, "app", dependentOverrides=["one", "two"], placement=on("member2"), conflictResolution="Overwrite"
        )
        await always(lambda: set(values(fed)) == {"member1"}, seconds=0.3)
        assert "conflictResolution" not in fed.binding("ConfigMap", "app")["spec"]
        await fed.apply(override("two", PLACE, rule("member3"), selectors=[MAP]))
        await eventually(lambda: set(values(fed)) == {"member2"} and fed.settled("ConfigMap", "app"))

        await fed.delete("OverridePolicy", "one")
        await edit(fed, "app", placement=on("member3"))
        await eventually(lambda: values(fed) == {"member2": "value"}, within=6)
        await always(lambda: set(values(fed)) == {"member2"}, seconds=0.2)
        assert fed.claimed_by("ConfigMap", "app") == "app"


async def test_a_cluster_wide_policy_depends_on_cluster_wide_overrides_and_takes_nothing_while_it_waits() -> None:
    async with federation(settings=SETTINGS) as fed:
        named = {**MAP, "namespace": PLACE}
        await fed.apply(policy("low", None, named, placement=on("member1")), config_map("app", PLACE))
        await eventually(lambda: fed.settled("ConfigMap", "app"))
        await fed.apply(
            policy(
                "high",
                None,
                named,
                placement=on("member2"),
                priority=1,
                preemption="Always",
                dependentOverrides=["one"],
            )
        )
        await fed.apply(override("one", PLACE, rule(), selectors=[MAP]))
        await always(lambda: fed.claimed_by("ConfigMap", "app") == "low", seconds=0.3)
        await fed.apply(override("one", None, rule(value="wide"), selectors=[named]))
        await eventually(lambda: set(values(fed)) == {"member2"})
        await fed.delete("OverridePolicy", "one")
        await eventually(lambda: values(fed) == {"member2": "wide"})


async def test_an_override_policy_says_what_it_changes_where_and_what_it_cannot() -> None:
    async with federation(settings=SETTINGS) as fed:
        everything = selector("ConfigMap", api="v1")
        await fed.apply(policy("all", PLACE, everything, placement=on("member1", "member2")))
        await fed.apply(config_map("app", PLACE), config_map("other", PLACE, size="x"))
        await fed.apply(override("note", PLACE, rule("member2", "member3"), selectors=[everything]))
        status = await eventually(lambda: (one := fed.policy_status("OverridePolicy", "note")).get("problems") and one)
        assert (status["objects"], status["clusters"]) == (2, 1)
        (problem,) = status["problems"]
        assert problem.startswith("ConfigMap shop/other in member2: spec.overrideRules[0].overriders.plaintext[0]")
        assert "/data/key" in problem
        assert (reason(status), reason(status, "Stalled")) == (("False", "OverrideFailed"), ("True", "OverrideFailed"))

        await fed.client.merge_patch(OVERRIDE_POLICIES, "note", PLACE, {"spec": {"resourceSelectors": [MAP]}})
        await eventually(lambda: reason(fed.policy_status("OverridePolicy", "note")) == ("True", "Applied"), within=8)
        status = fed.policy_status("OverridePolicy", "note")
        assert (status["objects"], status["clusters"], "problems" in status) == (1, 1, False)
        await fed.delete("ConfigMap", "app")
        await eventually(lambda: fed.policy_status("OverridePolicy", "note").get("objects") == 0, within=8)


async def test_a_cluster_wide_override_policy_counts_what_it_changes_in_every_namespace() -> None:
    async with federation(settings=SETTINGS) as fed:
        await fed.apply(policy("all", PLACE, selector(), placement=on("member1", "member2", "member3")))
        await fed.apply(deployment("web", PLACE), deployment("api", PLACE))
        image = {"component": "Tag", "operator": "replace", "value": "2"}
        tag = {
            "targetCluster": {"labelSelector": {"matchLabels": {"name": "member3"}}},
            "overriders": {"imageOverrider": [image]},
        }
        await fed.apply(override("tag", None, tag, rule("member1", path="/spec/absent/x")))
        found = await eventually(
            lambda: (one := fed.policy_status("ClusterOverridePolicy", "tag")).get("problems") and one
        )
        assert (found["objects"], found["clusters"]) == (2, 2)
        assert all(" in member1: " in one for one in found["problems"])


async def test_a_restart_writes_no_status_of_policies_again() -> None:
    async with federation(settings=SETTINGS) as fed:
        await fed.apply(policy("web", PLACE, selector(), placement=on("member1")), deployment("web", PLACE))
        await fed.apply(policy("none", PLACE, selector(), placement=on("member1")))
        await fed.apply(override("note", PLACE, rule(path="/metadata/labels/x"), selectors=[selector()]))
        await fed.apply(override("wide", None, selectors=[selector()]))
        await eventually(lambda: fed.policy_status("OverridePolicy", "note").get("problems"))
        await eventually(lambda: fed.policy_status("PropagationPolicy", "none").get("lost"))
        await fed.quiet(seconds=2)
        await fed.kill()
        before = len(fed.hub.requests)
        await fed.start()
        await fed.quiet(seconds=2)
        written = [one.path for one in fed.hub.requests[before:] if one.method == "PATCH" and "policies" in one.path]
        assert written == []
        await fed.client.merge_patch(DEPLOYMENTS, "web", PLACE, {"metadata": {"labels": {"x": "y"}}})
        await eventually(lambda: reason(fed.policy_status("OverridePolicy", "note")) == ("True", "Applied"), within=8)
