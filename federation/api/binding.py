"""ResourceBinding and ClusterResourceBinding: one per template; small on purpose (DESIGN section 4)."""

from typing import Annotated, ClassVar

from pydantic import Field, JsonValue

from federation.api.meta import Condition, Kind, Model, Name, Namespace, Text, Time, Uid, Word
from federation.api.propagation import Suspension

_ATOMIC_MAP: dict[str, JsonValue] = {"x-kubernetes-map-type": "atomic"}
_ATOMIC_LIST: dict[str, JsonValue] = {"x-kubernetes-list-type": "atomic"}


class ObjectReference(Model):
    """The template."""

    api_version: Word = Field(description="Group and version.")
    kind: Word = Field(description="Kind.")
    namespace: Namespace | None = Field(default=None, description="Namespace; absent for a cluster-scoped template.")
    name: Name = Field(description="Name.")
    uid: Uid = Field(default="", description="UID.")


class PolicyReference(Model):
    """The policy that claims the template."""

    kind: Word = Field(description="PropagationPolicy or ClusterPropagationPolicy.")
    namespace: Namespace | None = Field(default=None, description="Namespace of a PropagationPolicy.")
    name: Name = Field(description="Name.")
    uid: Uid = Field(default="", description="UID.")
    generation: int | None = Field(
        default=None,
        description="Of a Lazy policy: its generation that is in force; 0 while none is, then what was decided before stays.",
    )
    template_hash: Word | None = Field(
        default=None,
        description="While an edit of a Lazy policy waits: hash of the template; it acts when the template has another one.",
    )


class Pin(Model):
    """Shares that a person set, for a time; what is left is divided among the other clusters."""

    shares: dict[Name, Annotated[int, Field(ge=0, le=1_000_000)]] = Field(
        max_length=64, description="Replicas by cluster."
    )
    until: Time | None = Field(default=None, description="When it ends; absent: until it is cleared.")


class WorkloadAffinityGroups(Model):
    """Groups that the template belongs to, as `key=value` of its labels, from the placement's workloadAffinity."""

    affinity_group: Text | None = Field(default=None, description="Placed with the others of this group.")
    anti_affinity_group: Text | None = Field(default=None, description="Placed apart from the others of this group.")


class BindingPriority(Model):
    """Where the binding stands in the scheduling queue."""

    priority: int = Field(default=0, description="Value of the PriorityClass that the policy names; higher goes first.")


class BindingSpec(Model):
    """References and options as resolved. Written by detect; `scale` by the replica arbiter, `rebalance` by its controller, `pin` by fedctl."""

    resource: ObjectReference = Field(description="The template.", json_schema_extra=_ATOMIC_MAP)
    policy: PolicyReference | None = Field(default=None, description="The policy.", json_schema_extra=_ATOMIC_MAP)
    scale: int | None = Field(
        default=None, description="Replicas wanted by an autoscaler; the template's own when absent."
    )
    conflict_resolution: Word | None = Field(default=None, description="Overwrite, or absent.")
    preserve_resources_on_deletion: bool | None = Field(default=None, description="Keep copies when the template goes.")
    suspension: Suspension | None = Field(default=None, description="Stop sending.", json_schema_extra=_ATOMIC_MAP)
    workload_affinity_groups: WorkloadAffinityGroups | None = Field(
        default=None, description="Workloads to be with or apart from.", json_schema_extra=_ATOMIC_MAP
    )
    schedule_priority: BindingPriority | None = Field(
        default=None, description="Priority in the scheduling queue.", json_schema_extra=_ATOMIC_MAP
    )
    rebalance: Word | None = Field(default=None, description="The last Rebalance that asked for fresh scheduling.")
    pin: Pin | None = Field(default=None, description="Shares set by hand (fedctl pin).", json_schema_extra=_ATOMIC_MAP)


