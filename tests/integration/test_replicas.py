"""Replicas of the hub process as `federation hub` wires them, against the sandbox: who leads, who executes, who follows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from federation.api.meta import SYSTEM_NAMESPACE
from federation.app import LEADING, HubProcess
from federation.hub.ownership import Ownership
from federation.hub.settings import Settings
from federation.hub.shards import Shards, shard_count
from federation.kube.credentials import Credentials
from federation.kube.errors import Unavailable
from federation.kube.lease import HubWentBack, LeaseLost
from federation.kube.resource import CONFIG_MAPS, LEASES, NAMESPACES
from federation.kube.transport import Response, Transport
from tests.e2e.manifests import deployment, on, policy, selector, weights
from tests.integration.federation import PLACE, Federation, always, eventually

SETTINGS = Settings(
    probe_period=0.05, failure_threshold=0.2, success_threshold=0.05, window_first=0.02, window_last=0.1,
    member_timeout=0.2, lease_duration=1.0, lease_deadline=0.6, lease_retry=0.1,
)  # fmt: skip
HUB = "http://hub.test"
ROLES = frozenset({*LEADING, "execute"} - {"operator"})


class Cable:
    """A replica's connection to one API server: counts its writes, and can be cut."""

    def __init__(self, replica: "Replica", name: str, inner: Transport) -> None:
        self._replica, self._name, self._inner = replica, name, inner
        self.stream, self.close = inner.stream, inner.close

    async def request(self, method: str, path: str, **more: Any) -> Response:
        if self._name in self._replica.cut:
            raise Unavailable(0, "Unreachable", "the cable is cut")
        if method != "GET" and not any(word in path for word in NOT_COUNTED):
            self._replica.writes.append((self._name, method))
        answer = await self._inner.request(method, path, **more)
        if self._replica.went_back and method == "GET" and path.endswith("/leases"):
            page = orjson.loads(answer.body) | {"metadata": {"resourceVersion": "1"}}
            return Response(answer.status, answer.headers, orjson.dumps(page))
        return answer


NOT_COUNTED = ("/leases", "/clusters/", "policies/", "/events")
"""What the write budget leaves out: status of clusters and policies follows in its own time."""


class Replica:
    """One hub process of several."""

    def __init__(self, fed: Federation, identity: str, *, roles: frozenset[str] = ROLES) -> None:
        self.cut: set[str] = set()
        self.went_back = False
        """Lists of Leases say that the hub is at its first revision."""
        self.writes: list[tuple[str, str]] = []
        self._fed = fed
        self.process = HubProcess(
            credentials=Credentials(endpoint=HUB, ssl_context=None), settings=SETTINGS, roles=roles, identity=identity,
            connect=self._connect,
        )  # fmt: skip
        self.running: asyncio.Task[None] | None = None

    def _connect(self, credentials: Credentials) -> Transport:
        if credentials.endpoint == HUB:
            return Cable(self, "hub", self._fed.hub.transport())
        return Cable(self, credentials.endpoint.split("/")[-1].removesuffix(".test"), self._fed.connect(credentials))

    async def start(self) -> None:
        self.running = asyncio.create_task(self.process.run())
        await eventually(lambda: self.process.ready.is_set() or (self.running and self.running.done()))
        if self.running.done():
            await self.running

    async def stop(self) -> None:
        self.process.stop.set()
        if self.running is not None:
            await self.running

    async def kill(self) -> None:
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)

    def written(self, *names: str) -> list[tuple[str, str]]:
        return [one for one in self.writes if one[0] in (names or ("member1", "member2", "member3"))]


@asynccontextmanager
async def hub_and_members() -> AsyncIterator[Federation]:
    fed = Federation()
    await fed.prepare()
    hub_id = (await fed.client.get(NAMESPACES, "kube-system"))["metadata"]["uid"]
    record = {"name": "federation-hub", "namespace": SYSTEM_NAMESPACE}
    await fed.client.create(
        CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": record, "data": {"hub": hub_id}}
    )
    fed._settling = asyncio.create_task(fed._settle())
    try:
        yield fed
    finally:
        await fed.close()


