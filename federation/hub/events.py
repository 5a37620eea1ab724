"""Events for people: one per changed decision, on the template and on its binding. Best effort, never retried.

A name made of the object, the reason and the decision makes a repeated Event a no-op (409) instead of a second one.
"""

import logging
import time
from dataclasses import dataclass

from federation.api.meta import API_VERSION, SYSTEM_NAMESPACE, Manifest
from federation.api.naming import short_hash
from federation.hub.conditions import cut, timestamp
from federation.kube.client import Client
from federation.kube.errors import ApiError
from federation.kube.resource import EVENTS

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The object an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


def subject_of(binding: Manifest, *, template: bool) -> Subject:
    """The template of a binding, or the binding itself."""
    if not template:
        metadata = binding["metadata"]
        namespace = metadata.get("namespace") or ""
        kind = "ResourceBinding" if namespace else "ClusterResourceBinding"
        return Subject(
            api_version=API_VERSION, kind=kind, namespace=namespace, name=metadata["name"], uid=metadata["uid"]
        )
    reference = binding["spec"]["resource"]
    return Subject(
        api_version=reference["apiVersion"], kind=reference["kind"], namespace=reference.get("namespace") or "",
        name=reference["name"], uid=reference["uid"],
    )  # fmt: skip


async def emit(
    client: Client, subject: Subject, *, reason: str, message: str, warning: bool = False, key: str = ""
) -> None:
    """Write one core/v1 Event; a failure is logged and forgotten."""
    namespace = subject.namespace or "default"
    now = timestamp(time.time())
    event: Manifest = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{subject.name[:200]}.{short_hash(f'{subject.uid} {reason} {key or message}')}",
            "namespace": namespace,
        },
        "involvedObject": {
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "namespace": subject.namespace or None,
            "name": subject.name,
            "uid": subject.uid,
        },
        "reason": reason,
        "message": cut(message),
        "type": "Warning" if warning else "Normal",
        "source": {"component": SYSTEM_NAMESPACE},
        "reportingComponent": "federation.dev/hub",
        "reportingInstance": "hub",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    try:
        await client.create(EVENTS, event, namespace)
    except ApiError as error:
        log.debug("event %s on %s %s not written: %s", reason, subject.kind, subject.name, error)
