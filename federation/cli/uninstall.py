"""`fedctl uninstall --keep`: takes the federation away and leaves every workload where it runs.

Order, so that a hub process that still runs undoes nothing: policies, bindings, marks in members, rights in members,
Clusters with their tokens, our definitions, the hub's record. Each step may be repeated.
"""

import asyncio
from typing import Any

import click

from federation.api.crds import all_crds
from federation.api.meta import CLUSTER_FINALIZER, FINALIZER, HUB_LABEL, MARK_ANNOTATION, SYSTEM_NAMESPACE, Manifest
from federation.api.naming import short_hash
from federation.cli.orphans import all_marked, bindings
from federation.cli.session import Refused, member_client
from federation.hub.execute.decide import unmarked
from federation.hub.record import RECORD, hub_identity
from federation.hub.timeline import Marked
from federation.kube.client import Client
from federation.kube.errors import ApiError, Invalid, NotFound
from federation.kube.resource import (
    CLUSTER_OVERRIDE_POLICIES,
    CLUSTER_PROPAGATION_POLICIES,
    CLUSTER_RESOURCE_BINDINGS,
    CLUSTERS,
    CONFIG_MAPS,
    CRDS,
    NAMESPACES,
    OVERRIDE_POLICIES,
    PROPAGATION_POLICIES,
    RESOURCE_BINDINGS,
    SECRETS,
    Resource,
)
from federation.operator.join import CLUSTER_LABEL, JOINED_BY_LABEL

POLICIES = (PROPAGATION_POLICIES, CLUSTER_PROPAGATION_POLICIES, OVERRIDE_POLICIES, CLUSTER_OVERRIDE_POLICIES)
ROUNDS = 20
"""How often bindings, and marks in a member, are looked for again: one more may have been made since the last look."""


async def uninstall(hub: Client, *, keep: bool, yes: bool) -> None:
    """Take the federation away. Raises Refused."""
    clusters = sorted(one["metadata"]["name"] for one in await _items(hub, CLUSTERS))
    hub_id = await hub_identity(hub)
    objects, silent = await all_marked(hub, hub_id, clusters)
    if not keep:
        raise Refused(
            f"{len(objects)} objects run in {len(clusters)} members. To leave them running, without our marks: fedctl"
            " uninstall --keep. To remove them: fedctl leave each cluster first, then fedctl uninstall --keep"
        )
    if silent:
        why = "; ".join(f"{name}: {text}" for name, text in silent.items())
        raise Refused(
            f"these members do not answer, so their objects would keep our marks: {why}. A dead one: fedctl leave NAME --force"
        )
    policies = sum([len(await _items(hub, kind)) for kind in POLICIES])
    bound = len(await bindings(hub)) if clusters or policies else 0
    click.echo(f"{len(objects)} objects in {', '.join(clusters) or 'no member'} stay as they are, without our marks.")
    click.echo(f"Removed: {policies} policies, {bound} bindings, {len(clusters)} clusters, our rights there, our CRDs.")
    if not yes:
        click.confirm("Uninstall?", abort=True)
    for kind in POLICIES:
        for one in await _items(hub, kind):
            await _delete(hub, kind, one)
    await _end_bindings(hub)
    for name in clusters:
        await _withdraw(hub, name, hub_id)
    for one in await _items(hub, CLUSTERS):
        await _end(hub, CLUSTERS, one, [CLUSTER_FINALIZER])
    for one in (await hub.list(SECRETS, SYSTEM_NAMESPACE, label_selector=CLUSTER_LABEL)).items:
        await _delete(hub, SECRETS, one)
    for crd in all_crds():
        await _delete(hub, CRDS, crd)
    await _delete(hub, CONFIG_MAPS, {"metadata": {"name": RECORD, "namespace": SYSTEM_NAMESPACE}})
    click.echo("uninstalled; what is left on the hub: kubectl delete -f deploy/ (stop the hub process)")


async def _end_bindings(hub: Client) -> None:
    for _ in range(ROUNDS):
        found = [
            (kind, one) for kind in (RESOURCE_BINDINGS, CLUSTER_RESOURCE_BINDINGS) for one in await _items(hub, kind)
        ]
        if not found:
            return
        for kind, one in found:
            await _end(hub, kind, one, [FINALIZER])
        await asyncio.sleep(0.2)
    raise Refused("bindings come back; is somebody making policies? run it again")


async def _withdraw(hub: Client, name: str, hub_id: str) -> None:
    """Take our marks off everything in a member, then our rights out of it; what is made meanwhile is found by a second look."""
    member = await member_client(hub, name)
    try:
        discovery = await member.discover()
        for _ in range(ROUNDS):
            objects, silent = await all_marked(hub, hub_id, [name])
            if silent:
                raise Refused(f"{name} stopped answering: {silent[name]}; run it again")
            if not objects:
                break
            for one in objects:
                resource = discovery.find(one.api_version, one.kind)
                if resource is not None:
                    await _unmark(member, resource, one)
        else:
            raise Refused(
                f"{name} keeps our marks on: {', '.join(map(str, objects[:10]))}; does a webhook refuse the change?"
            )
        for namespace in (await member.list(NAMESPACES, label_selector=f"{HUB_LABEL}={short_hash(hub_id)}")).items:
            await _patch(member, NAMESPACES, namespace, unmarked(namespace))
        ours: Manifest = await member.get(NAMESPACES, SYSTEM_NAMESPACE)
        if (ours["metadata"].get("labels") or {}).get(JOINED_BY_LABEL) == short_hash(hub_id):
            await member.delete(NAMESPACES, SYSTEM_NAMESPACE, uid=ours["metadata"]["uid"])
    except NotFound:
        pass
    except ApiError as error:
        raise Refused(f"{name}: {error.message}; run it again") from error
    finally:
        await member.close()
    click.echo(f"{name} is no longer ours")


async def _unmark(member: Client, resource: Resource, one: Marked) -> None:
    try:
        found = await member.get(resource, one.name, one.namespace or None)
    except NotFound:
        return
    if MARK_ANNOTATION in (found["metadata"].get("annotations") or {}):
        await _patch(member, resource, found, unmarked(found))


async def _patch(client: Client, resource: Resource, manifest: Manifest, operations: list[dict[str, Any]]) -> None:
    metadata = manifest["metadata"]
    try:
        await client.json_patch(resource, metadata["name"], metadata.get("namespace"), operations)
    except (NotFound, Invalid):
        return  # gone or changed meanwhile: the next look tells


async def _end(hub: Client, resource: Resource, manifest: Manifest, finalizers: list[str]) -> None:
    """Delete an object, then take these finalizers off it: what is being deleted gets no new ones."""
    await _delete(hub, resource, manifest)
    metadata = manifest["metadata"]
    try:
        left = await hub.get(resource, metadata["name"], metadata.get("namespace"))
        kept = [one for one in left["metadata"].get("finalizers") or [] if one not in finalizers]
        await hub.merge_patch(
            resource, metadata["name"], metadata.get("namespace"), {"metadata": {"finalizers": kept or None}}
        )
    except NotFound:
        return


async def _delete(hub: Client, resource: Resource, manifest: Manifest) -> None:
    metadata = manifest["metadata"]
    try:
        await hub.delete(resource, metadata["name"], metadata.get("namespace"))
    except NotFound:
        return


async def _items(hub: Client, resource: Resource) -> list[Manifest]:
    """All objects of one of our kinds; none where the kind is gone already."""
    try:
        return (await hub.list(resource)).items
    except NotFound:
        return []
