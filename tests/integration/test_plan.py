"""Plan equals apply (I23), on sandboxes: what `plan` says of a random commit is what the members then log and hold.

`--plan-steps N` sets how many; `make test-plan` takes 950.
"""

import gzip
import random
from dataclasses import replace
from pathlib import Path

import pytest

from federation.api.meta import Manifest
from federation.hub.schedule import assumed
from federation.hub.settings import Settings
from federation.kube.client import Client
from federation.kube.errors import NotFound
from federation.kube.resource import NAMESPACES, SECRETS, Resource
from federation.plan import snapshot
from federation.plan.changes import Change, Effect, compare
from federation.plan.outcome import Plan
from federation.plan.reading import take
from federation.plan.rehearse import rehearse
from federation.plan.snapshot import write
from tests.e2e.manifests import API, aggregated, config_map, deployment, on, policy, selector
from tests.integration.federation import PLACE, RESOURCES, Federation, eventually, federation
from tests.plan.repository import Repository, Step

SETTLING = 0.2
"""In place of the seconds in which what was decided is deducted from a summary that may not count it yet."""


async def test_what_is_planned_for_a_random_commit_is_what_the_members_log_and_hold(
    plan_steps: int, plan_seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assumed, "SETTLING", SETTLING)
    repository = Repository(PLACE, random.Random(plan_seed))
    async with federation(3) as fed:
        user = fed.hub.client(field_manager="kubectl")

        async def member(name: str) -> Client:
            return fed.members[name].client()

        await commit(fed, user, repository.first())
        for number in range(plan_steps):
            step = repository.next()
            plan = await rehearse(
                await take(fed.hub.client(), member=member),
                apply=step.apply,
                delete=step.delete,
                namespace=PLACE,
                settings=fed.settings,
            )
            before, logged = held(fed), {name: len(one.server.requests) for name, one in fed.members.items()}
            await commit(fed, user, step)
            done = [one for name in sorted(before) for one in compare(name, before[name], held(fed)[name])]
            assert set(map(told, plan.changes)) == set(map(told, done)), (
                f"step {number} of seed {plan_seed}: {step.text}"
            )
            assert written(plan.changes) == log_of(fed, logged), f"step {number} of seed {plan_seed}: {step.text}"
            decided = {one.object: dict(one.targets[1]) for one in plan.workloads}
            for name, targets in decided.items():
                kind, _, path = name.partition(" ")
                assert (fed.decision(kind, path.partition("/")[2]).get("targets") or {}) == targets, step.text


async def commit(fed: Federation, user: Client, step: Step) -> None:
    """Apply and delete as kubectl does, and wait until nothing happens any more."""
    for manifest in step.apply:
        await user.apply(RESOURCES[manifest["kind"]], manifest)
    for _, kind, place, name in step.delete:
        try:
            await user.delete(RESOURCES[kind], name, place, propagation="Background")
        except NotFound:
            continue
    await fed.quiet(seconds=SETTLING + 0.4)


def held(fed: Federation) -> dict[str, list[dict]]:  # type: ignore[type-arg]
    found = {}
    for name, member in fed.members.items():
        storage = member.server.storage
        found[name] = [one for kept in storage.collections() for one in storage.values(kept)]
    return found


def told(change: Change) -> tuple[object, ...]:
    fields = tuple((one.path, repr(one.before), repr(one.after)) for one in change.fields)
    return change.cluster, change.object, str(change.effect), fields, change.replicas


def written(changes: tuple[Change, ...]) -> set[str]:
    """What the changes leave in the members' logs: the cluster, the object's path, and what happened to it."""
    words = {"create": "created", "delete": "deleted"}
    # A namespace is made by a POST to the collection: its name is not in the path.
    logged = [one for one in changes if (one.kind, str(one.effect)) != ("Namespace", "create")]
    return {f"{one.cluster} {path_of(one)} {words.get(str(one.effect), 'patched')}" for one in logged}


