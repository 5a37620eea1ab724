"""Validation of the selectors that propagation and override policies share: of resources and of clusters."""

from collections.abc import Iterator, Sequence

from federation.api.placement import ClusterAffinity
from federation.api.propagation import ResourceSelector
from federation.policy.selectors import PROVIDER, REGION, ZONE, label_selector_problem
from federation.policy.violation import Violation

_FIELD_KEYS = (PROVIDER, REGION, ZONE)
_FIELD_OPERATORS = ("In", "NotIn")


def resource_selector_violations(
    selectors: Sequence[ResourceSelector], path: str, *, namespace: str | None
) -> Iterator[Violation]:
    """A policy in a namespace selects there only; label selectors must parse. `namespace` is None for a cluster policy."""
    for index, selector in enumerate(selectors):
        if namespace and selector.namespace and selector.namespace != namespace:
            yield Violation(
                "selector-namespace",
                f"{path}[{index}].namespace",
                f"{selector.namespace} is not the namespace of the policy ({namespace}); leave it out, or use a "
                "cluster-scoped policy",
            )
        if selector.label_selector is not None and not selector.name:
            problem = label_selector_problem(selector.label_selector)
            if problem:
                yield Violation(
                    "label-selector", f"{path}[{index}].labelSelector", f"{problem}; it would match nothing"
                )


def affinity_violations(affinity: ClusterAffinity | None, path: str) -> Iterator[Violation]:
    """Field selectors take provider, region or zone with In or NotIn; label selectors must parse."""
    if affinity is None:
        return
    if affinity.label_selector is not None:
        problem = label_selector_problem(affinity.label_selector)
        if problem:
            yield Violation("label-selector", f"{path}.labelSelector", f"{problem}; it would match no cluster")
    expressions = affinity.field_selector.match_expressions if affinity.field_selector else ()
    for index, expression in enumerate(expressions):
        where = f"{path}.fieldSelector.matchExpressions[{index}]"
        if expression.key not in _FIELD_KEYS:
            yield Violation(
                "field-selector-key", f"{where}.key", f"{expression.key!r} is not one of {', '.join(_FIELD_KEYS)}"
            )
        if expression.operator not in _FIELD_OPERATORS:
            yield Violation(
                "field-selector-operator",
                f"{where}.operator",
                f"{expression.operator!r} is not one of {', '.join(_FIELD_OPERATORS)}",
            )
