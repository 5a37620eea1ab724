"""What deletion means to an API server: preconditions, finalizers, owners, namespaces."""

from typing import Any

import pytest

from federation.kube.errors import Conflict, Forbidden, Invalid, NotFound
from federation.kube.resource import CONFIG_MAPS, NAMESPACES
from tests.integration.conftest import Api

HELD = {"finalizers": ["example.dev/held"]}


def owner(manifest: dict[str, Any], *, block: bool = False) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": manifest["metadata"]["name"],
        "uid": manifest["metadata"]["uid"],
        "blockOwnerDeletion": block,
    }


async def release(api: Api, name: str = "a") -> dict[str, Any]:
    return await api.client.merge_patch(CONFIG_MAPS, name, api.namespace, {"metadata": {"finalizers": None}})


async def test_a_deleted_object_is_gone_and_its_name_is_free(api: Api) -> None:
    first = await api.create()

    await api.client.delete(CONFIG_MAPS, "a", api.namespace)

    with pytest.raises(NotFound):
        await api.get()
    second = await api.create()
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


async def test_a_deletion_of_nothing_is_not_found(api: Api) -> None:
    with pytest.raises(NotFound):
        await api.client.delete(CONFIG_MAPS, "nope", api.namespace)


async def test_a_deletion_of_another_uid_or_version_is_a_conflict(api: Api) -> None:
    created = await api.create()

    with pytest.raises(Conflict):
        await api.client.delete(CONFIG_MAPS, "a", api.namespace, uid="other")
    with pytest.raises(Conflict):
        await api.client.delete(CONFIG_MAPS, "a", api.namespace, resource_version="1")

    metadata = created["metadata"]
    await api.client.delete(
        CONFIG_MAPS, "a", api.namespace, uid=metadata["uid"], resource_version=metadata["resourceVersion"]
    )
    with pytest.raises(NotFound):
        await api.get()


async def test_a_deletion_waits_for_finalizers(api: Api) -> None:
    await api.create(metadata=HELD)

    await api.client.delete(CONFIG_MAPS, "a", api.namespace)
    waiting = await api.get()
    await api.client.delete(CONFIG_MAPS, "a", api.namespace)
    again = await api.get()
    await release(api)

    assert waiting["metadata"]["deletionTimestamp"]
    assert again == waiting
    with pytest.raises(NotFound):
        await api.get()


async def test_a_deleted_object_takes_no_new_finalizers(api: Api) -> None:
    await api.create(metadata=HELD)
    await api.client.delete(CONFIG_MAPS, "a", api.namespace)

    more = {"metadata": {"finalizers": [*HELD["finalizers"], "example.dev/more"]}}
    with pytest.raises(Invalid):
        await api.client.merge_patch(CONFIG_MAPS, "a", api.namespace, more)

    await release(api)


async def test_a_deletion_cannot_be_taken_back(api: Api) -> None:
    await api.create(metadata=HELD)
    await api.client.delete(CONFIG_MAPS, "a", api.namespace)

    patched = await api.client.merge_patch(
        CONFIG_MAPS, "a", api.namespace, {"metadata": {"deletionTimestamp": None}, "data": {"x": "1"}}
    )

    assert patched["metadata"]["deletionTimestamp"]
    assert patched["data"] == {"x": "1"}
    await release(api)


async def test_a_dry_run_deletes_nothing(api: Api) -> None:
    await api.create()

    status, _ = await api.send("DELETE", CONFIG_MAPS.path(api.namespace, "a") + "?dryRun=All")

    assert status == 200
    assert await api.get()


async def test_an_unknown_propagation_policy_is_refused(api: Api) -> None:
    await api.create()

    with pytest.raises(Invalid):
        await api.client.delete(CONFIG_MAPS, "a", api.namespace, propagation="Sideways")


async def test_a_collection_is_deleted_by_selector(api: Api) -> None:
    await api.create("a", metadata={"labels": {"go": "yes"}})
    await api.create("b")

    status, _ = await api.send("DELETE", f"{CONFIG_MAPS.path(api.namespace)}?labelSelector=go")

    assert status == 200
    await api.gone(CONFIG_MAPS, "a", api.namespace)
    assert await api.get("b")


async def test_dependents_follow_their_owner(api: Api) -> None:
    parent = await api.create("parent")
    await api.create("child", metadata={"ownerReferences": [owner(parent)]})

    await api.client.delete(CONFIG_MAPS, "parent", api.namespace)

    await api.gone(CONFIG_MAPS, "child", api.namespace)


async def test_an_object_whose_owner_never_was_is_collected(api: Api) -> None:
    ghost = {"metadata": {"name": "ghost", "uid": "00000000-0000-0000-0000-000000000000"}}

    await api.create("child", metadata={"ownerReferences": [owner(ghost)]})

    await api.gone(CONFIG_MAPS, "child", api.namespace)


async def test_a_dependent_with_another_owner_stays_and_forgets_the_first(api: Api) -> None:
    first, second = await api.create("first"), await api.create("second")
    await api.create("child", metadata={"ownerReferences": [owner(first), owner(second)]})

    await api.client.delete(CONFIG_MAPS, "first", api.namespace)

    async def forgotten() -> bool:
        owners = (await api.get("child"))["metadata"]["ownerReferences"]
        return [entry["name"] for entry in owners] == ["second"]

    await api.eventually(forgotten)


async def test_orphans_stay_and_forget_their_owner(api: Api) -> None:
    parent = await api.create("parent")
    await api.create("child", metadata={"ownerReferences": [owner(parent)]})

    await api.client.delete(CONFIG_MAPS, "parent", api.namespace, propagation="Orphan")

    await api.gone(CONFIG_MAPS, "parent", api.namespace)
    assert "ownerReferences" not in (await api.get("child"))["metadata"]


async def test_a_foreground_deletion_waits_for_dependents_that_block_it(api: Api) -> None:
    parent = await api.create("parent")
    await api.create("child", metadata={**HELD, "ownerReferences": [owner(parent, block=True)]})

    await api.client.delete(CONFIG_MAPS, "parent", api.namespace, propagation="Foreground")

    async def child_is_deleted() -> bool:
        return "deletionTimestamp" in (await api.get("child"))["metadata"]

    await api.eventually(child_is_deleted)
    waiting = await api.get("parent")
    assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
    child = {"metadata": {"finalizers": None}}
    await api.client.merge_patch(CONFIG_MAPS, "child", api.namespace, child)
    await api.gone(CONFIG_MAPS, "parent", api.namespace)
    await api.gone(CONFIG_MAPS, "child", api.namespace)


async def test_a_namespace_goes_with_all_that_is_in_it(api: Api) -> None:
    await api.create()

    await api.client.delete(NAMESPACES, api.namespace)

    await api.gone(NAMESPACES, api.namespace)
    assert not (await api.client.list(CONFIG_MAPS, api.namespace)).items


async def test_a_namespace_waits_for_what_is_in_it_and_takes_nothing_new(api: Api) -> None:
    await api.create(metadata=HELD)

    await api.client.delete(NAMESPACES, api.namespace)

    async def content_is_deleted() -> bool:
        return "deletionTimestamp" in (await api.get())["metadata"]

    await api.eventually(content_is_deleted)
    waiting = await api.client.get(NAMESPACES, api.namespace)
    assert waiting["status"]["phase"] == "Terminating"
    with pytest.raises(Forbidden) as caught:
        await api.create("late")
    assert [cause.reason for cause in caught.value.causes] == ["NamespaceTerminating"]
    await release(api)
    await api.gone(NAMESPACES, api.namespace)
