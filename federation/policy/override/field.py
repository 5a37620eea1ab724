"""fieldOverrider: a JSON or YAML document that is kept as text in one field of the object, a key of a ConfigMap for example.

The document is parsed, patched and written back (karmada.md 1.1.10). Nothing is written where nothing changes, so that
a document without effect keeps its comments.
"""

from typing import Any, Final

from jsonpointer import JsonPointer, JsonPointerException

from federation.api.meta import Manifest
from federation.api.override import FieldOverrider, Overriders
from federation.policy.override.document import DocumentError, read_json, read_yaml, write_json, write_yaml
from federation.policy.override.patch import PatchError, patched
from federation.policy.override.rule import Rule

FIELD: Final = "fieldOverrider"


def override(manifest: Manifest, overriders: Overriders, rule: Rule) -> Manifest:
    """Apply the field overriders of a rule in place."""
    for index, overrider in enumerate(overriders.field_overrider or ()):
        _one(manifest, overrider, rule, f"{FIELD}[{index}]")
    return manifest


def _one(manifest: Manifest, overrider: FieldOverrider, rule: Rule, where: str) -> None:
    parent, last, text = _text_at(manifest, overrider.field_path, rule, where)
    form = "yaml" if overrider.yaml else "json"
    operations = overrider.yaml or overrider.json_ or ()
    place = f"in the document at {overrider.field_path}"
    try:
        before = read_yaml(text) if form == "yaml" else read_json(text)
        # The patch edits in place, so the comparison below needs its own copy.
        after = read_yaml(text) if form == "yaml" else read_json(text)
    except DocumentError as error:
        rule.fail(
            f"{where}.fieldPath", f"{overrider.field_path} holds a text, but {error}; correct the text or the format"
        )
    for index, operation in enumerate(operations):
        try:
            after = patched(after, operator=operation.operator, path=operation.sub_path, value=operation.value)
        except PatchError as error:
            rule.fail(f"{where}.{form}[{index}].subPath", f"{error} ({place})")
        rule.note(f"{operation.operator} {operation.sub_path or 'the whole document'} {place}")
    if after != before:
        parent[last] = write_yaml(after) if form == "yaml" else write_json(after)


def _text_at(manifest: Manifest, path: str, rule: Rule, where: str) -> tuple[Any, Any, str]:
    """The container, the key in it and the text that a path names."""
    try:
        parent, last = JsonPointer(path).to_last(manifest)
        text = parent[last] if last is not None else None
    except (JsonPointerException, KeyError, IndexError, TypeError):
        rule.fail(f"{where}.fieldPath", f"{path} does not exist in the {manifest['kind']}; correct the path")
    if not isinstance(text, str):
        rule.fail(f"{where}.fieldPath", f"{path} is not a text; only a document kept as text can be overridden")
    return parent, last, text
