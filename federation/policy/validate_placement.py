"""Validation of a placement: affinities and their overflow tiers, tolerations, spread constraints, workload affinity."""

from collections.abc import Iterator, Sequence

from federation.api.placement import (
    ClusterAffinityTerm,
    Placement,
    ReplicaScheduling,
    SpreadConstraint,
    Toleration,
    WorkloadAffinity,
)
from federation.policy.syntax import label_key_problem
from federation.policy.validate_selectors import affinity_violations
from federation.policy.violation import Violation

_TOLERATION_OPERATORS = ("", "Exists", "Equal")


def placement_violations(placement: Placement, path: str) -> Iterator[Violation]:
    """Every rule that a placement breaks, in the order of its fields."""
    if placement.cluster_affinity is not None and placement.cluster_affinities is not None:
        yield Violation(
            "affinity-xor-affinities",
            path,
            "clusterAffinity and clusterAffinities exclude each other; make the first the only group of the second, or "
            "drop one",
        )
    yield from affinity_violations(placement.cluster_affinity, f"{path}.clusterAffinity")
    yield from _groups(placement.cluster_affinities or (), placement.replica_scheduling, f"{path}.clusterAffinities")
    yield from _tolerations(placement.cluster_tolerations or (), f"{path}.clusterTolerations")
    yield from _spread(placement.spread_constraints or (), f"{path}.spreadConstraints")
    yield from _static_weights(placement.replica_scheduling, f"{path}.replicaScheduling")
    yield from _workload_affinity(placement.workload_affinity, f"{path}.workloadAffinity")


def _groups(
    groups: Sequence[ClusterAffinityTerm], scheduling: ReplicaScheduling | None, path: str
) -> Iterator[Violation]:
    seen: set[str] = set()
    for index, group in enumerate(groups):
        where = f"{path}[{index}]"
        problem = label_key_problem(group.affinity_name)
        if problem:
            yield Violation("label-key", f"{where}.affinityName", f"{group.affinity_name!r}: {problem}")
        if group.affinity_name in seen:
            yield Violation(
                "affinity-name-unique",
                f"{where}.affinityName",
                f"{group.affinity_name!r} is used twice; each group needs a name of its own",
            )
        seen.add(group.affinity_name)
        yield from affinity_violations(group, where)
        yield from _overflow(group, scheduling, where)


def _overflow(group: ClusterAffinityTerm, scheduling: ReplicaScheduling | None, path: str) -> Iterator[Violation]:
    if group.overflow_affinities is None:
        return
    where = f"{path}.overflowAffinities"
    if not _overflow_allowed(scheduling):
        yield Violation(
            "overflow-strategy",
            where,
            "overflow needs to know what fits: divide replicas with dynamicWeight or Aggregated, or drop it",
        )
    if not (group.label_selector or group.field_selector or group.cluster_names or group.exclude):
        yield Violation("overflow-needs-inline", where, "the group itself selects no clusters; say which come first")
    names = {group.affinity_name}
    for index, tier in enumerate(group.overflow_affinities):
        name_path = f"{where}[{index}].affinityName"
        problem = label_key_problem(tier.affinity_name)
        if problem:
            yield Violation("label-key", name_path, f"{tier.affinity_name!r}: {problem}")
        if tier.affinity_name in names:
            yield Violation(
                "overflow-name-unique", name_path, f"{tier.affinity_name!r} is used twice within this group; rename it"
            )
        names.add(tier.affinity_name)
        yield from affinity_violations(tier, f"{where}[{index}]")


def _overflow_allowed(scheduling: ReplicaScheduling | None) -> bool:
    """Divided by what fits: Aggregated, or Weighted (also by default) with a dynamic weight."""
    if scheduling is None or scheduling.replica_scheduling_type != "Divided":
        return False
    if scheduling.replica_division_preference == "Aggregated":
        return True
    return bool(scheduling.weight_preference and scheduling.weight_preference.dynamic_weight)


def _tolerations(tolerations: Sequence[Toleration], path: str) -> Iterator[Violation]:
    for index, toleration in enumerate(tolerations):
        if toleration.operator not in _TOLERATION_OPERATORS:
            yield Violation(
                "toleration-operator",
                f"{path}[{index}].operator",
                f"{toleration.operator!r} is not served for taints of clusters; use Exists or Equal",
            )


def _spread(constraints: Sequence[SpreadConstraint], path: str) -> Iterator[Violation]:
    fields = [constraint.spread_by_field for constraint in constraints if constraint.spread_by_field]
    for index, constraint in enumerate(constraints):
        where = f"{path}[{index}]"
        least, most = constraint.min_groups or 0, constraint.max_groups or 0
        if constraint.spread_by_field and constraint.spread_by_label:
            yield Violation(
                "spread-field-xor-label",
                where,
                "spreadByField and spreadByLabel exclude each other; use two constraints",
            )
        if least < 0:
            yield Violation("spread-min-negative", f"{where}.minGroups", f"{least} is below 0")
        if most < 0:
            yield Violation("spread-max-negative", f"{where}.maxGroups", f"{most} is below 0")
        if 0 < most < least:
            yield Violation(
                "spread-max-below-min",
                f"{where}.maxGroups",
                f"{most} is below minGroups {least}; raise it, or leave it out for no limit",
            )
    for field in sorted({field for field in fields if fields.count(field) > 1}):
        yield Violation("spread-field-duplicate", path, f"{field} is constrained more than once; keep one constraint")
    if fields and "cluster" not in fields:
        yield Violation(
            "spread-cluster-required", path, "add a constraint with spreadByField: cluster; it says how many clusters"
        )


def _static_weights(scheduling: ReplicaScheduling | None, path: str) -> Iterator[Violation]:
    weights = scheduling.weight_preference.static_weight_list if scheduling and scheduling.weight_preference else None
    for index, weight in enumerate(weights or ()):
        where = f"{path}.weightPreference.staticWeightList[{index}]"
        yield from affinity_violations(weight.target_cluster, f"{where}.targetCluster")
        if weight.weight < 1:
            yield Violation("weight-positive", f"{where}.weight", f"{weight.weight} is below 1")


def _workload_affinity(affinity: WorkloadAffinity | None, path: str) -> Iterator[Violation]:
    if affinity is None:
        return
    together, apart = affinity.affinity, affinity.anti_affinity
    for name, group in (("affinity", together), ("antiAffinity", apart)):
        problem = label_key_problem(group.group_by_label_key) if group else None
        if group and problem:
            where = f"{path}.{name}.groupByLabelKey"
            yield Violation("label-key", where, f"{group.group_by_label_key!r}: {problem}")
    if together and apart and together.group_by_label_key == apart.group_by_label_key:
        yield Violation(
            "workload-affinity-same-key",
            path,
            "the same label cannot keep workloads together and apart; use two labels",
        )
