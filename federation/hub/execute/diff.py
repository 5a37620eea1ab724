"""What differs between a rendering and the object in a member, seen through what we own there. Pure.

The member's managedFields are the memory of what we set: a field that we own and no longer render has left the
template (also while we were down), and they say which lists are maps, sets or atomic, so no schema is needed.
What we neither own nor render belongs to the member (defaults, webhooks, controllers) and is never a difference.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from federation.api.lines import parse_mark
from federation.api.meta import FIELD_MANAGER, MARK_ANNOTATION, Manifest
from federation.api.naming import short_hash


class _Absent:
    """The value of a field that is not there; distinct from null."""

    def __repr__(self) -> str:
        return "<absent>"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Difference:
    """One field: `path` in dotted form, what the rendering wants, what the member has (ABSENT where missing)."""

    path: str
    want: Any
    have: Any

    def __str__(self) -> str:
        return f"{self.path}: want {_text(self.want)}, member has {_text(self.have)}"


def diff(desired: Manifest, observed: Manifest) -> list[Difference]:
    """The fields to mend, in stable order; empty when an apply of `desired` would change nothing of ours."""
    found: list[Difference] = []
    owned = owned_fields(observed)
    for key in desired.keys() | {name[2:] for name in owned if name.startswith("f:")}:
        if key in ("apiVersion", "kind", "status"):
            continue
        found.extend(_walk(key, desired.get(key, ABSENT), observed.get(key, ABSENT), owned.get(f"f:{key}")))
    return sorted(
        (entry for entry in found if not _same_mark(entry)),
        key=lambda entry: entry.path,
    )


def contested(observed: Manifest, differences: Sequence[Difference]) -> str:
    """Who keeps changing what; of a Secret the paths only, as this text ends up in a status (I16)."""
    names = ", ".join(owners_of(observed, list(differences))) or "another writer"
    secret = observed.get("kind") == "Secret"
    fields = "; ".join(entry.path if secret else str(entry) for entry in differences[:3])
    return f"{names} keeps changing what the template sets ({fields})"


def residue(differences: list[Difference]) -> str:
    """A short name for a set of differences; equal sets have equal names. Empty for none."""
    if not differences:
        return ""
    return short_hash("\n".join(str(entry) for entry in differences))[:8]


def owned_fields(observed: Manifest) -> dict[str, Any]:
    """The fieldsV1 tree of what we applied to this object; empty if we never did."""
    for entry in observed["metadata"].get("managedFields") or []:
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return entry.get("fieldsV1") or {}
    return {}


def owners_of(observed: Manifest, differences: list[Difference]) -> list[str]:
    """The other field managers that set any of the differing fields: who to ask about a fight."""
    names: set[str] = set()
    for entry in observed["metadata"].get("managedFields") or []:
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply":
            continue
        paths = set(_leaves("", entry.get("fieldsV1") or {}))
        if any(
            path == entry_diff.path or entry_diff.path.startswith(path + ".") or path.startswith(entry_diff.path + ".")
            for path in paths
            for entry_diff in differences
        ):
            names.add(str(entry.get("manager")))
    return sorted(names)


def _walk(path: str, want: Any, have: Any, owned: dict[str, Any] | None) -> Iterator[Difference]:
    if path in ("metadata.name", "metadata.namespace"):
        return
    if want is ABSENT:
        if owned is not None and have is not ABSENT:
            yield from _left(path, have, owned)
        return
    if isinstance(want, dict):
        yield from _walk_map(path, want, have, owned or {})
    elif isinstance(want, list) and owned and isinstance(have, list) and any(key[:2] == "k:" for key in owned):
        yield from _walk_list_map(path, want, have, owned)
    elif isinstance(want, list) and owned and isinstance(have, list) and any(key[:2] == "v:" for key in owned):
        yield from _walk_set(path, want, have, owned)
    elif want != have and not (want == [] and have is ABSENT):
        yield Difference(path, want, have)


def _walk_map(path: str, want: dict[str, Any], have: Any, owned: dict[str, Any]) -> Iterator[Difference]:
    if not isinstance(have, dict):
        # An empty map is dropped by the API server where it means the same as none.
        if want or have is not ABSENT:
            yield Difference(path, want, have)
        return
    for key in sorted(want.keys() | {name[2:] for name in owned if name.startswith("f:")}):
        yield from _walk(f"{path}.{key}", want.get(key, ABSENT), have.get(key, ABSENT), owned.get(f"f:{key}"))


def _walk_list_map(path: str, want: list[Any], have: list[Any], owned: dict[str, Any]) -> Iterator[Difference]:
    names = _key_names(owned)
    held = {_item_key(item, names): item for item in have}
    wanted = {_item_key(item, names): item for item in want}
    trees = {_tree_key(name, names): tree for name, tree in owned.items() if name.startswith("k:")}
    for key in wanted.keys() | trees.keys():
        label = ",".join(str(part) for part in key)
        yield from _walk(f"{path}[{label}]", wanted.get(key, ABSENT), held.get(key, ABSENT), trees.get(key))
    order = [key for key in (_item_key(item, names) for item in have) if key in wanted]
    if len(order) == len(wanted) and order != list(wanted):
        yield Difference(f"{path} (order)", [list(key) for key in wanted], [list(key) for key in order])


def _walk_set(path: str, want: list[Any], have: list[Any], owned: dict[str, Any]) -> Iterator[Difference]:
    ours = [orjson.loads(name[2:]) for name in owned if name.startswith("v:")]
    missing = [item for item in want if item not in have]
    left = [item for item in ours if item not in want and item in have]
    if missing or left:
        yield Difference(path, want, have)


def _left(path: str, have: Any, owned: dict[str, Any]) -> Iterator[Difference]:
    """A field of ours that is no longer rendered; what others hold below it stays theirs."""
    children = {name: tree for name, tree in owned.items() if name != "."}
    if not children or not isinstance(have, dict) or "." in owned:
        yield Difference(path, ABSENT, have)
        return
    for name, tree in children.items():
        key = name[2:]
        if name.startswith("f:") and key in have:
            yield from _left(f"{path}.{key}", have[key], tree)


def _key_names(owned: dict[str, Any]) -> tuple[str, ...]:
    first = next(name for name in owned if name.startswith("k:"))
    return tuple(sorted(orjson.loads(first[2:])))


_DEFAULT_KEYS = {"protocol": "TCP"}
"""Key fields that Kubernetes defaults: a template may leave them out (containerPort + protocol)."""


def _item_key(item: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    if not isinstance(item, dict):
        return (orjson.dumps(item).decode(),)
    return tuple(item.get(name, _DEFAULT_KEYS.get(name)) for name in names)


def _tree_key(name: str, names: tuple[str, ...]) -> tuple[Any, ...]:
    fields = orjson.loads(name[2:])
    return tuple(fields.get(part) for part in names)


def _leaves(path: str, tree: dict[str, Any]) -> Iterator[str]:
    for name, child in tree.items():
        if name == ".":
            continue
        if name.startswith("f:"):
            below = f"{path}.{name[2:]}" if path else name[2:]
        elif name.startswith("k:"):
            fields = orjson.loads(name[2:])
            below = f"{path}[{','.join(str(fields[key]) for key in sorted(fields))}]"
        else:
            below = path
        if any(key != "." for key in child):
            yield from _leaves(below, child)
        else:
            yield below


def _same_mark(entry: Difference) -> bool:
    """Whether only the epoch or hash of our mark differ: a mark alone is never a reason to write."""
    if entry.path != f"metadata.annotations.{MARK_ANNOTATION}" or not isinstance(entry.have, str):
        return False
    want, have = parse_mark(entry.want), parse_mark(entry.have)
    return (
        want is not None
        and have is not None
        and (want.hub, want.binding, want.template_uid)
        == (
            have.hub,
            have.binding,
            have.template_uid,
        )
    )


def _text(value: Any) -> str:
    return repr(value) if value is ABSENT else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
