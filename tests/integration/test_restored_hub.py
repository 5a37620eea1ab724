"""A hub that was restored from a backup, or rebuilt: what its members remember is not undone (decision 0005), on the sandbox."""

import asyncio

import pytest

from federation.api.meta import SYSTEM_NAMESPACE
from federation.hub.fleet import Member
from federation.hub.record import record_of, write_record
from federation.hub.timeline import Record, numbers_text, resumed
from federation.kube.resource import CRDS, DEPLOYMENTS, LEASES, NAMESPACES
from federation.sandbox import ApiServer
from federation.sandbox.registry import DEFINITIONS
from federation.sandbox.storage import Address
from tests.e2e.manifests import deployment, on, policy, selector, weights
from tests.integration.federation import PLACE, Federation, always, eventually, federation
from tests.integration.test_deletion import events, generations, mark, place, uids

LEASE = "federation-leader"


async def renew(fed: Federation) -> int:
    """What a leader does all the time: a newer Lease; its resourceVersion."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": LEASE, "namespace": SYSTEM_NAMESPACE},
        "spec": {"leaseTransitions": fed.hub.storage.version},
    }  # fmt: skip
    return int((await fed.client.apply(LEASES, lease))["metadata"]["resourceVersion"])


async def tell_time(fed: Federation) -> None:
    """Let the process learn of the newest Lease, so that marks that are written now carry it."""
    newest = await renew(fed)
    before = fed.hub.count("GET", "/leases")
    await eventually(lambda: fed.hub.count("GET", "/leases") > before + 1)
    assert newest


async def record(fed: Federation) -> Record:
    return (await record_of(fed.client))[0]


async def resume(fed: Federation) -> None:
    """What `fedctl hub resume` writes."""
    after = resumed(await record(fed))
    await write_record(
        fed.client,
        {"incarnation": str(after.incarnation), "forks": numbers_text(after.forks), "behind": None},
    )


async def behind(fed: Federation) -> bool:
    return (await record(fed)).behind is not None


async def later(fed: Federation) -> None:
    """What happens after the snapshot: a new application, another image, fewer and more replicas."""
    await tell_time(fed)
    await fed.apply(policy("new", PLACE, selector(name="new"), placement=on("member1")), deployment("new", PLACE, 1))
    await fed.scale("web", 4)
    await eventually(lambda: fed.settled("Deployment", "new") and fed.replicas("web") == {"member1": 4, "member2": 4})
    await eventually(lambda: fed.settled("Deployment", "web"))
    await tell_time(fed)


async def test_a_hub_restored_from_an_older_snapshot_removes_nothing_and_says_so() -> None:
    async with federation() as fed:
        await place(fed)
        await tell_time(fed)
        backup = fed.hub.storage.snapshot()
        await later(fed)
        before = {name: uids(fed, name) for name in ("web", "new")}
        await fed.kill()
        fed.hub.storage.restore(backup)
        fed.hub.expire(running=True)
        await fed.start()
        assert await behind(fed)
        await always(lambda: fed.replicas("web") == {"member1": 4, "member2": 4}, seconds=0.5)
        assert {name: uids(fed, name) for name in ("web", "new")} == before
        assert events(fed, "HubBehindMembers")
        await eventually(lambda: fed.decision("Deployment", "web")["epoch"] > 1)
        await eventually(lambda: fed.lines("Deployment", "web")["member1"].get("reason") == "HubBehindMembers")
        await fed.kill()
        await fed.start()
        await always(lambda: uids(fed, "new") == before["new"], seconds=0.3)


async def test_after_a_resume_the_hub_has_its_way_and_what_it_never_knew_is_stranded_for_ever() -> None:
    async with federation() as fed:
        await place(fed)
        await tell_time(fed)
        backup = fed.hub.storage.snapshot()
        await later(fed)
        stranded = uids(fed, "new")
        await fed.kill()
        fed.hub.storage.restore(backup)
        fed.hub.expire(running=True)
        await fed.start()
        assert await behind(fed)
        await resume(fed)
        await eventually(
            lambda: fed.replicas("web") == {"member1": 2, "member2": 2} and fed.settled("Deployment", "web")
        )
        assert (await record(fed)).incarnation == 2
        await eventually(lambda: any("history" in one["message"] for one in events(fed, "Stranded")))
        await fed.kill()
        await fed.start()
        assert not await behind(fed)
        await always(lambda: uids(fed, "new") == stranded, seconds=0.3)
        await fed.apply(
            policy("new", PLACE, selector(name="new"), placement=on("member1")), deployment("new", PLACE, 1)
        )
        await eventually(lambda: fed.settled("Deployment", "new"))
        assert uids(fed, "new") == stranded, "adopted when its template returned"
        assert mark(fed, "member1", "new").at is not None
        assert mark(fed, "member1", "new").at.incarnation == 2  # type: ignore[union-attr]


async def test_while_behind_what_only_grows_goes_on() -> None:
    async with federation() as fed:
        await place(fed)
        await tell_time(fed)
        backup = fed.hub.storage.snapshot()
        await later(fed)
        await fed.kill()
        fed.hub.storage.restore(backup)
        fed.hub.expire(running=True)
        await fed.start()
        await fed.apply(
            policy("more", PLACE, selector(name="more"), placement=on("member3")), deployment("more", PLACE, 2)
        )
        await eventually(lambda: fed.settled("Deployment", "more"))
        await fed.delete("Deployment", "more")
        await always(lambda: fed.replicas("more") == {"member3": 2}, seconds=0.4)
        await resume(fed)
        await eventually(lambda: fed.replicas("more") == {}, within=10)


async def test_an_honest_restart_is_never_behind_and_reads_only() -> None:
    async with federation() as fed:
        await place(fed)
        await later(fed)
        await eventually(lambda: fed.settled("Deployment", "web") and fed.settled("Deployment", "new"))
        await fed.kill()
        before = len(fed.hub.requests), {name: len(one.server.requests) for name, one in fed.members.items()}
        await fed.start()
        await always(lambda: True, seconds=0.4)
        assert not await behind(fed)
        hub = [one for one in fed.hub.requests[before[0] :] if one.method != "GET" and "/clusters/" not in one.path]
        assert hub == []
        for name, one in fed.members.items():
            assert [entry for entry in one.server.requests[before[1][name] :] if entry.method != "GET"] == []


async def test_a_member_that_was_away_when_the_hub_was_restored_still_tells_when_it_returns() -> None:
    async with federation() as fed:
        await place(fed, 2, "member2")
        await tell_time(fed)
        backup = fed.hub.storage.snapshot()
        await tell_time(fed)
        await fed.apply(
            policy("new", PLACE, selector(name="new"), placement=on("member2")), deployment("new", PLACE, 1)
        )
        await eventually(lambda: fed.settled("Deployment", "new"))
        await fed.kill()
        fed.hub.storage.restore(backup)
        fed.hub.expire(running=True)
        fed.members["member2"].server.down = True
        await fed.start()
        assert not await behind(fed)
        assert set((await record(fed)).unseen) == {"member2"}
        for _ in range(40):
            await renew(fed)  # the hub goes on, past what it once was
        await fed.kill()
        await fed.start()
        fed.members["member2"].server.down = False
        await eventually(lambda: fed.hub.objects("v1", "Event") and events(fed, "HubBehindMembers"))
        assert await behind(fed)
        await always(lambda: "member2" in uids(fed, "new"), seconds=0.3)
        assert (await record(fed)).unseen == {}


async def test_a_process_under_which_the_hub_is_restored_notices_remembers_it_and_ends() -> None:
    async with federation() as fed:
        await place(fed)
        await tell_time(fed)
        backup = fed.hub.storage.snapshot()
        await later(fed)
        fed.hub.storage.restore(backup)
        await eventually(lambda: not fed.running)
        assert await behind(fed)
        await fed.kill()
        await fed.start()
        await always(lambda: "member1" in uids(fed, "new") and fed.replicas("web")["member1"] == 4, seconds=0.3)


# The hub was rebuilt.


async def rebuild(fed: Federation, identity: str) -> None:
    """An empty API server in place of the hub's, with the identity of the old one, the members joined again."""
    await fed.kill()
    fed.hub = ApiServer("hub")
    fed.client = fed.hub.client(field_manager="user")
    await fed.prepare()
    await write_record(fed.client, {"id": identity})


