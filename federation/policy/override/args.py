"""argsOverrider: entries of the args list of a named container (karmada.md 1.1.10)."""

from typing import Final

from federation.api.meta import Manifest
from federation.api.override import Overriders
from federation.policy.override.containers import override_lists
from federation.policy.override.rule import Rule

FIELD: Final = "argsOverrider"


def override(manifest: Manifest, overriders: Overriders, rule: Rule) -> Manifest:
    """Apply the args overriders of a rule in place."""
    override_lists(manifest, overriders.args_overrider or (), rule, field="args")
    return manifest
