"""What arrives late fails on what it names: an apply never makes anew what is gone, a shrink is for what was seen (I6)."""

from types import SimpleNamespace
from typing import Any

import pytest

from federation.hub.brake import Verdict
from federation.hub.execute.apply import Applier
from federation.hub.execute.decide import Plan, apply_over
from federation.hub.held import Cause, Change
from federation.kube.client import Client
from federation.kube.errors import Conflict
from federation.kube.resource import DEPLOYMENTS, NAMESPACES
from federation.kube.store import Store
from federation.sandbox import Member
from tests.e2e.manifests import deployment
from tests.integration.federation import PLACE


class Open:
    """A brake that holds nothing."""

    async def allow(self, _change: Change) -> Verdict:
        return Verdict.ALLOWED


class Late:
    """A member with one Deployment, and a step that was planned from how it looked."""

    def __init__(self) -> None:
        self.member = Member("member1")
        self.client: Client = self.member.client()
        self._applier = Applier(SimpleNamespace(emptied=lambda *_: None), Open())  # type: ignore[arg-type]

    async def has(self, replicas: int) -> dict[str, Any]:
        return await self.client.apply(DEPLOYMENTS, deployment("web", PLACE, replicas))

    async def takes(self, plan: Plan) -> None:
        member = SimpleNamespace(
            name="member1", client=self.client, resource_of=lambda _: DEPLOYMENTS, store=lambda _: Store(),
            copy=lambda *_: None,
        )  # fmt: skip
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": PLACE, "name": "web"}
        await self._applier.take(
            member, reference, plan, template={}, binding={}, hub_id="hub", cause=Cause("test", "a test")
        )  # type: ignore[arg-type]

    @property
    def found(self) -> list[dict[str, Any]]:
        return self.member.server.objects("apps/v1", "Deployment", PLACE)


@pytest.fixture
async def late() -> Late:
    found = Late()
    await found.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
    return found


async def test_an_apply_that_comes_after_the_copy_is_gone_makes_nothing(late: Late) -> None:
    plan = apply_over(deployment("web", PLACE, 3), await late.has(2))
    await late.client.delete(DEPLOYMENTS, "web", PLACE)
    with pytest.raises(Conflict):
        await late.takes(plan)
    assert late.found == []


async def test_an_apply_is_not_for_another_object_of_that_name(late: Late) -> None:
    plan = apply_over(deployment("web", PLACE, 3), await late.has(2))
    await late.client.delete(DEPLOYMENTS, "web", PLACE)
    await late.has(1)
    with pytest.raises(Conflict):
        await late.takes(plan)
    assert late.found[0]["spec"]["replicas"] == 1


async def test_replicas_are_taken_away_only_from_what_was_seen(late: Late) -> None:
    plan = apply_over(deployment("web", PLACE, 1), await late.has(2))
    await late.has(4)
    with pytest.raises(Conflict):
        await late.takes(plan)
    assert late.found[0]["spec"]["replicas"] == 4


async def test_growth_goes_through_whatever_the_status_did_meanwhile(late: Late) -> None:
    plan = apply_over(deployment("web", PLACE, 3), await late.has(2))
    late.member.settle()
    await late.takes(plan)
    assert late.found[0]["spec"]["replicas"] == 3