def path_of(change: Change) -> str:
    served: Resource = RESOURCES[change.kind]
    return served.path(change.namespace or None, change.name)


def log_of(fed: Federation, since: dict[str, int]) -> set[str]:
    """The net of what each member logged: an object that was patched after its creation was created, one that came and went was not there."""
    found: dict[tuple[str, str], str] = {}
    for name, member in fed.members.items():
        for one in member.server.requests[since[name] :]:
            path = one.path.partition("?")[0]
            if one.method == "GET" or one.status >= 400:
                continue
            if one.method == "POST":
                continue  # a namespace, whose name is in the body: what is held tells of it
            key, made = (name, path), one.status == 201
            if one.method == "DELETE" and found.get(key) == "created":
                del found[key]  # it came and went: two controllers took up one commit one after the other
            elif one.method == "DELETE":
                found[key] = "deleted"
            elif found.get(key) != "created":
                found[key] = "created" if made else "patched"
    return {f"{name} {path} {what}" for (name, path), what in found.items()}


async def planned(fed: Federation, *apply: Manifest, settings: Settings | None = None, read: bool = True) -> Plan:
    async def member(name: str) -> Client:
        return fed.members[name].client()

    found = await take(fed.hub.client(), member=member if read else None)
    return await rehearse(found, apply=apply, namespace=PLACE, settings=settings or fed.settings)


def effects(changes: tuple[Change, ...]) -> list[tuple[str, str, str]]:
    return [(one.cluster, one.object, str(one.effect)) for one in changes if one.kind != "Namespace"]


async def settled(fed: Federation, *names: str, on_cluster: str = "member1") -> None:
    placed = policy("all", PLACE, selector(), placement=on(on_cluster))
    await fed.apply(placed, *(deployment(name, PLACE, 1) for name in names))
    for name in names:
        await eventually(lambda name=name: fed.settled("Deployment", name))


async def test_what_the_brake_would_hold_is_told_apart_with_what_follows_its_approval() -> None:
    async with federation(2) as fed:
        await settled(fed, "a", "b", "c")
        tight = replace(fed.settings, brake_objects=1, brake_percent=0)
        plan = await planned(fed, policy("all", PLACE, selector(), placement=on("member2")), settings=tight)
        assert len(plan.held) == 2
        assert {one.what for one in plan.held} == {"delete"}
        gone = [one for one in effects(plan.changes) if one[2] == "delete"]
        assert len(gone) == 1, "what a window lets go at once"
        assert sorted(one[1] for one in gone + effects(plan.after_approval)) == [
            "Deployment shop/a", "Deployment shop/b", "Deployment shop/c",
        ]  # fmt: skip
        assert (plan.stopped, fed.members["member2"].server.count("PATCH")) == (True, 0)


@pytest.mark.parametrize("read", [True, False], ids=["members read", "as the hub says"])
async def test_a_plan_is_the_same_where_the_members_may_not_be_read(*, read: bool) -> None:
    async with federation(2) as fed:
        await settled(fed, "web")
        image = deployment("web", PLACE, 3, image="registry.test/app:2")
        plan = await planned(fed, image, config_map("unclaimed", PLACE), read=read)
        (change,) = plan.changes
        assert (change.effect, change.replicas) == (Effect.RESTART, (1, 3))
        assert [one.path for one in change.fields] == ["spec.replicas", "spec.template.spec.containers[app].image"]


async def test_an_object_of_that_name_in_a_member_that_is_not_ours_is_a_problem_before_it_is_one() -> None:
    async with federation(2) as fed:
        await settled(fed, "web")
        theirs = fed.members["member2"].client()
        await theirs.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
        await theirs.create(RESOURCES["Deployment"], deployment("web", PLACE, 7))
        plan = await planned(fed, policy("all", PLACE, selector(), placement=on("member1", "member2")))
        (workload,) = plan.workloads
        assert workload.problems[0].startswith("member2: AlreadyExists: Deployment shop/web exists and it is not ours")
        assert effects(plan.changes) == []


