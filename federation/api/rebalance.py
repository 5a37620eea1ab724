"""Rebalance: ask for fresh scheduling of named workloads, once (Karmada WorkloadRebalancer, karmada.md 1.5.1)."""

from typing import Annotated, ClassVar

from pydantic import Field

from federation.api.meta import Condition, Kind, Model, Namespace, Text, Time, Word


class WorkloadReference(Model):
    """A template on the hub."""

    api_version: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Group and version, such as apps/v1."
    )
    kind: Annotated[str, Field(min_length=1, max_length=128)] = Field(description="Kind, such as Deployment.")
    namespace: Namespace | None = Field(default=None, description="Namespace; absent for a cluster-scoped template.")
    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="Name.")


class RebalanceSpec(Model):
    """Which workloads."""

    workloads: list[WorkloadReference] = Field(
        description="Templates to be scheduled as if nothing were placed.",
        json_schema_extra={"minItems": 1, "maxItems": 256, "x-kubernetes-list-type": "atomic"},
    )
    ttl_seconds_after_finished: Annotated[int, Field(json_schema_extra={"minimum": 0})] | None = Field(
        default=None, description="Delete this object so long after every workload was answered; never when omitted."
    )


class ObservedWorkload(Model):
    """What became of one workload."""

    workload: WorkloadReference = Field(description="The template.")
    result: Word = Field(
        default="",
        description="Successful: a fresh decision is in force; Failed: there is none to come; empty: it waits.",
    )
    reason: Word = Field(default="", description="ReferencedBindingNotFound, or why the scheduler could not decide.")
    message: Text = Field(default="", description="The shares by cluster, or what stands in the way.")


class RebalanceStatus(Model):
    """Results by workload."""

    observed_generation: int | None = Field(default=None, description="Generation that this status was computed for.")
    observed_workloads: list[ObservedWorkload] | None = Field(
        default=None, max_length=256, description="In the order of the spec.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )  # fmt: skip
    finish_time: Time | None = Field(default=None, description="When the last workload was answered.")
    conditions: list[Condition] | None = Field(
        default=None, max_length=8, description="Ready.", json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )


class Rebalance(Kind):
    """Fresh scheduling of named workloads, once."""

    scope: ClassVar[str] = "Cluster"
    plural: ClassVar[str] = "rebalances"
    columns = (
        ("READY", "string", '.status.conditions[?(@.type=="Ready")].status'),
        ("REASON", "string", '.status.conditions[?(@.type=="Ready")].reason'),
        ("FINISHED", "date", ".status.finishTime"),
        ("AGE", "date", ".metadata.creationTimestamp"),
    )

    spec: RebalanceSpec = Field(description="Which workloads.")
    status: RebalanceStatus | None = Field(default=None, description="Results by workload.")
