"""CustomResourceDefinitions from the models. `python -m federation.api.crds DIR [--check]` writes or verifies `crds/`."""

import sys
from pathlib import Path

import yaml

from federation.api.binding import ClusterResourceBinding, ResourceBinding
from federation.api.cluster import Cluster, ClusterCapacity
from federation.api.meta import GROUP, SCHEMA_VERSION_ANNOTATION, VERSION, Kind, Manifest
from federation.api.override import ClusterOverridePolicy, OverridePolicy
from federation.api.propagation import ClusterPropagationPolicy, PropagationPolicy
from federation.api.rebalance import Rebalance
from federation.api.schema import structural

SCHEMA_VERSION = 2
"""Grows with every change of a schema; an older process never replaces a newer one's CRDs."""

KINDS: tuple[type[Kind], ...] = (
    Cluster,
    ClusterCapacity,
    PropagationPolicy,
    ClusterPropagationPolicy,
    OverridePolicy,
    ClusterOverridePolicy,
    ResourceBinding,
    ClusterResourceBinding,
    Rebalance,
)

_HEADER = "# Made by `make crds` from federation/api; do not edit.\n"


def crd(model: type[Kind]) -> Manifest:
    """The CustomResourceDefinition of one kind."""
    schema = structural(model)
    schema["properties"]["metadata"] = {"type": "object"}
    for name, description in (("apiVersion", "Group and version of this object."), ("kind", "Kind of this object.")):
        schema["properties"][name] = {"type": "string", "maxLength": 128, "description": description}
    schema["required"] = ["spec"] if "spec" in schema.get("required", []) else []
    if not schema["required"]:
        del schema["required"]
    rules = getattr(model, "rules", ())
    if rules:
        schema["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in rules]
    version: Manifest = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path} for name, kind, path in model.columns
        ],
        "schema": {"openAPIV3Schema": schema},
    }
    names: Manifest = {
        "kind": model.__name__,
        "listKind": f"{model.__name__}List",
        "plural": model.plural,
        "singular": model.__name__.lower(),
        "categories": ["federation"],
    }
    if model.short_names:
        names["shortNames"] = list(model.short_names)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{model.plural}.{GROUP}",
            "annotations": {SCHEMA_VERSION_ANNOTATION: str(SCHEMA_VERSION)},
        },
        "spec": {"group": GROUP, "names": names, "scope": model.scope, "versions": [version]},
    }


def all_crds() -> list[Manifest]:
    """Every CRD, in a stable order."""
    return [crd(model) for model in KINDS]


def as_yaml(manifest: Manifest) -> str:
    """The text of one file in `crds/`."""
    return _HEADER + yaml.safe_dump(manifest, sort_keys=False, width=120, allow_unicode=True)


def main(arguments: list[str]) -> int:
    """Write the files, or with --check say which ones differ (exit 1)."""
    folder = Path(arguments[0])
    wanted = {f"{manifest['metadata']['name']}.yaml": as_yaml(manifest) for manifest in all_crds()}
    if "--check" in arguments:
        present = {path.name: path.read_text() for path in folder.glob("*.yaml")}
        wrong = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
        if wrong:
            sys.stderr.write(f"{folder}: {', '.join(wrong)} differ from federation/api; run: make crds\n")
        return 1 if wrong else 0
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.yaml"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