async def test_nothing_is_planned_for_a_cluster_that_does_not_answer() -> None:
    async with federation(2) as fed:
        await settled(fed, "web")
        fed.members["member1"].server.down = True
        await eventually(lambda: cluster_condition(fed, "member1", "Ready") != "True")
        plan = await planned(fed, deployment("web", PLACE, 5))
        assert plan.changes == ()
        assert [one.targets[1] for one in plan.workloads] == [{"member1": 5}]
        assert any("cluster member1" in note for note in plan.notes)


async def test_a_workload_that_would_fit_nowhere_is_a_problem() -> None:
    async with federation(2) as fed:
        await settled(fed, "web")
        asked = deployment("big", PLACE, 2, resources={"requests": {"cpu": "60"}})
        placed = policy("big", PLACE, selector(name="big"), placement=on("member1") | aggregated())
        plan = await planned(fed, placed, asked)
        (workload,) = plan.workloads
        assert (workload.object, workload.targets[1]) == ("Deployment shop/big", {})
        assert "Unschedulable" in workload.problems[0]
        assert plan.stopped


async def test_workloads_that_compete_for_room_are_decided_in_the_order_of_their_names_here_and_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assumed, "SETTLING", SETTLING)
    async with federation(2) as fed:
        # Deployments are watched before these are made, so that the hub knows them in the order in which they came.
        await fed.apply(
            policy("other", PLACE, selector(name="other"), placement=on("member1")), deployment("other", PLACE, 1)
        )
        await eventually(lambda: fed.settled("Deployment", "other"))
        for name, replicas in (("queue", 8), ("web", 3), ("api", 3), ("cron", 5)):
            await fed.apply(deployment(name, PLACE, replicas))
        await fed.quiet(seconds=SETTLING + 0.4)
        placed = policy("all", PLACE, selector(), placement=on("member1", "member2") | aggregated())
        plan = await planned(fed, placed)
        await fed.apply(placed)
        await fed.quiet()
        for one in plan.workloads:
            assert fed.decision("Deployment", one.object.rpartition("/")[2])["targets"] == one.targets[1], one.object
        assert len(plan.workloads) == 4


async def test_a_file_holds_no_content_of_a_secret_and_a_plan_on_it_is_the_same(tmp_path: Path) -> None:
    async with federation(2) as fed:
        await settled(fed, "web")
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "key", "namespace": PLACE},
            "data": {"a": "dG9wc2VjcmV0"},
        }
        await fed.client.create(SECRETS, secret)
        await fed.apply(policy("keys", PLACE, selector("Secret", "key", api="v1"), placement=on("member1")))
        await fed.quiet()

        async def member(name: str) -> Client:
            return fed.members[name].client()

        file = tmp_path / "hub.json.gz"
        write(await take(fed.hub.client(), member=member), file)
        assert b"dG9wc2VjcmV0" not in gzip.decompress(file.read_bytes())
        scaled = deployment("web", PLACE, 4)
        plan = await rehearse(snapshot.read(file), apply=[scaled, secret], namespace=PLACE, settings=fed.settings)
        assert effects(plan.changes) == [("member1", "Deployment shop/web", "scale")]
        assert any("Secret key" in note for note in plan.notes)


def test_a_file_that_is_no_snapshot_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "hub.json"
    for text in ("", "{}", '{"format": 99}', "[]"):
        file.write_text(text)
        with pytest.raises(snapshot.SnapshotError, match="fedctl snapshot"):
            snapshot.read(file)


def cluster_condition(fed: Federation, name: str, kind: str) -> str:
    found = next(one for one in fed.hub.objects(API, "Cluster") if one["metadata"]["name"] == name)
    conditions = {one["type"]: one["status"] for one in found["status"]["conditions"]}
    return str(conditions.get(kind))
