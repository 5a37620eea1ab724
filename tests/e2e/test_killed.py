"""SIGKILL of the hub process in the middle of each scenario, then a restart: the end is as if nothing had happened."""

import time
from collections.abc import Callable

import pytest

from tests.e2e.lab import Lab, eventually
from tests.e2e.manifests import config_map, deployment, on, override, policy, selector, weights

Scenario = tuple[Callable[[Lab, str], None], Callable[[Lab, str], None], Callable[[Lab, str], bool]]


def _policy(place: str, *clusters: str, **shares: int) -> dict:
    return policy("web", place, selector(name="web"), placement=on(*clusters) | weights(**shares))


def _shares(lab: Lab, place: str) -> dict[str, int]:
    found = {number: lab.member(number).get("deployment", "web", place) for number in (1, 2, 3)}
    return {f"member{number}": one["spec"]["replicas"] for number, one in found.items() if one}


def _placed(lab: Lab, place: str) -> None:
    lab.hub.apply(_policy(place, "member1", "member2", member1=1, member2=2), deployment("web", place, 3))
    eventually(lambda: lab.hub.settled("Deployment", "web", place))


def _nothing(lab: Lab, place: str) -> None:
    lab.hub.apply(_policy(place, "member1", "member2", member1=1, member2=2))


def _settled(wanted: dict[str, int]) -> Callable[[Lab, str], bool]:
    return lambda lab, place: _shares(lab, place) == wanted and lab.hub.settled("Deployment", "web", place)


NOTE = {"overriders": {"annotationsOverrider": [{"operator": "add", "value": {"note": "x"}}]}}
SCENARIOS: dict[str, Scenario] = {
    "create": (_nothing, lambda lab, place: lab.hub.apply(deployment("web", place, 3)), _settled({"member1": 1, "member2": 2})),
    "rescale": (_placed, lambda lab, place: lab.hub.scale("web", place, 6), _settled({"member1": 2, "member2": 4})),
    "new image": (
        _placed,
        lambda lab, place: lab.hub.run("set", "image", "deployment/web", "-n", place, "app=registry.test/app:9") and None,
        lambda lab, place: all(
            lab.member(number).get("deployment", "web", place)["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":9")
            for number in (1, 2)
        )
        and lab.hub.settled("Deployment", "web", place),
    ),
    "move": (_placed, lambda lab, place: lab.hub.apply(_policy(place, "member2", "member3", member2=1, member3=2)), _settled({"member2": 1, "member3": 2})),
    "new override": (
        _placed,
        lambda lab, place: lab.hub.apply(override("note", place, NOTE, selectors=[selector(name="web")])),
        lambda lab, place: all(
            (lab.member(number).get("deployment", "web", place)["metadata"].get("annotations") or {}).get("note") == "x"
            for number in (1, 2)
        )
        and lab.hub.settled("Deployment", "web", place),
    ),
    "policy deleted and rescaled": (
        _placed,
        lambda lab, place: lab.hub.delete("pp", "web", place, wait=False) or lab.hub.scale("web", place, 6),
        _settled({"member1": 2, "member2": 4}),
    ),
    "hub namespace deleted": (
        _placed,
        lambda lab, place: lab.hub.delete("namespace", place, wait=False),
        lambda lab, place: _shares(lab, place) == {} and lab.hub.get("namespace", place) is None,
    ),
    "delete": (
        _placed,
        lambda lab, place: lab.hub.delete("deployment", "web", place, wait=False),
        lambda lab, place: _shares(lab, place) == {} and lab.hub.binding("Deployment", "web", place) is None,
    ),
    "delete in the foreground": (
        _placed,
        lambda lab, place: lab.hub.delete("deployment", "web", place, cascade="foreground", wait=False),
        lambda lab, place: _shares(lab, place) == {} and lab.hub.get("deployment", "web", place) is None,
    ),
    "delete leaving orphans": (
        _placed,
        lambda lab, place: lab.hub.delete("deployment", "web", place, cascade="orphan", wait=False),
        lambda lab, place: lab.hub.binding("Deployment", "web", place) is None and _shares(lab, place) == {"member1": 1, "member2": 2},
    ),
    "binding deleted by hand": (
        _placed,
        lambda lab, place: lab.hub.run("delete", "rb", "--all", "-n", place, "--wait=false") and None,
        _settled({"member1": 1, "member2": 2}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("delay", [0.0, 0.15], ids=["at once", "a moment later"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_end_is_the_same_after_a_kill(lab: Lab, place: str, name: str, delay: float) -> None:
    prepare, act, done = SCENARIOS[name]
    prepare(lab, place)
    act(lab, place)
    time.sleep(delay)
    lab.process.kill()
    lab.process.start()
    eventually(lambda: done(lab, place), within=40)


def test_join_and_leave_survive_a_kill(lab: Lab, place: str) -> None:
    lab.hub.apply(policy("app", place, selector("ConfigMap", "app", api="v1"), placement={}), config_map("app", place))
    eventually(lambda: lab.hub.settled("ConfigMap", "app", place, group=""))
    lab.process.kill()
    with pytest.raises(AssertionError):
        lab.join(4, "--wait=1")
    lab.process.start()
    eventually(lambda: lab.member(4).get("configmap", "app", place))
    lab.hub.delete("cluster", "member4", wait=False)
    time.sleep(0.1)
    lab.process.kill()
    lab.process.start()
    eventually(lambda: lab.hub.get("cluster", "member4") is None, within=60)
    assert lab.member(4).get("configmap", "app", place) is None


def test_a_stop_is_clean(lab: Lab) -> None:
    assert lab.process.stop() == 0
    lab.process.start()
