"""Deletion needs evidence (DESIGN section 4), on the sandbox: members that are away, hubs that went back or were rebuilt."""

import asyncio
from typing import Any

from federation.api.lines import Mark, parse_mark
from federation.api.meta import MARK_ANNOTATION, SYSTEM_NAMESPACE, Manifest
from federation.hub.record import RECORD, write_record
from federation.hub.timeline import Record, numbers_text, read_record, resumed
from federation.kube.errors import ApiError, NotFound, Unavailable
from federation.kube.resource import CONFIG_MAPS, CRDS, LEASES, NAMESPACES, RESOURCE_BINDINGS, Resource
from federation.kube.transport import Response
from federation.sandbox import ApiServer
from tests.e2e.manifests import config_map, deployment, on, policy, selector, weights, widget, widget_definition
from tests.integration.federation import PLACE, Federation, always, eventually, federation
from tests.integration.test_moves import unreachable

LEASE = "federation-leader"


async def place(fed: Federation, replicas: int = 2, *members: str, **spec: Any) -> dict[str, str]:
    """A Deployment on two members, settled; UIDs of the copies."""
    names = members or ("member1", "member2")
    await fed.apply(
        policy("web", PLACE, selector(name="web"), placement=on(*names), **spec), deployment("web", PLACE, replicas)
    )
    await eventually(lambda: fed.settled("Deployment", "web"))
    return uids(fed)


def uids(fed: Federation, name: str = "web", kind: str = "Deployment") -> dict[str, str]:
    found = {cluster: fed.copy(cluster, kind, name) for cluster in fed.members}
    return {cluster: one["metadata"]["uid"] for cluster, one in found.items() if one is not None}


def mark(fed: Federation, cluster: str, name: str = "web", kind: str = "Deployment") -> Mark:
    copy = fed.copy(cluster, kind, name)
    assert copy is not None
    found = parse_mark((copy["metadata"].get("annotations") or {}).get(MARK_ANNOTATION, ""))
    assert found is not None
    return found


def generations(fed: Federation, name: str = "web") -> dict[str, int]:
    found = {cluster: fed.copy(cluster, "Deployment", name) for cluster in fed.members}
    return {cluster: one["metadata"]["generation"] for cluster, one in found.items() if one is not None}


def binding_is_gone(fed: Federation) -> bool:
    return fed.binding("Deployment", "web") is None


def events(fed: Federation, reason: str) -> list[Manifest]:
    return [one for one in fed.hub.objects("v1", "Event") if one["reason"] == reason]


