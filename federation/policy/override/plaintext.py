"""plaintext: JSON patch operations on the whole object (karmada.md 1.1.10)."""

from typing import Final

from federation.api.meta import Manifest
from federation.api.override import Overriders
from federation.policy.override.patch import PatchError, patched
from federation.policy.override.rule import Rule

FIELD: Final = "plaintext"


def override(manifest: Manifest, overriders: Overriders, rule: Rule) -> Manifest:
    """Apply the plaintext overriders of a rule. A path that does not exist is an error, never skipped."""
    for index, overrider in enumerate(overriders.plaintext or ()):
        try:
            result = patched(manifest, operator=overrider.operator, path=overrider.path, value=overrider.value)
        except PatchError as error:
            rule.fail(f"{FIELD}[{index}].path", f"{error} (in the {manifest['kind']} {manifest['metadata']['name']})")
        if not isinstance(result, dict):
            rule.fail(f"{FIELD}[{index}].path", "the whole object cannot be replaced; name the path of a field")
        manifest = result
        rule.note(f"{overrider.operator} {overrider.path or 'the whole object'}{_shown(overrider.value, rule)}")
    return manifest


def _shown(value: object, rule: Rule) -> str:
    """Numbers and booleans are shown; texts and structures may hold what belongs into no status."""
    if isinstance(value, bool):
        return f" = {str(value).lower()}"
    return f" = {rule.shown(str(value))}" if isinstance(value, int | float) else ""
