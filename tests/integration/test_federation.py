"""The controllers together, in process: what the end-to-end layer shows on real clusters, in milliseconds."""

from tests.e2e.manifests import deployment, on, policy, selector, weights
from tests.integration.federation import PLACE, eventually, federation


async def test_a_deployment_is_divided_rescaled_and_removed() -> None:
    async with federation() as fed:
        placement = on("member1", "member2", "member3") | weights(member1=1, member2=2, member3=3)
        await fed.apply(policy("web", PLACE, selector(name="web"), placement=placement), deployment("web", PLACE, 6))
        await eventually(lambda: fed.settled("Deployment", "web"))
        assert fed.replicas("web") == {"member1": 1, "member2": 2, "member3": 3}

        await fed.scale("web", 12)
        await eventually(lambda: fed.replicas("web") == {"member1": 2, "member2": 4, "member3": 6})

        await fed.delete("Deployment", "web")
        await eventually(lambda: fed.replicas("web") == {} and fed.binding("Deployment", "web") is None)


async def test_the_controllers_go_on_where_killed_ones_stopped() -> None:
    async with federation() as fed:
        await fed.apply(
            policy("web", PLACE, selector(name="web"), placement=on("member1")), deployment("web", PLACE, 2)
        )
        await eventually(lambda: fed.settled("Deployment", "web"))
        await fed.kill()
        await fed.scale("web", 3)
        await fed.start()
        await eventually(lambda: fed.replicas("web") == {"member1": 3} and fed.settled("Deployment", "web"))