async def renew(fed: Federation) -> int:
    """What a leader does all the time: a newer Lease; its resourceVersion."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": LEASE, "namespace": SYSTEM_NAMESPACE},
        "spec": {"leaseTransitions": fed.hub.storage.version},
    }  # fmt: skip
    return int((await fed.client.apply(LEASES, lease))["metadata"]["resourceVersion"])


async def record(fed: Federation) -> Record:
    try:
        return read_record(await fed.client.get(CONFIG_MAPS, RECORD, SYSTEM_NAMESPACE))
    except NotFound:
        return Record()


async def behind(fed: Federation) -> bool:
    return (await record(fed)).behind is not None


async def resume(fed: Federation) -> None:
    """What `fedctl hub resume` writes."""
    after = resumed(await record(fed))
    await write_record(
        fed.client,
        {"incarnation": str(after.incarnation), "forks": numbers_text(after.forks), "behind": None},
    )


async def tell_time(fed: Federation) -> None:
    """Let the process learn of the newest Lease, so that marks that are written now carry it."""
    newest = await renew(fed)
    before = fed.hub.count("GET", "/leases")
    await eventually(lambda: fed.hub.count("GET", "/leases") > before + 1)
    assert newest


# A binding's end.


async def test_the_finalizer_waits_only_for_members_that_answer_and_one_that_returns_is_swept() -> None:
    async with federation() as fed:
        await place(fed)
        fed.members["member2"].server.down = True
        await eventually(lambda: fed.condition("Deployment", "web", "Ready").get("status") or True)
        await fed.delete("Deployment", "web")
        await eventually(lambda: binding_is_gone(fed))
        assert set(uids(fed)) == {"member2"}, "it could not be asked"
        fed.members["member2"].server.down = False
        await eventually(lambda: uids(fed) == {})


async def test_a_member_that_returns_after_our_restart_is_swept_too() -> None:
    async with federation() as fed:
        await place(fed)
        fed.members["member2"].server.down = True
        await fed.delete("Deployment", "web")
        await eventually(lambda: binding_is_gone(fed))
        await fed.kill()
        await fed.start()
        assert set(uids(fed)) == {"member2"}
        fed.members["member2"].server.down = False
        await eventually(lambda: uids(fed) == {})


async def test_a_template_made_again_while_its_member_was_out_of_the_question_adopts_its_copy_there_too() -> None:
    async with federation() as fed:
        before = await place(fed)
        fed.members["member2"].server.down = True
        await eventually(lambda: unreachable(fed, "member2"))
        await fed.delete("Deployment", "web")
        await eventually(lambda: binding_is_gone(fed))
        await fed.apply(deployment("web", PLACE, 2))
        await eventually(lambda: set(fed.decision("Deployment", "web").get("targets") or {}) == {"member1"})
        fed.members["member2"].server.down = False
        await eventually(lambda: "member2" in fed.decision("Deployment", "web")["targets"])
        await eventually(lambda: fed.settled("Deployment", "web") and "member2" in fed.lines("Deployment", "web"))
        assert uids(fed)["member2"] == before["member2"], "no decision ever dropped it"


async def test_a_template_made_again_under_the_same_name_meanwhile_adopts_its_copy_when_the_member_returns() -> None:
    async with federation() as fed:
        before = await place(fed)
        fed.members["member2"].server.down = True
        await fed.delete("Deployment", "web")
        await eventually(lambda: binding_is_gone(fed))
        await fed.apply(deployment("web", PLACE, 2))
        await eventually(lambda: "member1" in uids(fed))
        fed.members["member2"].server.down = False
        await eventually(lambda: fed.settled("Deployment", "web") and "member2" in fed.lines("Deployment", "web"))
        assert uids(fed)["member2"] == before["member2"], "adopted in place"
        assert (
            mark(fed, "member2").template_uid == fed.hub.objects("apps/v1", "Deployment", PLACE)[0]["metadata"]["uid"]
        )


async def test_a_copy_that_no_watch_has_shown_is_found_before_the_finalizer_goes() -> None:
    """Karmada's leak E3: the object was written, its reply and its watch event never came, the template goes."""
    async with federation(members=1) as fed:
        await place(fed, 1, "member1")  # the kind is watched
        server = fed.members["member1"].server

        def frozen(_method: str, path: str) -> Response | Exception | None:
            return Unavailable(0, "Frozen", "") if "watch=true" in path and "deployments" in path else None

        def lost(method: str, path: str) -> Response | Exception | None:
            return Unavailable(0, "Lost", "") if method == "PATCH" and "/api2" in path else None

        server.faults, server.reply_faults = frozen, lost
        server.cut_watches()
        await fed.apply(
            policy("api2", PLACE, selector(name="api2"), placement=on("member1")), deployment("api2", PLACE, 1)
        )
        await eventually(lambda: "member1" in uids(fed, "api2"))
        await fed.delete("Deployment", "api2")
        await eventually(lambda: fed.binding("Deployment", "api2") is None)
        assert uids(fed, "api2") == {}, "the finalizer went only after the copy"


