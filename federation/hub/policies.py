"""One policy as the controllers use it: parsed, and judged once for all the objects that it may select. Pure.

A policy that is invalid, or asks for what is not served yet, claims nothing new and moves nothing that is placed, and its own
status says why. So does one that waits for the override policies that it depends on, which however takes part when it is
decided who claims an object: else another one would send it without them.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from pydantic import ValidationError

from federation.api.meta import Manifest, parse_lenient
from federation.api.override import OverrideSpec
from federation.api.propagation import PropagationSpec
from federation.policy.claim import PolicyFacts, PolicyRef
from federation.policy.lazy import LAZY, Reference, last_change
from federation.policy.lazy import in_force as lazy_in_force
from federation.policy.override import OverrideFacts
from federation.policy.validate import Violation, unserved, validate_override, validate_propagation


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed propagation policy; `violations` make it unusable, `missing` overrides make it wait."""

    facts: PolicyFacts
    spec: PropagationSpec
    violations: tuple[Violation, ...]
    missing: tuple[str, ...] = ()
    """Override policies that it depends on and that are not there."""

    @property
    def usable(self) -> bool:
        """Whether it may claim objects."""
        return not self.violations

    @property
    def acts(self) -> bool:
        """Whether its content takes effect."""
        return self.usable and not self.missing

    @property
    def lazy(self) -> bool:
        """Whether an edit waits until the object itself changes."""
        return self.spec.activation_preference == LAZY

    def decides(self, reference: Reference) -> bool:
        """Whether the policy as it is now is in force for a binding that names it so; else what was decided stays."""
        return self.acts and (not self.lazy or lazy_in_force(self.facts, reference))


@dataclass(frozen=True, slots=True)
class Override:
    """A parsed override policy."""

    uid: str
    generation: int
    facts: OverrideFacts
    violations: tuple[Violation, ...]


def judge(manifest: Manifest) -> Policy:
    """Parse and validate a PropagationPolicy or ClusterPropagationPolicy; never raises."""
    namespace = manifest["metadata"].get("namespace") or None
    try:
        spec = parse_lenient(PropagationSpec, manifest.get("spec") or {})
        violations = (*validate_propagation(spec, namespace=namespace), *unserved(spec))
    except ValidationError as error:
        spec, violations = PropagationSpec(resource_selectors=[]), tuple(schema_violations(error))
    return Policy(facts=_facts(manifest, spec), spec=spec, violations=violations)


def contenders(policies: Iterable[Policy], current: PolicyRef | None) -> list[Policy]:
    """The policies among which it is decided who claims an object: one that became invalid still keeps what it has."""
    return [policy for policy in policies if policy.usable or (current is not None and policy.facts.is_(current))]


def in_force(reference: Reference, policies: Mapping[str, Policy]) -> Policy | None:
    """The policy to schedule a binding by, of `policies` by UID; None while what was decided goes on to hold.

    It is gone or invalid, it waits, or nothing claims the object any more.
    """
    found = policies.get(reference.get("uid") or "")
    return found if found is not None and found.decides(reference) else None


def awaiting(policy: Policy, present: Collection[str]) -> Policy:
    """The policy, waiting for the override policies that it depends on and that are not among `present` (their names)."""
    missing = tuple(name for name in policy.spec.dependent_overrides or () if name not in present)
    if not missing:
        return policy
    return replace(policy, missing=missing, facts=replace(policy.facts, preempts=False))


def waiting_text(reference: Reference) -> str:
    """What a binding says while the policy that it names waits for its template to change; empty where it does not."""
    if "templateHash" not in reference:
        return ""
    name, generation = f"{reference['kind']} {reference['name']}", reference.get("generation")
    what = (
        f"generation {generation} of {name} is in force, a later edit" if generation else f"{name} has claimed it and"
    )
    return f"{what} takes effect when the template changes (Lazy)"


def judge_override(manifest: Manifest) -> Override:
    """Parse and validate an OverridePolicy or ClusterOverridePolicy; never raises."""
    metadata = manifest["metadata"]
    namespace = metadata.get("namespace") or ""
    try:
        spec = parse_lenient(OverrideSpec, manifest.get("spec") or {})
        violations = tuple(validate_override(spec, namespace=namespace or None))
    except ValidationError as error:
        spec, violations = OverrideSpec(resource_selectors=[], override_rules=[]), tuple(schema_violations(error))
    facts = OverrideFacts(kind=manifest["kind"], namespace=namespace, name=metadata["name"], spec=spec)
    return Override(
        uid=metadata.get("uid") or "", generation=metadata.get("generation") or 0, facts=facts, violations=violations
    )


def _facts(manifest: Manifest, spec: PropagationSpec) -> PolicyFacts:
    metadata = manifest["metadata"]
    return PolicyFacts(
        kind=manifest["kind"],
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        uid=metadata.get("uid") or "",
        priority=spec.priority or 0,
        preempts=spec.preemption == "Always",
        selectors=tuple(spec.resource_selectors),
        generation=metadata.get("generation") or 0,
        changed=last_change(manifest),
    )


def schema_violations(error: ValidationError) -> list[Violation]:
    """What does not even parse, as violations."""
    return [
        Violation(rule="schema", field="spec." + ".".join(str(part) for part in entry["loc"]), message=entry["msg"])
        for entry in error.errors()
    ]
