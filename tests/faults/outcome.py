"""What a run left behind, and what it took, in a form that two runs can be compared by (I9, I10). Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tests.faults.journal import Entry, Manifest, Seen, State

_MASKED = frozenset({
    "uid", "resourceVersion", "creationTimestamp", "managedFields", "lastTransitionTime", "lastUpdateTime",
    "lastProbeTime", "startTime", "ownerReferences",
    # How often something changed on the way; a Deployment counts its annotations too, so a harmless touch is one more.
    "generation", "observedGeneration",
    "kubectl.kubernetes.io/last-applied-configuration",
})  # fmt: skip
_GENERATED = (
    (re.compile(r"\bgeneration=(\d+)/\1\b"), "generation=N/N"),
    (re.compile(r"\bfor=\d+"), "for=N"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UID"),
    (re.compile(r"\bhash=[0-9a-f]+"), "hash=H"),
    (re.compile(r"\bat=[^\s\"]+"), "at=T"),
    (re.compile(r"-(deployment|configmap)-[0-9a-f]{8}"), r"-\1-H"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "H"),
)
"""Generated parts of texts: UIDs, hashes over the namespace's name, the revision in a mark."""


def end_state(state: State, place: str, clusters: Iterable[str] = ()) -> dict[str, Any]:
    """Every object of a namespace, everywhere, and what is known of some Clusters; masked."""
    found: dict[str, Any] = {}
    for (server, resource, namespace, name), item in state.objects.items():
        if resource == "clusters" and name in clusters:
            conditions = (item.get("status") or {}).get("conditions") or []
            found[f"{server} clusters {name}"] = {one["type"]: one["status"] for one in conditions}
        elif name == place if resource == "namespaces" else namespace == place and _is_compared(resource, name):
            found[masked(f"{server} {resource} {name}", place)] = masked(item, place)
    return found


def _is_compared(resource: str, name: str) -> bool:
    return resource != "pods" and name != "kube-root-ca.crt"


def masked(value: Any, place: str) -> Any:
    """A value without what differs between two equal runs."""
    if isinstance(value, dict):
        kept = {masked(key, place): masked(item, place) for key, item in value.items() if key not in _MASKED}
        return {key: item for key, item in kept.items() if item != {} or value.get(key) == {}}
    if isinstance(value, list):
        return [masked(item, place) for item in value]
    if isinstance(value, str):
        for pattern, word in _GENERATED:
            value = pattern.sub(word, value)
        return value.replace(place, "PLACE")
    return value


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two masked values differ, as lines."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line for key in sorted(one.keys() | other.keys())
            for line in differences(one.get(key), other.get(key), f"{path}/{key}")
        ]  # fmt: skip
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            line for at, pair in enumerate(zip(one, other, strict=True)) for line in differences(*pair, f"{path}/{at}")
        ]
    return [] if one == other else [f"{path}: {one!r} in the undisturbed run, {other!r} here"]


def made_and_removed(journal: Sequence[Entry], place: str) -> Counter[str]:
    """How often each object was created and deleted, by whomever; pods are counted together, as their names are generated."""
    counts: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for entry in journal:
        if not isinstance(entry, Seen) or entry.object is None or not _counts(entry.resource, entry.object, place):
            continue
        metadata = entry.object["metadata"]
        name = "*" if entry.resource == "pods" else metadata["name"]
        what = masked(f"{entry.server} {entry.resource} {name}", place)
        if (entry.server, metadata["uid"]) not in seen:
            seen.add((entry.server, metadata["uid"]))
            counts[f"create {what}"] += 1
        if entry.change == "DELETED":
            counts[f"delete {what}"] += 1
    return counts


def _counts(resource: str, found: Manifest, place: str) -> bool:
    metadata = found["metadata"]
    if resource == "namespaces":
        return bool(metadata["name"] == place)
    return bool(metadata.get("namespace") == place and metadata["name"] != "kube-root-ca.crt")
