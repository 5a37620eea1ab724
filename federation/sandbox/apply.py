"""Server-side apply: who owns which field, what an applied manifest changes, and with whom it conflicts.

Pure: objects and managers in, objects and managers out. The rules are those of structured-merge-diff, for one version.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from federation.api.meta import Manifest
from federation.sandbox.fieldset import Path as FieldPath
from federation.sandbox.fieldset import (
    Paths,
    applied,
    decode,
    difference,
    element,
    encode,
    flatten,
    printed,
    value_element,
    with_parents,
)
from federation.sandbox.refusals import RefusalError
from federation.sandbox.topology import Names, Shape, Topology


class Manager(NamedTuple):
    """Who manages: the same name applying, updating, or writing a subresource is somebody else each time."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    @property
    def identity(self) -> "Manager":
        """Appliers stay the same across versions."""
        return self._replace(api_version="") if self.operation == "Apply" else self


@dataclass(frozen=True, slots=True)
class Owned:
    """What one manager manages, and since when."""

    manager: Manager
    paths: Paths
    time: str


Managers = Mapping[Manager, Owned]


def read_managers(manifest: Manifest) -> dict[Manager, Owned]:
    """The managers of an object."""
    found: dict[Manager, Owned] = {}
    for entry in (manifest.get("metadata") or {}).get("managedFields") or []:
        if not entry.get("manager"):
            continue
        manager = Manager(
            entry["manager"], entry["operation"], entry.get("apiVersion", ""), entry.get("subresource", "")
        )
        found[manager.identity] = Owned(manager, decode(entry.get("fieldsV1") or {}), entry.get("time", ""))
    return found


def write_managers(managers: Managers) -> list[Manifest]:
    """As metadata.managedFields: appliers first, then by time and name."""
    entries = []
    for owned in sorted(managers.values(), key=lambda owned: (owned.manager.operation, owned.time, owned.manager.name)):
        if not owned.paths and owned.manager.operation != "Apply":
            continue
        entry: Manifest = {
            "manager": owned.manager.name,
            "operation": owned.manager.operation,
            "apiVersion": owned.manager.api_version,
            "time": owned.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": encode(owned.paths),
        }
        if owned.manager.subresource:
            entry["subresource"] = owned.manager.subresource
        entries.append(entry)
    return entries


def track(
    old: Manifest, new: Manifest, managers: Managers, manager: Manager, *, topology: Topology, now: str
) -> dict[Manager, Owned]:
    """The managers after an update: who changes a field owns it, alone."""
    changed, removed = difference(flatten(old, topology), flatten(new, topology))
    after: dict[Manager, Owned] = {}
    for identity, owned in managers.items():
        mine = identity == manager.identity
        after[identity] = _with(owned, owned.paths - removed - (frozenset() if mine else changed), now)
    if changed:  # also where it owned these fields before: the time is that of its last change
        own = after.get(manager.identity)
        after[manager.identity] = Owned(manager, (own.paths if own else frozenset()) | changed, now)
    return {identity: owned for identity, owned in after.items() if owned.paths}


def apply(
    live: Manifest, config: Manifest, managers: Managers, manager: Manager, *, topology: Topology, force: bool, now: str
) -> tuple[Manifest, dict[Manager, Owned]]:
    """The object and its managers after an apply. Raises a conflict unless `force`, DuplicateKeysError."""
    wanted = applied(flatten(config, topology, strict=True))
    before = managers.get(manager.identity)
    last = before.paths if before else frozenset()
    owned_by_any = with_parents(
        path for identity, owned in managers.items() if identity != manager.identity for path in owned.paths
    ) | with_parents(wanted)
    new = _without(_merge(live, config, topology, ()), topology, last - owned_by_any)
    changed, removed = difference(flatten(live, topology), flatten(new, topology))
    others = {identity: owned for identity, owned in managers.items() if identity != manager.identity}
    conflicts = {identity: owned.paths & changed for identity, owned in others.items() if owned.paths & changed}
    if conflicts and not force:
        raise _conflict(others, conflicts)
    after = {
        identity: _with(owned, owned.paths - removed - conflicts.get(identity, frozenset()), now)
        for identity, owned in others.items()
    }
    after = {identity: owned for identity, owned in after.items() if owned.paths}
    time = before.time if before and before.paths == wanted else now
    after[manager.identity] = Owned(manager, wanted, time)
    return new, after


