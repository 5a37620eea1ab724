"""What comes and goes leaves nothing behind in the process (I17): counts, before and after. `make test-soak` does it big."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from federation.api.meta import SYSTEM_NAMESPACE
from federation.hub.fleet import Member as FleetMember
from federation.hub.settings import Settings
from federation.kube.resource import (
    CLUSTERS,
    CRDS,
    DEPLOYMENTS,
    OVERRIDE_POLICIES,
    PROPAGATION_POLICIES,
    SECRETS,
    Resource,
)  # fmt: skip
from federation.sandbox import Member
from tests.e2e.manifests import deployment, on, override, policy, selector, widget, widget_definition
from tests.integration.census import census, growth
from tests.integration.federation import PLACE, Federation, eventually, federation

SETTINGS = Settings(
    probe_period=0.05, failure_threshold=0.2, success_threshold=0.05, window_first=0.02, window_last=0.1,
    policy_status_period=0.05, brake_objects=10_000,
)  # fmt: skip
GROUP = 10
"""Deployments at once."""
Cycle = Callable[[Federation, Member, int], Awaitable[None]]


async def deployments(fed: Federation, _guest: Member, number: int) -> None:
    """Placed on three members, then deleted."""
    names = [f"web-{number}-{one}" for one in range(GROUP)]
    await fed.apply(*(deployment(name, PLACE, 2) for name in names))
    await eventually(lambda: all(fed.settled("Deployment", name) for name in names), within=20)
    await asyncio.gather(*(fed.delete("Deployment", name) for name in names))
    await eventually(lambda: not any(fed.binding("Deployment", name) for name in names), within=20)


async def brief_deployments(fed: Federation, _guest: Member, number: int) -> None:
    """Deleted while they are being placed."""
    names = [f"brief-{number}-{one}" for one in range(GROUP)]
    await fed.apply(*(deployment(name, PLACE, 2) for name in names))
    await asyncio.gather(*(fed.delete("Deployment", name) for name in names))
    await eventually(lambda: not any(fed.binding("Deployment", name) for name in names), within=20)
    await eventually(lambda: not any(fed.replicas(name) for name in names))


async def orphans(fed: Federation, _guest: Member, number: int) -> None:
    """Deleted leaving the copies, which the user then removes."""
    name = f"left-{number}"
    await fed.apply(deployment(name, PLACE, 2))
    await eventually(lambda: fed.settled("Deployment", name))
    await fed.delete("Deployment", name, "Orphan")
    await eventually(lambda: fed.binding("Deployment", name) is None)
    for member in fed.members.values():
        await member.client().delete(DEPLOYMENTS, name, PLACE)


async def drift(fed: Federation, _guest: Member, number: int) -> None:
    """A copy that somebody else scales, and one that somebody else deletes."""
    name = f"drift-{number}"
    await fed.apply(deployment(name, PLACE, 2))
    await eventually(lambda: fed.settled("Deployment", name))
    other = fed.members["member1"].server.client(field_manager="other")
    await other.merge_patch(DEPLOYMENTS, name, PLACE, {"spec": {"replicas": 5}})
    await fed.members["member2"].client().delete(DEPLOYMENTS, name, PLACE)
    await eventually(lambda: fed.replicas(name) == {"member1": 2, "member2": 2, "member3": 2})
    await fed.delete("Deployment", name)
    await eventually(lambda: fed.binding("Deployment", name) is None)


async def policies(fed: Federation, _guest: Member, number: int) -> None:
    """Policies that claim what another one loses, and override policies."""
    name = f"own-{number}"
    await fed.apply(policy(name, PLACE, selector(name=name), placement=on("member1")), deployment(name, PLACE, 2))
    await fed.client.create(OVERRIDE_POLICIES, override(name, PLACE, selectors=[selector(name=name)]))
    await eventually(lambda: set(fed.replicas(name)) == {"member1"} and fed.settled("Deployment", name))
    await eventually(lambda: _policy(fed, name).get("status"))
    await fed.client.delete(PROPAGATION_POLICIES, name, PLACE)
    await fed.client.delete(OVERRIDE_POLICIES, name, PLACE)
    await fed.delete("Deployment", name)
    await eventually(lambda: fed.binding("Deployment", name) is None)


async def members(fed: Federation, guest: Member, number: int) -> None:
    """A member that joins under a new name, gets what goes everywhere, and leaves."""
    name = f"guest-{number}"
    fed.members[name] = guest
    await fed.join(name)
    await eventually(lambda: fed.copy(name, "Deployment", "everywhere") is not None)
    await eventually(lambda: name in fed.lines("Deployment", "everywhere") and fed.settled("Deployment", "everywhere"))
    await fed.leave(name)
    await eventually(lambda: name not in fed.lines("Deployment", "everywhere"))
    await _gone(fed, name)
    await eventually(lambda: guest.server._watches == [])


async def absent_members(fed: Federation, guest: Member, number: int) -> None:
    """A member that does not answer, and is taken off the hub by force."""
    name = f"ghost-{number}"
    fed.members[name], guest.server.down = guest, True
    await fed.join(name)
    await eventually(lambda: any(one.get("status", {}).get("conditions", [])[1:] for one in _clusters(fed, name)))
    await fed.leave(name, "force")
    await _gone(fed, name)
    guest.server.down = False


async def kinds(fed: Federation, _guest: Member, number: int) -> None:
    """A kind that is defined everywhere, placed, and undefined again."""
    group = f"g{number}.test"
    resource = Resource(group, "v1", "widgets", "Widget", namespaced=True)
    servers = [fed.hub, *(member.server for member in fed.members.values())]
    for server in servers:
        await server.client().create(CRDS, widget_definition(group))
    await fed.apply(policy(group, PLACE, selector("Widget", api=f"{group}/v1")))
    await fed.client.create(resource, widget(group, PLACE))
    await eventually(lambda: servers[3].objects(resource.api_version, "Widget"), within=20)
    await fed.client.delete(resource, "w", PLACE)
    await eventually(lambda: not servers[3].objects(resource.api_version, "Widget"), within=20)
    await fed.client.delete(PROPAGATION_POLICIES, group, PLACE)
    for server in servers:
        await server.client().delete(CRDS, f"widgets.{group}")


def _policy(fed: Federation, name: str) -> dict[str, Any]:
    found = fed.hub.objects(PROPAGATION_POLICIES.api_version, "PropagationPolicy", PLACE)
    return next(one for one in found if one["metadata"]["name"] == name)


def _clusters(fed: Federation, name: str) -> list[dict[str, Any]]:
    return [one for one in fed.hub.objects(CLUSTERS.api_version, "Cluster") if one["metadata"]["name"] == name]


async def _gone(fed: Federation, name: str) -> None:
    """What the operator does last: the Secret goes, then the Cluster."""
    await fed.client.delete(SECRETS, f"cluster-{name}", SYSTEM_NAMESPACE)
    await fed.gone(name)
    assert not _clusters(fed, name)
    del fed.members[name]


CYCLES: dict[str, tuple[Cycle, int]] = {
    "Deployments that come and go": (deployments, 12),
    "Deployments that go while they are placed": (brief_deployments, 6),
    "orphaned copies": (orphans, 5),
    "copies that somebody else changes": (drift, 8),
    "policies that come and go": (policies, 3),
    "members that join and leave": (members, 30),
    "members that never answer": (absent_members, 8),
    "kinds that come and go": (kinds, 3),
}


async def _begin(fed: Federation) -> None:
    await fed.apply(
        policy("all", PLACE, selector()),
        policy("everywhere", PLACE, selector(name="everywhere"), placement={}),
        deployment("everywhere", PLACE),
    )
    await eventually(lambda: fed.settled("Deployment", "everywhere"))
    await eventually(lambda: _policy(fed, "all").get("status") and _policy(fed, "everywhere").get("status"))


@pytest.fixture(autouse=True)
def no_log_records() -> Iterator[None]:
    """A record that pytest keeps holds the error it tells of, and that holds whatever its frames hold."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", CYCLES)
