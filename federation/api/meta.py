"""Constants, the base model and the metadata that every kind shares.

Parsing has two modes: strict for what users write (an unknown field is an error that names it), lenient for what is
read from an API server that may be newer than this process.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Manifest = dict[str, Any]
"""A Kubernetes object as decoded JSON. The only place where untyped values cross a module border."""

GROUP = "federation.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "federation"
"""One field manager for all our roles: each further one would add an entry with all its paths (measured cost)."""
SYSTEM_NAMESPACE = "federation-system"
FINALIZER = f"{GROUP}/copies"
"""On bindings: copies in members are still to be removed."""
CLUSTER_FINALIZER = f"{GROUP}/leave"
HUB_LABEL = f"{GROUP}/hub"
BINDING_LABEL = f"{GROUP}/binding"
MARK_ANNOTATION = f"{GROUP}/mark"
LEAVE_ANNOTATION = f"{GROUP}/leave"
"""On a Cluster: `remove` (default), `keep` or `force`."""
SCHEMA_VERSION_ANNOTATION = f"{GROUP}/schema-version"
TAINT_NOT_READY = f"{GROUP}/not-ready"
TAINT_UNREACHABLE = f"{GROUP}/unreachable"

Name = Annotated[str, Field(max_length=253)]
Namespace = Annotated[str, Field(max_length=63)]
LabelKey = Annotated[str, Field(max_length=317)]
LabelValue = Annotated[str, Field(max_length=63)]
Word = Annotated[str, Field(max_length=128)]
Text = Annotated[str, Field(max_length=1024)]
Uid = Annotated[str, Field(max_length=128)]
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]


class Model(BaseModel):
    """Base of every API type: camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


ModelT = TypeVar("ModelT", bound=Model)


def parse_lenient(model: type[ModelT], manifest: Mapping[str, Any]) -> ModelT:
    """Read `manifest`, ignoring fields that this version does not know. Raises pydantic.ValidationError otherwise."""
    return model.model_validate(manifest, extra="ignore")


class ObjectMeta(Model):
    """The part of metadata that models carry; the API server owns the schema of the rest."""

    name: Name = Field(default="", description="Name of the object.")
    namespace: Namespace | None = Field(default=None, description="Namespace of the object.")
    labels: dict[str, str] | None = Field(default=None, description="Labels.")
    annotations: dict[str, str] | None = Field(default=None, description="Annotations.")


class Condition(Model):
    """A condition in the usual Kubernetes form."""

    type: Word = Field(description="Type of the condition.")
    status: Word = Field(description="True, False or Unknown.")
    reason: Word = Field(default="", description="One word in PascalCase.")
    message: Text = Field(default="", description="For people.")
    observed_generation: int | None = Field(default=None, description="Generation that the condition was computed for.")
    last_transition_time: Time | None = Field(default=None, description="When the status changed last.")


class Kind(Model):
    """Base of every top-level kind; class attributes describe the CRD."""

    scope: ClassVar[str] = "Namespaced"
    plural: ClassVar[str] = ""
    short_names: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    """(name, type, JSON path) of each printer column."""

    api_version: Word = Field(default=API_VERSION, description="Group and version.")
    kind: Word = Field(default="", description="Kind.")
    metadata: ObjectMeta = Field(default_factory=ObjectMeta, description="Standard metadata.")

    @classmethod
    def read(cls, manifest: Mapping[str, Any]) -> Self:
        """Read an object of this kind leniently."""
        return parse_lenient(cls, {**manifest, "metadata": _known_metadata(manifest)})


def _known_metadata(manifest: Mapping[str, Any]) -> Manifest:
    metadata = manifest.get("metadata") or {}
    return {key: metadata[key] for key in ("name", "namespace", "labels", "annotations") if key in metadata}
