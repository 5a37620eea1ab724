"""Validation of override policies: rules or the legacy fields, syntax of labels and pointers, one document format, values.

The border that no override crosses (I22) is judged by the paths that a policy names. Rules: karmada.md 1.7 (the reference
forgets fieldOverrider in its test for legacy fields; here it counts).
"""

from collections.abc import Iterator, Sequence

from federation.api.override import (
    FieldOverrider,
    ImageOverrider,
    LabelAnnotationOverrider,
    Overriders,
    OverrideSpec,
    PlaintextOverrider,
    SubPatch,
)
from federation.policy.override.border import grant_problem, path_problem, reserved_problem
from federation.policy.override.reference import is_digest, is_tag
from federation.policy.syntax import label_key_problem, label_value_problem, pointer_problem
from federation.policy.validate_selectors import affinity_violations, resource_selector_violations
from federation.policy.violation import Violation


def validate_override(spec: OverrideSpec, *, namespace: str | None = None) -> list[Violation]:
    """Every rule that an override spec breaks. `namespace` is the policy's own, None for a ClusterOverridePolicy."""
    violations = list(
        resource_selector_violations(spec.resource_selectors or (), "spec.resourceSelectors", namespace=namespace)
    )
    if spec.override_rules is not None and (spec.target_cluster is not None or not _is_empty(spec.overriders)):
        violations.append(
            Violation(
                "override-rules-xor-legacy",
                "spec.overrideRules",
                "overrideRules and the legacy targetCluster and overriders exclude each other; move them into a rule",
            )
        )
    for index, rule in enumerate(spec.override_rules or ()):
        violations += affinity_violations(rule.target_cluster, f"spec.overrideRules[{index}].targetCluster")
    violations += affinity_violations(spec.target_cluster, "spec.targetCluster")
    kinds = [selector.api_version for selector in spec.resource_selectors or ()] if namespace else []
    for overriders, path in _all_overriders(spec):
        violations += _overriders(overriders, path)
        violations += _grants(overriders, path, kinds)
    return violations


def _all_overriders(spec: OverrideSpec) -> Iterator[tuple[Overriders, str]]:
    for index, rule in enumerate(spec.override_rules or ()):
        yield rule.overriders, f"spec.overrideRules[{index}].overriders"
    if spec.overriders is not None:
        yield spec.overriders, "spec.overriders"


def _grants(overriders: Overriders, path: str, api_versions: Sequence[str]) -> Iterator[Violation]:
    """`api_versions`: what the selectors of a policy in a namespace name. Rendering refuses the same for every object."""
    pointers = [
        *((f"plaintext[{index}].path", one.path) for index, one in enumerate(overriders.plaintext or ())),
        *(
            (f"fieldOverrider[{index}].fieldPath", one.field_path)
            for index, one in enumerate(overriders.field_overrider or ())
        ),
    ]
    for where, pointer in pointers:
        problem = next(filter(None, (grant_problem(one, pointer) for one in api_versions)), None)
        if problem:
            yield Violation("override-grants", f"{path}.{where}", problem)


def _is_empty(overriders: Overriders | None) -> bool:
    return overriders is None or not any(getattr(overriders, name) for name in type(overriders).model_fields)


def _overriders(overriders: Overriders, path: str) -> Iterator[Violation]:
    for index, image in enumerate(overriders.image_overrider or ()):
        yield from _image(image, f"{path}.imageOverrider[{index}]")
    yield from _keys(overriders.labels_overrider or (), f"{path}.labelsOverrider", values=True)
    yield from _keys(overriders.annotations_overrider or (), f"{path}.annotationsOverrider", values=False)
    for index, document in enumerate(overriders.field_overrider or ()):
        yield from _document(document, f"{path}.fieldOverrider[{index}]")
    for index, operation in enumerate(overriders.plaintext or ()):
        where = f"{path}.plaintext[{index}]"
        yield from _pointer(operation.path, f"{where}.path")
        yield from _border(path_problem(operation.path, operation.value), f"{where}.path")
        yield from _value(operation, where)


def _border(problem: str | None, path: str) -> Iterator[Violation]:
    if problem:
        yield Violation("override-border", path, problem)


def _image(image: ImageOverrider, path: str) -> Iterator[Violation]:
    if image.predicate is not None:
        yield from _pointer(image.predicate.path, f"{path}.predicate.path")
        yield from _border(path_problem(image.predicate.path), f"{path}.predicate.path")
    if image.operator == "remove":
        return
    value = image.value or ""
    if not value:
        yield Violation(
            "value-required", f"{path}.value", f"operator {image.operator} needs a value; to clear it use remove"
        )
    elif image.component == "Tag" and image.operator == "replace" and not _is_version(value):
        yield Violation(
            "image-tag", f"{path}.value", f"{value!r} is neither a tag nor a digest; it would change nothing"
        )


def _is_version(value: str) -> bool:
    return is_tag(value) or is_digest(value.removeprefix("@"))


def _keys(overriders: Sequence[LabelAnnotationOverrider], path: str, *, values: bool) -> Iterator[Violation]:
    """Keys of labels and annotations have one syntax; only values of labels are restricted."""
    for index, overrider in enumerate(overriders):
        yield from _border(reserved_problem(overrider.value), f"{path}[{index}].value")
        for key, value in overrider.value.items():
            where = f"{path}[{index}].value"
            problem = label_key_problem(key)
            if problem:
                yield Violation("label-key", where, f"{key!r}: {problem}")
            problem = label_value_problem(value) if values else None
            if problem:
                yield Violation("label-value", where, f"{key!r}: {problem}")


def _document(document: FieldOverrider, path: str) -> Iterator[Violation]:
    yield from _pointer(document.field_path, f"{path}.fieldPath")
    yield from _border(path_problem(document.field_path), f"{path}.fieldPath")
    if bool(document.json_) == bool(document.yaml):
        given = "both are" if document.json_ else "neither is"
        yield Violation(
            "field-json-xor-yaml", path, f"{given} set; a text is patched as json or as yaml, set one of them"
        )
    for form, operations in (("json", document.json_), ("yaml", document.yaml)):
        for index, operation in enumerate(operations or ()):
            where = f"{path}.{form}[{index}]"
            yield from _pointer(operation.sub_path, f"{where}.subPath")
            yield from _value(operation, where)


def _pointer(pointer: str, path: str) -> Iterator[Violation]:
    problem = pointer_problem(pointer)
    if problem:
        yield Violation("json-pointer", path, f"{pointer!r}: {problem}")


def _value(operation: SubPatch | PlaintextOverrider, path: str) -> Iterator[Violation]:
    """`add` and `replace` say what to write (null counts), `remove` does not."""
    given = "value" in operation.model_fields_set
    if operation.operator == "remove" and given and operation.value is not None:
        yield Violation("value-forbidden", f"{path}.value", "operator remove takes no value; leave it out")
    if operation.operator != "remove" and not given:
        yield Violation("value-required", f"{path}.value", f"operator {operation.operator} needs a value")
