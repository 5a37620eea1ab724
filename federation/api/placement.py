"""Where: affinities, tolerations, spread and replica division (karmada.md 1.1.4 to 1.1.7)."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from federation.api.meta import LabelKey, LabelValue, Model, Name, Time
from federation.api.schema import cel


class LabelOperator(StrEnum):
    """Operators of a label selector requirement."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelRequirement(Model):
    """One requirement on labels."""

    key: LabelKey = Field(description="Label key.")
    operator: LabelOperator = Field(description="In, NotIn, Exists or DoesNotExist.")
    values: list[LabelValue] = Field(default_factory=list, max_length=64, description="Values for In and NotIn.")


class LabelSelector(Model):
    """A Kubernetes label selector: all requirements together."""

    match_labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, max_length=32, description="Exact labels.")
    match_expressions: list[LabelRequirement] = Field(default_factory=list, max_length=16, description="Requirements.")


class FieldRequirement(Model):
    """One requirement on a field of the Cluster."""

    key: Annotated[str, Field(max_length=16, json_schema_extra={"enum": ["provider", "region", "zone"]})] = Field(
        description="provider, region or zone."
    )
    operator: Annotated[
        str, Field(max_length=16, json_schema_extra={"enum": ["In", "NotIn", "Exists", "DoesNotExist"]})
    ] = Field(description="In or NotIn.")
    values: list[LabelValue] = Field(default_factory=list, max_length=64, description="Values to compare with.")


class FieldSelector(Model):
    """Requirements on fields of the Cluster, all together."""

    match_expressions: list[FieldRequirement] = Field(default_factory=list, max_length=16, description="Requirements.")


class ClusterAffinity(Model):
    """Which clusters: everything ANDed, exclude first; empty matches every cluster."""

    label_selector: LabelSelector | None = Field(default=None, description="Labels of the Cluster.")
    field_selector: FieldSelector | None = Field(default=None, description="Provider, region and zone of the Cluster.")
    cluster_names: list[Name] | None = Field(default=None, max_length=256, description="Only these clusters.")
    exclude: list[Name] | None = Field(default=None, max_length=256, description="Never these clusters.")


class OverflowAffinity(ClusterAffinity):
    """An extra tier of clusters, used when the tiers before it are full."""

    affinity_name: Annotated[str, Field(min_length=1, max_length=32)] = Field(description="Name of the tier.")


class ClusterAffinityTerm(ClusterAffinity):
    """One of several ordered groups of clusters."""

    affinity_name: Annotated[str, Field(min_length=1, max_length=32)] = Field(description="Name of the group.")
    overflow_affinities: list[OverflowAffinity] | None = Field(
        default=None, max_length=8, description="Extra tiers, used when this group is full."
    )


class Taint(Model):
    """A taint of a Cluster."""

    key: LabelKey = Field(description="Taint key.")
    value: LabelValue = Field(default="", description="Taint value.")
    effect: Annotated[
        str, Field(max_length=32, json_schema_extra={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]})
    ] = Field(description="NoSchedule, PreferNoSchedule or NoExecute.")
    time_added: Time | None = Field(default=None, description="When the taint was added.")


class Toleration(Model):
    """What taints of clusters a workload bears."""

    key: LabelKey = Field(default="", description="Taint key; empty with Exists matches every key.")
    operator: Annotated[str, Field(max_length=16, json_schema_extra={"enum": ["", "Exists", "Equal"]})] = Field(
        default="", description="Exists or Equal (default)."
    )
    value: LabelValue = Field(default="", description="Taint value for Equal.")
    effect: Annotated[
        str, Field(max_length=32, json_schema_extra={"enum": ["", "NoSchedule", "PreferNoSchedule", "NoExecute"]})
    ] = Field(default="", description="Effect; empty matches every effect.")
    toleration_seconds: int | None = Field(default=None, description="How long a NoExecute taint is borne.")


