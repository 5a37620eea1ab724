"""The border that no override crosses: which object it is, and what the federation itself writes on it (I22).

Said twice on purpose: validation judges the paths that a policy names, rendering compares what came out. The second cannot be
fooled by a path; the first tells the author early.
"""

from collections.abc import Iterable
from typing import Any, Final

from federation.api.meta import GROUP, Manifest

RESERVED: Final = f"{GROUP}/"
"""Prefix of labels and annotations that are ours: marks, hashes, protection."""

_RBAC: Final = "rbac.authorization.k8s.io"
_OPEN: Final = ("labels", "annotations")
"""What an override may change of metadata; owner references, finalizers and the rest belong to each cluster."""


def path_problem(pointer: str, value: Any = None) -> str | None:
    """Why an override may not write at a JSON pointer (with that value), or None."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    match steps:
        case []:
            return "an override changes fields, not the whole object; name the path of a field"
        case ["apiVersion" | "kind", *_]:
            return "an override must not change apiVersion or kind; drop that operation"
        case ["metadata"]:
            return "an override must not replace metadata; name a label or an annotation"
        case ["metadata", field, *_] if field not in _OPEN:
            return f"an override must not change metadata.{field}, only labels and annotations; drop that operation"
        case ["metadata", field]:
            return reserved_problem(value if isinstance(value, dict) else ())
        case ["metadata", field, key, *_]:
            return reserved_problem([key])
    return None


def grant_problem(api_version: str, pointer: str) -> str | None:
    """Why an OverridePolicy may not write at a JSON pointer of that kind: what a Role or RoleBinding grants, or None."""
    if not is_grant(api_version) or pointer.startswith("/metadata/"):
        return None
    return "an OverridePolicy must not change what a Role or RoleBinding grants; drop that operation"


def is_grant(api_version: str) -> bool:
    """Whether a kind says who may do what."""
    return api_version.startswith(f"{_RBAC}/")


def reserved_problem(keys: Iterable[str]) -> str | None:
    """Why an override may not touch these keys of labels or annotations, or None."""
    ours = sorted(key for key in keys if key.startswith(RESERVED))
    return f"{', '.join(ours)}: {RESERVED}... is the federation's own; choose another key" if ours else None


def border(manifest: Manifest, *, namespaced: bool) -> Any:
    """The part of an object that overrides leave as it is.

    Rights were judged by the hub's API server as they were written (who may grant what), so the author of a policy in a
    namespace does not change them afterwards.
    """
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict):
        return None
    fixed = {key: value for key, value in metadata.items() if key not in _OPEN}
    ours = [_reserved(metadata.get(field)) for field in _OPEN]
    api_version = manifest.get("apiVersion")
    rights = None
    if namespaced and isinstance(api_version, str) and is_grant(api_version):
        rights = {key: value for key, value in manifest.items() if key != "metadata"}
    return (api_version, manifest.get("kind"), fixed, ours, rights)


def _reserved(entries: Any) -> Any:
    """Our keys of a map; whatever is no map counts as changed."""
    if entries is None:
        return {}
    return (
        {key: value for key, value in entries.items() if key.startswith(RESERVED)}
        if isinstance(entries, dict)
        else entries
    )
