"""What a watch means to an API server, and that the reflector keeps a store by it."""

import asyncio
from contextlib import suppress

import orjson

from federation.kube.client import METADATA
from federation.kube.reflector import Reflector
from federation.kube.resource import CONFIG_MAPS
from federation.kube.store import Store
from tests.integration.conftest import Api


def path(api: Api, version: str = "", more: str = "") -> str:
    query = (
        f"watch=true&timeoutSeconds=5&fieldSelector=metadata.name!%3Dkube-root-ca.crt&resourceVersion={version}{more}"
    )
    return f"{CONFIG_MAPS.path(api.namespace)}?{query}"


async def version_now(api: Api) -> str:
    return (await api.client.list(CONFIG_MAPS, api.namespace)).resource_version


async def test_a_watch_from_nowhere_begins_with_what_there_is(api: Api) -> None:
    await api.create("a")
    await api.create("b")

    events = await api.events(path(api), 2)

    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
    ]
    assert events[0]["object"]["kind"] == "ConfigMap"


async def test_a_watch_from_a_version_shows_what_came_after(api: Api) -> None:
    await api.create("old")
    version = await version_now(api)
    created = await api.create("a")
    await api.client.merge_patch(CONFIG_MAPS, "a", api.namespace, {"data": {"x": "1"}})
    await api.client.delete(CONFIG_MAPS, "a", api.namespace)

    events = await api.events(path(api, version), 3)

    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert {event["object"]["metadata"]["uid"] for event in events} == {created["metadata"]["uid"]}
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert events[2]["object"]["data"] == {"x": "1"}


async def test_a_watch_goes_on_with_what_happens_later(api: Api) -> None:
    version = await version_now(api)
    waiting = asyncio.create_task(api.events(path(api, version), 1))
    await asyncio.sleep(0.1)

    await api.create("later")

    assert [event["object"]["metadata"]["name"] for event in await waiting] == ["later"]


async def test_an_object_enters_and_leaves_a_selection(api: Api) -> None:
    version = await version_now(api)
    await api.create("a", metadata={"labels": {"in": "no"}})
    for value in ("yes", "no"):
        await api.client.merge_patch(CONFIG_MAPS, "a", api.namespace, {"metadata": {"labels": {"in": value}}})

    events = await api.events(path(api, version, "&labelSelector=in%3Dyes"), 2)

    assert [event["type"] for event in events] == ["ADDED", "DELETED"]
    assert [event["object"]["metadata"]["labels"]["in"] for event in events] == ["yes", "yes"]
    last = (await api.get())["metadata"]["resourceVersion"]
    assert events[1]["object"]["metadata"]["resourceVersion"] == last


async def test_a_watch_of_metadata_shows_metadata(api: Api) -> None:
    await api.create(data={"x": "1"})

    events = await api.events(path(api), 1, accept=METADATA)

    assert (events[0]["object"]["kind"], "data" in events[0]["object"]) == ("PartialObjectMetadata", False)


async def test_a_watch_ends_when_its_time_is_up(api: Api) -> None:
    query = "watch=true&timeoutSeconds=1&resourceVersion=0"
    async with asyncio.timeout(8), api.transport.stream(f"{CONFIG_MAPS.path(api.namespace)}?{query}") as stream:
        async for _ in stream.chunks():
            pass


async def test_the_initial_events_of_a_streaming_list_end_with_a_bookmark(api: Api) -> None:
    await api.create()
    more = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"

    events = await api.events(path(api, "", more), 2)

    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_reflector_keeps_a_store_equal(api: Api) -> None:
    await api.create("kept", metadata={"labels": {"mine": "yes"}})
    store = Store()
    reflector = Reflector(api.client, CONFIG_MAPS, store, namespace=api.namespace, label_selector="mine")
    running = asyncio.create_task(reflector.run())
    try:
        async with asyncio.timeout(10):
            await store.wait_synced()
            await api.create("new", metadata={"labels": {"mine": "yes"}})
            await api.client.delete(CONFIG_MAPS, "kept", api.namespace)
            while {entry.name for entry in store.values()} != {"new"}:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_a_refused_watch_says_why(api: Api) -> None:
    async with api.transport.stream(path(api).replace("configmaps", "nopes")) as stream:
        body = b"".join([chunk async for chunk in stream.chunks()])

    assert (stream.status, orjson.loads(body)["reason"]) == (404, "NotFound")
