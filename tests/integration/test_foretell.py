"""A change of a policy that has 2,000 workloads: told within its time, and nobody waits behind it."""

import asyncio
import gc
import time
from dataclasses import replace
from typing import Any

import orjson
import pytest

from federation.admission import foretell
from federation.admission.foretell import Foreteller
from federation.admission.registration import TIMEOUT
from federation.admission.review import Request
from federation.api.meta import GROUP
from federation.hub.brake_window import Limits
from federation.hub.caches import HubCaches
from federation.kube.client import Client
from federation.kube.resource import DEPLOYMENTS
from federation.kube.store import Store
from federation.sandbox import ApiServer
from tests.e2e.manifests import API, deployment, on, policy, selector, weights
from tests.unit.admission.test_impact import made, placed
from tests.unit.schedule.build import member

Manifest = dict[str, Any]
WORKLOADS = 2000


def filled(store: Store, *manifests: Manifest) -> None:
    objects = (
        {**one, "metadata": {"resourceVersion": str(number + 1), **one["metadata"]}}
        for number, one in enumerate(manifests)
    )
    store.replace((orjson.dumps(one) for one in objects), "1")


def caches(*, clusters: int) -> HubCaches:
    """What a hub process has after a start: one policy, its workloads on member1 and member2, divided evenly."""
    found = HubCaches(Client(ApiServer("hub").transport(), name="hub"), hub_id="hub")
    found.watch_templates([DEPLOYMENTS])
    names = [f"member{number}" for number in range(1, clusters + 1)]
    views = [member(name, pods=10**6) for name in names[:2]]
    by = made("p", placement=weights(member1=1, member2=1))
    templates = [deployment(f"w{number:04}", "shop", 10) for number in range(WORKLOADS)]
    filled(found.bindings, *(placed(template, by, views) for template in templates))
    store = found.template_store("apps/v1", "Deployment")
    assert store is not None
    filled(store, *templates)
    summary = {"allocatable": {"pods": "1000000", "cpu": "100000"}}
    filled(
        found.clusters,
        *(
            {
                "apiVersion": API, "kind": "Cluster", "metadata": {"name": name, "uid": name}, "spec": {},
                "status": {"apis": ["apps/v1: Deployment"], "resourceSummary": summary},
            }
            for name in names
        ),
    )  # fmt: skip
    filled(found.policies, stored(weights(member1=1, member2=1)))
    return found


def stored(placement: Manifest) -> Manifest:
    found = policy("p", "shop", selector(), placement=placement)
    return {**found, "metadata": {**found["metadata"], "uid": "p", "generation": 1}}


def update(placement: Manifest, **spec: Any) -> Request:
    changed = stored(placement)
    changed["spec"] |= spec
    return Request(
        uid="1", group=GROUP, resource="propagationpolicies", operation="UPDATE", namespace="shop", object=changed,
        old=stored(weights(member1=1, member2=1)),
    )  # fmt: skip


async def longest_turn(work: asyncio.Task[Any]) -> float:
    """The most CPU time between two turns of somebody else on the loop, in seconds."""
    longest, last = 0.0, time.thread_time()
    while not work.done():
        await asyncio.sleep(0)
        longest, last = max(longest, time.thread_time() - last), time.thread_time()
    return longest


@pytest.mark.parametrize("clusters", [3, 100])
async def test_a_big_change_is_told_in_time_and_holds_up_nobody(clusters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = caches(clusters=clusters)
    told = Foreteller(hub, limits=Limits(), managed=lambda: 2 * WORKLOADS)
    request = update(on("member1", replicaScheduling={"replicaDivisionPreference": "Aggregated"}))
    gc.collect()
    gc.freeze()  # as the hub process does: else what is measured is a collection over these caches
    began = time.monotonic()
    work = asyncio.create_task(told.foretell(request))
    longest = await longest_turn(work)
    gc.unfreeze()
    assert time.monotonic() - began < TIMEOUT, "the API server would have gone on"
    assert "go or shrink" in (await work)[0]
    assert longest < 0.05
    monkeypatch.setattr(foretell, "SECONDS", 600.0)
    lines = await told.foretell(request)
    assert lines[0].startswith(
        f"{WORKLOADS} copies with {5 * WORKLOADS} replicas of {WORKLOADS} workloads go or shrink"
    )


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All the time that it takes: what is said depends on no other load of the machine."""
    monkeypatch.setattr(foretell, "SECONDS", 600.0)


@pytest.mark.usefixtures("patient")
async def test_what_is_not_listed_yet_counts_as_not_looked_at() -> None:
    hub = caches(clusters=3)
    store = hub.template_store("apps/v1", "Deployment")
    assert store is not None
    store.synced = False
    (line,) = await Foreteller(hub, limits=Limits(), managed=lambda: 0).foretell(update(on("member1")))
    assert line.startswith(f"0 of {WORKLOADS} workloads could be looked at in time: no copies of them would go")


@pytest.mark.usefixtures("patient")
async def test_an_edit_that_waits_for_override_policies_moves_nothing() -> None:
    told = Foreteller(caches(clusters=3), limits=Limits(), managed=lambda: 0)
    assert await told.foretell(update(on("member1"), dependentOverrides=["none"])) == ()


@pytest.mark.usefixtures("patient")
async def test_other_kinds_are_not_foretold() -> None:
    told = Foreteller(caches(clusters=3), limits=Limits(), managed=lambda: 0)
    assert await told.foretell(replace(update(on("member1")), resource="overridepolicies")) == ()


@pytest.mark.usefixtures("patient")
async def test_an_edit_that_leaves_the_placement_alone_costs_next_to_nothing() -> None:
    told = Foreteller(caches(clusters=3), limits=Limits(), managed=lambda: 2 * WORKLOADS)
    request = update(weights(member1=1, member2=1))
    began = time.thread_time()
    assert await told.foretell(request) == ()
    assert time.thread_time() - began < 2.0
