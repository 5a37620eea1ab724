"""The border of a namespace is held by the controllers themselves, whatever the API server let through (I22)."""

from federation.api.naming import binding_name
from federation.kube.resource import CONFIG_MAPS, NAMESPACES, PROPAGATION_POLICIES, RESOURCE_BINDINGS
from tests.e2e.manifests import config_map, namespace, on, policy, selector
from tests.integration.federation import PLACE, Federation, always, eventually, federation

OTHER = "bank"


async def theirs(fed: Federation) -> str:
    """A ConfigMap of another namespace, which nobody placed; its UID."""
    await fed.client.create(NAMESPACES, namespace(OTHER))
    return str((await fed.client.create(CONFIG_MAPS, config_map("theirs", OTHER)))["metadata"]["uid"])


def nothing_of_theirs(fed: Federation) -> bool:
    places = (OTHER, PLACE)
    servers = [member.server for member in fed.members.values()]
    found = [one for server in servers for place in places for one in server.objects("v1", "ConfigMap", place)]
    return not any(one["metadata"]["name"] == "theirs" for one in found)


async def test_a_binding_that_refers_to_another_namespace_moves_nothing() -> None:
    async with federation() as fed:
        uid = await theirs(fed)
        name = binding_name("", "ConfigMap", OTHER, "theirs")
        # Owned by something of their own: the collector would take away what is owned from another namespace.
        chosen = policy("own", PLACE, selector("ConfigMap", "own", api="v1"), placement=on("member2"))
        await fed.apply(chosen, config_map("own", PLACE))
        await eventually(lambda: fed.settled("ConfigMap", "own"))
        own = (await fed.client.get(CONFIG_MAPS, "own", PLACE))["metadata"]["uid"]
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "own", "uid": own}
        forged = {
            "apiVersion": "federation.dev/v1alpha1", "kind": "ResourceBinding",
            "metadata": {"name": name, "namespace": PLACE, "ownerReferences": [owner]},
            "spec": {"resource": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": OTHER, "name": "theirs", "uid": uid}},
        }  # fmt: skip
        await fed.client.create(RESOURCE_BINDINGS, forged)
        decision = {
            "epoch": 1, "trigger": "Created", "targets": {"member1": 0},
            "inputs": f'{{"replicas":null,"requirements":null,"template":"{uid}"}}',
        }  # fmt: skip
        await fed.client.merge_patch(
            RESOURCE_BINDINGS, name, PLACE, {"status": {"decision": decision, "conditions": []}}, subresource="status"
        )
        await always(lambda: nothing_of_theirs(fed), seconds=0.5)


async def test_a_policy_that_selects_in_another_namespace_claims_nothing_there() -> None:
    async with federation() as fed:
        await theirs(fed)
        chosen = {**selector("ConfigMap", "theirs", api="v1"), "namespace": OTHER}
        await fed.client.create(PROPAGATION_POLICIES, policy("far", PLACE, chosen, placement=on("member1")))
        await fed.apply(
            policy("own", PLACE, selector("ConfigMap", "own", api="v1"), placement=on("member1")),
            config_map("own", PLACE),
        )
        await eventually(lambda: fed.copy("member1", "ConfigMap", "own"))
        assert fed.members["member1"].server.objects("v1", "ConfigMap", OTHER) == []
