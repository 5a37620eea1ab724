"""What the sandbox offers beyond an API: faults, a log of requests, and members whose workloads settle."""

import asyncio
from typing import Any

import pytest

from federation.kube.client import Client
from federation.kube.errors import AlreadyExists, Gone, TooManyRequests, Unavailable, error_from
from federation.kube.reflector import lines
from federation.kube.resource import CONFIG_MAPS, NODES, Resource
from federation.kube.transport import Response
from federation.sandbox import ApiServer, Member

DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", namespaced=True, status=True)
JOBS = Resource("batch", "v1", "jobs", "Job", namespaced=True, status=True)


def config_map(name: str = "a", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, **fields}


def workload(api_version: str, kind: str, **spec: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}
    if kind != "Job":
        spec["selector"] = {"matchLabels": labels}
    metadata = {"name": "web", "namespace": "default"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": {**spec, "template": pod}}


@pytest.fixture
def server() -> ApiServer:
    return ApiServer("member1")


@pytest.fixture
def client(server: ApiServer) -> Client:
    return server.client()


async def test_requests_are_logged_with_their_answers(server: ApiServer, client: Client) -> None:
    await client.create(CONFIG_MAPS, config_map())
    with pytest.raises(AlreadyExists):
        await client.create(CONFIG_MAPS, config_map())

    path = "/api/v1/namespaces/default/configmaps?fieldManager=federation"
    assert server.requests == [("POST", path, 201), ("POST", path, 409)]
    assert server.count("POST", "configmaps") == 2


async def test_a_fault_strikes_before_anything_is_written(server: ApiServer, client: Client) -> None:
    server.faults = lambda method, _: Unavailable(0, "Unreachable", "gone") if method == "POST" else None

    with pytest.raises(Unavailable):
        await client.create(CONFIG_MAPS, config_map())

    assert not server.objects("v1", "ConfigMap")
    assert server.requests[-1].status == 0


async def test_a_lost_reply_leaves_the_write_done(server: ApiServer, client: Client) -> None:
    server.reply_faults = lambda method, _: Unavailable(0, "Timeout", "lost") if method == "POST" else None

    with pytest.raises(Unavailable):
        await client.create(CONFIG_MAPS, config_map())

    assert len(server.objects("v1", "ConfigMap")) == 1


async def test_a_fault_may_be_an_answer(server: ApiServer, client: Client) -> None:
    server.faults = lambda *_: Response(429, {}, b"{}")

    with pytest.raises(TooManyRequests):
        await client.create(CONFIG_MAPS, config_map())


async def test_a_server_that_is_down_answers_nothing(server: ApiServer, client: Client) -> None:
    server.down = True

    with pytest.raises(Unavailable):
        await client.create(CONFIG_MAPS, config_map())


async def test_a_slow_answer_times_out(server: ApiServer) -> None:
    server.latency = 5.0

    with pytest.raises(Unavailable):
        await server.transport().request("GET", "/version", timeout=0.01)


async def test_versions_before_a_compaction_are_gone(server: ApiServer, client: Client) -> None:
    version = (await client.create(CONFIG_MAPS, config_map()))["metadata"]["resourceVersion"]
    await client.merge_patch(CONFIG_MAPS, "a", "default", {"data": {"x": "1"}})
    server.expire()

    async with client.watch(f"{CONFIG_MAPS.path()}?watch=true&resourceVersion={version}") as stream:
        events = [line async for line in lines(stream.chunks())]

    assert len(events) == 1
    assert b'"type":"ERROR"' in events[0]
    assert b'"code":410' in events[0]


async def test_a_short_history_makes_old_versions_gone(client: Client) -> None:
    server = ApiServer(history=2)
    client = server.client()
    version = (await client.create(CONFIG_MAPS, config_map()))["metadata"]["resourceVersion"]
    for number in range(4):
        await client.merge_patch(CONFIG_MAPS, "a", "default", {"data": {"x": str(number)}})

    async with client.watch(f"{CONFIG_MAPS.path()}?watch=true&resourceVersion={version}") as stream:
        assert b'"code":410' in b"".join([chunk async for chunk in stream.chunks()])


async def test_a_continue_token_expires(server: ApiServer, client: Client) -> None:
    for name in ("a", "b"):
        await client.create(CONFIG_MAPS, config_map(name))
    first = await server.transport().request("GET", "/api/v1/configmaps?limit=1")
    token = first.body.partition(b'"continue":"')[2].partition(b'"')[0].decode()
    server.expire()

    answer = await server.transport().request("GET", f"/api/v1/configmaps?limit=1&continue={token}")

    assert isinstance(error_from(answer.status, answer.body, {}), Gone)


async def test_a_watch_that_is_cut_breaks(server: ApiServer, client: Client) -> None:
    async with client.watch(f"{CONFIG_MAPS.path()}?watch=true") as stream:
        server.cut_watches()
        with pytest.raises(Unavailable):
            async for _ in stream.chunks():
                pass


async def test_bookmarks_come_on_demand_and_with_time(server: ApiServer, client: Client) -> None:
    server.bookmark_seconds = 0.02
    async with client.watch(f"{CONFIG_MAPS.path()}?watch=true&allowWatchBookmarks=true&resourceVersion=1") as stream:
        server.send_bookmarks()
        found = 0
        async for line in lines(stream.chunks()):
            assert b'"type":"BOOKMARK"' in line
            found += 1
            if found == 2:
                break


async def test_without_controllers_dependents_and_namespaces_stay(client: Client) -> None:
    server = ApiServer(controllers=False)
    client = server.client()
    owner = await client.create(CONFIG_MAPS, config_map("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    child = config_map("child")
    child["metadata"]["ownerReferences"] = [reference]
    await client.create(CONFIG_MAPS, child)

    await client.delete(CONFIG_MAPS, "owner", "default")

    assert [entry["metadata"]["name"] for entry in server.objects("v1", "ConfigMap")] == ["child"]


async def test_old_discovery_can_be_all_there_is() -> None:
    new = await ApiServer().client().discover()
    old = await ApiServer(aggregated=False).client().discover()

    assert set(new.lines()) == set(old.lines())


async def test_a_deployment_settles_to_available() -> None:
    member = Member("member1")
    client = member.client()
    await client.create(DEPLOYMENTS, workload("apps/v1", "Deployment", replicas=3))

    assert member.settle() == 1
    assert member.settle() == 0

    found = await client.get(DEPLOYMENTS, "web", "default")
    status = found["status"]
    assert (status["observedGeneration"], status["readyReplicas"], status["updatedReplicas"]) == (1, 3, 3)
    assert {entry["type"]: entry["status"] for entry in status["conditions"]} == {
        "Available": "True",
        "Progressing": "True",
    }


async def test_a_deployment_that_does_not_work_stays_unavailable() -> None:
    member = Member("member1")
    await member.client().create(DEPLOYMENTS, workload("apps/v1", "Deployment", replicas=2))

    member.settle(works=lambda manifest: manifest["metadata"]["name"] != "web")

    status = (await member.client().get(DEPLOYMENTS, "web", "default"))["status"]
    assert (status["unavailableReplicas"], "readyReplicas" in status) == (2, False)


async def test_a_job_settles_to_complete_and_stays_so() -> None:
    member = Member("member1")
    await member.client().create(JOBS, workload("batch/v1", "Job", completions=2, parallelism=2))

    member.settle()
    first = await member.client().get(JOBS, "web", "default")
    member.settle()

    assert first["status"]["succeeded"] == 2
    assert [entry["type"] for entry in first["status"]["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert await member.client().get(JOBS, "web", "default") == first


async def test_a_member_has_the_nodes_that_it_is_given() -> None:
    member = Member("member1")
    member.add_node("n1", cpu="4")

    page = await member.client().list(NODES)

    assert [item["status"]["allocatable"]["cpu"] for item in page.items] == ["4"]


async def test_a_closed_transport_sends_nothing(server: ApiServer) -> None:
    transport = server.transport()
    await transport.close()

    with pytest.raises(Unavailable):
        await transport.request("GET", "/version")


async def test_requests_of_many_tasks_lose_no_update(server: ApiServer, client: Client) -> None:
    await client.create(CONFIG_MAPS, config_map())

    await asyncio.gather(
        *(client.merge_patch(CONFIG_MAPS, "a", "default", {"data": {f"k{number}": "1"}}) for number in range(20))
    )

    assert len((await client.get(CONFIG_MAPS, "a", "default"))["data"]) == 20
