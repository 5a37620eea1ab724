"""Preemption: who takes an object from whom, and what both sides are told (karmada.md 3.1.6)."""

import itertools

import pytest

from federation.api.propagation import ResourceSelector
from federation.policy.claim import PolicyFacts, PolicyRef, choose
from federation.policy.facts import ObjectFacts

OBJECT = ObjectFacts(api_version="apps/v1", kind="Deployment", namespace="shop", name="web", labels={"app": "web"})
WHOLE = ResourceSelector(api_version="apps/v1", kind="Deployment")
NAMED = ResourceSelector(api_version="apps/v1", kind="Deployment", name="web")


def own(name: str, priority: int = 0, *, preempts: bool = False, selector: ResourceSelector = NAMED) -> PolicyFacts:
    return PolicyFacts(
        "PropagationPolicy", "shop", name, uid=name, priority=priority, preempts=preempts, selectors=(selector,)
    )


def wide(name: str, priority: int = 0, *, preempts: bool = False) -> PolicyFacts:
    return PolicyFacts(
        "ClusterPropagationPolicy", "", name, uid=name, priority=priority, preempts=preempts, selectors=(NAMED,)
    )


def ref(policy: PolicyFacts) -> PolicyRef:
    return PolicyRef(policy.kind, policy.namespace, policy.name, policy.uid)


TAKES = {
    "a higher policy takes it": (own("has", 1), [own("wants", 2, preempts=True)], "wants"),
    "an equal one never does": (own("has", 1), [own("wants", 1, preempts=True)], "has"),
    "a lower one never does": (own("has", 1), [own("wants", preempts=True)], "has"),
    "a higher one that does not preempt leaves it": (own("has"), [own("wants", 9)], "has"),
    "a namespaced one takes it from any cluster-wide one": (wide("has", 100), [own("wants", preempts=True)], "wants"),
    "a cluster-wide one takes it from a lower one of its kind": (wide("has"), [wide("wants", 1, preempts=True)], "wants"),
    "a cluster-wide one takes nothing from a namespaced one": (own("has"), [wide("wants", 9, preempts=True)], "has"),
    "nobody takes what he does not name": (own("has"), [own("wants", 9, preempts=True, selector=WHOLE)], "has"),
    "of several the highest takes it": (
        own("has"), [own("a", 1, preempts=True), own("z", 2, preempts=True), wide("w", 9, preempts=True)], "z",
    ),
    "of equal ones the first in the alphabet": (own("has"), [own("z", 1, preempts=True), own("a", 1, preempts=True)], "a"),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKES)
def test_preemption(name: str) -> None:
    has, others, winner = TAKES[name]
    for policies in itertools.permutations([has, *others]):
        assert choose(OBJECT, policies, ref(has)).winner.name == winner


@pytest.mark.parametrize("name", TAKES)
def test_whoever_took_it_keeps_it(name: str) -> None:
    has, others, _ = TAKES[name]
    winner = choose(OBJECT, [has, *others], ref(has)).winner
    assert choose(OBJECT, [has, *others], ref(winner)).winner == winner


def test_a_priority_that_was_lowered_lets_the_one_between_take_over() -> None:
    between = own("between", 3, preempts=True)
    assert choose(OBJECT, [own("has", 4), between], ref(own("has"))).winner.name == "has"
    assert choose(OBJECT, [own("has", 2), between], ref(own("has"))).winner.name == "between"


LOST = {
    "by priority": (own("has", 1), own("wants", 2, preempts=True), "PropagationPolicy wants takes it with preemption: Always: its priority 2 is above 1"),
    "by scope": (wide("has", 9), own("wants", preempts=True), "PropagationPolicy wants takes it with preemption: Always"),
    "as the first": (own("has"), own("wants", 2), "PropagationPolicy has claimed it first and keeps it while it selects it"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOST)
def test_the_loser_is_told_who_has_it_and_by_which_rule(name: str) -> None:
    has, wants, reason = LOST[name]
    ((_, said),) = choose(OBJECT, [has, wants], ref(has)).losers
    assert said == reason