async def test_nothing_is_left_of(name: str) -> None:
    cycle, times = CYCLES[name]
    async with federation(settings=SETTINGS) as fed:
        guest = Member("guest")
        await _begin(fed)
        await cycle(fed, guest, 0)
        await asyncio.sleep(0.5)
        servers = [guest.server, fed.hub, *(member.server for member in fed.members.values())]
        before = await census(*servers)
        for number in range(1, times + 1):
            await cycle(fed, guest, number)
        for _ in range(20):
            grown = growth(before, await census(*servers))
            if not grown:
                return
            await asyncio.sleep(0.3)  # what is delayed runs out by itself
        assert grown == {}


async def test_no_task_is_left_of_a_stopped_process() -> None:
    before = asyncio.all_tasks()
    fed = Federation(settings=SETTINGS)
    await fed.prepare()
    await fed.start()
    await _begin(fed)
    await fed.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert [server._watches for server in (fed.hub, *(member.server for member in fed.members.values()))] == [[]] * 4


async def test_a_member_that_left_is_freed_although_the_collector_comes_seldom() -> None:
    async with federation(settings=SETTINGS) as fed:
        guest = Member("guest")
        await _begin(fed)
        gc.disable()
        try:
            for number in range(3):
                await members(fed, guest, number)
            await members(fed, guest, 3)
            left = [one for one in gc.get_objects() if isinstance(one, FleetMember) and one.name.startswith("guest")]
            assert len(left) <= 1, "the last one may still be on somebody's stack"
        finally:
            gc.enable()
