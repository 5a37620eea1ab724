"""Which policy a binding is scheduled by."""

from typing import Any

import pytest

from federation.hub.policies import Policy, awaiting, in_force, judge
from tests.e2e.manifests import policy, selector

Manifest = dict[str, Any]


def made(**spec: Any) -> Policy:
    found = policy("p", "shop", selector(), **spec)
    found["metadata"] |= {"uid": "p", "generation": 2}
    return judge(found)


REFERENCE = {"kind": "PropagationPolicy", "namespace": "shop", "name": "p", "uid": "p"}
CASES: dict[str, tuple[Policy, Manifest, bool]] = {
    "the one that it names": (made(), REFERENCE, True),
    "not a namesake that was made later": (made(), {**REFERENCE, "uid": "before"}, False),
    "none where nothing claims it": (made(), {}, False),
    "not one that is unusable": (made(propagateDeps=True), REFERENCE, False),
    "not one that waits for override policies": (awaiting(made(dependentOverrides=["o"]), ()), REFERENCE, False),
    "a lazy one whose edit is in force": (made(activationPreference="Lazy"), {**REFERENCE, "generation": 2}, True),
    "not a lazy one whose edit waits": (made(activationPreference="Lazy"), {**REFERENCE, "generation": 1}, False),
}


@pytest.mark.parametrize("case", CASES)
def test_a_binding_is_scheduled_by(case: str) -> None:
    found, reference, decides = CASES[case]
    assert in_force(reference, {found.facts.uid: found}) is (found if decides else None)
