"""OverridePolicy and ClusterOverridePolicy: what changes for some clusters (karmada.md 1.1.10)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from federation.api.meta import Condition, Kind, LabelKey, Model, Name
from federation.api.placement import ClusterAffinity
from federation.api.propagation import Count, Lines, ResourceSelector
from federation.api.schema import any_value, cel

Pointer = Annotated[str, Field(max_length=1024)]
Operator = Annotated[str, Field(max_length=16, json_schema_extra={"enum": ["add", "remove", "replace"]})]
ListOperator = Annotated[str, Field(max_length=16, json_schema_extra={"enum": ["add", "remove"]})]
AnyValue = Annotated[Any, any_value()]


class ImagePredicate(Model):
    """Which image field."""

    path: Pointer = Field(description="JSON pointer to one image field; all containers when there is no predicate.")


class ImageOverrider(Model):
    """Changes one component of container images."""

    predicate: ImagePredicate | None = Field(default=None, description="Only the image at this path.")
    component: Annotated[str, Field(max_length=16, json_schema_extra={"enum": ["Registry", "Repository", "Tag"]})] = (
        Field(description="Registry, Repository or Tag (a digest counts as tag).")
    )
    operator: Operator = Field(description="add appends, replace sets, remove clears.")
    value: Annotated[str, Field(max_length=512)] | None = Field(default=None, description="Text to add or set.")


class CommandArgsOverrider(Model):
    """Adds to or removes from command or args of one container."""

    container_name: Name = Field(description="Name of the container.")
    operator: ListOperator = Field(description="add appends, remove deletes every equal entry.")
    value: list[Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=list, max_length=64, description="Entries."
    )


class LabelAnnotationOverrider(Model):
    """Changes labels or annotations."""

    operator: Operator = Field(description="add, remove or replace; remove and replace skip absent keys.")
    value: dict[LabelKey, Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict, max_length=64, description="Keys and values; remove ignores the values."
    )


class SubPatch(Model):
    """One change inside an embedded document."""

    sub_path: Pointer = Field(description="JSON pointer inside the document.")
    operator: Operator = Field(description="add, remove or replace.")
    value: AnyValue = Field(default=None, description="Value for add and replace.")


class FieldOverrider(Model):
    """Patches a JSON or YAML document inside a string field."""

    model_config = cel(("has(self.json) != has(self.yaml)", "set exactly one of json and yaml"))

    field_path: Pointer = Field(description="JSON pointer to the string field.")
    json_: list[SubPatch] | None = Field(default=None, alias="json", max_length=32, description="The field holds JSON.")
    yaml: list[SubPatch] | None = Field(
        default=None, max_length=32, description="The field holds YAML; comments are lost."
    )


class PlaintextOverrider(Model):
    """One JSON patch operation."""

    path: Pointer = Field(description="JSON pointer; must exist for remove and replace.")
    operator: Operator = Field(description="add, remove or replace.")
    value: AnyValue = Field(default=None, description="Value for add and replace.")


class Overriders(Model):
    """The changes, applied in the order of these fields."""

    image_overrider: list[ImageOverrider] | None = Field(default=None, max_length=32, description="Images.")
    command_overrider: list[CommandArgsOverrider] | None = Field(default=None, max_length=32, description="Commands.")
    args_overrider: list[CommandArgsOverrider] | None = Field(default=None, max_length=32, description="Arguments.")
    labels_overrider: list[LabelAnnotationOverrider] | None = Field(default=None, max_length=32, description="Labels.")
    annotations_overrider: list[LabelAnnotationOverrider] | None = Field(
        default=None, max_length=32, description="Annotations."
    )
    field_overrider: list[FieldOverrider] | None = Field(
        default=None, max_length=32, description="Documents inside fields."
    )
    plaintext: list[PlaintextOverrider] | None = Field(default=None, max_length=64, description="JSON patch.")


class RuleWithCluster(Model):
    """Changes for the clusters that match."""

    target_cluster: ClusterAffinity | None = Field(default=None, description="Clusters; all when omitted.")
    overriders: Overriders = Field(description="The changes.")


class OverrideSpec(Model):
    """What an override policy changes."""

    model_config = cel(
        (
            "!(has(self.overrideRules) && (has(self.targetCluster) || has(self.overriders)))",
            "set overrideRules, or the old targetCluster and overriders, not both",
        ),
    )

    resource_selectors: list[ResourceSelector] | None = Field(
        default=None, max_length=64, description="Objects; all in scope when omitted."
    )
    override_rules: list[RuleWithCluster] | None = Field(default=None, max_length=32, description="Rules, in order.")
    target_cluster: ClusterAffinity | None = Field(default=None, description="Old form: clusters.")
    overriders: Overriders | None = Field(default=None, description="Old form: changes.")


class OverrideStatus(Model):
    """What an override policy changes, and where it cannot."""

    observed_generation: int | None = Field(default=None, description="Generation that this status was computed for.")
    objects: Count | None = Field(default=None, description="Placed objects that it concerns in at least one cluster.")
    clusters: Count | None = Field(default=None, description="Clusters in which it concerns an object.")
    problems: Lines | None = Field(
        default=None,
        description="What it cannot do: the field, the object, the clusters; the first ten, and how many more.",
    )
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=8,
        description="Ready, Stalled.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


_COLUMNS = (
    ("OBJECTS", "integer", ".status.objects"),
    ("CLUSTERS", "integer", ".status.clusters"),
    ("READY", "string", '.status.conditions[?(@.type=="Ready")].status'),
    ("REASON", "string", '.status.conditions[?(@.type=="Ready")].reason'),
    ("AGE", "date", ".metadata.creationTimestamp"),
)


class OverridePolicy(Kind):
    """Changes objects of its own namespace for some clusters."""

    plural: ClassVar[str] = "overridepolicies"
    short_names: ClassVar[tuple[str, ...]] = ("op",)
    columns = _COLUMNS

    spec: OverrideSpec = Field(description="What changes where.")
    status: OverrideStatus | None = Field(default=None, description="What it changes, and where it cannot.")


class ClusterOverridePolicy(Kind):
    """Changes objects of any scope for some clusters."""

    scope: ClassVar[str] = "Cluster"
    plural: ClassVar[str] = "clusteroverridepolicies"
    short_names: ClassVar[tuple[str, ...]] = ("cop",)
    columns = _COLUMNS

    spec: OverrideSpec = Field(description="What changes where.")
    status: OverrideStatus | None = Field(default=None, description="What it changes, and where it cannot.")


__all__ = ["ClusterOverridePolicy", "OverridePolicy", "OverrideSpec", "Overriders", "RuleWithCluster"]
