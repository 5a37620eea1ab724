"""labelsOverrider: labels of the object (karmada.md 1.1.10)."""

from typing import Final

from federation.api.meta import Manifest
from federation.api.override import Overriders
from federation.policy.override.keys import override_keys
from federation.policy.override.rule import Rule

FIELD: Final = "labelsOverrider"


def override(manifest: Manifest, overriders: Overriders, rule: Rule) -> Manifest:
    """Apply the labels overriders of a rule in place."""
    override_keys(manifest, overriders.labels_overrider or (), rule, field="labels")
    return manifest
