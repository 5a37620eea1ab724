"""Every object in a member that carries our mark, whatever its kind: listed once, by label, metadata only.

Bindings lead to the copies that they know of; this finds those that no binding leads to. What may not be listed is
unknown, never absent (I14).
"""

import asyncio
import logging

from federation.api.lines import parse_mark
from federation.api.meta import HUB_LABEL, MARK_ANNOTATION, Manifest
from federation.hub.timeline import Marked
from federation.kube.client import Client
from federation.kube.discovery import Discovery
from federation.kube.errors import Forbidden, Invalid, NotFound, Unauthorized
from federation.kube.resource import Resource

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Lists of one member at the same time."""
_NEEDED = frozenset({"list", "patch", "delete"})
_NEVER_COPIES = frozenset({"Event", "Endpoints", "EndpointSlice", "Lease", "Node", "ControllerRevision"})


def kinds_to_list(discovery: Discovery) -> list[Resource]:
    """The kinds that may be copies, each in its preferred version."""
    found: dict[tuple[str, str], Resource] = {}
    for resource in discovery.resources:
        if resource.verbs >= _NEEDED and resource.kind not in _NEVER_COPIES:
            found.setdefault(resource.group_kind, resource)
    return list(found.values())


def marked(member: str, resource: Resource, manifest: Manifest) -> Marked | None:
    """What the mark of an object says; None for an object without one."""
    metadata = manifest["metadata"]
    mark = parse_mark((metadata.get("annotations") or {}).get(MARK_ANNOTATION) or "")
    if mark is None:
        return None
    return Marked(
        member=member, api_version=resource.api_version, kind=resource.kind, namespace=metadata.get("namespace") or "",
        name=metadata["name"], uid=metadata["uid"], resource_version=metadata["resourceVersion"], mark=mark,
        deleting="deletionTimestamp" in metadata, created=metadata.get("creationTimestamp") or "",
    )  # fmt: skip


async def marked_objects(client: Client, discovery: Discovery, *, name: str, hub_label: str) -> list[Marked]:
    """All marked objects of a member. Raises ApiError when it does not answer; kinds that it refuses are left out."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(resource: Resource) -> list[Marked]:
        async with gate:
            try:
                page = await client.list(resource, label_selector=f"{HUB_LABEL}={hub_label}", metadata_only=True)
            except (Unauthorized, Forbidden, NotFound, Invalid) as error:
                log.debug("%s: %s are unknown: %s", name, resource.plural, error)
                return []
        return [entry for item in page.items if (entry := marked(name, resource, item)) is not None]

    results = await asyncio.gather(*(one(resource) for resource in kinds_to_list(discovery)), return_exceptions=True)
    found: list[Marked] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        found += result
    return found
