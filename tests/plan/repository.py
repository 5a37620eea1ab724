"""A GitOps repository that changes at random: what a team commits, one step at a time, from a seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from federation.plan.manifests import Key, key_of
from tests.e2e.manifests import (
    Manifest,
    aggregated,
    config_map,
    deployment,
    dynamic,
    on,
    override,
    policy,
    selector,
    weights,
)

NAMES = ("web", "api", "queue", "cron", "cache")
CLUSTERS = ("member1", "member2", "member3")


@dataclass(frozen=True, slots=True)
class Step:
    """One commit: what it says, what is applied and what is deleted."""

    text: str
    apply: tuple[Manifest, ...]
    delete: tuple[Key, ...] = ()


@dataclass(slots=True)
class Repository:
    """The manifests of one namespace. `next` commits something; the same seed commits the same."""

    place: str
    rng: random.Random
    held: dict[Key, Manifest] = field(default_factory=dict)

    def first(self) -> Step:
        """What is there to begin with."""
        every = policy("all", self.place, selector(), placement=on("member1", "member2"))
        settings = policy("settings", self.place, selector("ConfigMap", api="v1"), placement=on(*CLUSTERS))
        return self._commit("the first commit", [every, settings, *(self._workload(name) for name in NAMES[:3])])

    def next(self) -> Step:
        """One more commit: a change of one kind, or of two at once."""
        steps = [self._one() for _ in range(1 if self.rng.random() < 0.8 else 2)]
        # The later change of the same object is what a repository holds; an object that goes in the end is not applied.
        last = {key_of(one): one for step in steps for one in step.apply}
        gone = {key: None for step in steps for key in step.delete}
        apply = [one for key, one in last.items() if key in self.held]
        return Step(
            "; ".join(step.text for step in steps), tuple(apply), tuple(key for key in gone if key not in self.held)
        )

    def _one(self) -> Step:
        changes: list[Callable[[], Step]] = [
            self._scaled, self._scaled, self._released, self._placed, self._placed, self._overridden, self._configured,
            self._added, self._removed, self._suspended,
        ]  # fmt: skip
        return self.rng.choice(changes)()

    def _commit(self, text: str, apply: list[Manifest], delete: tuple[Key, ...] = ()) -> Step:
        self.held.update({key_of(one): one for one in apply})
        for key in delete:
            self.held.pop(key, None)
        return Step(text, tuple(apply), delete)

    def _workload(self, name: str) -> Manifest:
        return deployment(name, self.place, self.rng.randint(1, 6))

    def _workloads(self) -> list[Manifest]:
        return [one for key, one in self.held.items() if key[1] == "Deployment"]

    def _scaled(self) -> Step:
        if not self._workloads():
            return self._added()
        found = self.rng.choice(self._workloads())
        replicas = self.rng.randint(0, 9)
        scaled = {**found, "spec": {**found["spec"], "replicas": replicas}}
        return self._commit(f"{found['metadata']['name']} to {replicas}", [scaled])

    def _released(self) -> Step:
        if not self._workloads():
            return self._added()
        found = self.rng.choice(self._workloads())
        name, tag = found["metadata"]["name"], self.rng.randint(1, 99)
        image = f"registry.test/app:{tag}"
        return self._commit(f"{name} to image {tag}", [_with_image(found, image)])

    def _placed(self) -> Step:
        name = self.rng.choice(("all", *NAMES))
        chosen = self.rng.sample(CLUSTERS, self.rng.randint(1, 3))
        strategy = self.rng.choice((
            {}, dynamic(), aggregated(), weights(**{one: self.rng.randint(1, 3) for one in CLUSTERS}),
        ))  # fmt: skip
        wanted = selector() if name == "all" else selector(name=name)
        placed = policy(name, self.place, wanted, placement=on(*sorted(chosen)) | strategy)
        return self._commit(f"policy {name} on {sorted(chosen)} {strategy}", [placed])

    def _suspended(self) -> Step:
        policies = [one for key, one in self.held.items() if key[1] == "PropagationPolicy"]
        if not policies:
            return self._placed()
        found = self.rng.choice(policies)
        suspension = self.rng.choice(
            ({"dispatching": True}, {"dispatchingOnClusters": {"clusterNames": ["member1"]}}, {})
        )
        spec = {key: value for key, value in found["spec"].items() if key != "suspension"}
        changed = {**found, "spec": spec | ({"suspension": suspension} if suspension else {})}
        return self._commit(f"policy {found['metadata']['name']} suspended: {suspension}", [changed])

    def _overridden(self) -> Step:
        name, cluster = self.rng.choice(("tag", "label")), self.rng.choice(CLUSTERS)
        value = f"v{self.rng.randint(1, 9)}"
        rule: Manifest = {
            "tag": {"imageOverrider": [{"component": "Tag", "operator": "replace", "value": value}]},
            "label": {"labelsOverrider": [{"operator": "add", "value": {"tier": value}}]},
        }[name]
        found = override(name, self.place, {"targetCluster": {"clusterNames": [cluster]}, "overriders": rule})
        return self._commit(f"override {name} {value} in {cluster}", [found])

    def _configured(self) -> Step:
        name, value = self.rng.choice(("options", "flags")), str(self.rng.randint(1, 99))
        return self._commit(f"config {name} {value}", [config_map(name, self.place, level=value)])

    def _added(self) -> Step:
        missing = [name for name in NAMES if ("apps", "Deployment", self.place, name) not in self.held]
        if not missing:
            return self._removed()
        name = self.rng.choice(missing)
        return self._commit(f"new {name}", [self._workload(name)])

    def _removed(self) -> Step:
        kinds = ("Deployment", "ConfigMap", "OverridePolicy", "PropagationPolicy")
        able = sorted(key for key in self.held if key[1] in kinds and key[3] != "settings")
        if not able:
            return self._added()
        key = self.rng.choice(able)
        return self._commit(f"without {key[1]} {key[3]}", [], (key,))


def _with_image(found: Manifest, image: str) -> Manifest:
    template = found["spec"]["template"]
    containers = [{**one, "image": image} for one in template["spec"]["containers"]]
    return {
        **found,
        "spec": {**found["spec"], "template": {**template, "spec": {**template["spec"], "containers": containers}}},
    }