@asynccontextmanager
async def replicas(fed: Federation, *identities: str, **more: Any) -> AsyncIterator[list[Replica]]:
    found = [Replica(fed, identity, **more) for identity in identities]
    try:
        for one in found:
            await one.start()
        yield found
    finally:
        for one in found:
            await one.kill()


def holders(fed: Federation, kind: str = "shard") -> dict[str, str]:
    leases = fed.hub.objects(LEASES.api_version, "Lease", SYSTEM_NAMESPACE)
    return {
        one["metadata"]["name"].removeprefix("federation-"): one["spec"]["holderIdentity"].rpartition("_")[0]
        for one in leases
        if one["metadata"]["name"].startswith(f"federation-{kind}")
    }


async def placed(fed: Federation) -> None:
    placement = on("member1", "member2", "member3") | weights(member1=1, member2=1, member3=1)
    await fed.apply(policy("web", PLACE, selector(name="web"), placement=placement), deployment("web", PLACE, 3))
    await eventually(lambda: fed.settled("Deployment", "web"))


async def scaled(fed: Federation, replicas: int) -> None:
    await fed.scale("web", replicas)
    await eventually(
        lambda: sum(fed.replicas("web").values()) == replicas and fed.settled("Deployment", "web"), within=10
    )


async def test_one_replica_holds_everything_at_once_and_lets_go_when_it_stops() -> None:
    async with hub_and_members() as fed, replicas(fed, "a") as (a,):
        await eventually(lambda: set(holders(fed, "").values()) == {"a"})
        assert set(holders(fed, "")) == {"leader", "shard-0", "shard-1", "shard-2", "shard-3"}
        record = await fed.client.get(CONFIG_MAPS, "federation-hub", SYSTEM_NAMESPACE)
        assert record["data"]["shards"] == "4"
        await placed(fed)
        await a.stop()
        assert set(holders(fed, "").values()) == {""}


async def test_a_second_replica_gets_half_of_the_shards_and_nothing_is_written_for_it() -> None:
    async with hub_and_members() as fed, replicas(fed, "a") as (a,):
        await placed(fed)
        await fed.quiet()
        a.writes.clear()
        async with replicas(fed, "b") as (b,):
            await eventually(lambda: sorted(holders(fed).values()) == ["a", "a", "b", "b"])
            await eventually(lambda: set(holders(fed, "replica").values()) <= {""})
            assert holders(fed, "leader") == {"leader": "a"}
            await always(lambda: not a.written() and not b.writes, seconds=0.3)
            assert [one for one in a.writes if one[0] == "hub"] == []


async def test_each_member_is_written_by_its_owner_alone_and_the_binding_becomes_ready() -> None:
    async with hub_and_members() as fed, replicas(fed, "a", "b") as (a, b):
        await eventually(lambda: sorted(holders(fed).values()) == ["a", "a", "b", "b"])
        await placed(fed)
        await scaled(fed, 9)
        owners = {"member1": "shard-3", "member2": "shard-1", "member3": "shard-3"}
        by_identity = {"a": a, "b": b}
        for member, shard in owners.items():
            owner = holders(fed)[shard]
            assert by_identity[owner].written(member)
            assert not by_identity["b" if owner == "a" else "a"].written(member)
        await eventually(lambda: fed.condition("Deployment", "web", "FullyApplied").get("status") == "True")
        await fed.delete("Deployment", "web")
        await eventually(lambda: fed.replicas("web") == {} and fed.binding("Deployment", "web") is None)


async def test_a_replica_that_stops_is_followed_at_once() -> None:
    async with hub_and_members() as fed, replicas(fed, "a", "b") as (a, _b):
        await eventually(lambda: sorted(holders(fed).values()) == ["a", "a", "b", "b"])
        await placed(fed)
        await a.stop()
        await eventually(lambda: set(holders(fed, "").values()) - {""} == {"b"})
        await scaled(fed, 9)


