"""What policies say of themselves: counts, the first ten lines, conditions as kstatus reads them."""

from typing import Any

import pytest

from federation.hub.detect.override_status import Effect, effects, override_status
from federation.hub.detect.policy_status import Found, bounded, policy_status
from federation.hub.policies import awaiting, judge, judge_override
from federation.policy.facts import ClusterFacts, ObjectFacts
from tests.e2e.manifests import Manifest, override, policy, selector


def made(**spec: Any) -> Manifest:
    found = policy("a", "shop", selector("ConfigMap", api="v1"), **spec)
    found["metadata"] |= {"uid": "a", "generation": 2}
    return found


def placed(name: str, status: str = "True", reason: str = "Scheduled") -> Manifest:
    scheduled = {"type": "Scheduled", "status": status, "reason": reason, "message": "why"}
    return {"spec": {"resource": {"kind": "ConfigMap", "name": name}}, "status": {"conditions": [scheduled]}}


def told(status: Manifest) -> tuple[str, str, str]:
    ready, stalled = status["conditions"]
    return ready["status"], ready["reason"], stalled["status"]


INVALID = {"suspension": {"dispatching": True, "dispatchingOnClusters": {"clusterNames": ["m"]}}}
NO_CLUSTER = [placed("one"), placed("two", "False", "NoClusterFit")]
STATES: dict[str, tuple[dict[str, Any], list[Manifest], dict[str, str], tuple[str, str, str]]] = {
    "nothing to do": ({}, [], {}, ("True", "NothingSelected", "False")),
    "all is placed": ({}, [placed("one")], {}, ("True", "Placed", "False")),
    "something is not": ({}, NO_CLUSTER, {}, ("False", "NotPlaced", "False")),
    "something waits for its own change": ({}, [placed("one")], {"ConfigMap shop/one": "it waits"}, ("True", "Waiting", "False")),
    "an override is missing": ({"dependentOverrides": ["o"]}, [placed("one")], {}, ("False", "OverridesMissing", "False")),
    "only an edit can mend it": (INVALID, [placed("one")], {}, ("False", "Invalid", "True")),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_conditions(name: str) -> None:
    spec, bindings, waiting, expected = STATES[name]
    found = Found(waiting=waiting)
    status = policy_status(awaiting(judge(made(**spec)), ()), {}, bindings=bindings, found=found, now=0)
    assert told(status) == expected
    assert {entry["observedGeneration"] for entry in status["conditions"]} == {2} == {status["observedGeneration"]}
    again = policy_status(awaiting(judge(made(**spec)), ()), status, bindings=bindings, found=found, now=99)
    assert again == status, "what is the same is written as it was"


def test_every_list_names_objects_and_reasons() -> None:
    found = Found(
        lost={"L": "PropagationPolicy b has it"}, preempted={"P": "PropagationPolicy c"}, waiting={"W": "why"}
    )
    status = policy_status(judge(made()), {}, bindings=NO_CLUSTER, found=found, now=0)
    assert (status["claimed"], status["placed"], status["waiting"]) == (2, 1, 1)
    assert status["lost"] == ["L: PropagationPolicy b has it"]
    assert status["preempted"] == ["P from PropagationPolicy c"]
    assert status["waitingFor"] == ["W: why"]
    assert status["notPlaced"] == ["ConfigMap two: NoClusterFit: why"]


def test_a_binding_that_was_never_scheduled_is_not_placed() -> None:
    bare = {"spec": {"resource": {"kind": "ConfigMap", "name": "one"}}}
    status = policy_status(judge(made()), {}, bindings=[bare], found=Found(), now=0)
    assert (status["placed"], status["notPlaced"]) == (0, ["ConfigMap one: it is not scheduled yet"])


def test_lists_are_bounded_and_say_what_they_leave_out() -> None:
    lines = bounded([f"{number:04} {'x' * 2000}" for number in range(500)])
    assert (len(lines), lines[-1], max(map(len, lines))) == (11, "and 490 more", 256)
    assert bounded(["b", "a"]) == ["a", "b"]


# --- override policies -------------------------------------------------------------------------------------------------

OBJECT = ObjectFacts(api_version="v1", kind="ConfigMap", namespace="shop", name="app")
CLUSTERS = {name: ClusterFacts(name=name, labels={"name": name}) for name in ("m1", "m2", "m3")}


def overriding(*clusters: str, name: str = "o", place: str | None = "shop", **spec: Any) -> Manifest:
    rule = {"targetCluster": {"clusterNames": list(clusters)}, "overriders": {}} if clusters else {"overriders": {}}
    found = override(name, place, rule, selectors=[selector("ConfigMap", api="v1")])
    found["metadata"] |= {"uid": name, "generation": 3}
    found["spec"] |= spec
    return found


def bound(*targets: str, **errors: str) -> Manifest:
    members = {name: f'health=Healthy reason=OverrideFailed error="{text}"' for name, text in errors.items()}
    return {"status": {"decision": {"targets": dict.fromkeys(targets, 0)}, "members": members}}


CONCERNS = {
    "the targets that a rule names": (overriding("m1", "m3"), {"m1"}),
    "every target without a cluster": (overriding(), {"m1", "m2"}),
    "none of them": (overriding("m3"), None),
    "another namespace": (overriding(place="bank"), None),
    "another kind": (overriding(resourceSelectors=[selector("Secret", api="v1")]), None),
    "every namespace": (overriding(place=None), {"m1", "m2"}),
    "a spec that cannot be read": (overriding(overrideRules="all"), None),
}


@pytest.mark.parametrize("name", CONCERNS)
def test_what_an_override_policy_concerns(name: str) -> None:
    manifest, expected = CONCERNS[name]
    found = effects(bound("m1", "m2"), OBJECT, [judge_override(manifest)], CLUSTERS)
    assert (found["o"].clusters if "o" in found else None) == expected


def test_what_failed_is_the_matter_of_the_policy_that_the_line_names() -> None:
    error = "OverridePolicy shop/o: spec.overrideRules[0]: no such path"
    judged = [judge_override(overriding()), judge_override(overriding(name="other"))]
    found = effects(bound("m1", "m2", m1=error, m2=error), OBJECT, judged, CLUSTERS)
    assert found["other"].problems == ()
    status = override_status(judged[0], {}, effects=[found["o"]], now=0)
    assert status["problems"] == ["ConfigMap shop/app in m1, m2: spec.overrideRules[0]: no such path"]
    assert (status["objects"], status["clusters"], told(status)) == (1, 2, ("False", "OverrideFailed", "True"))


def test_an_override_policy_that_changes_something_is_ready() -> None:
    effect = Effect(obj="ConfigMap shop/app", clusters=frozenset({"m1"}))
    status = override_status(judge_override(overriding()), {}, effects=[effect, effect], now=0)
    assert (status["objects"], status["clusters"], told(status)) == (2, 1, ("True", "Applied", "False"))
    assert told(override_status(judge_override(overriding()), {}, effects=[], now=0))[1] == "NothingSelected"


def test_an_override_policy_that_breaks_a_rule_is_stalled() -> None:
    bad = overriding(resourceSelectors=[{**selector("ConfigMap", api="v1"), "namespace": "bank"}])
    status = override_status(judge_override(bad), {}, effects=[], now=0)
    assert told(status) == ("False", "Invalid", "True")
    assert "bank" in status["problems"][0]
