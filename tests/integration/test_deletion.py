"""Deletion needs evidence (DESIGN section 4), on the sandbox: members that are away, objects without a binding."""

import asyncio
from typing import Any

from federation.api.lines import Mark, parse_mark
from federation.api.meta import MARK_ANNOTATION, Manifest
from federation.kube.errors import ApiError, Unavailable
from federation.kube.resource import CONFIG_MAPS, CRDS, RESOURCE_BINDINGS, Resource
from federation.kube.transport import Response
from tests.e2e.manifests import config_map, deployment, on, policy, selector, weights, widget, widget_definition
from tests.integration.federation import PLACE, Federation, always, eventually, federation
from tests.integration.test_moves import unreachable


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