async def test_a_binding_that_keeps_its_copies_waits_for_a_member_that_is_away() -> None:
    async with federation() as fed:
        before = await place(fed, preserveResourcesOnDeletion=True)
        fed.members["member2"].server.down = True
        await fed.delete("Deployment", "web")
        await eventually(lambda: MARK_ANNOTATION not in (fed.copy("member1", "Deployment", "web") or before)["metadata"].get("annotations", {}))  # fmt: skip
        await always(lambda: not binding_is_gone(fed), seconds=0.3)
        fed.members["member2"].server.down = False
        await eventually(lambda: binding_is_gone(fed), within=10)
        assert uids(fed) == before
        assert MARK_ANNOTATION not in (fed.copy("member2", "Deployment", "web") or {})["metadata"].get(
            "annotations", {}
        )


async def test_all_bindings_deleted_come_back_from_the_members_marks_and_nothing_is_written_but_marks() -> None:
    async with federation() as fed:
        await fed.apply(
            policy("web", PLACE, selector(name="web"), placement=on("member1", "member2") | weights(member1=1, member2=2)),
            deployment("web", PLACE, 6),
        )  # fmt: skip
        await eventually(lambda: fed.settled("Deployment", "web"))
        before, made = uids(fed), generations(fed)
        old = fed.binding("Deployment", "web")
        assert old is not None
        for one in fed.hub.objects("federation.dev/v1alpha1", "ResourceBinding"):
            await fed.client.delete(RESOURCE_BINDINGS, one["metadata"]["name"], one["metadata"]["namespace"])

        def anew() -> bool:
            found = fed.binding("Deployment", "web")
            return found is not None and found["metadata"]["uid"] != old["metadata"]["uid"]

        await eventually(anew)
        await eventually(lambda: fed.settled("Deployment", "web"))
        assert (uids(fed), generations(fed)) == (before, made)
        assert fed.decision("Deployment", "web")["targets"] == {"member1": 2, "member2": 4}
        assert not events(fed, "Stranded"), "an object is not stranded while its template exists and is claimed again"


async def test_a_binding_that_went_is_made_again_only_after_its_template_was_asked_for() -> None:
    async with federation() as fed:
        await fed.apply(
            policy("web", PLACE, selector(name="web"), placement=on("member1")), deployment("web", PLACE, 1)
        )
        await eventually(lambda: fed.settled("Deployment", "web"))
        old = fed.binding("Deployment", "web")
        assert old is not None
        mark = len(fed.hub.requests)
        await fed.client.delete(RESOURCE_BINDINGS, old["metadata"]["name"], PLACE)
        await eventually(
            lambda: any(one.method == "POST" and "/resourcebindings" in one.path for one in fed.hub.requests[mark:])
        )
        asked = [
            f"{one.method} {one.path.partition('?')[0]}" for one in fed.hub.requests[mark:]
            if one.path.partition("?")[0].endswith(("/deployments/web", "/resourcebindings"))
        ]  # fmt: skip
        made = next(number for number, one in enumerate(asked) if one.startswith("POST"))
        assert f"GET /apis/apps/v1/namespaces/{PLACE}/deployments/web" in asked[:made], "the cache may be late"


# Objects that no binding leads to.


async def stray(fed: Federation, name: str = "stray", **changes: str) -> None:
    """A ConfigMap in member1 that carries our mark and has no binding."""
    own = fed.copy("member1", "Deployment", "web")
    assert own is not None
    metadata = own["metadata"]
    text = metadata["annotations"][MARK_ANNOTATION]
    fields = dict(part.split("=", 1) for part in text.split())
    fields.update({"binding": f"{PLACE}/{name}-configmap-1", "template": "t", **changes})
    manifest = config_map(name, PLACE, labels=metadata["labels"])
    manifest["metadata"]["annotations"] = {MARK_ANNOTATION: " ".join(f"{key}={value}" for key, value in fields.items())}
    await fed.members["member1"].server.client(field_manager="federation").create(CONFIG_MAPS, manifest)


