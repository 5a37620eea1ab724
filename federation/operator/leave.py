"""A Cluster that leaves: copies go (or stay, unmarked) first, then our rights in the member, then the Secret.

The copies are execute's business: it sees the Cluster terminating. This waits until no binding holds anything there.
`federation.dev/leave: force` is for a member that will never answer again: what was left there is written into an Event.
"""

import asyncio
import logging
import time

from federation.api.meta import API_VERSION, LEAVE_ANNOTATION, SYSTEM_NAMESPACE, Manifest
from federation.api.words import listed
from federation.hub.conditions import timestamp
from federation.hub.evidence import kind_goes
from federation.hub.views import lines_of, template_text
from federation.kube.client import Client
from federation.kube.errors import AlreadyExists, ApiError, NotFound
from federation.kube.resource import (
    CLUSTER_RESOURCE_BINDINGS,
    CLUSTERS,
    EVENTS,
    NAMESPACES,
    RESOURCE_BINDINGS,
    SECRETS,
)
from federation.kube.transport import AioTransport
from federation.operator.join import CLUSTER_LABEL, JOINED_BY_LABEL
from federation.operator.lifecycle import credentials_of

log = logging.getLogger(__name__)

PERIOD, CALM = 0.5, 3
"""Seconds between two looks at what a member holds, and how many must find nothing."""
INVENTORY = 10
"""Objects that the Event names; the rest is a count."""


async def leave(hub: Client, name: str, *, hub_label: str) -> None:
    """Return once the Cluster may go."""
    if await kind_goes(hub, CLUSTERS):
        # Our definitions are taken away: nobody asked for the copies to go, and a later join finds its rights (I21).
        log.warning("cluster %s goes with its definition; nothing in the member is touched", name)
        return
    calm = 0
    while True:
        try:
            cluster = await hub.get(CLUSTERS, name)
        except NotFound:
            return
        held = await holdings(hub, name)
        # A copy that was made a moment ago is in its binding's status only after the first status window.
        calm = 0 if held else calm + 1
        if calm == CALM:
            break
        if (cluster["metadata"].get("annotations") or {}).get(LEAVE_ANNOTATION) == "force":
            if held:
                await _report_left(hub, cluster, held)
            break
        await asyncio.sleep(PERIOD)
    await _withdraw(hub, cluster, hub_label=hub_label)


async def holdings(hub: Client, name: str) -> list[str]:
    """The templates of which a member holds copies, as bindings say."""
    return sorted(template_text(binding) for binding in await holding(hub, name))


async def holding(hub: Client, name: str) -> list[Manifest]:
    """The bindings with a line for a member."""
    found: list[Manifest] = []
    for resource in (RESOURCE_BINDINGS, CLUSTER_RESOURCE_BINDINGS):
        items = (await hub.list(resource, cached=True)).items
        found += [one for one in items if name in lines_of(one)]
    return found


async def _report_left(hub: Client, cluster: Manifest, held: list[str]) -> None:
    metadata, now = cluster["metadata"], timestamp(time.time())
    event = {
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.left-{metadata['uid'][:8]}", "namespace": "default"},
        "involvedObject": {
            "apiVersion": API_VERSION, "kind": "Cluster", "name": metadata["name"], "uid": metadata["uid"],
        },
        "reason": "CopiesLeftBehind", "type": "Warning",
        "message": f"{len(held)} copies were left in the member: {listed(held, INVENTORY)}",
        "firstTimestamp": now, "lastTimestamp": now, "count": 1, "source": {"component": SYSTEM_NAMESPACE},
        "reportingComponent": "federation.dev/operator", "reportingInstance": "operator",
    }  # fmt: skip
    log.warning("cluster %s leaves by force: %s", metadata["name"], event["message"])
    try:
        await hub.create(EVENTS, event, "default")
    except AlreadyExists:
        return


async def _withdraw(hub: Client, cluster: Manifest, *, hub_label: str) -> None:
    """Take our rights out of the member, best effort, and our Secret off the hub."""
    reference = cluster["spec"].get("secretRef") or {}
    namespace, name = reference.get("namespace") or SYSTEM_NAMESPACE, reference.get("name") or ""
    try:
        secret = await hub.get(SECRETS, name, namespace)
    except NotFound:
        return
    try:
        member = Client(AioTransport(credentials_of(cluster, secret)), name=cluster["metadata"]["name"])
        try:
            found = await member.get(NAMESPACES, SYSTEM_NAMESPACE)
            if (found["metadata"].get("labels") or {}).get(JOINED_BY_LABEL) == hub_label:
                await member.delete(NAMESPACES, SYSTEM_NAMESPACE, uid=found["metadata"]["uid"])
        finally:
            await member.close()
    except (ApiError, ValueError) as error:
        log.info("cluster %s: our rights there stay behind: %s", cluster["metadata"]["name"], error)
    labels = secret["metadata"].get("labels") or {}
    if labels.get(CLUSTER_LABEL) == cluster["metadata"]["name"]:
        try:
            await hub.delete(SECRETS, name, namespace, uid=secret["metadata"]["uid"])
        except NotFound:
            return
