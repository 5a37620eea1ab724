"""Pydantic models to structural OpenAPI v3 schemas, as an API server wants them (python_stack 3.4).

References are inlined, optional fields lose their null, keywords are kept by a white list, and a union that is not
structural is refused when the schema is built, not when it is installed.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, WithJsonSchema

Schema = dict[str, Any]

_KEPT = frozenset({
    "type", "description", "format", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems",
    "maxItems", "minProperties", "maxProperties", "required", "properties", "items", "additionalProperties", "default",
})  # fmt: skip


def cel(*rules: tuple[str, str]) -> ConfigDict:
    """Model configuration with CEL rules: (expression that must hold, message)."""
    validations: list[JsonValue] = [{"rule": rule, "message": message} for rule, message in rules]
    return ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={"x-kubernetes-validations": validations},
    )


def any_value() -> WithJsonSchema:
    """A field that holds any JSON value."""
    return WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})


class NotStructural(TypeError):
    """A model says something that a structural schema cannot."""


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, without defaults (they would be written into every object)."""
    raw = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator)
    return _convert(raw, raw.get("$defs", {}), path=model.__name__)


class _Generator(GenerateJsonSchema):
    def default_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def _convert(node: Schema, defs: dict[str, Schema], *, path: str) -> Schema:
    node = _resolve(node, defs, path)
    result: Schema = {key: value for key, value in node.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if "const" in node:
        result["enum"] = [node["const"]]
    if "properties" in node:
        result["properties"] = {
            name: _convert(child, defs, path=f"{path}.{name}") for name, child in node["properties"].items()
        }
    if isinstance(node.get("items"), dict):
        result["items"] = _convert(node["items"], defs, path=f"{path}[]")
    extra = node.get("additionalProperties")
    if isinstance(extra, dict):
        result["additionalProperties"] = _convert(extra, defs, path=f"{path}{{}}")
    else:
        result.pop("additionalProperties", None)
    if result.get("type") == "integer":
        result.setdefault("format", "int64")
    return result


def _resolve(node: Schema, defs: dict[str, Schema], path: str) -> Schema:
    """Follow references and optional wrappers; what stands beside them (description, bounds) wins."""
    if "$ref" in node:
        target = defs[node["$ref"].rpartition("/")[2]]
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return _resolve({**target, **rest}, defs, path)
    if "allOf" in node and len(node["allOf"]) == 1:
        rest = {key: value for key, value in node.items() if key != "allOf"}
        return _resolve({**node["allOf"][0], **rest}, defs, path)
    if "anyOf" in node:
        options = [option for option in node["anyOf"] if option.get("type") != "null"]
        if len(options) != 1:
            raise NotStructural(f"{path}: a union of {len(options)} types is not structural")
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        return _resolve({**options[0], **rest}, defs, path)
    return node
