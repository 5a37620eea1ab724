"""Where the containers of a workload are, and the edit that command and args overriders share.

Keyed by group and kind. Init containers are left alone, as in the reference (karmada.md 1.1.10); CronJob is added to its
list of kinds.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

from federation.api.meta import Manifest
from federation.api.override import CommandArgsOverrider
from federation.policy.override.rule import Rule

_TEMPLATE = ("spec", "template", "spec")

POD_SPECS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("", "Pod"): ("spec",),
    ("apps", "ReplicaSet"): _TEMPLATE,
    ("apps", "Deployment"): _TEMPLATE,
    ("apps", "DaemonSet"): _TEMPLATE,
    ("apps", "StatefulSet"): _TEMPLATE,
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
}
"""The pod spec of each kind whose containers the overriders find by themselves."""


def containers_of(manifest: Manifest) -> list[Manifest]:
    """The containers of a workload, in place; none for another kind."""
    group = manifest["apiVersion"].rpartition("/")[0]
    path = POD_SPECS.get((group, manifest["kind"]))
    if path is None:
        return []
    found: Any = manifest
    for name in (*path, "containers"):
        found = found.get(name) if isinstance(found, dict) else None
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def override_lists(
    manifest: Manifest, overriders: Sequence[CommandArgsOverrider], rule: Rule, *, field: Literal["command", "args"]
) -> None:
    """Append to or delete from `command` or `args` of the named containers, in place.

    `add` creates the list; `remove` deletes every equal entry; a container that is not there is no error.
    """
    for overrider in overriders:
        for container in containers_of(manifest):
            if container.get("name") != overrider.container_name:
                continue
            before = list(container.get(field) or ())
            value = list(overrider.value or ())
            after = [*before, *value] if overrider.operator == "add" else [item for item in before if item not in value]
            if after == before:
                continue
            container[field] = after
            rule.note(f"{field} of container {overrider.container_name}: {rule.shown(f'{before} -> {after}')}")
