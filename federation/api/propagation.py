"""PropagationPolicy and ClusterPropagationPolicy: which objects go where (karmada.md 1.1.2, 1.1.3, 1.1.9)."""

from typing import Annotated, ClassVar

from pydantic import Field

from federation.api.meta import Condition, Kind, LabelKey, Model, Name, Namespace, Text, Word
from federation.api.placement import LabelSelector, Placement
from federation.api.schema import cel

Count = Annotated[int, Field(json_schema_extra={"minimum": 0})]


class ResourceSelector(Model):
    """Which objects: a kind, narrowed by name or by labels. A name beats the label selector."""

    api_version: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Group and version, such as apps/v1."
    )
    kind: Annotated[str, Field(min_length=1, max_length=128)] = Field(description="Kind, such as Deployment.")
    namespace: Namespace | None = Field(default=None, description="Namespace; the policy's own in a namespaced policy.")
    name: Name | None = Field(default=None, description="Name of one object.")
    label_selector: LabelSelector | None = Field(default=None, description="Labels; ignored when name is set.")


class SuspendClusters(Model):
    """Clusters to which nothing is sent."""

    cluster_names: list[Name] = Field(default_factory=list, max_length=256, description="Names of clusters.")


class Suspension(Model):
    """Stop sending to all or to some clusters while scheduling goes on; or stop scheduling while sending goes on."""

    model_config = cel(
        (
            "!(has(self.dispatching) && self.dispatching && has(self.dispatchingOnClusters))",
            "set dispatching or dispatchingOnClusters, not both",
        ),
    )

    dispatching: bool | None = Field(default=None, description="Stop sending to every cluster.")
    dispatching_on_clusters: SuspendClusters | None = Field(default=None, description="Stop sending to these clusters.")
    scheduling: bool | None = Field(
        default=None, description="Take no decision, whatever changes; what is placed stays and follows its template."
    )


class DecisionConditions(Model):
    """When an application counts as failed in a cluster."""

    toleration_seconds: int | None = Field(
        default=None, description="Unhealthy longer than this: move. 300 when omitted."
    )


class PreservationRule(Model):
    """A value of the member status that the new copy gets as a label."""

    alias_label_name: LabelKey = Field(description="Label of the new copy.")
    json_path: Text = Field(description="Path into the status of the old copy.")


class StatePreservation(Model):
    """State that a moved application takes along."""

    rules: list[PreservationRule] = Field(default_factory=list, max_length=16, description="Values to keep.")


class ApplicationFailover(Model):
    """Move an application that is unhealthy in a cluster."""

    decision_conditions: DecisionConditions | None = Field(default=None, description="When to move.")
    purge_mode: (
        Annotated[str, Field(max_length=16, json_schema_extra={"enum": ["Directly", "Gracefully", "Never"]})] | None
    ) = Field(default=None, description="Gracefully (default), Directly or Never.")
    grace_period_seconds: int | None = Field(default=None, description="How long the old copy stays at most.")
    state_preservation: StatePreservation | None = Field(default=None, description="State to take along.")


class ClusterFailover(Model):
    """Move away from a cluster that failed."""

    purge_mode: Annotated[str, Field(max_length=16, json_schema_extra={"enum": ["Directly", "Gracefully"]})] | None = (
        Field(default=None, description="Gracefully (default) or Directly.")
    )
    state_preservation: StatePreservation | None = Field(default=None, description="State to take along.")


class Failover(Model):
    """Failover of applications and clusters."""

    application: ApplicationFailover | None = Field(default=None, description="When the application fails.")
    cluster: ClusterFailover | None = Field(default=None, description="When the cluster fails.")


class SchedulePriority(Model):
    """Priority in the scheduling queue."""

    priority_class_source: Annotated[str, Field(max_length=32, json_schema_extra={"enum": ["KubePriorityClass"]})] = (
        Field(description="KubePriorityClass.")
    )
    priority_class_name: Name = Field(description="Name of the PriorityClass on the hub.")


