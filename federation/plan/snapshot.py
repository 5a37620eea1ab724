"""The hub as data: every object that decides what goes where, and what its members hold; to a file and back.

A file may lie in a pipeline that must not see Secrets, so it never holds what is in them: only which keys they have.
"""

import base64
import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from federation.api.meta import Manifest
from federation.kube.resource import Resource

FORMAT = 1
HIDDEN = base64.b64encode(b"hidden").decode()
"""The value of every key of a Secret in a file."""
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class SnapshotError(ValueError):
    """A file that holds no snapshot; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The hub at one moment."""

    hub_id: str
    objects: tuple[Manifest, ...]
    served: tuple[Resource, ...]
    """The kinds of the hub, in its order of preference."""
    unread: tuple[str, ...] = ()
    """Kinds that could not be read, as `secrets: reason`."""
    members: Mapping[str, tuple[Manifest, ...]] = field(default_factory=dict)
    """By cluster that was read: our copies, its namespaces, and (metadata only) what else has the name of a template."""
    hidden: bool = False
    """Whether the contents of Secrets were left out."""


def without_contents(snapshot: Snapshot) -> Snapshot:
    """The snapshot without what is in Secrets."""

    def safe(manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
        return tuple(emptied(one) if (one["apiVersion"], one["kind"]) == ("v1", "Secret") else one for one in manifests)

    members = {name: safe(held) for name, held in snapshot.members.items()}
    return replace(snapshot, objects=safe(snapshot.objects), members=members, hidden=True)


def write(snapshot: Snapshot, path: Path) -> None:
    """To a file, JSON, compressed where its name ends in `.gz`; the contents of Secrets are left out."""
    safe = without_contents(snapshot)
    members = {name: list(held) for name, held in safe.members.items()}
    served = [
        {
            "group": one.group, "version": one.version, "plural": one.plural, "kind": one.kind,
            "namespaced": one.namespaced, "status": one.status, "verbs": sorted(one.verbs),
        }
        for one in safe.served
    ]  # fmt: skip
    document = {
        "format": FORMAT, "hub": safe.hub_id, "unread": list(safe.unread), "served": served, "objects": list(safe.objects),
        "members": members,
    }  # fmt: skip
    body = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(body, mtime=0) if path.suffix == ".gz" else body)


def read(path: Path) -> Snapshot:
    """From a file that `write` made. Raises SnapshotError."""
    try:
        body = path.read_bytes()
        document: dict[str, Any] = json.loads(gzip.decompress(body) if path.suffix == ".gz" else body)
        if document["format"] != FORMAT:
            raise SnapshotError(
                f"{path}: format {document['format']} is not {FORMAT}: take it anew with fedctl snapshot"
            )
        served = tuple(Resource(**{**one, "verbs": frozenset(one["verbs"])}) for one in document["served"])
        return Snapshot(
            hub_id=document["hub"], objects=tuple(document["objects"]), served=served,
            unread=tuple(document["unread"]), hidden=True,
            members={name: tuple(held) for name, held in document["members"].items()},
        )  # fmt: skip
    except OSError as error:
        raise SnapshotError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, EOFError) as error:
        if isinstance(error, SnapshotError):
            raise
        raise SnapshotError(f"{path}: no snapshot of a hub; make one with fedctl snapshot -o {path}") from error


def emptied(secret: Manifest) -> Manifest:
    """A Secret without what is in it: its keys stay."""
    metadata = dict(secret["metadata"])
    annotations = {key: text for key, text in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    metadata["annotations"] = annotations
    keys = [*(secret.get("data") or {}), *(secret.get("stringData") or {})]
    found = {**secret, "metadata": metadata, "data": dict.fromkeys(keys, HIDDEN)}
    found.pop("stringData", None)
    return found
