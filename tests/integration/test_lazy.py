"""Lazy policies, in process: an edit waits until the template changes (karmada.md 3.1.4 and the combinations of 6.6)."""

import asyncio
from typing import Any

from federation.kube.resource import DEPLOYMENTS, PROPAGATION_POLICIES, RESOURCE_BINDINGS
from tests.e2e.manifests import Manifest, deployment, on, policy, selector, weights
from tests.integration.federation import PLACE, Federation, always, eventually, federation

WEB = selector(name="web")
LAZY = {"activationPreference": "Lazy"}


def lazy(*clusters: str, **spec: Any) -> Manifest:
    return policy("web", PLACE, WEB, placement=on(*clusters), **{**LAZY, **spec})


async def touch(fed: Federation, text: str = "now") -> None:
    """Change the template in a way that no number shows."""
    await fed.client.merge_patch(DEPLOYMENTS, "web", PLACE, {"metadata": {"annotations": {"touched": text}}})


async def edit(fed: Federation, name: str = "web", **spec: Any) -> None:
    await fed.client.merge_patch(PROPAGATION_POLICIES, name, PLACE, {"spec": spec})


async def second() -> None:
    """The API server tells times in whole seconds."""
    await asyncio.sleep(1.1)


def reference(fed: Federation) -> Manifest:
    return (fed.binding("Deployment", "web") or {"spec": {}})["spec"].get("policy") or {}


def targets(fed: Federation) -> set[str]:
    return set(fed.replicas("web"))


def waits(fed: Federation, name: str = "web") -> list[str]:
    return fed.policy_status("PropagationPolicy", name).get("waitingFor") or []


async def placed(fed: Federation, *manifests: Manifest) -> None:
    await fed.apply(*manifests)
    await eventually(lambda: fed.settled("Deployment", "web"))


async def test_a_policy_that_was_there_first_claims_at_once_and_its_edit_waits_for_a_change() -> None:
    async with federation() as fed:
        await placed(fed, lazy("member1"), deployment("web", PLACE))
        assert (reference(fed)["generation"], "templateHash" in reference(fed)) == (1, False)
        await edit(fed, placement=on("member2"))
        await eventually(lambda: "templateHash" in reference(fed))
        await always(lambda: targets(fed) == {"member1"}, seconds=0.3)
        assert await eventually(lambda: waits(fed)) == [
            "Deployment shop/web: generation 2 acts when it changes: the policy is Lazy"
        ]
        ready = fed.policy_status("PropagationPolicy", "web")["conditions"][0]
        assert (ready["status"], ready["reason"]) == ("True", "Waiting")
        assert fed.condition("Deployment", "web", "Scheduled")["message"] == (
            "generation 1 of PropagationPolicy web is in force, a later edit takes effect when the template changes (Lazy)"
        )
        await touch(fed)
        await eventually(lambda: targets(fed) == {"member2"} and fed.settled("Deployment", "web"))
        assert (reference(fed)["generation"], "templateHash" in reference(fed)) == (2, False)
        assert fed.condition("Deployment", "web", "Scheduled")["message"] == ""
        await eventually(lambda: fed.policy_status("PropagationPolicy", "web").get("waiting") == 0)


async def test_a_policy_that_comes_later_claims_when_the_template_changes() -> None:
    async with federation() as fed:
        await fed.apply(deployment("web", PLACE))
        await second()
        await fed.apply(lazy("member1"))
        await always(lambda: fed.binding("Deployment", "web") is None, seconds=0.3)
        assert "claims it when it changes" in (await eventually(lambda: waits(fed)))[0]
        await touch(fed)
        await eventually(lambda: targets(fed) == {"member1"})


async def test_a_policy_that_becomes_immediate_acts_at_once() -> None:
    async with federation() as fed:
        await placed(fed, lazy("member1"), deployment("web", PLACE))
        await edit(fed, placement=on("member2"), activationPreference="")
        await eventually(lambda: targets(fed) == {"member2"})
        assert "generation" not in reference(fed)


async def test_what_waits_acts_when_the_policy_becomes_immediate() -> None:
    async with federation() as fed:
        await placed(fed, lazy("member1"), deployment("web", PLACE))
        await edit(fed, placement=on("member2"))
        await always(lambda: targets(fed) == {"member1"}, seconds=0.2)
        await edit(fed, activationPreference=None)
        await eventually(lambda: targets(fed) == {"member2"})


async def test_an_edit_that_makes_a_policy_lazy_waits_itself() -> None:
    async with federation() as fed:
        await placed(fed, lazy("member1", activationPreference=""), deployment("web", PLACE))
        assert "generation" not in reference(fed)
        await edit(fed, placement=on("member2"), **LAZY)
        await eventually(lambda: reference(fed).get("generation") == 0)
        await always(lambda: targets(fed) == {"member1"}, seconds=0.3)
        await touch(fed)
        await eventually(lambda: targets(fed) == {"member2"})


async def test_an_immediate_policy_takes_over_from_a_lazy_one_at_once() -> None:
    async with federation() as fed:
        await placed(fed, lazy("member1"), deployment("web", PLACE))
        await fed.apply(policy("high", PLACE, WEB, placement=on("member2"), priority=2, preemption="Always"))
        await eventually(lambda: targets(fed) == {"member2"})