async def identity_of(fed: Federation) -> str:
    return str((await fed.client.get(NAMESPACES, "kube-system"))["metadata"]["uid"])


async def test_a_hub_rebuilt_from_git_takes_its_decisions_from_the_members_marks_and_touches_marks_only() -> None:
    async with federation() as fed:
        placement = on("member1", "member2", "member3") | weights(member1=1, member2=1, member3=1)
        yaml = (policy("web", PLACE, selector(name="web"), placement=placement), deployment("web", PLACE, 7))
        await fed.apply(*yaml)
        await eventually(lambda: fed.settled("Deployment", "web"))
        await tell_time(fed)
        await fed.apply(policy("late", PLACE, selector(name="late")), deployment("late", PLACE, 1))
        await eventually(lambda: fed.settled("Deployment", "late"))
        shares, made, copies, late = fed.replicas("web"), generations(fed), uids(fed), uids(fed, "late")
        templates = {mark(fed, "member1").template_uid}
        await rebuild(fed, await identity_of(fed))
        await fed.start()
        assert await behind(fed), "the Leases of an empty hub are younger than the marks"
        await fed.apply(*yaml)
        await eventually(lambda: fed.settled("Deployment", "web"))
        assert fed.decision("Deployment", "web")["targets"] == shares
        assert (fed.replicas("web"), generations(fed), uids(fed)) == (shares, made, copies)
        assert mark(fed, "member1").template_uid not in templates
        await always(lambda: uids(fed, "late") == late, seconds=0.3)
        await resume(fed)
        await always(lambda: uids(fed, "late") == late, seconds=0.3)
        await fed.apply(policy("late", PLACE, selector(name="late")), deployment("late", PLACE, 1))
        await eventually(lambda: fed.settled("Deployment", "late"))
        assert uids(fed, "late") == late


