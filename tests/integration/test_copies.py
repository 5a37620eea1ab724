"""Copies of kinds that the hub also reads in every member for itself: CRDs (which kinds are served) and Pods (capacity)."""

import asyncio

from federation.kube.resource import CLUSTER_PROPAGATION_POLICIES, CRDS, PODS
from tests.e2e.manifests import on, policy, selector, widget_definition
from tests.integration.federation import PLACE, Federation, eventually, federation

DEFINITION = "widgets.g.test"


def _crd(fed: Federation, cluster: str) -> list[str]:
    found = fed.members[cluster].server.objects(CRDS.api_version, "CustomResourceDefinition")
    return [one["metadata"]["name"] for one in found]


async def test_a_definition_that_is_in_place_is_not_written_again() -> None:
    async with federation() as fed:
        crds = selector("CustomResourceDefinition", DEFINITION, api="apiextensions.k8s.io/v1")
        await fed.client.create(CLUSTER_PROPAGATION_POLICIES, policy("crds", None, crds, placement={}))
        await fed.client.create(CRDS, widget_definition("g.test"))
        await eventually(lambda: all(DEFINITION in _crd(fed, cluster) for cluster in fed.members))
        await asyncio.sleep(0.3)
        assert fed.hub.count("PATCH", f"{DEFINITION}/status") == 0, "by its status the hub serves the kind"
        before = {name: member.server.count("PATCH", DEFINITION) for name, member in fed.members.items()}

        # Three new decisions, each of which makes execute look at every copy again.
        for _ in range(3):
            await fed.leave("member3")
            await eventually(lambda: DEFINITION not in _crd(fed, "member3"))
            await fed.gone("member3")
            await fed.join("member3")
            await eventually(lambda: DEFINITION in _crd(fed, "member3"))
        await asyncio.sleep(0.3)
        after = {name: fed.members[name].server.count("PATCH", DEFINITION) for name in ("member1", "member2")}
        assert after == {name: before[name] for name in after}


async def test_a_pod_that_has_finished_is_still_known() -> None:
    async with federation() as fed:
        await fed.apply(policy("pods", PLACE, selector("Pod", api="v1"), placement=on("member1")))
        container = {"name": "once", "image": "registry.test/once:1"}
        metadata = {"name": "once", "namespace": PLACE}
        await fed.client.create(
            PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
        )
        member = fed.members["member1"]
        found = (await eventually(lambda: member.server.objects("v1", "Pod", PLACE)))[0]
        await eventually(lambda: "uid" in fed.lines("Pod", "once").get("member1", {}))
        writes = member.server.count("PATCH", "/pods/once")
        member.write_status(found, {"phase": "Succeeded"})
        await eventually(lambda: fed.hub.objects("v1", "Pod", PLACE)[0].get("status", {}).get("phase") == "Succeeded")
        assert "uid" in fed.lines("Pod", "once")["member1"]
        assert member.server.count("PATCH", "/pods/once") == writes
