"""Two replicas of the hub process: take-over, a frozen owner, an upgrade of ourselves beside the version before."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from federation.api.crds import SCHEMA_VERSION, all_crds
from federation.api.lines import parse_mark
from federation.api.meta import MARK_ANNOTATION, SCHEMA_VERSION_ANNOTATION
from federation.hub.ownership import score, shard_of
from tests.e2e.lab import Lab, Manifest, Process, always, eventually
from tests.e2e.manifests import config_map, deployment, on, policy, selector, weights
from tests.e2e.test_write_budget import member_writes

PROMISE = 15.0
"""Seconds in which another replica goes on."""
LEADING = "--roles=detect,schedule,collect,clusters,operator"
Replicas = Callable[..., Process]


@pytest.fixture
def replica(lab: Lab, place: str) -> Iterator[Replicas]:
    """Makes further hub processes by identity; at the end only the one of every other test is left."""
    with ExitStack() as stack:

        def make(identity: str, variant: str = "") -> Process:
            directory = lab.directory / place / identity
            directory.mkdir(parents=True)
            process = Process(lab.hub, directory, variant=variant)
            process.prepare()
            stack.callback(lambda: process.running and process.kill())
            return process

        yield make
        stack.close()
        if not lab.process.running:
            lab.process.start()
        # Who is left must not wait for the leases of those who are killed now.
        eventually(lambda: settled_on(lab, lab.process.identity), within=2 * PROMISE)


def settled_on(lab: Lab, identity: str) -> bool:
    return set(holders(lab).values()) == {identity}


def holders(lab: Lab) -> dict[str, str]:
    """Who holds which lease of ours; places of replicas without a shard apart."""
    found = {
        one["metadata"]["name"]: one["spec"].get("holderIdentity") or ""
        for one in lab.hub.every("lease", "federation-system")
    }
    return {
        name.removeprefix("federation-"): holder.rpartition("_")[0]
        for name, holder in found.items()
        if name == "federation-leader" or name.startswith("federation-shard-")
    }


def shared(lab: Lab, *identities: str) -> bool:
    held = [holder for name, holder in holders(lab).items() if name.startswith("shard")]
    return all(held.count(identity) == len(held) // len(identities) for identity in identities)


def copies(lab: Lab, place: str) -> dict[str, Manifest]:
    found = {name: member.get("deployment", "web", place) for name, member in lab.members.items()}
    return {name: one for name, one in found.items() if one is not None}


def shares(lab: Lab, place: str) -> dict[str, int]:
    return {name: one["spec"]["replicas"] for name, one in copies(lab, place).items()}


def divided(place: str, **shares: int) -> Manifest:
    return policy("web", place, selector(name="web"), placement=on(*shares) | weights(**shares))


def test_when_the_leader_is_killed_another_replica_goes_on_within_the_promise(
    lab: Lab, place: str, replica: Replicas
) -> None:
    lab.hub.apply(divided(place, member1=1, member2=1), deployment("web", place, 2))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    second = replica("second")
    second.start()
    eventually(lambda: shared(lab, lab.process.identity, "second"))
    assert holders(lab)["leader"] == lab.process.identity
    lab.process.kill()
    lab.hub.scale("web", place, 6)
    eventually(lambda: shares(lab, place) == {"member1": 3, "member2": 3}, within=PROMISE)
    assert set(holders(lab).values()) == {"second"}
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    assert second.errors() == []
    lab.process.start()
    eventually(lambda: shared(lab, lab.process.identity, "second"))
    assert second.stop() == 0


def test_the_late_delete_of_a_frozen_owner_fails_and_nothing_is_lost(lab: Lab, place: str, replica: Replicas) -> None:
    lab.hub.apply(divided(place, member1=1, member2=1), deployment("web", place, 2))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    before = copies(lab, place)["member1"]
    lab.process.stop()
    shard = shard_of("member1", 4)
    standby = next(
        name for name in ("b1", "b2", "b3", "b4", "b5") if shard not in sorted(range(4), key=lambda one: score(one, name))[2:]
    )  # fmt: skip
    leader, owner, other = replica("leader"), replica("owner", "freezing"), replica(standby)
    leader.start(LEADING)
    owner.start("--roles=execute")
    eventually(lambda: settled_shards(lab) == {"owner"})
    other.start("--roles=execute")
    eventually(lambda: shared(lab, "owner", standby))
    assert holders(lab)[f"shard-{shard}"] == "owner"

    lab.hub.apply(divided(place, member2=1))
    eventually(lambda: owner.stopped)
    lab.hub.apply(divided(place, member1=1, member2=1))
    eventually(lambda: "member1" in returned(lab, place))
    assert epoch(lab, place, "member1") < returned(lab, place)["member1"]
    eventually(lambda: holders(lab)[f"shard-{shard}"] == standby, within=PROMISE)
    eventually(lambda: epoch(lab, place, "member1") >= returned(lab, place)["member1"])
    assert copies(lab, place)["member1"]["metadata"]["uid"] == before["metadata"]["uid"]

    with lab.member(1).counting() as found:
        owner.go_on()
        eventually(lambda: not owner.running)
        always(lambda: "member1" in copies(lab, place), seconds=1)
    assert [one.code for one in found if one.verb == "delete" and one.resource == "deployments"] == [409]
    assert "the late DELETE was answered 409" in owner.log.read_text()
    assert "federation-shard-" in owner.log.read_text().rpartition("ending: ")[2]
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    assert copies(lab, place)["member1"]["metadata"]["uid"] == before["metadata"]["uid"]
    assert shares(lab, place) == {"member1": 1, "member2": 1}
    assert settled_shards(lab) == {standby}
    for one in (leader, other):
        assert one.errors() == []
        assert one.stop() == 0


def settled_shards(lab: Lab) -> set[str]:
    return {holder for name, holder in holders(lab).items() if name.startswith("shard")}


def returned(lab: Lab, place: str) -> dict[str, int]:
    return (lab.hub.status("Deployment", "web", place).get("decision") or {}).get("returned") or {}


def epoch(lab: Lab, place: str, cluster: str) -> int:
    mark = parse_mark(copies(lab, place)[cluster]["metadata"]["annotations"][MARK_ANNOTATION])
    assert mark is not None
    return mark.epoch


def schemas(lab: Lab) -> dict[str, tuple[str, str]]:
    """(schema version, resourceVersion) of each of our CRDs."""
    names = {one["metadata"]["name"] for one in all_crds()}
    return {
        one["metadata"]["name"]: (
            one["metadata"]["annotations"][SCHEMA_VERSION_ANNOTATION],
            one["metadata"]["resourceVersion"],
        )
        for one in lab.hub.every("crd")
        if one["metadata"]["name"] in names
    }


@pytest.fixture
def schema_version(lab: Lab) -> Iterator[None]:
    """Our CRDs say at the end that they are what this version made."""
    yield
    for one in all_crds():
        mark = {"metadata": {"annotations": {SCHEMA_VERSION_ANNOTATION: str(SCHEMA_VERSION)}}}
        lab.hub.patch("crd", one["metadata"]["name"], None, mark)


def test_a_rolling_upgrade_writes_nothing_to_members_and_an_older_crd_never_replaces_a_newer_one(
    lab: Lab, place: str, replica: Replicas, schema_version: None
) -> None:
    lab.hub.apply(
        divided(place, member1=1, member2=1), deployment("web", place, 2),
        policy("app", place, selector("ConfigMap", "app", api="v1"), placement={}), config_map("app", place),
    )  # fmt: skip
    eventually(
        lambda: lab.hub.settled("Deployment", "web", place) and lab.hub.settled("ConfigMap", "app", place, group="")
    )
    time.sleep(1)
    after = replica("after", "newer")
    with lab.member(1).counting() as one, lab.member(2).counting() as two, lab.member(3).counting() as three:
        after.start()
        assert {version for version, _ in schemas(lab).values()} == {str(SCHEMA_VERSION + 1)}
        eventually(lambda: shared(lab, lab.process.identity, "after"))
        assert lab.process.stop() == 0
        eventually(lambda: set(holders(lab).values()) == {"after"})
        time.sleep(3)
    assert [member_writes(found) for found in (one, two, three)] == [[], [], []]

    newer = schemas(lab)
    with lab.member(1).counting() as one, lab.member(2).counting() as two, lab.member(3).counting() as three:
        lab.process.start()
        eventually(lambda: shared(lab, lab.process.identity, "after"))
        assert schemas(lab) == newer
        assert after.stop() == 0
        eventually(lambda: settled_on(lab, lab.process.identity))
        time.sleep(3)
    assert [member_writes(found) for found in (one, two, three)] == [[], [], []]
    assert lab.hub.settled("Deployment", "web", place)
    assert after.errors() == []