class PropagationSpec(Model):
    """What a propagation policy asks for."""

    resource_selectors: list[ResourceSelector] = Field(
        description="Objects that the policy selects.", json_schema_extra={"minItems": 1, "maxItems": 64}
    )
    placement: Placement = Field(default_factory=Placement, description="Where they go.")
    priority: Annotated[int, Field(json_schema_extra={"format": "int32"})] | None = Field(
        default=None, description="Higher wins; 0 when omitted."
    )
    preemption: Annotated[str, Field(max_length=16, json_schema_extra={"enum": ["Always", "Never"]})] | None = Field(
        default=None, description="Always takes named objects from policies of lower priority; Never is the default."
    )
    propagate_deps: bool | None = Field(
        default=None, description="Also send ConfigMaps, Secrets and the like that are referred to."
    )
    association: bool | None = Field(default=None, description="Old name of propagateDeps.")
    dependent_overrides: list[Name] | None = Field(
        default=None, max_length=32, description="Override policies that must exist before this policy acts."
    )
    scheduler_name: Word | None = Field(
        default=None, description="Which scheduler acts; default-scheduler when omitted.",
        json_schema_extra={"x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "schedulerName cannot be changed"}]},
    )  # fmt: skip
    failover: Failover | None = Field(default=None, description="What to do when a cluster or the application fails.")
    conflict_resolution: (
        Annotated[str, Field(max_length=16, json_schema_extra={"enum": ["Abort", "Overwrite"]})] | None
    ) = Field(default=None, description="Objects that exist in a member: Abort (default) or Overwrite.")
    activation_preference: Annotated[str, Field(max_length=16, json_schema_extra={"enum": ["", "Lazy"]})] | None = (
        Field(default=None, description="Lazy: an edit of the policy waits until the template changes.")
    )
    suspension: Suspension | None = Field(default=None, description="Stop sending, or scheduling.")
    preserve_resources_on_deletion: bool | None = Field(
        default=None, description="Keep objects in members when the template or the placement goes away."
    )
    schedule_priority: SchedulePriority | None = Field(default=None, description="Priority in the scheduling queue.")


Lines = Annotated[list[Text], Field(max_length=11, json_schema_extra={"x-kubernetes-list-type": "atomic"})]
"""The first ten, and how many more there are."""


class PolicyStatus(Model):
    """What a policy claims and what became of it. Lists hold the first ten, and say how many more there are."""

    observed_generation: int | None = Field(default=None, description="Generation that this status was computed for.")
    claimed: Count | None = Field(default=None, description="Objects that this policy claims.")
    placed: Count | None = Field(default=None, description="Claimed objects that are placed as it asks.")
    waiting: Count | None = Field(
        default=None, description="Objects for which it does not act yet: it is Lazy, or overrides are missing."
    )
    never_propagated: Count | None = Field(default=None, description="Selected objects that are never propagated.")
    lost: Lines | None = Field(default=None, description="Selected objects that another policy has: which, and why.")
    preempted: Lines | None = Field(
        default=None, description="Objects that it takes from other policies, and from which."
    )
    not_placed: Lines | None = Field(default=None, description="Claimed objects without a place, and why.")
    waiting_for: Lines | None = Field(
        default=None, description="Objects for which it does not act yet, and what it waits for."
    )
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=8,
        description="Ready, Stalled.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


_COLUMNS = (
    ("PRIORITY", "integer", ".spec.priority"),
    ("CLAIMED", "integer", ".status.claimed"),
    ("PLACED", "integer", ".status.placed"),
    ("WAITING", "integer", ".status.waiting"),
    ("READY", "string", '.status.conditions[?(@.type=="Ready")].status'),
    ("REASON", "string", '.status.conditions[?(@.type=="Ready")].reason'),
    ("AGE", "date", ".metadata.creationTimestamp"),
)


class PropagationPolicy(Kind):
    """Places objects of its own namespace."""

    plural: ClassVar[str] = "propagationpolicies"
    short_names: ClassVar[tuple[str, ...]] = ("pp",)
    columns = _COLUMNS

    spec: PropagationSpec = Field(description="What goes where.")
    status: PolicyStatus | None = Field(default=None, description="What the policy claims and what became of it.")


class ClusterPropagationPolicy(Kind):
    """Places cluster-scoped objects and objects of any namespace."""

    scope: ClassVar[str] = "Cluster"
    plural: ClassVar[str] = "clusterpropagationpolicies"
    short_names: ClassVar[tuple[str, ...]] = ("cpp",)
    columns = _COLUMNS

    spec: PropagationSpec = Field(description="What goes where.")
    status: PolicyStatus | None = Field(default=None, description="What the policy claims and what became of it.")
