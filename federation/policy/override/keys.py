"""The edit that labels and annotations overriders share: keys of a map in the metadata of the object."""

from collections.abc import Sequence
from typing import Literal

from federation.api.meta import Manifest
from federation.api.override import LabelAnnotationOverrider
from federation.policy.override.rule import Rule


def override_keys(
    manifest: Manifest,
    overriders: Sequence[LabelAnnotationOverrider],
    rule: Rule,
    *,
    field: Literal["labels", "annotations"],
) -> None:
    """Edit the map in place: `add` sets keys and makes the map; `replace` and `remove` skip keys that are not there.

    `remove` ignores the values given.
    """
    metadata = manifest["metadata"]
    for overrider in overriders:
        for key, value in overrider.value.items():
            current: dict[str, str] = metadata.get(field) or {}
            before = current.get(key)
            if overrider.operator == "remove":
                if before is not None:
                    del current[key]
                    rule.note(f"{field} {key} removed")
                continue
            if (overrider.operator == "add" or before is not None) and before != value:
                metadata[field] = current
                current[key] = value
                change = f"{before} -> {value}" if before is not None else f"set to {value}"
                rule.note(f"{field} {key}: {rule.shown(change)}")
