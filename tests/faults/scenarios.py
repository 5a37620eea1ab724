"""What is done while there are faults: prepare, act, and the state that it must come to. Data, and a few builders."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from federation.kube.resource import CLUSTERS, CONFIG_MAPS, DEPLOYMENTS, NAMESPACES
from tests.e2e.manifests import config_map, deployment, on, policy, selector, weights
from tests.faults.journal import Manifest, State
from tests.faults.placed import parse_mark_of, replicas
from tests.faults.rig import Rig, is_ready

FOURTH = "member4"


@dataclass(slots=True)
class Stage:
    """One run's rig and namespace, and what its act began."""

    rig: Rig
    place: str
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`ready`: what `prepare` comes to. `cluster`: the member that joins or leaves."""

    prepare: Callable[[Stage], None]
    act: Callable[[Stage], None]
    done: Callable[[State, str], bool]
    ready: Callable[[State, str], bool] = lambda _state, _place: True
    cluster: str = ""
    present: bool = False
    """Whether `cluster` is a member when the run begins."""


def shares(state: State, place: str, name: str = "web") -> dict[str, int]:
    """Replicas of the copies that carry our mark, by cluster."""
    return {
        key[0]: replicas(copy) for key, copy in state.every("deployments")
        if key[0] != "hub" and key[2:] == (place, name) and parse_mark_of(copy) is not None
    }  # fmt: skip


def binding_of(state: State, place: str, name: str) -> Manifest | None:
    """The binding of a template in the namespace."""
    for key, binding in state.every("resourcebindings", "hub"):
        if key[2] == place and binding["spec"]["resource"]["name"] == name:
            return binding
    return None


def settled(state: State, place: str, kind: str = "deployments", name: str = "web") -> bool:
    """Whether the binding is Ready, no move is open, and the template's own status has caught up."""
    template, binding = state.get("hub", kind, place, name), binding_of(state, place, name)
    status = (binding or {}).get("status") or {}
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or []}
    if template is None or conditions.get("Ready") != "True" or (status.get("decision") or {}).get("moves"):
        return False
    if kind != "deployments":
        return True
    told = template.get("status") or {}
    generation, wanted = template["metadata"]["generation"], template["spec"]["replicas"]
    return told.get("observedGeneration") == generation and told.get("availableReplicas") == wanted == told.get(
        "replicas"
    )


def is_gone(state: State, place: str) -> bool:
    """Whether neither binding nor copy is left."""
    return not shares(state, place) and binding_of(state, place, "web") is None


def is_at(**wanted: int) -> Callable[[State, str], bool]:
    """Settled with these shares."""
    return lambda state, place: shares(state, place) == wanted and settled(state, place)


def policy_for(place: str, **by_cluster: int) -> Manifest:
    """Divided by these weights."""
    return policy("web", place, selector(name="web"), placement=on(*by_cluster) | weights(**by_cluster))


def _policy(**by_cluster: int) -> Callable[[Stage], None]:
    return lambda stage: stage.rig.apply(policy_for(stage.place, **by_cluster))


def _placed(replicas: int, **by_cluster: int) -> Callable[[Stage], None]:
    return lambda stage: stage.rig.apply(
        policy_for(stage.place, **by_cluster), deployment("web", stage.place, replicas)
    )


def _everywhere(stage: Stage) -> None:
    stage.rig.apply(
        policy("app", stage.place, selector("ConfigMap", "app", api="v1"), placement={}), config_map("app", stage.place)
    )


def _join(stage: Stage) -> None:
    stage.running.append(stage.rig.joining(FOURTH))


def _joined(state: State, place: str) -> bool:
    return is_ready(state, FOURTH) and _everywhere_on(4)(state, place)


def _everywhere_on(count: int) -> Callable[[State, str], bool]:
    """The ConfigMap is in so many members, and its binding says so."""

    def test(state: State, place: str) -> bool:
        lines = ((binding_of(state, place, "app") or {}).get("status") or {}).get("members") or {}
        copies = [key for key, _ in state.every("configmaps") if key[0] != "hub" and key[2:] == (place, "app")]
        return len(lines) == len(copies) == count and settled(state, place, "configmaps", "app")

    return test


def _left(state: State, place: str) -> bool:
    return state.get("hub", "clusters", "", FOURTH) is None and is_at(member1=3)(state, place)


SCENARIOS: dict[str, Scenario] = {
    "create": Scenario(
        prepare=_policy(member1=1, member2=2),
        act=lambda stage: stage.rig.apply(deployment("web", stage.place, 3)),
        done=is_at(member1=1, member2=2),
    ),
    "rescale": Scenario(
        prepare=_placed(3, member1=1, member2=2), ready=is_at(member1=1, member2=2),
        act=lambda stage: stage.rig.patch(DEPLOYMENTS, "web", stage.place, {"spec": {"replicas": 6}}),
        done=is_at(member1=2, member2=4),
    ),
    "move": Scenario(
        prepare=_placed(3, member1=1, member2=2), ready=is_at(member1=1, member2=2),
        act=_policy(member2=2, member3=1),
        done=is_at(member2=2, member3=1),
    ),
    "drain": Scenario(
        prepare=_placed(3, member1=1, member2=2), ready=is_at(member1=1, member2=2),
        act=_policy(member1=1),
        done=is_at(member1=3),
    ),
    "delete": Scenario(
        prepare=_placed(3, member1=1, member2=2), ready=is_at(member1=1, member2=2),
        act=lambda stage: stage.rig.delete(DEPLOYMENTS, "web", stage.place),
        done=is_gone,
    ),
    "join": Scenario(prepare=_everywhere, ready=_everywhere_on(3), act=_join, done=_joined, cluster=FOURTH),
    "leave": Scenario(
        prepare=_placed(3, member1=1, member4=2), ready=is_at(member1=1, member4=2), cluster=FOURTH, present=True,
        act=lambda stage: stage.rig.delete(CLUSTERS, FOURTH),
        done=_left,
    ),
}  # fmt: skip


def clear(stage: Stage) -> None:
    """Ask everything of a run to go; our process has its part in that, and nobody waits for it here."""
    for resource, name in ((DEPLOYMENTS, "web"), (CONFIG_MAPS, "app")):
        stage.rig.delete(resource, name, stage.place)
    stage.rig.delete(NAMESPACES, stage.place)
