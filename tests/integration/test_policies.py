"""Who claims what, in process: preemption, and policies that are replaced while what they placed runs on (Karmada #7253)."""

from typing import Any

import pytest

from federation.kube.resource import CONFIG_MAPS, PROPAGATION_POLICIES
from tests.e2e.manifests import Manifest, config_map, deployment, on, policy, selector, weights
from tests.integration.federation import PLACE, Federation, always, eventually, federation

WEB = selector(name="web")
MAP = selector("ConfigMap", "app", api="v1")


def condition(status: Manifest, kind: str = "Ready") -> Manifest:
    return next((one for one in status.get("conditions") or [] if one["type"] == kind), {})


def job(name: str) -> Manifest:
    container = {"name": "once", "image": "registry.test/once:1"}
    spec = {
        "parallelism": 2,
        "completions": 2,
        "template": {"spec": {"containers": [container], "restartPolicy": "Never"}},
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": PLACE}, "spec": spec}


def holds(fed: Federation) -> set[str]:
    return {name for name in fed.members if fed.copy(name, "ConfigMap", "app")}


async def edit(fed: Federation, name: str, **spec: Any) -> None:
    await fed.client.merge_patch(PROPAGATION_POLICIES, name, PLACE, {"spec": spec})


async def test_a_higher_policy_that_preempts_takes_over_and_both_statuses_name_the_other() -> None:
    async with federation() as fed:
        await fed.apply(policy("low", PLACE, MAP, placement=on("member1")), config_map("app", PLACE))
        await eventually(lambda: holds(fed) == {"member1"})
        await fed.apply(policy("high", PLACE, MAP, placement=on("member2"), priority=5))
        await always(lambda: fed.claimed_by("ConfigMap", "app") == "low", seconds=0.2)
        await eventually(lambda: fed.policy_status("PropagationPolicy", "high").get("lost"))
        assert "keeps it" in fed.policy_status("PropagationPolicy", "high")["lost"][0]

        await edit(fed, "high", preemption="Always")
        await eventually(lambda: holds(fed) == {"member2"})
        low = await eventually(lambda: (one := fed.policy_status("PropagationPolicy", "low")).get("lost") and one)
        assert low["lost"] == [
            "ConfigMap shop/app: PropagationPolicy high takes it with preemption: Always: its priority 5 is above 0"
        ]
        assert (low["claimed"], "preempted" in low) == (0, False)
        high = await eventually(
            lambda: (one := fed.policy_status("PropagationPolicy", "high")).get("preempted") and one
        )
        assert high["preempted"] == ["ConfigMap shop/app from PropagationPolicy low"]
        assert (high["claimed"], high["placed"], "lost" in high) == (1, 1, False)
        assert condition(high)["reason"] == "Placed"


async def test_a_namespaced_policy_takes_from_a_cluster_wide_one_and_never_the_other_way_round() -> None:
    async with federation() as fed:
        wide = policy("wide", None, {**MAP, "namespace": PLACE}, placement=on("member1"), priority=100)
        await fed.apply(wide, config_map("app", PLACE))
        await eventually(lambda: holds(fed) == {"member1"})
        await fed.apply(policy("near", PLACE, MAP, placement=on("member2"), preemption="Always"))
        await eventually(lambda: holds(fed) == {"member2"})
        wider = policy(
            "wider", None, {**MAP, "namespace": PLACE}, placement=on("member3"), priority=200, preemption="Always"
        )
        await fed.apply(wider)
        await always(lambda: fed.claimed_by("ConfigMap", "app") == "near", seconds=0.3)
        status = await eventually(lambda: fed.policy_status("ClusterPropagationPolicy", "wider").get("lost"))
        assert "PropagationPolicy near" in status[0]


@pytest.mark.parametrize("place", [PLACE, None], ids=["namespaced", "cluster-wide"])
async def test_lowering_a_priority_lets_the_policy_between_take_over(place: str | None) -> None:
    async with federation() as fed:
        chosen = {**MAP, "namespace": PLACE}
        first = policy("first", place, chosen, placement=on("member1"), priority=4)
        between = policy("between", place, chosen, placement=on("member2"), priority=3, preemption="Always")
        below = policy("below", place, chosen, placement=on("member3"), priority=1, preemption="Always")
        await fed.apply(first, between, below, config_map("app", PLACE))
        await eventually(lambda: holds(fed) == {"member1"})
        await always(lambda: fed.claimed_by("ConfigMap", "app") == "first", seconds=0.2)
        first["spec"]["priority"] = 2
        await fed.apply(first)
        await eventually(lambda: holds(fed) == {"member2"})
        assert fed.claimed_by("ConfigMap", "app") == "between"


async def test_what_a_policy_names_no_longer_stays_as_it_is_and_follows_no_later_edit() -> None:
    async with federation() as fed:
        await fed.apply(policy("one", PLACE, MAP, placement=on("member1")), config_map("app", PLACE))
        await eventually(lambda: fed.settled("ConfigMap", "app"))
        await edit(fed, "one", resourceSelectors=[selector("ConfigMap", "other", api="v1")])
        await eventually(lambda: fed.claimed_by("ConfigMap", "app") == "")
        await edit(fed, "one", placement=on("member3"))
        await always(lambda: holds(fed) == {"member1"}, seconds=0.3)
        status = await eventually(lambda: (one := fed.policy_status("PropagationPolicy", "one")) and one)
        assert status["claimed"] == 0
        assert condition(status)["reason"] == "NothingSelected"


async def test_what_was_never_placed_goes_nowhere_when_its_policy_is_deleted() -> None:
    async with federation() as fed:
        await fed.apply(policy("one", PLACE, MAP, placement=on("nowhere")), config_map("app", PLACE))
        await eventually(lambda: fed.condition("ConfigMap", "app", "Scheduled").get("status") == "False")
        await fed.delete("PropagationPolicy", "one")
        await fed.client.merge_patch(CONFIG_MAPS, "app", PLACE, {"data": {"key": "other"}})
        await always(lambda: holds(fed) == set(), seconds=0.3)
        await fed.apply(policy("two", PLACE, MAP, placement=on("member2")))
        await eventually(lambda: holds(fed) == {"member2"})


async def test_a_policy_that_becomes_invalid_keeps_what_it_has_and_changes_nothing() -> None:
    async with federation() as fed:
        await fed.apply(policy("one", PLACE, MAP, placement=on("member1")), config_map("app", PLACE))
        await eventually(lambda: fed.settled("ConfigMap", "app"))
        await fed.apply(policy("two", PLACE, MAP, placement=on("member2")))
        bad = [{**MAP, "namespace": "elsewhere"}, MAP]
        await edit(fed, "one", resourceSelectors=bad, placement=on("member3"))
        await eventually(lambda: condition(fed.policy_status("PropagationPolicy", "one")).get("reason") == "Invalid")
        await always(lambda: holds(fed) == {"member1"}, seconds=0.2)
        assert fed.claimed_by("ConfigMap", "app") == "one"


def swapped(name: str, *shares: str, **spec: Any) -> Manifest:
    selectors = [WEB, selector("Job", "once", api="batch/v1")]
    return policy(name, PLACE, *selectors, placement=on(*shares) | weights(**dict.fromkeys(shares, 1)), **spec)


async def replace(fed: Federation, *shares: str) -> None:
    """Delete, then create."""
    await fed.delete("PropagationPolicy", "old")
    await fed.apply(swapped("new", *shares))


async def replace_the_other_way_round(fed: Federation, *shares: str) -> None:
    """Create, then delete."""
    await fed.apply(swapped("new", *shares))
    await fed.delete("PropagationPolicy", "old")


async def preempt(fed: Federation, *shares: str) -> None:
    """A higher one takes over."""
    await fed.apply(swapped("new", *shares, priority=1, preemption="Always"))


async def hand_over(fed: Federation, *shares: str) -> None:
    """By an edit of both policies' selectors."""
    taken = swapped("new", *shares)
    selectors = taken["spec"]["resourceSelectors"]
    await fed.apply({**taken, "spec": {**taken["spec"], "resourceSelectors": [selector(name="else")]}})
    await edit(fed, "old", resourceSelectors=[selector(name="else")])
    await edit(fed, "new", resourceSelectors=selectors)


WAYS = [replace, replace_the_other_way_round, preempt, hand_over]


async def _running(fed: Federation) -> None:
    await fed.apply(swapped("old", "member1", "member2"), deployment("web", PLACE, 4), job("once"))
    await eventually(
        lambda: fed.settled("Deployment", "web") and len(fed.decision("Job", "once").get("targets", {})) == 2
    )
    await eventually(lambda: all(fed.copy(name, "Job", "once") for name in ("member1", "member2")))
    await fed.quiet()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_swap_of_equal_policies_writes_nothing_to_members_and_keeps_the_decision(way: Any) -> None:
    async with federation() as fed:
        await _running(fed)
        writes = fed.member_writes()
        decisions = [fed.decision("Deployment", "web"), fed.decision("Job", "once")]
        uids = [fed.copy(name, "Deployment", "web")["metadata"]["uid"] for name in ("member1", "member2")]
        await way(fed, "member1", "member2")
        await eventually(lambda: {fed.claimed_by("Deployment", "web"), fed.claimed_by("Job", "once")} == {"new"})
        await fed.quiet()
        assert fed.member_writes() == writes
        assert [fed.decision("Deployment", "web"), fed.decision("Job", "once")] == decisions
        assert [fed.copy(name, "Deployment", "web")["metadata"]["uid"] for name in ("member1", "member2")] == uids


def _to(fed: Federation, member: str) -> list[str]:
    return [one for one in fed.member_writes() if one.startswith(f"{member} ") and "/deployments/" in one]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_swap_to_another_placement_makes_before_it_breaks(way: Any) -> None:
    async with federation() as fed:
        await _running(fed)
        least, before = [4], _to(fed, "member2")

        def look(_event: object) -> None:
            copies = [fed.copy(name, "Deployment", "web") for name in fed.members]
            ready = [(one.get("status") or {}).get("availableReplicas", 0) for one in copies if one]
            wanted = [one["spec"]["replicas"] for one in copies if one]
            least.append(sum(map(min, ready, wanted)))

        stops = [
            member.server.storage.listen(member.server.kind("apps/v1", "Deployment").collection, look)
            for member in fed.members.values()
        ]
        await way(fed, "member2", "member3")
        await eventually(
            lambda: fed.replicas("web") == {"member2": 2, "member3": 2} and fed.settled("Deployment", "web")
        )
        for stop in stops:
            stop()
        assert min(least) == 4
        assert _to(fed, "member2") == before, "what stays is not touched"
