"""imageOverrider: registry, repository or tag of images.

Without a predicate it covers all containers of the workloads in `containers.py`; with one, the string field that its path
names (karmada.md 1.1.10).
"""

from dataclasses import replace
from typing import Any, Final

from jsonpointer import JsonPointer, JsonPointerException

from federation.api.meta import Manifest
from federation.api.override import ImageOverrider, Overriders
from federation.policy.override.containers import containers_of
from federation.policy.override.reference import ImageReference, is_digest, parse_image
from federation.policy.override.rule import Rule

FIELD: Final = "imageOverrider"


def override(manifest: Manifest, overriders: Overriders, rule: Rule) -> Manifest:
    """Apply the image overriders of a rule in place."""
    for index, overrider in enumerate(overriders.image_overrider or ()):
        where = f"{FIELD}[{index}]"
        if overrider.predicate is not None:
            _at_path(manifest, overrider, overrider.predicate.path, rule, where)
            continue
        for container in containers_of(manifest):
            if container.get("image"):
                container["image"] = _rewritten(container["image"], overrider, rule, where)
    return manifest


def _at_path(manifest: Manifest, overrider: ImageOverrider, path: str, rule: Rule, where: str) -> None:
    field = f"{where}.predicate.path"
    try:
        parent, last = JsonPointer(path).to_last(manifest)
        current: Any = parent[last] if last is not None else None
    except (JsonPointerException, KeyError, IndexError, TypeError):
        current = None
    if not isinstance(current, str):
        rule.fail(field, f"{path} is not a string field of the {manifest['kind']}; name the path of an image")
    parent[last] = _rewritten(current, overrider, rule, where)


def _rewritten(image: str, overrider: ImageOverrider, rule: Rule, where: str) -> str:
    reference = parse_image(image)
    if reference is None:
        rule.fail(where, f"{rule.shown(image)} is not an image reference; correct it in the template")
    result = str(edited(reference, component=overrider.component, operator=overrider.operator, value=overrider.value))
    if result != image:
        rule.note(f"image {rule.shown(image)} -> {rule.shown(result)}")
    return result


def edited(reference: ImageReference, *, component: str, operator: str, value: str | None) -> ImageReference:
    """One component edited: `add` appends text to it, `replace` sets it, `remove` clears it.

    Tag stands for tag or digest. Adding a digest to what has a version already changes nothing.
    """
    text = value or ""
    if component == "Registry":
        return replace(reference, registry=_component(reference.registry, operator, text))
    if component == "Repository":
        return replace(reference, repository=_component(reference.repository, operator, text))
    if operator == "remove":
        return replace(reference, tag="", digest="")
    text = text.removeprefix("@")
    if operator == "add" and reference.version and is_digest(text):
        return reference
    return reference.with_version(_component(reference.version, operator, text))


def _component(current: str, operator: str, text: str) -> str:
    match operator:
        case "add":
            return current + text
        case "replace":
            return text
        case _:
            return ""
