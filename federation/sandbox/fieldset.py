"""Sets of field paths: taken from objects, written as FieldsV1 and read from it.

A path is a tuple of FieldsV1 elements: `f:name`, `k:{"name":"x"}` (item of a keyed list), `v:"x"` (member of a set).
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any

import orjson

from federation.api.meta import Manifest
from federation.sandbox.topology import Names, Topology

Path = tuple[str, ...]
Paths = frozenset[Path]


class Mark(Enum):
    """What stands for the value of a place that has places below it."""

    MAP = "map"
    BARE = "bare"
    ITEM = "item"


class DuplicateKeysError(Exception):
    """Two items of a keyed list have the same keys."""


_SYSTEM = frozenset({
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "selfLink", "managedFields",
})  # fmt: skip
"""Fields of metadata that nobody manages."""

_KEY_DEFAULTS: dict[str, Any] = {"protocol": "TCP"}


def flatten(manifest: Manifest, topology: Topology, *, strict: bool = False) -> dict[Path, Any]:
    """Every place of an object that can be managed, with its value or a Mark. `strict`: duplicate keys raise."""
    found: dict[Path, Any] = {}
    metadata = {key: value for key, value in (manifest.get("metadata") or {}).items() if key not in _SYSTEM}
    for key, value in manifest.items():
        if key == "metadata":
            for name, entry in metadata.items():
                _walk(entry, (key, name), ("f:metadata", f"f:{name}"), topology, found, strict=strict)
        elif key not in ("apiVersion", "kind"):
            _walk(value, (key,), (f"f:{key}",), topology, found, strict=strict)
    return found


def _walk(value: Any, names: Names, path: Path, topology: Topology, found: dict[Path, Any], *, strict: bool) -> None:
    shape = topology.shape(names)
    if isinstance(value, dict) and value and not shape.atomic:
        found[path] = Mark.BARE if shape.bare else Mark.MAP
        _walk_fields(value, names, path, topology, found, strict=strict)
    elif isinstance(value, list) and value and shape.keys:
        found[path] = Mark.BARE if shape.bare else Mark.MAP
        for item in value:
            here = (*path, element(item, shape.keys))
            if strict and here in found:
                raise DuplicateKeysError(f"{printed(path)}: duplicate entries for key {printed(here[-1:])}")
            found[here] = Mark.ITEM
            _walk_fields(item, names, here, topology, found, strict=strict)
    elif isinstance(value, list) and value and shape.values:
        found[path] = Mark.MAP
        for item in value:
            found[(*path, value_element(item))] = item
    else:
        found[path] = value


def _walk_fields(
    value: Manifest, names: Names, path: Path, topology: Topology, found: dict[Path, Any], *, strict: bool
) -> None:
    for key, child in value.items():
        _walk(child, (*names, key), (*path, f"f:{key}"), topology, found, strict=strict)


def element(item: Manifest, keys: Iterable[str]) -> str:
    """The path element of an item of a keyed list."""
    values = {key: item.get(key, _KEY_DEFAULTS.get(key)) for key in sorted(keys)}
    return "k:" + orjson.dumps(values).decode()


def value_element(item: Any) -> str:
    """The path element of a member of a set."""
    return "v:" + orjson.dumps(item).decode()


def applied(flat: dict[Path, Any]) -> Paths:
    """What an applied manifest owns: its values and its list items, not the maps around them."""
    return frozenset(path for path, value in flat.items() if value is not Mark.MAP and value is not Mark.BARE)


def difference(old: dict[Path, Any], new: dict[Path, Any]) -> tuple[Paths, Paths]:
    """(added or modified, removed)."""
    changed = set()
    for path, value in new.items():
        is_new = path not in old and value is not Mark.BARE
        if is_new or (path in old and not isinstance(value, Mark) and _differs(old[path], value)):
            changed.add(path)
    return frozenset(changed), frozenset(path for path in old if path not in new)


def _differs(old: Any, new: Any) -> bool:
    return not isinstance(old, Mark) and bool(old != new)


def with_parents(paths: Iterable[Path]) -> Paths:
    """The paths and every place above them."""
    return frozenset(path[:length] for path in paths for length in range(1, len(path) + 1))


def encode(paths: Iterable[Path]) -> Manifest:
    """As FieldsV1."""
    root: Manifest = {}
    members = sorted(paths)
    for path in members:
        node = root
        for step in path:
            node = node.setdefault(step, {})
    for path in members:
        node = root
        for step in path:
            node = node[step]
        if node:
            node["."] = {}
    return root


def decode(fields: Manifest, path: Path = ()) -> Paths:
    """From FieldsV1."""
    found: set[Path] = set()
    for step, below in fields.items():
        if step == ".":
            continue
        here = (*path, step)
        if not below or "." in below:
            found.add(here)
        found |= decode(below, here)
    return frozenset(found)


def printed(path: Path) -> str:
    """As messages show it: `.spec.template.spec.containers[name="app"].image`."""
    text = []
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f":
            text.append(f".{rest}")
        elif kind == "v":
            text.append(f"[={rest}]")
        else:
            keys = orjson.loads(rest)
            text.append("[" + ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in keys.items()) + "]")
    return "".join(text)
