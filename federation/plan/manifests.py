"""What would be applied: the manifests of a directory, checked, in the order in which they can be applied.

Karmada's own kinds are read as ours: the fields have the same names, and each one that we do not know is named.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from federation.api.crds import KINDS
from federation.api.meta import API_VERSION, GROUP, Kind, Manifest
from federation.hub.policies import judge, judge_override

SUFFIXES = (".yaml", ".yml", ".json")
KARMADA = "karmada.io"
_SAME = ("PropagationPolicy", "ClusterPropagationPolicy", "OverridePolicy", "ClusterOverridePolicy")
_TRANSLATED = {("policy.karmada.io", kind): kind for kind in _SAME} | {
    ("apps.karmada.io", "WorkloadRebalancer"): "Rebalance"
}
_FIRST = {"CustomResourceDefinition": 0, "Namespace": 1}
_OURS: dict[str, type[Kind]] = {model.__name__: model for model in KINDS}
_NOT_YOURS = ("ResourceBinding", "ClusterResourceBinding", "ClusterCapacity")

Key = tuple[str, str, str, str]
"""(group, kind, namespace, name)"""


class ManifestError(ValueError):
    """Something that cannot be applied; the message names the file, the object and the field."""


@dataclass(frozen=True, slots=True)
class Given:
    """Manifests as they would be applied, and what is worth knowing about how they were read."""

    objects: tuple[Manifest, ...]
    notes: tuple[str, ...] = ()


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: a date is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(paths: Iterable[str], *, standard_input: str = "") -> Given:
    """The manifests of files and directories (`-` is the standard input). Raises ManifestError."""
    found: list[tuple[str, Manifest]] = []
    for path in paths:
        if path == "-":
            found += [("standard input", one) for one in parse(standard_input, "standard input")]
            continue
        for file in _files(Path(path)):
            try:
                text = file.read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise ManifestError(f"{file}: {error}") from error
            found += [(str(file), one) for one in parse(text, str(file))]
    return given(found)


def given(found: Iterable[tuple[str, Manifest]]) -> Given:
    """Check and order manifests; each comes with where it was found. Raises ManifestError."""
    objects: list[Manifest] = []
    notes: list[str] = []
    for where, manifest in found:
        translated, said = _ours(manifest, where)
        notes += said
        if translated is not None:
            _check(translated, where)
            objects.append(translated)
    objects.sort(key=lambda one: _FIRST.get(one["kind"], len(_FIRST)))
    return Given(tuple(objects), tuple(notes))


def key_of(manifest: Manifest, namespace: str = "") -> Key:
    """Which object it is; `namespace` where it names none."""
    metadata = manifest["metadata"]
    return (
        manifest["apiVersion"].rpartition("/")[0],
        manifest["kind"],
        metadata.get("namespace") or namespace,
        metadata["name"],
    )


def parse(text: str, where: str) -> Iterator[Manifest]:
    """The objects of one stream of YAML (or JSON), Lists taken apart. Raises ManifestError."""
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise ManifestError(f"{where}: {error}") from error
    for document in documents:
        yield from _flat(document, where)


def _flat(document: Any, where: str) -> Iterator[Manifest]:
    if document is None:
        return
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str) or not document.get("apiVersion"):
        raise ManifestError(f"{where}: a document is no Kubernetes object: it lacks apiVersion or kind")
    if document["kind"] == "Kustomization":
        raise ManifestError(f"{where}: a kustomization is not built here; run: kustomize build DIR | fedctl plan -f -")
    if document["kind"].endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _flat(item, where)
        return
    name = (document.get("metadata") or {}).get("name")
    if not isinstance(name, str) or not name:
        raise ManifestError(f"{where}: a {document['kind']} lacks metadata.name")
    # What JSON cannot say cannot be applied either.
    yield json.loads(json.dumps(document, default=str))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ManifestError(f"{path}: there is no such file or directory")
    found = sorted(
        one for one in path.rglob("*") if one.suffix in SUFFIXES and one.is_file() and ".git" not in one.parts
    )
    if not found:
        raise ManifestError(f"{path}: there are no {', '.join(SUFFIXES)} files")
    return found


def _ours(manifest: Manifest, where: str) -> tuple[Manifest | None, list[str]]:
    """(the manifest in our own kind, what differs); None for a kind of Karmada's that has no counterpart."""
    group, kind, _, name = key_of(manifest)
    if group != KARMADA and not group.endswith(f".{KARMADA}"):
        return manifest, []
    known = _TRANSLATED.get((group, kind))
    if known is None:
        return None, [f"{where}: {manifest['apiVersion']} {kind} {name} has no counterpart here: left out"]
    ours: Manifest = {**manifest, "apiVersion": API_VERSION, "kind": known}
    notes = [f"{where}: {manifest['apiVersion']} {kind} {name} is read as {API_VERSION} {known}"]
    for path in _unknown(ours):
        _drop(ours, path)
        notes.append(f"{where}: {kind} {name}: {_dotted(path)} is not known here: left out")
    return ours, notes


def _unknown(manifest: Manifest) -> list[tuple[str | int, ...]]:
    """The fields that our schema does not have."""
    try:
        _OURS[manifest["kind"]].model_validate(_own_part(manifest))
    except ValidationError as error:
        return [tuple(one["loc"]) for one in error.errors() if one["type"] == "extra_forbidden"]
    return []


def _own_part(manifest: Manifest) -> Manifest:
    """What our schema speaks of: the API server has its own of metadata, and a status is not applied."""
    metadata = {"name": manifest["metadata"]["name"]}
    return {key: value for key, value in manifest.items() if key != "status"} | {"metadata": metadata}


def _drop(manifest: Manifest, path: tuple[str | int, ...]) -> None:
    """Remove the field at a path, of a copy: what was read is not changed."""
    at: Any = manifest
    for part in path[:-1]:
        at[part] = list(at[part]) if isinstance(at[part], list) else dict(at[part])
        at = at[part]
    del at[path[-1]]


def _check(manifest: Manifest, where: str) -> None:
    """What the API server, or our admission, would refuse of our own kinds. Raises ManifestError."""
    group, kind, _, name = key_of(manifest)
    if group != GROUP:
        return
    if kind in _NOT_YOURS or kind not in _OURS:
        raise ManifestError(f"{where}: {kind} {name}: {API_VERSION} {kind} is not for users to apply")
    if manifest["apiVersion"] != API_VERSION:
        raise ManifestError(
            f"{where}: {kind} {name}: apiVersion {manifest['apiVersion']} is not served; it is {API_VERSION}"
        )
    try:
        _OURS[kind].model_validate(_own_part(manifest))
    except ValidationError as error:
        problems = "; ".join(f"{_dotted(tuple(one['loc']))}: {one['msg']}" for one in error.errors())
        raise ManifestError(f"{where}: {kind} {name}: {problems}") from error
    violations = (
        judge(manifest).violations if kind.endswith("PropagationPolicy")
        else judge_override(manifest).violations if kind.endswith("OverridePolicy") else ()
    )  # fmt: skip
    if violations:
        problems = "; ".join(f"{one.field}: {one.message}" for one in violations)
        raise ManifestError(f"{where}: {kind} {name}: {problems}")


def _dotted(path: tuple[str | int, ...]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
