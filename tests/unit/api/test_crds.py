"""The generated CRDs: structural, bounded, described; the files in crds/ are what the models say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from federation.api.crds import all_crds

CRDS = Path(__file__).resolve().parents[3] / "crds"


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in (schema.get("properties") or {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], f"{path}[]")


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    for crd in all_crds():
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for name in ("spec", "status"):
            if name in schema["properties"]:
                yield from nodes(schema["properties"][name], f"{crd['spec']['names']['kind']}.{name}")


def test_the_files_are_up_to_date() -> None:
    written = {
        crd["metadata"]["name"]: crd for file in CRDS.glob("*.yaml") for crd in yaml.safe_load_all(file.read_text())
    }
    assert written == {crd["metadata"]["name"]: crd for crd in all_crds()}


def test_every_field_is_described() -> None:
    bare = [path for path, schema in schemas() if not path.endswith("[]") and not schema.get("description")]
    assert bare == []


def test_every_list_map_and_text_has_a_bound() -> None:
    unbounded = [
        path for path, schema in schemas()
        if (schema.get("type") == "array" and "maxItems" not in schema)
        or (schema.get("type") == "string" and not ("maxLength" in schema or "enum" in schema))
        or (schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict) and "maxProperties" not in schema)
    ]  # fmt: skip
    assert unbounded == []


def test_every_kind_is_in_the_category_and_has_columns() -> None:
    for crd in all_crds():
        assert "federation" in crd["spec"]["names"]["categories"]
        assert crd["spec"]["versions"][0]["additionalPrinterColumns"]


def test_no_cel_on_binding_status() -> None:
    rules = [path for path, schema in schemas() if "Binding.status" in path and "x-kubernetes-validations" in schema]
    assert rules == []
