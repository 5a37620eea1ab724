"""Cluster: a member. ClusterCapacity: its machine-written capacity table (karmada.md 1.3, DESIGN section 5)."""

from typing import Annotated, ClassVar

from pydantic import Field

from federation.api.meta import SYSTEM_NAMESPACE, Condition, Kind, LabelValue, Model, Name, Namespace, Time, Uid, Word
from federation.api.placement import Taint
from federation.api.schema import cel

Quantity = Annotated[str, Field(max_length=64)]
Quantities = Annotated[
    dict[Annotated[str, Field(max_length=253)], Quantity],
    Field(max_length=64, json_schema_extra={"x-kubernetes-map-type": "atomic"}),
]


class SecretReference(Model):
    """A Secret on the hub."""

    namespace: Namespace = Field(description="Namespace of the Secret.")
    name: Name = Field(description="Name of the Secret.")


class ClusterSpec(Model):
    """How to reach a member, and where it is. Written by users."""

    model_config = cel(
        ("!(has(self.zone) && has(self.zones))", "set zone or zones, not both"),
        # Remove it with the change that serves pull members.
        ("self.syncMode != 'Pull'", "syncMode Pull is not served yet; set Push, or run `fedctl join`"),
        (
            "self.syncMode != 'Push' || (has(self.apiEndpoint) && has(self.secretRef))",
            "a Push cluster needs apiEndpoint and secretRef; `fedctl join` sets both",
        ),
        (
            f"!has(self.secretRef) || self.secretRef.namespace == '{SYSTEM_NAMESPACE}'",
            f"secretRef.namespace must be {SYSTEM_NAMESPACE}: the hub reads no other Secrets",
        ),
        (
            "!has(oldSelf.id) || (has(self.id) && self.id == oldSelf.id)",
            "id cannot be changed; leave and join the cluster instead",
        ),
    )

    id: Uid | None = Field(default=None, description="UID of the member's kube-system namespace.")
    sync_mode: Annotated[str, Field(max_length=8, json_schema_extra={"enum": ["Push", "Pull"]})] = Field(
        description="Push: the hub calls the member. Pull: an agent in the member calls the hub."
    )
    api_endpoint: Annotated[str, Field(max_length=2048, json_schema_extra={"pattern": "^https?://[^/]+"})] | None = (
        Field(default=None, description="URL of the member's API server.")
    )
    secret_ref: SecretReference | None = Field(default=None, description="Secret with keys token and ca.crt.")
    ca_bundle: Annotated[str, Field(max_length=65536)] | None = Field(
        default=None, description="Base64 of the PEM certificates to trust; else ca.crt of the Secret."
    )
    insecure_skip_tls_verification: bool | None = Field(
        default=None, alias="insecureSkipTLSVerification", description="Do not check the member's certificate."
    )
    proxy_url: Annotated[str, Field(max_length=2048)] | None = Field(
        default=None, alias="proxyURL", description="Proxy between the hub and the member."
    )
    provider: LabelValue | None = Field(default=None, description="Cloud provider.")
    region: LabelValue | None = Field(default=None, description="Region.")
    zone: LabelValue | None = Field(default=None, description="The only zone; old form of zones.")
    zones: list[LabelValue] | None = Field(default=None, max_length=32, description="Zones.")
    taints: list[Taint] | None = Field(default=None, max_length=32, description="Taints by users.")


class NodeSummary(Model):
    """Nodes of a member."""

    total_num: int = Field(default=0, description="All nodes.")
    ready_num: int = Field(default=0, description="Ready nodes.")


class ResourceSummary(Model):
    """Resources of a member, quantised."""

    allocatable: Quantities = Field(default_factory=dict, description="Allocatable of all nodes.")
    allocated: Quantities = Field(default_factory=dict, description="Requested by pods that have a node.")
    allocating: Quantities = Field(default_factory=dict, description="Requested by pods that wait for one.")
    observed_at: Time | None = Field(default=None, description="When these numbers were seen first.")


class ClusterStatus(Model):
    """What is known of a member. Written by the hub (push) or by the agent (pull)."""

    id: Uid | None = Field(default=None, description="UID of the member's kube-system namespace as seen at join.")
    observed_generation: int | None = Field(default=None, description="Generation that this status was computed for.")
    conditions: list[Condition] | None = Field(
        default=None, max_length=16, description="Joined, Credentials, Ready, CompleteAPIs.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )  # fmt: skip
    kubernetes_version: Word | None = Field(default=None, description="Version of the API server.")
    apis: list[Annotated[str, Field(max_length=4096)]] | None = Field(
        default=None, max_length=1024, description="Kinds served, one line a group version: `apps/v1: Deployment, StatefulSet`.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )  # fmt: skip
    node_summary: NodeSummary | None = Field(
        default=None, description="Nodes.", json_schema_extra={"x-kubernetes-map-type": "atomic"}
    )
    resource_summary: ResourceSummary | None = Field(
        default=None, description="Resources.", json_schema_extra={"x-kubernetes-map-type": "atomic"}
    )
    taints: list[Taint] | None = Field(
        default=None, max_length=16, description="Taints by health; they count together with spec.taints.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )  # fmt: skip


class Cluster(Kind):
    """A member cluster."""

    scope: ClassVar[str] = "Cluster"
    plural: ClassVar[str] = "clusters"
    short_names: ClassVar[tuple[str, ...]] = ("fc",)
    columns = (
        ("MODE", "string", ".spec.syncMode"),
        ("JOINED", "string", '.status.conditions[?(@.type=="Joined")].status'),
        ("READY", "string", '.status.conditions[?(@.type=="Ready")].status'),
        ("VERSION", "string", ".status.kubernetesVersion"),
        ("REGION", "string", ".spec.region"),
        ("NODES", "integer", ".status.nodeSummary.readyNum"),
        ("AGE", "date", ".metadata.creationTimestamp"),
    )

    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 48",
            "metadata.name: lower-case letters, digits and '-', at most 48 characters",
        ),
    )

    spec: ClusterSpec = Field(description="How to reach the member, and where it is.")
    status: ClusterStatus | None = Field(default=None, description="What is known of the member.")


class CapacitySpec(Model):
    """Machine-written capacity of one member."""

    table: Annotated[str, Field(max_length=262144)] = Field(
        default="", description="One line a node class: free and used resources. Format: docs/clusters.md."
    )
    observed_at: Time | None = Field(default=None, description="When the table was made.")


class CapacityStatus(Model):
    """Room for conditions."""

    conditions: list[Condition] | None = Field(
        default=None, max_length=8, description="Fresh.", json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )


class ClusterCapacity(Kind):
    """The capacity table of the member of the same name."""

    scope: ClassVar[str] = "Cluster"
    plural: ClassVar[str] = "clustercapacities"
    columns = (("OBSERVED", "date", ".spec.observedAt"), ("AGE", "date", ".metadata.creationTimestamp"))

    spec: CapacitySpec = Field(default_factory=CapacitySpec, description="The table.")
    status: CapacityStatus | None = Field(default=None, description="Status.")


__all__ = ["Cluster", "ClusterCapacity", "ClusterSpec", "ClusterStatus", "NodeSummary", "ResourceSummary"]
