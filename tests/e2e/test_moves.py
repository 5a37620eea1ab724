"""Moves on real clusters: real rollouts, real readiness, what users type."""

import time

from tests.e2e.lab import Lab, eventually
from tests.e2e.manifests import deployment, on, policy, selector, weights
from tests.e2e.test_write_budget import member_writes, ours, windows


def web(place: str, **shares: int) -> dict:
    return policy("web", place, selector(name="web"), placement=on(*shares) | weights(**shares))


def shares(lab: Lab, place: str) -> dict[str, int]:
    found = {name: member.get("deployment", "web", place) for name, member in lab.members.items()}
    return {name: one["spec"]["replicas"] for name, one in found.items() if one}


def placed(lab: Lab, place: str, replicas: int, **given: int) -> None:
    lab.hub.apply(web(place, **given), deployment("web", place, replicas))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))


def moved(lab: Lab, place: str, wanted: dict[str, int]) -> bool:
    decision = lab.hub.status("Deployment", "web", place).get("decision") or {}
    return shares(lab, place) == wanted and not decision.get("moves") and lab.hub.settled("Deployment", "web", place)


def test_a_policy_edit_moves_a_workload_and_its_number_of_ready_pods_never_falls(lab: Lab, place: str) -> None:
    placed(lab, place, 4, member1=1)
    with lab.member(1).watching("deployment", place) as first, lab.member(3).watching("deployment", place) as third:
        lab.hub.apply(web(place, member3=1))
        eventually(lambda: moved(lab, place, {"member3": 4}))
    # One after the other by the times that our writes and the members' controllers left: what member1 gave up, member3 had.
    given_up = [one["spec"]["replicas"] for one in first]
    served = [(one.get("status") or {}).get("availableReplicas", 0) for one in third]
    grown = [one["spec"]["replicas"] for one in third]
    assert given_up == sorted(given_up, reverse=True)
    assert grown == sorted(grown)
    assert served == sorted(served)
    steps = len(set(grown))
    assert steps == 4, "a surge of 25 % of 4 is one replica at a time"


def test_one_copy_moved_costs_five_requests_of_the_hub_and_one_write_a_member(lab: Lab, place: str) -> None:
    placed(lab, place, 1, member1=1)
    lab.member(3).run("create", "namespace", place)
    time.sleep(1)
    with lab.hub.counting() as hub, lab.member(1).counting() as one, lab.member(3).counting() as three:
        lab.hub.apply(web(place, member3=1))
        eventually(lambda: moved(lab, place, {"member3": 1}), every=0.2)
        time.sleep(1)
    writes = [member_writes(found) for found in (one, three)]
    assert [len(found) for found in writes] == [1, 1], writes
    found = ours(hub, place)
    assert len(found) <= 5 + 2 * windows(lab, [one, three]), found


def test_a_member_whose_copies_fit_nowhere_else_stays_until_told(lab: Lab, place: str) -> None:
    lab.join(4)
    placed(lab, place, 2, member4=1)
    said = lab.fedctl("leave", "member4", "--wait", "5", fails=True)
    assert f"Deployment {place}/web" in said
    assert "NoSuccessor" in said
    assert shares(lab, place) == {"member4": 2}
    pods = {pod["metadata"]["uid"] for pod in lab.member(4).every("pods", place)}
    assert "has left" in lab.fedctl("leave", "member4", "--keep")
    assert {pod["metadata"]["uid"] for pod in lab.member(4).every("pods", place)} == pods


def test_a_share_is_pinned_by_hand_and_given_back(lab: Lab, place: str) -> None:
    placed(lab, place, 6, member1=1, member2=1, member3=1)
    said = lab.fedctl("pin", "deploy/web", "member1=4", "--for", "2h", "-n", place)
    assert "pinned to member1=4 until" in said
    eventually(lambda: moved(lab, place, {"member1": 4, "member2": 1, "member3": 1}))
    assert lab.hub.status("Deployment", "web", place)["decision"]["trigger"] == "Pinned"
    lab.fedctl("pin", "deploy/web", "--clear", "-n", place)
    eventually(lambda: moved(lab, place, {"member1": 2, "member2": 2, "member3": 2}))


def test_bad_pins_are_refused_with_what_to_do(lab: Lab, place: str) -> None:
    placed(lab, place, 2, member1=1)
    where = ("-n", place)
    assert "there is no cluster nowhere" in lab.fedctl("pin", "deploy/web", "nowhere=1", *where, fails=True)
    assert "add up to 9" in lab.fedctl("pin", "deploy/web", "member1=9", *where, fails=True)
    assert "write CLUSTER=REPLICAS" in lab.fedctl("pin", "deploy/web", "member1", *where, fails=True)
    assert "write a duration" in lab.fedctl("pin", "deploy/web", "member1=1", "--for", "soon", *where, fails=True)
    assert "is not pinned" in lab.fedctl("pin", "deploy/web", "--clear", *where)