async def test_a_replica_without_the_hub_ends_by_itself_and_another_goes_on() -> None:
    async with hub_and_members() as fed, replicas(fed, "a", "b") as (a, _b):
        await eventually(lambda: sorted(holders(fed).values()) == ["a", "a", "b", "b"])
        await placed(fed)
        a.cut.add("hub")
        assert a.running is not None
        await asyncio.wait({a.running}, timeout=5)
        error = a.running.exception()
        assert isinstance(error, ExceptionGroup)
        assert error.subgroup(LeaseLost) is not None
        before = len(a.written())
        await eventually(lambda: set(holders(fed, "").values()) - {""} == {"b"})
        await scaled(fed, 9)
        assert len(a.written()) == before


async def test_a_replica_started_again_under_its_name_takes_its_leases_back_without_waiting() -> None:
    async with hub_and_members() as fed:
        async with replicas(fed, "a"):
            await placed(fed)
        assert set(holders(fed).values()) == {"a"}, "killed: nothing was released"
        async with replicas(fed, "a") as (again,):
            await eventually(again.process.ready.is_set)
            await scaled(fed, 6)


async def test_the_number_of_shards_is_as_stored_and_without_a_record_as_there_are_leases() -> None:
    async with hub_and_members() as fed:
        await fed.client.merge_patch(CONFIG_MAPS, "federation-hub", SYSTEM_NAMESPACE, {"data": {"shards": "7"}})
        async with replicas(fed, "a"):
            await eventually(lambda: len(holders(fed)) == 7)
        await fed.client.merge_patch(CONFIG_MAPS, "federation-hub", SYSTEM_NAMESPACE, {"data": {"shards": None}})
        assert await shard_count(fed.client) == 7
        record = await fed.client.get(CONFIG_MAPS, "federation-hub", SYSTEM_NAMESPACE)
        assert record["data"]["shards"] == "7"


async def test_the_lead_and_the_shards_may_be_in_processes_of_their_own() -> None:
    leaders = frozenset(LEADING) - {"operator"}
    async with (
        hub_and_members() as fed,
        replicas(fed, "lead", roles=leaders) as (lead,),
        replicas(fed, "work", roles=frozenset({"execute"})),
    ):
        await eventually(lambda: set(holders(fed).values()) == {"work"})
        assert holders(fed, "leader") == {"leader": "lead"}
        await placed(fed)
        assert lead.written() == []


async def test_a_hub_that_went_back_in_time_ends_the_process() -> None:
    async with hub_and_members() as fed, replicas(fed, "a") as (a,):
        await eventually(lambda: set(holders(fed).values()) == {"a"})

        a.went_back = True
        assert a.running is not None
        await asyncio.wait({a.running}, timeout=5)
        error = a.running.exception()
        assert isinstance(error, ExceptionGroup)
        assert error.subgroup(HubWentBack) is not None


async def test_a_shard_is_free_only_after_what_is_in_flight_for_it_has_ended() -> None:
    async with hub_and_members() as fed, asyncio.TaskGroup() as group:
        in_flight = True
        mine, theirs = Ownership(shards=4), Ownership(shards=4)
        one = Shards(fed.hub.client(), mine, SETTINGS, identity="a", busy=lambda _concerns: in_flight)
        running = [group.create_task(one.run())]
        await eventually(lambda: len(mine.held) == 4)
        running.append(group.create_task(Shards(fed.hub.client(), theirs, SETTINGS, identity="b").run()))
        await eventually(lambda: len(mine.held) == 2)
        await always(lambda: not theirs.held and set(holders(fed).values()) == {"a"}, seconds=0.5)
        in_flight = False
        await eventually(lambda: len(theirs.held) == 2 and not theirs.held & mine.held)
        for task in running:
            task.cancel()
