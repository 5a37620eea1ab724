"""Rendering of overrides: every rule that concerns an object on a cluster, each overrider in its fixed order.

Order (karmada.md 1.1.10): image, command, args, labels, annotations, field, plaintext; each sees what those before it
left. An override never changes which object it is, nor our marks on it: the border that a namespace user cannot cross (I22).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from federation.api.meta import Manifest
from federation.api.override import Overriders
from federation.policy.facts import ClusterFacts, ObjectFacts
from federation.policy.override import annotations, args, command, field, image, labels, plaintext
from federation.policy.override.border import border
from federation.policy.override.order import NAMESPACED_KIND, OverrideFacts, rules_for
from federation.policy.override.rule import Rule

Overrider = Callable[[Manifest, Overriders, Rule], Manifest]

OVERRIDERS: Final[Mapping[str, Overrider]] = {
    image.FIELD: image.override,
    command.FIELD: command.override,
    args.FIELD: args.override,
    labels.FIELD: labels.override,
    annotations.FIELD: annotations.override,
    field.FIELD: field.override,
    plaintext.FIELD: plaintext.override,
}
"""Every overrider by its field, in the order in which they apply."""

CROSSED: Final = (
    "an override must not change apiVersion, kind, or metadata other than labels and annotations, nor the federation's own"
    " labels and annotations, nor (in an OverridePolicy) what a Role or RoleBinding grants; drop that operation"
)


@dataclass(frozen=True, slots=True)
class Overridden:
    """The object for one cluster; `applied` says in words what each override did, in order."""

    manifest: Manifest
    applied: list[str]


def render_overrides(manifest: Manifest, cluster: ClusterFacts, policies: Sequence[OverrideFacts]) -> Overridden:
    """Apply to `manifest` what `policies` change on `cluster`. The input is not changed; without a rule it is returned.

    Raises OverrideError, which names the policy, the field of the overrider and the fix.
    """
    rules = list(rules_for(policies, _facts(manifest), cluster))
    if not rules:
        return Overridden(manifest=manifest, applied=[])
    # One copy for all rules: a round trip through text is several times faster than copy.deepcopy.
    result: Manifest = orjson.loads(orjson.dumps(manifest))
    secret = manifest["kind"] == "Secret"
    applied: list[str] = []
    for policy, index, written in rules:
        path = f"spec.overrideRules[{index}].overriders" if policy.spec.override_rules else "spec.overriders"
        namespaced = policy.kind == NAMESPACED_KIND
        fixed = border(manifest, namespaced=namespaced)
        rule = Rule(policy=describe(policy), index=index, path=path, secret=secret, applied=applied)
        for name, override in OVERRIDERS.items():
            result = override(result, written.overriders, rule)
            if border(result, namespaced=namespaced) != fixed:
                rule.fail(name, CROSSED)
    return Overridden(manifest=result, applied=applied)


def describe(policy: OverrideFacts) -> str:
    """A policy as errors and lines name it."""
    if policy.kind == NAMESPACED_KIND:
        return f"{policy.kind} {policy.namespace}/{policy.name}"
    return f"{policy.kind} {policy.name}"


def _facts(manifest: Manifest) -> ObjectFacts:
    metadata = manifest["metadata"]
    return ObjectFacts(
        api_version=manifest["apiVersion"],
        kind=manifest["kind"],
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        labels=metadata.get("labels") or {},
    )
