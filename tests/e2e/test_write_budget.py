"""The write budget of the design, counted from the hub's and the members' audit logs.

Not counted, as the design says: Leases, Cluster status, policy status, Events. Everything else of ours is.
"""

import time
from collections.abc import Callable
from datetime import datetime

import pytest

from hack.lab.audit import Request
from tests.e2e.lab import Lab, eventually
from tests.e2e.manifests import deployment, on, override, policy, selector

HUB_USER = "system:serviceaccount:federation-system:federation-hub"
FREE = {
    ("leases", ""),
    ("clusters", "status"),
    ("propagationpolicies", "status"),
    ("clusterpropagationpolicies", "status"),
    ("overridepolicies", "status"),
    ("clusteroverridepolicies", "status"),
}


def ours(found: list[Request], place: str) -> list[str]:
    """Our requests on the hub that count, watches and status of clusters and policies apart."""
    return [
        str(one) for one in found
        if one.user == HUB_USER and one.namespace in (place, "") and one.verb != "watch" and one.resource not in ("leases", "events", "")
        and (one.resource, one.subresource) not in FREE and not (one.resource in ("clusters", "secrets") and one.verb == "get")
    ]  # fmt: skip


def member_writes(found: list[Request]) -> list[str]:
    return [str(one) for one in found if one.user == HUB_USER and one.writes and one.resource != "namespaces"]


def windows(lab: Lab, found: list[list[Request]]) -> int:
    """How many status windows (0.2 s, then doubling) ended while the members were still settling after our first write."""
    settling = 0.0
    for log in found:
        applied = [one.time for one in log if one.user == HUB_USER and one.writes]
        moved = [
            one.time
            for one in log
            if one.user != HUB_USER and one.resource == "deployments" and one.subresource == "status"
        ]
        if applied and moved:
            settling = max(
                settling, (datetime.fromisoformat(max(moved)) - datetime.fromisoformat(min(applied))).total_seconds()
            )
    ends, length, count = 0.2, 0.2, 0
    while settling > ends - 0.05:
        count, length = count + 1, length * 2
        ends += length
    return count


def spent(
    lab: Lab, place: str, members: int, act: Callable[[], object], done: Callable[[], object]
) -> tuple[list[str], list[list[str]], int]:
    """(our hub requests, our writes a member, requests that further windows may cost) until `done` and a little longer."""
    time.sleep(0.6)
    with (
        lab.hub.counting() as hub,
        lab.member(1).counting() as one,
        lab.member(2).counting() as two,
        lab.member(3).counting() as three,
    ):
        act()
        eventually(done, every=0.2)
        time.sleep(1.0)
    logs = [one, two, three][:members]
    return ours(hub, place), [member_writes(found) for found in logs], 2 * windows(lab, logs)


@pytest.mark.parametrize("members", [1, 3])
def test_create_rescale_image_override_and_delete_stay_in_the_budget(lab: Lab, place: str, members: int) -> None:
    names = [f"member{number}" for number in range(1, members + 1)]
    lab.hub.apply(
        policy("web", place, selector(name="web"), selector("ConfigMap", "warm", api="v1"), placement=on(*names))
    )
    for number in range(1, members + 1):
        lab.member(number).run("create", "namespace", place)
    time.sleep(0.5)
    web = "Deployment", "web", place

    def settled(replicas: int, image: str = "registry.test/app:1") -> Callable[[], bool]:
        def test() -> bool:
            found = lab.hub.get("deployment", "web", place)
            status = found["status"] if found else {}
            return bool(
                found and lab.hub.settled(*web) and status.get("observedGeneration") == found["metadata"]["generation"]
                and status.get("availableReplicas") == replicas == status.get("updatedReplicas")
                and found["spec"]["template"]["spec"]["containers"][0]["image"] == image
            )  # fmt: skip

        return test

    hub, writes, more = spent(lab, place, members, lambda: lab.hub.apply(deployment("web", place, 2)), settled(2))
    assert len(hub) <= 4 + more, f"create: binding, decision, members, template status: {hub}"
    assert all(len(one) == 1 for one in writes), writes
    hub, writes, more = spent(lab, place, members, lambda: lab.hub.scale("web", place, 3), settled(3))
    assert len(hub) <= 3 + more, f"rescale: decision, members, template status: {hub}"
    assert all(len(one) == 1 for one in writes), writes
    image = "registry.test/app:2"
    hub, writes, more = spent(
        lab,
        place,
        members,
        lambda: lab.hub.run("set", "image", "deployment/web", "-n", place, f"app={image}"),
        settled(3, image),
    )
    assert len(hub) <= 2 + more, f"new image: members, template status: {hub}"
    assert all(len(one) == 1 for one in writes), writes
    rule = {"overriders": {"annotationsOverrider": [{"operator": "add", "value": {"note": "x"}}]}}
    new = override("note", place, rule, selectors=[selector(name="web")])
    hub, writes, more = spent(lab, place, members, lambda: lab.hub.apply(new), lambda: _noted(lab, members, place))
    assert len(hub) <= 2 + more, f"new override: members, template status: {hub}"
    assert all(len(one) == 1 for one in writes), writes
    hub, writes, more = spent(
        lab, place, members, lambda: lab.hub.delete("deployment", "web", place), lambda: lab.hub.binding(*web) is None
    )
    assert len(hub) <= 2, f"delete: the look that proves it, and the finalizer: {hub}"
    assert all(len(one) == 1 for one in writes), writes


def _noted(lab: Lab, members: int, place: str) -> bool:
    found = [lab.member(number).get("deployment", "web", place) for number in range(1, members + 1)]
    return all(one and one["metadata"]["annotations"].get("note") == "x" for one in found)


def test_a_restart_without_drift_writes_nothing_anywhere(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("web", place, selector(name="web")), deployment("web", place, 2))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    time.sleep(1)
    with (
        lab.hub.counting() as hub,
        lab.member(1).counting() as one,
        lab.member(2).counting() as two,
        lab.member(3).counting() as three,
    ):
        lab.process.restart()
        time.sleep(3)
    writes = [
        str(entry)
        for entry in hub
        if entry.user == HUB_USER and entry.writes and (entry.resource, entry.subresource) not in FREE
    ]
    assert writes == []
    assert [member_writes(found) for found in (one, two, three)] == [[], [], []]


def test_a_settled_system_asks_nothing_but_probes(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("web", place, selector(name="web")), deployment("web", place, 2))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))
    time.sleep(6)  # policy status follows within its period
    with lab.hub.counting() as hub:
        time.sleep(3)
    assert ours(hub, place) == []
