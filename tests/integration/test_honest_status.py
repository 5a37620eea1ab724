"""Templates tell of members that refuse or stay away, and go back to normal when they answer (issue 4, unreachable members)."""

from typing import Any

from federation.kube.errors import Forbidden, Unavailable
from tests.e2e.manifests import Manifest, deployment, on, policy, selector
from tests.integration.federation import PLACE, Federation, always, eventually, federation


def condition(fed: Federation, kind: str = "Progressing") -> Manifest:
    found = next(one for one in fed.hub.objects("apps/v1", "Deployment", PLACE))
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), {})


def status(fed: Federation) -> Manifest:
    found: Manifest = fed.hub.objects("apps/v1", "Deployment", PLACE)[0]["status"]
    return found


def away(_method: str, _path: str) -> Exception:
    return Unavailable(0, "", "no route to host")


def refusing(method: str, path: str) -> Exception | None:
    applies = method == "PATCH" and "/deployments/" in path
    return Forbidden(403, "Forbidden", "deployments is forbidden") if applies else None


async def placed(fed: Federation, **spec: Any) -> None:
    web = deployment("web", PLACE, 2)
    web["spec"].update(spec)
    await fed.apply(policy("web", PLACE, selector(name="web"), placement=on("member1", "member2")), web)


async def test_a_settled_member_that_stays_away_fails_its_templates_by_name_and_healing_mends_them() -> None:
    async with federation(2) as fed:
        await placed(fed, progressDeadlineSeconds=2)
        await eventually(lambda: fed.settled("Deployment", "web"))
        await eventually(lambda: status(fed).get("readyReplicas") == 2)
        fed.members["member2"].server.faults = away

        await eventually(lambda: fed.lines("Deployment", "web")["member2"].get("stale") == "true")
        line = fed.lines("Deployment", "web")["member2"]
        assert (line["reason"], line["ready"]) == ("Unreachable", "2")
        await eventually(lambda: "member2 (Unreachable since" in condition(fed).get("message", ""))
        assert condition(fed)["status"] == "True", "the deadline has not passed"
        binding = fed.binding("Deployment", "web")
        assert binding is not None
        assert "member2 2/2 stale (Unreachable)" in binding["status"]["summary"]

        await eventually(lambda: condition(fed)["status"] == "False", within=6)
        assert condition(fed)["reason"] == "ProgressDeadlineExceeded"
        assert "no progress in member2" in condition(fed)["message"]
        assert status(fed)["readyReplicas"] == 2, "its numbers are kept"

        fed.members["member2"].server.faults = None
        await eventually(lambda: condition(fed)["reason"] == "NewReplicaSetAvailable")
        assert "since" not in fed.lines("Deployment", "web")["member2"]


async def test_a_deadline_goes_on_over_a_restart() -> None:
    async with federation(2) as fed:
        await placed(fed, progressDeadlineSeconds=3)
        await eventually(lambda: fed.settled("Deployment", "web"))
        fed.members["member2"].server.faults = away
        await eventually(lambda: fed.lines("Deployment", "web")["member2"].get("reason") == "Unreachable")
        since = fed.lines("Deployment", "web")["member2"]["since"]
        await fed.kill()
        await fed.start()
        await eventually(lambda: condition(fed)["status"] == "False", within=6)
        assert fed.lines("Deployment", "web")["member2"]["since"] == since


async def test_a_member_that_refuses_from_the_start_fails_the_template_and_a_right_given_mends_it() -> None:
    async with federation(2) as fed:
        fed.members["member2"].server.faults = refusing
        await placed(fed, progressDeadlineSeconds=2)
        await eventually(lambda: condition(fed).get("reason") == "ProgressDeadlineExceeded", within=6)
        assert "no progress in member2 (Forbidden since" in condition(fed)["message"]
        assert status(fed)["observedGeneration"] == 1, "tools believe a failure only of a generation that is observed"
        assert status(fed).get("updatedReplicas") is None, "a Duplicated workload shows its slowest member"
        fed.members["member2"].server.faults = None
        await fed.apply(
            {**deployment("web", PLACE, 2), "metadata": {"name": "web", "namespace": PLACE, "labels": {"a": "b"}}}
        )
        await eventually(lambda: condition(fed)["reason"] == "NewReplicaSetAvailable")
        assert status(fed)["updatedReplicas"] == 2


async def test_a_deadline_that_nobody_misses_costs_no_look_and_no_write() -> None:
    async with federation(1) as fed:
        await placed_in_one(fed)
        await eventually(
            lambda: fed.settled("Deployment", "web") and condition(fed).get("reason") == "NewReplicaSetAvailable"
        )
        first = fed.hub.objects("apps/v1", "Deployment", PLACE)[0]["metadata"]["resourceVersion"]
        await always(
            lambda: fed.hub.objects("apps/v1", "Deployment", PLACE)[0]["metadata"]["resourceVersion"] == first,
            seconds=2.5,
        )


async def placed_in_one(fed: Federation) -> None:
    web = deployment("web", PLACE, 2)
    web["spec"]["progressDeadlineSeconds"] = 1
    await fed.apply(policy("web", PLACE, selector(name="web"), placement=on("member1")), web)