async def test_a_hub_with_another_identity_touches_nothing_of_the_old_one() -> None:
    async with federation() as fed:
        before = await place(fed)
        await rebuild(fed, "")
        await fed.start()
        await fed.apply(
            policy("web", PLACE, selector(name="web"), placement=on("member1", "member2")), deployment("web", PLACE, 5)
        )
        await eventually(lambda: fed.lines("Deployment", "web").get("member1", {}).get("reason") == "AlreadyExists")
        assert uids(fed) == before
        assert fed.replicas("web") == {"member1": 2, "member2": 2}


async def test_a_cluster_that_went_with_its_definition_loses_no_copy_while_its_connection_still_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The watch of one member ends late: the other, whose Cluster is gone as well, stays connected for that time."""
    close = Member.close

    async def slowly(member: Member) -> None:
        await close(member)
        await asyncio.sleep(0.5)

    monkeypatch.setattr(Member, "close", slowly)
    async with federation(2) as fed:
        before = await place(fed)
        await fed.client.delete(CRDS, "clusters.federation.dev")
        for name in fed.members:
            await fed.gone(name)
        await eventually(lambda: not fed.hub.kinds.find("federation.dev", "v1alpha1", "clusters"))
        await fed.client.merge_patch(DEPLOYMENTS, "web", PLACE, {"metadata": {"annotations": {"seen": "again"}}})
        await always(lambda: uids(fed) == before, seconds=0.7)
        assert not [one for one in fed.member_writes() if "DELETE" in one]


async def test_clusters_that_go_with_their_definition_one_after_the_other_move_no_replicas() -> None:
    async with federation(2) as fed:
        shares = on("member1", "member2") | weights(member1=1, member2=1)
        await fed.apply(policy("web", PLACE, selector(name="web"), placement=shares), deployment("web", PLACE, 4))
        await eventually(lambda: fed.replicas("web") == {"member1": 2, "member2": 2})
        address = Address(DEFINITIONS, "", "clusters.federation.dev")
        definition = fed.hub.storage.get(address)
        assert definition is not None
        ending = {**definition["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["cleanup"]}
        fed.hub.storage.put(address, {**definition, "metadata": ending})  # the sandbox's collector takes all at once
        await fed.leave("member1")
        await always(lambda: fed.replicas("web") == {"member1": 2, "member2": 2}, seconds=0.5)
