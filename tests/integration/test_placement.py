"""Affinity groups, overflow, suspension of scheduling and Rebalances end to end, in process."""

from dataclasses import replace
from typing import Any

import pytest

from federation.api.meta import Manifest
from federation.hub.schedule import assumed
from federation.hub.schedule import controller as schedule
from federation.kube.errors import NotFound
from federation.kube.resource import CLUSTERS, PRIORITY_CLASSES, PROPAGATION_POLICIES, REBALANCES
from tests.e2e.manifests import API, deployment, dynamic, on, policy, selector, weights
from tests.integration.federation import PLACE, Federation, always, eventually, federation


def term(name: str, cluster: str) -> Manifest:
    return {"affinityName": name, "labelSelector": {"matchLabels": {"name": cluster}}}


def web(placement: Manifest, **spec: Any) -> Manifest:
    return policy("web", PLACE, selector(name="web"), placement=placement, **spec)


PRIMARY_BACKUP: Manifest = {"clusterAffinities": [term("primary", "member1"), term("backup", "member2")]}


async def named(fed: Federation, cluster: str, label: str | None) -> None:
    await fed.client.merge_patch(CLUSTERS, cluster, None, {"metadata": {"labels": {"name": label}}})


async def at(fed: Federation, **shares: int) -> None:
    await eventually(lambda: fed.replicas("web") == shares and fed.settled("Deployment", "web"))


async def test_a_workload_falls_to_the_next_affinity_group_and_returns_after_a_quiet_period() -> None:
    async with federation() as fed:
        fed.settings = replace(fed.settings, return_period=0.6)
        await fed.kill()
        await fed.start()
        await fed.apply(web(PRIMARY_BACKUP | weights(member1=1, member2=1)), deployment("web", PLACE, 2))
        await at(fed, member1=2)
        assert fed.decision("Deployment", "web")["affinity"] == "primary"
        await named(fed, "member1", None)
        await at(fed, member2=2)
        decision = fed.decision("Deployment", "web")
        assert decision["affinity"] == "backup"
        assert decision["notes"][0].startswith("affinity group primary was passed over")
        await named(fed, "member1", "member1")
        await always(lambda: fed.replicas("web") == {"member2": 2}, seconds=0.3)
        await at(fed, member1=2)
        decision = fed.decision("Deployment", "web")
        assert (decision["affinity"], decision["notes"]) == ("primary", [])


async def test_a_group_that_comes_and_goes_takes_nothing_back() -> None:
    async with federation() as fed:
        fed.settings = replace(fed.settings, return_period=0.5)
        await fed.kill()
        await fed.start()
        await named(fed, "member1", None)
        await fed.apply(web(PRIMARY_BACKUP), deployment("web", PLACE, 2))
        await at(fed, member2=2)
        for _ in range(5):
            await named(fed, "member1", "member1")
            await always(lambda: fed.replicas("web") == {"member2": 2}, seconds=0.25)
            await named(fed, "member1", None)
            await always(lambda: fed.replicas("web") == {"member2": 2}, seconds=0.02)


async def test_overflow_takes_what_the_group_has_no_room_for_and_gives_it_back_when_it_shrinks() -> None:
    async with federation() as fed:
        own = {
            **term("own", "member1"),
            "overflowAffinities": [{"affinityName": "more", **on("member2")["clusterAffinity"]}],
        }
        await fed.apply(web({"clusterAffinities": [own], **dynamic()}))
        await fed.apply(deployment("web", PLACE, 3, resources={"requests": {"cpu": "16"}}))
        await at(fed, member1=3)
        # A sandbox member has no pods, so its 64 CPUs stay free: room for 4 beside the 3 that it has, and those 3 are deducted from
        # it for as long as its summary may not contain them.
        await fed.scale("web", 8)
        await eventually(lambda: sum(fed.replicas("web").values()) == 8 and fed.settled("Deployment", "web"))
        shares = fed.replicas("web")
        assert shares["member1"] in (4, 7)
        assert shares["member2"] == 8 - shares["member1"]
        await fed.scale("web", 3)
        await at(fed, member1=3)


async def test_room_that_was_deducted_comes_back_when_the_summary_is_found_true_though_nothing_in_it_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (assumed, schedule):
        monkeypatch.setattr(module, "SETTLING", 0.5)
    async with federation() as fed:
        asked = {"resources": {"requests": {"cpu": "8"}}}
        await fed.apply(web(on("member1") | dynamic()), deployment("web", PLACE, 5, **asked))
        await at(fed, member1=5)
        await fed.scale("web", 10)
        await eventually(lambda: fed.condition("Deployment", "web", "Scheduled").get("status") == "False")
        assert fed.replicas("web") == {"member1": 5}, "three more fit beside five that may not be counted yet"
        await at(fed, member1=10)


