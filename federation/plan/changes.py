"""What became of the copies in the members: before and after, as people speak of it. Pure."""

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from federation.api.meta import BINDING_LABEL, HUB_LABEL, MARK_ANNOTATION, Manifest

HIDDEN = "(hidden)"
_ABSENT = object()
_MAINTAINED = frozenset((
    "managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink", "deletionTimestamp",
    "deletionGracePeriodSeconds", "finalizers",
))  # fmt: skip
_NEW_PODS = frozenset(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"))
"""Kinds whose controller replaces the pods when their template changes."""
_KEYS = ("name", "containerPort", "key", "mountPath", "ip", "uid")
"""Fields by which an item of a list is known from one version to the next, where every item has one."""

Place = tuple[str, str, str, str]
"""(apiVersion, kind, namespace, name)"""


class Effect(enum.StrEnum):
    """What happens to one copy; the strongest word that fits."""

    CREATE = "create"
    DELETE = "delete"
    REPLACE = "replace"
    """Deleted and made anew."""
    RESTART = "restart"
    """Its pods are replaced."""
    SCALE = "scale"
    CHANGE = "change"
    RELEASE = "release"
    """It stays, and is no longer ours."""
    MARK = "mark"
    """Only our own marks on it change."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field that differs; None where it is not there."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happens to one object of one member."""

    cluster: str
    api_version: str
    kind: str
    namespace: str
    name: str
    effect: Effect
    fields: tuple[Field, ...] = ()
    replicas: tuple[int, int] | None = None
    """Before and after, of what has replicas."""

    @property
    def object(self) -> str:
        """`Deployment shop/web`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def compare(cluster: str, before: Iterable[Manifest], after: Iterable[Manifest]) -> list[Change]:
    """The changes in one member, of what is, was or becomes ours."""
    old, new = _by_place(before), _by_place(after)
    found: list[Change] = []
    for place in sorted(old.keys() | new.keys()):
        change = _change(cluster, place, old.get(place), new.get(place))
        if change is not None:
            found.append(change)
    return found


def differences(kind: str, before: Manifest, after: Manifest) -> tuple[Field, ...]:
    """The fields that a user would see differ; values of Secrets are hidden."""
    secret = kind == "Secret"
    fields = [
        Field(path, *(_shown(one, hidden=secret and path.startswith(("data", "stringData"))) for one in (have, want)))
        for path, have, want in _walk("", _visible(before), _visible(after))
    ]
    return tuple(fields)


def _by_place(manifests: Iterable[Manifest]) -> dict[Place, Manifest]:
    return {
        (one["apiVersion"], one["kind"], one["metadata"].get("namespace") or "", one["metadata"]["name"]): one
        for one in manifests
    }


def _change(cluster: str, place: Place, old: Manifest | None, new: Manifest | None) -> Change | None:
    if not any(one is not None and _ours(one) for one in (old, new)):
        return None
    fields: tuple[Field, ...] = ()
    if old is None or new is None:
        effect = Effect.CREATE if old is None else Effect.DELETE
    else:
        if old["metadata"].get("resourceVersion") == new["metadata"].get("resourceVersion"):
            return None
        fields = differences(place[1], old, new)
        found = _effect(place[1], old, new, fields)
        if found is None:
            return None
        effect = found
    api_version, kind, namespace, name = place
    return Change(
        cluster=cluster, api_version=api_version, kind=kind, namespace=namespace, name=name, effect=effect, fields=fields,
        replicas=_replicas(old, new),
    )  # fmt: skip


def _effect(kind: str, old: Manifest, new: Manifest, fields: tuple[Field, ...]) -> Effect | None:
    """None where nothing happened but a status."""
    if old["metadata"].get("uid") != new["metadata"].get("uid"):
        return Effect.REPLACE
    if _ours(old) and not _ours(new):
        return Effect.RELEASE
    paths = [one.path for one in fields]
    if kind in _NEW_PODS and any(path.startswith("spec.template") for path in paths):
        return Effect.RESTART
    if paths and all(path in ("spec.replicas", "spec.parallelism", "spec.completions") for path in paths):
        return Effect.SCALE
    if paths:
        return Effect.CHANGE
    return Effect.MARK if _marks(old) != _marks(new) else None


def _replicas(old: Manifest | None, new: Manifest | None) -> tuple[int, int] | None:
    numbers = [_number(one) for one in (old, new)]
    if all(one is None for one in numbers):
        return None
    return numbers[0] or 0, numbers[1] or 0


def _number(manifest: Manifest | None) -> int | None:
    spec = (manifest or {}).get("spec") or {}
    found = spec.get("replicas", spec.get("parallelism"))
    return found if isinstance(found, int) else None


def _marks(manifest: Manifest) -> tuple[str | None, ...]:
    labels, annotations = (manifest["metadata"].get(key) or {} for key in ("labels", "annotations"))
    return labels.get(HUB_LABEL), labels.get(BINDING_LABEL), annotations.get(MARK_ANNOTATION)


def _ours(manifest: Manifest) -> bool:
    return _marks(manifest)[0] is not None


def _visible(manifest: Manifest) -> Manifest:
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _MAINTAINED}
    for key, own in (("labels", (HUB_LABEL, BINDING_LABEL)), ("annotations", (MARK_ANNOTATION,))):
        if key in metadata:
            metadata[key] = {name: value for name, value in metadata[key].items() if name not in own}
    return {key: value for key, value in manifest.items() if key != "status"} | {"metadata": metadata}


def _walk(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _walk(_join(path, key), before.get(key, _ABSENT), after.get(key, _ABSENT))
        return
    if isinstance(before, list) and isinstance(after, list):
        key = _key(before, after)
        if key is not None:
            old, new = ({str(item[key]): item for item in items} for items in (before, after))
            for name in dict.fromkeys([*old, *new]):
                yield from _walk(f"{path}[{name}]", old.get(name, _ABSENT), new.get(name, _ABSENT))
            return
    if (before is _ABSENT and after == {}) or (after is _ABSENT and before == {}):
        return
    yield path, before, after


def _join(path: str, key: str) -> str:
    part = key if "." not in key and "/" not in key else f'"{key}"'
    return f"{path}.{part}" if path else part


def _key(before: list[Any], after: list[Any]) -> str | None:
    items = [*before, *after]
    if not all(isinstance(item, Mapping) for item in items):
        return None
    for key in _KEYS:
        if all(key in item for item in items):
            names = [[str(item[key]) for item in part] for part in (before, after)]
            if all(len(set(part)) == len(part) for part in names):
                return key
    return None


def _shown(value: Any, *, hidden: bool) -> Any:
    if value is _ABSENT:
        return None
    return HIDDEN if hidden else value