async def test_a_marked_object_without_binding_and_template_goes_and_one_of_another_hub_stays() -> None:
    async with federation() as fed:
        await place(fed)
        await fed.kill()
        await stray(fed)
        await stray(fed, "theirs", hub="another")
        await fed.start()
        await eventually(lambda: "member1" not in uids(fed, "stray", "ConfigMap"))
        await always(lambda: "member1" in uids(fed, "theirs", "ConfigMap"), seconds=0.3)


async def test_a_marked_object_without_binding_whose_template_exists_stays_and_goes_with_the_template() -> None:
    async with federation() as fed:
        await place(fed)
        await fed.apply(config_map("stray", PLACE), policy("any", PLACE, selector("ConfigMap", "other", api="v1")))
        await stray(fed)
        await fed.kill()
        await fed.start()
        await eventually(lambda: events(fed, "Stranded"))
        assert "no policy claims it" in events(fed, "Stranded")[0]["message"]
        await fed.delete("ConfigMap", "stray")
        await eventually(lambda: "member1" not in uids(fed, "stray", "ConfigMap"))


async def test_nothing_goes_while_the_hub_cannot_be_asked_for_the_template() -> None:
    async with federation() as fed:
        await place(fed)
        await fed.kill()
        await stray(fed)

        def refuse(method: str, path: str) -> Response | Exception | None:
            return (
                Unavailable(503, "Unavailable", "") if method == "GET" and path.endswith("/configmaps/stray") else None
            )

        fed.hub.faults = refuse
        await fed.start()
        await always(lambda: "member1" in uids(fed, "stray", "ConfigMap"), seconds=0.5)
        fed.hub.faults = None
        await eventually(lambda: "member1" not in uids(fed, "stray", "ConfigMap"))


# The hub went back in time.


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


async def test_our_finalizer_is_not_released_by_a_member_that_errs() -> None:
    async with federation(members=1) as fed:
        await place(fed, 1, "member1")
        server = fed.members["member1"].server

        def errs(method: str, path: str) -> Response | ApiError | None:
            return (
                Unavailable(500, "InternalError", "")
                if "/deployments/web" in path and method in ("GET", "DELETE")
                else None
            )

        server.faults = errs
        await fed.delete("Deployment", "web")
        await always(lambda: not binding_is_gone(fed), seconds=0.4)
        server.faults = None
        await eventually(lambda: binding_is_gone(fed) and uids(fed) == {}, within=10)


async def test_a_kind_that_is_defined_again_before_its_object_is_leaves_the_copy_until_the_object_returns() -> None:
    async with federation() as fed:
        group = "g.test"
        resource = Resource(group, "v1", "widgets", "Widget", namespaced=True)
        member = fed.members["member1"]
        for client in (fed.client, member.client()):
            await client.create(CRDS, widget_definition(group))
        await fed.apply(policy("w", PLACE, selector("Widget", api=f"{group}/v1"), placement=on("member1")))
        await fed.client.create(resource, widget(group, PLACE))
        copy = (await eventually(lambda: member.server.objects(f"{group}/v1", "Widget", PLACE), within=20))[0]
        await asyncio.sleep(1.1)  # times of creation are whole seconds
        await fed.client.delete(CRDS, f"widgets.{group}")
        await eventually(
            lambda: not fed.hub.objects(RESOURCE_BINDINGS.api_version, "ResourceBinding", PLACE), within=20
        )
        await fed.client.create(CRDS, widget_definition(group))
        await fed.kill()  # what a process remembers of it is not what saves the copy
        await fed.start()
        await asyncio.sleep(2.5)
        await fed.client.create(resource, widget(group, PLACE))
        await eventually(lambda: fed.hub.objects(RESOURCE_BINDINGS.api_version, "ResourceBinding", PLACE), within=20)
        found = member.server.objects(f"{group}/v1", "Widget", PLACE)
        assert [one["metadata"]["uid"] for one in found] == [copy["metadata"]["uid"]]
