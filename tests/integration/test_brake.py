"""The brake on the sandbox (I15): what is over the limit stays, says so, and goes when a human approves it, that plan only."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from federation.api.meta import SYSTEM_NAMESPACE
from federation.cli.approve import approve
from federation.cli.clusters import remaining
from federation.cli.held import by_plan, get_held, held_changes
from federation.cli.session import Refused
from federation.hub.brake import LEASE, WINDOW_ANNOTATION, Brake, Verdict
from federation.hub.brake_window import parse_window
from federation.hub.caches import HubCaches
from federation.hub.fleet import Fleet
from federation.hub.held import APPROVALS, Cause, Change
from federation.hub.settings import Settings
from federation.kube.client import Client
from federation.kube.errors import Unavailable
from federation.kube.resource import LEASES, PROPAGATION_POLICIES
from federation.sandbox import ApiServer
from tests.e2e.manifests import Manifest, config_map, deployment, on, policy, selector
from tests.integration.federation import PLACE, Federation, always, eventually, federation
from tests.integration.test_replicas import holders, hub_and_members, replicas

QUICK: dict[str, Any] = {
    "probe_period": 0.05, "failure_threshold": 0.2, "success_threshold": 0.05, "window_first": 0.02, "window_last": 0.1,
}  # fmt: skip
DEFAULTS = Settings(**QUICK)
SHORT = Settings(**QUICK, brake_seconds=1.0, member_timeout=1.0)
"""A window of a second, in which a write may take another."""


def names(count: int, prefix: str = "c") -> list[str]:
    return [f"{prefix}{number:02}" for number in range(count)]


async def placed(fed: Federation, templates: list[str], *clusters: str) -> None:
    """ConfigMaps of these names in these clusters, settled."""
    chosen = [selector("ConfigMap", name, api="v1") for name in templates]
    await fed.apply(policy("all", PLACE, *chosen, placement=on(*clusters)))
    await fed.apply(*(config_map(name, PLACE) for name in templates))
    await eventually(lambda: all(fed.settled("ConfigMap", name) for name in templates), within=20)


async def remove(fed: Federation, templates: list[str]) -> None:
    await asyncio.gather(*(fed.delete("ConfigMap", name) for name in templates))


def copies(fed: Federation, cluster: str = "member1") -> list[str]:
    found = fed.members[cluster].server.objects("v1", "ConfigMap", PLACE)
    return sorted(one["metadata"]["name"] for one in found if one["metadata"]["name"] != "kube-root-ca.crt")


def held(fed: Federation, templates: list[str], cluster: str = "member1") -> list[str]:
    return [name for name in templates if fed.lines("ConfigMap", name).get(cluster, {}).get("reason") == "Held"]


async def plans(fed: Federation, capsys: pytest.CaptureFixture[str]) -> list[Manifest]:
    """What `fedctl get held -o json` prints."""
    capsys.readouterr()
    await get_held(fed.client, "json")
    found: list[Manifest] = json.loads(capsys.readouterr().out)
    return found


async def test_of_twenty_deleted_templates_the_limit_goes_and_the_rest_is_held_and_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with federation(1, settings=DEFAULTS) as fed:
        templates = names(20)
        await placed(fed, templates, "member1")
        await remove(fed, templates)
        await eventually(lambda: len(held(fed, templates)) == 15)
        await always(lambda: len(copies(fed)) == 15, seconds=0.5)

        (plan,) = await plans(fed, capsys)
        assert (plan["deletes"], plan["shrinks"], plan["clusters"]) == (15, 0, ["member1"])
        assert plan["cause"] == f"templates deleted in namespace {PLACE}"
        assert plan["objects"] == [f"ConfigMap {PLACE}/{name}" for name in copies(fed)]
        applied = fed.condition("ConfigMap", copies(fed)[0], "FullyApplied")
        assert (applied["status"], applied["reason"]) == ("False", "Held")
        assert f"fedctl approve {plan['id']}" in applied["message"]
        events = [one for one in fed.hub.objects("v1", "Event", PLACE) if one["reason"] == "Held"]
        assert len(events) == 15
        assert {one["involvedObject"]["kind"] for one in events} == {"ResourceBinding"}


async def test_what_is_approved_goes_and_a_later_change_of_the_same_cause_is_held_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with federation(1, settings=DEFAULTS) as fed:
        templates, later = names(10), names(2, "later")
        await placed(fed, [*templates, *later], "member1")
        await remove(fed, templates)
        await eventually(lambda: len(held(fed, templates)) == 5)
        (plan,) = await plans(fed, capsys)
        await approve(fed.client, plan["id"], yes=True)
        await eventually(lambda: copies(fed) == later)
        await eventually(lambda: not any(fed.binding("ConfigMap", name) for name in templates))

        await remove(fed, later)
        await eventually(lambda: held(fed, later) == later)
        await always(lambda: copies(fed) == later, seconds=0.3)
        (again,) = await plans(fed, capsys)
        assert again["id"] == plan["id"], "one cause is one plan, but its approval names changes"


async def test_nothing_is_approved_that_is_not_held_and_nothing_without_a_yes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with federation(1, settings=DEFAULTS) as fed:
        templates = names(6)
        await placed(fed, templates, "member1")
        with pytest.raises(Refused, match="nothing is held"):
            await approve(fed.client, "00000000", yes=True)
        await remove(fed, templates)
        await eventually(lambda: len(held(fed, templates)) == 1)
        (plan,) = await plans(fed, capsys)
        monkeypatch.setattr("click.confirm", lambda _question: False)
        with pytest.raises(Refused, match="nothing was approved"):
            await approve(fed.client, plan["id"], yes=False)
        assert f"delete {plan['objects'][0]} in member1" in capsys.readouterr().out
        assert not [
            one for one in fed.hub.objects("v1", "ConfigMap", SYSTEM_NAMESPACE) if one["metadata"]["name"] == APPROVALS
        ]


async def test_a_policy_that_drops_a_cluster_from_thirty_bindings_is_held_after_the_limit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with federation(2, settings=DEFAULTS) as fed:
        templates = names(30)
        await placed(fed, templates, "member1", "member2")
        change = {"spec": {"placement": on("member1")}}
        await fed.client.merge_patch(PROPAGATION_POLICIES, "all", PLACE, change)
        # Ten per cent of the sixty copies: six.
        await eventually(lambda: len(held(fed, templates, "member2")) == 24)
        await always(lambda: len(copies(fed, "member2")) == 24, seconds=0.3)
        (plan,) = await plans(fed, capsys)
        assert plan["cause"] == f"PropagationPolicy {PLACE}/all (generation 2) moved its objects"

        # Wanted again: nothing is held any more, and nothing was removed by it.
        await fed.client.merge_patch(
            PROPAGATION_POLICIES, "all", PLACE, {"spec": {"placement": on("member1", "member2")}}
        )
        await eventually(lambda: not held(fed, templates, "member2") and len(copies(fed, "member2")) == 30)
        assert await plans(fed, capsys) == []


async def test_a_scale_down_counts_once_a_copy_and_a_held_one_keeps_its_replicas(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with federation(2, settings=DEFAULTS) as fed:
        webs = names(4, "w")
        chosen = [selector(name=name) for name in webs]
        await fed.apply(policy("webs", PLACE, *chosen, placement=on("member1", "member2")))
        await fed.apply(*(deployment(name, PLACE, 3) for name in webs))
        await eventually(lambda: all(fed.settled("Deployment", name) for name in webs))
        for name in webs:
            await fed.scale(name, 2)

        def numbers() -> list[int]:
            return sorted(number for name in webs for number in fed.replicas(name).values())

        await eventually(lambda: numbers() == [2] * 5 + [3] * 3)
        await eventually(lambda: sum(len(_held_of(fed, name)) for name in webs) == 3)
        (plan,) = await plans(fed, capsys)
        assert (plan["shrinks"], plan["deletes"]) == (3, 0)
        assert plan["cause"] == f"templates scaled down in namespace {PLACE}"
        for name in webs:
            await fed.scale(name, 3)
        # Growth is never held, and what nobody wants to shrink any more is not either.
        await eventually(lambda: numbers() == [3] * 8 and all(fed.settled("Deployment", name) for name in webs))


def _held_of(fed: Federation, name: str) -> list[str]:
    lines = fed.lines("Deployment", name)
    return [cluster for cluster, line in lines.items() if line.get("reason") == "Held"]


async def test_what_is_held_stays_held_after_the_window_and_after_a_restart_and_new_changes_pass() -> None:
    async with federation(1, settings=SHORT) as fed:
        templates, later = names(8), names(3, "later")
        await placed(fed, [*templates, *later], "member1")
        await remove(fed, templates)
        await eventually(lambda: len(held(fed, templates)) == 3)
        stay = sorted([*held(fed, templates), *later])
        await fed.kill()
        await asyncio.sleep(2.5)
        await fed.start()
        await always(lambda: copies(fed) == stay, seconds=0.5)
        await remove(fed, later)
        await eventually(lambda: not set(copies(fed)) & set(later))
        assert len(held(fed, templates)) == 3


async def test_a_restart_in_between_gives_no_second_limit() -> None:
    async with federation(1, settings=DEFAULTS) as fed:
        templates = names(20)
        await placed(fed, templates, "member1")
        await fed.kill()
        await remove(fed, templates[:10])
        await fed.start()
        await eventually(lambda: len(copies(fed)) == 15)
        await fed.kill()
        await remove(fed, templates[10:])
        await fed.start()
        await eventually(lambda: len(held(fed, templates)) == 15)
        assert len(copies(fed)) == 15


async def test_a_leaving_cluster_is_held_too_but_keeping_its_copies_is_not() -> None:
    async with federation(2, settings=DEFAULTS) as fed:
        templates = names(8)
        await placed(fed, templates, "member1", "member2")
        await fed.leave("member2")
        await eventually(lambda: len(held(fed, templates, "member2")) == 3)
        assert len(copies(fed, "member2")) == 3
        assert all("fedctl approve" in text for text in await remaining(fed.client, "member2")), (
            "the command says how on"
        )
        await fed.leave("member1", "keep")
        await eventually(lambda: not any("member1" in fed.lines("ConfigMap", name) for name in templates))
        assert len(copies(fed, "member1")) == 8


async def test_without_an_answer_about_the_window_nothing_destructive_is_sent() -> None:
    async with federation(1, settings=DEFAULTS) as fed:
        await placed(fed, ["one"], "member1")
        fed.hub.faults = _only_leases
        await fed.delete("ConfigMap", "one")
        await always(lambda: copies(fed) == ["one"], seconds=0.7)
        assert not held(fed, ["one"])
        fed.hub.faults = None
        await eventually(lambda: copies(fed) == [])


def _only_leases(_method: str, path: str) -> Exception | None:
    return Unavailable(503, "ServiceUnavailable", "away") if "/leases" in path else None


# The gate by itself, several of them on one hub.


class Processes:
    """Brakes of several processes on one hub."""

    def __init__(self, count: int, settings: Settings = DEFAULTS) -> None:
        self.hub = ApiServer(namespaces=("kube-system", SYSTEM_NAMESPACE))
        self.now = 1000.0
        self.brakes: list[Brake] = []
        for _ in range(count):
            caches = HubCaches(Client(self.hub.transport()), hub_id="hub")
            self.brakes.append(Brake(caches, Fleet(caches, settings), settings, wall=lambda: self.now))

    async def lease(self) -> Manifest:
        return await self.hub.client().get(LEASES, LEASE, SYSTEM_NAMESPACE)


def asked(count: int, prefix: str = "u") -> list[Change]:
    cause = Cause("deleted shop", "templates deleted")
    return [Change(cluster="m1", uid=f"{prefix}{number}", what="delete", cause=cause) for number in range(count)]


async def test_replicas_share_one_window_exactly() -> None:
    processes = Processes(3)
    changes = asked(30)
    verdicts = await asyncio.gather(
        *(processes.brakes[number % 3].allow(change) for number, change in enumerate(changes))
    )
    assert verdicts.count(Verdict.ALLOWED) == 5
    assert verdicts.count(Verdict.HELD) == 25
    text = (await processes.lease())["metadata"]["annotations"][WINDOW_ANNOTATION]
    assert sum(count for _, count, _ in parse_window(text).taken) == 5


async def test_askers_of_one_process_share_one_write() -> None:
    processes = Processes(1, Settings(brake_objects=1000))
    await asyncio.gather(*(processes.brakes[0].allow(change) for change in asked(500)))
    writes = [entry for entry in processes.hub.requests if entry.method in ("POST", "PUT")]
    assert len(writes) <= 2


async def test_the_same_delete_asked_again_costs_nothing_more_and_a_held_one_stays_held() -> None:
    processes = Processes(1)
    brake, changes = processes.brakes[0], asked(6)
    verdicts = [await brake.allow(change) for change in changes]
    assert [await brake.allow(change) for change in changes] == verdicts
    assert verdicts == [Verdict.ALLOWED] * 5 + [Verdict.HELD]
    processes.now += 71
    assert await brake.allow(changes[0]) is Verdict.ALLOWED
    held_change = Change(cluster="m1", uid="u5", what="delete", cause=changes[5].cause, held=True)
    assert await brake.allow(held_change) is Verdict.HELD, "its line says so, and no time frees it"


async def test_a_lease_that_was_removed_or_cannot_be_read_frees_nothing() -> None:
    processes = Processes(1)
    brake, client = processes.brakes[0], processes.hub.client()
    for change in asked(5):
        assert await brake.allow(change) is Verdict.ALLOWED
    await client.delete(LEASES, LEASE, SYSTEM_NAMESPACE)
    assert await brake.allow(asked(1, "more")[0]) is Verdict.HELD
    await client.merge_patch(LEASES, LEASE, SYSTEM_NAMESPACE, {"metadata": {"annotations": {WINDOW_ANNOTATION: "?"}}})
    assert await brake.allow(asked(1, "other")[0]) is Verdict.HELD
    processes.now += 72
    assert await brake.allow(asked(1, "third")[0]) is Verdict.ALLOWED


async def test_a_lost_reply_costs_tokens_and_never_gives_more() -> None:
    processes = Processes(2)
    brake = processes.brakes[0]
    client = brake._caches.client
    store, lost = client.create, []

    async def losing(*arguments: Any, **named: Any) -> Manifest:
        answer = await store(*arguments, **named)
        if not lost:
            lost.append(answer)
            raise Unavailable(0, "", "the connection broke")
        return answer

    client.create = losing  # type: ignore[method-assign]
    verdicts = await asyncio.gather(*(brake.allow(change) for change in asked(3)))
    assert verdicts == [Verdict.LATER, Verdict.ALLOWED, Verdict.ALLOWED]
    verdicts = [await processes.brakes[1].allow(change) for change in asked(5)]
    assert verdicts.count(Verdict.ALLOWED) == 2, "three tokens are taken, of which one is known to nobody"


async def test_two_replicas_share_the_window_and_wait_for_each_other_without_asking() -> None:
    async with hub_and_members() as fed, replicas(fed, "one", "two"):
        await eventually(lambda: sorted(Counter(holders(fed).values()).values()) == [2, 2])
        templates, owners = names(10), holders(fed)
        assert owners["shard-3"] != owners["shard-1"], "member1 and member2 have different owners"
        await placed(fed, templates, "member1", "member2")
        await remove(fed, templates)

        def left() -> int:
            return len(copies(fed)) + len(copies(fed, "member2"))

        await eventually(lambda: left() == 15 and len(held(fed, templates) + held(fed, templates, "member2")) == 15)
        await asyncio.sleep(0.5)
        before = len(fed.hub.requests)
        await always(lambda: left() == 15, seconds=1)
        looks = [one for one in fed.hub.requests[before:] if one.method == "GET" and "/configmaps/c" in one.path]
        assert looks == [], "what is held waits for an approval, not for a poll"

        (plan,) = by_plan(await held_changes(fed.client))
        await approve(fed.client, plan, yes=True)
        await eventually(lambda: left() == 0 and not any(fed.binding("ConfigMap", name) for name in templates))
