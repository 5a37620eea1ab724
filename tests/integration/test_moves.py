"""Moves end to end, in process: every state of the members is looked at, not only the last one (I1 to I4)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from federation.api.lines import parse_mark
from federation.api.meta import MARK_ANNOTATION, Manifest
from federation.hub.settings import Settings
from federation.kube.errors import Unavailable
from federation.kube.resource import CLUSTERS, RESOURCE_BINDINGS
from tests.e2e.manifests import config_map, deployment, on, policy, selector, weights
from tests.integration.federation import PLACE, Federation, always, eventually, federation

LOST = Unavailable(0, "Timeout", "lost")


def epoch(copy: Manifest) -> int:
    return parse_mark(copy["metadata"]["annotations"][MARK_ANNOTATION]).epoch


class Watched:
    """Replicas written and available over all members, at every state of any of them."""

    def __init__(self, fed: Federation) -> None:
        self.fed = fed
        self.most, self.least = 0, 10**9

    def look(self) -> None:
        found = [self.fed.copy(name, "Deployment", "web") for name in self.fed.members]
        there = [one for one in found if one is not None]
        self.most = max(self.most, sum(one["spec"]["replicas"] for one in there))
        available = [
            min((one.get("status") or {}).get("availableReplicas", 0), one["spec"]["replicas"]) for one in there
        ]
        self.least = min(self.least, sum(available))


@contextmanager
def watched(fed: Federation) -> Iterator[Watched]:
    found = Watched(fed)
    stops = []
    for member in fed.members.values():
        collection = member.server.kind("apps/v1", "Deployment").collection
        stops.append(member.server.storage.listen(collection, lambda _event: found.look()))
    found.look()
    yield found
    for stop in stops:
        stop()


def web(**shares: int) -> Manifest:
    return policy("web", PLACE, selector(name="web"), placement=on(*shares) | weights(**shares))


async def placed(fed: Federation, replicas: int, **shares: int) -> None:
    await fed.apply(web(**shares), deployment("web", PLACE, replicas))
    await eventually(lambda: fed.settled("Deployment", "web"))


async def test_an_edited_policy_moves_a_workload_without_a_dip_and_within_its_surge() -> None:
    async with federation() as fed:
        await placed(fed, 8, member1=1, member2=1)
        with watched(fed) as seen:
            await fed.apply(web(member2=1, member3=1))
            await eventually(
                lambda: fed.replicas("web") == {"member2": 4, "member3": 4} and fed.settled("Deployment", "web")
            )
        assert seen.least == 8, "what was available stays available"
        assert seen.most <= 8 + 2, "25 % of 8 is the workload's own maxSurge"


async def test_an_old_copy_stays_while_the_new_one_is_not_available() -> None:
    async with federation() as fed:
        await placed(fed, 3, member1=1)
        fed.works = lambda cluster, _: cluster != "member3"
        await fed.apply(web(member3=1))
        await eventually(lambda: fed.condition("Deployment", "web", "Scheduled").get("reason") == "Moving")
        await eventually(lambda: fed.replicas("web") == {"member1": 3, "member3": 1})
        await always(lambda: fed.replicas("web") == {"member1": 3, "member3": 1}, seconds=0.3)
        fed.works = lambda *_: True
        await eventually(lambda: fed.replicas("web") == {"member3": 3} and fed.settled("Deployment", "web"))


async def test_open_moves_survive_a_restart() -> None:
    async with federation() as fed:
        await placed(fed, 3, member1=1)
        fed.works = lambda cluster, _: cluster != "member3"
        await fed.apply(web(member3=1))
        await eventually(lambda: fed.replicas("web") == {"member1": 3, "member3": 1})
        await fed.kill()
        fed.works = lambda *_: True
        await fed.start()
        await eventually(lambda: fed.replicas("web") == {"member3": 3} and fed.settled("Deployment", "web"))


async def test_a_label_taken_off_a_cluster_moves_its_share() -> None:
    async with federation() as fed:
        placement = {"clusterAffinity": {"labelSelector": {"matchLabels": {"use": "yes"}}}} | weights(
            member1=1, member2=1
        )
        for name in ("member1", "member2"):
            await fed.client.merge_patch(CLUSTERS, name, None, {"metadata": {"labels": {"use": "yes"}}})
        await fed.apply(policy("web", PLACE, selector(name="web"), placement=placement), deployment("web", PLACE, 4))
        await eventually(lambda: fed.settled("Deployment", "web"))
        with watched(fed) as seen:
            await fed.client.merge_patch(CLUSTERS, "member1", None, {"metadata": {"labels": {"use": None}}})
            await eventually(lambda: fed.replicas("web") == {"member2": 4} and fed.settled("Deployment", "web"))
        assert (seen.least, fed.decision("Deployment", "web")["trigger"]) == (4, "ClusterIneligible")


async def test_a_no_execute_taint_moves_a_share_and_one_that_is_tolerated_for_a_while_does_so_later() -> None:
    async with federation() as fed:
        await placed(fed, 4, member1=1, member2=1)
        taint = {"key": "drain", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}
        with watched(fed) as seen:
            await fed.client.merge_patch(CLUSTERS, "member1", None, {"spec": {"taints": [taint]}})
            await eventually(lambda: fed.replicas("web") == {"member2": 4} and fed.settled("Deployment", "web"))
        assert (seen.least, fed.decision("Deployment", "web")["trigger"]) == (4, "Evicted")


async def test_where_nothing_fits_the_old_copy_stays_and_the_binding_says_no_successor() -> None:
    async with federation() as fed:
        await placed(fed, 2, member1=1)
        taint = {"key": "drain", "effect": "NoExecute"}
        await fed.client.merge_patch(CLUSTERS, "member1", None, {"spec": {"taints": [taint]}})
        scheduled = await eventually(
            lambda: (found := fed.condition("Deployment", "web", "Scheduled")).get("status") == "False" and found
        )
        assert scheduled["reason"] == "NoSuccessor"
        assert "member1" in scheduled["message"]
        await always(lambda: fed.replicas("web") == {"member1": 2}, seconds=0.2)


async def test_new_replicas_that_fail_leave_the_old_ones_and_say_no_successor() -> None:
    async with federation() as fed:
        await placed(fed, 2, member1=1)
        failed = {
            "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}],
            "observedGeneration": 1,
        }
        fed.works = lambda cluster, _: cluster != "member2"
        settle = fed.members["member2"].settle
        fed.members["member2"].settle = lambda **_: 0
        await fed.apply(web(member2=1))
        copy = await eventually(lambda: fed.copy("member2", "Deployment", "web"))
        fed.members["member2"].write_status(copy, failed)
        await eventually(lambda: fed.condition("Deployment", "web", "Scheduled").get("reason") == "NoSuccessor")
        assert fed.replicas("web")["member1"] == 2
        fed.members["member2"].settle = settle
        fed.works = lambda *_: True
        await eventually(lambda: fed.replicas("web") == {"member2": 2} and fed.settled("Deployment", "web"))
        assert fed.condition("Deployment", "web", "Scheduled")["reason"] == "Scheduled"


async def test_a_duplicated_copy_goes_only_when_the_new_one_serves() -> None:
    async with federation() as fed:
        await fed.apply(
            policy("web", PLACE, selector(name="web"), placement=on("member1")), deployment("web", PLACE, 2)
        )
        await eventually(lambda: fed.settled("Deployment", "web"))
        fed.works = lambda cluster, _: cluster != "member2"
        await fed.apply(policy("web", PLACE, selector(name="web"), placement=on("member2")))
        await eventually(lambda: fed.replicas("web") == {"member1": 2, "member2": 2})
        await always(lambda: fed.replicas("web") == {"member1": 2, "member2": 2}, seconds=0.2)
        fed.works = lambda *_: True
        await eventually(lambda: fed.replicas("web") == {"member2": 2} and fed.settled("Deployment", "web"))


async def test_an_object_without_replicas_moves_too() -> None:
    async with federation() as fed:
        chosen = selector("ConfigMap", "app", api="v1")
        await fed.apply(policy("app", PLACE, chosen, placement=on("member1")), config_map("app", PLACE))
        await eventually(lambda: fed.settled("ConfigMap", "app"))
        await fed.apply(policy("app", PLACE, chosen, placement=on("member2")))
        await eventually(
            lambda: fed.copy("member2", "ConfigMap", "app") and not fed.copy("member1", "ConfigMap", "app")
        )
        assert fed.decision("ConfigMap", "app")["targets"] == {"member2": 0}


@pytest.mark.parametrize("mode", ["remove", "keep"])
async def test_a_cluster_that_leaves_gives_its_share_up_only_when_others_serve_it(mode: str) -> None:
    async with federation() as fed:
        await placed(fed, 4, member1=1, member2=1)
        with watched(fed) as seen:
            await fed.leave("member1", mode)
            await eventually(
                lambda: fed.replicas("web").get("member2") == 4 and "member1" not in fed.lines("Deployment", "web")
            )
        if mode == "remove":
            assert (seen.least, fed.replicas("web")) == (4, {"member2": 4})
        else:
            kept = fed.copy("member1", "Deployment", "web")
            assert "federation.dev/mark" not in (kept["metadata"].get("annotations") or {})


async def test_a_cluster_whose_copies_fit_nowhere_else_keeps_them_and_does_not_leave() -> None:
    async with federation() as fed:
        await placed(fed, 2, member1=1)
        await fed.leave("member1")
        await eventually(lambda: fed.condition("Deployment", "web", "Scheduled").get("reason") == "NoSuccessor")
        await always(lambda: fed.replicas("web") == {"member1": 2}, seconds=0.2)
        assert "member1" in fed.lines("Deployment", "web"), "so leave waits"
        await fed.apply(web(member1=1, member2=1))
        await eventually(
            lambda: fed.replicas("web") == {"member2": 2} and "member1" not in fed.lines("Deployment", "web")
        )


async def test_a_leave_that_waits_ends_when_it_is_told_to_keep_what_is_there() -> None:
    async with federation() as fed:
        await placed(fed, 2, member1=1)
        await fed.leave("member1")
        await eventually(lambda: fed.condition("Deployment", "web", "Scheduled").get("reason") == "NoSuccessor")
        await fed.leave("member1", "keep")
        await eventually(lambda: "member1" not in fed.lines("Deployment", "web"))
        kept = fed.copy("member1", "Deployment", "web")
        assert MARK_ANNOTATION not in (kept["metadata"].get("annotations") or {})


async def test_a_pinned_share_holds_and_ends_with_its_time() -> None:
    async with federation() as fed:
        await placed(fed, 6, member1=1, member2=1, member3=1)
        await pin(fed, {"member1": 4}, seconds=3600)
        await eventually(lambda: fed.replicas("web") == {"member1": 4, "member2": 1, "member3": 1})
        assert fed.decision("Deployment", "web")["trigger"] == "Pinned"
        await fed.scale("web", 8)
        await eventually(lambda: fed.replicas("web") == {"member1": 4, "member2": 2, "member3": 2})
        await pin(fed, {"member1": 4}, seconds=0.3)
        # Which of three equal clusters gets the smaller share follows from the template's UID.
        await eventually(lambda: sorted(fed.replicas("web").values()) == [2, 3, 3], within=8)


async def pin(fed: Federation, shares: dict[str, int], *, seconds: float) -> None:
    until = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    name = fed.binding("Deployment", "web")["metadata"]["name"]
    await fed.client.merge_patch(RESOURCE_BINDINGS, name, PLACE, {"spec": {"pin": {"shares": shares, "until": until}}})


async def test_a_cluster_taken_back_before_its_removal_was_confirmed_gets_a_new_epoch_in_its_mark() -> None:
    async with federation() as fed:
        await placed(fed, 2, member1=1, member2=1)
        before = fed.copy("member1", "Deployment", "web")
        fed.members["member1"].server.faults = lambda method, _: LOST if method == "DELETE" else None
        await fed.apply(web(member2=1))
        await eventually(lambda: set(fed.decision("Deployment", "web")["targets"]) == {"member2"})
        await fed.apply(web(member1=1, member2=1))
        # A write, so that a late DELETE fails on its resourceVersion.
        await eventually(lambda: epoch(fed.copy("member1", "Deployment", "web")) > epoch(before))
        await eventually(lambda: fed.settled("Deployment", "web"))
        assert fed.copy("member1", "Deployment", "web")["metadata"]["uid"] == before["metadata"]["uid"]


async def test_while_a_member_does_not_answer_new_replicas_go_elsewhere_and_healing_deletes_nothing() -> None:
    async with federation() as fed:
        await placed(fed, 3, member1=1, member2=1, member3=1)
        uids = {name: fed.copy(name, "Deployment", "web")["metadata"]["uid"] for name in fed.members}
        fed.members["member3"].server.down = True
        fed.members["member3"].server.cut_watches()
        await eventually(lambda: unreachable(fed, "member3"))
        await fed.scale("web", 7)
        await eventually(lambda: fed.replicas("web") == {"member1": 3, "member2": 3, "member3": 1})
        await asyncio.sleep(0.1)
        fed.members["member3"].server.down = False
        await eventually(lambda: fed.settled("Deployment", "web"), within=5)
        assert fed.replicas("web") == {"member1": 3, "member2": 3, "member3": 1}
        assert {name: fed.copy(name, "Deployment", "web")["metadata"]["uid"] for name in fed.members} == uids


@pytest.mark.parametrize("shares", [{"member1": 1, "member2": 1, "member3": 1}, {"member3": 1}])
async def test_a_binding_that_is_lost_while_a_member_is_away_takes_nothing_from_it(shares: dict[str, int]) -> None:
    async with federation() as fed:
        await placed(fed, 3, **shares)
        wanted = fed.replicas("web")
        fed.members["member3"].server.down = True
        fed.members["member3"].server.cut_watches()
        await eventually(lambda: unreachable(fed, "member3"))
        lost = fed.binding("Deployment", "web")
        await fed.client.delete(RESOURCE_BINDINGS, lost["metadata"]["name"], PLACE)
        await eventually(
            lambda: (fed.binding("Deployment", "web") or lost)["metadata"]["uid"] != lost["metadata"]["uid"]
        )
        await eventually(lambda: fed.decision("Deployment", "web"))
        assert fed.replicas("web") == wanted
        fed.members["member3"].server.down = False
        await eventually(lambda: fed.settled("Deployment", "web"), within=10)
        assert fed.replicas("web") == wanted
        assert fed.decision("Deployment", "web")["targets"] == wanted


def unreachable(fed: Federation, name: str) -> bool:
    cluster = next(one for one in fed.hub.objects(CLUSTERS.api_version, "Cluster") if one["metadata"]["name"] == name)
    return any(taint["key"] == "federation.dev/unreachable" for taint in cluster["status"].get("taints") or [])


async def test_a_move_is_no_news_for_the_template_and_costs_four_writes_of_the_hub() -> None:
    # A window that every rollout here ends in: else a slow machine adds a report of it.
    async with federation(settings=Settings(probe_period=0.05, window_first=1.0, brake_objects=1000)) as fed:
        await placed(fed, 1, member1=1)
        await fed.quiet()
        before = len(fed.hub.requests)
        await fed.apply(web(member3=1))
        await eventually(lambda: fed.replicas("web") == {"member3": 1} and fed.settled("Deployment", "web"))
        await fed.quiet()
        written = [one for one in fed.hub.requests[before:] if "fieldManager=federation" in one.path]
        counted = [one.path.split("?")[0] for one in written if not any(word in one.path for word in NOT_COUNTED)]
        assert all("resourcebindings" in path for path in counted), (counted, fed.hub.requests[before:])
        assert len(counted) == 4


NOT_COUNTED = ("/events", "/leases", "propagationpolicies", "/clusters/")
