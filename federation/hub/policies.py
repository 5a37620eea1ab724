"""One propagation policy as the controllers use it: parsed, and judged once for all the objects that it may select.

A policy that is invalid, or asks for what is not served yet, claims nothing new and moves nothing that is placed: it
counts as absent, and its own status says why. Pure.
"""

from dataclasses import dataclass

from pydantic import ValidationError

from federation.api.meta import Manifest, parse_lenient
from federation.api.propagation import PropagationSpec
from federation.hub.views import policy_facts
from federation.policy.claim import PolicyFacts
from federation.policy.validate import Violation, unserved, validate_propagation


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed policy; `violations` make it unusable."""

    facts: PolicyFacts
    spec: PropagationSpec
    violations: tuple[Violation, ...]

    @property
    def usable(self) -> bool:
        """Whether it may claim objects and place them."""
        return not self.violations


def judge(manifest: Manifest) -> Policy:
    """Parse and validate a PropagationPolicy or ClusterPropagationPolicy; never raises."""
    try:
        facts, spec = policy_facts(manifest), parse_lenient(PropagationSpec, manifest.get("spec") or {})
    except ValidationError as error:
        facts = policy_facts({**manifest, "spec": {"resourceSelectors": []}})
        spec = PropagationSpec(resource_selectors=[])
        return Policy(facts=facts, spec=spec, violations=tuple(schema_violations(error)))
    namespace = facts.namespace or None
    violations = (*validate_propagation(spec, namespace=namespace), *unserved(spec))
    return Policy(facts=facts, spec=spec, violations=violations)


def schema_violations(error: ValidationError) -> list[Violation]:
    """What does not even parse, as violations."""
    return [
        Violation(rule="schema", field="spec." + ".".join(str(part) for part in entry["loc"]), message=entry["msg"])
        for entry in error.errors()
    ]