def before_first_apply(live: Manifest, topology: Topology, api_version: str, now: str) -> dict[Manager, Owned]:
    """The managers of an object whose managedFields were cleared."""
    manager = Manager("before-first-apply", "Update", api_version)
    return {manager: Owned(manager, applied(flatten(live, topology)), now)}


def _with(owned: Owned, paths: Paths, now: str) -> Owned:
    return owned if owned.paths == paths else Owned(owned.manager, paths, now)


def _conflict(others: Managers, conflicts: Mapping[Manager, Paths]) -> RefusalError:
    causes: list[dict[str, str]] = []
    lines = []
    for identity, paths in sorted(conflicts.items()):
        who = f"conflict with {_named(others[identity])}"
        fields = [printed(path) for path in sorted(paths)]
        causes += [{"reason": "FieldManagerConflict", "message": who, "field": field} for field in fields]
        lines.append(f"{who}: {fields[0]}" if len(fields) == 1 else "\n- ".join([f"{who}:", *fields]))
    many = "conflict" if len(causes) == 1 else "conflicts"
    message = f"Apply failed with {len(causes)} {many}: " + "\n".join(lines)
    return RefusalError(409, "Conflict", message, {"causes": causes})


def _named(owned: Owned) -> str:
    manager = owned.manager
    text = f'"{manager.name}"'
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    return f"{text} using {manager.api_version}" if manager.operation == "Update" else text


def _merge(live: Any, config: Any, topology: Topology, names: Names) -> Any:
    shape = topology.shape(names)
    if isinstance(live, dict) and isinstance(config, dict) and not shape.atomic:
        return _merge_fields(live, config, topology, names)
    if isinstance(live, list) and isinstance(config, list) and shape.keys:
        return list(_merge_items(live, config, topology, names, shape))
    if isinstance(live, list) and isinstance(config, list) and shape.values:
        return live + [value for value in config if value not in live]
    return config


def _merge_fields(live: Manifest, config: Manifest, topology: Topology, names: Names) -> Manifest:
    merged = dict(live)
    for key, value in config.items():
        merged[key] = _merge(live[key], value, topology, (*names, key)) if key in live else value
    return merged


def _merge_items(
    live: list[Manifest], config: list[Manifest], topology: Topology, names: Names, shape: Shape
) -> Iterator[Manifest]:
    """Items of both in the order of the configuration; those of the live list keep their places between them."""
    old = {element(item, shape.keys): item for item in live}
    new = [(element(item, shape.keys), item) for item in config]
    configured = {key for key, _ in new}
    queue = iter(new)
    for key, item in old.items():
        if key not in configured:
            yield item
            continue
        for other, wanted in queue:
            yield _merge_fields(old.get(other, {}), wanted, topology, names)
            if other in old:
                break
    for other, wanted in queue:
        yield _merge_fields(old.get(other, {}), wanted, topology, names)


def _without(manifest: Manifest, topology: Topology, drop: Paths) -> Manifest:
    """The object without these places; a map or list that loses its last member goes too."""
    return _drop_fields(manifest, (), (), topology, drop) if drop else manifest


def _drop(value: Any, names: Names, path: FieldPath, topology: Topology, drop: Paths) -> Any:
    shape = topology.shape(names)
    if isinstance(value, dict) and not shape.atomic:
        return _drop_fields(value, names, path, topology, drop)
    if isinstance(value, list) and shape.keys:
        placed = [((*path, element(item, shape.keys)), item) for item in value]
        return [_drop_fields(item, names, here, topology, drop) for here, item in placed if here not in drop]
    if isinstance(value, list) and shape.values:
        return [item for item in value if (*path, value_element(item)) not in drop]
    return value


def _drop_fields(value: Manifest, names: Names, path: FieldPath, topology: Topology, drop: Paths) -> Manifest:
    kept: Manifest = {}
    for key, child in value.items():
        here = (*path, f"f:{key}")
        if here in drop:
            continue
        rest = _drop(child, (*names, key), here, topology, drop)
        if rest or not child or not isinstance(child, dict | list):
            kept[key] = rest
    return kept