async def test_a_lazy_policy_that_takes_over_claims_at_once_and_moves_when_the_template_changes() -> None:
    async with federation() as fed:
        await placed(fed, lazy("member1"), deployment("web", PLACE))
        await fed.apply(policy("high", PLACE, WEB, placement=on("member2"), priority=2, preemption="Always", **LAZY))
        await eventually(lambda: fed.claimed_by("Deployment", "web") == "high")
        await always(lambda: targets(fed) == {"member1"}, seconds=0.3)
        assert "has claimed it" in fed.condition("Deployment", "web", "Scheduled")["message"]
        assert await eventually(lambda: waits(fed, "high"))
        await touch(fed)
        await eventually(lambda: targets(fed) == {"member2"})


async def test_a_deleted_lazy_policy_leaves_everything_where_it_is_even_while_its_edit_waits() -> None:
    async with federation() as fed:
        await placed(fed, lazy("member1"), deployment("web", PLACE))
        await edit(fed, placement=on("member2"))
        await eventually(lambda: "templateHash" in reference(fed))
        await fed.delete("PropagationPolicy", "web")
        await fed.scale("web", 3)
        await eventually(lambda: fed.replicas("web") == {"member1": 3})


async def test_a_binding_that_is_lost_is_made_again_at_once() -> None:
    async with federation() as fed:
        await placed(fed, lazy("member1"), deployment("web", PLACE))
        await second()
        await edit(fed, resourceSelectors=[WEB, selector(name="more")])
        await eventually(lambda: "templateHash" in reference(fed))
        lost = fed.binding("Deployment", "web")["metadata"]
        await fed.client.delete(RESOURCE_BINDINGS, lost["name"], PLACE)
        await eventually(
            lambda: (fed.binding("Deployment", "web") or {"metadata": lost})["metadata"]["uid"] != lost["uid"]
        )
        await eventually(lambda: fed.settled("Deployment", "web"))
        assert fed.replicas("web") == {"member1": 1}


async def test_the_options_of_an_edit_wait_as_well() -> None:
    async with federation() as fed:
        await placed(fed, lazy("member1"), deployment("web", PLACE))
        await edit(fed, preserveResourcesOnDeletion=True, conflictResolution="Overwrite")
        await eventually(lambda: "templateHash" in reference(fed))
        assert (
            not {"preserveResourcesOnDeletion", "conflictResolution"} & fed.binding("Deployment", "web")["spec"].keys()
        )
        await touch(fed)
        await eventually(lambda: fed.binding("Deployment", "web")["spec"].get("preserveResourcesOnDeletion"))
        assert fed.binding("Deployment", "web")["spec"]["conflictResolution"] == "Overwrite"


async def test_an_edit_that_waits_survives_restarts_and_what_the_status_says_is_no_change() -> None:
    async with federation() as fed:
        await placed(fed, lazy("member1"), deployment("web", PLACE))
        await edit(fed, placement=on("member2"))
        await eventually(lambda: "templateHash" in reference(fed))
        await fed.quiet()
        await fed.kill()
        written = len(fed.hub.requests)
        await fed.start()
        fed.works = lambda _cluster, _workload: False
        await always(lambda: targets(fed) == {"member1"}, seconds=0.3)
        assert not [one for one in fed.hub.requests[written:] if "resourcebindings" in one.path and one.method == "PATCH"
                    and "/status" not in one.path]  # fmt: skip
        fed.works = lambda _cluster, _workload: True
        await touch(fed)
        await eventually(lambda: targets(fed) == {"member2"})


async def test_what_changed_while_nobody_looked_waits_for_another_change() -> None:
    async with federation() as fed:
        await placed(fed, lazy("member1"), deployment("web", PLACE))
        await fed.kill()
        await edit(fed, placement=on("member2"))
        await touch(fed, "unseen")
        await fed.start()
        await eventually(lambda: "templateHash" in reference(fed))
        await always(lambda: targets(fed) == {"member1"}, seconds=0.3)
        await touch(fed, "seen")
        await eventually(lambda: targets(fed) == {"member2"})


async def test_a_change_of_the_number_and_the_edit_that_waited_for_it_are_one_decision() -> None:
    async with federation() as fed:
        spread = {"placement": on("member1", "member2") | weights(member1=1, member2=1)}
        await placed(fed, lazy("member1"), deployment("web", PLACE, 2))
        await edit(fed, **spread)
        await eventually(lambda: "templateHash" in reference(fed))
        epoch = fed.decision("Deployment", "web")["epoch"]
        await fed.scale("web", 4)
        await eventually(lambda: fed.replicas("web") == {"member1": 2, "member2": 2})
        assert fed.decision("Deployment", "web")["trigger"] == "PlacementChanged"
        assert fed.decision("Deployment", "web")["epoch"] == epoch + 1


async def test_a_lazy_policy_costs_one_write_a_binding_for_an_edit_and_none_for_a_change() -> None:
    async with federation() as fed:
        await placed(fed, lazy("member1"), deployment("web", PLACE))
        await fed.quiet()

        async def spent(act: Any, done: Any) -> list[str]:
            before = len(fed.hub.requests)
            await act
            await eventually(done)
            await fed.quiet()
            ours = [one for one in fed.hub.requests[before:] if "fieldManager=federation" in one.path]
            return [one.path for one in ours if "/resourcebindings/" in one.path and "/status" not in one.path]

        def changed() -> Any:
            return (fed.copy("member1", "Deployment", "web")["metadata"].get("annotations") or {}).get("touched")

        assert await spent(touch(fed), changed) == []
        assert len(await spent(edit(fed, placement=on("member2")), lambda: "templateHash" in reference(fed))) == 1
        assert await spent(edit(fed, placement=on("member3")), lambda: waits(fed)) == [], "it waits already"
        assert len(await spent(touch(fed, "again"), lambda: targets(fed) == {"member3"})) == 1
