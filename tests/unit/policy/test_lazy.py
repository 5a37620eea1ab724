"""When the content of a Lazy policy acts (karmada.md 3.1.4)."""

import pytest

from federation.policy.claim import PolicyFacts
from federation.policy.lazy import acts_at_once, fingerprint, generation_in_force, is_due, last_change

POLICY = PolicyFacts("PropagationPolicy", "shop", "web", uid="p", generation=2, changed="2026-08-01T10:00:05Z")


def template(*, changed: str = "2026-08-01T10:00:00Z", note: str = "", replicas: int = 1, **status: int) -> dict:
    metadata = {
        "name": "web", "creationTimestamp": "2026-08-01T09:00:00Z", "annotations": {"note": note}, "resourceVersion": changed,
        "managedFields": [
            {"manager": "kubectl", "time": changed},
            {"manager": "federation", "subresource": "status", "time": "2026-08-01T11:00:00Z"},
        ],
    }  # fmt: skip
    return {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}, "status": status}


SAME = fingerprint(template())
WAITS = {"generation": 1, "templateHash": SAME}
NOW = {"generation": 2}
LATER = template(changed="2026-08-01T10:00:06Z")

CASES = {
    "the generation in force goes on": ({"uid": "p", "generation": 2}, template(), NOW),
    "an edit waits, and the template as it is now is noted": ({"uid": "p", "generation": 1}, template(), WAITS),
    "it goes on waiting": ({"uid": "p", **WAITS}, template(), WAITS),
    "a template that changed since the edit": ({"uid": "p", "generation": 1, "templateHash": "old"}, template(), NOW),
    "an annotation is a change": ({"uid": "p", **WAITS}, template(note="x"), NOW),
    "a number is a change": ({"uid": "p", **WAITS}, template(replicas=2), NOW),
    "a status is none": ({"uid": "p", **WAITS}, template(readyReplicas=1), WAITS),
    "nothing is noted yet, whatever changed before": ({"uid": "p", "generation": 1}, LATER, {"generation": 1, "templateHash": fingerprint(LATER)}),
    "a policy that was immediate before": ({"uid": "p"}, template(), {"generation": 0, "templateHash": SAME}),
    "a policy that takes over waits, whatever changed before": ({"uid": "q"}, LATER, {"generation": 0, "templateHash": fingerprint(LATER)}),
    "nobody claimed it": ({}, LATER, {"generation": 0, "templateHash": fingerprint(LATER)}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_which_generation_is_in_force(name: str) -> None:
    reference, now, expected = CASES[name]
    assert generation_in_force(POLICY, now, reference, decided=True, anew=False) == expected


def test_before_its_first_decision_a_policy_acts_as_it_is() -> None:
    assert generation_in_force(POLICY, template(), {"uid": "p", "generation": 1}, decided=False, anew=False) == NOW
    other = generation_in_force(POLICY, template(), {"uid": "q"}, decided=False, anew=False)
    assert "templateHash" in other, "it has taken over from another one"


def test_a_template_that_was_made_again_has_changed() -> None:
    assert generation_in_force(POLICY, template(), {"uid": "p", **WAITS}, decided=True, anew=True) == NOW


@pytest.mark.parametrize(
    ("changed", "at_once"),
    [("2026-08-01T10:00:04Z", False), ("2026-08-01T10:00:05Z", True), ("2026-08-01T10:00:06Z", True)],
)
def test_a_first_claim_waits_where_the_policy_is_newer(changed: str, at_once: bool) -> None:
    assert acts_at_once(POLICY, template(changed=changed)) is at_once


def test_the_last_change_is_not_that_of_the_status() -> None:
    assert last_change(template(changed="2026-08-01T10:00:00Z")) == "2026-08-01T10:00:00Z"
    assert last_change({"metadata": {"creationTimestamp": "2026-08-01T09:00:00Z"}}) == "2026-08-01T09:00:00Z"


def test_nothing_is_due_where_nothing_waits() -> None:
    assert not is_due({"generation": 2}, template())
    assert not is_due(WAITS, template())
    assert is_due(WAITS, template(note="x"))