async def suspended(fed: Federation, suspension: Manifest | None) -> None:
    await fed.client.merge_patch(PROPAGATION_POLICIES, "web", PLACE, {"spec": {"suspension": suspension}})
    await eventually(lambda: (fed.binding("Deployment", "web") or {})["spec"].get("suspension") == suspension)


async def test_while_scheduling_is_suspended_nothing_is_decided_and_the_condition_says_what_waits() -> None:
    async with federation() as fed:
        placement = on("member1", "member2") | weights(member1=1, member2=1)
        await fed.apply(web(placement, suspension={"scheduling": True}), deployment("web", PLACE, 2))
        scheduled = await eventually(
            lambda: (found := fed.condition("Deployment", "web", "Scheduled")).get("status") == "False" and found
        )
        assert (scheduled["reason"], "Created" in scheduled["message"]) == ("Suspended", True)
        await always(lambda: fed.replicas("web") == {}, seconds=0.2)
        await suspended(fed, None)
        await at(fed, member1=1, member2=1)
        await suspended(fed, {"scheduling": True})
        await fed.scale("web", 6)
        scheduled = await eventually(
            lambda: (found := fed.condition("Deployment", "web", "Scheduled")).get("reason") == "Suspended" and found
        )
        assert "ReplicasChanged" in scheduled["message"]
        await fed.leave("member2")  # suspended means: also when clusters change
        await always(lambda: fed.replicas("web") == {"member1": 1, "member2": 1}, seconds=0.2)