class SpreadConstraint(Model):
    """How targets spread over groups of clusters."""

    model_config = cel(
        ("!(has(self.spreadByField) && has(self.spreadByLabel))", "set spreadByField or spreadByLabel, not both"),
        (
            "!has(self.maxGroups) || !has(self.minGroups) || self.maxGroups == 0 || self.maxGroups >= self.minGroups",
            "maxGroups must not be smaller than minGroups",
        ),
    )

    spread_by_field: (
        Annotated[str, Field(max_length=16, json_schema_extra={"enum": ["cluster", "region", "zone", "provider"]})]
        | None
    ) = Field(default=None, description="cluster (default), region, zone or provider.")
    spread_by_label: LabelKey | None = Field(default=None, description="Label of the Cluster to group by.")
    min_groups: Annotated[int, Field(json_schema_extra={"minimum": 0, "maximum": 1024})] | None = Field(
        default=None, description="Fewest groups; 1 when omitted."
    )
    max_groups: Annotated[int, Field(json_schema_extra={"minimum": 0, "maximum": 1024})] | None = Field(
        default=None, description="Most groups; no limit when omitted."
    )


class StaticClusterWeight(Model):
    """A weight for the clusters that match."""

    model_config = cel(
        (
            "!has(self.maxReplicas) || !has(self.minReplicas) || self.maxReplicas >= self.minReplicas",
            "maxReplicas must not be smaller than minReplicas",
        ),
    )

    target_cluster: ClusterAffinity = Field(description="Clusters that have this weight.")
    weight: Annotated[int, Field(json_schema_extra={"minimum": 1, "maximum": 1_000_000})] = Field(
        description="Weight, at least 1."
    )
    min_replicas: Annotated[int, Field(json_schema_extra={"minimum": 0, "maximum": 1_000_000})] | None = Field(
        default=None, description="Fewest replicas per matching cluster."
    )
    max_replicas: Annotated[int, Field(json_schema_extra={"minimum": 0, "maximum": 1_000_000})] | None = Field(
        default=None, description="Most replicas per matching cluster."
    )


class ClusterPreferences(Model):
    """Weights: a static list, or dynamic by what is free. Dynamic beats the list."""

    static_weight_list: list[StaticClusterWeight] | None = Field(
        default=None, max_length=64, description="Static weights."
    )
    dynamic_weight: Annotated[str, Field(max_length=32, json_schema_extra={"enum": ["AvailableReplicas"]})] | None = (
        Field(default=None, description="AvailableReplicas: in proportion to what fits.")
    )
    respect_capacity: bool | None = Field(default=None, description="Bound static shares by what fits.")


class ReplicaScheduling(Model):
    """Whether replicas are duplicated to each cluster or divided between them."""

    replica_scheduling_type: Annotated[
        str, Field(max_length=16, json_schema_extra={"enum": ["Duplicated", "Divided"]})
    ] = Field(default="Divided", description="Duplicated or Divided (default when this object is present).")
    replica_division_preference: (
        Annotated[str, Field(max_length=16, json_schema_extra={"enum": ["Aggregated", "Weighted"]})] | None
    ) = Field(default=None, description="Weighted (default) or Aggregated.")
    weight_preference: ClusterPreferences | None = Field(default=None, description="Weights; equal when omitted.")


class AffinityGroup(Model):
    """Workloads with the same value of a label."""

    group_by_label_key: LabelKey = Field(description="Label of the template whose value names the group.")


class WorkloadAffinity(Model):
    """Workloads that stay together or apart."""

    affinity: AffinityGroup | None = Field(default=None, description="Stay together.")
    anti_affinity: AffinityGroup | None = Field(default=None, description="Stay apart.")


class Placement(Model):
    """Where the selected objects go."""

    model_config = cel(
        (
            "!(has(self.clusterAffinity) && has(self.clusterAffinities))",
            "set clusterAffinity or clusterAffinities, not both",
        ),
    )

    cluster_affinity: ClusterAffinity | None = Field(
        default=None, description="Clusters to choose from; all when omitted."
    )
    cluster_affinities: list[ClusterAffinityTerm] | None = Field(
        default=None, max_length=16, description="Ordered groups of clusters; the first that can take the object wins."
    )
    cluster_tolerations: list[Toleration] | None = Field(
        default=None, max_length=32, description="Tolerated cluster taints."
    )
    spread_constraints: list[SpreadConstraint] | None = Field(
        default=None, max_length=8, description="Spread over groups."
    )
    replica_scheduling: ReplicaScheduling | None = Field(
        default=None, description="Division of replicas; Duplicated when omitted."
    )
    workload_affinity: WorkloadAffinity | None = Field(
        default=None, description="Together with or apart from other workloads."
    )
    load: Annotated[str, Field(max_length=16, json_schema_extra={"enum": ["Ignore", "Prefer", "Avoid"]})] | None = (
        Field(default=None, description="Whether the measured load of members enters the score.")
    )