class Move(Model):
    """Replicas on their way from one cluster to another; the giver keeps them until the receiver's are available."""

    from_: Name = Field(alias="from", description="Cluster that gives.")
    to: Name = Field(description="Cluster that receives; empty where the giver only waits for another copy to serve.")
    replicas: int = Field(default=0, description="How many the giver still holds.")
    granted: int = Field(default=0, description="How many of them were added at the receiver and are awaited there.")
    reason: Word = Field(default="", description="Why: the trigger of the decision that began the move.")


class Decision(Model):
    """The scheduler's answer."""

    epoch: int = Field(description="Number of this decision; grows by one.")
    trigger: Word = Field(description="Why it was taken.")
    inputs: Annotated[str, Field(max_length=32768)] = Field(description="What it was taken from, as canonical JSON.")
    targets: dict[Name, int] = Field(
        default_factory=dict, max_length=1024, description="Replicas by cluster; 0 for objects without replicas.",
        json_schema_extra=_ATOMIC_MAP,
    )  # fmt: skip
    refused: list[Text] = Field(
        default_factory=list, max_length=64, description="Clusters that were refused, grouped by reason.",
        json_schema_extra=_ATOMIC_LIST,
    )  # fmt: skip
    moves: list[Move] = Field(
        default_factory=list, max_length=1024, description="Open moves.", json_schema_extra=_ATOMIC_LIST
    )
    affinity: Word = Field(default="", description="The affinity group in use, where the placement has several.")
    notes: list[Text] = Field(
        default_factory=list, max_length=16, json_schema_extra=_ATOMIC_LIST,
        description="What else is worth knowing: affinity groups that could not take it, an approximate answer.",
    )  # fmt: skip
    returned: dict[Name, int] = Field(
        default_factory=dict, max_length=1024, json_schema_extra=_ATOMIC_MAP,
        description="Clusters taken back before their removal was confirmed, with the epoch that their mark must show.",
    )  # fmt: skip


class BindingStatus(Model):
    """The decision, what the members hold, and conditions."""

    decision: Decision | None = Field(default=None, description="The decision in force.", json_schema_extra=_ATOMIC_MAP)
    members: dict[Name, Annotated[str, Field(max_length=512)]] | None = Field(
        default=None, max_length=1024, description="One logfmt line a cluster: health, numbers, epoch, hash, errors.",
        json_schema_extra=_ATOMIC_MAP,
    )  # fmt: skip
    summary: Text | None = Field(default=None, description="Members in short.")
    wanted: int | None = Field(default=None, description="Replicas (or copies) wanted.")
    ready: int | None = Field(default=None, description="Replicas (or copies) ready.")
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=8,
        description="Scheduled, FullyApplied, Ready, in this order.",
        json_schema_extra=_ATOMIC_LIST,
    )


_COLUMNS = (
    ("KIND", "string", ".spec.resource.kind"),
    ("WANTED", "integer", ".status.wanted"),
    ("READY", "integer", ".status.ready"),
    ("PLACED", "string", ".status.summary"),
    ("POLICY", "string", ".spec.policy.name"),
    ("SCHEDULED", "string", '.status.conditions[?(@.type=="Scheduled")].status'),
    ("APPLIED", "string", '.status.conditions[?(@.type=="FullyApplied")].status'),
    ("REASON", "string", '.status.conditions[?(@.type=="Ready")].reason'),
    ("AGE", "date", ".metadata.creationTimestamp"),
)


class ResourceBinding(Kind):
    """The placement of one namespaced template."""

    plural: ClassVar[str] = "resourcebindings"
    short_names: ClassVar[tuple[str, ...]] = ("rb",)
    columns = _COLUMNS

    spec: BindingSpec = Field(description="Template and policy.")
    status: BindingStatus | None = Field(default=None, description="Decision and members.")


class ClusterResourceBinding(Kind):
    """The placement of one cluster-scoped template."""

    scope: ClassVar[str] = "Cluster"
    plural: ClassVar[str] = "clusterresourcebindings"
    short_names: ClassVar[tuple[str, ...]] = ("crb",)
    columns = _COLUMNS

    spec: BindingSpec = Field(description="Template and policy.")
    status: BindingStatus | None = Field(default=None, description="Decision and members.")
