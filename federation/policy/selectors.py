"""Selectors: does a label selector, a cluster affinity, a resource selector match, and if not, which term fails.

Rules: karmada.md 1.1.3 (resource selectors), 1.1.4 and 1.1.5 (cluster affinity, zones); Kubernetes label selectors.
A selector that Kubernetes would refuse to parse matches nothing. `cluster_matches` and `why_not` share their terms, so
that they cannot disagree.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from federation.api.placement import ClusterAffinity, LabelSelector
from federation.api.propagation import ResourceSelector
from federation.policy.facts import ClusterFacts, ObjectFacts
from federation.policy.syntax import label_key_problem, label_value_problem

NONE, KIND, LABEL, NAME = 0, 1, 2, 3
"""Selector priorities: no match, whole kind, label selector, name (karmada.md 1.1.3)."""

ZONE = "zone"
REGION = "region"
PROVIDER = "provider"


def label_selector_matches(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether the labels satisfy every requirement. An absent or empty selector matches; an invalid one never does."""
    if selector is None:
        return True
    for key, value in (selector.match_labels or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.match_expressions or ():
        if not requirement_matches(expression.operator, expression.values or (), labels.get(expression.key)):
            return False
    return label_selector_problem(selector) is None


def requirement_matches(operator: str, values: Sequence[str], actual: str | None) -> bool:
    """One requirement of Kubernetes selector syntax against the value that is there, None for an absent key."""
    match operator:
        case "In":
            return actual is not None and actual in values
        case "NotIn":
            return bool(values) and actual not in values
        case "Exists":
            return not values and actual is not None
        case "DoesNotExist":
            return not values and actual is None
        case _:
            return False


def label_selector_problem(selector: LabelSelector) -> str | None:
    """Why Kubernetes would refuse the selector, or None."""
    for key, value in (selector.match_labels or {}).items():
        problem = label_key_problem(key) or label_value_problem(value)
        if problem:
            return f"matchLabels {key!r}: {problem}"
    for expression in selector.match_expressions or ():
        values = expression.values or ()
        problem = label_key_problem(expression.key)
        if expression.operator in {"In", "NotIn"}:
            if not values:
                problem = problem or f"operator {expression.operator} needs values"
            problem = problem or next(filter(None, map(label_value_problem, values)), None)
        elif expression.operator in {"Exists", "DoesNotExist"}:
            if values:
                problem = problem or f"operator {expression.operator} takes no values"
        else:
            problem = problem or f"operator {expression.operator!r} is not one of In, NotIn, Exists, DoesNotExist"
        if problem:
            return f"matchExpressions {expression.key!r}: {problem}"
    return None


def zone_matches(operator: str, values: Sequence[str], zones: Sequence[str]) -> bool:
    """A zone expression against all zones of a cluster: any overlap satisfies In, any overlap violates NotIn (1.1.5)."""
    match operator:
        case "In":
            return any(zone in values for zone in zones)
        case "NotIn":
            return not any(zone in values for zone in zones)
        case "Exists":
            return bool(zones)
        case "DoesNotExist":
            return not zones
        case _:
            return False


def cluster_matches(affinity: ClusterAffinity | None, cluster: ClusterFacts) -> bool:
    """Whether a cluster satisfies an affinity: exclude first, then all given parts together; none given matches all."""
    return _first_failing(affinity, cluster) is None


def why_not(affinity: ClusterAffinity | None, cluster: ClusterFacts) -> str | None:
    """The first term of the affinity that the cluster fails, with the values of both; None if it matches."""
    failing = _first_failing(affinity, cluster)
    return failing() if failing else None


def _first_failing(affinity: ClusterAffinity | None, cluster: ClusterFacts) -> Callable[[], str] | None:
    """The first failing term as a function that words it: a yes-or-no question, asked per cluster, formats nothing."""
    if affinity is None:
        return None
    if cluster.name in (affinity.exclude or ()):
        return lambda: f"exclude lists {cluster.name}"
    selector = affinity.label_selector
    if selector is not None and not label_selector_matches(selector, cluster.labels):
        return lambda: mismatch(selector, cluster.labels)
    if affinity.field_selector is not None:
        for expression in affinity.field_selector.match_expressions or ():
            if not _field_matches(expression.key, expression.operator, expression.values or (), cluster):
                return partial(_field_mismatch, expression.key, expression.operator, expression.values or (), cluster)
    names = affinity.cluster_names
    if names and cluster.name not in names:
        return lambda: f"clusterNames {_some(names)} does not list {cluster.name}"
    return None


def _field_mismatch(key: str, operator: str, values: Sequence[str], cluster: ClusterFacts) -> str:
    if key not in {PROVIDER, REGION, ZONE}:
        return f"fieldSelector key {key!r} is not one of provider, region, zone"
    actual = _field_values(key, cluster)
    return f"fieldSelector {describe_requirement(key, operator, values)} does not match {key} {_some(actual)}"


def _field_matches(key: str, operator: str, values: Sequence[str], cluster: ClusterFacts) -> bool:
    if key == ZONE:
        return zone_matches(operator, values, cluster.zones)
    if label_key_problem(key):
        return False
    actual = _field_values(key, cluster)
    return requirement_matches(operator, values, actual[0] if actual else None)


def _field_values(key: str, cluster: ClusterFacts) -> Sequence[str]:
    if key == ZONE:
        return cluster.zones
    value = {REGION: cluster.region, PROVIDER: cluster.provider}.get(key, "")
    return (value,) if value else ()


def selector_priority(selector: ResourceSelector, obj: ObjectFacts) -> int:
    """How specifically a selector matches: 0 not at all, 1 whole kind, 2 by label, 3 by name.

    A name makes the label selector irrelevant; an empty namespace matches any.
    """
    if selector.kind != obj.kind or selector.api_version != obj.api_version:
        return NONE
    if selector.namespace and selector.namespace != obj.namespace:
        return NONE
    if selector.name:
        return NAME if selector.name == obj.name else NONE
    if selector.label_selector is None:
        return KIND
    return LABEL if label_selector_matches(selector.label_selector, obj.labels) else NONE


def selectors_priority(selectors: Sequence[ResourceSelector], obj: ObjectFacts) -> int:
    """The priority of a list of selectors: its highest; 0 for an empty list."""
    return highest(selector_priority(selector, obj) for selector in selectors)


def highest(priorities: Iterable[int]) -> int:
    """The priority of a list from the priorities of its selectors; 0 for an empty list."""
    return max(priorities, default=NONE)


def selector_terms(selector: ResourceSelector, obj: ObjectFacts) -> Iterable[str | None]:
    """The terms of a resource selector in order: None for one that holds, else what fails, in words."""
    yield _equal("apiVersion", selector.api_version, obj.api_version)
    yield _equal("kind", selector.kind, obj.kind)
    if selector.namespace:
        yield _equal("namespace", selector.namespace, obj.namespace)
    if selector.name:
        yield _equal("name", selector.name, obj.name)
    elif selector.label_selector is not None:
        matches = label_selector_matches(selector.label_selector, obj.labels)
        yield None if matches else mismatch(selector.label_selector, obj.labels)


def _equal(term: str, wanted: str, actual: str) -> str | None:
    return None if wanted == actual else f"{term} {wanted} is not {actual or 'that of a cluster-scoped object'}"


def mismatch(selector: LabelSelector, labels: Mapping[str, str]) -> str:
    """Why a label selector does not match, with the values of both."""
    wanted = describe_label_selector(selector)
    problem = label_selector_problem(selector)
    if problem:
        return f"labelSelector {wanted} is invalid ({problem})"
    return f"labelSelector {wanted} does not match labels {describe_labels(labels)}"


def describe_label_selector(selector: LabelSelector) -> str:
    """A label selector in the notation of `kubectl -l`."""
    terms = [f"{key}={value}" for key, value in sorted((selector.match_labels or {}).items())]
    terms += [
        describe_requirement(expression.key, expression.operator, expression.values or ())
        for expression in selector.match_expressions or ()
    ]
    return ",".join(terms) or "(any)"


def describe_requirement(key: str, operator: str, values: Sequence[str]) -> str:
    """One requirement in words: `region In (eu, us)`."""
    return f"{key} {operator} {_some(values)}" if values else f"{key} {operator}"


def describe_labels(labels: Mapping[str, str]) -> str:
    """Labels in the notation of `kubectl --show-labels`, ten at most."""
    pairs = [f"{key}={value}" for key, value in sorted(labels.items())]
    return ",".join(_first_ten(pairs)) or "(none)"


def _some(values: Sequence[str]) -> str:
    return f"({', '.join(_first_ten(values))})"


def _first_ten(values: Sequence[str]) -> Sequence[str]:
    """Ten entries at most: these texts end up in statuses, which are bounded."""
    return [*values[:10], f"+{len(values) - 10}"] if len(values) > 10 else values