def rebalance(name: str, *workloads: str, **spec: Any) -> Manifest:
    listed = [{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": PLACE, "name": one} for one in workloads]
    return {"apiVersion": API, "kind": "Rebalance", "metadata": {"name": name}, "spec": {"workloads": listed, **spec}}


async def finished(fed: Federation, name: str) -> Manifest:
    """Its status once it is finished."""
    while True:
        status: Manifest = (await fed.client.get(REBALANCES, name)).get("status") or {}
        if status.get("finishTime"):
            return status
        await always(lambda: True, seconds=0.02)


async def drifted(fed: Federation) -> None:
    """Four replicas on member1 alone, although member2 has as much room since."""
    await fed.apply(web(on("member1") | dynamic()), deployment("web", PLACE, 4))
    await at(fed, member1=4)
    await fed.apply(web(on("member1", "member2") | dynamic()))
    await eventually(lambda: fed.decision("Deployment", "web").get("trigger") == "PlacementChanged")
    await at(fed, member1=4)


async def test_a_rebalance_divides_anew_and_says_what_became_of_each_workload() -> None:
    async with federation() as fed:
        await drifted(fed)
        await fed.client.create(REBALANCES, rebalance("now", "web", "absent"))
        await at(fed, member1=2, member2=2)
        status = await finished(fed, "now")
        web_result, absent = status["observedWorkloads"]
        assert (web_result["result"], absent["result"]) == ("Successful", "Failed")
        assert absent["reason"] == "ReferencedBindingNotFound"
        assert status["conditions"][0]["reason"] == "Failed"
        triggers = fed.decision("Deployment", "web")["trigger"]
        assert triggers == "RebalanceRequested"


async def test_a_rebalance_acts_once_and_a_restart_does_not_repeat_it() -> None:
    async with federation() as fed:
        await drifted(fed)
        await fed.client.create(REBALANCES, rebalance("now", "web"))
        await at(fed, member1=2, member2=2)
        await finished(fed, "now")
        epoch = fed.decision("Deployment", "web")["epoch"]
        await fed.kill()
        await fed.start()
        await fed.quiet()
        assert fed.decision("Deployment", "web")["epoch"] == epoch


async def test_a_workload_that_fits_nowhere_is_answered_once_it_does() -> None:
    async with federation() as fed:
        await drifted(fed)
        for name in ("member1", "member2"):
            await named(fed, name, None)
        await fed.apply(web({"clusterAffinity": {"labelSelector": {"matchLabels": {"name": "member2"}}}, **dynamic()}))
        await eventually(lambda: fed.condition("Deployment", "web", "Scheduled").get("status") == "False")
        await fed.client.create(REBALANCES, rebalance("now", "web"))
        await always(lambda: True, seconds=0.8)
        status: Manifest = (await fed.client.get(REBALANCES, "now"))["status"]
        assert status["observedWorkloads"][0]["reason"] == "NoSuccessor"
        assert "finishTime" not in status
        await named(fed, "member2", "member2")
        assert (await finished(fed, "now"))["observedWorkloads"][0]["result"] == "Successful"


async def test_a_finished_rebalance_is_removed_when_its_time_to_live_is_over() -> None:
    async with federation() as fed:
        await drifted(fed)
        await fed.client.create(REBALANCES, rebalance("now", "web", ttlSecondsAfterFinished=1))
        await finished(fed, "now")

        async def is_gone() -> bool:
            try:
                await fed.client.get(REBALANCES, "now")
            except NotFound:
                return True
            return False

        for _ in range(150):
            if await is_gone():
                return
            await always(lambda: True, seconds=0.02)
        raise AssertionError("it is still there")


def labelled(name: str, group: str) -> Manifest:
    found = deployment(name, PLACE, 2)
    found["metadata"]["labels"] = {"group": group}
    return found


def by_group(kind: str, *clusters: str) -> Manifest:
    placement = on(*clusters) | weights(**dict.fromkeys(clusters, 1))
    placement["workloadAffinity"] = {kind: {"groupByLabelKey": "group"}}
    return placement


async def test_workloads_of_one_anti_affinity_group_stay_apart_also_when_they_come_together() -> None:
    async with federation() as fed:
        placement = {
            **on("member1", "member2", "member3"),
            "workloadAffinity": {"antiAffinity": {"groupByLabelKey": "group"}},
        }
        placement |= {"replicaScheduling": {"replicaDivisionPreference": "Aggregated"}}
        names = ["a", "b", "c"]
        await fed.apply(
            policy("apart", PLACE, selector(), placement=placement), *(labelled(name, "db") for name in names)
        )
        await eventually(lambda: all(len(fed.replicas(name)) == 1 for name in names))
        assert {next(iter(fed.replicas(name))) for name in names} == {"member1", "member2", "member3"}
        await fed.apply(labelled("d", "db"), labelled("e", "other"))
        await eventually(lambda: len(fed.replicas("e")) == 1)
        refused = await eventually(
            lambda: (
                fed.condition("Deployment", "d", "Scheduled").get("status") == "False"
                and fed.condition("Deployment", "d", "Scheduled")
            )
        )
        assert "anti-affinity" in refused["message"]
        await fed.delete("Deployment", "b")
        await eventually(lambda: len(fed.replicas("d")) == 1)


async def test_workloads_of_one_affinity_group_go_where_the_first_went() -> None:
    async with federation() as fed:
        await fed.apply(
            policy("a", PLACE, selector(name="a"), placement=by_group("affinity", "member2")),
            policy("b", PLACE, selector(name="b"), placement=by_group("affinity", "member1", "member2")),
            labelled("a", "shop"),
        )
        await eventually(lambda: fed.replicas("a") == {"member2": 2})
        await fed.apply(labelled("b", "shop"))
        await eventually(lambda: fed.replicas("b") == {"member2": 2})
        assert fed.binding("Deployment", "b")["spec"]["workloadAffinityGroups"] == {"affinityGroup": "group=shop"}


def ranked(name: str, klass: str) -> Manifest:
    priority = {"priorityClassSource": "KubePriorityClass", "priorityClassName": klass}
    return policy(name, PLACE, selector(name=name), placement=on("member1"), schedulePriority=priority)


async def test_a_binding_has_the_value_of_its_priority_class_and_waits_until_there_is_one() -> None:
    async with federation() as fed:
        await fed.apply(ranked("web", "high"), deployment("web", PLACE, 1))

        def waiting_for() -> list[str]:
            found = fed.hub.objects(API, "PropagationPolicy", PLACE)
            return (found[0].get("status") or {}).get("waitingFor") or []

        await eventually(lambda: waiting_for() == [f"Deployment {PLACE}/web: there is no PriorityClass high"])
        assert fed.binding("Deployment", "web") is None
        metadata = {"name": "high"}
        await fed.client.create(
            PRIORITY_CLASSES,
            {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": metadata, "value": 7000},
        )
        await at(fed, member1=1)
        assert fed.binding("Deployment", "web")["spec"]["schedulePriority"] == {"priority": 7000}
        await fed.client.delete(PRIORITY_CLASSES, "high")
        await fed.quiet()
        assert fed.replicas("web") == {"member1": 1}, "what is placed stays"
