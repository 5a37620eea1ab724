"""Validation of propagation policies, and the one place to import validation from.

The rules that the schema cannot say, each with an id, a field path and the fix (karmada.md 1.7 and 6.3). The same functions
answer at admission, in the hub before a policy is used, and in `fedctl`.
"""

from collections.abc import Iterator

from federation.api.propagation import ApplicationFailover, Failover, PropagationSpec, StatePreservation, Suspension
from federation.policy.syntax import label_key_problem
from federation.policy.unserved import unserved
from federation.policy.validate_override import validate_override
from federation.policy.validate_placement import placement_violations
from federation.policy.validate_selectors import resource_selector_violations
from federation.policy.violation import Violation

__all__ = ["Violation", "unserved", "validate_override", "validate_propagation"]


def validate_propagation(spec: PropagationSpec, *, namespace: str | None) -> list[Violation]:
    """Every rule that a propagation spec breaks. `namespace` is the policy's own, None for a ClusterPropagationPolicy."""
    return [
        *resource_selector_violations(spec.resource_selectors, "spec.resourceSelectors", namespace=namespace),
        *placement_violations(spec.placement, "spec.placement"),
        *_preemption(spec),
        *_failover(spec.failover, "spec.failover"),
        *_failover_dependencies(spec),
        *_suspension(spec.suspension, "spec.suspension"),
    ]


def _preemption(spec: PropagationSpec) -> Iterator[Violation]:
    if spec.preemption != "Always":
        return
    for index, selector in enumerate(spec.resource_selectors):
        if not selector.name:
            yield Violation(
                "preemption-needs-name",
                f"spec.resourceSelectors[{index}].name",
                "a policy that preempts names each object, so that it takes no more than it means to; set name",
            )


def _failover(failover: Failover | None, path: str) -> Iterator[Violation]:
    if failover is None:
        return
    if failover.application is not None:
        yield from _application_failover(failover.application, f"{path}.application")
    if failover.cluster is not None:
        yield from _state(failover.cluster.state_preservation, f"{path}.cluster.statePreservation")


def _application_failover(application: ApplicationFailover, path: str) -> Iterator[Violation]:
    conditions = application.decision_conditions
    if conditions is not None and (conditions.toleration_seconds or 0) < 0:
        yield Violation(
            "toleration-negative",
            f"{path}.decisionConditions.tolerationSeconds",
            f"{conditions.toleration_seconds} is below 0",
        )
    grace, where = application.grace_period_seconds, f"{path}.gracePeriodSeconds"
    graceful = application.purge_mode == "Gracefully"
    if grace is not None and not graceful:
        yield Violation("grace-only-gracefully", where, "it acts with purgeMode: Gracefully only; set that, or drop it")
    if grace is None and graceful:
        yield Violation("grace-required", where, "purgeMode: Gracefully needs it; say how many seconds, such as 600")
    if grace is not None and grace <= 0:
        yield Violation("grace-positive", where, f"{grace} is not above 0")
    yield from _state(application.state_preservation, f"{path}.statePreservation")


def _state(state: StatePreservation | None, path: str) -> Iterator[Violation]:
    for index, rule in enumerate(state.rules if state else ()):
        problem = label_key_problem(rule.alias_label_name)
        if problem:
            yield Violation(
                "state-label-name", f"{path}.rules[{index}].aliasLabelName", f"{rule.alias_label_name!r}: {problem}"
            )


def _failover_dependencies(spec: PropagationSpec) -> Iterator[Violation]:
    moves = spec.failover is not None and spec.failover.application is not None
    if moves and not (spec.propagate_deps or spec.association):
        yield Violation(
            "failover-needs-dependencies",
            "spec.propagateDeps",
            "an application that moves needs what it refers to; set propagateDeps: true",
        )


def _suspension(suspension: Suspension | None, path: str) -> Iterator[Violation]:
    if suspension is None or not suspension.dispatching:
        return
    if suspension.dispatching_on_clusters is not None and suspension.dispatching_on_clusters.cluster_names:
        yield Violation(
            "suspend-xor",
            path,
            "dispatching suspends every cluster and dispatchingOnClusters some; keep the one you mean",
        )
