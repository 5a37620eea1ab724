"""What detect does about one template: tables of policies and a binding in, a plan out."""

from typing import Any

import pytest

from federation.hub.detect.decide import Plan, plan
from federation.hub.policies import awaiting, judge
from federation.policy.lazy import fingerprint
from tests.e2e.manifests import API, Manifest, config_map, policy, selector

MAP = selector("ConfigMap", "app", api="v1")


def template(**data: str) -> Manifest:
    found = config_map("app", "shop", **data)
    found["metadata"] |= {"uid": "t", "creationTimestamp": "2026-08-01T10:00:00Z"}
    return found


def made(name: str, *, generation: int = 1, created: str = "2026-08-01T09:00:00Z", **spec: Any) -> Manifest:
    found = policy(name, "shop", MAP, **spec)
    found["metadata"] |= {"uid": name, "generation": generation, "creationTimestamp": created}
    return found


def binding(*, decided: bool = True, **reference: Any) -> Manifest:
    resource = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "app", "uid": "t"}
    spec: Manifest = {"resource": resource}
    if reference:
        spec["policy"] = {"kind": "PropagationPolicy", "namespace": "shop", **reference}
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "app", "uid": "t"}
    return {
        "apiVersion": API, "kind": "ResourceBinding", "metadata": {"name": "app", "namespace": "shop", "uid": "b", "ownerReferences": [owner]},
        "spec": spec, "status": {"decision": {"epoch": 1}} if decided else {},
    }  # fmt: skip


def planned(*policies: Manifest, binding: Manifest | None = None, present: tuple[str, ...] = (), **data: str) -> Plan:
    judged = [awaiting(judge(one), present) for one in policies]
    return plan(template(**data), policies=judged, binding=binding)


def changes(outcome: Plan) -> dict[str, Any]:
    """The patch as path -> value; None for what it removes."""
    return {one["path"]: one.get("value") for one in outcome.patch if one["op"] != "test"}


LAZY = {"activationPreference": "Lazy"}


def test_an_ordinary_policy_writes_no_generation_into_its_binding() -> None:
    assert planned(made("a")).create["spec"]["policy"] == {
        "kind": "PropagationPolicy", "namespace": "shop", "name": "a", "uid": "a",
    }  # fmt: skip
    assert planned(made("a", generation=7), binding=binding(name="a", uid="a")) == Plan(
        claim=planned(made("a", generation=7), binding=binding(name="a", uid="a")).claim
    )


def test_a_lazy_policy_writes_the_generation_that_it_claims_with() -> None:
    assert planned(made("a", generation=3, **LAZY)).create["spec"]["policy"]["generation"] == 3


def test_a_lazy_policy_that_is_newer_than_the_object_makes_no_binding() -> None:
    outcome = planned(made("a", created="2026-08-01T11:00:00Z", **LAZY))
    assert outcome.create is None
    assert "when it changes" in outcome.waiting


def test_an_edit_of_a_lazy_policy_changes_the_reference_only() -> None:
    edited = made("a", generation=2, preserveResourcesOnDeletion=True, **LAZY)
    outcome = planned(edited, binding=binding(name="a", uid="a", generation=1))
    (value,) = changes(outcome).values()
    assert (value["generation"], value["templateHash"]) == (1, fingerprint(template()))
    assert "generation 2" in outcome.waiting
    waiting = binding(name="a", uid="a", generation=1, templateHash=fingerprint(template()))
    assert planned(edited, binding=waiting).patch == [], "said once"
    after = changes(planned(edited, binding=waiting, key="other"))
    assert after["/spec/policy"]["generation"] == 2
    assert "templateHash" not in after["/spec/policy"]
    assert after["/spec/preserveResourcesOnDeletion"] is True


def test_a_policy_that_is_no_longer_lazy_takes_its_marks_back() -> None:
    waiting = binding(name="a", uid="a", generation=1, templateHash="x")
    value = changes(planned(made("a", generation=2), binding=waiting))["/spec/policy"]
    assert not {"generation", "templateHash"} & value.keys()


MISSING = {"dependentOverrides": ["one", "two"]}


def test_a_policy_that_waits_for_overrides_wins_the_object_but_does_nothing_with_it() -> None:
    outcome = planned(made("a", priority=1, **MISSING), made("b"), present=("one",))
    assert (outcome.claim.winner.name, outcome.create) == ("a", None)
    assert outcome.waiting == "there is no OverridePolicy two"
    assert planned(made("a", priority=1, **MISSING), made("b"), present=("one", "two")).create is not None


def test_a_policy_that_waits_for_overrides_keeps_what_it_has_as_it_is() -> None:
    edited = made("a", conflictResolution="Overwrite", **MISSING)
    assert planned(edited, made("b"), binding=binding(name="a", uid="a")).patch == []


def test_a_policy_that_waits_for_overrides_takes_nothing_from_others() -> None:
    wants = made("wants", priority=9, preemption="Always", **MISSING)
    assert planned(wants, made("has"), binding=binding(name="has", uid="has")).claim.winner.name == "has"
    present = ("one", "two")
    taken = planned(wants, made("has"), binding=binding(name="has", uid="has"), present=present)
    assert changes(taken)["/spec/policy"]["name"] == "wants"


INVALID = {"suspension": {"dispatching": True, "dispatchingOnClusters": {"clusterNames": ["m"]}}}


def test_an_invalid_policy_claims_nothing_new_and_keeps_what_it_has() -> None:
    assert planned(made("a", priority=1, **INVALID), made("b")).claim.winner.name == "b"
    kept = planned(made("a", **INVALID), made("b"), binding=binding(name="a", uid="a"))
    assert (kept.claim.winner.name, kept.patch) == ("a", [])
    taken = made("b", priority=1, preemption="Always")
    assert (
        changes(planned(made("a", **INVALID), taken, binding=binding(name="a", uid="a")))["/spec/policy"]["name"] == "b"
    )


LETS_GO = {
    "a living policy that selects it no longer": (["other"], {"/spec/policy": None}),
    "a policy that is gone": ([], {}),
}


@pytest.mark.parametrize("name", LETS_GO)
def test_what_nobody_claims_stays_under_its_last_decision(name: str) -> None:
    selects, expected = LETS_GO[name]
    policies = [made("a") for _ in selects]
    for one in policies:
        one["spec"]["resourceSelectors"] = [selector("ConfigMap", "other", api="v1")]
    assert changes(planned(*policies, binding=binding(name="a", uid="a"))) == expected


def test_a_spec_that_cannot_be_read_lets_nothing_go() -> None:
    unreadable = made("a")
    unreadable["spec"]["resourceSelectors"] = "all"
    judged = judge(unreadable)
    assert judged.violations
    assert planned(unreadable, binding=binding(name="a", uid="a")).patch == []
