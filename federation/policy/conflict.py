"""What to do where a member already has an object of that name which is not ours: template annotation before policy.

Source: karmada.md 1.1.8. An annotation with any other value counts as absent: Overwrite destroys, so it is never guessed.
"""

from typing import Final, Literal

from federation.api.meta import GROUP, Manifest

Resolution = Literal["Abort", "Overwrite"]

ANNOTATIONS: Final = (f"{GROUP}/conflict-resolution", "work.karmada.io/conflict-resolution")
"""Ours, then Karmada's as a synonym; values `abort` and `overwrite`."""

_VALUES: Final[dict[str, Resolution]] = {"abort": "Abort", "overwrite": "Overwrite"}


def resolve_conflict(template: Manifest, policy_resolution: str | None) -> Resolution:
    """The resolution in force: a valid annotation on the template, else the policy's, else Abort."""
    annotations = template["metadata"].get("annotations") or {}
    for key in ANNOTATIONS:
        resolution = _VALUES.get(annotations.get(key) or "")
        if resolution is not None:
            return resolution
    return "Overwrite" if policy_resolution == "Overwrite" else "Abort"
