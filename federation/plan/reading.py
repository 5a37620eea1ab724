"""Reads the hub, and its members where the caller may, into a snapshot. Only lists and gets: nothing is written."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from federation.api.meta import GROUP, HUB_LABEL, SYSTEM_NAMESPACE, Manifest
from federation.api.naming import short_hash
from federation.hub.brake import LEASE as BRAKE
from federation.hub.held import APPROVALS
from federation.hub.kinds import NEVER_WATCHED
from federation.hub.record import RECORD, hub_identity
from federation.kube.client import Client
from federation.kube.errors import ApiError, Forbidden, NotFound
from federation.kube.resource import LEASES, NAMESPACES, Resource
from federation.plan.snapshot import Snapshot
from federation.policy.never import is_reserved_namespace

MemberClient = Callable[[str], Awaitable[Client]]
"""A client of a member by its name. May raise ApiError or ValueError, where the caller may not reach it."""
NOT_ALLOWED = 405
"""The status of a list of something that can only be created."""
PATIENCE = 10.0
"""Seconds for one member."""
_AT_ONCE = 8
_NEVER = {
    *NEVER_WATCHED, ("apps", "ControllerRevision"), ("", "ComponentStatus"), ("apiregistration.k8s.io", "APIService"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"), ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
} - {(GROUP, "Cluster"), (GROUP, "ResourceBinding")}  # fmt: skip


async def take(hub: Client, *, member: MemberClient | None = None) -> Snapshot:
    """Read the hub, some sixty lists, and with `member` the members, two lists for each kind that is propagated.

    A member that cannot be read is left out: its copies then count as what the hub says of them. Raises ApiError where the hub
    does not answer, or does not say who it is.
    """
    found = await hub.discover()
    wanted = _preferred(one for one in found.resources if "list" in one.verbs and one.group_kind not in _NEVER)
    turns = asyncio.Semaphore(_AT_ONCE)
    answers = await asyncio.gather(*(_read(hub, resource, turns) for resource in wanted))
    objects = [one for answer in answers if not isinstance(answer, str) for one in answer if _counts(one)]
    unread = [answer for answer in answers if isinstance(answer, str)]
    unread += [f"{version}: not listed by the hub" for version in sorted(found.unknown)]
    with suppress(NotFound, Forbidden):
        window = await hub.get(LEASES, BRAKE, SYSTEM_NAMESPACE)  # what the brake let go in the last minute counts
        objects.append({**window, "apiVersion": LEASES.api_version, "kind": LEASES.kind})
    hub_id = await hub_identity(hub)
    snapshot = Snapshot(hub_id=hub_id, objects=tuple(objects), served=found.resources, unread=tuple(sorted(unread)))
    return await _with_members(snapshot, member, turns) if member is not None else snapshot


async def _read(
    client: Client, resource: Resource, turns: asyncio.Semaphore, selector: str = ""
) -> list[Manifest] | str:
    """The objects of a kind, or why they may not be read."""
    async with turns:
        try:
            page = await client.list(resource, label_selector=selector)
        except NotFound:
            return []
        except Forbidden as error:
            return f"{resource.plural}: {error.message}"
        except ApiError as error:
            if error.status == NOT_ALLOWED:
                return []
            raise
    return [{**one, "apiVersion": resource.api_version, "kind": resource.kind} for one in page.items]


async def _with_members(snapshot: Snapshot, member: MemberClient, turns: asyncio.Semaphore) -> Snapshot:
    names = [one["metadata"]["name"] for one in snapshot.objects if _is_joined(one)]
    answers = await asyncio.gather(*(_member(snapshot, name, member, turns) for name in names))
    members = {name: tuple(held) for name, held in zip(names, answers, strict=True) if not isinstance(held, str)}
    unread = [f"cluster {name}: {held}" for name, held in zip(names, answers, strict=True) if isinstance(held, str)]
    return replace(snapshot, members=members, unread=(*snapshot.unread, *unread))


async def _member(
    snapshot: Snapshot, name: str, member: MemberClient, turns: asyncio.Semaphore
) -> list[Manifest] | str:
    """What a member holds that the hub may come upon, or why that is not known."""
    try:
        async with asyncio.timeout(PATIENCE):
            client = await member(name)
            try:
                return await _held(snapshot, client, turns)
            finally:
                await client.close()
    except TimeoutError:
        return f"no answer within {PATIENCE:.0f} s"
    except (ApiError, ValueError) as error:
        return str(error)


async def _held(snapshot: Snapshot, client: Client, turns: asyncio.Semaphore) -> list[Manifest]:
    """Our copies, namespaces, and the metadata of what else has the name of an object on the hub."""
    served = (await client.discover()).resources
    ours = f"{HUB_LABEL}={short_hash(snapshot.hub_id)}"
    kinds = _propagated(snapshot)
    found: list[Manifest] = []
    for resource in (
        one for one in served if (one.api_version, one.kind) in kinds and one.group_kind != ("", "Namespace")
    ):
        copies = await _read(client, resource, turns, ours)
        if isinstance(copies, str):
            continue  # it may not be read by the hub either, whose lines say so
        names = kinds[resource.api_version, resource.kind]
        known = {_name(one) for one in copies}
        async with turns:
            others = (await client.list(resource, metadata_only=True)).items
        found += copies
        found += [
            {"metadata": one["metadata"], "apiVersion": resource.api_version, "kind": resource.kind}
            for one in others if _name(one) in names and _name(one) not in known
        ]  # fmt: skip
    namespaces = await _read(client, NAMESPACES, turns)
    return [*([] if isinstance(namespaces, str) else namespaces), *found]


def _propagated(snapshot: Snapshot) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """The kinds that a policy selects or a binding refers to, with the names of what the hub has of them."""
    kinds: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for one in snapshot.objects:
        spec = one.get("spec") or {}
        if one["kind"] in ("PropagationPolicy", "ClusterPropagationPolicy"):
            for selector in spec.get("resourceSelectors") or []:
                kinds.setdefault((selector.get("apiVersion") or "", selector.get("kind") or ""), set())
        elif one["kind"] in ("ResourceBinding", "ClusterResourceBinding"):
            kinds.setdefault((spec["resource"]["apiVersion"], spec["resource"]["kind"]), set())
    for one in snapshot.objects:
        if (one["apiVersion"], one["kind"]) in kinds:
            kinds[one["apiVersion"], one["kind"]].add(_name(one))
    return kinds


def _name(manifest: Manifest) -> tuple[str, str]:
    return manifest["metadata"].get("namespace") or "", manifest["metadata"]["name"]


def _is_joined(manifest: Manifest) -> bool:
    conditions = (manifest.get("status") or {}).get("conditions") or []
    return (
        manifest["kind"] == "Cluster" and manifest["apiVersion"].startswith(f"{GROUP}/")
        and any(one["type"] == "Joined" and one["status"] == "True" for one in conditions)
    )  # fmt: skip


def _preferred(resources: Iterable[Resource]) -> list[Resource]:
    """One version of each kind: the first, which the server prefers."""
    found: dict[tuple[str, str], Resource] = {}
    for resource in resources:
        if "/" not in resource.plural:
            found.setdefault(resource.group_kind, resource)
    return list(found.values())


def _counts(manifest: Manifest) -> bool:
    """What Kubernetes keeps for itself decides nothing; of ours only what a human approved does, and whether the hub went back."""
    metadata = manifest["metadata"]
    namespace = metadata.get("namespace") or ""
    if manifest["kind"] == "ConfigMap" and namespace == SYSTEM_NAMESPACE and metadata["name"] in (APPROVALS, RECORD):
        return True
    if manifest["kind"] == "CustomResourceDefinition":
        return not metadata["name"].endswith(f".{GROUP}")
    return not is_reserved_namespace(namespace)
