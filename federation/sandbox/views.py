"""How objects are shown: whole or as metadata only, alone or in lists, in the version that was asked for."""

from collections.abc import Sequence

from federation.api.meta import Manifest
from federation.sandbox.kinds import Kind

_PARTIAL = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}


def metadata_only(accept: str | None) -> bool:
    """Whether the first form that the client accepts is PartialObjectMetadata (or its list)."""
    first = (accept or "").partition(",")[0]
    return "as=PartialObjectMetadata" in first.replace(" ", "")


def shown(kind: Kind, manifest: Manifest, *, partial: bool) -> Manifest:
    """One object."""
    if partial:
        return {**_PARTIAL, "metadata": manifest["metadata"]}
    return manifest if manifest["apiVersion"] == kind.api_version else {**manifest, "apiVersion": kind.api_version}


def listed(kind: Kind, items: Sequence[Manifest], metadata: Manifest, *, partial: bool) -> Manifest:
    """A list. Items of built-in kinds carry neither kind nor apiVersion there, as with the real server."""
    if partial:
        head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
    else:
        head = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version}
    shown_items = [shown(kind, item, partial=partial) for item in items]
    if not partial and not kind.custom:
        shown_items = [{key: item[key] for key in item if key not in ("kind", "apiVersion")} for item in shown_items]
    return {**head, "metadata": metadata, "items": shown_items}


def bookmark(kind: Kind, version: int, *, partial: bool, initial: bool) -> Manifest:
    """The object of a bookmark event."""
    metadata: Manifest = {"resourceVersion": str(version), "creationTimestamp": None}
    if initial:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    head = _PARTIAL if partial else {"kind": kind.kind, "apiVersion": kind.api_version}
    return {**head, "metadata": metadata}
