"""Which rules of which override policies concern one object on one cluster, in the order in which they apply.

ClusterOverridePolicies first, then OverridePolicies; each group by selector priority ascending, then name, so that the
most specific has the last word; rules as written (karmada.md 3.2). A policy without selectors concerns every object in its
scope and counts as matching the whole kind. The legacy pair targetCluster and overriders is one rule.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from federation.api.override import OverrideSpec, RuleWithCluster
from federation.policy.facts import ClusterFacts, ObjectFacts
from federation.policy.selectors import KIND, NONE, cluster_matches, selectors_priority

NAMESPACED_KIND: Final = "OverridePolicy"


@dataclass(frozen=True, slots=True)
class OverrideFacts:
    """An override policy as rendering sees it. `namespace` is empty for a ClusterOverridePolicy."""

    kind: str
    namespace: str
    name: str
    spec: OverrideSpec


def concerns(policy: OverrideFacts, obj: ObjectFacts) -> int:
    """The selector priority with which a policy concerns an object, 0 if it does not."""
    if policy.kind == NAMESPACED_KIND and (not obj.namespace or policy.namespace != obj.namespace):
        return NONE
    selectors = policy.spec.resource_selectors
    return selectors_priority(selectors, obj) if selectors else KIND


def in_order(policies: Sequence[OverrideFacts], obj: ObjectFacts) -> list[OverrideFacts]:
    """The policies that concern an object, in the order in which they apply."""
    ranked = [(policy.kind == NAMESPACED_KIND, concerns(policy, obj), policy.name, policy) for policy in policies]
    concerned = [entry for entry in ranked if entry[1] != NONE]
    concerned.sort(key=lambda entry: entry[:3])
    return [entry[3] for entry in concerned]


def rules_for(
    policies: Sequence[OverrideFacts], obj: ObjectFacts, cluster: ClusterFacts
) -> Iterator[tuple[OverrideFacts, int, RuleWithCluster]]:
    """The rules that apply to `obj` on `cluster`, in order: policy, index of the rule in it, rule."""
    for policy in in_order(policies, obj):
        for index, rule in enumerate(rules_of(policy.spec)):
            if cluster_matches(rule.target_cluster, cluster):
                yield policy, index, rule


def rules_of(spec: OverrideSpec) -> Sequence[RuleWithCluster]:
    """The rules of a policy as written; the legacy fields count as one rule where there are none."""
    if spec.override_rules:
        return spec.override_rules
    if spec.overriders is None:
        return ()
    return (RuleWithCluster(target_cluster=spec.target_cluster, overriders=spec.overriders),)
